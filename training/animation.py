"""How a scene moves.

A `Motion` follows from the scene alone, with a random sequence of its own, so that stills stay what they are. A
`Moment` is the motion some seconds in: everything that moves asks it for its offset, and at second 0 every offset is
exactly 0, which makes frame 0 of a clip the still, pixel for pixel.

What moves has one velocity, and the direction a picture suggests is the usual one: boats go where their bow points
(left), clouds go right, balloons rise. A network can then mostly see from the first frame what comes next, and captions
nearly always say so where it is different (`motion_captions.py`).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from training.scenes import Scene, sample_scene

FRAMES = 12
FRAMES_PER_SECOND = 8

_STILL_SHARE = 0.06
_LEFT_WIND_SHARE = 0.3
_RIGHT_SAIL_SHARE = 0.2
_ANCHORED_SHARE = 0.12
_SINKING_SHARE = 0.2
_CALM_SCENE_SHARE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """The speeds of everything that may move; what the scene does not show is never asked for.

    wind, sail: picture widths per second, positive to the right (clouds, and what they carry; boats)
    climb: picture heights per second, positive upwards (balloons)
    life: 1 where swell, snow, blades, sun and stars go their ways; 0 where time stands still
    """

    wind: float
    sail: float
    climb: float
    life: float


STILL = Motion(wind=0.0, sail=0.0, climb=0.0, life=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A motion `time_s` seconds after the first frame; lengths are shares of the picture's width or height."""

    motion: Motion = STILL
    time_s: float = 0.0

    @property
    def cloud_shift(self) -> float:
        """How far clouds have drifted to the right."""
        return self.motion.wind * self.time_s

    @property
    def disc_shift(self) -> float:
        """How far sun or moon have moved to the right."""
        return 0.022 * self.motion.life * self.time_s

    @property
    def snow_fall(self) -> float:
        """How far a snowflake has fallen."""
        return 0.24 * self.motion.life * self.time_s

    @property
    def boat_shift(self) -> float:
        """How far the boat has sailed to the right."""
        return self.motion.sail * self.time_s

    @property
    def balloon_shift(self) -> float:
        """How far the wind has carried the balloon to the right."""
        return 0.5 * self.motion.wind * self.time_s

    @property
    def balloon_rise(self) -> float:
        """How far the balloon has risen."""
        return self.motion.climb * self.time_s

    @property
    def blade_turn(self) -> float:
        """How far the windmill's blades have turned clockwise, in radians."""
        return 1.3 * self.motion.life * self.time_s

    @property
    def beam_turn(self) -> float:
        """How far the light of the lighthouse has turned away from where it first shone, in radians."""
        return 1.5 * self.motion.life * self.time_s

    @property
    def fog_rise(self) -> float:
        """How far the thickest part of the fog has lifted."""
        return 0.045 * self.motion.life * self.time_s

    def disc_rise(self, time: str) -> float:
        """How far sun or moon have climbed (sunk, below 0): fast when the sun is low, slow otherwise."""
        speed = {"dawn": 0.040, "sunset": -0.040}.get(time, 0.012)
        return speed * self.motion.life * self.time_s

    def swing(self, period_s: float, phase: float) -> float:
        """-2..2, where a swing that began at `phase` radians now is, seen from where it began."""
        if not self.motion.life:
            return 0.0
        return math.sin(2 * math.pi * self.time_s / period_s + phase) - math.sin(phase)

    def dimming(self, number: int) -> float:
        """0..1, by how much star `number` has dimmed; every star has a rhythm of its own."""
        depth, period_s = 0.35 + 0.55 * (number * 0.618 % 1), 0.7 + 1.1 * (number * 0.382 % 1)
        return self.motion.life * depth * (1 - math.cos(2 * math.pi * self.time_s / period_s)) / 2


def motion_of(scene: Scene) -> Motion:
    """The motion that belongs to the scene."""
    rng = random.Random(f"motion-{scene.seed}")
    still = rng.random() < _STILL_SHARE
    wind = rng.uniform(0.05, 0.09) * (-1 if rng.random() < _LEFT_WIND_SHARE else 1)
    choice, speed = rng.random(), rng.uniform(0.06, 0.10)
    sail = speed if choice < _RIGHT_SAIL_SHARE else -speed
    if choice > 1 - _ANCHORED_SHARE:
        sail = 0.0
    climb = rng.uniform(0.035, 0.06) * (-1 if rng.random() < _SINKING_SHARE else 1)
    return STILL if still else Motion(wind=wind, sail=sail, climb=climb, life=1.0)


def moments(motion: Motion, frames: int = FRAMES) -> list[Moment]:
    """The moments of a clip, the first of them at second 0."""
    return [Moment(motion=motion, time_s=number / FRAMES_PER_SECOND) for number in range(frames)]


def is_lively(scene: Scene) -> bool:
    """Whether something in the scene moves far enough for anyone to notice."""
    return (
        scene.object in ("boat", "balloon", "windmill")
        or (scene.object == "lighthouse" and scene.time in ("night", "sunset"))
        or scene.weather in ("cloudy", "snowy")
        or scene.celestial != "none"
        or scene.terrain == "sea"
    )


def clip_scene_at(size_name: str, index: int) -> Scene:
    """Scene number `index` of the endless set of clips: as the stills', with fewer in which next to nothing moves."""
    rng = random.Random(f"clip-{size_name}-{index}")
    while True:
        scene = sample_scene(rng, seed=10_000_000 + index)
        if is_lively(scene) or rng.random() < _CALM_SCENE_SHARE:
            return scene
