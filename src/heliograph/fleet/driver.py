"""The port to whatever runs workers: child processes here, Ray actors on a cluster, a model of both in the simulator.

A driver reports what happens as events (`WorkerReady`, `RunStarted`, `StepDone`, `CheckpointKept`, `ImagesReady`,
`RunFailed`, `RunAborted`, `RunPaused`, `WorkerLost`) through the `emit` it was built with; awaiting `emit` is the
back-pressure. It decides nothing: whether a lost worker's job runs again is the scheduler's business. It keeps what its
workers hand over of their runs, one checkpoint per job, and gives it to whichever worker goes on.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Protocol

from heliograph.domain.errors import NotFound
from heliograph.domain.events import Event
from heliograph.domain.ids import JobId, WorkerId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.run import RunOrder
from heliograph.domain.views import Gpu

EmitEvent = Callable[[Event], Awaitable[None]]

ReadInput = Callable[[str], Awaitable[bytes]]
"""A picture that a run starts from, by its name. Raises `NotFound` when it is gone, `Unavailable` while it cannot be
read."""


async def no_inputs(name: str) -> bytes:
    """The reader of a driver that was given none."""
    raise NotFound(f"there is no input {name}")


async def with_files(order: RunOrder, read_input: ReadInput) -> RunOrder:
    """The order with the pictures that it starts from, for a worker that cannot fetch them."""
    if order.inputs is None:
        return order
    files = [await read_input(name) for name in order.inputs.names]
    return replace(order, inputs=replace(order.inputs, files=tuple(files)))


class FleetDriver(Protocol):
    """Commands return at once; what came of them arrives as events. A command for an unknown worker does nothing."""

    async def start(self, worker_id: WorkerId, gpu: Gpu, card: ModelCard) -> None:
        """Start a worker that loads `card` on `gpu`."""
        ...

    async def run(self, worker_id: WorkerId, order: RunOrder) -> None:
        """Hand a ready worker an order. One whose checkpoint is gone or cannot be read begins at its first step, one
        whose input pictures cannot be had ends at once as `RunFailed`.
        """
        ...

    async def abort(self, worker_id: WorkerId, job_id: JobId, attempt: int) -> None:
        """Stop the attempt at the next step; a worker that does not obey within the grace period is killed."""
        ...

    async def pause(self, worker_id: WorkerId, job_id: JobId, attempt: int) -> None:
        """Stop the attempt at the next step and report `RunPaused`; one that cannot be taken up again is aborted."""
        ...

    async def forget(self, job_id: JobId) -> None:
        """Drop what is kept of the job's runs; harmless where nothing is."""
        ...

    async def retain(self, job_ids: Collection[JobId]) -> None:
        """Drop what is kept of all other jobs: once, at start, when nothing runs."""
        ...

    async def stop(self, worker_id: WorkerId) -> None:
        """End the worker; its `WorkerLost` says `stopped`."""
        ...

    async def close(self) -> None:
        """End every worker and wait until all are gone. No event is emitted after this returns."""
        ...
