"""The land under the sky: six terrains, each painted far to near and fading into the haze with distance."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from training.canvas import Canvas, Colour, Point, mix, waves

WINDOW_GLOW: Colour = (255, 214, 120)
_SNOW: Colour = (244, 248, 255)


def paint_terrain(canvas: Canvas, terrain: str, horizon: float, sun_x: float | None) -> float:
    """Paint the terrain below y = horizon; returns the y on which an object in the foreground stands.

    sun_x: column of the sun or moon, which casts its glitter on water; None when the sky has neither.
    """
    match terrain:
        case "mountains":
            return _mountains(canvas, horizon, sun_x)
        case "hills":
            return _hills(canvas, horizon)
        case "desert":
            return _desert(canvas, horizon)
        case "sea":
            return _sea(canvas, horizon, sun_x)
        case "forest":
            return _forest(canvas, horizon)
        case _:
            return _city(canvas, horizon)


def _mountains(canvas: Canvas, horizon: float, sun_x: float | None) -> float:
    rng, width, height = canvas.rng, canvas.width, canvas.height
    light_from_left = sun_x is None or sun_x < width / 2
    for layer, (depth, reach, count) in enumerate(((0.62, 0.40, 4), (0.30, 0.34, 3))):
        base = horizon + height * 0.05 * layer
        rock = canvas.jitter((92, 108, 146) if layer == 0 else (84, 96, 128))
        offset = rng.uniform(0, 1)
        peaks = [((k + offset) / count + rng.uniform(-0.06, 0.06)) * width for k in range(-1, count + 1)]
        rng.shuffle(peaks)
        for x in peaks:
            rise = height * reach * rng.uniform(0.72, 1.0)
            _peak(canvas, x, base, rise, rise * rng.uniform(0.85, 1.1), rock, depth, light_from_left)
    _pines(canvas, horizon + height * 0.09, height * 0.07, 26, 0.22, "forest")
    ground = horizon + height * 0.12
    grass = canvas.jitter(_SNOW if canvas.snowy else (106, 158, 84))
    foot = mix(grass, (40, 84, 56), 0.45) if not canvas.snowy else mix(grass, (150, 176, 214), 0.5)
    skyline = waves(rng, width, ground, height * 0.02)
    canvas.fill_below(skyline, canvas.lit(grass, 0.1), canvas.lit(foot), height * 0.34, canvas.new_region("ground"))
    return ground + height * 0.13


def _peak(
    canvas: Canvas, x: float, base: float, rise: float, reach: float, rock: Colour, depth: float, lit_left: bool
) -> None:
    """One mountain: a lit and a shaded face that meet on a zigzag ridge, and snow on both."""
    rng = canvas.rng
    top = (x, base - rise)
    bottom = base + canvas.height * 0.3
    steps = 5

    def edge(side: float) -> list[Point]:
        points = [top]
        for k in range(1, steps + 1):
            wobble = rng.uniform(-0.05, 0.05) if k < steps else 0.0
            points.append((x + side * reach * (k / steps + wobble), base - rise * (1 - k / steps)))
        return points

    left, right = edge(-1), edge(1)
    ridge = [(x + reach * 0.1 * (-1) ** k * k / steps, base - rise * (1 - k / steps)) for k in range(1, steps + 1)]
    lit_rock = canvas.lit(mix(rock, (255, 244, 224), 0.22), depth)
    shaded_rock = canvas.lit(mix(rock, (36, 40, 78), 0.30), depth)
    snow, snow_shade = canvas.lit(_SNOW, depth * 0.7, 0.72), canvas.lit((176, 192, 226), depth * 0.7, 0.72)
    region = canvas.new_region("mountains")
    colours = (lit_rock, shaded_rock, snow, snow_shade) if lit_left else (shaded_rock, lit_rock, snow_shade, snow)
    for edge_points, face, cap in ((left, colours[0], colours[2]), (right, colours[1], colours[3])):
        canvas.polygon([*edge_points, (edge_points[-1][0], bottom), (x, bottom), *ridge[::-1]], face, region)
        line = 3 if canvas.snowy else 2
        outer = edge_points[: line + 1]
        middle = ((outer[-1][0] + x) / 2, outer[-1][1] - rise * 0.10)
        canvas.polygon([*outer, middle, ridge[line - 1], *ridge[: line - 1][::-1]], cap, None)


def _hills(canvas: Canvas, horizon: float) -> float:
    rng, width, height = canvas.rng, canvas.width, canvas.height
    greens: tuple[Colour, ...] = ((150, 196, 132), (120, 184, 92), (98, 168, 74), (72, 142, 64))
    for layer, green in enumerate(greens):
        base = horizon + height * (0.03 + 0.085 * layer)
        colour = canvas.jitter((228 + layer * 6, 236 + layer * 4, 250) if canvas.snowy else green)
        foot = mix(colour, (120, 150, 200) if canvas.snowy else (34, 92, 60), 0.42)
        skyline = waves(rng, width, base, height * (0.11 - 0.02 * layer), 0.8)
        depth = 0.48 - 0.16 * layer
        canvas.fill_below(
            skyline, canvas.lit(colour, depth), canvas.lit(foot, depth), height * 0.2, canvas.new_region("hills")
        )
        if layer < 3:
            for _ in range(3):
                x = int(rng.uniform(0.02, 0.98) * (width - 1))
                _bush(canvas, x, float(skyline[x]), height * (0.016 + 0.007 * layer), depth)
    return horizon + height * 0.29


def _bush(canvas: Canvas, x: float, y: float, radius: float, depth: float) -> None:
    leaf = canvas.lit((214, 226, 240) if canvas.snowy else (58, 116, 66), depth)
    region = canvas.new_region("hills")
    canvas.ellipse(x - radius * 0.7, y - radius * 0.5, radius * 0.8, radius * 0.8, leaf, region)
    canvas.ellipse(x + radius * 0.5, y - radius * 0.7, radius, radius, leaf, region)


def _desert(canvas: Canvas, horizon: float) -> float:
    rng, width, height = canvas.rng, canvas.width, canvas.height
    for layer in range(3):
        base = horizon + height * (0.02 + 0.10 * layer)
        sand = canvas.jitter(mix((246, 208, 140), (226, 164, 88), layer / 2))
        if canvas.snowy:
            sand = mix(sand, _SNOW, 0.62)
        depth = 0.40 - 0.18 * layer
        foot = mix(sand, (168, 92, 52), 0.34)
        skyline = _dune(canvas, base, height * 0.12)
        canvas.fill_below(
            skyline, canvas.lit(sand, depth), canvas.lit(foot, depth), height * 0.26, canvas.new_region("desert")
        )
        crest = int(np.argmin(skyline))
        end = min(width - 1, crest + int(width * 0.26))
        shade = canvas.lit(mix(sand, (120, 56, 44), 0.40), depth)
        ridge = [(float(i), float(skyline[i])) for i in range(crest, end, 4)]
        if len(ridge) > 2:
            fall = [(ridge[-1][0], ridge[-1][1]), (crest + width * 0.05, float(skyline[crest]) + height * 0.15)]
            canvas.polygon([*ridge, *fall], shade, None)
    side = rng.choice((0.07, 0.93))
    _cactus(canvas, side * width, horizon + height * 0.27, height * 0.17)
    return horizon + height * 0.27


def _dune(canvas: Canvas, base: float, rise: float) -> np.ndarray:
    """(width,) a skyline with one soft crest: a gentle slope up, a steeper one down."""
    x = np.linspace(0, 1, canvas.width, dtype=np.float32)
    crest = canvas.rng.uniform(0.2, 0.8)
    up = np.clip(x / crest, 0, 1) ** 1.6
    down = np.clip((1 - x) / (1 - crest), 0, 1) ** 2.2
    return base - rise * np.where(x < crest, up, down) + waves(canvas.rng, canvas.width, 0, canvas.height * 0.012)


def _cactus(canvas: Canvas, x: float, ground: float, size: float) -> None:
    green = canvas.lit((70, 132, 78))
    region = canvas.new_region("desert")
    thick = size * 0.17
    for side, low, high in ((-1, 0.36, 0.72), (1, 0.50, 0.84)):
        arm = x + side * size * 0.26
        canvas.line([(x, ground - size * low), (arm, ground - size * low)], green, thick * 0.8, region)
        canvas.line([(arm, ground - size * (low - 0.04)), (arm, ground - size * high)], green, thick * 0.8, region)
        canvas.ellipse(arm, ground - size * high, thick * 0.4, thick * 0.4, green, region)
    canvas.line([(x, ground), (x, ground - size)], green, thick, region)
    canvas.ellipse(x, ground - size, thick / 2, thick / 2, green, region)


def _sea(canvas: Canvas, horizon: float, sun_x: float | None) -> float:
    rng, width, height = canvas.rng, canvas.width, canvas.height
    far = mix(canvas.lit((76, 160, 206)), canvas.light.horizon, 0.42)
    near = canvas.lit(canvas.jitter((20, 92, 150)), 0.0, 0.94)
    canvas.fill_below(
        np.full(width, horizon, np.float32), far, near, (height - horizon) * 0.9, canvas.new_region("sea")
    )
    crest = mix(far, (255, 255, 255), 0.22)
    for k in range(15):
        nearness = (k + rng.random()) / 15
        y = horizon + 4 + nearness * (height - horizon - 8)
        length = width * (0.05 + 0.12 * nearness)
        x = rng.uniform(-0.05, 1.0) * width
        x += width * (0.012 + 0.02 * nearness) * canvas.moment.swing(2.4, 2.4 * k)
        canvas.line([(x, y), (x + length, y)], mix(crest, near, 0.55 * nearness + 0.1), 1.6 + 1.6 * nearness)
    if sun_x is not None:
        _glitter(canvas, sun_x, horizon)
    return horizon + height * 0.17


def _glitter(canvas: Canvas, x: float, horizon: float) -> None:
    """The path of light that sun or moon lays on the water: bars that widen towards the viewer."""
    count = 11
    x += canvas.moment.disc_shift * canvas.width
    for k in range(count):
        nearness = (k + 0.5) / count
        y = horizon + 3 + nearness * (canvas.height - horizon - 4) * 0.92
        half = canvas.width * (0.035 + 0.06 * nearness) * canvas.rng.uniform(0.6, 1.15)
        half *= max(0.3, 1 + 0.25 * canvas.moment.swing(1.2, 1.9 * k))
        shift = canvas.rng.uniform(-1, 1) * canvas.width * 0.012
        colour = mix(canvas.light.glow, canvas.light.horizon, 0.5 * nearness)
        canvas.line([(x + shift - half, y), (x + shift + half, y)], colour, canvas.unit * (2 + 1.6 * nearness))


def _forest(canvas: Canvas, horizon: float) -> float:
    height = canvas.height
    for layer, depth in enumerate((0.62, 0.38, 0.14)):
        base = horizon + height * (0.04 + 0.06 * layer)
        _pines(canvas, base, height * (0.21 + 0.05 * layer), 15 - 3 * layer, depth, "forest")
    ground = horizon + height * 0.14
    floor = canvas.jitter(_SNOW if canvas.snowy else (92, 138, 72))
    foot = mix(floor, (130, 160, 206) if canvas.snowy else (28, 66, 48), 0.5)
    skyline = waves(canvas.rng, canvas.width, ground, height * 0.025)
    canvas.fill_below(skyline, canvas.lit(floor, 0.12), canvas.lit(foot), height * 0.3, canvas.new_region("ground"))
    return ground + height * 0.13


def _pines(canvas: Canvas, base: float, size: float, count: int, depth: float, class_name: str) -> None:
    """A row of pines standing on y = base, their feet hidden in a band of the same green."""
    rng, width = canvas.rng, canvas.width
    green = canvas.jitter((40, 104, 70))
    colour, shade = canvas.lit(green, depth), canvas.lit(mix(green, (12, 40, 44), 0.4), depth)
    band = canvas.new_region(class_name)
    canvas.rectangle(0, base - size * 0.16, width, base + canvas.height * 0.12, shade, band)
    pair = (canvas.new_region(class_name), canvas.new_region(class_name))
    for k in range(count):
        x = (k + rng.uniform(0.15, 0.85)) * width / count
        rise = size * rng.uniform(0.7, 1.15)
        sway = rise * 0.045 * canvas.moment.swing(2.0, -5 * x / width)
        half = rise * 0.25
        for tier in range(3):
            top = base - rise * (1 - 0.25 * tier)
            low, reach = top + rise * 0.48, half * (0.55 + 0.25 * tier)
            tip, foot = x + sway * (1 - 0.25 * tier), x + sway * max(0.0, 0.5 - 0.25 * tier)
            canvas.polygon([(tip, top), (foot - reach, low), (foot + reach, low)], colour, pair[k % 2])
            canvas.polygon([(tip, top), (foot + reach * 0.1, low), (foot + reach, low)], shade, None)
            if canvas.snowy:
                cap = canvas.lit(_SNOW, depth * 0.8, 0.75)
                snow = [(tip, top), (foot - reach * 0.5, top + rise * 0.22), (foot + reach * 0.42, top + rise * 0.20)]
                canvas.polygon(snow, cap, None)


def _city(canvas: Canvas, horizon: float) -> float:
    rng, width, height = canvas.rng, canvas.width, canvas.height
    lights_on = {"night": 0.62, "sunset": 0.42, "dawn": 0.22, "day": 0.0}[canvas.time]
    shore = horizon + height * 0.10
    tones: tuple[Colour, ...] = ((128, 144, 184), (104, 118, 158), (74, 86, 124))
    for layer, tone in enumerate(tones):
        depth = 0.62 - 0.24 * layer
        x = -rng.uniform(0, 0.06) * width
        while x < width:
            wide = width * rng.uniform(0.08, 0.13)
            tall = height * (0.40 - 0.07 * layer) * rng.uniform(0.45, 1.0)
            _tower(canvas, x, shore - tall, wide, shore, canvas.jitter(tone, 10), depth, lights_on if layer else 0)
            x += wide * rng.uniform(0.92, 1.25)
    _river(canvas, shore)
    return shore + height * 0.17


def _tower(
    canvas: Canvas, x: float, top: float, wide: float, foot: float, tone: Colour, depth: float, lights_on: float
) -> None:
    rng = canvas.rng
    wall = canvas.lit(tone, depth)
    region = canvas.new_region("city")
    canvas.rectangle(x, top, x + wide, foot, wall, region)
    canvas.rectangle(x + wide * 0.72, top, x + wide, foot, mix(wall, (10, 12, 40), 0.16), None)
    match rng.randrange(4):
        case 0:
            canvas.line([(x + wide / 2, top), (x + wide / 2, top - wide * 0.6)], wall, 2 * canvas.unit, region)
        case 1:
            canvas.rectangle(x + wide * 0.2, top - wide * 0.3, x + wide * 0.8, top, wall, region)
        case _:
            pass
    if canvas.snowy:
        canvas.rectangle(x, top, x + wide, top + 3 * canvas.unit, canvas.lit(_SNOW, depth, 0.7), None)
    if depth > 0.5:
        return
    step = 8 * canvas.unit
    dark = mix(wall, (150, 190, 230) if canvas.time == "day" else (8, 10, 36), 0.32)
    for row in range(int((foot - top) / step)):
        for column in range(int(wide / step)):
            colour = mix(WINDOW_GLOW, wall, 0.1) if rng.random() < lights_on else dark
            left, upper = x + step * (column + 0.45), top + step * (row + 0.5)
            canvas.rectangle(left, upper, left + step * 0.45, upper + step * 0.5, colour, None)


def _river(canvas: Canvas, shore: float) -> None:
    """Still water in front of the city that mirrors it, darkened and smeared downwards."""
    row = int(shore)
    rows = canvas.height - row
    source = canvas.pixels()
    mirror = source[max(0, row - rows) : row][::-1]
    blurred = Image.fromarray(mirror.astype(np.uint8)).filter(ImageFilter.GaussianBlur(2.2 * canvas.unit))
    depth = np.linspace(0, 1, len(mirror), dtype=np.float32)[:, None, None]
    water = np.asarray(canvas.lit((44, 92, 140), 0.05), np.float32)
    share = 0.42 + 0.46 * depth
    source[row : row + len(mirror)] = np.asarray(blurred, np.float32) * (1 - share) + water * share
    source[row + len(mirror) :] = water
    canvas.set_pixels(source)
    canvas.regions.paste(canvas.new_region("sea"), (0, row, canvas.width, canvas.height))
    glint = mix(canvas.light.horizon, canvas.lit((44, 92, 140)), 0.5)
    for k in range(6):
        y = shore + (k + 1) * rows / 7
        x = canvas.rng.uniform(0, 0.85) * canvas.width
        x += 0.03 * canvas.width * canvas.moment.swing(2.4, 2.4 * k)
        canvas.line([(x, y), (x + canvas.width * 0.13, y)], glint, 1.6 * canvas.unit)
