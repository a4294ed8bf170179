"""What the pure code asks the world to do. The pipeline and the simulator interpret the same commands."""

from dataclasses import dataclass

from heliograph.domain.errors import InvalidRequest, Overloaded
from heliograph.domain.ids import GpuId, JobId, ModelId, WorkerId
from heliograph.domain.job import Attempt, Job
from heliograph.domain.pictures import Output
from heliograph.domain.run import RunOrder
from heliograph.domain.views import Market


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordJob:
    """Make the job's new state durable and tell everybody who watches.

    `cause` is a stable code such as `submitted`, `worker_lost` or `gate_regenerate`. `ended_attempt` is metered in the
    same transaction. `outputs`, and the `charged_attempt` the tenant pays for, come with `completed` only. `must_wait`
    is False where nothing acts on the record, so that it may ride along with the next transaction.
    """

    job: Job
    cause: str
    ended_attempt: Attempt | None = None
    charged_attempt: Attempt | None = None
    outputs: tuple[Output, ...] = ()
    must_wait: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveJob:
    """Make what is known of the job durable, with the next transaction; its state is the same, so nobody is told."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseJob:
    """Admission said no: the submission fails with `error` and nothing is stored."""

    job_id: JobId
    error: Overloaded | InvalidRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """Hand the order to the worker."""

    worker_id: WorkerId
    order: RunOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortRun:
    """Stop this attempt at the next step boundary; a worker that does not is killed."""

    worker_id: WorkerId
    job_id: JobId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRun:
    """Stop this attempt at the next step boundary and keep what it has done, so that another can take it up."""

    worker_id: WorkerId
    job_id: JobId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PostProcess:
    """Judge, encode and store the pictures of this attempt."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReplica:
    """Start a worker on the GPU and load the model. `why` is for people.

    A model that needs several GPUs gets all of them at once: `more_gpu_ids` are of the same node.
    """

    gpu_id: GpuId
    model_id: ModelId
    why: str = ""
    more_gpu_ids: tuple[GpuId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReplica:
    """Stop the worker as soon as it holds no job. `reason` is for people."""

    worker_id: WorkerId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyGpu:
    """Get one more GPU. `why` is for people."""

    gpu_class: str
    market: Market
    zone: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseGpu:
    """Give an idle GPU back. `why` is for people."""

    gpu_id: GpuId
    why: str


Command = RecordJob | SaveJob | RefuseJob | Dispatch | AbortRun | PauseRun | PostProcess | StartReplica | StopReplica
FleetCommand = StartReplica | StopReplica
CapacityCommand = BuyGpu | ReleaseGpu
