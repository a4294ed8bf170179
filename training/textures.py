"""Pictures that look like photographs to statistics: surfaces of 1/f noise behind one another, with soft edges.

They stand for what the built-in models cannot draw, so that the damage network sees more than landscapes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SIDES_PX = (128, 192, 256)


def photo_like(rng: np.random.Generator) -> NDArray[np.uint8]:
    """(side, side, 3) sRGB of one of `SIDES_PX`: a surface, others before it, and a camera's noise."""
    side = int(rng.choice(SIDES_PX))
    picture = _surface(rng, side)
    for _ in range(int(rng.integers(1, 6))):
        cover = _silhouette(rng, side)
        picture = picture * (1 - cover) + _surface(rng, side) * cover
    picture += rng.normal(0, rng.uniform(0, 3), picture.shape)
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


def _surface(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    """One colour with a texture in light and a fainter one in colour."""
    light = _field(rng, side, float(rng.uniform(1.0, 1.9)))[..., None] * rng.uniform(8, 40)
    tints = np.stack([_field(rng, side, 1.6) for _ in range(3)], axis=2) * rng.uniform(1, 10)
    return rng.uniform(30, 220, 3) + light + tints


def _field(rng: np.random.Generator, side: int, slope: float) -> NDArray[np.float64]:
    """Noise whose amplitude falls with frequency to the power of `slope`, with a deviation of 1."""
    across, down = np.fft.rfftfreq(side)[None, :], np.fft.fftfreq(side)[:, None]
    frequency = np.hypot(across, down)
    frequency[0, 0] = 1
    shape = (side, side // 2 + 1)
    field = np.fft.irfft2((rng.normal(size=shape) + 1j * rng.normal(size=shape)) / frequency**slope, s=(side, side))
    return (field - field.mean()) / field.std()


def _silhouette(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    """(side, side, 1) from 0 to 1: where something stands in front, more or less in focus."""
    image = Image.new("L", (2 * side, 2 * side), 0)
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        points = rng.integers(-side // 4, 2 * side + side // 4, (int(rng.integers(3, 7)), 2))
        draw.polygon([(int(x), int(y)) for x, y in points], fill=255)
    else:
        (x, y), radius = rng.integers(0, 2 * side, 2), int(rng.integers(side // 8, side))
        draw.ellipse((int(x) - radius, int(y) - radius, int(x) + radius, int(y) + radius), fill=255)
    soft = image.reduce(2).filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 1.2))))
    return np.asarray(soft, dtype=np.float64)[..., None] / 255
