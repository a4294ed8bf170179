"""The measure of what a copy keeps, and the search for the setting that keeps enough."""

import io

import numpy as np
import pytest
from PIL import Image

from heliograph.delivery.fidelity import fidelity
from heliograph.delivery.quality_search import QualityTarget, Trial, lowest_quality, sample_of
from heliograph.domain.pictures import FileFormat
from heliograph.variant_making import fitting

DICE = np.random.default_rng(3)


def a_scene(height: int = 192, width: int = 256) -> np.ndarray:
    """Large patches under small ones, as photographs have them."""
    layers = [
        np.asarray(Image.fromarray(DICE.integers(0, 256, (side, side, 3), np.uint8)).resize((width, height)), float)
        for side in (4, 16, 64)
    ]
    return (layers[0] * 0.6 + layers[1] * 0.25 + layers[2] * 0.15).clip(0, 255).astype(np.uint8)


SCENE = a_scene()


def saved(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_a_picture_is_like_itself_and_loses_with_every_step_of_quality() -> None:
    assert fidelity(SCENE, SCENE) == pytest.approx(1.0)
    kept = [fidelity(SCENE, saved(SCENE, quality)) for quality in (10, 30, 60, 90)]
    assert kept == sorted(kept)
    assert kept[0] < 0.8 < kept[-1] < 1.0


def test_one_broken_place_costs_more_than_the_same_error_spread_thin() -> None:
    broken = SCENE.copy()
    broken[:48, :64] = 127
    error = np.abs(broken.astype(int) - SCENE).mean()
    noise = DICE.normal(0, 1, SCENE.shape)
    spread = (SCENE + noise * error / np.abs(noise).mean()).clip(0, 255).astype(np.uint8)
    assert fidelity(SCENE, broken) < fidelity(SCENE, spread)


def test_lost_colour_counts() -> None:
    grey = np.asarray(Image.fromarray(SCENE).convert("L").convert("RGB"))
    assert fidelity(SCENE, grey) < 0.95


@pytest.mark.parametrize("size", [(8, 8), (9, 40), (16, 16), (17, 33)])
def test_small_pictures_are_measured_too(size: tuple[int, int]) -> None:
    pixels = DICE.integers(0, 256, (*size, 3), np.uint8)
    assert fidelity(pixels, pixels) == pytest.approx(1.0)
    assert fidelity(pixels, 255 - pixels) < 0.5


def a_codec(enough_from: int, *, bytes_per_step: int = 100):
    """Keeps enough from one quality on; `asked` are the qualities tried."""
    asked: list[int] = []

    def try_out(quality: int) -> Trial:
        asked.append(quality)
        return Trial(fidelity=1.0 if quality >= enough_from else 0.5, size_bytes=quality * bytes_per_step)

    return try_out, asked


@pytest.mark.parametrize("enough_from", [30, 31, 50, 77, 94, 95])
def test_the_lowest_quality_that_keeps_enough_is_found_in_a_few_tries(enough_from: int) -> None:
    try_out, asked = a_codec(enough_from)
    found = lowest_quality(try_out, QualityTarget(fidelity=0.9), share=1.0)
    assert enough_from <= found <= enough_from + 2
    assert len(asked) <= 6


def test_what_no_quality_reaches_gets_the_best() -> None:
    assert lowest_quality(a_codec(1_000)[0], QualityTarget(fidelity=0.9), share=1.0) == 95


@pytest.mark.parametrize(("bytes_max", "low", "high"), [(8_000, 76, 80), (5_000, 46, 50), (100, 30, 32)])
def test_a_budget_of_bytes_lowers_the_quality_to_what_fits(bytes_max: int, low: int, high: int) -> None:
    found = lowest_quality(a_codec(90)[0], QualityTarget(fidelity=0.9, bytes_max=bytes_max), share=1.0)
    assert low <= found <= high


def test_a_sample_is_a_share_of_a_large_picture_and_all_of_a_small_one() -> None:
    assert sample_of(np.zeros((300, 200, 3), np.uint8)).shape == (300, 200, 3)
    assert sample_of(np.zeros((1000, 1500, 3), np.uint8)).shape == (320, 320, 3)
    assert sample_of(np.zeros((100, 9000, 3), np.uint8)).shape == (100, 640, 3)


@pytest.mark.parametrize("file_format", [FileFormat.JPEG, FileFormat.WEBP, FileFormat.AVIF])
def test_a_higher_target_takes_a_higher_quality(file_format: FileFormat) -> None:
    low, high = (fitting(file_format, SCENE, QualityTarget(fidelity=each)) for each in (0.85, 0.97))
    assert low.quality < high.quality


def test_a_picture_too_small_to_measure_is_encoded_well() -> None:
    assert fitting(FileFormat.WEBP, np.zeros((4, 4, 3), np.uint8), QualityTarget()).quality == 85
