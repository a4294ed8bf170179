"""Counts lifecycle events and looks at the fleet into bins of fifteen seconds, and sums bins up as evidence.

Memory: `BINS` bins of a few counters per model, tenant and GPU that did anything in that quarter of a minute, and the
looks of the last quarter of an hour. Tenants beyond `NAMES_MAX` in one bin are counted together. A clock that is set
forwards leaves a hole that counts as unobserved; it is never set back (`app.epoch_clock`), and where it is all the
same, as in a simulation, what happens is counted into the newest bin.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from heliograph.domain.events import LossReason
from heliograph.domain.ids import GpuId, ModelId, WorkerId
from heliograph.domain.job import Attempt, AttemptOutcome, Job, JobState
from heliograph.domain.lifecycle import (
    JobMoved,
    LifecycleEvent,
    ReplicaLoaded,
    ReplicaLost,
    ReplicaStarted,
    RequestRefused,
    StoreCommitted,
    WebhookTried,
)
from heliograph.domain.orders import Halt
from heliograph.domain.views import FleetView, Gpu, QueueView, ReplicaState
from heliograph.domain.webhooks import MessageState
from heliograph.monitoring.evidence import Evidence, FleetLook, LineLook, Window

BIN_S = 15.0
RECENT_BINS = 20
LONGER_BINS = 120
BINS = 540
LOOK_EVERY_S = 5.0
LOOKS_S = 900.0
HOLE_S = 60.0
TOGETHER_S = 2.0
"""Without a look for so long, nobody knows what happened meanwhile."""
NAMES_MAX = 500
OTHER = "(other)"
USUAL_MAX = 1_000
"""Kinds of work whose usual time is remembered."""
USUAL_RUNS = 50
GATE_CAUSES = frozenset({"gate_regenerate", "quality_blocked"})
_LOSSES = frozenset({LossReason.CRASHED, LossReason.SILENT, LossReason.OUT_OF_MEMORY})
_ENDED_THERE = frozenset({AttemptOutcome.SUCCEEDED, AttemptOutcome.ENGINE_FAILED})


@dataclass(slots=True)
class _Bin:
    index: int
    counts: dict[tuple[str, ...], float] = field(default_factory=dict[tuple[str, ...], float])
    seen_s: float = 0.0

    def add(self, amount: float, *key: str) -> None:
        if key not in self.counts and len(self.counts) >= NAMES_MAX and len(key) > 1:
            key = (key[0], *([OTHER] * (len(key) - 1)))
        self.counts[key] = self.counts.get(key, 0.0) + amount


@dataclass(slots=True)
class _Usual:
    """How long the same work usually takes: the mean of the first runs, then slowly following."""

    runs: int = 0
    mean_s: float = 0.0

    def relative(self, seconds: float) -> float | None:
        """The time relative to the usual one, None while that is not known; then it becomes part of it."""
        ratio = seconds / self.mean_s if self.runs >= 3 and self.mean_s > 0 else None
        self.runs += 1
        # What is far out of the usual hardly changes what is usual.
        weight = 1 / min(self.runs, USUAL_RUNS)
        bounded_s = seconds if ratio is None else min(seconds, 1.5 * self.mean_s)
        self.mean_s += (bounded_s - self.mean_s) * weight
        return ratio


class Recent:
    """A sink of lifecycle events that also takes looks; `evidence` is what a diagnosis gets. `clock` in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bins: deque[_Bin] = deque(maxlen=BINS)
        self._looks: deque[FleetLook] = deque()
        self._finishing = 0
        self._gpus: dict[GpuId, Gpu] = {}
        self._loading: dict[WorkerId, ModelId] = {}
        self._gpu_of: dict[WorkerId, GpuId] = {}
        self._lost_s: dict[GpuId, float] = {}
        self._usual: OrderedDict[tuple[object, ...], _Usual] = OrderedDict()

    def __call__(self, event: LifecycleEvent) -> None:
        """Count one event."""
        match event:
            case JobMoved():
                self._count_move(event)
            case RequestRefused(refusal=refusal):
                self._bin().add(1, "refused", refusal.stage)
            case ReplicaStarted(worker_id=worker_id, gpu_id=gpu_id, model_id=model_id):
                self._loading[worker_id] = model_id
                self._gpu_of[worker_id] = gpu_id
                self._bin().add(1, "load_started", model_id)
            case ReplicaLoaded(worker_id=worker_id, model_id=model_id):
                self._loading.pop(worker_id, None)
                self._bin().add(1, "load_done", model_id)
            case ReplicaLost(worker_id=worker_id, model_id=model_id, reason=reason):
                self._count_loss(worker_id, model_id, reason)
            case StoreCommitted(duration_s=duration_s, has_failed=has_failed):
                now = self._bin()
                now.add(duration_s, "commit_s")
                now.add(1, "commits")
                if has_failed:
                    now.add(1, "commit_failed")
            case WebhookTried(state=state):
                self._bin().add(1, "webhook_tried")
                if state is not MessageState.DELIVERED:
                    self._bin().add(1, "webhook_failed")
            case _:
                pass

    def look(self, fleet: FleetView, queue: QueueView, halts: tuple[Halt, ...] = ()) -> None:
        """See how things are now; wanted every `LOOK_EVERY_S` seconds."""
        now_s = self._clock()
        found = fleet_look(fleet, queue, now_s=now_s, finishing=self._finishing, halts=halts)
        now = self._bin()
        if self._looks:
            passed_s = now_s - self._looks[-1].at_s
            if passed_s > HOLE_S:
                self._looks.clear()
            else:
                now.seen_s += max(passed_s, 0.0)
        there = {gpu.gpu_id: gpu for gpu in fleet.gpus}
        for gpu_id, gpu in self._gpus.items():
            if gpu_id not in there:
                now.add(1, "gpu_gone", gpu.zone, gpu.market.value)
        self._gpus = there
        self._lost_s = {gpu_id: at_s for gpu_id, at_s in self._lost_s.items() if gpu_id in there}
        now.add(1, "looks")
        now.add(found.total, "look_gpus")
        now.add(found.busy_total, "look_busy")
        now.add(found.loading_total, "look_loading")
        self._looks.append(found)
        while self._looks[0].at_s < now_s - LOOKS_S:
            self._looks.popleft()

    def evidence(self, problems: Mapping[str, str] | None = None) -> Evidence | None:
        """All that is known now; None before the first look."""
        if not self._looks:
            return None
        newest = self._bin().index
        bins = list(self._bins)
        return Evidence(
            now_s=self._clock(),
            recent=_window([each for each in bins if each.index > newest - RECENT_BINS]),
            longer=_window([each for each in bins if each.index > newest - LONGER_BINS]),
            before=_window([each for each in bins if each.index <= newest - RECENT_BINS]),
            looks=tuple(self._looks),
            problems=problems or {},
        )

    def _bin(self) -> _Bin:
        index = int(self._clock() // BIN_S)
        if not self._bins or index > self._bins[-1].index:
            while self._bins and self._bins[0].index <= index - BINS:
                self._bins.popleft()
            self._bins.append(_Bin(index=index))
        return self._bins[-1]

    def _count_move(self, event: JobMoved) -> None:
        record = event.record
        job, now = record.job, self._bin()
        model_id = job.request.model_id
        if event.previous is None and job.state is JobState.PENDING:
            now.add(1, "arrived", model_id)
            now.add(1, "asked_by", job.tenant_id)
        if job.state is JobState.POST_PROCESSING:
            self._finishing += 1
        elif event.previous is JobState.POST_PROCESSING:
            self._finishing = max(self._finishing - 1, 0)
            now.add(max(job.timeline[-1].at_s - job.timeline[-2].at_s, 0.0), "finish_s")
            now.add(1, "finished")
        if record.cause in GATE_CAUSES:
            now.add(1, "gate_rejected", model_id)
        attempt = record.ended_attempt
        if attempt is not None and attempt.outcome in _ENDED_THERE:
            now.add(1, "run_ended", model_id)
            now.add(1, "run_ended_on", attempt.gpu_id)
            if attempt.outcome is AttemptOutcome.ENGINE_FAILED:
                now.add(1, "run_failed", model_id)
                now.add(1, "run_failed_on", attempt.gpu_id)
            else:
                self._count_work(now, job, attempt)

    def _count_work(self, now: _Bin, job: Job, attempt: Attempt) -> None:
        now.add(attempt.gpu_s, "work_s", attempt.gpu_class)
        request = job.request
        if job.steps_done:
            return  # it began in the middle, so its time says nothing
        size = (request.width_px, request.height_px, request.steps, request.image_count)
        key = (request.model_id, attempt.gpu_class, *size)
        usual = self._usual.get(key)
        if usual is None:
            usual = self._usual[key] = _Usual()
            if len(self._usual) > USUAL_MAX:
                self._usual.popitem(last=False)
        else:
            self._usual.move_to_end(key)
        ratio = usual.relative(attempt.gpu_s)
        if ratio is not None:
            now.add(min(ratio, 5.0), "slow_ratio", attempt.gpu_id)
            now.add(1, "slow_runs", attempt.gpu_id)

    def _count_loss(self, worker_id: WorkerId, model_id: ModelId, reason: LossReason) -> None:
        gpu_id = self._gpu_of.pop(worker_id, None)
        was_loading = self._loading.pop(worker_id, None) is not None
        now = self._bin()
        if reason is LossReason.LOAD_FAILED or (was_loading and reason in _LOSSES):
            now.add(1, "load_failed", model_id)
        if gpu_id is None or reason not in _LOSSES:
            return
        # Workers of one GPU that end together have ended of one cause.
        now_s = self._clock()
        if now_s - self._lost_s.get(gpu_id, float("-inf")) >= TOGETHER_S:
            now.add(1, "worker_lost_on", gpu_id)
        self._lost_s[gpu_id] = now_s
        if reason is LossReason.OUT_OF_MEMORY:
            now.add(1, "memory_lost", model_id)
            now.add(1, "memory_lost_on", model_id, gpu_id)


def fleet_look(
    fleet: FleetView, queue: QueueView, *, now_s: float, finishing: int = 0, halts: tuple[Halt, ...] = ()
) -> FleetLook:
    """The fleet and the queue in numbers."""
    busy: set[GpuId] = set()
    loading: set[GpuId] = set()
    for replica in fleet.replicas:
        if replica.state is ReplicaState.BUSY:
            busy.update(replica.gpu_ids)
        elif replica.state is ReplicaState.LOADING:
            loading.update(replica.gpu_ids)
    gpus: dict[str, int] = {}
    busy_by_class: dict[str, int] = {}
    loading_by_class: dict[str, int] = {}
    markets: dict[tuple[str, str], int] = {}
    for gpu in fleet.gpus:
        gpus[gpu.gpu_class] = gpus.get(gpu.gpu_class, 0) + 1
        place = (gpu.zone, gpu.market.value)
        markets[place] = markets.get(place, 0) + 1
        if gpu.gpu_id in busy:
            busy_by_class[gpu.gpu_class] = busy_by_class.get(gpu.gpu_class, 0) + 1
        elif gpu.gpu_id in loading:
            loading_by_class[gpu.gpu_class] = loading_by_class.get(gpu.gpu_class, 0) + 1
    lines = {
        model_id: LineLook(
            pending=line.pending,
            pending_s=line.pending_s,
            oldest_s=0.0 if line.waiting_since_s is None else max(now_s - line.waiting_since_s, 0.0),
            replicas=line.replicas,
            load_s=line.load_s,
        )
        for model_id, line in islice(queue.models.items(), NAMES_MAX)
    }
    return FleetLook(
        at_s=now_s,
        gpus=gpus,
        busy=busy_by_class,
        loading=loading_by_class,
        markets=markets,
        lines=lines,
        finishing=finishing,
        halts=halts,
    )


def _window(bins: list[_Bin]) -> Window:
    tally: dict[tuple[str, ...], float] = {}
    for each in bins:
        for key, amount in each.counts.items():
            tally[key] = tally.get(key, 0.0) + amount
    return Window(seconds=sum(each.seen_s for each in bins), tally=tally)
