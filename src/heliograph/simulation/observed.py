"""The production decider with an observer: whoever watches production can watch a simulation by the same events.

The pipeline publishes lifecycle events when it has carried out what the scheduler decided; here they follow from the
same events and commands, in the same order.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from typing_extensions import override

from heliograph.domain.commands import Command, FleetCommand, RecordJob
from heliograph.domain.events import Event, HaltsSet, ReplicaRequested, WorkerLost, WorkerReady
from heliograph.domain.ids import JobId, ModelId, WorkerId
from heliograph.domain.job import JobState
from heliograph.domain.lifecycle import (
    JobMoved,
    LifecycleEvent,
    ReplicaLoaded,
    ReplicaLost,
    ReplicaStarted,
    StoreCommitted,
)
from heliograph.domain.orders import Halt
from heliograph.domain.views import FleetView, QueueView
from heliograph.simulation.decider import Making, Present, Production


class Observer(Protocol):
    """Is told what happened, and shown now and then how things are."""

    def __call__(self, event: LifecycleEvent, /) -> None:
        """Something happened."""
        ...

    def look(self, fleet: FleetView, queue: QueueView, halts: tuple[Halt, ...] = ()) -> None:
        """This is how things are."""
        ...


class ObservedClock:
    """What time it is for the observer: that of the last event."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now_s


class Observed(Production):
    """Production, watched. `commit_s` tells how long a commit takes at a time; `look_every_s` bounds the looks."""

    def __init__(
        self,
        making: Making,
        *,
        observer: Observer,
        clock: ObservedClock,
        commit_s: Callable[[float], float],
        look_every_s: float,
    ) -> None:
        super().__init__(making)
        self._observer = observer
        self._clock = clock
        self._commit_s = commit_s
        self._look_every_s = look_every_s
        self._looked_s = float("-inf")
        self._states: dict[JobId, JobState] = {}
        self._models: dict[WorkerId, ModelId] = {}
        self._halts: tuple[Halt, ...] = ()

    @override
    def handle(self, event: Event, *, now_s: float) -> list[Command]:
        """As in production; then the observer is told."""
        commands = super().handle(event, now_s=now_s)
        self._clock.now_s = max(self._clock.now_s, now_s)
        records = [command for command in commands if isinstance(command, RecordJob)]
        if any(record.must_wait for record in records):
            self._observer(StoreCommitted(duration_s=self._commit_s(now_s), writes=len(records)))
        for record in records:
            self._tell(record)
        match event:
            case ReplicaRequested(worker_id=worker_id, gpu_id=gpu_id, model_id=model_id):
                self._models[worker_id] = model_id
                self._observer(ReplicaStarted(worker_id=worker_id, gpu_id=gpu_id, model_id=model_id))
            case WorkerReady(worker_id=worker_id, load_s=load_s, memory_bytes=memory_bytes):
                model_id = self._models.get(worker_id)
                if model_id is not None:
                    loaded = ReplicaLoaded(
                        worker_id=worker_id, model_id=model_id, load_s=load_s, memory_bytes=memory_bytes
                    )
                    self._observer(loaded)
            case WorkerLost(worker_id=worker_id, reason=reason, detail=detail):
                model_id = self._models.pop(worker_id, None)
                if model_id is not None:
                    self._observer(ReplicaLost(worker_id=worker_id, model_id=model_id, reason=reason, detail=detail))
            case HaltsSet(halts=halts):
                self._halts = halts
            case _:
                pass
        return commands

    @override
    def wishes(self, present: Present, *, now_s: float) -> Sequence[FleetCommand]:
        """As in production; the observer is shown the views now and then."""
        if abs(now_s - self._looked_s) >= self._look_every_s:
            self._looked_s = now_s
            self._clock.now_s = max(self._clock.now_s, now_s)
            self._observer.look(self.scheduler.fleet_view(), self.scheduler.queue_view(), self._halts)
        return super().wishes(present, now_s=now_s)

    def _tell(self, record: RecordJob) -> None:
        job = record.job
        previous = self._states.get(job.job_id)
        if job.state.is_terminal:
            self._states.pop(job.job_id, None)
        else:
            self._states[job.job_id] = job.state
        self._observer(JobMoved(record=record, previous=previous, cost_micros=0))
