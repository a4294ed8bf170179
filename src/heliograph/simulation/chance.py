"""Seeded chance: each purpose draws from a stream of its own, so that one more fault does not reshuffle the arrivals.

The only file of the simulator that touches `random`. Same seed and same name give the same numbers on every machine and
in every process: the stream is seeded with a string, which Python hashes with SHA-512, not with its salted `hash`.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Chance:
    """One stream of pseudo-random numbers; `fork` makes independent ones by name."""

    def __init__(self, seed: int, name: str) -> None:
        self._seed = seed
        self._name = name
        self._random = random.Random(f"{seed}/{name}")
        self.uniform = self._random.random
        """A number from 0 to 1 (exclusive)."""

    def fork(self, name: str) -> "Chance":
        """A stream that does not depend on how much of this one was used."""
        return Chance(self._seed, f"{self._name}/{name}")

    def between(self, low: float, high: float) -> float:
        """Evenly from `low` to `high`."""
        return low + (high - low) * self.uniform()

    def happens(self, probability: float) -> bool:
        """True with this probability; a probability of 0 draws nothing."""
        return probability > 0 and self.uniform() < probability

    def index(self, count: int) -> int:
        """A whole number from 0 to `count` - 1."""
        return min(int(self.uniform() * count), count - 1)

    def exponential(self, mean: float) -> float:
        """Time until the next of events that come at random, `mean` apart."""
        return -math.log(1.0 - self.uniform()) * mean

    def noise(self, spread: float) -> float:
        """A factor around 1: log-normal with median 1 and `spread` as the standard deviation of its logarithm."""
        return math.exp(self._random.gauss(0.0, spread)) if spread else 1.0

    def gap(self, variation: float) -> float:
        """A gap with mean 1 and coefficient of variation `variation`.

        1 is a Poisson stream; above 1 a two-phase hyperexponential with balanced means (short gaps within bursts, long
        ones between them); below 1 evenly spread around 1.
        """
        if variation == 1.0:
            return self.exponential(1.0)
        if variation > 1.0:
            squared = variation * variation
            short = 0.5 * (1.0 + math.sqrt((squared - 1.0) / (squared + 1.0)))
            probability = short if self.uniform() < short else 1.0 - short
            return self.exponential(0.5 / probability)
        width = min(variation * math.sqrt(3.0), 1.0)
        return self.between(1.0 - width, 1.0 + width)


@dataclass(frozen=True, slots=True)
class Choices(Generic[_Item]):
    """Items with weights, to be drawn in O(log n)."""

    items: tuple[_Item, ...]
    bounds: tuple[float, ...]

    def draw(self, chance: Chance) -> _Item:
        """One item, with a probability in proportion to its weight."""
        if len(self.items) == 1:
            return self.items[0]
        index = bisect_right(self.bounds, chance.uniform() * self.bounds[-1])
        return self.items[min(index, len(self.items) - 1)]


def weighted(weights: Mapping[_Item, float]) -> Choices[_Item]:
    """Choices in the mapping's order; weights need not sum to 1."""
    return Choices(tuple(weights), tuple(accumulate(weights.values())))
