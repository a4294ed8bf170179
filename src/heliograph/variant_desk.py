"""Further files of delivered pictures: made when nobody waits, or when somebody asks for one that is not there yet.

What is delivered is queued with its pixels and worked off by one task, in processes that yield to everything else. The
queue is bounded, in pictures and in bytes: what does not fit is not made now, and neither is what a crash or a restart
takes from it. Nothing is lost by that, because a file that is asked for and missing is made then, of the picture's own
file, once however many ask. A file is written down after it is stored, like every other.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from heliograph.delivery.blobs import BlobStore
from heliograph.delivery.ladder import Answer, VariantOrder, Wish, answer, is_there, planned
from heliograph.delivery.parameters import PictureParameters
from heliograph.delivery.provenance import SOFTWARE, StampPolicy
from heliograph.delivery.quality_search import QualityTarget
from heliograph.delivery.variants import plan_variants
from heliograph.domain.accounts import LOCAL_CALLER
from heliograph.domain.errors import HeliographError, NotFound, Overloaded, Unavailable
from heliograph.domain.ids import OutputId
from heliograph.domain.job import Job
from heliograph.domain.pictures import FileFormat, Output, Variant
from heliograph.storage.store import PutVariant, Store
from heliograph.variant_making import MadeVariant, Pixels, VariantTask

ASKED_AT_ONCE_MAX = 32
_TRIES, _PAUSE_S = 25, 0.2
"""How long a picture may take to be written down after its files are stored."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantPolicy:
    """`formats` of stills are made unasked; at most `backlog_max` pictures of `bytes_max` bytes in all wait for it."""

    formats: frozenset[FileFormat] = frozenset({FileFormat.WEBP, FileFormat.AVIF})
    target: QualityTarget = field(default_factory=QualityTarget)
    backlog_max: int = 64
    bytes_max: int = 256 * 1024**2


