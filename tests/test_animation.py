"""Stills stay what they were before pictures learned to move, and clips move what they should."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray
from training.animation import STILL, Moment, Motion, clip_scene_at, is_lively, moments, motion_of
from training.motion_captions import motion_caption, motion_words
from training.painting import paint, paint_clip
from training.scenes import Scene, scene_at

BREEZE = Motion(wind=0.08, sail=-0.08, climb=0.05, life=1.0)

STILLS: list[tuple[int, list[float], float]] = [
    (0, [190.0, 179.6, 161.9, 162.3], 46.3),
    (1, [201.6, 209.4, 195.7, 214.5], 28.1),
    (2, [139.8, 130.3, 64.1, 64.8], 55.0),
    (4, [235.7, 232.8, 220.6, 214.5], 34.4),
    (6, [58.8, 87.3, 80.6, 66.5], 51.1),
    (14, [208.7, 212.9, 206.7, 207.1], 32.3),
    (23, [203.9, 203.8, 124.2, 119.4], 57.2),
]
"""Scenes of all styles and terrains as they were painted before clips: mean level of each quarter, deviation of all."""


def a_scene(**changes: str) -> Scene:
    attributes = {
        "time": "day", "terrain": "hills", "celestial": "none", "object": "none", "colour": "red", "position": "center",
        "weather": "foggy", "style": "flat",
    } | changes  # fmt: skip
    return Scene(**attributes, seed=7)


def clip(scene: Scene, motion: Motion = BREEZE) -> NDArray[np.int32]:
    """(frames, 128, 128, 3) levels."""
    return np.stack([frame.picture() for frame in paint_clip(scene, "square", moments(motion))]).astype(np.int32)


def centre_of_red(picture: NDArray[np.int32]) -> NDArray[np.float64]:
    """(row, column) of the middle of everything strongly red."""
    red = (picture[..., 0] > 150) & (picture[..., 1] < 90) & (picture[..., 2] < 90)
    return np.argwhere(red).mean(0)


def moved_share(frames: NDArray[np.int32]) -> float:
    """Share of pixels that differ clearly between the first and the fifth frame."""
    return float((np.abs(frames[4] - frames[0]).max(-1) > 12).mean())


@pytest.mark.parametrize(("index", "quarters", "deviation"), STILLS)
def test_stills_are_painted_as_before(index: int, quarters: list[float], deviation: float) -> None:
    picture = paint(scene_at("square", index)).picture()
    assert picture.reshape(2, 64, 2, 64, 3).mean((1, 3, 4)).flatten() == pytest.approx(quarters, abs=0.3)
    assert float(picture.std()) == pytest.approx(deviation, abs=0.3)


@pytest.mark.parametrize("style", ["flat", "watercolor", "lineart", "pixel"])
@pytest.mark.parametrize("terrain", ["mountains", "sea", "city"])
def test_a_clip_begins_with_the_still_and_stands_still_without_motion(style: str, terrain: str) -> None:
    scene = a_scene(terrain=terrain, style=style, object="lighthouse", time="night", celestial="moon", weather="snowy")
    still = paint(scene).large
    first, second = paint_clip(scene, "square", moments(BREEZE, frames=2))
    assert np.array_equal(first.large, still)
    assert not np.array_equal(second.large, still)
    frozen = paint(scene, "square", Moment(motion=STILL, time_s=1.0))
    assert np.array_equal(frozen.large, still)


@pytest.mark.parametrize(
    ("scene", "rows_px", "columns_px"),
    [
        (a_scene(terrain="sea", object="boat"), 0.0, -0.08 * 128 * 11 / 8),
        (a_scene(object="balloon"), -0.05 * 128 * 11 / 8, 0.04 * 128 * 11 / 8),
        (a_scene(object="house"), 0.0, 0.0),
    ],
    ids=["a boat sails where its bow points", "a balloon rises with the wind", "a house stays"],
)
def test_objects_travel_with_one_velocity(scene: Scene, rows_px: float, columns_px: float) -> None:
    frames = clip(scene)
    start, middle, end = (centre_of_red(frames[number]) for number in (0, 6, 11))
    assert end - start == pytest.approx([rows_px, columns_px], abs=2.5)
    assert (middle - start)[1] == pytest.approx(columns_px * 6 / 11, abs=1.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"object": "windmill"},
        {"object": "lighthouse", "time": "night"},
        {"object": "tree"},
        {"weather": "snowy"},
        {"weather": "cloudy"},
        {"celestial": "stars", "time": "night"},
        {"celestial": "sun", "time": "sunset"},
        {"terrain": "sea"},
        {"terrain": "forest"},
        {"weather": "foggy"},
    ],
    ids=lambda changes: " ".join(changes.values()),
)
def test_everything_that_can_move_does(changes: dict[str, str]) -> None:
    frames = clip(a_scene(**({"weather": "clear"} | changes)))
    steps = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    assert (steps > 0.02).all(), "a frame repeats the one before"
    assert moved_share(frames) < 0.5, "the whole picture flickers"


def test_a_sunset_sinks_and_a_dawn_rises() -> None:
    moment = Moment(motion=BREEZE, time_s=1.0)
    assert moment.disc_rise("sunset") < 0 < moment.disc_rise("night") < moment.disc_rise("dawn")


def test_pixel_art_keeps_the_palette_of_its_first_frame() -> None:
    frames = clip(a_scene(style="pixel", object="balloon", weather="cloudy"))
    first = {tuple(colour) for colour in frames[0].reshape(-1, 3)}
    assert {tuple(colour) for colour in frames[11].reshape(-1, 3)} <= first


def test_clips_are_mostly_lively_and_each_has_the_same_motion_every_time() -> None:
    scenes = [clip_scene_at("square", index) for index in range(400)]
    assert scenes == [clip_scene_at("square", index) for index in range(400)]
    assert sum(map(is_lively, scenes)) / len(scenes) > 0.9
    motions = [motion_of(scene) for scene in scenes]
    assert motions == [motion_of(scene) for scene in scenes]
    assert 0.02 < motions.count(STILL) / len(motions) < 0.12
    assert 0.5 < sum(motion.wind > 0 for motion in motions) / len(motions) < 0.8


@pytest.mark.parametrize(
    ("scene", "motion", "words"),
    [
        (a_scene(), STILL, {"still", "motionless", "frozen", "without", "no"}),
        (a_scene(object="boat"), Motion(wind=0.1, sail=0.1, climb=0.1, life=1.0), {"right"}),
        (a_scene(object="balloon"), Motion(wind=0.1, sail=0.1, climb=-0.1, life=1.0),
         {"sinking", "descending", "down", "landing"}),
        (a_scene(weather="cloudy"), Motion(wind=-0.1, sail=0.1, climb=0.1, life=1.0), {"left"}),
    ],
    ids=["no motion", "boat to the right", "sinking balloon", "clouds to the left"],
)  # fmt: skip
def test_unusual_motion_is_nearly_always_said(scene: Scene, motion: Motion, words: set[str]) -> None:
    rng = random.Random(0)
    captions = [motion_caption(scene, motion, rng, empty=0.0).replace(",", "").split() for _ in range(200)]
    assert sum(bool(words & set(caption)) for caption in captions) > 160
    assert words <= set(motion_words())
