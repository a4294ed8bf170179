"""The local fleet with real child processes and real signals."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import uvloop
from PIL import Image

from heliograph.domain.errors import EngineErrorKind, NotFound, Unavailable
from heliograph.domain.events import (
    CheckpointKept,
    Event,
    ImagesReady,
    LossReason,
    RunAborted,
    RunFailed,
    RunPaused,
    RunStarted,
    StepDone,
    WorkerLost,
    WorkerReady,
)
from heliograph.domain.ids import JobId, ModelId, WorkerId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.run import RunInputs, RunOrder
from heliograph.fleet.checkpoint_folder import CheckpointFolder
from heliograph.fleet.local import LocalFleet, LocalLimits
from heliograph.inference.engine import EngineImages
from heliograph.inference.fake import FakeEngine, FakeOptions
from tests.builders import a_card, a_gpu

SECRET = "an unspeakable prompt"
WORKER = WorkerId("w0")
CARD = a_card("fake")
ORDER = RunOrder(
    job_id=JobId("job_1"),
    attempt=1,
    model_id=ModelId("fake"),
    prompt=SECRET,
    negative_prompt="",
    width_px=64,
    height_px=32,
    steps=3,
    guidance=1.0,
    seeds=(7, 8),
    preview_every=2,
)
LIMITS = LocalLimits(
    load_timeout_s=20, step_timeout_s=20, abort_grace_s=5, stop_grace_s=5, lease_s=20, poll_interval_s=0.02
)
FOREVER_S = 3600

E = TypeVar("E", bound=Event)


class Listener:
    """Takes what the fleet emits; remembers all of it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._queue: asyncio.Queue[Event] = asyncio.Queue()

    async def emit(self, event: Event) -> None:
        self.events.append(event)
        await self._queue.put(event)

    async def until(self, kind: type[E]) -> E:
        async with asyncio.timeout(15):
            while not isinstance(event := await self._queue.get(), kind):
                pass
            return event

    def is_quiet(self) -> bool:
        return self._queue.empty()


def worker_command(options: dict[str, object], *, checkpoint_every_s: float = 0.0) -> Callable[[ModelCard], list[str]]:
    fake = ["--engine", "fake", "--fake-options", json.dumps(options)]
    fake += ["--checkpoint-every-s", str(checkpoint_every_s)]
    return lambda card: [sys.executable, "-m", "heliograph.inference.worker", "--model-id", card.model_id, *fake]


@asynccontextmanager
async def a_fleet(
    limits: LocalLimits = LIMITS,
    command: list[str] | None = None,
    checkpoints: CheckpointFolder | None = None,
    checkpoint_every_s: float = 0.0,
    **options: object,
) -> AsyncIterator[tuple[LocalFleet, Listener]]:
    """A fleet with one worker that was just started."""
    listener = Listener()
    make_command = (lambda _: command) if command else worker_command(options, checkpoint_every_s=checkpoint_every_s)
    fleet = LocalFleet(emit=listener.emit, worker_command=make_command, limits=limits, checkpoints=checkpoints)
    try:
        await fleet.start(WORKER, a_gpu(), CARD)
        yield fleet, listener
    finally:
        await fleet.close()
        assert children() == [], "a closed fleet leaves no process behind"
        assert sum(isinstance(event, WorkerLost) for event in listener.events) <= 1


OTHERS: set[int] = set()
"""Children of this process that were there before the test, such as the database of other tests."""


@pytest.fixture(autouse=True)
def _know_the_others() -> None:
    OTHERS.clear()
    OTHERS.update(children())


def children() -> list[int]:
    """Processes that the test started and that are still there."""
    found = map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    return [pid for pid in found if pid not in OTHERS]


def the_child() -> int:
    (pid,) = children()
    return pid


