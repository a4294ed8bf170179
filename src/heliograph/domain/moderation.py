"""What people look at: prompts and pictures that a classifier found something in, and what became of them.

    open ──────► upheld        the finding is right
      │   ╲ ╱      │  ▲
      │   ╱ ╲      ▼  │
      │  ◄────► overturned     the finding is wrong
      ▼            │
    appealed ◄─────┘           a user said "this was fine"; a decision answers it

Every move is an action with its author and reason. A case keeps the prompt it is about, except where sexual content
with minors was found: of that nothing but the category is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from heliograph.domain.ids import CaseId, JobId, OutputId, TenantId
from heliograph.domain.job import Job
from heliograph.domain.pictures import Availability, Decision, Output, Safety
from heliograph.domain.prompt_verdict import Category, PolicyVerdict

SEXUAL_MINORS = Category.SEXUAL_MINORS.value
"""The category of which no text is ever kept."""

SCORE_SHOWN_MIN = 0.2
"""Below it, a category beside the one that decided says nothing."""

FILTER = "filter"
"""The author of what no person did."""


class CaseSubject(StrEnum):
    """What a case is about."""

    PROMPT = "prompt"
    PICTURE = "picture"


class CaseState(StrEnum):
    """What is known about it."""

    OPEN = "open"
    APPEALED = "appealed"
    UPHELD = "upheld"
    OVERTURNED = "overturned"

    @property
    def is_waiting(self) -> bool:
        """Somebody has to look at it."""
        return self in (CaseState.OPEN, CaseState.APPEALED)


class CaseDeed(StrEnum):
    """What was done. Releasing says that the finding is right and that the picture is delivered all the same."""

    OPENED = "opened"
    APPEALED = "appealed"
    UPHELD = "upheld"
    OVERTURNED = "overturned"
    RELEASED = "released"


STATE_AFTER: Mapping[CaseDeed, CaseState] = {
    CaseDeed.OPENED: CaseState.OPEN,
    CaseDeed.APPEALED: CaseState.APPEALED,
    CaseDeed.UPHELD: CaseState.UPHELD,
    CaseDeed.OVERTURNED: CaseState.OVERTURNED,
    CaseDeed.RELEASED: CaseState.UPHELD,
}
DECISIONS = frozenset({CaseDeed.UPHELD, CaseDeed.OVERTURNED, CaseDeed.RELEASED})
"""What only reviewers do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One category and how sure its classifier is of it, 0 to 1. `evidence` lists the words that decided."""

    category: str
    score: float
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseAction:
    """One line of a case's log: the `number`th, counted from 1. `actor` is the filter, a tenant or a reviewer's key."""

    case_id: CaseId
    number: int
    at_s: float
    actor: str
    deed: CaseDeed
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One prompt or picture to look at.

    `findings` come with the surest first, and there is at least one. `job_id` is None for a prompt that never became a
    job, `output_id` for everything but a picture that was stored. `prompt` is None where no text may be kept.
    `is_holding` says that nothing of the job is delivered before a decision. `since_s` is when it came into its state,
    `actions` how many lines its log has. Times are seconds since the epoch.
    """

    case_id: CaseId
    subject: CaseSubject
    tenant_id: TenantId
    job_id: JobId | None
    output_id: OutputId | None
    findings: tuple[Finding, ...]
    prompt: str | None
    negative_prompt: str
    opened_at_s: float
    since_s: float
    state: CaseState = CaseState.OPEN
    actions: int = 1
    is_holding: bool = False

    @property
    def category(self) -> str:
        """What its classifier is surest of."""
        return self.findings[0].category

    @property
    def score(self) -> float:
        """How sure, 0 to 1."""
        return self.findings[0].score


def new_case(
    *,
    case_id: CaseId,
    subject: CaseSubject,
    tenant_id: TenantId,
    job_id: JobId | None,
    findings: tuple[Finding, ...],
    prompt: str,
    negative_prompt: str,
    now_s: float,
    output_id: OutputId | None = None,
    is_holding: bool = False,
) -> Case:
    """An open case, without any text if what must not be kept was found."""
    assert findings, f"case {case_id} is about nothing"
    ranked = tuple(sorted(findings, key=lambda finding: (finding.category != SEXUAL_MINORS, -finding.score)))
    keeps_text = ranked[0].category != SEXUAL_MINORS
    if not keeps_text:
        ranked = tuple(replace(finding, evidence=()) for finding in ranked)
    return Case(
        case_id=case_id,
        subject=subject,
        tenant_id=tenant_id,
        job_id=job_id,
        output_id=output_id,
        findings=ranked,
        prompt=prompt if keeps_text else None,
        negative_prompt=negative_prompt if keeps_text else "",
        opened_at_s=now_s,
        since_s=now_s,
        is_holding=is_holding,
    )


