"""Golden pictures: the same prompts and seeds again and again, held against the pictures they made before.

A revision that is what it was makes what it made: bit for bit on the same machine, and on another one so alike that
nobody sees a difference. So a golden picture that looks different says that something has changed: the weights, a
library, the card, or the way the numbers are rounded. Whether it has changed for the worse is said by the alignment
beside it, of which many pictures are needed; whether it has changed at all needs one.

A variant (rounded weights) is held against its reference in the same way; there differences are expected, and what
counts is how many pictures are other pictures, and how much worse they fit.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from heliograph.quality.likeness import VISIBLE_DISTANCE

PROMPTS = (
    "mountains at sunset",
    "a red house in green hills during the day",
    "a blue boat on the sea at sunset with the sun",
    "a starry night over the sea",
    "watercolor painting of a forest at dawn",
    "pixel art of a castle at night",
    "a yellow hot air balloon over mountains at dawn",
    "a lone tree in the desert at sunset",
)
"""Enough to see that something has changed, for whoever names none of their own."""


class DriftDecision(StrEnum):
    """What a set of golden pictures says."""

    SAME = "same"
    CHANGED = "changed"
    WORSE = "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenPair:
    """A golden picture then and now: how far apart (0-1), and how well each fits its prompt (None: not judged)."""

    prompt: str
    seed: int
    distance: float
    alignment_before: float | None = None
    alignment_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPolicy:
    """How much may be different.

    With more than `changed_share_max` of the pictures visibly different (0-1) the model has changed; it is worse where
    the alignment fell by more than `alignment_drop_max` on average.
    """

    changed_share_max: float = 0.0
    alignment_drop_max: float = 0.03


_USUAL_POLICY = DriftPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How a set of golden pictures compares: shares and distances 0-1, `alignment_drop` positive for a worse fit."""

    decision: DriftDecision
    pictures: int
    changed: int
    distance_mean: float
    distance_worst: float
    alignment_drop: float | None


def drift(pairs: Sequence[GoldenPair], policy: DriftPolicy = _USUAL_POLICY) -> Drift:
    """What the pairs, of which there is at least one, say together."""
    assert pairs, "nothing to compare"
    distances = [pair.distance for pair in pairs]
    changed = sum(distance >= VISIBLE_DISTANCE for distance in distances)
    drops = [
        pair.alignment_before - pair.alignment_after
        for pair in pairs
        if pair.alignment_before is not None and pair.alignment_after is not None
    ]
    drop = statistics.fmean(drops) if drops else None
    decision = DriftDecision.SAME
    if changed / len(pairs) > policy.changed_share_max:
        is_worse = drop is not None and drop > policy.alignment_drop_max
        decision = DriftDecision.WORSE if is_worse else DriftDecision.CHANGED
    return Drift(
        decision=decision,
        pictures=len(pairs),
        changed=changed,
        distance_mean=round(statistics.fmean(distances), 6),
        distance_worst=max(distances),
        alignment_drop=None if drop is None else round(drop, 6),
    )
