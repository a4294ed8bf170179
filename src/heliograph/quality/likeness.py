"""How far two pictures of one size lie apart for an eye: 0 for the same, near 1 for unrelated ones.

Structural similarity (Wang et al. 2004: means, variances and covariance of 8 x 8 windows) of the luma at three sizes,
of which the worst counts, and the colours beside it: a picture in other colours is another picture, though every edge
is in its place. Pure NumPy, a few milliseconds for a small picture.
"""

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

VISIBLE_DISTANCE = 0.01
"""Below that nobody sees a difference when the pictures lie side by side: rounding, other threads, another batch."""

_WINDOW_PX = 8
_STEP_PX = 4
_SCALES = 3
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_COLOUR_RANGE = 128.0
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float64)

Floats = NDArray[np.float64]


class Likeness(StrEnum):
    """What becomes of comparing two pictures."""

    IDENTICAL = "identical"
    VISUALLY_IDENTICAL = "visually_identical"
    DIFFERENT = "different"


def likeness(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> tuple[Likeness, float]:
    """How alike two pictures (height, width, 3) are, and their distance, 1 for pictures of two sizes."""
    if one.shape != other.shape:
        return Likeness.DIFFERENT, 1.0
    if np.array_equal(one, other):
        return Likeness.IDENTICAL, 0.0
    distance = perceptual_distance(one, other)
    return (Likeness.VISUALLY_IDENTICAL if distance < VISIBLE_DISTANCE else Likeness.DIFFERENT), distance


def perceptual_distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """From 0 to 1, of two pictures (height, width, 3) of one size."""
    assert one.shape == other.shape, f"pictures of two sizes: {one.shape}, {other.shape}"
    first, second = one.astype(np.float64), other.astype(np.float64)
    lumas = first @ _WEIGHTS, second @ _WEIGHTS
    colours = float(np.abs((first - lumas[0][..., None]) - (second - lumas[1][..., None])).mean()) / _COLOUR_RANGE
    worst = 0.0
    for _ in range(_SCALES):
        if min(lumas[0].shape) < _WINDOW_PX:
            break
        worst = max(worst, 1 - _similarity(*lumas))
        lumas = _reduced(lumas[0]), _reduced(lumas[1])
    return round(min(1.0, max(worst, 0.0) + colours), 6)


def _similarity(one: Floats, other: Floats) -> float:
    mean_one, mean_other = _windowed(one), _windowed(other)
    variance_one = np.maximum(_windowed(one * one) - mean_one**2, 0)
    variance_other = np.maximum(_windowed(other * other) - mean_other**2, 0)
    covariance = _windowed(one * other) - mean_one * mean_other
    alike = (2 * mean_one * mean_other + _C1) * (2 * covariance + _C2)
    return float((alike / ((mean_one**2 + mean_other**2 + _C1) * (variance_one + variance_other + _C2))).mean())


def _windowed(values: Floats) -> Floats:
    """The means of all windows, a few pixels apart, from sums over everything above and left."""
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    sums[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)
    rows, columns = (slice(0, side - _WINDOW_PX + 1, _STEP_PX) for side in values.shape)
    ends = (slice(_WINDOW_PX, None, _STEP_PX),) * 2
    low, high = (rows, columns), ends
    window: NDArray[Any] = sums[high[0], high[1]] - sums[low[0], high[1]] - sums[high[0], low[1]] + sums[low[0], low[1]]
    return window / _WINDOW_PX**2


def _reduced(values: Floats) -> Floats:
    height, width = (side // 2 * 2 for side in values.shape)
    even = values[:height, :width]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
