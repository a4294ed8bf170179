import random

from training.render import COUNTS
from training.retrieval import CALIBRATION_FIRST, MEASURING_FIRST, distinct_scenes, full_caption
from training.scenes import is_held_out, is_plausible


def test_scenes_are_new_to_training_and_differ_in_words() -> None:
    calibration, measuring = distinct_scenes(CALIBRATION_FIRST, 300), distinct_scenes(MEASURING_FIRST, 300)
    assert all(scene.seed >= CALIBRATION_FIRST > max(COUNTS.values()) for scene in calibration)
    assert max(scene.seed for scene in calibration) < min(scene.seed for scene in measuring)
    captions = {full_caption(scene, random.Random(0)) for scene in measuring}
    assert len(captions) == 300


def test_sampled_scenes_are_plausible_and_never_held_out() -> None:
    scenes = distinct_scenes(MEASURING_FIRST, 300)
    assert all(is_plausible(scene) and not is_held_out(scene) for scene in scenes)
