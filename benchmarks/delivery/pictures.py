"""A hundred pictures of ten kinds, drawn from seeds: what codecs meet, from smooth skies to text."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Pixels = NDArray[np.uint8]
Dice = np.random.Generator


def pictures(count: int, side_px: int = 384) -> Iterator[tuple[str, Pixels]]:
    """(kind, (side, side, 3) uint8), the kinds by turns."""
    for number in range(count):
        kind = list(_KINDS)[number % len(_KINDS)]
        yield kind, _KINDS[kind](np.random.default_rng(number), side_px)


def natural(dice: Dice, side_px: int, *, steepness: float = 1.1) -> Pixels:
    """Clouds of every size, as the spectrum of photographs has them; the steeper, the smoother."""
    waves = np.hypot(*np.meshgrid(np.fft.fftfreq(side_px), np.fft.fftfreq(side_px)))
    waves[0, 0] = 1.0
    noise = np.fft.fft2(dice.normal(size=(side_px, side_px, 3)), axes=(0, 1))
    clouds = np.real(np.fft.ifft2(noise / waves[..., None] ** steepness, axes=(0, 1)))
    shared = clouds.mean(axis=2, keepdims=True)
    return _shown(0.75 * shared / shared.std() + 0.25 * clouds / clouds.std(), dice)


def _shown(values: NDArray[np.float64], dice: Dice) -> Pixels:
    tint = dice.uniform(0.7, 1.2, 3)
    return ((values - values.mean()) / values.std() * 48 * tint + 127).clip(0, 255).astype(np.uint8)


def _landscape(dice: Dice, side_px: int) -> Pixels:
    sky = np.linspace(0, 1, side_px)[:, None, None]
    top, low = dice.uniform(60, 255, 3), dice.uniform(100, 255, 3)
    canvas = (top + (low - top) * sky) * np.ones((1, side_px, 1))
    for layer in range(5):
        waves = sum(
            dice.normal() / wave * np.sin(np.linspace(0, wave * 3, side_px) + dice.uniform(0, 6))
            for wave in range(1, 40)
        )
        line = side_px * (0.45 + 0.11 * layer) + np.asarray(waves) * side_px * 0.05
        ground = np.arange(side_px)[:, None] > line[None, :]
        colour = dice.uniform(20, 160, 3) * (1 - 0.1 * layer)
        texture = dice.normal(0, 2 + 3 * layer, (side_px, side_px, 1))
        canvas = np.where(ground[..., None], colour + texture, canvas)
    return canvas.clip(0, 255).astype(np.uint8)


def _portrait(dice: Dice, side_px: int) -> Pixels:
    image = Image.fromarray(natural(dice, side_px, steepness=2.0))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = dice.uniform(0, side_px, 2)
        radius = dice.uniform(0.05, 0.3) * side_px
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(dice.integers(30, 230, 3).tolist()))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(side_px / 60))).astype(float)
    return (soft + dice.normal(0, 2.5, soft.shape)).clip(0, 255).astype(np.uint8)


def _text(dice: Dice, side_px: int) -> Pixels:
    image = Image.new("RGB", (side_px, side_px), tuple(dice.integers(225, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for line in range(0, side_px, 18):
        words = " ".join("".join(map(chr, dice.integers(97, 123, dice.integers(2, 9)))) for _ in range(12))
        draw.text((10, line), words, fill=tuple(dice.integers(0, 80, 3).tolist()), font=ImageFont.load_default(13))
    return np.asarray(image)


def _drawing(dice: Dice, side_px: int) -> Pixels:
    image = Image.new("RGB", (side_px, side_px), "white")
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        points = [tuple(point) for point in dice.uniform(0, side_px, (3, 2)).tolist()]
        colour = tuple(dice.integers(0, 256, 3).tolist())
        if dice.random() < 0.4:
            draw.polygon(points, fill=colour, outline="black")
        else:
            draw.line(points, fill=colour, width=int(dice.integers(1, 5)), joint="curve")
    return np.asarray(image.filter(ImageFilter.SMOOTH))


def _screen(dice: Dice, side_px: int) -> Pixels:
    image = Image.new("RGB", (side_px, side_px), tuple(dice.integers(235, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        x, y = dice.integers(0, side_px - 40, 2).tolist()
        width, height = dice.integers(40, side_px // 2, 2).tolist()
        fill = tuple(dice.integers(120, 256, 3).tolist())
        draw.rounded_rectangle((x, y, x + width, y + height), 8, fill=fill, outline=(90, 90, 90))
        draw.text((x + 8, y + 8), "Save as copy", fill=(20, 20, 20), font=ImageFont.load_default(12))
    inset = natural(dice, side_px // 3)
    image.paste(Image.fromarray(inset), (side_px // 3, side_px // 2))
    return np.asarray(image)


def _foliage(dice: Dice, side_px: int) -> Pixels:
    green = natural(dice, side_px, steepness=0.7).astype(float) * (0.6, 1.0, 0.4)
    return green.clip(0, 255).astype(np.uint8)


def _gradient(dice: Dice, side_px: int) -> Pixels:
    x, y = np.meshgrid(np.linspace(0, 1, side_px), np.linspace(0, 1, side_px))
    corners = dice.uniform(0, 255, (4, 3))
    mixed = np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], axis=-1) @ corners
    return (mixed + dice.normal(0, 0.7, mixed.shape)).clip(0, 255).astype(np.uint8)


def _night(dice: Dice, side_px: int) -> Pixels:
    sky = natural(dice, side_px, steepness=1.6).astype(float) * 0.18
    stars = dice.random((side_px, side_px, 1)) > 0.997
    glow = np.asarray(Image.fromarray((stars[..., 0] * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1)))
    return (sky + 4.0 * glow[..., None] + dice.normal(0, 3, sky.shape)).clip(0, 255).astype(np.uint8)


def _bricks(dice: Dice, side_px: int) -> Pixels:
    rows, columns = np.mgrid[0:side_px, 0:side_px]
    height, width = dice.integers(14, 40, 2).tolist()
    shift = (rows // height % 2) * (width // 2)
    joints = (rows % height < 2) | ((columns + shift) % width < 2)
    stones = dice.uniform(0.7, 1.2, (side_px // height + 2, side_px // width + 3))
    tone = stones[rows // height, (columns + shift) // width]
    base = np.where(joints[..., None], 170.0, tone[..., None] * dice.uniform(60, 190, 3))
    return (base + dice.normal(0, 6, (side_px, side_px, 1))).clip(0, 255).astype(np.uint8)


_KINDS: dict[str, Callable[[Dice, int], Pixels]] = {
    "clouds": natural,
    "landscape": _landscape,
    "portrait": _portrait,
    "text": _text,
    "drawing": _drawing,
    "screen": _screen,
    "foliage": _foliage,
    "gradient": _gradient,
    "night": _night,
    "bricks": _bricks,
}
