"""The lowest setting of a codec that keeps enough of a picture, found on a sample of it.

What a codec's "quality 80" looks like differs from picture to picture and from codec to codec; what is asked for here
is fidelity, and the setting follows. Encoding once more for every guess would cost several times the encoding itself,
so the guesses are made on four patches of the picture, and the whole is encoded once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_SIDE_PX = 320
_PATCH_PX = SAMPLE_SIDE_PX // 2
_PATCHES_AT = (0.15, 0.75)
"""Where the patches begin across and down, in shares of what they could move."""

_EXACT_ENOUGH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityTarget:
    """At least this `fidelity`, where `bytes_max` for the whole file allows it, and no more than is needed for it.

    `fidelity` is that of `delivery/fidelity.py`; 0.955 is about what JPEG of quality 85 keeps.
    """

    fidelity: float = 0.955
    bytes_max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a setting makes of the sample: how much it keeps, in how many bytes."""

    fidelity: float
    size_bytes: int


def sample_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(height, width, 3): the picture, or four patches of a large one side by side, at places that codecs align to."""
    height, width = pixels.shape[:2]
    if height <= SAMPLE_SIDE_PX or width <= SAMPLE_SIDE_PX:
        return pixels[: 2 * SAMPLE_SIDE_PX, : 2 * SAMPLE_SIDE_PX]
    tops, lefts = ([int((side - _PATCH_PX) * share) // 16 * 16 for share in _PATCHES_AT] for side in (height, width))
    rows = [
        np.concatenate([pixels[top : top + _PATCH_PX, left : left + _PATCH_PX] for left in lefts], axis=1)
        for top in tops
    ]
    return np.concatenate(rows)


def lowest_quality(
    try_out: Callable[[int], Trial], target: QualityTarget, *, share: float, low: int = 30, high: int = 95
) -> int:
    """The lowest quality from `low` to `high` that reaches the target on the sample, which is `share` of the picture.

    `high` where none does. A byte budget that this would break lowers it to the best that fits, or to `low`.
    """
    assert 0 < low <= high <= 100, f"qualities {low} to {high}"
    trials: dict[int, Trial] = {}

    def trial(quality: int) -> Trial:
        if quality not in trials:
            trials[quality] = try_out(quality)
        return trials[quality]

    enough = _first(lambda quality: trial(quality).fidelity >= target.fidelity, low, high)
    if target.bytes_max is None:
        return enough
    budget = target.bytes_max * share
    if trial(enough).size_bytes <= budget:
        return enough
    return _last(lambda quality: trial(quality).size_bytes <= budget, low, enough)


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The lowest number from which on it holds, or up to two above it; `high` where there is none."""
    while high - low > _EXACT_ENOUGH:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return high


def _last(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The highest number up to which it holds, or up to two below it; `low` where there is none."""
    while high - low > _EXACT_ENOUGH:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low
