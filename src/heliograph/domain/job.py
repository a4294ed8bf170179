"""The life of a job: its states, the legal moves between them, and the record that moves.

    pending ─► dispatched ─► running ─► post_processing ─► completed
       ▲           │            │              │
       └───────────┴────────────┴──────────────┘   worker lost, engine failed, gate asked for another seed
    and from every one of them: cancelled, failed, expired

`LEGAL_MOVES` is the only table of them; façades translate states, never redefine them. `pending` means: not on a GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from heliograph.domain.ids import GpuId, JobId, ModelId, TenantId, WorkerId
from heliograph.domain.request import GenerationRequest
from heliograph.domain.tiers import Tier
from heliograph.domain.webhooks import JobWebhook


class JobState(StrEnum):
    """Where a job is."""

    PENDING = "pending"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    POST_PROCESSING = "post_processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Nothing ever happens to it again."""
        return not LEGAL_MOVES[self]


_ENDINGS = frozenset({JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})

LEGAL_MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.PENDING: frozenset({JobState.DISPATCHED}) | _ENDINGS,
    JobState.DISPATCHED: frozenset({JobState.RUNNING, JobState.PENDING}) | _ENDINGS,
    JobState.RUNNING: frozenset({JobState.POST_PROCESSING, JobState.PENDING}) | _ENDINGS,
    JobState.POST_PROCESSING: frozenset({JobState.COMPLETED, JobState.PENDING}) | _ENDINGS,
    JobState.COMPLETED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.EXPIRED: frozenset(),
}

ON_WORKER = frozenset({JobState.DISPATCHED, JobState.RUNNING})
"""States in which a worker holds the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job or an attempt ended without pictures. `code` is stable, `message` tells the user what happened."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a job entered a state, in seconds since the Unix epoch."""

    state: JobState
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One accepted request on its way.

    `attempt` is 0 until the first dispatch and fences off late results: only messages that carry the current number
    count. `failures` counts the attempts that failed and bounds the retries; an attempt that ended with the server is
    not the job's fault and does not count. `reseeds` counts how often other seeds were tried, after a gate's verdict
    or a NaN. `checkpoint` names what is kept of its run after `steps_done` steps, for the next attempt to go on from;
    None: it begins at the first step. `setback` is why an attempt failed last, `spares_memory` that one ran out of
    memory and the next ones do with less. `sequence` is the order of submission and breaks every tie. `timeline` has
    one moment per state entered, oldest first. `webhook` hears of this job only. `on_review`: its prompt was flagged,
    and its pictures wait for a person. `remixed_from` is the job whose request this one repeats with another prompt,
    `reproduces` the one that it makes again to compare. Times are seconds since the epoch.
    """

    job_id: JobId
    tenant_id: TenantId
    end_user: str | None
    tier: Tier
    request: GenerationRequest
    sequence: int
    created_at_s: float
    deadline_at_s: float | None
    state: JobState = JobState.PENDING
    attempt: int = 0
    failures: int = 0
    reseeds: int = 0
    not_before_s: float = 0.0
    checkpoint: str | None = None
    steps_done: int = 0
    setback: Failure | None = None
    spares_memory: bool = False
    timeline: tuple[Moment, ...] = ()
    failure: Failure | None = None
    webhook: JobWebhook | None = None
    on_review: bool = False
    remixed_from: JobId | None = None
    reproduces: JobId | None = None

    @property
    def finished_at_s(self) -> float | None:
        """When it ended, or None while it is open."""
        return self.timeline[-1].at_s if self.timeline and self.state.is_terminal else None

    def stage_seconds(self) -> dict[JobState, float]:
        """Seconds spent in each state it has left; a state entered twice counts both stays."""
        seconds: dict[JobState, float] = {}
        for entered, left in pairwise(self.timeline):
            seconds[entered.state] = seconds.get(entered.state, 0.0) + left.at_s - entered.at_s
        return seconds

    def starting_afresh(self) -> "Job":
        """This job without what was kept of its run."""
        return replace(self, checkpoint=None, steps_done=0)

    def submitted(self, *, now_s: float) -> "Job":
        """This job as it begins: pending, since now."""
        return self._since(JobState.PENDING, (), now_s, self.failure, self.attempt, self.not_before_s)

    def moved(
        self,
        to: JobState,
        *,
        now_s: float,
        failure: Failure | None = None,
        attempt: int | None = None,
        not_before_s: float | None = None,
    ) -> "Job":
        """This job in state `to`; a move that is not in the table is our bug. `attempt` and `not_before_s` stay as
        they are unless they are given.
        """
        assert to in LEGAL_MOVES[self.state], f"job {self.job_id}: {self.state} -> {to} is not a legal move"
        attempt = self.attempt if attempt is None else attempt
        not_before_s = self.not_before_s if not_before_s is None else not_before_s
        return self._since(to, self.timeline, now_s, failure, attempt, not_before_s)

    def _since(
        self,
        state: JobState,
        timeline: tuple[Moment, ...],
        now_s: float,
        failure: Failure | None,
        attempt: int,
        not_before_s: float,
    ) -> "Job":
        """Written out, because every job moves several times: `dataclasses.replace` takes three times as long."""
        return Job(
            job_id=self.job_id,
            tenant_id=self.tenant_id,
            end_user=self.end_user,
            tier=self.tier,
            request=self.request,
            sequence=self.sequence,
            created_at_s=self.created_at_s,
            deadline_at_s=self.deadline_at_s,
            state=state,
            attempt=attempt,
            failures=self.failures,
            reseeds=self.reseeds,
            not_before_s=not_before_s,
            checkpoint=self.checkpoint,
            steps_done=self.steps_done,
            setback=self.setback,
            spares_memory=self.spares_memory,
            timeline=(*timeline, Moment(state=state, at_s=now_s)),
            failure=failure,
            webhook=self.webhook,
            on_review=self.on_review,
            remixed_from=self.remixed_from,
            reproduces=self.reproduces,
        )


class AttemptOutcome(StrEnum):
    """How one attempt on a worker ended."""

    SUCCEEDED = "succeeded"
    ENGINE_FAILED = "engine_failed"
    WORKER_LOST = "worker_lost"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SERVER_LOST = "server_lost"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One finished stay of a job on a worker: the unit of metering.

    `gpu_s` is the time the GPU was held, in seconds, from dispatch to the end of the run, times the GPUs the worker
    holds. An attempt that ended with the server (`SERVER_LOST`) was not measured: its `gpu_s` is 0. `market` and `zone`
    are the GPU's.
    """

    job_id: JobId
    number: int
    worker_id: WorkerId
    gpu_id: GpuId
    gpu_class: str
    model_id: ModelId
    dispatched_at_s: float
    ended_at_s: float
    gpu_s: float
    outcome: AttemptOutcome
    market: str = "reserved"
    zone: str = ""