def opening(case: Case) -> CaseAction:
    """The first line of the log of a case that the filter opened."""
    return CaseAction(case_id=case.case_id, number=1, at_s=case.opened_at_s, actor=FILTER, deed=CaseDeed.OPENED)


def appeal_of(case: Case, *, actor: str, reason: str) -> tuple[Case, CaseAction]:
    """A new case that an appeal opens, and the first line of its log."""
    action = CaseAction(
        case_id=case.case_id, number=1, at_s=case.opened_at_s, actor=actor, deed=CaseDeed.APPEALED, reason=reason
    )
    return replace(case, state=CaseState.APPEALED), action


def findings_of(verdict: PolicyVerdict) -> tuple[Finding, ...]:
    """What the prompt filter found, with what decided where it decided; what it is not sure of at all is left out."""
    assert verdict.category is not None, "nothing was found"
    span = () if verdict.span is None else (verdict.span.text,)
    first = Finding(
        category=verdict.category.value, score=verdict.score, evidence=tuple(dict.fromkeys((*span, *verdict.evidence)))
    )
    rest = sorted(verdict.scores.items(), key=lambda item: -item[1])
    others = [
        Finding(category=category.value, score=score)
        for category, score in rest
        if category is not verdict.category and score >= SCORE_SHOWN_MIN
    ]
    return (first, *others)


def case_of_picture(job: Job, output: Output) -> Case | None:
    """The case that a picture is, if its classifier says that somebody should look at it."""
    if output.safety is None or output.safety.decision is not Decision.FLAG:
        return None
    return new_case(
        case_id=CaseId(f"case_{output.output_id.removeprefix('out_')}"),
        subject=CaseSubject.PICTURE,
        tenant_id=job.tenant_id,
        job_id=job.job_id,
        output_id=output.output_id,
        findings=(Finding(category=Category.SEXUAL.value, score=output.safety.score),),
        prompt=job.request.prompt,
        negative_prompt=job.request.negative_prompt,
        now_s=output.created_at_s,
        is_holding=output.availability is Availability.HELD,
    )


def case_of_blocked(job: Job, safety: Safety, *, now_s: float) -> tuple[Case, CaseAction]:
    """The case of a picture that was not even stored: decided by the classifier, until somebody appeals."""
    case = new_case(
        case_id=CaseId(f"case_{job.job_id.removeprefix('job_')}_{job.attempt}"),
        subject=CaseSubject.PICTURE,
        tenant_id=job.tenant_id,
        job_id=job.job_id,
        findings=(Finding(category=Category.SEXUAL.value, score=safety.score),),
        prompt=job.request.prompt,
        negative_prompt=job.request.negative_prompt,
        now_s=now_s,
    )
    reason = f"{safety.judge} is {safety.score:.2f} sure, and the picture was not kept"
    action = CaseAction(case_id=case.case_id, number=1, at_s=now_s, actor=FILTER, deed=CaseDeed.UPHELD, reason=reason)
    return replace(case, state=CaseState.UPHELD), action


def moved(case: Case, deed: CaseDeed, *, actor: str, reason: str, now_s: float) -> tuple[Case, CaseAction]:
    """The case after a deed, and the line of its log."""
    action = CaseAction(
        case_id=case.case_id, number=case.actions + 1, at_s=now_s, actor=actor, deed=deed, reason=reason
    )
    return replace(case, state=STATE_AFTER[deed], since_s=now_s, actions=action.number), action


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseCount:
    """How many cases are in a state, and since when the one that came into it first."""

    state: CaseState
    count: int
    oldest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeedCount:
    """How often somebody did something."""

    actor: str
    deed: CaseDeed
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPolicy:
    """Whether pictures in which something was found, or in their prompt, wait for a decision: in general, by tenant."""

    holds: bool = False
    tenants: Mapping[str, bool] = field(default_factory=dict[str, bool])

    def holds_for(self, tenant_id: TenantId) -> bool:
        """Whether a tenant's pictures wait."""
        return self.tenants.get(tenant_id, self.holds)


def label_of(case: Case) -> dict[str, object] | None:
    """A decided prompt as a labelled row, 1 for against the policy; None for what has no text or no decision.

    Only prompts are labels for the prompt filter: that a picture turned out wrong says nothing about its prompt.
    """
    if case.state.is_waiting or case.subject is not CaseSubject.PROMPT or case.prompt is None:
        return None
    is_unsafe = case.state is CaseState.UPHELD
    return {
        "prompt": case.prompt,
        "label": int(is_unsafe),
        "category": case.category if is_unsafe else "benign",
        "source": "moderation",
        "tier": "core" if is_unsafe else "reviewed_benign",
    }
