"""ThumbHash: a picture in about 25 bytes, to show in its place until it has loaded (format: evanw.github.io/thumbhash).

The colours are split into luminance L, yellow-blue P, red-green Q and, if anything is transparent, alpha A. Each
channel is reduced to the lowest frequencies of its cosine transform: one average (DC), and the rest (AC) as multiples
of the largest, four bits each. L gets up to 7x7 frequencies (5x5 beside an alpha channel), fewer on the shorter side,
which is how the aspect ratio is kept; P and Q get 3x3, A 5x5. Of each grid only the triangle above its diagonal is
stored.

Layout, lowest bit first:

    24 bits  L average 6, P average 6, Q average 6, L scale 5, has alpha 1
    16 bits  L frequencies on the shorter side 3, P scale 6, Q scale 6, is landscape 1
     8 bits  A average 4, A scale 4 (only with alpha)
    4 bits for each AC term of L, P, Q, A, row by row
"""

import base64
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SIDE_MAX_PX = 100
_DECODED_SIDE_PX = 32
_SATURATION = 1.25
"""Readers strengthen P and Q by this much, to make up for what the coarse steps lose."""

_NOISE = 1e-9
"""A term below this is zero and the rest is rounding, which must not decide which way the middle between steps goes."""

_TABLES_MAX = 512
"""Tables kept for sizes seen before; one is a few kilobytes."""

_Channel = NDArray[np.float64]


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """The ThumbHash of `pixels`: (height, width, 3 or 4) uint8 sRGB with straight alpha, at most 100 pixels a side."""
    height, width, channels = pixels.shape
    assert 0 < max(height, width) <= SIDE_MAX_PX, f"{width}x{height} does not fit in {SIDE_MAX_PX}x{SIDE_MAX_PX}"
    rgb = pixels[..., :3] / 255
    alpha = pixels[..., 3] / 255 if channels == 4 else np.ones((height, width))
    has_alpha = bool((alpha < 1).any())
    if has_alpha:
        weight = float(alpha.sum())
        average = (rgb * alpha[..., None]).sum(axis=(0, 1)) / weight if weight else np.zeros(3)
        rgb = average * (1 - alpha[..., None]) + rgb * alpha[..., None]
    red, green, blue = np.moveaxis(rgb, -1, 0)

    frequencies = 5 if has_alpha else 7
    across = max(1, _rounded(frequencies * width / max(width, height)))
    down = max(1, _rounded(frequencies * height / max(width, height)))
    l_dc, l_scale, l_ac = _analysed((red + green + blue) / 3, max(3, across), max(3, down))
    p_dc, p_scale, p_ac = _analysed((red + green) / 2 - blue, 3, 3)
    q_dc, q_scale, q_ac = _analysed(red - green, 3, 3)

    is_landscape = width > height
    header = _packed(
        (_rounded(63 * l_dc), 6),
        (_rounded(31.5 + 31.5 * p_dc), 6),
        (_rounded(31.5 + 31.5 * q_dc), 6),
        (_rounded(31 * l_scale), 5),
        (has_alpha, 1),
        (down if is_landscape else across, 3),
        (_rounded(63 * p_scale), 6),
        (_rounded(63 * q_scale), 6),
        (is_landscape, 1),
    )
    terms = [*l_ac, *p_ac, *q_ac]
    if has_alpha:
        a_dc, a_scale, a_ac = _analysed(alpha, 5, 5)
        header += _packed((_rounded(15 * a_dc), 4), (_rounded(15 * a_scale), 4))
        terms += a_ac
    return header + _packed(*((_rounded(15 * term), 4) for term in terms))


def encode_base64(pixels: NDArray[np.uint8]) -> str:
    """The ThumbHash as base64 text, about 32 characters."""
    return base64.b64encode(encode(pixels)).decode("ascii")


