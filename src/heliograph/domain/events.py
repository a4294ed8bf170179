"""Facts that reach the scheduler, in the past tense. A repeated or late one changes nothing."""

from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.errors import EngineErrorKind
from heliograph.domain.ids import GpuId, JobId, ModelId, WorkerId
from heliograph.domain.job import Job
from heliograph.domain.making import EngineFacts
from heliograph.domain.orders import Halt
from heliograph.domain.pictures import Output, RawImage, Verdict
from heliograph.domain.views import Gpu
from heliograph.domain.weights import Fetching


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSubmitted:
    """A checked and routed request became a job; it is not durable yet."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecovered:
    """An open job was found in the store after a restart, in the state the last process left it."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionAbandoned:
    """The job could not be made durable: its submission failed and none of its commands were carried out."""

    job_id: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """Its owner wants the job gone."""

    job_id: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaRequested:
    """The fleet plan decided to load a model on a GPU, or on several of one node; the worker is starting."""

    worker_id: WorkerId
    gpu_id: GpuId
    model_id: ModelId
    more_gpu_ids: tuple[GpuId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStopRequested:
    """The fleet plan wants the worker gone; one that is busy finishes its run first."""

    worker_id: WorkerId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsProgressed:
    """The worker's weights are being fetched or checked, before its process starts; told of about twice a second."""

    worker_id: WorkerId
    fetching: Fetching


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReady:
    """The worker has loaded its model. `load_s` seconds from process start, `memory_bytes` resident now.

    `can_resume`: it can pause a run at a step and take it up again, its own or another's. `facts` are what its
    pictures are made with, where that is known.
    """

    worker_id: WorkerId
    load_s: float
    memory_bytes: int
    can_resume: bool = False
    facts: EngineFacts | None = None


class LossReason(StrEnum):
    """Why a worker is gone."""

    CRASHED = "crashed"
    SILENT = "silent"
    OUT_OF_MEMORY = "out_of_memory"
    LOAD_FAILED = "load_failed"
    BAD_WEIGHTS = "bad_weights"
    DEVICE_LOST = "device_lost"
    STOPPED = "stopped"
    RECLAIMED = "reclaimed"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLost:
    """The worker's process has ended, by itself or because it was killed."""

    worker_id: WorkerId
    reason: LossReason
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The worker began the attempt."""

    job_id: JobId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """`step` of `steps` denoising steps are done. `previews` holds one JPEG per picture, or nothing."""

    job_id: JobId
    attempt: int
    step: int
    steps: int
    previews: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointKept:
    """What the attempt had done after `step` steps was kept under the name `checkpoint`; the run goes on."""

    job_id: JobId
    attempt: int
    step: int
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesReady:
    """The attempt's pictures left the GPU after `run_s` seconds; the worker is free again.

    `peak_bytes` is the most memory that the worker held during the run, None where the worker cannot tell.
    """

    job_id: JobId
    attempt: int
    run_s: float
    images: tuple[RawImage, ...]
    peak_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """The engine gave up on the attempt; the worker lives."""

    job_id: JobId
    attempt: int
    kind: EngineErrorKind
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAborted:
    """The worker stopped the attempt because it was told to; it is free again."""

    job_id: JobId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused:
    """The worker stopped the attempt after `step` steps and is free; `checkpoint` names what was kept of it."""

    job_id: JobId
    attempt: int
    step: int
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputsStored:
    """Every picture of the attempt passed the gates and is durable in the blob store."""

    job_id: JobId
    attempt: int
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRejected:
    """A quality gate wants other pictures, or none at all."""

    job_id: JobId
    attempt: int
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PostProcessingFailed:
    """Encoding broke. Storing is retried by the pipeline and never ends here.

    `is_retryable` is False where the same pictures would break it again.
    """

    job_id: JobId
    attempt: int
    message: str
    is_retryable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuArrived:
    """A GPU that was bought is here, empty."""

    gpu: Gpu


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuNotice:
    """The GPU will be taken back at `leaves_at_s`, in seconds since the epoch: nothing new starts on it."""

    gpu_id: GpuId
    leaves_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuGone:
    """The GPU was taken or given back, with everything on it."""

    gpu_id: GpuId


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainRequested:
    """The server is going down: what runs may finish, what waits stays where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltsSet:
    """The operator halted or resumed something: these halts hold from now on, and no others."""

    halts: tuple[Halt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTicked:
    """Time passed: deadlines, back-off and idle limits are looked at."""


Event = (
    JobSubmitted
    | JobRecovered
    | SubmissionAbandoned
    | CancelRequested
    | ReplicaRequested
    | ReplicaStopRequested
    | WeightsProgressed
    | WorkerReady
    | WorkerLost
    | RunStarted
    | StepDone
    | CheckpointKept
    | ImagesReady
    | RunFailed
    | RunAborted
    | RunPaused
    | OutputsStored
    | GateRejected
    | PostProcessingFailed
    | GpuArrived
    | GpuNotice
    | GpuGone
    | DrainRequested
    | HaltsSet
    | ClockTicked
)
