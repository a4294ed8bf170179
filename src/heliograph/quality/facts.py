"""What the gates need to know of a picture, measured from its pixels alone.

Levels are 0-255 whatever the array's type. A large picture is sampled: every n-th pixel in reading order, with n chosen
so that about 65,000 remain, and coprime to the width, so that each column and each row is met and no regular pattern
hides between the samples. Whether all values are finite is looked up in every pixel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SAMPLES = 65_536
_NEAR_LEVELS = 4
_LEVELS = np.arange(256, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """Measurements of one picture.

    `spread` is the largest of the three channels' standard deviations, in levels. `flat_share` (0-1) is the share of
    pixels that lie within 4 levels of the picture's median colour in every channel: 1 for a single colour, near 0 for a
    photograph. Both are 0 when a value is not finite.
    """

    width_px: int
    height_px: int
    is_finite: bool
    spread: float
    flat_share: float


def image_facts(pixels: NDArray[np.uint8] | NDArray[np.floating[Any]]) -> ImageFacts:
    """Facts of `pixels`: (height, width, 3), sRGB, uint8 levels 0-255 or floating point 0-1."""
    height_px, width_px, channels = pixels.shape
    assert channels == 3, f"a picture has 3 channels, not {channels}"
    assert height_px > 0, "a picture has at least one pixel"
    assert width_px > 0, "a picture has at least one pixel"
    sample = pixels.reshape(-1, 3)[:: _stride(width_px, height_px)]
    if np.issubdtype(pixels.dtype, np.floating):
        if not np.isfinite(pixels).all():
            return ImageFacts(width_px=width_px, height_px=height_px, is_finite=False, spread=0.0, flat_share=0.0)
        sample = np.rint(np.clip(sample, 0, 1) * 255)
    levels = sample.T.astype(np.uint8, order="C")
    counts = np.stack([np.bincount(channel, minlength=256) for channel in levels])
    total = levels.shape[1]
    medians = (counts.cumsum(axis=1) * 2 >= total).argmax(axis=1)
    means = counts @ _LEVELS / total
    spreads = np.sqrt(np.maximum(counts @ _LEVELS**2 / total - means**2, 0))
    distances = np.abs(levels.astype(np.int16) - medians[:, None].astype(np.int16))
    return ImageFacts(
        width_px=width_px,
        height_px=height_px,
        is_finite=True,
        spread=float(spreads.max()),
        flat_share=float((distances <= _NEAR_LEVELS).all(axis=0).mean()),
    )


def worst_of(frames: Sequence[ImageFacts]) -> ImageFacts:
    """Facts of a clip from those of its frames, which have one size: each the worst that any frame shows."""
    first = frames[0]
    return ImageFacts(
        width_px=first.width_px,
        height_px=first.height_px,
        is_finite=all(frame.is_finite for frame in frames),
        spread=min(frame.spread for frame in frames),
        flat_share=max(frame.flat_share for frame in frames),
    )


def _stride(width_px: int, height_px: int) -> int:
    stride = max(1, width_px * height_px // _SAMPLES)
    while math.gcd(stride, width_px) > 1:
        stride += 1
    return stride
