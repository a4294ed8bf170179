"""Ways in which decoders, codecs and interrupted runs spoil a picture, done to sound ones on purpose.

What `train_damage` learns from and `benchmarks.gates` measures with. numpy and Pillow are enough.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Picture = NDArray[np.uint8]
"""(height, width, 3) sRGB."""
Damage = Callable[[Picture, np.random.Generator], Picture]

_BLOCK_PX = 8


def black(picture: Picture, rng: np.random.Generator) -> Picture:
    """Nothing at all: what a decoder makes of values that are not numbers."""
    return np.zeros_like(picture)


def flat(picture: Picture, rng: np.random.Generator) -> Picture:
    """One colour with the faint ripple of a dead decoder."""
    colour = rng.integers(0, 256, 3)
    return _levels(colour + rng.normal(0, 0.5, picture.shape))


def pure_noise(picture: Picture, rng: np.random.Generator) -> Picture:
    """Noise without a picture."""
    return _levels(rng.normal(128, rng.uniform(30, 70), picture.shape))


def half_decoded(picture: Picture, rng: np.random.Generator) -> Picture:
    """The lower part was never decoded."""
    spoiled = picture.copy()
    spoiled[int(len(picture) * rng.uniform(0.4, 0.7)) :] = int(rng.choice([0, 127, 128, 255]))
    return spoiled


def unfinished(share: float) -> Damage:
    """A run that stopped early: `share` of what is seen is still noise, at the grain of latents."""

    def spoil(picture: Picture, rng: np.random.Generator) -> Picture:
        height, width, _ = picture.shape
        grain = rng.normal(0, 1, (height // 4, width // 4, 3))
        large = np.stack([_stretched(grain[..., channel], width, height) for channel in range(3)], axis=2)
        return _levels(picture * (1 - share) + share * (128 + 90 * large + rng.normal(0, 18, picture.shape)))

    return spoil


def noisy(deviation: float) -> Damage:
    """Gaussian noise of so many levels."""
    return lambda picture, rng: _levels(picture + rng.normal(0, deviation, picture.shape))


def blurred(radius_px: float) -> Damage:
    """Gaussian blur."""
    return lambda picture, rng: np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius_px)))


def enlarged(picture: Picture, rng: np.random.Generator) -> Picture:
    """A quarter of the size, enlarged by a plain filter."""
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(Image.fromarray(picture).reduce(4).resize(size, Image.Resampling.BILINEAR))


def jpeg(quality: int) -> Damage:
    """Through JPEG at that quality."""

    def spoil(picture: Picture, rng: np.random.Generator) -> Picture:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file).convert("RGB"))

    return spoil


def checkerboard(picture: Picture, rng: np.random.Generator) -> Picture:
    """A transposed convolution's pattern: every second pixel 8 levels lighter, the others darker."""
    rows, columns = np.indices(picture.shape[:2])
    return _levels(picture + 8.0 * np.where((rows + columns) % 2, 1, -1)[..., None])


def blotches(picture: Picture, rng: np.random.Generator) -> Picture:
    """A decoder whose latents are off: blocks of 8 x 8 pixels with a tint of their own."""
    height, width, _ = picture.shape
    tints = rng.normal(0, 14, (-(-height // _BLOCK_PX), -(-width // _BLOCK_PX), 3))
    return _levels(picture + np.kron(tints, np.ones((_BLOCK_PX, _BLOCK_PX, 1)))[:height, :width])


def posterised(picture: Picture, rng: np.random.Generator) -> Picture:
    """Eight levels a channel."""
    return (picture // 32 * 32 + 16).astype(np.uint8)


def overcooked(picture: Picture, rng: np.random.Generator) -> Picture:
    """Far too much guidance: colours and contrasts beyond what can be shown."""
    levels = picture.astype(np.float64)
    grey = levels.mean(axis=2, keepdims=True)
    return _levels(((grey + 2.2 * (levels - grey)) - 128) * 1.8 + 128)


def shuffled(picture: Picture, rng: np.random.Generator) -> Picture:
    """Tiles of a quarter of the width in the wrong places."""
    side_y, side_x = picture.shape[0] // 4, picture.shape[1] // 4
    tiles = [(row, column) for row in range(4) for column in range(4)]
    spoiled = picture.copy()
    for (row, column), place in zip(tiles, rng.permutation(len(tiles)), strict=True):
        from_row, from_column = tiles[place]
        spoiled[row * side_y : (row + 1) * side_y, column * side_x : (column + 1) * side_x] = picture[
            from_row * side_y : (from_row + 1) * side_y, from_column * side_x : (from_column + 1) * side_x
        ]
    return spoiled


DAMAGES: Mapping[str, Damage] = {
    "black": black,
    "flat": flat,
    "pure noise": pure_noise,
    "half decoded": half_decoded,
    "unfinished 20 %": unfinished(0.2),
    "unfinished 40 %": unfinished(0.4),
    "noise 25": noisy(25),
    "blur 2": blurred(2),
    "blur 4": blurred(4),
    "enlarged 4x": enlarged,
    "JPEG 10": jpeg(10),
    "JPEG 30": jpeg(30),
    "checkerboard 8": checkerboard,
    "8x8 blotches": blotches,
    "posterised 8": posterised,
    "overcooked": overcooked,
    "tiles shuffled": shuffled,
}
"""Every damage by the name it has in tables."""

KINDS: Mapping[str, str] = {
    "black": "flat",
    "flat": "flat",
    "pure noise": "noisy",
    "half decoded": "half_decoded",
    "unfinished 20 %": "noisy",
    "unfinished 40 %": "noisy",
    "noise 25": "noisy",
    "blur 2": "blurred",
    "blur 4": "blurred",
    "enlarged 4x": "blurred",
    "JPEG 10": "blocky",
    "JPEG 30": "blocky",
    "checkerboard 8": "checkered",
    "8x8 blotches": "blotched",
    "posterised 8": "posterised",
}
"""What the gate calls each that it is taught to know."""


def _stretched(values: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)


def _levels(values: NDArray[np.float64]) -> Picture:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