async def test_a_run_from_start_to_pictures() -> None:
    async with a_fleet() as (fleet, listener):
        ready = await listener.until(WorkerReady)
        await fleet.run(WORKER, ORDER)
        images = await listener.until(ImagesReady)

    assert 0 < ready.load_s < 15
    assert 20e6 < ready.memory_bytes < 200e6
    _, started, *steps, _ = listener.events
    assert started == RunStarted(job_id=ORDER.job_id, attempt=1)
    assert [(step.step, step.steps, len(step.previews)) for step in steps] == [(1, 3, 0), (2, 3, 2), (3, 3, 0)]
    assert all(preview.startswith(b"\xff\xd8\xff") and preview.endswith(b"\xff\xd9") for preview in steps[1].previews)

    *_, drawn = FakeEngine(FakeOptions()).generate(ORDER)
    assert isinstance(drawn, EngineImages)
    assert [image.rgb for image in images.images] == [pixels.tobytes() for pixels in drawn.pixels]
    assert [(image.width_px, image.height_px, image.seed) for image in images.images] == [(64, 32, 7), (64, 32, 8)]
    assert images.run_s > 0


def test_it_works_on_uvloop_too() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_a_run_from_start_to_pictures())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("nan@2", EngineErrorKind.NAN),
        ("out_of_memory@1", EngineErrorKind.OUT_OF_MEMORY),
        ("bad_input@1", EngineErrorKind.BAD_INPUT),
        ("bug@end", EngineErrorKind.INTERNAL),
        ("device_lost@1", EngineErrorKind.DEVICE_LOST),
        ("unsupported@1", EngineErrorKind.UNSUPPORTED_PARAMETER),
    ],
)
async def test_a_worker_survives_its_engine(fault: str, kind: EngineErrorKind) -> None:
    async with a_fleet(faults=[f"{fault}#1"]) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, ORDER)
        failed = await listener.until(RunFailed)
        await fleet.run(WORKER, replace(ORDER, attempt=2))
        assert (await listener.until(ImagesReady)).attempt == 2

    assert (failed.job_id, failed.attempt, failed.kind) == (ORDER.job_id, 1, kind)
    assert 0 < len(failed.message) < 200
    assert SECRET not in failed.message


async def test_what_goes_beyond_the_slots_memory_is_refused_by_the_kernel_and_the_worker_lives() -> None:
    hungry = [*worker_command({"faults": ["hog@2#1"]})(CARD), "--memory-bytes-max", str(400 << 20)]
    async with a_fleet(command=hungry) as (fleet, listener):
        await listener.until(WorkerReady)
        pid = the_child()
        await fleet.run(WORKER, ORDER)
        assert (await listener.until(RunFailed)).kind is EngineErrorKind.OUT_OF_MEMORY
        await fleet.run(WORKER, replace(ORDER, attempt=2))
        images = await listener.until(ImagesReady)
        assert the_child() == pid, "the same process"
        assert images.peak_bytes is not None
        assert images.peak_bytes < 300 << 20, "what the failed run took was given back"


async def test_a_run_that_hangs_is_found_as_soon_as_its_model_makes_it_likely() -> None:
    async with a_fleet(faults=["hang@2"]) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, replace(ORDER, stall_limit_s=0.3))
        lost = await listener.until(WorkerLost)
    assert (lost.reason, lost.detail) == (LossReason.SILENT, "no step for 0.3 s")


async def test_an_abort_ends_the_run_between_steps() -> None:
    order = replace(ORDER, steps=1000)
    async with a_fleet(step_s=0.02) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, order)
        await listener.until(StepDone)
        await fleet.abort(WORKER, JobId("another"), 1)
        await fleet.abort(WORKER, order.job_id, 2)
        await listener.until(StepDone)
        await fleet.abort(WORKER, order.job_id, 1)
        await fleet.abort(WORKER, order.job_id, 1)
        assert await listener.until(RunAborted) == RunAborted(job_id=order.job_id, attempt=1)
        await fleet.run(WORKER, replace(ORDER, attempt=2))
        await listener.until(ImagesReady)


async def test_an_abort_right_behind_the_order_makes_no_step() -> None:
    async with a_fleet(step_s=0.02) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, replace(ORDER, steps=1000))
        await fleet.abort(WORKER, ORDER.job_id, 1)
        await listener.until(RunAborted)
    assert sum(isinstance(event, StepDone) for event in listener.events) <= 1


LONG = replace(ORDER, steps=40)
OTHER = WorkerId("w1")


