"""What is learned of the memory of runs, and what is made of it: another GPU, less at once, or a refusal."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.commands import Command, Dispatch, RefuseJob
from heliograph.domain.errors import EngineErrorKind, InvalidRequest
from heliograph.domain.events import ImagesReady, JobSubmitted, LossReason
from heliograph.domain.ids import JobId
from heliograph.domain.request import GenerationRequest
from heliograph.scheduling import Scheduler
from heliograph.scheduling.memory import FAILURE_S, MARGIN, REFUSING_JOBS, SPARING_JOBS, WORKS_MAX, RunMemory, work_of
from heliograph.scheduling.memory_file import MemoryFile
from tests.builders import (
    a_gpu,
    a_job,
    a_request,
    a_scheduler,
    images_ready,
    play,
    replica_requested,
    run_failed,
    run_started,
    submitted,
    worker_lost,
    worker_ready,
)

GB = 10**9
GPU_CLASS = "a100"


def request_of(side_px: int, *, pictures: int = 1, frames: int = 1) -> GenerationRequest:
    return replace(a_request(width_px=side_px, height_px=side_px, image_count=pictures), frames=frames)


def taught(*peaks: tuple[int, float], held_gb: float | None = None) -> RunMemory:
    """A memory that has seen runs of these sides with these peaks in GB."""
    memory = RunMemory()
    if held_gb is not None:
        memory.loaded(a_request().model_id, GPU_CLASS, round(held_gb * GB))
    for side_px, peak_gb in peaks:
        observe(memory, request_of(side_px), peak_gb)
    return memory


def observe(memory: RunMemory, request: GenerationRequest, peak_gb: float | None, *, spares: bool = False) -> None:
    peak_bytes = None if peak_gb is None else round(peak_gb * GB)
    memory.observe(request, GPU_CLASS, peak_bytes=peak_bytes, free_bytes=80 * GB, spares=spares)


def estimate_gb(memory: RunMemory, request: GenerationRequest) -> float | None:
    estimate = memory.estimate_bytes(request, GPU_CLASS)
    return None if estimate is None else estimate / GB


def test_nothing_is_held_against_a_model_that_never_ran() -> None:
    memory = RunMemory()
    assert estimate_gb(memory, request_of(1000)) is None
    assert memory.fits(request_of(1000), GPU_CLASS, free_bytes=1, spares=False, now_s=0.0)


def test_what_was_run_is_a_ceiling_with_a_margin() -> None:
    memory = taught((1000, 10.0), (1000, 12.0), (1000, 11.0))
    assert estimate_gb(memory, request_of(1000)) == pytest.approx(12.0 * 0.95 * MARGIN, rel=0.01)


@pytest.mark.parametrize(
    ("request_", "at_least_gb"),
    [
        (request_of(2000), 6.0 + 4 * 4.0),
        (request_of(1000, pictures=4), 6.0 + 4 * 4.0),
        (request_of(1000, frames=16), 6.0 + 16 * 4.0),
        (request_of(500), 6.0 + 4.0 / 4),
    ],
    ids=["larger", "more pictures", "a clip", "smaller"],
)
def test_other_works_are_read_off_the_line_from_what_the_loaded_model_holds(
    request_: GenerationRequest, at_least_gb: float
) -> None:
    estimate = estimate_gb(taught((1000, 10.0), held_gb=6.0), request_)
    assert estimate is not None
    assert at_least_gb <= estimate <= at_least_gb * 1.6


def test_sparing_memory_is_another_way_of_working() -> None:
    memory = taught((1000, 10.0))
    assert memory.estimate_bytes(request_of(1000), GPU_CLASS, spares=True) is None
    assert work_of(request_of(1000, pictures=4), spares=True) == work_of(request_of(1000), spares=False)


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0.1, 80.0)), min_size=1, max_size=8), st.integers(1, 80))
def test_no_estimate_is_below_what_was_seen_of_as_much_or_less_work(peaks: list[tuple[int, float]], side: int) -> None:
    memory = RunMemory()
    lately: dict[int, float] = {}
    for tens, peak_gb in peaks:
        observe(memory, request_of(tens * 10), peak_gb)
        lately[tens] = peak_gb
    estimate = estimate_gb(memory, request_of(side * 10))
    assert estimate is not None
    assert estimate >= max((peak for tens, peak in lately.items() if tens <= side), default=0.0) * 0.999


def test_only_so_many_works_are_remembered() -> None:
    memory = taught(*((side, 1.0) for side in range(100, 100 + 2 * WORKS_MAX)))
    (entry,) = memory.entries()
    assert len(entry["peaks"]) == WORKS_MAX


def ran_out(
    memory: RunMemory, job: str, request: GenerationRequest, *, spares: bool = False, at_s: float = 0.0
) -> None:
    memory.ran_out(request, GPU_CLASS, job_id=JobId(job), free_bytes=24 * GB, spares=spares, now_s=at_s)


def test_one_job_that_ran_out_says_little_and_several_say_what_does_not_fit() -> None:
    memory, request = RunMemory(), request_of(2000)

    def fits(request: GenerationRequest, gigabytes: int = 24, now_s: float = 1.0) -> bool:
        return memory.fits(request, GPU_CLASS, free_bytes=gigabytes * GB, spares=False, now_s=now_s)

    for _ in range(5):
        ran_out(memory, "cat", request)
    assert fits(request)
    for number in range(SPARING_JOBS):
        ran_out(memory, f"job{number}", request)
    assert not fits(request)
    assert not fits(request_of(2500)), "more work takes more"
    assert fits(request_of(1500)), "less may fit"
    assert fits(request, 48), "a larger GPU may do"
    assert fits(request, now_s=FAILURE_S + 1), "it is not held against it for ever"
    observe(memory, request_of(2500), None)  # in 80 GB: says nothing of 24
    assert not fits(request)
    memory.observe(request, GPU_CLASS, peak_bytes=None, free_bytes=24 * GB, spares=False)
    assert fits(request), "it fits after all"


def test_it_is_hopeless_only_once_sparing_did_not_help() -> None:
    memory, request = RunMemory(), request_of(2000)

    def is_hopeless() -> bool:
        return memory.is_hopeless(request, GPU_CLASS, memory_bytes=24 * GB, now_s=1.0)

    for number in range(REFUSING_JOBS):
        ran_out(memory, f"job{number}", request)
    assert not is_hopeless()
    for number in range(REFUSING_JOBS):
        assert not is_hopeless()
        ran_out(memory, f"job{number}", request, spares=True)
    assert is_hopeless()
    memory.clock_set_back(now_s=-5 * FAILURE_S)
    memory.observe(request, GPU_CLASS, peak_bytes=None, free_bytes=24 * GB, spares=False)
    assert not is_hopeless(), "who needs no sparing would fit with it, too"


# --- the file --------------------------------------------------------------------------------------------------------


def test_it_outlives_the_server(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path / "run-memory.json")
    assert file.read()[1] is None, "there is none at first"
    memory = taught((500, 4.0), (1000, 10.0))
    file.write(memory)
    again, problem = file.read()
    assert (again.entries(), problem) == (memory.entries(), None)


NO_WORK = '[{"model": "a", "gpu_class": "b", "spares": true, "peaks": [[0, 1]]}]'


@pytest.mark.parametrize("text", ["", "{}x", '[{"model": 1}]', NO_WORK])
def test_a_damaged_file_costs_what_was_learned_and_no_more(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run-memory.json"
    path.write_text(text)
    memory, problem = MemoryFile(path).read()
    assert (memory.entries(), problem is None) == ([], False)


async def test_what_was_learned_is_written_at_the_end(tmp_path: Path) -> None:
    path, memory = tmp_path / "run-memory.json", RunMemory()
    keeping = asyncio.create_task(MemoryFile(path).keep(memory, every_s=3600.0))
    await asyncio.sleep(0)
    observe(memory, request_of(500), 4.0)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert json.loads(path.read_text())[0]["peaks"]


# --- in the scheduler ------------------------------------------------------------------------------------------------


def ran(job: str, peak_gb: float) -> ImagesReady:
    return replace(images_ready(job), peak_bytes=round(peak_gb * GB))


def two_gpus() -> Scheduler:
    """A worker on a GPU of 24 GB, then one on a GPU of 80 GB."""
    scheduler = a_scheduler(workers=0, gpus=[a_gpu("gpu0", memory_bytes=24 * GB), a_gpu("gpu1", memory_bytes=80 * GB)])
    play(scheduler, replica_requested("w0"), worker_ready("w0"), replica_requested("w1"), worker_ready("w1"))
    return scheduler


def sized(job: str, side_px: int, pictures: int = 1) -> JobSubmitted:
    return submitted(a_job(job, request=request_of(side_px, pictures=pictures)))


def dispatched(commands: Sequence[Command]) -> list[tuple[str, bool]]:
    return [(each.worker_id, each.order.spares_memory) for each in commands if isinstance(each, Dispatch)]


def test_what_will_not_fit_goes_to_the_larger_gpu_at_once() -> None:
    scheduler = two_gpus()
    play(scheduler, sized("small", 1000), run_started("small"), ran("small", 16.0))
    assert dispatched(play(scheduler, sized("large", 2000))) == [("w1", False)]
    assert dispatched(play(scheduler, sized("small again", 1000))) == [("w0", False)]


def test_what_fits_nowhere_spares_memory_from_the_first_attempt() -> None:
    scheduler = a_scheduler(workers=1, gpus=[a_gpu("gpu0", memory_bytes=24 * GB)])
    play(scheduler, sized("one", 1000), run_started("one"), ran("one", 16.0))
    commands = play(scheduler, sized("four", 1000, 4))
    assert dispatched(commands) == [("w0", True)]


def test_what_its_neighbours_hold_does_not_count_as_free() -> None:
    scheduler = a_scheduler(workers=1, gpus=[a_gpu("gpu0", memory_bytes=24 * GB)])
    play(scheduler, sized("one", 1000), run_started("one"), ran("one", 20.0))
    neighbour = replace(worker_ready("w9"), memory_bytes=6 * GB)
    play(scheduler, replica_requested("w9", gpu="gpu0", model="other"), neighbour)
    assert dispatched(play(scheduler, sized("two", 1000))) == [("w0", True)]
    play(scheduler, run_started("two"), images_ready("two"), worker_lost("w9", LossReason.STOPPED))
    assert dispatched(play(scheduler, sized("three", 1000))) == [("w0", False)]


def test_what_nobody_has_the_memory_for_is_refused_with_the_field() -> None:
    scheduler = a_scheduler(workers=1, gpus=[a_gpu("gpu0", memory_bytes=24 * GB)], backoff_s=(0.0,))
    out_of_memory = EngineErrorKind.OUT_OF_MEMORY
    for number in range(REFUSING_JOBS):
        job = f"job{number}"
        play(scheduler, sized(job, 2000))
        for attempt in (1, 2, 3):
            play(scheduler, run_started(job, attempt=attempt), run_failed(job, out_of_memory, attempt=attempt))
    (refused,) = play(scheduler, sized("again", 2000))
    assert isinstance(refused, RefuseJob)
    assert isinstance(refused.error, InvalidRequest)
    assert (refused.error.code, refused.error.param) == ("too_large_for_memory", "size")
    assert not any(isinstance(each, RefuseJob) for each in play(scheduler, sized("smaller", 500)))
