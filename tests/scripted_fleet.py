"""A fleet driver without processes: workers load at once and do what the test says."""

import asyncio
from collections.abc import Callable, Collection

from heliograph.domain.events import (
    ImagesReady,
    LossReason,
    RunAborted,
    RunPaused,
    RunStarted,
    StepDone,
    WorkerLost,
    WorkerReady,
)
from heliograph.domain.ids import JobId, WorkerId
from heliograph.domain.making import EngineFacts
from heliograph.domain.model_card import ModelCard
from heliograph.domain.pictures import RawImage
from heliograph.domain.run import RunOrder
from heliograph.domain.views import Gpu
from heliograph.fleet.driver import EmitEvent


class ScriptedFleet:
    """Carries every order out at once, or, with `holds`, when the test calls `finish`. Remembers what it was told."""

    def __init__(self, emit: EmitEvent, *, holds: bool = False) -> None:
        self._emit = emit
        self._holds = holds
        self.can_resume = False
        self.facts = EngineFacts(engine="scripted", revision="1")
        self.workers: list[WorkerId] = []
        self.orders: list[RunOrder] = []
        self.aborted: list[tuple[JobId, int]] = []
        self.paused: list[tuple[JobId, int]] = []
        self.forgotten: list[JobId] = []
        self.retained: frozenset[JobId] | None = None
        self.on_run: Callable[[RunOrder], None] = lambda _order: None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, worker_id: WorkerId, gpu: Gpu, card: ModelCard) -> None:
        self.workers.append(worker_id)
        self._later(
            WorkerReady(worker_id=worker_id, load_s=0.1, memory_bytes=1, can_resume=self.can_resume, facts=self.facts)
        )

    async def run(self, worker_id: WorkerId, order: RunOrder) -> None:
        self.orders.append(order)
        self.on_run(order)
        self._later(RunStarted(job_id=order.job_id, attempt=order.attempt))
        if not self._holds:
            self.finish(order)

    def finish(self, order: RunOrder) -> None:
        """The order's steps, then its pictures."""
        for step in range(1, order.steps + 1):
            preview = (b"jpeg",) * len(order.seeds)
            self._later(
                StepDone(job_id=order.job_id, attempt=order.attempt, step=step, steps=order.steps, previews=preview)
            )
        size = order.width_px * order.height_px * 3
        images = tuple(
            RawImage(width_px=order.width_px, height_px=order.height_px, seed=seed, rgb=bytes(size))
            for seed in order.seeds
        )
        self._later(ImagesReady(job_id=order.job_id, attempt=order.attempt, run_s=1.0, images=images))

    def lose(self, worker_id: WorkerId) -> None:
        """The worker crashes."""
        self._later(WorkerLost(worker_id=worker_id, reason=LossReason.CRASHED))

    async def abort(self, worker_id: WorkerId, job_id: JobId, attempt: int) -> None:
        self.aborted.append((job_id, attempt))
        self._later(RunAborted(job_id=job_id, attempt=attempt))

    async def pause(self, worker_id: WorkerId, job_id: JobId, attempt: int) -> None:
        self.paused.append((job_id, attempt))
        self._later(RunPaused(job_id=job_id, attempt=attempt, step=1, checkpoint=f"{job_id} after 1"))

    async def forget(self, job_id: JobId) -> None:
        self.forgotten.append(job_id)

    async def retain(self, job_ids: Collection[JobId]) -> None:
        self.retained = frozenset(job_ids)

    async def stop(self, worker_id: WorkerId) -> None:
        self._later(WorkerLost(worker_id=worker_id, reason=LossReason.STOPPED))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _later(self, event: object) -> None:
        task = asyncio.ensure_future(self._emit(event))  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
