"""Paint a scene: sky, sun or moon, clouds, land, object, weather, and finally the style."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from training.animation import Moment
from training.canvas import CLASSES, OBJECT_CLASSES, Canvas, mix, rgb
from training.objects import paint_island, paint_object
from training.scenes import SIZES, Scene
from training.styles import PIXEL_BLOCK_PX, apply_style, colours_of
from training.terrain import paint_terrain

CELL_PX = 8
"""Edge of one latent cell in picture pixels; a transformer token covers 2 x 2 cells."""

_POSITION_X = {"left": 0.28, "center": 0.50, "right": 0.72}
_OBJECT_SIZE = {
    "house": 0.40, "boat": 0.48, "tree": 0.50, "balloon": 0.46, "castle": 0.50, "lighthouse": 0.56, "windmill": 0.52,
}  # fmt: skip
"""Height of each object as a share of the shorter side (the longer one helps a little)."""
_FLOATING = frozenset({"boat"})
_START = Moment()


@dataclass(frozen=True, slots=True, kw_only=True)
class Painting:
    """A painted scene.

    large: (2 * height, 2 * width, 3) uint8 sRGB, the scene at twice its size (the target of an upscaler)
    layout: (height / 16, width / 16) uint8, index into CLASSES of what each transformer token mainly shows
    object_cells: (height / 8, width / 8) bool, latent cells the object covers
    """

    large: NDArray[np.uint8]
    layout: NDArray[np.uint8]
    object_cells: NDArray[np.bool_]

    def picture(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 sRGB, the scene at its size."""
        return np.asarray(Image.fromarray(self.large).reduce(2))


def paint(
    scene: Scene, size_name: str = "square", moment: Moment = _START, palette: NDArray[np.uint8] | None = None
) -> Painting:
    """Paint the scene at one of SIZES; the same scene, size and moment always give the same pixels.

    What is drawn at random never depends on the moment: that alone keeps the frames of a clip together. palette:
    (colours, 3), the pixel-art colours of the clip's first frame; None finds the picture's own.
    """
    rng = random.Random(scene.seed)
    dot_grid_px = PIXEL_BLOCK_PX if scene.style == "pixel" else 1
    canvas = Canvas(
        SIZES[size_name], time=scene.time, weather=scene.weather, rng=rng, moment=moment, dot_grid_px=dot_grid_px
    )
    horizon = canvas.height * (rng.uniform(0.48, 0.56) if scene.terrain == "sea" else rng.uniform(0.52, 0.60))
    x = (_POSITION_X[scene.position] + rng.uniform(-0.03, 0.03)) * canvas.width
    sun_x = _paint_sky(canvas, scene, horizon, x)
    ground = paint_terrain(canvas, scene.terrain, horizon, sun_x)
    if scene.weather == "foggy":
        _paint_fog(canvas, horizon)
    if scene.object != "none":
        _place_object(canvas, scene, x, horizon, ground)
    if scene.weather == "snowy":
        _paint_snowfall(canvas)
    large = apply_style(canvas, scene.style, palette)
    layout, object_cells = _layout(canvas.class_map())
    return Painting(large=large, layout=layout, object_cells=object_cells)


def paint_clip(scene: Scene, size_name: str, moments: Sequence[Moment]) -> list[Painting]:
    """One painting per moment; the one at second 0 is the still."""
    first = paint(scene, size_name, moments[0])
    palette = colours_of(first.large) if scene.style == "pixel" else None
    return [first, *(paint(scene, size_name, moment, palette) for moment in moments[1:])]


