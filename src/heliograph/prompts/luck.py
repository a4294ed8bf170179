"""What a seed draws: the same on every machine and in every version of Python, which `random` does not promise."""

import hashlib
from collections.abc import Sequence


class Luck:
    """A sequence of numbers that a seed stands for."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn = 0

    def number(self) -> float:
        """From 0 up to 1, evenly."""
        self._drawn += 1
        digest = hashlib.sha256(f"{self._seed}/{self._drawn}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / (1 << 48)

    def whole(self, least: int, most: int) -> int:
        """From `least` to `most`, both included."""
        return least + int(self.number() * (most - least + 1))

    def place(self, weights: Sequence[float]) -> int:
        """A place in `weights`, drawn as often as the weight there says; they add up to more than 0."""
        left = self.number() * sum(weights)
        for place, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return place
        return len(weights) - 1