def decode(thumbhash: bytes) -> NDArray[np.uint8]:
    """The placeholder: (height, width, 4) uint8 sRGB with straight alpha, the longer side 32 pixels.

    Raises `ValueError` for bytes too few to be a ThumbHash.
    """
    if len(thumbhash) < 5:
        raise ValueError(f"a ThumbHash has more than {len(thumbhash)} bytes")
    bits = int.from_bytes(thumbhash, "little")
    has_alpha, is_landscape = bool(bits >> 23 & 1), bool(bits >> 39 & 1)
    shorter, longer = bits >> 24 & 7, 5 if has_alpha else 7
    if shorter == 0:
        raise ValueError("a ThumbHash has at least one frequency on its shorter side")
    across, down = (longer, shorter) if is_landscape else (shorter, longer)
    grids = [(max(3, across), max(3, down)), (3, 3), (3, 3), *([(5, 5)] if has_alpha else [])]
    counts = [int(_stored(*grid).sum()) for grid in grids]
    first_bit = 48 if has_alpha else 40
    if len(thumbhash) * 8 < first_bit + 4 * sum(counts):
        raise ValueError(f"this ThumbHash needs more than its {len(thumbhash)} bytes")

    scales = [(bits >> 18 & 31) / 31, (bits >> 27 & 63) / 63 * _SATURATION, (bits >> 33 & 63) / 63 * _SATURATION]
    averages = [(bits & 63) / 63, (bits >> 6 & 63) / 31.5 - 1, (bits >> 12 & 63) / 31.5 - 1]
    if has_alpha:
        averages.append((bits >> 40 & 15) / 15)
        scales.append((bits >> 44 & 15) / 15)

    width = _rounded(_DECODED_SIDE_PX * min(1, across / down))
    height = _rounded(_DECODED_SIDE_PX * min(1, down / across))
    channels: list[_Channel] = []
    for grid, count, scale, average in zip(grids, counts, scales, averages, strict=True):
        terms = [(bits >> (first_bit + 4 * number) & 15) / 7.5 - 1 for number in range(count)]
        first_bit += 4 * count
        channels.append(average + _synthesised(np.array(terms) * scale, grid, width, height))
    lum, yellow, red_green, *rest = channels
    blue = lum - 2 / 3 * yellow
    red = (3 * lum - blue + red_green) / 2
    alpha = rest[0] if rest else np.ones_like(lum)
    rgba = np.stack([red, red - red_green, blue, alpha], axis=-1)
    return (255 * rgba.clip(0, 1)).astype(np.uint8)


def _analysed(channel: _Channel, across: int, down: int) -> tuple[float, float, list[float]]:
    """A channel's average, its largest other term, and those terms mapped from -largest..largest to 0..1."""
    height, width = channel.shape
    terms = _cosines(down, height) @ channel @ _cosines(across, width).T / (width * height)
    varying = terms[_stored(across, down)]
    varying[np.abs(varying) < _NOISE] = 0
    scale = float(np.abs(varying).max())
    if scale == 0:
        return float(terms[0, 0]), 0.0, [0.0] * len(varying)
    return float(terms[0, 0]), scale, (0.5 + 0.5 / scale * varying).tolist()


def _synthesised(varying: _Channel, grid: tuple[int, int], width: int, height: int) -> _Channel:
    """The sum of the waves whose stored terms are given."""
    across, down = grid
    terms = np.zeros((down, across))
    terms[_stored(across, down)] = 2 * varying
    return _cosines(down, height).T @ terms @ _cosines(across, width)


@lru_cache(maxsize=_TABLES_MAX)
def _cosines(count: int, length: int) -> _Channel:
    """The first `count` waves over `length` pixels, one a row. Shared: not to be written to."""
    return np.cos(np.pi / length * np.outer(np.arange(count), np.arange(length) + 0.5))


@lru_cache(maxsize=_TABLES_MAX)
def _stored(across: int, down: int) -> NDArray[np.bool_]:
    """(down, across): which terms are stored, the triangle without the average in its corner. Not to be written to."""
    row, column = np.ogrid[:down, :across]
    mask = column * down < across * (down - row)
    mask[0, 0] = False
    return mask


def _packed(*fields: tuple[int, int]) -> bytes:
    """(value, number of bits) after one another, lowest bit first, filled up to whole bytes."""
    total = length = 0
    for value, bits in fields:
        total |= value << length
        length += bits
    return total.to_bytes((length + 7) // 8, "little")


def _rounded(value: float) -> int:
    """Half rounds up, as in the format's first implementation; Python rounds half to even."""
    return math.floor(value + 0.5)
