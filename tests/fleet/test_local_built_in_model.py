"""The built-in model in its worker process, under the memory limits that the product promises."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import heliograph
from heliograph.domain.errors import EngineErrorKind
from heliograph.domain.events import ImagesReady, RunFailed, RunPaused, StepDone, WorkerReady
from heliograph.domain.ids import ModelId
from heliograph.fleet.checkpoint_folder import CheckpointFolder
from tests.fleet.test_local import LIMITS, ORDER, WORKER, a_fleet, the_child

WEIGHTS = Path(heliograph.__file__).parent / "weights"
MODEL = ModelId("helio-base")


def command_of(model: str) -> list[str]:
    command = [sys.executable, "-m", "heliograph.inference.worker"]
    return [*command, "--engine", "onnx", "--model-id", model, "--weights", str(WEIGHTS / model)]


COMMAND = command_of(MODEL)
PICTURES = replace(ORDER, model_id=MODEL, width_px=128, height_px=128, steps=2, guidance=3.5, seeds=(1, 2, 3, 4))
RESIDENT_BYTES_MAX = 450e6


async def test_it_draws_within_its_memory() -> None:
    async with a_fleet(command=COMMAND) as (fleet, listener):
        ready = await listener.until(WorkerReady)
        await fleet.run(WORKER, PICTURES)
        images = (await listener.until(ImagesReady)).images
        peak_kib = int(Path(f"/proc/{the_child()}/status").read_text().split("VmHWM:")[1].split()[0])

    assert [(image.width_px, image.height_px, image.seed) for image in images] == [(128, 128, s) for s in (1, 2, 3, 4)]
    assert len({image.rgb for image in images}) == 4
    *_, last_step = (event for event in listener.events if isinstance(event, StepDone))
    assert all(1000 < len(preview) < 20_000 for preview in last_step.previews)
    assert ready.memory_bytes < RESIDENT_BYTES_MAX
    assert peak_kib * 1024 < RESIDENT_BYTES_MAX


@pytest.mark.parametrize(
    ("model", "frames", "steps"),
    [pytest.param("helio-base", 1, 8, id="a still"), pytest.param("helio-motion", 12, 4, id="a clip")],
)
async def test_a_run_that_pauses_goes_on_in_another_process_to_the_same_bits(
    model: str, frames: int, steps: int, tmp_path: Path
) -> None:
    order = replace(PICTURES, model_id=ModelId(model), frames=frames, steps=steps, seeds=(1, 2))
    checkpoints = CheckpointFolder(tmp_path, bytes_max=1 << 20)
    async with a_fleet(command=command_of(model), checkpoints=checkpoints) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, order)
        whole = await listener.until(ImagesReady)
        await fleet.run(WORKER, replace(order, attempt=2))
        await fleet.pause(WORKER, order.job_id, 2)
        paused = await listener.until(RunPaused)
    async with a_fleet(command=command_of(model), checkpoints=checkpoints) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, replace(order, attempt=3, resume_from=paused.checkpoint, first_step=paused.step))
        assert (await listener.until(StepDone)).step == paused.step + 1
        assert (await listener.until(ImagesReady)).images == whole.images


async def test_a_picture_too_big_for_the_memory_fails_alone() -> None:
    limited = ["sh", "-c", f'ulimit -v 1200000; exec {shlex.join(COMMAND)} "$@"', "sh"]
    async with a_fleet(LIMITS, command=limited) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, replace(PICTURES, width_px=2048, height_px=2048, seeds=(1,)))
        assert (await listener.until(RunFailed)).kind is EngineErrorKind.OUT_OF_MEMORY
        await fleet.run(WORKER, replace(PICTURES, attempt=2))
        assert (await listener.until(ImagesReady)).attempt == 2


async def test_what_does_not_fit_at_once_fits_one_by_one() -> None:
    limited = ["sh", "-c", f'ulimit -v 800000; exec {shlex.join(COMMAND)} "$@"', "sh"]
    order = replace(PICTURES, width_px=384, height_px=384, steps=1, seeds=tuple(range(10)), preview_every=0)
    async with a_fleet(LIMITS, command=limited) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, order)
        assert (await listener.until(RunFailed)).kind is EngineErrorKind.OUT_OF_MEMORY
        await fleet.run(WORKER, replace(order, attempt=2, spares_memory=True))
        assert len((await listener.until(ImagesReady)).images) == 10
