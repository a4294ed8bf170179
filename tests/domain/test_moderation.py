"""Cases: what is kept, how they move, and what they teach the filter."""

from dataclasses import replace

import pytest

from heliograph.domain.ids import CaseId, JobId, TenantId
from heliograph.domain.moderation import (
    SEXUAL_MINORS,
    Case,
    CaseDeed,
    CaseState,
    CaseSubject,
    Finding,
    ReviewPolicy,
    case_of_blocked,
    case_of_picture,
    findings_of,
    label_of,
    moved,
    new_case,
    opening,
)
from heliograph.domain.pictures import Availability, Decision, Output, Safety
from heliograph.domain.prompt_verdict import Category, PolicyDecision, PolicyVerdict, Span
from tests.builders import a_job, an_output

UNSURE = Safety(score=0.63, decision=Decision.FLAG, judge="opennsfw")


def unsafe_output(
    name: str = "out_0", *, index: int = 0, availability: Availability = Availability.HELD, safety: Safety = UNSURE
) -> Output:
    output = an_output(name, job="job_1", index=index, sha256=f"{index:064d}", created_at_s=5.0)
    return replace(output, availability=availability, safety=safety)


def a_case(*findings: Finding, subject: CaseSubject = CaseSubject.PROMPT) -> Case:
    return new_case(
        case_id=CaseId("case_1"),
        subject=subject,
        tenant_id=TenantId("acme"),
        job_id=JobId("job_1"),
        findings=findings or (Finding(category="violence", score=0.6, evidence=("sword",)),),
        prompt="a knight with a sword",
        negative_prompt="blood",
        now_s=5.0,
    )


def test_the_surest_finding_names_the_case() -> None:
    case = a_case(Finding(category="hate", score=0.3), Finding(category="violence", score=0.6))
    assert (case.category, case.score, case.state) == ("violence", 0.6, CaseState.OPEN)
    assert opening(case).deed is CaseDeed.OPENED


def test_of_sexual_content_with_minors_no_text_is_kept_whatever_else_was_found() -> None:
    case = a_case(
        Finding(category="violence", score=0.99, evidence=("TOKEN",)),
        Finding(category=SEXUAL_MINORS, score=0.5, evidence=("TOKEN",)),
    )
    assert (case.category, case.prompt, case.negative_prompt) == (SEXUAL_MINORS, None, "")
    assert all(finding.evidence == () for finding in case.findings)
    assert "TOKEN" not in repr(case)
    assert label_of(replace(case, state=CaseState.UPHELD)) is None


@pytest.mark.parametrize(
    ("deed", "state"),
    [
        (CaseDeed.APPEALED, CaseState.APPEALED),
        (CaseDeed.UPHELD, CaseState.UPHELD),
        (CaseDeed.OVERTURNED, CaseState.OVERTURNED),
        (CaseDeed.RELEASED, CaseState.UPHELD),
    ],
)
def test_every_deed_is_logged_with_author_and_reason(deed: CaseDeed, state: CaseState) -> None:
    case, action = moved(a_case(), deed, actor="key_1", reason="seen", now_s=9.0)
    assert (case.state, case.since_s, case.actions) == (state, 9.0, 2)
    assert (action.number, action.actor, action.deed, action.reason, action.at_s) == (2, "key_1", deed, "seen", 9.0)
    assert moved(case, CaseDeed.UPHELD, actor="b", reason="", now_s=10.0)[1].number == 3


@pytest.mark.parametrize(
    ("state", "subject", "expected"),
    [
        (CaseState.OPEN, CaseSubject.PROMPT, None),
        (CaseState.APPEALED, CaseSubject.PROMPT, None),
        (CaseState.UPHELD, CaseSubject.PICTURE, None),
        (CaseState.UPHELD, CaseSubject.PROMPT, (1, "violence")),
        (CaseState.OVERTURNED, CaseSubject.PROMPT, (0, "benign")),
    ],
)
def test_decided_prompts_are_labelled_rows(
    state: CaseState, subject: CaseSubject, expected: tuple[int, str] | None
) -> None:
    row = label_of(replace(a_case(subject=subject), state=state))
    if expected is None:
        assert row is None
    else:
        assert row is not None
        assert (row["label"], row["category"], row["prompt"]) == (*expected, "a knight with a sword")
        assert set(row) == {"prompt", "label", "category", "source", "tier"}


def test_what_the_filter_is_not_sure_of_is_left_out() -> None:
    verdict = PolicyVerdict(
        decision=PolicyDecision.FLAG,
        category=Category.VIOLENCE,
        score=0.5,
        scores={Category.SEXUAL: 0.7, Category.VIOLENCE: 0.5, Category.HATE: 0.1},
        span=Span(start=0, end=5, text="sword"),
        evidence=("sword", "weapon"),
    )
    found = findings_of(verdict)
    assert [(each.category, each.score, each.evidence) for each in found] == [
        ("violence", 0.5, ("sword", "weapon")),
        ("sexual", 0.7, ()),
    ]


@pytest.mark.parametrize("decision", [Decision.ACCEPT, Decision.BLOCK])
def test_a_picture_is_a_case_only_where_a_person_should_look(decision: Decision) -> None:
    job = a_job("job_1")
    assert case_of_picture(job, replace(unsafe_output(), safety=None)) is None
    assert case_of_picture(job, unsafe_output(safety=replace(UNSURE, decision=decision))) is None
    case = case_of_picture(job, unsafe_output())
    assert case is not None
    assert (case.case_id, case.output_id, case.is_holding, case.score) == ("case_0", "out_0", True, 0.63)
    again = case_of_picture(job, unsafe_output(availability=Availability.DELIVERED))
    assert again is not None
    assert (again.case_id, again.is_holding) == ("case_0", False)


def test_a_picture_that_was_not_kept_is_decided_until_somebody_appeals() -> None:
    case, action = case_of_blocked(a_job("job_1", attempt=2), replace(UNSURE, score=0.93), now_s=7.0)
    assert (case.state, case.output_id, case.score) == (CaseState.UPHELD, None, 0.93)
    assert (action.number, action.actor, action.deed) == (1, "filter", CaseDeed.UPHELD)
    assert "0.93" in action.reason


def test_a_tenants_own_rule_goes_before_the_general_one() -> None:
    policy = ReviewPolicy(holds=True, tenants={"film": False})
    assert policy.holds_for(TenantId("acme"))
    assert not policy.holds_for(TenantId("film"))
    assert not ReviewPolicy().holds_for(TenantId("acme"))
