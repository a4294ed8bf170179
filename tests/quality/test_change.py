"""The change detector keeps its word: what it promises of false alarms, and how soon it sees a real shift."""

import random
import statistics

import pytest

from heliograph.quality.change import (
    Baseline,
    ChangeDetector,
    ChangePolicy,
    baseline_of,
    scores_between_false_alarms,
)

NORMAL = Baseline(mean=0.7, deviation=0.1, count=5_000)


def scores_until_alarm(detector: ChangeDetector, dice: random.Random, *, mean: float, limit: int) -> int | None:
    for number in range(1, limit + 1):
        if detector.note(dice.gauss(mean, 0.1)):
            return number
    return None


def test_half_a_deviation_less_is_seen_within_five_hundred_scores() -> None:
    dice = random.Random("shift")
    delays = [
        scores_until_alarm(ChangeDetector(NORMAL, ChangePolicy()), dice, mean=0.65, limit=500) for _ in range(200)
    ]
    assert None not in delays
    assert statistics.median(each for each in delays if each is not None) < 250


def test_the_approximation_of_false_alarms_is_right() -> None:
    """At a low threshold, where false alarms can be waited for."""
    policy = ChangePolicy(scores_per_false_alarm=2_000, margin=1.0)
    dice = random.Random("calm")
    waits = [scores_until_alarm(ChangeDetector(NORMAL, policy), dice, mean=0.7, limit=10**6) for _ in range(300)]
    assert statistics.mean(each or 0 for each in waits) == pytest.approx(2_000, rel=0.25)


def test_nothing_changed_raises_nothing_in_two_hundred_thousand_scores() -> None:
    detector = ChangeDetector(NORMAL, ChangePolicy())
    dice = random.Random("month")
    assert scores_until_alarm(detector, dice, mean=0.7, limit=200_000) is None
    assert not detector.state.is_changed


def test_better_scores_are_no_change_for_the_worse() -> None:
    detector = ChangeDetector(NORMAL, ChangePolicy())
    assert scores_until_alarm(detector, random.Random("better"), mean=0.75, limit=5_000) is None


def test_an_alarm_is_raised_once_and_says_where_the_change_began() -> None:
    detector = ChangeDetector(NORMAL, ChangePolicy())
    alarms = [detector.note(score) for score in [0.7] * 100 + [0.6] * 100]
    assert sum(alarms) == 1
    assert detector.state.is_changed
    assert alarms.index(True) - 100 < detector.state.since <= 100


def test_one_freak_raises_no_alarm() -> None:
    detector = ChangeDetector(NORMAL, ChangePolicy())
    assert not any(detector.note(score) for score in (-1000.0, 0.7, -1000.0))


def test_a_baseline_needs_enough_scores_and_never_has_no_spread() -> None:
    policy = ChangePolicy()
    assert baseline_of([0.5] * 999, policy) is None
    flat = baseline_of([0.5] * 1_000, policy)
    assert flat == Baseline(mean=0.5, deviation=policy.deviation_min, count=1_000)
    spread = baseline_of([0.4, 0.6] * 500, policy)
    assert spread is not None
    assert spread.deviation == pytest.approx(0.1, rel=0.01)


def test_the_threshold_follows_from_the_promise() -> None:
    policy = ChangePolicy(margin=1.0)
    promised = scores_between_false_alarms(policy.threshold, policy.shift / 2)
    assert promised == pytest.approx(policy.scores_per_false_alarm, rel=1e-3)
    assert ChangePolicy(scores_per_false_alarm=1e9, margin=1.0).threshold > policy.threshold
    assert ChangePolicy(margin=1.6).threshold == pytest.approx(1.6 * policy.threshold)
