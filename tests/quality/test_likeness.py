import numpy as np
import pytest
from training.textures import photo_like

from heliograph.quality.golden import DriftDecision, DriftPolicy, GoldenPair, drift
from heliograph.quality.likeness import VISIBLE_DISTANCE, Likeness, likeness, perceptual_distance

PHOTO = photo_like(np.random.default_rng(1))


def rounded(levels: int) -> np.ndarray:
    offsets = np.random.default_rng(2).integers(-levels, levels + 1, PHOTO.shape)
    return np.clip(PHOTO.astype(int) + offsets, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (PHOTO.copy(), Likeness.IDENTICAL),
        (rounded(1), Likeness.VISUALLY_IDENTICAL),
        (rounded(20), Likeness.DIFFERENT),
        (np.roll(PHOTO, 3, axis=1), Likeness.DIFFERENT),
        (PHOTO[..., ::-1], Likeness.DIFFERENT),
        (PHOTO[:-8], Likeness.DIFFERENT),
    ],
)
def test_two_pictures_are_the_same_or_look_the_same_or_are_different(other, expected) -> None:
    found, distance = likeness(PHOTO, np.ascontiguousarray(other))
    assert found is expected
    assert (distance < VISIBLE_DISTANCE) is (expected is not Likeness.DIFFERENT)


def test_the_distance_grows_with_the_difference_and_has_no_direction() -> None:
    distances = [perceptual_distance(PHOTO, rounded(levels)) for levels in (1, 4, 16, 64)]
    assert distances == sorted(distances)
    assert perceptual_distance(PHOTO, rounded(16)) == perceptual_distance(rounded(16), PHOTO)
    assert distances[-1] <= 1


def pair(distance: float, before: float | None = 0.9, after: float | None = 0.9) -> GoldenPair:
    return GoldenPair(prompt="a boat", seed=1, distance=distance, alignment_before=before, alignment_after=after)


@pytest.mark.parametrize(
    ("pairs", "policy", "expected"),
    [
        ([pair(0.0), pair(0.005)], DriftPolicy(), DriftDecision.SAME),
        ([pair(0.0), pair(0.2)], DriftPolicy(), DriftDecision.CHANGED),
        ([pair(0.0), pair(0.2)], DriftPolicy(changed_share_max=0.5), DriftDecision.SAME),
        ([pair(0.5, after=0.5), pair(0.5)], DriftPolicy(), DriftDecision.WORSE),
        ([pair(0.0, after=0.5)], DriftPolicy(), DriftDecision.SAME),
        ([pair(0.5, None, None)], DriftPolicy(), DriftDecision.CHANGED),
    ],
)
def test_golden_pictures_say_whether_a_model_is_what_it_was(pairs, policy, expected) -> None:
    assert drift(pairs, policy).decision is expected
