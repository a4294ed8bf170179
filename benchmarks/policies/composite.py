"""The composite: on each axis what the literature does best, put together. A baseline like the others, labelled so.

Scheduling is one of the orders of `baselines.py`; who stays loaded says a keep-alive policy (`keep_alive.py`); GPUs are
bought by SpotHedge (`spot_hedge.py`). A GPU holds as many models as its memory does, and they take turns on it. A job
is loaded for where a GPU has time: where its weights are in the host's memory first (as ServerlessLLM does),
then where there is room, else in place of the idle models with the lowest priority. A model nobody holds is loaded on a
busy GPU, too, so that it is ready when that has time.
"""

from collections.abc import Sequence

from benchmarks.policies.baselines import LOOK_AHEAD, Baseline, Order, Worker
from benchmarks.policies.keep_alive import KeepAlive
from benchmarks.policies.spot_hedge import Buyer
from heliograph.domain.commands import Command, FleetCommand, StartReplica, StopReplica
from heliograph.domain.events import Event, JobSubmitted
from heliograph.domain.ids import GpuId, ModelId
from heliograph.domain.views import Gpu
from heliograph.simulation.decider import Making, Present


class Composite(Baseline):
    """An order, a keep-alive policy and SpotHedge."""

    def __init__(self, order: Order, making: Making, *, keep: KeepAlive, buyer: Buyer) -> None:
        super().__init__(order, making, buyer=buyer)
        self._keep = keep
        self._serving: set[ModelId] = set()

    def handle(self, event: Event, *, now_s: float) -> list[Command]:
        """As a baseline does; the keep-alive policy hears of it."""
        if isinstance(event, JobSubmitted):
            self._keep.asked(event.job.request.model_id, now_s)
        commands = super().handle(event, now_s=now_s)
        serving = {worker.model_id for worker in self._workers.values() if worker.job_id is not None}
        for model_id in self._serving - serving:
            self._keep.became_idle(model_id, now_s)
        self._serving = serving
        return commands

    def wishes(self, present: Present, *, now_s: float) -> Sequence[FleetCommand]:
        """Unload who need not stay, then load what the first in line need."""
        gpus = [gpu for gpu in self._gpus.values() if gpu.gpu_id in present.gpus]
        waiting = [self._jobs[job_id].request.model_id for job_id in self._line.values()[:LOOK_AHEAD]]
        plan = _Plan(gpus, list(self._workers.values()), self._sizes, self._keep, present)
        plan.unload(frozenset(waiting), now_s)
        for model_id in waiting:
            plan.load_for(model_id)
        return plan.commands


class _Plan:
    """One look at the fleet: what of each GPU is free after the commands so far, and which GPUs have time."""

    def __init__(
        self,
        gpus: list[Gpu],
        workers: list[Worker],
        sizes: dict[ModelId, int],
        keep: KeepAlive,
        present: Present,
    ) -> None:
        self.commands: list[FleetCommand] = []
        self._gpus = {gpu.gpu_id: gpu for gpu in gpus}
        self._workers = [worker for worker in workers if worker.gpu.gpu_id in self._gpus]
        self._sizes = sizes
        self._keep = keep
        self._present = present
        self._free = {gpu.gpu_id: gpu.memory_bytes for gpu in gpus}
        for worker in self._workers:
            self._free[worker.gpu.gpu_id] -= sizes[worker.model_id]
        busy = {worker.gpu.gpu_id for worker in self._workers if worker.job_id is not None}
        self._with_time = dict.fromkeys(gpu_id for gpu_id in self._gpus if gpu_id not in busy)
        self._held = {worker.model_id for worker in self._workers if not worker.is_stopping}
        self._coming: dict[ModelId, list[GpuId]] = {}
        for worker in self._workers:
            if not worker.is_ready and not worker.is_stopping:
                self._coming.setdefault(worker.model_id, []).append(worker.gpu.gpu_id)

    def unload(self, waiting: frozenset[ModelId], now_s: float) -> None:
        """Idle models whose window is over."""
        for worker in self._idle():
            is_due = self._keep.window(worker.model_id).holds(now_s - worker.since_s)
            if worker.model_id not in waiting and not is_due:
                self._stop(worker, "its time is over")

    def load_for(self, model_id: ModelId) -> None:
        """One more job waits for the model."""
        coming = self._coming.get(model_id)
        if coming:
            self._with_time.pop(coming.pop(), None)
            return
        places = list(self._with_time) or ([] if model_id in self._held else list(self._gpus))
        size = self._sizes[model_id]
        near = [gpu_id for gpu_id in places if self._is_near(model_id, gpu_id)]
        for gpu_id in (*near, *places):
            if self._free[gpu_id] >= size:
                self._free[gpu_id] -= size
                self._with_time.pop(gpu_id, None)
                self._held.add(model_id)
                self.commands.append(StartReplica(gpu_id=gpu_id, model_id=model_id))
                return
        victims = [w for w in self._idle() if w.gpu.gpu_id in places and w.model_id != model_id]
        if victims:
            victim = min(victims, key=lambda worker: (self._keep.priority(worker.model_id), worker.worker_id))
            self._with_time.pop(victim.gpu.gpu_id, None)
            self._keep.made_room(victim.model_id)
            self._stop(victim, f"makes room for {model_id}")

    def _idle(self) -> list[Worker]:
        return [w for w in self._workers if w.is_ready and w.job_id is None and not w.is_stopping]

    def _is_near(self, model_id: ModelId, gpu_id: GpuId) -> bool:
        return model_id in self._present.in_host_memory.get(self._gpus[gpu_id].node_id, frozenset())

    def _stop(self, worker: Worker, reason: str) -> None:
        self._workers.remove(worker)
        self.commands.append(StopReplica(worker_id=worker.worker_id, reason=reason))