@pytest.fixture
def checkpoints(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints", bytes_max=1 << 20)


def drawn_at_once(order: RunOrder) -> list[bytes]:
    *_, drawn = FakeEngine(FakeOptions()).generate(order)
    assert isinstance(drawn, EngineImages)
    return [pixels.tobytes() for pixels in drawn.pixels]


async def test_a_paused_run_goes_on_with_another_worker_to_the_same_bits(checkpoints: CheckpointFolder) -> None:
    async with a_fleet(checkpoints=checkpoints, step_s=0.02) as (fleet, listener):
        assert (await listener.until(WorkerReady)).can_resume
        await fleet.run(WORKER, LONG)
        await listener.until(StepDone)
        await fleet.pause(WORKER, JobId("another"), 1)
        await listener.until(StepDone)
        await fleet.pause(WORKER, LONG.job_id, 1)
        paused = await listener.until(RunPaused)
        assert 2 <= paused.step < LONG.steps
        await fleet.start(OTHER, a_gpu(), CARD)
        await listener.until(WorkerReady)
        resumed = replace(LONG, attempt=2, resume_from=paused.checkpoint, first_step=paused.step)
        await fleet.run(OTHER, resumed)
        assert (await listener.until(StepDone)).step == paused.step + 1, "no step is made twice"
        images = await listener.until(ImagesReady)
        assert [image.rgb for image in images.images] == drawn_at_once(LONG)
        await fleet.run(WORKER, replace(ORDER, job_id=JobId("next")))  # the one that paused is free
        await listener.until(ImagesReady)
        await fleet.stop(OTHER)
        await listener.until(WorkerLost)
        listener.events.clear()


async def test_what_is_done_is_kept_while_the_run_goes_on(checkpoints: CheckpointFolder) -> None:
    async with a_fleet(checkpoints=checkpoints, checkpoint_every_s=0.05, step_s=0.02) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, LONG)
        first, second = await listener.until(CheckpointKept), await listener.until(CheckpointKept)
        os.kill(the_child(), signal.SIGKILL)
        await listener.until(WorkerLost)
        assert 2 <= first.step < second.step
        await fleet.start(OTHER, a_gpu(), CARD)
        await listener.until(WorkerReady)
        resumed = replace(LONG, attempt=2, resume_from=second.checkpoint, first_step=second.step)
        await fleet.run(OTHER, resumed)
        assert (await listener.until(StepDone)).step > second.step
        images = await listener.until(ImagesReady)
        assert [image.rgb for image in images.images] == drawn_at_once(LONG)
        await fleet.stop(OTHER)
        await listener.until(WorkerLost)
        listener.events.clear()


async def test_a_run_whose_checkpoint_is_gone_begins_again(checkpoints: CheckpointFolder) -> None:
    async with a_fleet(checkpoints=checkpoints) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, replace(LONG, resume_from="job_1.safetensors", first_step=30))
        assert (await listener.until(StepDone)).step == 1
        await listener.until(ImagesReady)


async def test_a_run_does_not_go_on_from_what_is_not_its_own(checkpoints: CheckpointFolder) -> None:
    name = await checkpoints.put(LONG.job_id, b"what no engine wrote")
    async with a_fleet(checkpoints=checkpoints) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, replace(LONG, resume_from=name, first_step=30))
        assert (await listener.until(RunFailed)).kind is EngineErrorKind.BAD_CHECKPOINT


@pytest.mark.parametrize("why", ["the engine cannot", "there is no room", "nothing is kept here"])
async def test_a_run_that_cannot_be_kept_is_aborted_instead_of_paused(why: str, tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, bytes_max=0 if why == "there is no room" else 1 << 20)
    kept_in = None if why == "nothing is kept here" else folder
    async with a_fleet(checkpoints=kept_in, step_s=0.02, can_resume=why != "the engine cannot") as (fleet, listener):
        ready = await listener.until(WorkerReady)
        assert ready.can_resume == (why == "there is no room")
        await fleet.run(WORKER, LONG)
        await listener.until(StepDone)
        await fleet.pause(WORKER, LONG.job_id, 1)
        assert await listener.until(RunAborted) == RunAborted(job_id=LONG.job_id, attempt=1)