def _paint_sky(canvas: Canvas, scene: Scene, horizon: float, object_x: float) -> float | None:
    """Paint gradient, stars, sun or moon and clouds; returns the column of sun or moon at second 0, if any."""
    rng, width, height, light = canvas.rng, canvas.width, canvas.height, canvas.light
    share = np.linspace(0, height / horizon, height, dtype=np.float32)[:, None]
    stops = np.asarray([light.zenith, light.middle, light.horizon], np.float32)
    if scene.weather in ("cloudy", "snowy", "foggy") and scene.time in ("day", "dawn"):
        stops = stops * 0.72 + np.asarray((214, 222, 232), np.float32) * 0.28
    columns = [np.interp(share[:, 0], (0, 0.52, 1), stops[:, channel]) for channel in range(3)]
    sky = np.repeat(np.stack(columns, -1)[:, None], width, 1).astype(np.float32)

    has_disc = scene.celestial in ("sun", "moon")
    disc_x = rng.choice((0.24, 0.36, 0.64, 0.76)) * width + rng.uniform(-0.03, 0.03) * width
    if scene.object != "none" and abs(disc_x - object_x) < 0.2 * width:
        disc_x = width - disc_x if abs(width - disc_x - object_x) > 0.2 * width else 0.12 * width
    low_sun = scene.celestial == "sun" and scene.time in ("dawn", "sunset")
    disc_y = horizon - height * rng.uniform(0.05, 0.15) if low_sun else height * rng.uniform(0.16, 0.24)
    if low_sun and scene.terrain in ("forest", "city", "mountains"):
        disc_y -= height * 0.16
    radius = canvas.unit * rng.uniform(19, 24) * (1.15 if low_sun else 1.0)
    shown_x = disc_x + canvas.moment.disc_shift * width
    shown_y = disc_y - canvas.moment.disc_rise(scene.time) * height
    if has_disc:
        y, x = np.ogrid[:height, :width]
        distance = np.sqrt((x - shown_x) ** 2 + (y - shown_y) ** 2) / radius
        halo = (0.85 if scene.celestial == "sun" else 0.5) * np.exp(-((distance / 2.4) ** 1.3))
        sky += (np.asarray(light.glow, np.float32) - sky) * halo[..., None].astype(np.float32)
    canvas.set_pixels(sky)
    if scene.time == "night" or scene.celestial == "stars":
        _paint_stars(canvas, horizon, 54 if scene.celestial == "stars" else 10)
    if has_disc:
        _paint_disc(canvas, scene, shown_x, shown_y, radius)
    if scene.weather == "cloudy" or (scene.weather == "clear" and scene.time != "night" and rng.random() < 0.3):
        _paint_clouds(canvas, horizon, 5 if scene.weather == "cloudy" else 2)
    return disc_x if has_disc else None


def _paint_stars(canvas: Canvas, horizon: float, count: int) -> None:
    rng = canvas.rng
    for number in range(count if canvas.dot_grid_px == 1 else count // 2):
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, horizon * 0.9)
        radius = rng.choice((1.3, 1.7, 2.4)) * canvas.unit
        colour = mix((255, 252, 232), canvas.light.zenith, rng.uniform(0, 0.3))
        canvas.dot(x, y, radius, mix(colour, canvas.light.zenith, canvas.moment.dimming(number)))


def _paint_disc(canvas: Canvas, scene: Scene, x: float, y: float, radius: float) -> None:
    if scene.celestial == "sun":
        colour = {"sunset": (255, 226, 132), "dawn": (255, 244, 206)}.get(scene.time, (255, 240, 128))
        canvas.ellipse(x, y, radius, radius, colour, canvas.new_region("sun"))
        return
    disc = Image.new("L", canvas.image.size, 0)
    pen = ImageDraw.Draw(disc)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    if canvas.rng.random() < 0.5:
        shift = radius * 0.62
        pen.ellipse((x - radius + shift, y - radius * 1.1, x + radius + shift, y + radius * 0.9), fill=0)
    canvas.paste((250, 247, 226), disc, canvas.new_region("moon"))


