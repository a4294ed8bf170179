"""The one stream of lifecycle events that feeds watchers, metrics, traces and logs. Published after it is durable."""

from dataclasses import dataclass

from heliograph.domain.accounts import Refusal
from heliograph.domain.commands import RecordJob
from heliograph.domain.events import LossReason, StepDone
from heliograph.domain.ids import GpuId, JobId, ModelId, TenantId, WorkerId
from heliograph.domain.job import JobState
from heliograph.domain.moderation import Case, CaseAction
from heliograph.domain.webhooks import MessageState, WebhookEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMoved:
    """A job entered a state. `previous` is None for a new job; `cost_micros` is what its ledger charged so far."""

    record: RecordJob
    previous: JobState | None
    cost_micros: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStepped:
    """A running job made a step, perhaps with previews."""

    model_id: ModelId
    step: StepDone


@dataclass(frozen=True, slots=True, kw_only=True)
class LateEventIgnored:
    """A worker or post-processor spoke of an attempt that is over, and nothing came of it. `event` is its name."""

    event: str
    job_id: JobId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused:
    """A request was refused before it became a job."""

    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStarted:
    """A worker is loading a model."""

    worker_id: WorkerId
    gpu_id: GpuId
    model_id: ModelId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLoaded:
    """A worker finished loading after `load_s` seconds."""

    worker_id: WorkerId
    model_id: ModelId
    load_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLost:
    """A worker is gone."""

    worker_id: WorkerId
    model_id: ModelId
    reason: LossReason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTried:
    """A message was sent, or could not be: `state` is what it is in now, after `tries` tries."""

    event: WebhookEvent
    state: MessageState
    tries: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCommitted:
    """The store took `duration_s` seconds to make `writes` changes durable, or to say that it cannot."""

    duration_s: float
    writes: int
    has_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOpened:
    """Something was found that a person should look at."""

    case: Case


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseMoved:
    """A case was appealed or decided; `waited_s` is how long it had waited for a decision, None where it had not."""

    case: Case
    action: CaseAction
    waited_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobHandled:
    """The medium of the pictures took `duration_s` seconds for an `operation`, `put` or `read`, or to say that it
    cannot."""

    operation: str
    duration_s: float
    has_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftLimitPassed:
    """What a tenant was charged this month passed the soft limit of its plan; told once a month."""

    tenant_id: TenantId


LifecycleEvent = (
    JobMoved
    | JobStepped
    | LateEventIgnored
    | RequestRefused
    | ReplicaStarted
    | ReplicaLoaded
    | ReplicaLost
    | WebhookTried
    | StoreCommitted
    | CaseOpened
    | CaseMoved
    | BlobHandled
    | SoftLimitPassed
)