@pytest.mark.parametrize("phase", ["load", "idle", "run"])
async def test_a_killed_worker_is_reported_once(phase: str) -> None:
    async with a_fleet(load_s=FOREVER_S if phase == "load" else 0, step_s=FOREVER_S) as (fleet, listener):
        if phase != "load":
            await listener.until(WorkerReady)
        if phase == "run":
            await fleet.run(WORKER, ORDER)
            await listener.until(RunStarted)
        os.kill(the_child(), signal.SIGKILL)
        lost = await listener.until(WorkerLost)
        await fleet.run(WORKER, ORDER)
        await fleet.abort(WORKER, ORDER.job_id, 1)
        await fleet.stop(WORKER)

    reason = LossReason.LOAD_FAILED if phase == "load" else LossReason.CRASHED
    assert lost == WorkerLost(worker_id=WORKER, reason=reason, detail="killed by signal 9 (Killed)")
    assert listener.is_quiet()


@pytest.mark.parametrize(
    ("options", "limits", "reason", "detail"),
    [
        ({"load_s": FOREVER_S}, {"load_timeout_s": 0.5}, LossReason.LOAD_FAILED, "not loaded within 0.5 s"),
        ({"faults": ["exit@load"]}, {}, LossReason.LOAD_FAILED, "exit code 3; stderr: the fake engine was told"),
        ({"faults": ["device_lost@load"]}, {}, LossReason.DEVICE_LOST, "device_lost: RuntimeError at fake.py"),
        ({"faults": ["bad_weights@load"]}, {}, LossReason.BAD_WEIGHTS, "bad_weights: the fake engine was told"),
        ({"faults": ["bug@load"]}, {}, LossReason.LOAD_FAILED, "internal: RuntimeError at fake.py"),
        ({"faults": ["hog@load"]}, {"memory_bytes_max": 150 << 20}, LossReason.OUT_OF_MEMORY, "150 MiB allowed"),
        ({"faults": ["hang@2"]}, {"step_timeout_s": 0.5}, LossReason.SILENT, "no step for 0.5 s"),
        ({"faults": ["hog@2"]}, {"memory_bytes_max": 150 << 20}, LossReason.OUT_OF_MEMORY, "150 MiB allowed"),
        ({"faults": ["crash@2"]}, {}, LossReason.CRASHED, "killed by signal 9 (Killed)"),
        ({"faults": ["exit@end"]}, {}, LossReason.CRASHED, "exit code 3; stderr: the fake engine was told to exit"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else str(value),
)
async def test_how_workers_end(
    options: dict[str, object], limits: dict[str, float], reason: LossReason, detail: str
) -> None:
    async with a_fleet(replace(LIMITS, **limits), **options) as (fleet, listener):
        if reason is not LossReason.LOAD_FAILED and not str(options["faults"]).endswith("@load']"):
            await listener.until(WorkerReady)
            await fleet.run(WORKER, ORDER)
        lost = await listener.until(WorkerLost)
    assert lost.reason is reason
    assert detail in lost.detail
    assert SECRET not in lost.detail


async def test_a_worker_that_ignores_an_abort_is_killed() -> None:
    async with a_fleet(replace(LIMITS, abort_grace_s=0.3), step_s=FOREVER_S) as (fleet, listener):
        await listener.until(WorkerReady)
        await fleet.run(WORKER, ORDER)
        await listener.until(RunStarted)
        os.kill(the_child(), signal.SIGSTOP)
        await fleet.abort(WORKER, ORDER.job_id, 1)
        lost = await listener.until(WorkerLost)
    assert (lost.reason, lost.detail) == (LossReason.SILENT, "the run did not stop within 0.3 s")


@pytest.mark.parametrize("phase", ["idle", "run"])
async def test_a_frozen_worker_is_found_and_killed(phase: str) -> None:
    limits = replace(LIMITS, lease_s=0.6)
    async with a_fleet(limits, step_s=0.05) as (fleet, listener):
        await listener.until(WorkerReady)
        if phase == "run":
            await fleet.run(WORKER, replace(ORDER, steps=1000))
            await listener.until(StepDone)
        os.kill(the_child(), signal.SIGSTOP)
        lost = await listener.until(WorkerLost)
    assert (lost.reason, lost.detail) == (LossReason.SILENT, "no sign of life for 0.6 s")


@pytest.mark.parametrize("phase", ["idle", "run"])
async def test_a_worker_that_is_alive_keeps_its_lease(phase: str) -> None:
    """Also in the middle of a step that takes longer than the lease."""
    limits = replace(LIMITS, lease_s=0.6)
    async with a_fleet(limits, step_s=1.0 if phase == "run" else 0.0) as (fleet, listener):
        await listener.until(WorkerReady)
        await asyncio.sleep(0.9 if phase == "idle" else 0.0)
        await fleet.run(WORKER, replace(ORDER, steps=1))
        await listener.until(ImagesReady)


async def test_a_slow_listener_does_not_cost_the_worker_its_life() -> None:
    class SlowListener(Listener):
        async def emit(self, event: Event) -> None:
            if isinstance(event, StepDone):
                await asyncio.sleep(0.5)
            await super().emit(event)

    listener = SlowListener()
    limits = replace(LIMITS, step_timeout_s=0.3, abort_grace_s=0.3)
    fleet = LocalFleet(emit=listener.emit, worker_command=worker_command({"step_s": 0.02}), limits=limits)
    await fleet.start(WORKER, a_gpu(), CARD)
    await listener.until(WorkerReady)
    await fleet.run(WORKER, ORDER)
    await listener.until(ImagesReady)
    await fleet.close()


async def test_a_run_gets_the_pictures_it_starts_from_or_fails_at_once() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (ORDER.width_px, ORDER.height_px), (200, 100, 50)).save(buffer, "PNG")

    async def read(name: str) -> bytes:
        if name == "gone.png":
            raise NotFound("there is no such picture")
        if name == "later.png":
            raise Unavailable("the disk is away")
        return buffer.getvalue()

    listener = Listener()
    fleet = LocalFleet(emit=listener.emit, worker_command=worker_command({}), limits=LIMITS, read_input=read)
    try:
        await fleet.start(WORKER, a_gpu(), CARD)
        await listener.until(WorkerReady)
        for name, kind in (("gone.png", EngineErrorKind.BAD_INPUT), ("later.png", EngineErrorKind.INTERNAL)):
            await fleet.run(WORKER, replace(ORDER, inputs=RunInputs(images=(name,), strength=0.5)))
            failed = await listener.until(RunFailed)
            assert (failed.job_id, failed.kind) == (ORDER.job_id, kind)
        await fleet.run(WORKER, replace(ORDER, seeds=(7,), inputs=RunInputs(images=("here.png",), strength=1e-3)))
        images = (await listener.until(ImagesReady)).images
        assert images[0].rgb[:3] == bytes((200, 100, 50))
    finally:
        await fleet.close()


@pytest.mark.parametrize("phase", ["load", "idle", "run", "frozen"])
async def test_stop_ends_a_worker_in_any_phase(phase: str) -> None:
    load_s = FOREVER_S if phase == "load" else 0
    limits = replace(LIMITS, stop_grace_s=0.3) if phase == "frozen" else LIMITS
    async with a_fleet(limits, load_s=load_s, step_s=FOREVER_S) as (fleet, listener):
        if phase != "load":
            await listener.until(WorkerReady)
        if phase == "run":
            await fleet.run(WORKER, ORDER)
            await listener.until(RunStarted)
        if phase == "frozen":
            os.kill(the_child(), signal.SIGSTOP)
        await fleet.stop(WORKER)
        await fleet.stop(WORKER)
        await fleet.run(WORKER, ORDER)
        assert await listener.until(WorkerLost) == WorkerLost(worker_id=WORKER, reason=LossReason.STOPPED)


async def test_close_is_silent_and_final_even_when_nobody_listens() -> None:
    emitted: list[Event] = []

    async def emit(event: Event) -> None:
        emitted.append(event)
        if isinstance(event, StepDone):
            await asyncio.Event().wait()

    fleet = LocalFleet(emit=emit, worker_command=worker_command({}), limits=LIMITS)
    for name in ("w0", "w1"):
        await fleet.start(WorkerId(name), a_gpu(), CARD)
    async with asyncio.timeout(15):
        while len(emitted) < 2:
            await asyncio.sleep(0.01)
        await fleet.run(WORKER, ORDER)
        while not isinstance(emitted[-1], StepDone):
            await asyncio.sleep(0.01)
        await fleet.start(WorkerId("w2"), a_gpu(), CARD)
        await fleet.close()
    assert children() == []
    await fleet.start(WorkerId("w3"), a_gpu(), CARD)
    await asyncio.sleep(0.1)
    assert children() == []
    assert not any(isinstance(event, WorkerLost) for event in emitted)


async def test_a_command_that_cannot_be_started_is_a_failed_load() -> None:
    async with a_fleet(command=["/no/such/worker"]) as (_, listener):
        lost = await listener.until(WorkerLost)
    assert lost.reason is LossReason.LOAD_FAILED
    assert "No such file" in lost.detail


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\2\0\0\0\0{}", b'\0\0\0\x1d\0\0\0\0{"version":1,"type":"Upgrade"}']
)
async def test_a_worker_that_talks_nonsense_is_killed(said: bytes) -> None:
    program = f"import os, sys, time; os.write(int(sys.argv[-1]), {said!r}); time.sleep({FOREVER_S})"
    async with a_fleet(command=[sys.executable, "-c", program]) as (_, listener):
        lost = await listener.until(WorkerLost)
    assert lost.reason is LossReason.CRASHED
    assert "frame" in lost.detail


