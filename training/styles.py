"""Four ways to render one painted scene: flat illustration, watercolour, line art and pixel art.

Each takes the finished canvas and returns (height, width, 3) uint8 pixels at canvas resolution, twice the picture's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.canvas import CLASSES, OBJECT_CLASSES, Canvas

PIXEL_BLOCK_PX = 8
"""Edge of one pixel-art block on the canvas, 4 px in the picture: it divides the autoencoder's cells."""
_PALETTE_COLOURS = 20

_PAPER = {"dawn": (252, 238, 236), "day": (252, 250, 244), "sunset": (252, 222, 188), "night": (34, 42, 82)}
_INK = {"dawn": (72, 52, 84), "day": (34, 34, 44), "sunset": (92, 40, 32), "night": (226, 232, 250)}


def apply_style(canvas: Canvas, style: str, palette: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """The scene in the given style; palette: (colours, 3), what pixel art keeps to, None for a palette of its own."""
    match style:
        case "watercolor":
            return _watercolor(canvas)
        case "lineart":
            return _lineart(canvas)
        case "pixel":
            return _pixel(canvas, palette)
        case _:
            return np.asarray(canvas.image)


def _watercolor(canvas: Canvas) -> NDArray[np.uint8]:
    """Soft pigment that pools unevenly, darker rims where washes meet, and an unpainted ragged margin."""
    width, height = canvas.image.size
    pigment = _blotches(canvas, 9)
    soft = np.asarray(canvas.image.filter(ImageFilter.GaussianBlur(1.6)), np.float32)
    paper = np.asarray((253, 250, 243), np.float32)
    strength = (0.16 if canvas.time == "night" else 0.26) + 0.34 * (pigment - 0.5)
    washed = soft + (paper - soft) * np.clip(strength, 0.02, 0.6)[..., None]
    edges = Image.fromarray(_borders(canvas).astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(1.5))
    washed *= 1 - 0.24 * (np.asarray(edges, np.float32) / 255)[..., None]
    y, x = np.ogrid[:height, :width]
    margin = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y)) / canvas.unit
    painted = np.clip((margin + 16 * (pigment - 0.5) - 7) / 4, 0, 1)[..., None]
    return np.clip(washed * painted + paper * (1 - painted), 0, 255).astype(np.uint8)


def _lineart(canvas: Canvas) -> NDArray[np.uint8]:
    """Ink outlines on toned paper, light ink on dark paper at night, with a light wash of colour on the object."""
    paper = np.asarray(_PAPER[canvas.time], np.float32)
    ink = np.asarray(_INK[canvas.time], np.float32)
    outline = Image.fromarray(_borders(canvas).astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(3))
    stroke = (np.asarray(outline.filter(ImageFilter.GaussianBlur(0.6)), np.float32) / 255)[..., None]
    object_indices = [CLASSES.index(name) for name in sorted(OBJECT_CLASSES)] + [CLASSES.index("sun")]
    on_object = np.isin(canvas.class_map(), object_indices)[..., None]
    wash = paper * 0.45 + canvas.pixels() * 0.55
    base = np.where(on_object, wash, paper * 0.90 + canvas.pixels() * 0.10)
    return np.clip(base * (1 - stroke) + ink * stroke, 0, 255).astype(np.uint8)


def colours_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(colours, 3) the distinct colours of a (height, width, 3) picture in pixel art."""
    return np.unique(pixels[::PIXEL_BLOCK_PX, ::PIXEL_BLOCK_PX].reshape(-1, 3), axis=0)


def _pixel(canvas: Canvas, palette: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Coarse square pixels in a palette of a few colours."""
    small = canvas.image.reduce(PIXEL_BLOCK_PX)
    if palette is None:
        indexed = small.quantize(_PALETTE_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        return np.asarray(indexed.convert("RGB").resize(canvas.image.size, Image.Resampling.NEAREST))
    distances = np.square(np.asarray(small, np.int32)[..., None, :] - palette.astype(np.int32)).sum(-1)
    blocks = palette[distances.argmin(-1)]
    return blocks.repeat(PIXEL_BLOCK_PX, 0).repeat(PIXEL_BLOCK_PX, 1)


def _borders(canvas: Canvas) -> NDArray[np.bool_]:
    """(height, width) True where a region touches another one to its left or above."""
    regions = np.asarray(canvas.regions)
    borders = np.zeros(regions.shape, bool)
    borders[1:] |= regions[1:] != regions[:-1]
    borders[:, 1:] |= regions[:, 1:] != regions[:, :-1]
    return borders


def _blotches(canvas: Canvas, cells: int) -> NDArray[np.float32]:
    """(height, width) smooth noise in 0..1 with about `cells` blotches across."""
    coarse = np.frombuffer(canvas.rng.randbytes(cells * cells), np.uint8).reshape(cells, cells)
    smooth = Image.fromarray(coarse).resize(canvas.image.size, Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32) / 255
