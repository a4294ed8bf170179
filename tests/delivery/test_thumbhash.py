"""ThumbHash against vectors made by the format's first implementation, and through our own decoder."""

import base64

import numpy as np
import pytest

from heliograph.delivery import thumbhash


def pattern(width: int, height: int, *, has_alpha: bool) -> np.ndarray:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    channels = [(x * 7 + y * 3) % 256, (x * 2 + y * 11 + 40) % 256, (x * y + 90) % 256]
    if has_alpha:
        channels.append(255 - (x * x + y * x) % 200)
    return np.stack(channels, axis=-1).astype(np.uint8)


def flat(colour: tuple[int, ...], width: int = 40, height: int = 40) -> np.ndarray:
    return np.full((height, width, len(colour)), colour, dtype=np.uint8)


@pytest.mark.parametrize(
    ("width", "height", "has_alpha", "expected"),
    [
        (32, 32, False, "4BcGHwpBWGdIWYhkhwmIiYl4BZREIDMJ"),
        (100, 60, False, "IPgFDIJ4lzZoZwaXdXdXBUlfBQ=="),
        (48, 100, False, "3/cFCwRXmUcGaWd4RpiAQgs="),
        (100, 10, False, "INgFGYoWRpA3iGWXBDlpbZ8="),
        (40, 40, True, "4NeFFQgKBnZGlmo4NAg1i4BE/++pqZiIiA=="),
        (64, 30, True, "4PeFCoYJdGB4ZUiQeFkIVv7vmpmIiIc="),
    ],
)
def test_the_bytes_are_those_of_the_format(width: int, height: int, has_alpha: bool, expected: str) -> None:
    assert thumbhash.encode_base64(pattern(width, height, has_alpha=has_alpha)) == expected


@pytest.mark.parametrize(
    "colour", [(0, 0, 0), (255, 255, 255), (200, 30, 40), (20, 180, 60), (10, 20, 240), (128, 128, 128)]
)
def test_a_flat_picture_comes_back_in_its_colour(colour: tuple[int, int, int]) -> None:
    placeholder = thumbhash.decode(thumbhash.encode(flat(colour)))
    assert np.ptp(placeholder[..., :3], axis=(0, 1)).max() == 0
    np.testing.assert_allclose(placeholder[0, 0, :3], colour, atol=8)
    assert (placeholder[..., 3] == 255).all()


def test_where_the_light_is_survives() -> None:
    pixels = flat((0, 0, 0), 60, 40)
    pixels[:, 30:] = 255
    placeholder = thumbhash.decode(thumbhash.encode(pixels))[..., :3].mean(axis=(0, 2))
    assert placeholder[:8].max() < 60
    assert placeholder[-8:].min() > 195


def test_where_it_is_transparent_survives() -> None:
    pixels = flat((255, 0, 0, 255))
    pixels[:20, :, 3] = 0
    alpha = thumbhash.decode(thumbhash.encode(pixels))[..., 3].mean(axis=1)
    assert alpha[:6].max() < 80
    assert alpha[-6:].min() > 175


def test_a_fully_transparent_picture_has_a_hash() -> None:
    assert thumbhash.decode(thumbhash.encode(flat((9, 9, 9, 0))))[..., 3].max() == 0


@pytest.mark.parametrize(
    ("width", "height", "decoded"),
    [
        (100, 100, (32, 32)),
        (96, 60, (32, 18)),
        (60, 96, (18, 32)),
        (100, 1, (32, 5)),
        (1, 100, (5, 32)),
        (1, 1, (32, 32)),
    ],
)
def test_the_placeholder_keeps_the_aspect_ratio_roughly(width: int, height: int, decoded: tuple[int, int]) -> None:
    placeholder = thumbhash.decode(thumbhash.encode(flat((50, 90, 70), width, height)))
    assert placeholder.shape == (decoded[1], decoded[0], 4)


@pytest.mark.parametrize("side", [16, 57, 100])
def test_it_is_about_25_bytes(side: int) -> None:
    assert 20 <= len(thumbhash.encode(pattern(side, side, has_alpha=False))) <= 25


def test_a_picture_over_100_pixels_is_refused() -> None:
    with pytest.raises(AssertionError, match="101x20 does not fit"):
        thumbhash.encode(flat((1, 2, 3), 101, 20))


@pytest.mark.parametrize("broken", [b"", b"abcd", b"\0" * 5, base64.b64decode("4BcGHwpBWGdIWYhkhwmIiYl4BZREIDMJ")[:-1]])
def test_bytes_that_are_no_thumbhash_are_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="ThumbHash"):
        thumbhash.decode(broken)