async def test_a_worker_that_hangs_up_but_stays_is_killed() -> None:
    program = f"import os, sys, time; os.close(int(sys.argv[-1])); time.sleep({FOREVER_S})"
    limits = replace(LIMITS, stop_grace_s=0.2)
    async with a_fleet(limits, command=[sys.executable, "-c", program]) as (_, listener):
        lost = await listener.until(WorkerLost)
    assert (lost.reason, lost.detail) == (LossReason.SILENT, "the process did not end within 0.2 s")


async def test_stderr_never_blocks_a_worker_and_only_its_end_is_kept() -> None:
    program = "import sys; sys.stderr.write('x' * 1_000_000 + 'the end'); sys.exit(9)"
    async with a_fleet(command=[sys.executable, "-c", program]) as (_, listener):
        lost = await listener.until(WorkerLost)
    assert lost.detail.startswith("ended with exit code 9; stderr: xxx")
    assert lost.detail.endswith("xthe end")
    assert len(lost.detail) < 4200


async def test_children_of_a_worker_go_with_it() -> None:
    program = (
        "import subprocess, sys, time; subprocess.Popen(['sleep', '3600'], pass_fds=(int(sys.argv[-1]),)); sys.exit(4)"
    )
    async with a_fleet(command=[sys.executable, "-c", program]) as (_, listener):
        lost = await listener.until(WorkerLost)
    assert lost.detail == "ended with exit code 4"


