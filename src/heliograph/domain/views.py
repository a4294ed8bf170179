"""What one stage may know of another: small frozen snapshots, made when a decision needs them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from heliograph.domain.ids import GpuId, JobId, ModelId, WorkerId
from heliograph.domain.job import Job
from heliograph.domain.model_card import ModelCard
from heliograph.domain.money import Micros
from heliograph.domain.orders import Halt
from heliograph.domain.pictures import Output
from heliograph.domain.weights import Fetching


class Market(StrEnum):
    """How a GPU is had: for good, by the hour, or by the hour until somebody pays more."""

    RESERVED = "reserved"
    ON_DEMAND = "on_demand"
    SPOT = "spot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One card (or, on a laptop, one CPU slot) that can hold replicas up to `memory_bytes`.

    Cards with one `node_id` share a host, and what the host's memory holds.
    """

    gpu_id: GpuId
    gpu_class: str
    memory_bytes: int
    node_id: str = ""
    zone: str = ""
    market: Market = Market.RESERVED


class ReplicaState(StrEnum):
    """What a worker is doing."""

    LOADING = "loading"
    READY = "ready"
    BUSY = "busy"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaView:
    """One worker: one loaded model on one GPU, or on several of a node. `since_s` is when it entered its state.

    `loaded_at_s` is when its model was loaded, None before that or where it is not known. `fetching` is how far its
    weights have come, where they are fetched first.
    """

    worker_id: WorkerId
    gpu_id: GpuId
    model_id: ModelId
    state: ReplicaState
    since_s: float
    job_id: JobId | None = None
    loaded_at_s: float | None = None
    more_gpu_ids: tuple[GpuId, ...] = ()
    fetching: Fetching | None = None

    @property
    def gpu_ids(self) -> tuple[GpuId, ...]:
        """Every GPU it holds."""
        return (self.gpu_id, *self.more_gpu_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """All GPUs and replicas, in a stable order.

    `in_host_memory` names, by node, the models whose weights lie in the host's memory and load fast from there. On
    GPUs that are `resting`, because their driver was lost again and again, nothing is loaded for now. `bereft` GPUs
    lost a replica of this model in the middle of a run, just now, and nothing has been loaded there since.
    """

    gpus: tuple[Gpu, ...]
    replicas: tuple[ReplicaView, ...]
    in_host_memory: Mapping[str, frozenset[ModelId]] = field(default_factory=dict[str, frozenset[ModelId]])
    resting: Collection[GpuId] = ()
    bereft: Mapping[GpuId, ModelId] = field(default_factory=dict[GpuId, ModelId])


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Seconds: the expected number, and two that hold the truth between them in four of five cases."""

    low_s: float
    expected_s: float
    high_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Another model that can do it, and when it would deliver; None where durations are unknown."""

    model_id: ModelId
    eta: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelQueue:
    """Open work of one model.

    `pending` jobs wait with an estimated `pending_s` GPU-seconds; the next of them since `waiting_since_s`. Its owner
    has been waiting for a turn, of this model or of others that want the same GPUs, since `turn_since_s`.
    `off_spot_pending` of them may not run on spot GPUs. `running_s`
    GPU-seconds are left on `replicas` workers. The last `load_failures` loads in a row failed, the latest at
    `load_failed_at_s`; one load is expected to take `load_s`. `trust` is by how much a promise to a newcomer should be
    multiplied: expected, and from low to high.
    """

    pending: int = 0
    pending_s: float = 0.0
    waiting_since_s: float | None = None
    turn_since_s: float | None = None
    running_s: float = 0.0
    replicas: int = 0
    load_s: float = 0.0
    off_spot_pending: int = 0
    load_failures: int = 0
    load_failed_at_s: float = 0.0
    trust: Interval = Interval(low_s=0.6, expected_s=1.0, high_s=1.8)


NO_WORK = ModelQueue()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """Open work by model; a model without an entry has none."""

    models: Mapping[ModelId, ModelQueue]

    def of(self, model_id: ModelId) -> ModelQueue:
        """The queue of one model."""
        return self.models.get(model_id, NO_WORK)


class Phase(StrEnum):
    """What is happening to a job, in a word for people; finer than its state."""

    WAITING = "waiting"
    LOADING_MODEL = "loading_model"
    RETRYING = "retrying"
    PAUSED = "paused"
    HALTED = "halted"
    GENERATING = "generating"
    FINISHING = "finishing"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job as its owner sees it now.

    `queue_position` counts from 1 within the model's queue and is None unless pending. `eta_s` is the expected number
    of seconds until the pictures are delivered, None when unknown, halted or ended, `eta` the same with its interval.
    `step` of `steps` is the progress of the current attempt.
    """

    job: Job
    phase: Phase
    queue_position: int | None
    eta_s: float | None
    step: int
    steps: int
    eta: Interval | None = None
    attempts_max: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """Everything the API shows of a job. `cost_micros` is what its tenant was charged so far."""

    view: JobView
    outputs: tuple[Output, ...]
    cost_micros: Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """A catalogue entry in this installation.

    `is_available`: there is an engine and a GPU for it. `is_resident`: a worker holds it now. `wait_s` is the expected
    number of seconds from submission to delivery of one picture of the default size, None when unknown.
    """

    card: ModelCard
    is_available: bool
    is_resident: bool
    wait_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Why a replica is where it is, as a sentence, and what that is worth.

    It takes `share` (0 to 1) of a GPU. While idle it is expected to save `saved_per_s` seconds of waiting per second
    (None without a forecast, or while it works).
    """

    why: str
    share: float
    saved_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """One worker as an operator sees it.

    `memory_bytes` were measured when it was ready, None before that. `last_used_s` is when its last run ended, or now
    while it has one; None when it never had any.
    """

    view: ReplicaView
    standing: Standing
    memory_bytes: int | None
    last_used_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuStatus:
    """One GPU as an operator sees it: `planned_bytes` are promised to the replicas on it.

    One that `is_resting` lost its driver again and again: nothing is loaded on it for a while.
    """

    gpu: Gpu
    planned_bytes: int
    halt: Halt | None
    is_resting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStanding:
    """One model as an operator sees it, if it is loaded, waited for, or an order names it.

    `asked_per_hour` is the forecast, None without one. `replicas_max` is None where nothing bounds them.
    """

    model_id: ModelId
    queue: ModelQueue
    is_pinned: bool
    wanted_until_s: float | None
    replicas_max: int | None
    halt: Halt | None
    asked_per_hour: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStatus:
    """Everything the API shows an operator of the fleet."""

    gpus: tuple[GpuStatus, ...]
    replicas: tuple[ReplicaStatus, ...]
    models: tuple[ModelStanding, ...]
    halts: tuple[Halt, ...]
