"""Pictures of one batch that are the same again: a seed that did not count, or a model that knows one answer."""

from collections.abc import Sequence

import numpy as np

LEVELS_APART_MIN = 1.0
"""Mean difference (0-255) of two small pictures below which one repeats the other; other seeds differ by tens."""


def repeated(fingerprints: Sequence[bytes]) -> frozenset[int]:
    """The positions of those that repeat an earlier one. A fingerprint is the small picture's levels, row by row."""
    levels = [np.frombuffer(each, np.uint8).astype(np.int16) for each in fingerprints]
    return frozenset(
        later
        for later in range(len(levels))
        if any(
            0 < levels[earlier].size == levels[later].size
            and np.abs(levels[earlier] - levels[later]).mean() < LEVELS_APART_MIN
            for earlier in range(later)
        )
    )
