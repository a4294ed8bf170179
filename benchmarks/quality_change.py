"""How soon a worse revision is found, and how often a good one is called worse.

`python -m benchmarks.quality_change`. Scores are drawn around a mean, with the shape that alignment scores of real
models have: a normal one, one that leans against its upper end (a beta distribution), and one with a second hump of
prompts that the model cannot draw. A revision lowers the mean by half a standard deviation: told are the pictures until
the alarm, of a thousand revisions. Then nothing changes: each of a hundred baselines, learned of as many pictures as
the server learns it of, is compared with a hundred thousand pictures as good, and false alarms are counted.
"""

import random
from collections.abc import Callable, Iterable

from benchmarks.report import Bar, Figure, median, run_alone, with_progress
from heliograph.quality.change import ChangeDetector, ChangePolicy, baseline_of

SHIFT = 0.5
LIMIT = 5_000


def normal(dice: random.Random) -> float:
    return dice.gauss(0.7, 0.1)


def leaning(dice: random.Random) -> float:
    return dice.betavariate(8, 2)


def two_humps(dice: random.Random) -> float:
    return dice.gauss(0.8, 0.06) if dice.random() < 0.85 else dice.gauss(0.45, 0.08)


SHAPES: dict[str, Callable[[random.Random], float]] = {"normal": normal, "leaning": leaning, "two humps": two_humps}


def measure(is_quick: bool) -> Iterable[Figure]:
    revisions = 100 if is_quick else 1_000
    for name, draw in SHAPES.items():
        dice = random.Random(f"change/{name}")
        delays = [_pictures_until_found(draw, dice) for _ in with_progress(range(revisions), name)]
        found = [delay for delay in delays if delay is not None]
        share = 100 * sum(delay <= 500 for delay in found) / revisions
        yield Figure(name=f"{name}: pictures until it is found, median", value=median(found), unit="")
        yield Figure(name="  found within 500 pictures", value=share, unit="%", bar=Bar(limit=99, is_floor=True))
        yield Figure(name="  slowest", value=max(found), unit="")
        yield _false_alarms(draw, dice, is_quick=is_quick)


def _pictures_until_found(draw: Callable[[random.Random], float], dice: random.Random) -> int | None:
    """The baseline is learned of as many pictures as the server learns it of."""
    policy = ChangePolicy()
    scores = [draw(dice) for _ in range(policy.baseline_min)]
    baseline = baseline_of(scores, policy)
    assert baseline is not None
    detector = ChangeDetector(baseline, policy)
    for number in range(1, LIMIT + 1):
        if detector.note(draw(dice) - SHIFT * baseline.deviation):
            return number
    return None


def _false_alarms(draw: Callable[[random.Random], float], dice: random.Random, *, is_quick: bool) -> Figure:
    """How many alarms a million pictures raise that are as good as the baseline, each baseline learned anew."""
    policy = ChangePolicy()
    baselines, scores_each = (10, 20_000) if is_quick else (100, 100_000)
    alarms = 0
    for _ in range(baselines):
        baseline = baseline_of((draw(dice) for _ in range(policy.baseline_min)), policy)
        assert baseline is not None
        detector = ChangeDetector(baseline, policy)
        for _ in range(scores_each):
            if detector.note(draw(dice)):
                alarms += 1
                detector = ChangeDetector(baseline, policy)
    return Figure(name="  false alarms in a million pictures", value=1e6 * alarms / (baselines * scores_each), unit="")


if __name__ == "__main__":
    run_alone("quality_change", __doc__, measure)
