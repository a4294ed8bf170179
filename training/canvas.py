"""The sheet a scene is painted on: colours, a region map for outlines, and the light of the hour.

Everything is drawn at twice the picture's size and box-reduced at the end (or kept, as the target of an upscaler).
Beside the colours the canvas keeps one region number per pixel: line art draws the borders between regions, and the
class of each region (sky, house, sea...) becomes the layout the transformer learns to predict while training.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.animation import Moment

Colour = tuple[float, float, float]
Point = tuple[float, float]

CLASSES = (
    "sky", "cloud", "sun", "moon", "mountains", "hills", "desert", "sea", "forest", "city", "ground",
    "house", "boat", "tree", "balloon", "castle", "lighthouse", "windmill",
)  # fmt: skip
OBJECT_CLASSES = frozenset(CLASSES[11:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """The colours of one hour: sky stops from zenith to horizon, the tint on the land, and the glow of sun or moon."""

    zenith: Colour
    middle: Colour
    horizon: Colour
    tint: Colour
    glow: Colour
    cloud: Colour
    cloud_shade: Colour


LIGHTS: dict[str, tuple[Light, ...]] = {
    "dawn": (
        Light(zenith=(118, 146, 214), middle=(226, 178, 206), horizon=(255, 224, 184), tint=(1.0, 0.86, 0.88),
              glow=(255, 240, 200), cloud=(255, 232, 230), cloud_shade=(214, 176, 204)),
        Light(zenith=(150, 150, 216), middle=(246, 186, 188), horizon=(255, 234, 200), tint=(1.02, 0.86, 0.86),
              glow=(255, 236, 190), cloud=(255, 236, 226), cloud_shade=(224, 176, 190)),
    ),
    "day": (
        Light(zenith=(48, 130, 224), middle=(112, 186, 244), horizon=(206, 236, 252), tint=(1.0, 1.0, 1.0),
              glow=(255, 250, 210), cloud=(255, 255, 255), cloud_shade=(204, 222, 240)),
        Light(zenith=(62, 152, 232), middle=(136, 206, 244), horizon=(224, 244, 248), tint=(1.02, 1.0, 0.96),
              glow=(255, 248, 200), cloud=(255, 255, 252), cloud_shade=(208, 228, 238)),
    ),
    "sunset": (
        Light(zenith=(74, 44, 116), middle=(226, 92, 92), horizon=(255, 192, 92), tint=(0.88, 0.60, 0.54),
              glow=(255, 222, 130), cloud=(255, 176, 132), cloud_shade=(170, 82, 112)),
        Light(zenith=(104, 52, 104), middle=(240, 116, 74), horizon=(255, 212, 116), tint=(0.92, 0.64, 0.50),
              glow=(255, 226, 140), cloud=(255, 190, 128), cloud_shade=(188, 86, 96)),
    ),
    "night": (
        Light(zenith=(6, 10, 34), middle=(18, 28, 74), horizon=(46, 62, 120), tint=(0.30, 0.37, 0.60),
              glow=(196, 212, 246), cloud=(76, 88, 134), cloud_shade=(38, 46, 88)),
        Light(zenith=(12, 8, 38), middle=(32, 26, 82), horizon=(70, 64, 128), tint=(0.33, 0.35, 0.60),
              glow=(206, 208, 244), cloud=(84, 84, 138), cloud_shade=(44, 42, 90)),
    ),
}  # fmt: skip

_HAZE_OF_WEATHER = {"clear": 1.0, "cloudy": 1.1, "foggy": 1.8, "snowy": 1.15}


class Canvas:
    """A picture being painted, `width` x `height` canvas pixels (twice the final picture), y pointing down."""

    def __init__(
        self,
        size: tuple[int, int],
        *,
        time: str,
        weather: str,
        rng: random.Random,
        moment: Moment,
        dot_grid_px: int = 1,
    ) -> None:
        self.width, self.height = size[0] * 2, size[1] * 2
        self.unit = (self.width * self.height) ** 0.5 / 256
        """Length of one pixel of the square 256 x 256 canvas: sizes given in it suit every format."""
        self.dot_grid_px = dot_grid_px
        self.rng = rng
        self.moment = moment
        self.time = time
        self.snowy = weather == "snowy"
        self.light = rng.choice(LIGHTS[time])
        self.haze = _HAZE_OF_WEATHER[weather]
        self.image = Image.new("RGB", (self.width, self.height))
        self.regions = Image.new("L", (self.width, self.height), 0)
        self.region_classes: list[int] = [CLASSES.index("sky")]
        self._pen = ImageDraw.Draw(self.image)
        self._region_pen = ImageDraw.Draw(self.regions)

    def new_region(self, class_name: str) -> int:
        """A fresh region number of the class; when all 255 are taken, the latest of the same class is shared."""
        index = CLASSES.index(class_name)
        if len(self.region_classes) > 254:
            return 254 - self.region_classes[::-1].index(index) if index in self.region_classes else 254
        self.region_classes.append(index)
        return len(self.region_classes) - 1

    def lit(self, colour: Colour, depth: float = 0.0, share: float = 1.0) -> Colour:
        """The daylight colour as it looks at this hour; `depth` 0..1 fades it into the haze at the horizon."""
        tinted = [c * (1 - share + share * t) for c, t in zip(colour, self.light.tint, strict=True)]
        return mix((tinted[0], tinted[1], tinted[2]), self.light.horizon, min(0.92, depth * self.haze))

    def jitter(self, colour: Colour, spread: float = 8.0) -> Colour:
        """The colour, each channel moved by at most `spread` levels."""
        return tuple(min(255.0, max(0.0, c + self.rng.uniform(-spread, spread))) for c in colour)  # type: ignore[return-value]

    def polygon(self, points: Sequence[Point], colour: Colour, region: int | None) -> None:
        """Fill a polygon; region None leaves the region map as it is (shading inside a shape)."""
        self._pen.polygon(points, fill=rgb(colour))
        if region is not None:
            self._region_pen.polygon(points, fill=region)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, region: int | None) -> None:
        """Fill an ellipse given by its centre and radii."""
        box = (x - rx, y - ry, x + rx, y + ry)
        self._pen.ellipse(box, fill=rgb(colour))
        if region is not None:
            self._region_pen.ellipse(box, fill=region)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A star or snowflake: a small disc, or one whole block where the style has a coarse grid."""
        grid = self.dot_grid_px
        if grid > 1:
            left, top = x // grid * grid, y // grid * grid
            self.rectangle(left, top, left + grid - 1, top + grid - 1, colour, None)
        else:
            self.ellipse(x, y, radius, radius, colour, None)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, region: int | None) -> None:
        """Fill an axis-parallel rectangle."""
        self._pen.rectangle((x0, y0, x1, y1), fill=rgb(colour))
        if region is not None:
            self._region_pen.rectangle((x0, y0, x1, y1), fill=region)

    def line(self, points: Sequence[Point], colour: Colour, width: float, region: int | None = None) -> None:
        """Draw a stroke `width` canvas pixels wide."""
        self._pen.line(points, fill=rgb(colour), width=max(1, round(width)), joint="curve")
        if region is not None:
            self._region_pen.line(points, fill=region, width=max(1, round(width)))

    def fill_below(
        self, profile: NDArray[np.float32], crest: Colour, foot: Colour, span: float, region: int | None
    ) -> None:
        """Fill everything under a skyline with a gradient that starts at the skyline itself.

        profile: (width,) y of the skyline per column; the colour goes from crest to foot over `span` pixels.
        """
        depth = np.arange(self.height, dtype=np.float32)[:, None] - profile[None, :]
        below = depth >= 0
        blend = np.clip(depth / span, 0, 1)[..., None]
        colours = np.asarray(crest, np.float32) * (1 - blend) + np.asarray(foot, np.float32) * blend
        self.set_pixels(np.where(below[..., None], colours, self.pixels()))
        if region is not None:
            self.regions.paste(region, (0, 0), Image.fromarray(below.astype(np.uint8) * 255))

    def pixels(self) -> NDArray[np.float32]:
        """(height, width, 3) float32 copy of the colours, 0..255."""
        return np.asarray(self.image).astype(np.float32)

    def set_pixels(self, pixels: NDArray[np.float32]) -> None:
        """Replace the colours; values are clipped to 0..255."""
        self.image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        self._pen = ImageDraw.Draw(self.image)

    def paste(self, colours: Image.Image | tuple[int, int, int], mask: Image.Image, region: int | None) -> None:
        """Paste an image or one colour through a mask; the region goes where the mask is more than half opaque."""
        self.image.paste(colours, (0, 0) if isinstance(colours, tuple) else None, mask)
        if region is not None:
            self.regions.paste(region, (0, 0), mask.point(lambda v: 255 if v > 127 else 0))

    def class_map(self) -> NDArray[np.uint8]:
        """(height, width) uint8, index into CLASSES of what each canvas pixel shows."""
        table = np.zeros(256, np.uint8)
        table[: len(self.region_classes)] = self.region_classes
        return table[np.asarray(self.regions)]


def rgb(colour: Colour) -> tuple[int, int, int]:
    """The colour as whole levels 0..255."""
    red, green, blue = (int(min(255, max(0, c))) for c in colour)
    return red, green, blue


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """A blend: share 0 gives the first colour, 1 the second."""
    a, b, c = (x * (1 - share) + y * share for x, y in zip(first, second, strict=True))
    return a, b, c


def waves(rng: random.Random, width: int, base: float, height: float, count: float = 1.3) -> NDArray[np.float32]:
    """(width,) a smooth skyline around y = base that swings by about `height`, `count` swells across the picture."""
    x = np.linspace(0, 2 * np.pi, width, dtype=np.float32)
    swell = np.zeros(width, np.float32)
    for octave in (1, 2, 3):
        swell += np.sin(x * octave * count * rng.uniform(0.7, 1.2) + rng.uniform(0, 2 * np.pi)) / octave**1.4
    return base - height * 0.5 * swell
