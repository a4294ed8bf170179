"""The words for motion: what a caption of a clip says besides what the picture shows.

Motion that differs from what the picture suggests (a boat sailing to the right, a time that stands still) is nearly
always said, so that words can bring it about; the usual is said now and then, so that the words are known.
"""

from __future__ import annotations

import random

from training.animation import STILL, Motion
from training.captions import caption
from training.scenes import Scene

_UNUSUAL_SAID, _USUAL_SAID, _AMBIENT_SAID = 0.9, 0.4, 0.3

_STILL_WORDS = ("still", "motionless", "frozen in time", "without motion", "a still picture", "no movement")
_BOAT_WORDS = {
    -1: ("sailing to the left", "moving left", "the boat sails left", "sailing left"),
    0: ("anchored", "at anchor", "the boat rests", "bobbing on the waves"),
    1: ("sailing to the right", "moving right", "the boat sails right", "sailing right"),
}
_BALLOON_WORDS = {
    -1: ("sinking", "descending", "the balloon comes down", "landing"),
    1: ("rising", "floating up", "the balloon rises", "ascending"),
}
_CLOUD_WORDS = {
    -1: ("clouds drifting to the left", "clouds moving left", "drifting clouds, wind to the left"),
    1: ("drifting clouds", "clouds drifting to the right", "moving clouds", "clouds moving right"),
}
_ALWAYS_WORDS = {
    "windmill": ("turning blades", "the windmill turns", "spinning blades", "turning"),
    "lighthouse": ("a sweeping light", "the light turns", "a turning light"),
    "snowy": ("falling snow", "snow falling", "drifting snowflakes"),
    "stars": ("twinkling stars", "stars twinkling"),
    "sea": ("shimmering water", "gentle waves", "rippling water", "glittering waves"),
}


def motion_caption(scene: Scene, motion: Motion, rng: random.Random, empty: float = 0.10) -> str:
    """A caption of the clip, with motion words where the scene has motion to speak of; nothing with chance `empty`."""
    if rng.random() < empty:
        return ""
    phrases = _motion_phrases(scene, motion, rng)
    text = caption(scene, rng)
    rng.shuffle(phrases)
    for phrase in phrases[:2]:
        text = f"{phrase}, {text}" if rng.random() < 0.3 else f"{text}, {phrase}"
    return text


def motion_words() -> list[str]:
    """Every word of the motion phrases, sorted."""
    tables = (_BOAT_WORDS, _BALLOON_WORDS, _CLOUD_WORDS, _ALWAYS_WORDS)
    phrases = [*_STILL_WORDS, *(phrase for table in tables for words in table.values() for phrase in words)]
    return sorted({word for phrase in phrases for word in phrase.replace(",", "").split()})


def _motion_phrases(scene: Scene, motion: Motion, rng: random.Random) -> list[str]:
    """What the caption says about motion: the unusual nearly always, the usual now and then."""
    if motion == STILL:
        return [rng.choice(_STILL_WORDS)]

    def said(usual: bool) -> bool:
        return rng.random() < (_USUAL_SAID if usual else _UNUSUAL_SAID)

    phrases: list[str] = []
    if scene.object == "boat" and said(motion.sail < 0):
        phrases.append(rng.choice(_BOAT_WORDS[_sign(motion.sail)]))
    if scene.object == "balloon" and said(motion.climb > 0):
        phrases.append(rng.choice(_BALLOON_WORDS[_sign(motion.climb)]))
    if scene.weather == "cloudy" and said(motion.wind > 0):
        phrases.append(rng.choice(_CLOUD_WORDS[_sign(motion.wind)]))
    shown = {scene.object, scene.weather, scene.celestial, scene.terrain}
    if scene.object == "lighthouse" and scene.time not in ("night", "sunset"):
        shown.discard("lighthouse")
    phrases += [
        rng.choice(words) for name, words in _ALWAYS_WORDS.items() if name in shown and rng.random() < _AMBIENT_SAID
    ]
    return phrases


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
