"""Has a stream of scores become worse? A sequential test that says how often it cries wolf.

Theory of operation. A one-sided cumulative sum (Page, 1954): each score is compared with a baseline, in standard
deviations of the baseline; what it lies below the mean, less half the shift that is looked for, is added up, and the
sum never falls below zero. While nothing has changed it hovers near zero. After a real shift it climbs by half the
shift per score, so that the alarm comes after about `2 * threshold / shift` scores, sooner the larger the shift. The
threshold follows from how many scores may pass between two false alarms (Siegmund's approximation, 1985). That holds
for normal scores and a baseline without error. Real scores lean towards their upper end and a baseline is an estimate,
and both make alarms more frequent; so the threshold is `margin` times as high, at the price of some scores more until a
change is found. `benchmarks/quality_change.py` measures both for scores of several shapes.

Scores are cut at `deviations_max` from the mean, so that one freak cannot raise an alarm by itself. The mix of prompts
wanders within a day; a wander of up to half the shift that is looked for does not add up.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_OVERSHOOT = 1.166
"""By how much a sum of normal steps leaps over its threshold on average, in standard deviations (Siegmund)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What scores were like: `count` of them, with this mean and standard deviation."""

    mean: float
    deviation: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePolicy:
    """What is looked for: scores lower by `shift` standard deviations, and on average at most one false alarm in
    `scores_per_false_alarm` scores, with a threshold that is `margin` times as high as normal scores would need. A
    baseline needs `baseline_min` scores, and a deviation of at least `deviation_min`, below which scores are all the
    same and everything would be a shift."""

    shift: float = 0.5
    scores_per_false_alarm: float = 20_000_000.0
    margin: float = 1.6
    baseline_min: int = 1_000
    deviation_min: float = 0.005
    deviations_max: float = 4.0

    @property
    def threshold(self) -> float:
        """The sum, in standard deviations, at which there is an alarm."""
        drift = self.shift / 2
        low, high = 0.0, 1_000.0
        while high - low > 1e-6:
            middle = (low + high) / 2
            if scores_between_false_alarms(middle, drift) < self.scores_per_false_alarm:
                low = middle
            else:
                high = middle
        return self.margin * high


def scores_between_false_alarms(threshold: float, drift: float) -> float:
    """How many scores pass on average before a sum with this drift downwards reaches the threshold by chance."""
    exponent = 2 * drift * (threshold + _OVERSHOOT)
    if exponent > 700:
        return math.inf
    return (math.exp(exponent) - exponent - 1) / (2 * drift * drift)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeState:
    """How far the sum has come after `seen` scores; `since` of them are since it was last zero: where a change that is
    found probably began. `is_changed` stays once it is true."""

    total: float = 0.0
    seen: int = 0
    since: int = 0
    is_changed: bool = False


def baseline_of(scores: Iterable[float], policy: ChangePolicy) -> Baseline | None:
    """What scores are like; None while there are too few to say."""
    count, mean, squares = 0, 0.0, 0.0
    for score in scores:
        count += 1
        step = score - mean
        mean += step / count
        squares += step * (score - mean)
    if count < policy.baseline_min:
        return None
    return Baseline(mean=mean, deviation=max(math.sqrt(squares / (count - 1)), policy.deviation_min), count=count)


class ChangeDetector:
    """One stream of scores. Pure: what it says depends on the scores and on nothing else."""

    def __init__(self, baseline: Baseline, policy: ChangePolicy) -> None:
        self.baseline = baseline
        self.state = ChangeState()
        self._drift = policy.shift / 2
        self._threshold = policy.threshold
        self._cut = policy.deviations_max

    def note(self, score: float) -> bool:
        """Count one score; True when this one raises the alarm."""
        state = self.state
        below = (self.baseline.mean - score) / self.baseline.deviation
        total = max(0.0, state.total + min(max(below, -self._cut), self._cut) - self._drift)
        is_found = total >= self._threshold
        self.state = ChangeState(
            total=total,
            seen=state.seen + 1,
            since=state.since + 1 if total > 0 else 0,
            is_changed=state.is_changed or is_found,
        )
        return is_found and not state.is_changed
