"""Facts of pictures whose facts are known."""

import numpy as np
import pytest

from heliograph.quality.facts import image_facts, worst_of

NOISE = np.random.default_rng(3)


def flat(width: int, height: int, colour: tuple[int, int, int] = (10, 200, 30)) -> np.ndarray:
    return np.full((height, width, 3), colour, dtype=np.uint8)


def test_the_size_is_read_as_width_then_height() -> None:
    facts = image_facts(flat(30, 20))
    assert (facts.width_px, facts.height_px) == (30, 20)


def test_one_colour_has_no_spread_and_is_flat_all_over() -> None:
    facts = image_facts(flat(64, 64))
    assert (facts.spread, facts.flat_share) == (0.0, 1.0)


def test_a_checkerboard_spreads_as_far_as_its_levels() -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    facts = image_facts(np.repeat(board[..., None], 3, axis=2).astype(np.uint8))
    assert facts.spread == pytest.approx(127.5)


def test_the_flat_share_counts_the_pixels_near_the_median_colour() -> None:
    pixels = flat(100, 100)
    pixels[:25] = NOISE.integers(100, 256, (25, 100, 3))
    assert image_facts(pixels).flat_share == pytest.approx(0.75)


def test_the_spread_is_that_of_the_liveliest_channel() -> None:
    pixels = flat(64, 64)
    pixels[:, :32, 2] = 130
    assert image_facts(pixels).spread == pytest.approx(50.0)


@pytest.mark.parametrize("period", [2, 3, 4, 5, 7, 16, 17])
@pytest.mark.parametrize("axis", [0, 1])
def test_no_stripes_hide_between_the_samples_of_a_large_picture(period: int, axis: int) -> None:
    stripes = (np.arange(1024) % period == 0) * np.uint8(255)
    pixels = np.broadcast_to(stripes[:, None] if axis == 0 else stripes[None, :], (1024, 1024))
    share = 1 / period
    assert image_facts(np.stack([pixels] * 3, axis=-1)).spread == pytest.approx(
        255 * (share * (1 - share)) ** 0.5, rel=0.05
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_single_value_that_is_not_finite_is_found(value: float) -> None:
    pixels = NOISE.random((1024, 1024, 3), dtype=np.float32)
    pixels[517, 3, 1] = value
    facts = image_facts(pixels)
    assert not facts.is_finite
    assert (facts.spread, facts.flat_share) == (0.0, 0.0)


def test_floating_point_and_integer_pixels_have_the_same_facts() -> None:
    levels = NOISE.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    of_levels, of_floats = image_facts(levels), image_facts(levels / 255)
    assert of_floats.is_finite
    assert of_floats.spread == pytest.approx(of_levels.spread, rel=1e-4)
    assert of_floats.flat_share == pytest.approx(of_levels.flat_share, abs=0.01)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (5000, 1)])
def test_any_size_has_facts(width: int, height: int) -> None:
    assert image_facts(flat(width, height)).flat_share == 1.0


def test_a_clip_is_as_bad_as_its_worst_frame() -> None:
    lively = NOISE.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    good, blank = image_facts(lively), image_facts(flat(50, 40))
    assert worst_of([good]) == good
    clip = worst_of([good, blank, good])
    assert (clip.width_px, clip.height_px, clip.is_finite) == (50, 40, True)
    assert (clip.spread, clip.flat_share) == (0.0, 1.0)
    broken = image_facts(np.full((40, 50, 3), np.nan))
    assert not worst_of([good, good, broken]).is_finite
