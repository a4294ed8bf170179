"""How soon a worse revision is found, and how often a good one is called worse.

`python -m benchmarks.quality_change`. Scores are drawn around a mean, with the shape that alignment scores of real
models have: a normal one, one that leans against its upper end (a beta distribution), and one with a second hump of
prompts that the model cannot draw. A revision lowers the mean by half a standard deviation: told are the pictures until
the alarm, of a thousand revisions. How rarely a good one is called worse is checked at a threshold low enough to
see many alarms: the server's own promise, one in twenty million pictures, would take a year to see broken.
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
        yield _false_alarms(name, draw, is_quick=is_quick)


def _pictures_until_found(draw: Callable[[random.Random], float], dice: random.Random) -> int | None:
    """The baseline is learned of 500 pictures, as the server learns it."""
    policy = ChangePolicy()
    scores = [draw(dice) for _ in range(policy.baseline_min)]
    baseline = baseline_of(scores, policy)
    assert baseline is not None
    detector = ChangeDetector(baseline, policy)
    for number in range(1, LIMIT + 1):
        if detector.note(draw(dice) - SHIFT * baseline.deviation):
            return number
    return None


def _false_alarms(name: str, draw: Callable[[random.Random], float], *, is_quick: bool) -> Figure:
    """Scores between two false alarms relative to the promise, at a threshold where many can be seen."""
    promised = 5_000.0
    policy = ChangePolicy(scores_per_false_alarm=promised)
    dice = random.Random(f"calm/{name}")
    baseline = baseline_of((draw(dice) for _ in range(200_000)), policy)
    assert baseline is not None
    alarms, scores = 0, 0
    detector = ChangeDetector(baseline, policy)
    for _ in range(200_000 if is_quick else 3_000_000):
        scores += 1
        if detector.note(draw(dice)):
            alarms += 1
            detector = ChangeDetector(baseline, policy)
    return Figure(
        name="  scores between two false alarms, where 5,000 are promised",
        value=scores / max(alarms, 1),
        unit="",
        baseline=promised,
        baseline_name="promise",
    )


if __name__ == "__main__":
    run_alone("quality_change", __doc__, measure)
