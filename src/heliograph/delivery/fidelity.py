"""How much of a picture a lossy file keeps, as the eye would have it: from 0, nothing, to 1, every bit.

Structural similarity (Wang et al. 2004) in windows of 8 by 8, of brightness at three sizes, each half the one before,
and of colour at half size, where codecs save most. What counts is the mean of all windows and of the worst tenth
together: a file that is good on average and broken in one place looks broken.
"""

import numpy as np
from numpy.typing import NDArray

_WINDOW, _STEP = 8, 4
_SCALES = 3
_STABLE_MEAN, _STABLE_SPREAD = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_CHROMA_SHARE = 0.2
_WORST = 0.1

_Plane = NDArray[np.float32]


def fidelity(original: NDArray[np.uint8], copy: NDArray[np.uint8]) -> float:
    """Of two pictures, (height, width, 3) uint8 sRGB each, of one size and at least 8 on each side."""
    assert original.shape == copy.shape, f"{original.shape} and {copy.shape} cannot be compared"
    (luma, *chroma), (copied, *recoloured) = _planes(original), _planes(copy)
    scores: list[float] = []
    for _ in range(_SCALES):
        if min(luma.shape) < _WINDOW:
            break
        scores.append(_similarity(luma, copied))
        luma, copied = _halved(luma), _halved(copied)
    tints = [
        _similarity(_halved(one), _halved(other))
        for one, other in zip(chroma, recoloured, strict=True)
        if min(one.shape) >= 2 * _WINDOW
    ]
    brightness = float(np.mean(scores))
    colour = float(np.mean(tints)) if tints else brightness
    return (1 - _CHROMA_SHARE) * brightness + _CHROMA_SHARE * colour


def _planes(pixels: NDArray[np.uint8]) -> tuple[_Plane, _Plane, _Plane]:
    """Brightness and the two colour differences, 0 to 255 (ITU-R BT.601, as JPEG has it)."""
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    luma = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    blueness, redness = np.float32(0.564) * (blue - luma), np.float32(0.713) * (red - luma)
    return luma.astype(np.float32), blueness.astype(np.float32), redness.astype(np.float32)


def _halved(plane: _Plane) -> _Plane:
    height, width = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
    plane = plane[:height, :width]
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) * np.float32(0.25)


def _similarity(one: _Plane, other: _Plane) -> float:
    """Half the mean over all windows, half that over the worst tenth of them."""
    mean_one, mean_other = _averages(one), _averages(other)
    spread_one = np.maximum(_averages(one * one) - mean_one**2, 0)
    spread_other = np.maximum(_averages(other * other) - mean_other**2, 0)
    together = _averages(one * other) - mean_one * mean_other
    windows = (
        (2 * mean_one * mean_other + _STABLE_MEAN)
        * (2 * together + _STABLE_SPREAD)
        / ((mean_one**2 + mean_other**2 + _STABLE_MEAN) * (spread_one + spread_other + _STABLE_SPREAD))
    ).ravel()
    worst = max(1, int(len(windows) * _WORST))
    return float(windows.mean() + np.partition(windows, worst - 1)[:worst].mean()) / 2


def _averages(plane: _Plane) -> NDArray[np.float64]:
    """The mean of every window: 8 by 8, 4 apart, as differences of running sums."""
    sums = np.zeros((plane.shape[0] + 1, plane.shape[1] + 1))
    np.cumsum(np.cumsum(plane, axis=0, dtype=np.float64), axis=1, out=sums[1:, 1:])
    top, bottom = sums[:-_WINDOW:_STEP], sums[_WINDOW::_STEP]
    right, left = slice(_WINDOW, None, _STEP), slice(None, -_WINDOW, _STEP)
    windows = bottom[:, right] - bottom[:, left] - top[:, right] + top[:, left]
    return windows / _WINDOW**2
