"""How long people wait: quantiles from end to end and by stage, for everybody and by model, tier, tenant and region.

Each completed job is counted into logarithmic bins (`domain/sketch.py`), so that a quantile is within 1% of the exact
one. Bins belong to spans of five minutes, of which an hour is kept, and to spans of an hour, of which a day is kept;
a window is the sum of the spans it covers and so reaches up to one span further back than its name says. Tenants and
regions are told apart for the last hour only. Beyond `NAMES_MAX` names within one span the rest is `OTHER`.

The slowest jobs are kept with everything that happened to them.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from heliograph.domain.ids import JobId, ModelId, WorkerId
from heliograph.domain.job import Job, JobState, Moment
from heliograph.domain.lifecycle import JobMoved, LifecycleEvent, ReplicaLoaded, ReplicaLost, ReplicaStarted
from heliograph.domain.sketch import Sketch

SHORT_S, SHORT_SPANS = 300.0, 12
LONG_S, LONG_SPANS = 3_600.0, 24
NAMES_MAX = 200
OTHER = "other"
SLOWEST_PER_SPAN = 25
OPEN_MAX = 100_000
"""Open jobs whose attempts are remembered."""
LOADS_MAX = 1_000


class Dimension(StrEnum):
    """What jobs are told apart by."""

    ALL = "all"
    MODEL = "model"
    TIER = "tier"
    TENANT = "tenant"
    REGION = "region"


class Stage(StrEnum):
    """Where time goes, in the order in which it does. `total` is from acceptance to completion, all others are parts
    of it; `load` is what part of the waiting a worker spent loading the model it then ran."""

    TOTAL = "total"
    INGEST = "ingest"
    QUEUE = "queue"
    LOAD = "load"
    DISPATCH = "dispatch"
    INFERENCE = "inference"
    FINISHING = "finishing"


_STAGE_OF = {
    JobState.PENDING: Stage.QUEUE,
    JobState.DISPATCHED: Stage.DISPATCH,
    JobState.RUNNING: Stage.INFERENCE,
    JobState.POST_PROCESSING: Stage.FINISHING,
}
_ONLY_SHORT = frozenset({Dimension.TENANT, Dimension.REGION})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """One attempt of a job on a worker. `seconds` from dispatch to its end, `outcome` as the ledger has it."""

    worker_id: str
    gpu_id: str
    seconds: float
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A completed job with its whole timeline. `causes` are why it went back to the queue, one per return."""

    job_id: JobId
    model_id: ModelId
    tier: str
    tenant_id: str
    region: str
    finished_at_s: float
    stages: Mapping[Stage, float]
    timeline: tuple[Moment, ...]
    stays: tuple[Stay, ...]
    causes: tuple[str, ...]

    @property
    def total_s(self) -> float:
        """From acceptance to completion."""
        return self.stages[Stage.TOTAL]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The jobs of one model, tier, tenant or region, or all of them."""

    name: str
    stages: Mapping[Stage, Sketch]


@dataclass(slots=True)
class _Span:
    index: int
    sketches: dict[tuple[Dimension, str], dict[Stage, Sketch]] = field(
        default_factory=dict[tuple[Dimension, str], dict[Stage, Sketch]]
    )
    names: dict[Dimension, int] = field(default_factory=dict[Dimension, int])
    slowest: list[tuple[float, int, Finished]] = field(default_factory=list[tuple[float, int, Finished]])

    def group(self, dimension: Dimension, name: str) -> dict[Stage, Sketch]:
        found = self.sketches.get((dimension, name))
        if found is None:
            seen = self.names.get(dimension, 0)
            if seen >= NAMES_MAX and name != OTHER:
                return self.group(dimension, OTHER)
            self.names[dimension] = seen + 1
            found = self.sketches[dimension, name] = {}
        return found


@dataclass(slots=True)
class _Open:
    ingest_s: float = 0.0
    stays: list[Stay] = field(default_factory=list[Stay])
    causes: list[str] = field(default_factory=list[str])
    region: str = ""
    load_s: float = 0.0


class Latency:
    """A sink of lifecycle events. `clock` gives seconds since the epoch and never goes backwards."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._short: deque[_Span] = deque(maxlen=SHORT_SPANS + 1)
        self._long: deque[_Span] = deque(maxlen=LONG_SPANS + 1)
        self._open: OrderedDict[JobId, _Open] = OrderedDict()
        self._loads: OrderedDict[WorkerId, tuple[float, float | None]] = OrderedDict()
        self._count = 0

    def __call__(self, event: LifecycleEvent) -> None:
        """Take note of one event."""
        match event:
            case JobMoved():
                self._note_move(event)
            case ReplicaStarted(worker_id=worker_id):
                self._loads[worker_id] = (self._clock(), None)
                if len(self._loads) > LOADS_MAX:
                    self._loads.popitem(last=False)
            case ReplicaLoaded(worker_id=worker_id) if worker_id in self._loads:
                self._loads[worker_id] = (self._loads[worker_id][0], self._clock())
            case ReplicaLost(worker_id=worker_id):
                self._loads.pop(worker_id, None)
            case _:
                pass

    def groups(self, dimension: Dimension, window_s: float) -> tuple[Group, ...]:
        """Those with a completed job in the last `window_s` seconds (at most an hour for tenants and regions, a day for
        others), the busiest first."""
        summed: dict[str, dict[Stage, Sketch]] = {}
        for span in self._spans(dimension, window_s):
            for (each, name), stages in span.sketches.items():
                if each is dimension:
                    into = summed.setdefault(name, {})
                    for stage, sketch in stages.items():
                        into.setdefault(stage, Sketch()).merge(sketch)
        found = [Group(name=name, stages=stages) for name, stages in summed.items()]
        return tuple(sorted(found, key=lambda group: (-group.stages[Stage.TOTAL].count, group.name)))

    def history(self) -> tuple[tuple[float, Sketch], ...]:
        """From end to end, by five minutes of the last hour: when each began, in seconds since the epoch."""
        found = [(span.index * SHORT_S, span.sketches) for span in self._spans(Dimension.ALL, LONG_S)]
        return tuple((at_s, sketches[Dimension.ALL, "all"][Stage.TOTAL]) for at_s, sketches in found if sketches)

    def slowest(self, count: int) -> tuple[Finished, ...]:
        """The jobs of the last hour that took longest, the slowest first."""
        kept = [entry for span in self._spans(Dimension.ALL, LONG_S) for entry in span.slowest]
        return tuple(job for _, _, job in heapq.nlargest(count, kept))

    def _spans(self, dimension: Dimension, window_s: float) -> list[_Span]:
        now_s = self._clock()
        if window_s <= SHORT_S * SHORT_SPANS or dimension in _ONLY_SHORT:
            least = int((now_s - min(window_s, SHORT_S * SHORT_SPANS)) // SHORT_S)
            return [span for span in self._short if span.index >= least]
        least = int((now_s - window_s) // LONG_S)
        return [span for span in self._long if span.index >= least]

    def _note_move(self, event: JobMoved) -> None:
        record = event.record
        job = record.job
        if event.previous is None:
            self._open[job.job_id] = _Open(ingest_s=max(self._clock() - job.created_at_s, 0.0))
            if len(self._open) > OPEN_MAX:
                self._open.popitem(last=False)
        known = self._open.get(job.job_id)
        if known is None:
            known = self._open[job.job_id] = _Open()
        attempt = record.ended_attempt
        if attempt is not None:
            known.region = attempt.zone
            known.load_s += self._load_within(attempt.worker_id, job.created_at_s, attempt.dispatched_at_s)
            known.stays.append(
                Stay(
                    worker_id=attempt.worker_id,
                    gpu_id=attempt.gpu_id,
                    seconds=max(attempt.ended_at_s - attempt.dispatched_at_s, 0.0),
                    outcome=attempt.outcome.value,
                )
            )
        if job.state is JobState.PENDING and event.previous is not None:
            known.causes.append(record.cause)
        if job.state.is_terminal:
            del self._open[job.job_id]
            if job.state is JobState.COMPLETED:
                self._count_job(_finished(job, known))

    def _load_within(self, worker_id: WorkerId, from_s: float, until_s: float) -> float:
        begun_s, done_s = self._loads.get(worker_id, (0.0, None))
        return 0.0 if done_s is None else max(min(done_s, until_s) - max(begun_s, from_s), 0.0)

    def _count_job(self, job: Finished) -> None:
        names = {
            Dimension.ALL: "all",
            Dimension.MODEL: job.model_id,
            Dimension.TIER: job.tier,
            Dimension.TENANT: job.tenant_id,
            Dimension.REGION: job.region or "unnamed",
        }
        now_s = self._clock()
        short, long = _current(self._short, now_s, SHORT_S), _current(self._long, now_s, LONG_S)
        for dimension, name in names.items():
            for span in (short,) if dimension in _ONLY_SHORT else (short, long):
                group = span.group(dimension, name)
                for stage, seconds in job.stages.items():
                    sketch = group.get(stage)
                    if sketch is None:
                        sketch = group[stage] = Sketch()
                    sketch.add(seconds)
        self._count += 1
        entry = (job.total_s, self._count, job)
        if len(short.slowest) < SLOWEST_PER_SPAN:
            heapq.heappush(short.slowest, entry)
        else:
            heapq.heappushpop(short.slowest, entry)


def _current(spans: deque[_Span], now_s: float, length_s: float) -> _Span:
    index = int(now_s // length_s)
    if not spans or index > spans[-1].index:
        spans.append(_Span(index=index))
    return spans[-1]


def _finished(job: Job, known: _Open) -> Finished:
    finished_at_s = job.timeline[-1].at_s
    stages = {Stage.TOTAL: max(finished_at_s - job.created_at_s, 0.0), Stage.INGEST: known.ingest_s}
    for state, seconds in job.stage_seconds().items():
        stages[_STAGE_OF[state]] = max(seconds, 0.0)
    stages[Stage.LOAD] = min(known.load_s, stages.get(Stage.QUEUE, 0.0))
    return Finished(
        job_id=job.job_id,
        model_id=job.request.model_id,
        tier=job.tier.value,
        tenant_id=job.tenant_id,
        region=known.region,
        finished_at_s=finished_at_s,
        stages=stages,
        timeline=job.timeline,
        stays=tuple(known.stays),
        causes=tuple(known.causes),
    )