def _paint_clouds(canvas: Canvas, horizon: float, count: int) -> None:
    """Soft heaps with a flat, shaded underside."""
    rng, unit = canvas.rng, canvas.unit
    for k in range(count):
        x = canvas.width * ((k + rng.uniform(0.1, 0.9)) / count + canvas.moment.cloud_shift)
        y = horizon * rng.uniform(0.14, 0.62)
        span = canvas.width * rng.uniform(0.13, 0.20)
        body, belly = Image.new("L", canvas.image.size, 0), Image.new("L", canvas.image.size, 0)
        pen, belly_pen = ImageDraw.Draw(body), ImageDraw.Draw(belly)
        for puff in (-0.8, -0.35, 0.1, 0.5, 0.85):
            radius = span * rng.uniform(0.30, 0.46) * (1.1 - 0.5 * abs(puff))
            px = x + puff * span
            pen.ellipse((px - radius, y - radius * 1.1, px + radius, y + radius * 0.5), fill=235)
            belly_pen.ellipse((px - radius, y - radius * 0.35, px + radius, y + radius * 0.5), fill=235)
        body = body.filter(ImageFilter.GaussianBlur(2.2 * unit))
        belly = belly.filter(ImageFilter.GaussianBlur(4 * unit))
        canvas.paste(rgb(canvas.light.cloud), body, canvas.new_region("cloud"))
        canvas.paste(rgb(canvas.light.cloud_shade), belly.point(lambda v: v * 7 // 10), None)


def _paint_fog(canvas: Canvas, horizon: float) -> None:
    """A pale veil, thickest where the land begins."""
    y = np.arange(canvas.height, dtype=np.float32)[:, None, None]
    depth = y - horizon - canvas.height * 0.02 + canvas.moment.fog_rise * canvas.height
    veil = 0.30 + 0.52 * np.exp(-((depth / (canvas.height * 0.13)) ** 2))
    pale = mix(canvas.light.horizon, canvas.lit((236, 240, 246), 0.0, 0.8), 0.55)
    canvas.set_pixels(canvas.pixels() * (1 - veil) + np.asarray(pale, np.float32) * veil)


def _paint_snowfall(canvas: Canvas) -> None:
    rng = canvas.rng
    for _ in range(44 if canvas.dot_grid_px == 1 else 26):
        radius = rng.choice((1.8, 2.3, 3.0)) * canvas.unit
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
        y = (y + canvas.moment.snow_fall * canvas.height) % canvas.height
        canvas.dot(x, y, radius, (250, 252, 255))


def _place_object(canvas: Canvas, scene: Scene, x: float, horizon: float, ground: float) -> None:
    short, long = sorted((canvas.width, canvas.height))
    size = (0.75 * short + 0.25 * long) * _OBJECT_SIZE[scene.object] * canvas.rng.uniform(0.94, 1.06)
    on_water = scene.terrain in ("sea", "city")
    moment = canvas.moment
    if scene.object == "balloon":
        x += moment.balloon_shift * canvas.width
        basket = max(horizon * 0.93, size * 1.06) - moment.balloon_rise * canvas.height
        paint_object(canvas, "balloon", scene.colour, x, basket, size)
        return
    if scene.object == "boat":
        x += moment.boat_shift * canvas.width
        ground += 0.008 * canvas.height * moment.swing(1.8, 0.0)
    if on_water and scene.object not in _FLOATING:
        paint_island(canvas, x, ground, size * 0.72)
    paint_object(canvas, scene.object, scene.colour, x, ground, size)


def _layout(classes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Token layout and object cells (see Painting) of a class map at canvas resolution."""
    object_indices = [CLASSES.index(name) for name in CLASSES if name in OBJECT_CLASSES]
    cells = _blocks(np.isin(classes, object_indices), CELL_PX * 2).mean(-1) > 0.08
    tokens = _blocks(classes, CELL_PX * 4)
    rows, columns, _ = tokens.shape
    counts = np.zeros((rows, columns, len(CLASSES)), np.float32)
    for index in range(len(CLASSES)):
        counts[..., index] = (tokens == index).mean(-1)
    counts[..., object_indices] *= 2.0
    return counts.argmax(-1).astype(np.uint8), cells


def _blocks(values: NDArray[np.generic], edge: int) -> NDArray[np.generic]:
    """(height, width) cut into (height / edge, width / edge, edge * edge)."""
    height, width = values.shape
    split = values.reshape(height // edge, edge, width // edge, edge)
    return split.transpose(0, 2, 1, 3).reshape(height // edge, width // edge, edge * edge)
