"""How far ETAs are to be trusted: what was promised against what came, as quantiles of the ratio.

Theory of operation. The same promise is worth more in some situations than in others, so ratios are learned per
*situation*: whether the model is loaded and how much of the promise is waiting, or that the job runs already. Within a
situation the 10%, 50% and 90% quantiles of log(actual / promised) are tracked one observation at a time: a quantile
moves up by `share` of a step when what came lies above it and down by `1 - share` when below, a step being a fraction
of the usual size of an error. A promise is then corrected by the median, and an interval that holds four of five is
stated with it.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import exp, log

from heliograph.domain.views import Interval

SHARES = (0.1, 0.5, 0.9)
PRIOR = (log(0.6), 0.0, log(1.8))
"""Before anything is known: from 60% to 180% of the promise."""

STEP, STEP_MIN, FIRST_STEPS = 0.25, 0.05, 30
"""Steps shrink from 0.25 of the usual error to 0.05 over the first 30 observations; there they follow changes."""

SECONDS_MIN = 0.05
"""Promises and deliveries below this are not told apart."""


class Situation(StrEnum):
    """What a promise is mostly about."""

    RUNNING = "running"
    NEXT = "next"
    IN_LINE = "in_line"
    LONG_LINE = "long_line"
    LOADING = "loading"
    LOADING_LINE = "loading_line"


def situation_of(*, is_running: bool, is_loaded: bool, wait_s: float, run_s: float) -> Situation:
    """The situation of a job that is expected to wait for `wait_s`, any load left out, and to run for `run_s`."""
    if is_running:
        return Situation.RUNNING
    if not is_loaded:
        return Situation.LOADING if wait_s <= run_s else Situation.LOADING_LINE
    if wait_s <= 0.1 * run_s:
        return Situation.NEXT
    return Situation.IN_LINE if wait_s <= 4.0 * run_s else Situation.LONG_LINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Delivery was expected in `eta_s` seconds from `at_s`."""

    situation: Situation
    eta_s: float
    at_s: float


class _Ratios:
    """The quantiles of log(actual / promised) in one situation."""

    def __init__(self) -> None:
        self.quantiles = list(PRIOR)
        self._number = 0
        self._error = 0.3

    def observe(self, ratio: float) -> None:
        self._number += 1
        self._error += max(1.0 / (self._number + 3), 0.02) * (min(abs(ratio - self.quantiles[1]), 3.0) - self._error)
        step = max(STEP * (1.0 - self._number / FIRST_STEPS), STEP_MIN) * max(self._error, 0.02) * 4.0
        for index, share in enumerate(SHARES):
            self.quantiles[index] += step * (share if ratio > self.quantiles[index] else share - 1.0)
        self.quantiles.sort()


class Trust:
    """Learns how promises turn out."""

    def __init__(self) -> None:
        self._ratios: dict[Situation, _Ratios] = {}

    def interval(self, situation: Situation, eta_s: float) -> Interval:
        """The expected seconds, corrected, and the interval that should hold the truth in four of five cases."""
        ratios = self._ratios.get(situation)
        low, middle, high = PRIOR if ratios is None else ratios.quantiles
        eta_s = max(eta_s, SECONDS_MIN)
        return Interval(low_s=eta_s * exp(low), expected_s=eta_s * exp(middle), high_s=eta_s * exp(high))

    def observe(self, promise: Promise, *, delivered_at_s: float) -> None:
        """A job that was promised something was delivered."""
        actual_s = max(delivered_at_s - promise.at_s, SECONDS_MIN)
        ratios = self._ratios.setdefault(promise.situation, _Ratios())
        ratios.observe(log(actual_s / max(promise.eta_s, SECONDS_MIN)))
