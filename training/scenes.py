"""What a training picture shows: the attributes of a scene, how often each is drawn, and which combinations never are.

A scene is a point in a small compositional space (time x terrain x celestial x object x colour x position x weather x
style). `painting.py` turns one into pixels, `captions.py` into words. Some combinations are held out of training, so
that the evaluation can ask whether the model composes what it knows or only remembers.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass

TIMES = ("dawn", "day", "sunset", "night")
TERRAINS = ("mountains", "hills", "desert", "sea", "forest", "city")
CELESTIALS = ("none", "sun", "moon", "stars")
OBJECTS = ("none", "house", "boat", "tree", "balloon", "castle", "lighthouse", "windmill")
COLOURS = ("red", "blue", "yellow", "white", "green")
POSITIONS = ("left", "center", "right")
WEATHERS = ("clear", "cloudy", "foggy", "snowy")
STYLES = ("flat", "watercolor", "lineart", "pixel")

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "time": TIMES,
    "terrain": TERRAINS,
    "celestial": CELESTIALS,
    "object": OBJECTS,
    "colour": COLOURS,
    "position": POSITIONS,
    "weather": WEATHERS,
    "style": STYLES,
}

COLOURED_OBJECTS = frozenset(OBJECTS) - {"none", "tree"}
"""Objects whose colour a caption may name; a tree is always leaf green."""

SIZES: dict[str, tuple[int, int]] = {"square": (128, 128), "landscape": (160, 96), "portrait": (96, 160)}
"""Picture sizes as (width_px, height_px)."""

HELD_OUT: tuple[dict[str, str], ...] = (
    {"object": "castle", "colour": "yellow"},
    {"object": "boat", "colour": "green"},
    {"object": "windmill", "terrain": "desert"},
)
"""A scene that matches every entry of one of these is never rendered for training."""

_CELESTIAL_ODDS = {
    "dawn": (1, 3, 0.5, 0),
    "day": (2, 3, 0, 0),
    "sunset": (1, 4, 0.4, 0),
    "night": (0.6, 0, 4, 3),
}
_LAND_OBJECT_ODDS = (1.6, 2, 0, 2, 2, 2, 1.2, 1.6)
_SEA_OBJECT_ODDS = (1.6, 0.6, 5, 0.4, 1.4, 0.7, 3, 0)
_WEATHER_ODDS = (5, 2, 1.3, 1.7)
_STYLE_ODDS = (4.5, 1.8, 1.5, 1.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One picture to be painted; `seed` fixes everything the attributes leave open (ridge shapes, jitter)."""

    time: str
    terrain: str
    celestial: str
    object: str
    colour: str
    position: str
    weather: str
    style: str
    seed: int

    def to_json(self) -> dict[str, str | int]:
        """A flat mapping that `Scene(**mapping)` turns back into the scene."""
        return asdict(self)


def is_held_out(scene: Scene) -> bool:
    """Whether the scene shows a combination that training must not see."""
    return any(all(getattr(scene, name) == value for name, value in combination.items()) for combination in HELD_OUT)


def is_plausible(scene: Scene) -> bool:
    """Whether the scene makes sense: boats on water only, no sun at night. Held-out combinations do."""
    object_odds = _SEA_OBJECT_ODDS if scene.terrain == "sea" else _LAND_OBJECT_ODDS
    celestial_odds = _CELESTIAL_ODDS[scene.time][CELESTIALS.index(scene.celestial)]
    return object_odds[OBJECTS.index(scene.object)] > 0 and celestial_odds > 0


def sample_scene(rng: random.Random, seed: int) -> Scene:
    """A plausible scene outside the held-out combinations: no sun at night, boats only on water."""
    while True:
        time = rng.choice(TIMES)
        terrain = rng.choice(TERRAINS)
        object_odds = _SEA_OBJECT_ODDS if terrain == "sea" else _LAND_OBJECT_ODDS
        scene = Scene(
            time=time,
            terrain=terrain,
            celestial=rng.choices(CELESTIALS, _CELESTIAL_ODDS[time])[0],
            object=rng.choices(OBJECTS, object_odds)[0],
            colour=rng.choice(COLOURS),
            position=rng.choice(POSITIONS),
            weather=rng.choices(WEATHERS, _WEATHER_ODDS)[0],
            style=rng.choices(STYLES, _STYLE_ODDS)[0],
            seed=seed,
        )
        if not is_held_out(scene):
            return scene


def scene_at(size_name: str, index: int) -> Scene:
    """Scene number `index` of the endless training set of one size; nothing but the number needs to be stored."""
    return sample_scene(random.Random(f"{size_name}-{index}"), seed=index)
