"""Further files of delivered pictures: made in time, made when asked for, made once."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from heliograph.delivery import pillow
from heliograph.delivery.ladder import Wish, of_still
from heliograph.delivery.memory import MemoryBlobStore
from heliograph.delivery.provenance import Imprint, StampPolicy
from heliograph.delivery.variants import PngEncoding, WebpEncoding
from heliograph.domain.errors import NotFound, Overloaded, Unavailable
from heliograph.domain.ids import OutputId
from heliograph.domain.job import Job, JobState
from heliograph.domain.pictures import FileFormat, Output, ParametersMode
from heliograph.domain.request import OutputFormat
from heliograph.storage.memory import MemoryStore
from heliograph.storage.store import DropJob, PutJob, PutOutput
from heliograph.variant_desk import ASKED_AT_ONCE_MAX, VariantDesk, VariantPolicy
from heliograph.variant_making import Pixels
from tests.builders import a_job, a_request, an_output
from tests.variant_makers import InThisProcess

WIDTH, HEIGHT = 640, 480
PIXELS = np.asarray(
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (12, 16, 3), np.uint8)).resize((WIDTH, HEIGHT))
)
PROMPT = "a secret garden"


class Desk:
    """A desk over twins, and the picture it is about: `job` with `output`, its pixels in `source`."""

    def __init__(self, *, policy: VariantPolicy | None = None, stamps: StampPolicy | None = None) -> None:
        self.store, self.blobs, self.maker = MemoryStore(), MemoryBlobStore(), InThisProcess()
        self.spent: list[int] = []
        self.desk = VariantDesk(
            store=self.store,
            blobs=self.blobs,
            maker=self.maker,
            stamps=stamps or StampPolicy(parameters=ParametersMode.MINIMAL),
            policy=policy or VariantPolicy(),
            clock=lambda: 50.0,
            meter=lambda _job, cpu_us: self.spent.append(cpu_us),
        )
        self.job: Job = a_job(
            "job_1", state=JobState.COMPLETED, request=a_request(width_px=WIDTH, height_px=HEIGHT, prompt=PROMPT)
        )
        self.source = Pixels(rgb=PIXELS.tobytes(), width_px=WIDTH, height_px=HEIGHT, frames=1)

    async def delivered(self, **changes: object) -> Output:
        file = pillow.encode(pillow.image_of(PIXELS), PngEncoding(), Imprint(xmp="<x/>", parameters=PROMPT))
        blob = await self.blobs.put(file, suffix="png")
        small = await self.blobs.put(b"small", suffix="webp")
        output = an_output("out_1", job="job_1", width_px=WIDTH, height_px=HEIGHT)
        output = replace(output, blob=blob, thumbnail_blob=small, parameters=ParametersMode.MINIMAL)
        output = replace(output, **changes)
        await self.store.commit([PutJob(job=self.job), PutOutput(output=output)])
        return output

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.desk.work())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def made(self, *names: str) -> Output:
        """The picture once it has all of these files."""
        async with asyncio.timeout(20):
            while True:
                output = await self.store.output(OutputId("out_1"))
                if output is not None and {variant.name for variant in output.variants} >= set(names):
                    return output
                await asyncio.sleep(0.01)

    async def opened(self, blob: str) -> Image.Image:
        image = Image.open(io.BytesIO(await self.blobs.read(blob)))
        image.load()
        return image


async def test_what_is_planned_is_made_of_the_pixels_that_were_delivered() -> None:
    desk = Desk()
    async with desk.working():
        output = await desk.delivered()
        desk.desk.offer(desk.job, output, desk.source)
        output = await desk.made("webp-512", "webp", "avif")
    assert [variant.name for variant in output.variants] == ["avif", "webp", "webp-512"]
    for variant in output.variants:
        image = await desk.opened(variant.blob)
        assert image.format == variant.file_format.name
        assert image.size == (variant.width_px, variant.height_px)
        assert variant.size_bytes == await desk.blobs.size(variant.blob)
        assert image.getexif()[0x0131].startswith("heliograph")
        shown = np.asarray(image.convert("RGB").resize((WIDTH, HEIGHT))).astype(int)
        assert np.abs(shown - PIXELS).mean() < 6
    assert all(isinstance(task.source, Pixels) for task in desk.maker.tasks)
    assert desk.spent == [1_000] * 3


async def test_a_file_that_is_asked_for_is_made_once_however_many_ask() -> None:
    desk = Desk()
    output = await desk.delivered()
    desk.maker.gate.clear()
    asked = [asyncio.create_task(desk.desk.blob_of(output, of_still(output, FileFormat.JPEG))) for _ in range(5)]
    await asyncio.sleep(0.01)
    desk.maker.gate.set()
    blobs = await asyncio.gather(*asked)
    assert len(set(blobs)) == len(desk.maker.tasks) == 1
    assert isinstance(desk.maker.tasks[0].source, bytes), "the pixels are gone: it is made of the picture's own file"
    assert (await desk.opened(blobs[0])).format == "JPEG"
    again = await desk.store.output(output.output_id)
    assert again is not None
    assert await desk.desk.blob_of(again, of_still(again, FileFormat.JPEG)) == blobs[0]
    assert len(desk.maker.tasks) == 1


async def test_beyond_the_backlog_pictures_wait_until_somebody_asks() -> None:
    desk = Desk(policy=VariantPolicy(backlog_max=2))
    output = await desk.delivered()
    for _ in range(5):
        desk.desk.offer(desk.job, output, desk.source)
    assert desk.desk.postponed == 3
    tight = Desk(policy=VariantPolicy(bytes_max=len(desk.source.rgb) + 1))
    for _ in range(2):
        tight.desk.offer(desk.job, output, desk.source)
    assert tight.desk.postponed == 1


async def test_a_maker_that_fails_harms_nobody_and_is_asked_again() -> None:
    desk = Desk()
    output = await desk.delivered()
    desk.maker.error = Unavailable("the process died")
    async with desk.working():
        desk.desk.offer(desk.job, output, desk.source)
        await asyncio.sleep(0.02)
        with pytest.raises(Unavailable):
            await desk.desk.blob_of(output, of_still(output, FileFormat.WEBP))
        desk.maker.error = None
        desk.desk.offer(desk.job, output, desk.source)
        await desk.made("avif")


async def test_too_many_conversions_at_once_are_refused() -> None:
    desk = Desk()
    output = await desk.delivered()
    desk.maker.gate.clear()
    asking = [
        asyncio.create_task(desk.desk.blob_of(replace(output, output_id=OutputId(f"out_{number}")), order))
        for number, order in enumerate([of_still(output, FileFormat.JPEG)] * ASKED_AT_ONCE_MAX)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await desk.desk.blob_of(output, of_still(output, FileFormat.AVIF))
    assert refused.value.code == "converting"
    await desk.desk.close()
    assert all(task.cancelled() or task.exception() for task in asking if task.done())


async def test_nothing_is_kept_of_a_picture_that_is_gone() -> None:
    desk = Desk()
    output = await desk.delivered()
    await desk.store.commit([DropJob(job_id=desk.job.job_id)])
    with pytest.raises(NotFound):
        await desk.desk.blob_of(output, of_still(output, FileFormat.WEBP))
    assert desk.maker.tasks == []


async def test_by_link_nobody_reads_the_prompt_and_the_pixels_are_the_same() -> None:
    desk = Desk(stamps=StampPolicy(parameters=ParametersMode.FULL))
    output = await desk.delivered(parameters=ParametersMode.FULL)
    by_key = await desk.desk.file_of(output, Wish(), is_link=False)
    by_link = await desk.desk.file_of(output, Wish(), is_link=True)
    assert by_key.blob == output.blob
    assert by_link.blob is not None
    shared = await desk.blobs.read(by_link.blob)
    assert PROMPT.encode() not in shared
    assert np.array_equal(np.asarray(await desk.opened(by_link.blob)), PIXELS)
    plain = await desk.delivered(parameters=ParametersMode.MINIMAL)
    assert (await desk.desk.file_of(plain, Wish(), is_link=True)).blob == plain.blob


async def test_a_clip_gets_a_poster_and_a_small_preview_that_plays_as_long() -> None:
    desk = Desk()
    frames = [np.roll(PIXELS, 20 * number, axis=1) for number in range(30)]
    desk.job = replace(
        desk.job,
        request=replace(
            desk.job.request, frames=30, frames_per_second=15.0, output_format=OutputFormat.WEBP, width_px=WIDTH
        ),
    )
    output = await desk.delivered(frames=30, duration_s=2.0, output_format=OutputFormat.WEBP)
    source = Pixels(rgb=np.stack(frames).tobytes(), width_px=WIDTH, height_px=HEIGHT, frames=30)
    async with desk.working():
        desk.desk.offer(desk.job, output, source)
        output = await desk.made("poster", "preview")
    preview, poster = (next(each for each in output.variants if each.name == name) for name in ("preview", "poster"))
    still, moving = await desk.opened(poster.blob), Image.open(io.BytesIO(await desk.blobs.read(preview.blob)))
    assert (still.size, getattr(still, "n_frames", 1)) == ((WIDTH, HEIGHT), 1)
    assert (moving.size, moving.n_frames) == ((256, 192), 10)
    duration_ms = 0
    for number in range(moving.n_frames):
        moving.seek(number)
        moving.load()
        duration_ms += moving.info["duration"]
    assert duration_ms == pytest.approx(2000, abs=10)


async def test_files_of_a_picture_without_pixels_come_from_its_own_file_frame_by_frame() -> None:
    clip = pillow.encode(
        pillow.image_of(PIXELS),
        WebpEncoding(quality=80, effort=0),
        Imprint(xmp="<x/>"),
        motion=pillow.Motion(following=[pillow.image_of(255 - PIXELS)], frames_per_second=8),
    )
    first, second = pillow.frames_in(io.BytesIO(clip))
    assert (first.mode, first.size, second.size) == ("RGB", (WIDTH, HEIGHT), (WIDTH, HEIGHT))
    assert np.abs(np.asarray(second).astype(int) - (255 - PIXELS)).mean() < 8
