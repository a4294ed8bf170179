"""Statistics that tell a technically broken picture from a sound one, from its pixels alone.

Each is cheap, and each answers to one way in which pictures break: noise, blur, blocks of a codec, blotches and
checkerboards of a decoder, steps between colours, rows that were never decoded. None of them means the same for all
models (pixel art has blocks, water colours are soft), so nothing is decided here: `damage.py` compares them with what
is usual for the model.

A picture larger than 256 pixels on a side is looked at through four windows of 128, one in the middle of each quarter.
They begin at multiples of 8 pixels, so that a codec's grid lies in each where it lies in the picture.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNALS = (
    "noise",
    "fine_detail",
    "sharpness",
    "sharpness_across",
    "coarse_sharpness",
    "edge_height",
    "edge_tails",
    "gradient_agreement",
    "block_steps",
    "block_bends",
    "half_block_steps",
    "luma_blotches",
    "colour_blotches",
    "checkerboard",
    "columns",
    "rows",
    "levels_used",
    "level_gaps",
    "flat_blocks",
    "dead_rows",
    "spread",
    "saturation",
    "clipped",
)
"""What `signals` measures, in the order of its answer."""

SIDE_MIN_PX = 32
"""Below that there is too little of a picture to say anything."""

_WHOLE_MAX_PX = 256
_WINDOW_PX = 128
_BLOCK_PX = 8
_FAINT = 0.02
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
_DEAD_ROW_STEP = 0.75

Floats = NDArray[np.floating[Any]]


def signals(pixels: NDArray[np.uint8]) -> tuple[float, ...] | None:
    """The statistics of `pixels` (height, width, 3) sRGB in the order of `SIGNALS`; None where it is too small."""
    if min(pixels.shape[:2]) < SIDE_MIN_PX:
        return None
    found = np.array([_measured(window) for window in _windows(pixels)])
    return tuple(float(round(value, 5)) for value in found.mean(axis=0))


def _windows(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    height, width = pixels.shape[:2]
    if max(height, width) <= _WHOLE_MAX_PX:
        yield pixels
        return
    for row in (1, 3):
        for column in (1, 3):
            top, left = _start(height * row // 4, height), _start(width * column // 4, width)
            yield pixels[top : top + _WINDOW_PX, left : left + _WINDOW_PX]


def _start(middle: int, side: int) -> int:
    """Where a window around `middle` begins: within the picture, at a multiple of the block."""
    return max(0, min(middle - _WINDOW_PX // 2, side - _WINDOW_PX)) // _BLOCK_PX * _BLOCK_PX


def _measured(pixels: NDArray[np.uint8]) -> list[float]:
    height, width = (side // (2 * _BLOCK_PX) * 2 * _BLOCK_PX for side in pixels.shape[:2])
    rgb = pixels[:height, :width].astype(np.float32)
    luma: Floats = rgb @ _WEIGHTS
    dx, dy = np.diff(luma, axis=1), np.diff(luma, axis=0)
    half, quarter = _reduced(luma), _reduced(_reduced(luma))
    fine, middle, coarse = _laplacian(luma), _laplacian(half), _laplacian(quarter)
    diagonal = luma[:-1, :-1] - luma[1:, :-1] - luma[:-1, 1:] + luma[1:, 1:]
    steepness = np.concatenate([np.abs(dx).ravel(), np.abs(dy).ravel()])
    steep_mean = float(steepness.mean())
    spread = float(luma.std())
    red_green, blue = rgb[..., 0] - rgb[..., 1], rgb[..., 2] - luma
    saturation = rgb.max(axis=2) - rgb.min(axis=2)
    return [
        _log(float(np.median(np.abs(diagonal)))),
        _log(float(np.abs(diagonal).mean())),
        _log(_energy(fine)) - _log(_energy(middle)),
        _log(float(np.abs(dx).mean())) - _log(float(np.abs(dy).mean())),
        _log(_energy(middle)) - _log(_energy(coarse)),
        _log(float(np.percentile(steepness, 99.5))) - _log(spread),
        _log(_energy(dx) + _energy(dy)) - 2 * _log(steep_mean),
        _agreement(dx) + _agreement(dy.T),
        _steps(dx, _BLOCK_PX) + _steps(dy.T, _BLOCK_PX),
        _bends(luma) + _bends(luma.T),
        _steps(dx, _BLOCK_PX // 2) + _steps(dy.T, _BLOCK_PX // 2),
        _blotches(luma),
        _blotches(red_green) + _blotches(blue),
        _alternation(luma, in_rows=True, in_columns=True) - _log(steep_mean),
        _alternation(luma, in_rows=False, in_columns=True) - _log(steep_mean),
        _alternation(luma, in_rows=True, in_columns=False) - _log(steep_mean),
        _levels_used(pixels),
        _level_gaps(pixels),
        float((_blocks(luma).std(axis=(1, 3)) < 1.0).mean()),
        _dead_rows(dx),
        _log(spread),
        _log(float(saturation.mean())),
        float(((pixels <= 1) | (pixels >= 254)).mean()),
    ]


def _log(value: float) -> float:
    """The logarithm of a level, or of an energy of levels; faint ones are all alike."""
    return float(np.log(value + _FAINT))


def _energy(values: NDArray[Any]) -> float:
    return float(np.square(values).mean())


def _reduced(values: Floats) -> Floats:
    """At half the size, two by two averaged."""
    return np.float32(0.25) * (values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2])


def _laplacian(values: Floats) -> Floats:
    inner = values[1:-1, 1:-1]
    return values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:] - np.float32(4) * inner


def _agreement(steps: Floats) -> float:
    """How much one step says of the next: near 1 for what is blurred, below 0 for noise."""
    before, after = steps[:, :-1], steps[:, 1:]
    return float((before * after).mean() / (np.square(steps).mean() + _FAINT))


def _steps(steps: Floats, period: int) -> float:
    """How much steeper it is across the edges of blocks than within them, where one would begin at the first pixel."""
    by_phase = np.array([np.abs(steps[:, phase::period]).mean() for phase in range(period)])
    return _log(float(by_phase[period - 1])) - _log(float(np.delete(by_phase, period - 1).mean()))


def _bends(luma: Floats) -> float:
    """How much the picture bends at the edges of blocks, over the largest bend anywhere else in the period."""
    second = np.abs(luma[:, 2:] - 2 * luma[:, 1:-1] + luma[:, :-2])
    by_phase = np.array([second[:, phase::_BLOCK_PX].mean() for phase in range(_BLOCK_PX)])
    at_edges = by_phase[_BLOCK_PX - 2 :].mean()
    return _log(float(at_edges)) - _log(float(by_phase[: _BLOCK_PX - 2].max()))


def _blocks(values: Floats) -> Floats:
    """(rows, 8, columns, 8): the blocks of a picture."""
    height, width = values.shape
    return values.reshape(height // _BLOCK_PX, _BLOCK_PX, width // _BLOCK_PX, _BLOCK_PX)


def _blotches(values: Floats) -> float:
    """How much blocks differ from their neighbours as a whole, over what they hold of detail."""
    blocks = _blocks(values)
    means = blocks.mean(axis=(1, 3))
    return _log(_energy(_laplacian(means))) - _log(float(blocks.var(axis=(1, 3)).mean()))


def _alternation(luma: Floats, *, in_rows: bool, in_columns: bool) -> float:
    """How far neighbouring pixels alternate between light and dark, block by block."""
    signs = np.ones(luma.shape, np.float32)
    if in_rows:
        signs[1::2] *= -1
    if in_columns:
        signs[:, 1::2] *= -1
    return _log(float(np.median(np.abs(_blocks(luma * signs).mean(axis=(1, 3))))))


def _histogram(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.bincount(pixels[..., 1].ravel(), minlength=256)


def _levels_used(pixels: NDArray[np.uint8]) -> float:
    """How many levels of green make up the picture: the exponential of their entropy, as a logarithm."""
    shares = _histogram(pixels) / (pixels.shape[0] * pixels.shape[1])
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def _level_gaps(pixels: NDArray[np.uint8]) -> float:
    """The share of levels that nothing has, among those between the darkest and the lightest hundredth."""
    counts = _histogram(pixels)
    reached = counts.cumsum() / counts.sum()
    low, high = int((reached < 0.01).sum()), int((reached < 0.99).sum())
    return float((counts[low : high + 1] == 0).mean())


def _dead_rows(dx: Floats) -> float:
    """The share of rows at the bottom end that are of one colour each."""
    is_dead = np.abs(dx).mean(axis=1) < _DEAD_ROW_STEP
    alive = np.flatnonzero(~is_dead)
    last = int(alive[-1]) + 1 if len(alive) else 0
    return 1 - last / len(is_dead)
