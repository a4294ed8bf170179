"""The built-in model in its worker process, under the memory limits that the product promises."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

import heliograph
from heliograph.domain.errors import EngineErrorKind
from heliograph.domain.events import ImagesReady, RunFailed, StepDone, WorkerReady
from heliograph.domain.ids import ModelId
from tests.fleet.test_local import LIMITS, ORDER, WORKER, a_fleet, the_child

BUILT_IN = Path(heliograph.__file__).parent / "weights" / "helio-base"
MODEL = ModelId("helio-base")
COMMAND = [
    *(sys.executable, "-m", "heliograph.inference.worker"),
    *("--engine", "onnx", "--model-id", MODEL, "--weights", str(BUILT_IN)),
]
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


async def test_a_picture_too_big_for_the_memory_fails_alone() -> None:
    limited = ["sh", "-c", f'ulimit -v 1200000; exec {shlex.join(COMMAND)} "$@"', "sh"]
    async with a_fleet(LIMITS, command=limited) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, replace(PICTURES, width_px=2048, height_px=2048, seeds=(1,)))
        assert (await listener.until(RunFailed)).kind is EngineErrorKind.OUT_OF_MEMORY
        await fleet.run(WORKER, replace(PICTURES, attempt=2))
        assert (await listener.until(ImagesReady)).attempt == 2