@pytest.mark.parametrize("phase", ["load", "idle", "run", "frozen"])
def test_no_worker_outlives_a_killed_server(phase: str) -> None:
    """The server is a small process of its own here; SIGKILL gives it no chance to clean up."""
    program = f"""
import asyncio, json, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.fleet.test_local import *

async def main():
    options = {{"load_s": 3600 if {phase!r} == "load" else 0, "step_s": 3600}}
    async with a_fleet(**options) as (fleet, listener):
        if {phase!r} != "load":
            await listener.until(WorkerReady)
        if {phase!r} == "run":
            await fleet.run(WORKER, ORDER)
            await listener.until(RunStarted)
        if {phase!r} == "load":
            while len(list(Path(f"/proc/{{the_child()}}/task").iterdir())) < 2:  # until its reader runs
                await asyncio.sleep(0.01)
        print(the_child(), flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        worker = int(server.stdout.readline())
        if phase == "frozen":
            os.kill(worker, signal.SIGSTOP)
        server.kill()
        server.wait()
        deadline_s = time.monotonic() + 1.0
        while is_alive(worker) and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert not is_alive(worker)


def is_alive(pid: int) -> bool:
    """Neither gone nor a zombie that its new parent has yet to collect."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_the_terminals_interrupt_and_the_process_list() -> None:
    async with a_fleet() as (fleet, listener):
        await listener.until(WorkerReady)
        os.kill(the_child(), signal.SIGINT)
        assert os.getsid(the_child()) != os.getsid(0)
        await fleet.run(WORKER, ORDER)
        await listener.until(ImagesReady)
        assert SECRET.encode() not in Path(f"/proc/{the_child()}/cmdline").read_bytes()