class MakesVariants(Protocol):
    """`PostProcessPool`, or what stands in for it."""

    async def variants(self, task: VariantTask, *, spent: Callable[[int], None] | None) -> tuple[MadeVariant, ...]:
        """The files; `spent` hears of the CPU microseconds. Raises `HeliographError`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    job: Job
    output: Output
    source: Pixels | bytes


class VariantDesk:
    """`work` is to run as a task for as long as pictures are delivered. `meter` hears of the CPU time by job."""

    def __init__(
        self,
        *,
        store: Store,
        blobs: BlobStore,
        maker: MakesVariants,
        stamps: StampPolicy,
        policy: VariantPolicy,
        clock: Callable[[], float],
        meter: Callable[[Job, int], None] = lambda _job, _cpu_us: None,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._maker = maker
        self._stamps = stamps
        self._policy = policy
        self._clock = clock
        self._meter = meter
        self._backlog: deque[_Waiting] = deque()
        self._backlog_bytes = 0
        self._has_work = asyncio.Event()
        self._being_made: dict[tuple[OutputId, str], asyncio.Task[str]] = {}
        self.postponed = 0

    def offer(self, job: Job, output: Output, source: Pixels | bytes) -> None:
        """Make what is planned for a picture when there is time; beyond the bounds it is made when it is asked for.

        `source` is its pixels, or its file where that holds them without loss.
        """
        size = _size_of(source)
        if len(self._backlog) >= self._policy.backlog_max or self._backlog_bytes + size > self._policy.bytes_max:
            self.postponed += 1
            return
        self._backlog.append(_Waiting(job=job, output=output, source=source))
        self._backlog_bytes += size
        self._has_work.set()

    async def work(self) -> None:
        """Work the queue off, for ever."""
        while True:
            while not self._backlog:
                self._has_work.clear()
                await self._has_work.wait()
            waiting = self._backlog.popleft()
            try:
                await self._make_planned(waiting)
            except HeliographError as error:
                _log.warning("variants wait until they are asked for", job_id=waiting.job.job_id, reason=error.message)
            finally:
                self._backlog_bytes -= _size_of(waiting.source)

    async def file_of(self, output: Output, wish: Wish, *, is_link: bool) -> Answer:
        """The file that answers, there for certain. `is_link`: a link asks, and is told no words of the user.

        Raises `InvalidRequest` for a file that this picture cannot have, and as `blob_of` does.
        """
        found = answer(output, wish, is_shared=is_link and self._stamps.has_secrets(output.parameters))
        if found.order is None:
            return found
        return Answer(blob=await self.blob_of(output, found.order), is_final=found.is_final)

    async def close(self) -> None:
        """Stop what is being made for those who asked."""
        making = tuple(self._being_made.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)

    async def blob_of(self, output: Output, order: VariantOrder) -> str:
        """The name of that file of a picture, made now where it is missing.

        Raises `Overloaded` when too many others are being made, `NotFound` for a picture whose job is gone.
        """
        there = is_there(output, order)
        if there is not None:
            return there
        key = (output.output_id, order.name)
        task = self._being_made.get(key)
        if task is None:
            if len(self._being_made) >= ASKED_AT_ONCE_MAX:
                raise Overloaded(
                    "Too many pictures are being converted. Try again in a moment.", code="converting", retry_after_s=2
                )
            task = asyncio.create_task(self._make_asked(output, order))
            self._being_made[key] = task
            task.add_done_callback(lambda _: self._being_made.pop(key))
        return await asyncio.shield(task)

    async def _make_planned(self, waiting: _Waiting) -> None:
        output = waiting.output
        is_shared = output.tenant_id != LOCAL_CALLER.tenant_id and self._stamps.has_secrets(output.parameters)
        orders = planned(output, self._policy.formats, is_shared=is_shared)
        # One after the other: whoever asks for the first need not wait for the last.
        for order in orders:
            (made,) = await self._made(waiting.job, output, waiting.source, (order,))
            for _ in range(_TRIES):
                if await self._store.output(output.output_id) is not None:
                    break
                await asyncio.sleep(_PAUSE_S)
            await self._keep(waiting.job, output, made)

    async def _make_asked(self, output: Output, order: VariantOrder) -> str:
        newest = await self._store.output(output.output_id)
        stored = None if newest is None else await self._store.job(output.job_id)
        if newest is None or stored is None:
            raise NotFound("The picture was deleted.", param="output_id", code="output_not_found")
        there = is_there(newest, order)
        if there is not None:
            return there
        source = await self._blobs.read(newest.blob)
        (made,) = await self._made(stored.job, newest, source, (order,))
        return await self._keep(stored.job, newest, made)

    async def _made(
        self, job: Job, output: Output, source: Pixels | bytes, orders: Sequence[VariantOrder]
    ) -> tuple[MadeVariant, ...]:
        request = job.request
        task = VariantTask(
            source=source,
            orders=tuple(orders),
            parameters=PictureParameters(
                prompt=request.prompt,
                negative_prompt=request.negative_prompt,
                steps=request.steps,
                guidance=request.guidance,
                seed=output.seed,
                width_px=output.width_px,
                height_px=output.height_px,
                model=request.model_id,
                version=SOFTWARE,
                frames=output.frames,
                upscale=request.upscale,
            ),
            stamp=self._stamps.stamp(job.tenant_id, made_at_s=output.created_at_s, is_edit=request.inputs is not None),
            target=self._policy.target,
            main=plan_variants(request, width_px=output.width_px, height_px=output.height_px),
            frames_per_second=request.frames_per_second,
        )
        return await self._maker.variants(task, spent=lambda cpu_us: self._meter(job, cpu_us))

    async def _keep(self, job: Job, output: Output, made: MadeVariant) -> str:
        order = made.order
        blob = await self._blobs.put(made.data, suffix=order.file_format.value, owner=job.tenant_id)
        variant = Variant(
            output_id=output.output_id,
            job_id=output.job_id,
            name=order.name,
            blob=blob,
            file_format=order.file_format,
            width_px=order.width_px,
            height_px=order.height_px,
            size_bytes=len(made.data),
            created_at_s=self._clock(),
        )
        await self._store.commit([PutVariant(variant=variant)])
        # Somebody may have been first: theirs is the file of this name then.
        kept = await self._store.output(output.output_id)
        there = None if kept is None else is_there(kept, order)
        if there is None:
            raise Unavailable("The picture was deleted meanwhile.", code="output_gone")
        return there


def _size_of(source: Pixels | bytes) -> int:
    return len(source) if isinstance(source, bytes) else len(source.rgb)
