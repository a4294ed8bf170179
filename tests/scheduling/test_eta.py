"""Promises and how they turn out: the interval holds four of five, whatever the bias and the noise."""

import random
from collections.abc import Callable
from statistics import median

import pytest

from heliograph.domain.ids import JobId
from heliograph.scheduling import Profiles
from heliograph.scheduling.eta import Promise, Situation, Trust, situation_of
from tests.builders import (
    a_card,
    a_request,
    a_scheduler,
    a_timing,
    images_ready,
    in_words,
    outputs_stored,
    play,
    run_started,
    submitted,
)

Noise = Callable[[random.Random], float]
NOISES: dict[str, Noise] = {
    "none": lambda chance: 1.0,
    "a little": lambda chance: chance.lognormvariate(0.0, 0.1),
    "much, and twice as long as promised": lambda chance: 2.0 * chance.lognormvariate(0.0, 0.6),
    "half as long as promised": lambda chance: 0.5 * chance.uniform(0.8, 1.2),
    "now and then ten times as long": lambda chance: 10.0 if chance.random() < 0.05 else chance.uniform(0.9, 1.1),
}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("seed", range(3))
def test_four_of_five_promises_hold_and_the_median_is_right(noise: str, seed: int) -> None:
    chance, trust = random.Random(seed), Trust()
    held, errors = 0, []
    for number in range(3_000):
        eta_s = chance.uniform(5.0, 500.0)
        actual_s = eta_s * NOISES[noise](chance)
        found = trust.interval(Situation.IN_LINE, eta_s)
        if number >= 500:
            held += found.low_s <= actual_s <= found.high_s
            errors.append(found.expected_s / actual_s)
        trust.observe(Promise(situation=Situation.IN_LINE, eta_s=eta_s, at_s=100.0), delivered_at_s=100.0 + actual_s)
    if noise != "none":
        assert 0.75 <= held / 2_500 <= 0.85
    assert 0.9 <= median(errors) <= 1.1


def test_situations_are_told_apart() -> None:
    trust = Trust()
    for _ in range(200):
        trust.observe(Promise(situation=Situation.LOADING, eta_s=10.0, at_s=0.0), delivered_at_s=30.0)
        trust.observe(Promise(situation=Situation.RUNNING, eta_s=10.0, at_s=0.0), delivered_at_s=10.0)
    loading, running = trust.interval(Situation.LOADING, 10.0), trust.interval(Situation.RUNNING, 10.0)
    assert loading.expected_s == pytest.approx(30.0, rel=0.1)
    assert running.expected_s == pytest.approx(10.0, rel=0.1)
    unknown = trust.interval(Situation.NEXT, 10.0)
    assert (unknown.low_s, unknown.expected_s, unknown.high_s) == (pytest.approx(6.0), 10.0, pytest.approx(18.0))


@pytest.mark.parametrize(
    ("is_running", "is_loaded", "wait_s", "situation"),
    [
        (True, True, 0.0, Situation.RUNNING),
        (False, True, 0.5, Situation.NEXT),
        (False, True, 5.0, Situation.IN_LINE),
        (False, True, 50.0, Situation.LONG_LINE),
        (False, False, 5.0, Situation.LOADING),
        (False, False, 50.0, Situation.LOADING_LINE),
    ],
)
def test_the_situation_of_a_job(is_running: bool, is_loaded: bool, wait_s: float, situation: Situation) -> None:
    found = situation_of(is_running=is_running, is_loaded=is_loaded, wait_s=wait_s, run_s=10.0)
    assert found is situation


def test_a_scheduler_whose_runs_take_longer_than_promised_learns_to_say_so() -> None:
    """The runs keep time, but delivery takes as long again as the run."""
    profiles = Profiles()
    profiles.set_prior(a_card(timings=(a_timing(seconds=10.0, steps=10),)), gpu_classes={"cpu"})
    scheduler, now_s = a_scheduler(workers=1, profiles=profiles), 0.0
    request = a_request(width_px=1_000, height_px=1_000, steps=10)
    stated: list[bool] = []
    for number in range(120):
        name = f"job{number}"
        words = in_words(play(scheduler, submitted(name, request=request, sequence=number), now_s=now_s))
        assert words[-1] == f"w0 runs {name}#1"
        view = scheduler.view(JobId(name), now_s=now_s)
        assert view is not None
        assert view.eta is not None
        assert view.eta_s == view.eta.expected_s
        stated.append(view.eta.low_s <= 20.0 <= view.eta.high_s)
        play(scheduler, run_started(name), now_s=now_s)
        play(scheduler, images_ready(name, run_s=10.0), now_s=now_s + 10.0)
        play(scheduler, outputs_stored(name), now_s=now_s + 20.0)
        now_s += 20.0
    assert not stated[0]
    assert sum(stated[40:]) >= 70
