"""The thing a picture is about: seven objects, each drawn around a point on the ground and lit by the hour."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw, ImageFilter

from training.canvas import Canvas, Colour, Point, mix, rgb
from training.terrain import WINDOW_GLOW

PAINTS: dict[str, Colour] = {
    "red": (214, 50, 46),
    "blue": (48, 96, 214),
    "yellow": (246, 200, 46),
    "white": (244, 243, 238),
    "green": (46, 154, 82),
}
_WOOD: Colour = (122, 78, 50)
_STONE: Colour = (196, 192, 196)
_SNOW: Colour = (246, 249, 255)


def paint_object(canvas: Canvas, name: str, colour_name: str, x: float, ground: float, size: float) -> None:
    """Paint the object with its foot (a balloon: its basket) at (x, ground); `size` is its height in canvas pixels."""
    paint = PAINTS[colour_name]
    region = canvas.new_region(name)
    match name:
        case "house":
            _house(canvas, paint, x, ground, size, region)
        case "boat":
            _boat(canvas, paint, x, ground, size, region)
        case "tree":
            _tree(canvas, x, ground, size, region)
        case "balloon":
            _balloon(canvas, paint, x, ground, size, region)
        case "castle":
            _castle(canvas, paint, x, ground, size, region)
        case "lighthouse":
            _lighthouse(canvas, paint, x, ground, size, region)
        case _:
            _windmill(canvas, paint, x, ground, size, region)


def paint_island(canvas: Canvas, x: float, ground: float, half_width: float) -> None:
    """A grassy rock in the water for things that do not float."""
    region = canvas.new_region("ground")
    grass = _SNOW if canvas.snowy else (120, 160, 88)
    canvas.ellipse(x, ground + half_width * 0.06, half_width, half_width * 0.26, canvas.lit((104, 92, 96)), region)
    canvas.ellipse(x, ground, half_width * 0.94, half_width * 0.20, canvas.lit(grass), region)


def _faces(canvas: Canvas, colour: Colour) -> tuple[Colour, Colour]:
    """The lit and the shaded side of a painted surface; objects keep more of their colour at night than the land."""
    lit = canvas.lit(colour, 0.0, 0.72)
    return lit, mix(lit, (16, 14, 48), 0.30)


def _window_colour(canvas: Canvas) -> Colour:
    return canvas.lit((150, 200, 232)) if canvas.time == "day" else WINDOW_GLOW


def _shadow(canvas: Canvas, x: float, ground: float, half_width: float) -> None:
    tone = canvas.lit((150, 170, 208) if canvas.snowy else (44, 74, 60), 0.0)
    canvas.ellipse(x + half_width * 0.1, ground, half_width * 1.12, half_width * 0.13, tone, None)


def _house(canvas: Canvas, paint: Colour, x: float, ground: float, size: float, region: int) -> None:
    wall, wall_shade = _faces(canvas, paint)
    roof, roof_shade = _faces(canvas, (118, 66, 60) if paint != PAINTS["red"] else (92, 76, 92))
    if canvas.snowy:
        roof, roof_shade = _faces(canvas, _SNOW)
    half, eaves = size * 0.52, ground - size * 0.56
    _shadow(canvas, x, ground, half)
    canvas.rectangle(x + half * 0.42, ground - size * 1.04, x + half * 0.66, eaves, wall_shade, region)
    canvas.rectangle(x - half, eaves, x + half, ground, wall, region)
    canvas.rectangle(x + half * 0.36, eaves, x + half, ground, wall_shade, None)
    roof_region = canvas.new_region("house")
    canvas.polygon(
        [(x - half * 1.2, eaves), (x - half * 0.62, ground - size), (x + half * 0.62, ground - size),
         (x + half * 1.2, eaves)], roof, roof_region,
    )  # fmt: skip
    canvas.polygon(
        [(x + half * 0.36, eaves), (x + half * 0.36, ground - size), (x + half * 0.62, ground - size),
         (x + half * 1.2, eaves)], roof_shade, None,
    )  # fmt: skip
    opening = canvas.new_region("house")
    canvas.rectangle(x - half * 0.22, ground - size * 0.36, x + half * 0.16, ground, canvas.lit(_WOOD), opening)
    glow = _window_colour(canvas)
    for left in (-0.80, 0.48):
        box = (x + half * left, ground - size * 0.42, x + half * (left + 0.36), ground - size * 0.18)
        canvas.rectangle(*box, glow, opening)


def _boat(canvas: Canvas, paint: Colour, x: float, ground: float, size: float, region: int) -> None:
    sail, sail_shade = _faces(canvas, paint)
    hull, hull_shade = _faces(canvas, _WOOD)
    half = size * 0.5
    deck = ground - size * 0.12
    top = x + size * 0.03 * canvas.moment.swing(1.8, 1.0)
    canvas.ellipse(x, ground + size * 0.06, half * 1.1, size * 0.05, canvas.lit((16, 56, 92)), None)
    canvas.line([(x, deck), (top, ground - size)], hull_shade, size * 0.035, region)
    main: list[Point] = [(top + size * 0.03, ground - size), (x + size * 0.03, deck - size * 0.05)]
    canvas.polygon([*main, (x + half * 0.92, deck - size * 0.05)], sail, canvas.new_region("boat"))
    jib: list[Point] = [(top - size * 0.03, ground - size * 0.92), (x - size * 0.03, deck - size * 0.05)]
    canvas.polygon([*jib, (x - half * 0.74, deck - size * 0.05)], sail_shade, canvas.new_region("boat"))
    body: list[Point] = [(x - half, deck), (x + half, deck), (x + half * 0.7, ground + size * 0.07)]
    canvas.polygon([*body, (x - half * 0.66, ground + size * 0.07)], hull, canvas.new_region("boat"))
    canvas.rectangle(x - half, deck, x + half, deck + size * 0.035, sail, None)


def _tree(canvas: Canvas, x: float, ground: float, size: float, region: int) -> None:
    leaf = (222, 232, 244) if canvas.snowy else (72, 158, 66)
    lit, shade = _faces(canvas, leaf)
    trunk, trunk_shade = _faces(canvas, (128, 82, 52))
    wide = size * 0.07
    _shadow(canvas, x, ground, size * 0.34)
    foot: list[Point] = [(x - wide * 1.7, ground), (x - wide * 0.8, ground - size * 0.5)]
    canvas.polygon([*foot, (x + wide * 0.8, ground - size * 0.5), (x + wide * 1.7, ground)], trunk, region)
    canvas.polygon([(x, ground), (x, ground - size * 0.5), (x + wide * 0.8, ground - size * 0.5),
                    (x + wide * 1.7, ground)], trunk_shade, None)  # fmt: skip
    crown = canvas.new_region("tree")
    clumps = ((-0.26, 0.50, 0.20), (0.27, 0.52, 0.19), (0.0, 0.58, 0.25), (-0.15, 0.74, 0.20), (0.15, 0.76, 0.20))
    x += size * 0.014 * canvas.moment.swing(2.2, 0.6)
    for dx, up, radius in clumps:
        canvas.ellipse(x + dx * size, ground - up * size, radius * size, radius * size, shade, crown)
    for dx, up, radius in clumps:
        shift = radius * 0.22
        centre = (x + (dx - shift) * size, ground - (up + shift) * size)
        canvas.ellipse(*centre, radius * size * 0.76, radius * size * 0.74, lit, None)


def _balloon(canvas: Canvas, paint: Colour, x: float, ground: float, size: float, region: int) -> None:
    lit, shade = _faces(canvas, paint)
    stripe, stripe_shade = _faces(canvas, (250, 246, 236) if paint != PAINTS["white"] else (232, 120, 100))
    radius = size * 0.36
    centre = ground - size + radius
    basket = size * 0.08
    for side in (-1, 1):
        canvas.line([(x + side * radius * 0.5, centre + radius * 0.8), (x + side * basket, ground - basket * 1.6)],
                    canvas.lit((92, 70, 60)), size * 0.018, region)  # fmt: skip
    skirt: list[Point] = [(x - radius * 0.86, centre + radius * 0.5), (x - radius * 0.24, ground - size * 0.24)]
    canvas.polygon([*skirt, (x + radius * 0.24, ground - size * 0.24), (x + radius * 0.86, centre + radius * 0.5)],
                   shade, region)  # fmt: skip
    canvas.ellipse(x, centre, radius, radius, shade, region)
    for reach, colour in ((0.86, lit), (0.52, stripe_shade), (0.40, stripe), (0.14, lit)):
        canvas.ellipse(x - radius * (0.94 - reach) * 0.12, centre, radius * reach, radius * 0.99, colour, None)
        foot = x - radius * (0.94 - reach) * 0.12
        tip = ground - size * 0.24
        canvas.polygon([(foot - radius * reach * 0.86, centre + radius * 0.5), (x - radius * 0.24 * reach, tip),
                        (x + radius * 0.24 * reach, tip), (foot + radius * reach * 0.86, centre + radius * 0.5)],
                       colour, None)  # fmt: skip
    box = (x - basket, ground - basket * 1.7, x + basket, ground)
    canvas.rectangle(*box, canvas.lit((150, 98, 56), 0.0, 0.8), canvas.new_region("balloon"))


def _castle(canvas: Canvas, paint: Colour, x: float, ground: float, size: float, region: int) -> None:
    """Pale stone with roofs and a banner in the colour; a white castle is white all over."""
    wall, wall_shade = _faces(canvas, mix(_STONE, paint, 0.12 if paint != PAINTS["white"] else 0.9))
    roof, roof_shade = _faces(canvas, paint)
    half = size * 0.52
    opening = canvas.new_region("castle")
    _shadow(canvas, x, ground, half)

    def tower(centre: float, width: float, top: float, spire: float) -> None:
        canvas.rectangle(centre - width, top, centre + width, ground, wall, region)
        canvas.rectangle(centre + width * 0.3, top, centre + width, ground, wall_shade, None)
        peak = (centre, top - spire)
        roof_region = canvas.new_region("castle")
        canvas.polygon([(centre - width * 1.3, top), peak, (centre + width * 1.3, top)], roof, roof_region)
        canvas.polygon([(centre + width * 0.3, top), peak, (centre + width * 1.3, top)], roof_shade, None)
        slit = (centre - width * 0.3, top + width * 0.7, centre + width * 0.2, top + width * 1.7)
        canvas.rectangle(*slit, _window_colour(canvas), opening)

    tower(x, half * 0.27, ground - size * 0.70, size * 0.30)
    curtain = ground - size * 0.40
    canvas.rectangle(x - half, curtain, x + half, ground, wall, canvas.new_region("castle"))
    canvas.rectangle(x + half * 0.4, curtain, x + half, ground, wall_shade, None)
    merlon = half * 0.13
    for k in range(-3, 4, 2):
        canvas.rectangle(x + k * half * 0.2 - merlon / 2, curtain - merlon, x + k * half * 0.2 + merlon / 2,
                         curtain, wall, region)  # fmt: skip
    for side in (-1, 1):
        tower(x + side * half * 0.86, half * 0.24, ground - size * 0.54, size * 0.28)
    gate = canvas.lit((70, 48, 44))
    canvas.rectangle(x - half * 0.2, ground - size * 0.18, x + half * 0.2, ground, gate, opening)
    canvas.ellipse(x, ground - size * 0.18, half * 0.2, half * 0.2, gate, opening)


def _lighthouse(canvas: Canvas, paint: Colour, x: float, ground: float, size: float, region: int) -> None:
    lit, shade = _faces(canvas, paint)
    band = (250, 248, 242) if paint != PAINTS["white"] else (96, 104, 128)
    pale, pale_shade = _faces(canvas, band)
    low, high, tall = size * 0.17, size * 0.10, size * 0.74
    if canvas.time in ("night", "sunset"):
        _beam(canvas, x, ground - size * 0.82, size * 0.2)
    _shadow(canvas, x, ground, low * 1.6)
    for k in range(5):
        lower, upper = k / 5, (k + 1) / 5
        w0, w1 = low + (high - low) * lower, low + (high - low) * upper
        y0, y1 = ground - tall * lower, ground - tall * upper
        front, side = (lit, shade) if k % 2 == 0 else (pale, pale_shade)
        canvas.polygon([(x - w0, y0), (x - w1, y1), (x + w1, y1), (x + w0, y0)], front,
                       canvas.new_region("lighthouse") if k % 2 else region)  # fmt: skip
        canvas.polygon([(x + w0 * 0.3, y0), (x + w1 * 0.3, y1), (x + w1, y1), (x + w0, y0)], side, None)
    top = ground - tall
    canvas.rectangle(x - high * 1.4, top - size * 0.03, x + high * 1.4, top, pale_shade, region)
    lamp_region = canvas.new_region("lighthouse")
    canvas.rectangle(x - high * 0.8, top - size * 0.14, x + high * 0.8, top - size * 0.03, WINDOW_GLOW, lamp_region)
    canvas.polygon([(x - high * 1.3, top - size * 0.14), (x, ground - size), (x + high * 1.3, top - size * 0.14)],
                   shade, canvas.new_region("lighthouse"))  # fmt: skip


def _beam(canvas: Canvas, x: float, y: float, spread: float) -> None:
    """A soft cone of light from the lamp, first towards the emptier side of the picture, then round and round."""
    across = math.cos(canvas.moment.beam_turn)
    share = 0.3 + 0.7 * abs(across)
    mask = Image.new("L", canvas.image.size, 0)
    edge = -10 if x > canvas.width / 2 else canvas.width + 10
    far, spread = edge * across + x * (1 - across), spread * share
    cone = [(x, y - 2), (far, y - spread), (far, y + spread), (x, y + 2)]
    ImageDraw.Draw(mask).polygon(cone, fill=round((104 if canvas.time == "night" else 72) * share))
    canvas.paste(rgb(WINDOW_GLOW), mask.filter(ImageFilter.GaussianBlur(3 * canvas.unit)), None)


def _windmill(canvas: Canvas, paint: Colour, x: float, ground: float, size: float, region: int) -> None:
    body, body_shade = _faces(canvas, mix((236, 226, 208), paint, 0.85))
    cap, _ = _faces(canvas, (110, 72, 60))
    low, high, top = size * 0.21, size * 0.13, ground - size * 0.62
    _shadow(canvas, x, ground, low * 1.5)
    canvas.polygon([(x - low, ground), (x - high, top), (x + high, top), (x + low, ground)], body, region)
    canvas.polygon([(x + low * 0.3, ground), (x + high * 0.3, top), (x + high, top), (x + low, ground)],
                   body_shade, None)  # fmt: skip
    roof = canvas.new_region("windmill")
    canvas.polygon([(x - high * 1.25, top), (x, top - size * 0.16), (x + high * 1.25, top)], cap, roof)
    door = canvas.lit(_WOOD)
    canvas.rectangle(x - low * 0.26, ground - size * 0.17, x + low * 0.2, ground, door, canvas.new_region("windmill"))
    glow = _window_colour(canvas)
    canvas.rectangle(x - high * 0.34, ground - size * 0.40, x + high * 0.2, ground - size * 0.31, glow, None)
    hub = (x, top - size * 0.02)
    cloth = canvas.lit((250, 246, 232), 0.0, 0.6)
    blade_region = canvas.new_region("windmill")
    cosine, sine = math.cos(canvas.moment.blade_turn), math.sin(canvas.moment.blade_turn)
    for right, below in ((0.74, 0.68), (-0.68, 0.74), (-0.74, -0.68), (0.68, -0.74)):
        across, down = right * cosine - below * sine, right * sine + below * cosine
        reach = size * 0.40
        tip = (hub[0] + across * reach, hub[1] + down * reach)
        side = (-down * size * 0.10, across * size * 0.10)
        start = (hub[0] + across * reach * 0.22, hub[1] + down * reach * 0.22)
        canvas.polygon([start, tip, (tip[0] + side[0], tip[1] + side[1]), (start[0] + side[0], start[1] + side[1])],
                       cloth, blade_region)  # fmt: skip
        canvas.line([hub, tip], canvas.lit((96, 66, 50)), size * 0.03, blade_region)
    canvas.ellipse(*hub, size * 0.035, size * 0.035, canvas.lit((80, 56, 46)), None)
