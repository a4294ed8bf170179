"""Held-out scenes and captions that tell them apart: what the dual encoder is measured on.

Scene numbers start far above those of the training set, no two scenes of a set agree in everything a caption can say,
and a caption says all of it. numpy and Pillow are enough, so that the benchmark can paint them, too.
"""

from __future__ import annotations

import random
from dataclasses import replace

from training.captions import SYNONYMS
from training.scenes import COLOURED_OBJECTS, HELD_OUT, Scene, is_plausible, scene_at

CALIBRATION_FIRST = 2_000_000
"""Scene numbers from here on set thresholds."""
MEASURING_FIRST = 3_000_000
"""Scene numbers from here on are used for figures only."""
_HELD_OUT_FIRST = 4_000_000


def distinct_scenes(first: int, count: int) -> list[Scene]:
    """`count` square scenes with numbers from `first` on, no two of which look the same in words."""
    scenes: dict[tuple[str, ...], Scene] = {}
    index = first
    while len(scenes) < count:
        scene = scene_at("square", index)
        scenes.setdefault(_in_words(scene), scene)
        index += 1
    return list(scenes.values())


def held_out_scenes(count: int) -> list[Scene]:
    """Scenes of the combinations that the models which draw are never shown, all combinations equally often."""
    scenes: list[Scene] = []
    for k in range(count):
        combination = HELD_OUT[k % len(HELD_OUT)]
        index = _HELD_OUT_FIRST + 100 * k
        while not is_plausible(scene := replace(scene_at("square", index), **combination)):
            index += 1
        scenes.append(scene)
    return scenes


def full_caption(scene: Scene, rng: random.Random) -> str:
    """Everything words can say about the scene, in the order style, object, position, terrain, time, sky, weather."""

    def say(attribute: str) -> str:
        return rng.choice(SYNONYMS[attribute][getattr(scene, attribute)])

    if scene.object == "none":
        subject = say("terrain")
    else:
        colour = f"{scene.colour} " if scene.object in COLOURED_OBJECTS else ""
        subject = f"{colour}{say('object')} {say('position')}, {say('terrain')}"
    sky = "" if scene.celestial == "none" else f", {say('celestial')}"
    return f"{say('style')}: {subject} {say('time')}{sky}, {say('weather')}"


def _in_words(scene: Scene) -> tuple[str, ...]:
    has_object = scene.object != "none"
    colour = scene.colour if scene.object in COLOURED_OBJECTS else ""
    position = scene.position if has_object else ""
    return (scene.time, scene.terrain, scene.celestial, scene.object, colour, position, scene.weather, scene.style)
