"""How long a run may be silent, learned from others of its model."""

import pytest

from heliograph.scheduling import Profiles, Scheduler, SchedulerPolicy
from heliograph.scheduling.stalls import FACTOR, SHAPES_MAX, STALL_S_MAX, STALL_S_MIN, Stalls
from tests.builders import (
    a_gpu,
    a_request,
    images_ready,
    play,
    replica_requested,
    run_started,
    step_done,
    submitted,
    worker_ready,
)
from tests.scheduling.test_retries import order_in

A_MEGAPIXEL = a_request(width_px=1_000, height_px=1_000)
TWO_OF_THEM = a_request(width_px=1_000, height_px=1_000, image_count=2)


def test_nothing_is_known_of_what_was_never_made() -> None:
    stalls = Stalls()
    assert stalls.limit_s(A_MEGAPIXEL, "H100") is None
    stalls.observe(A_MEGAPIXEL, "H100", 2.0)
    assert stalls.limit_s(A_MEGAPIXEL, "H100") == FACTOR * 2.0
    assert stalls.limit_s(TWO_OF_THEM, "H100") == FACTOR * 4.0
    assert stalls.limit_s(A_MEGAPIXEL, "L4") is None, "another class"
    assert stalls.limit_s(a_request(width_px=500, height_px=500), "H100") is None, "another size may compile first"
    assert stalls.limit_s(a_request(model="sketcher", width_px=1_000, height_px=1_000), "H100") is None


@pytest.mark.parametrize(
    ("seen", "limit_s"),
    [
        pytest.param([0.001], STALL_S_MIN, id="never less than some seconds"),
        pytest.param([1e6], STALL_S_MAX, id="never more than an hour"),
        pytest.param([2.0, 6.0], FACTOR * 6.0, id="up at once"),
        pytest.param([2.0, 1e6], FACTOR * 8.0, id="but one odd run does not undo the watchdog"),
        pytest.param([4.0, 1.0], FACTOR * 3.8, id="down slowly"),
        pytest.param([4.0, -5.0], FACTOR * 3.8, id="a clock that was set back"),
    ],
)
def test_what_is_learned(seen: list[float], limit_s: float) -> None:
    stalls = Stalls()
    for silence_s in seen:
        stalls.observe(A_MEGAPIXEL, "H100", silence_s)
    assert stalls.limit_s(A_MEGAPIXEL, "H100") == pytest.approx(limit_s)


def test_sizes_are_not_remembered_without_end() -> None:
    stalls = Stalls()
    for number in range(SHAPES_MAX + 1):
        stalls.observe(a_request(width_px=64 * (number + 1), height_px=64), "H100", 1.0)
    assert stalls.limit_s(a_request(width_px=64, height_px=64), "H100") is None
    assert stalls.limit_s(a_request(width_px=128, height_px=64), "H100") is not None


def test_the_silence_behind_the_last_step_counts_too() -> None:
    scheduler = Scheduler(gpus=[a_gpu()], policy=SchedulerPolicy(), profiles=Profiles())
    play(scheduler, replica_requested("w0"), worker_ready("w0"))
    assert order_in(play(scheduler, submitted("cat", request=A_MEGAPIXEL))).stall_limit_s is None
    play(scheduler, run_started("cat"), now_s=1.0)
    play(scheduler, step_done("cat", 1), now_s=2.0)
    play(scheduler, step_done("cat", 10), now_s=5.0)
    play(scheduler, images_ready("cat"), now_s=12.0)
    assert order_in(play(scheduler, submitted("dog", request=A_MEGAPIXEL), now_s=12.0)).stall_limit_s == FACTOR * 7.0
