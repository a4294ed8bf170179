"""Delivered files beside one another."""

import io

import numpy as np
import pytest
from PIL import Image

from heliograph.comparison import files_alike
from heliograph.delivery.pyav import encode_film
from heliograph.delivery.variants import FilmEncoding
from heliograph.domain.errors import Unavailable
from heliograph.domain.request import OutputFormat
from heliograph.quality.likeness import Likeness


def a_picture(shift: int = 0) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 6, 96), np.linspace(0, 4, 64))
    return (np.stack([np.sin(x + shift), np.cos(y), np.sin(x + y)], axis=-1) * 120 + 127).astype(np.uint8)


def jpeg(pixels: np.ndarray, quality: int = 95) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


def test_pictures_that_differ_for_no_eye_and_others() -> None:
    verdict, distance = files_alike(jpeg(a_picture()), jpeg(a_picture(), 93), OutputFormat.JPEG)
    assert (verdict, 0 < distance < 0.01) == (Likeness.VISUALLY_IDENTICAL, True)
    verdict, distance = files_alike(jpeg(a_picture()), jpeg(a_picture(2)), OutputFormat.JPEG)
    assert (verdict, distance > 0.1) == (Likeness.DIFFERENT, True)


def test_clips_are_compared_frame_by_frame_and_by_their_length() -> None:
    def film(frames: list[np.ndarray]) -> bytes:
        encoding = FilmEncoding(quality=95, is_webm=False)
        return encode_film(frames, encoding, frames_per_second=8, comment="", xmp="")

    still, moved = a_picture(), a_picture(2)
    assert files_alike(film([still] * 4), film([still] * 4), OutputFormat.MP4)[0] is Likeness.VISUALLY_IDENTICAL
    assert files_alike(film([still] * 4), film([still] * 3 + [moved]), OutputFormat.MP4)[0] is Likeness.DIFFERENT
    assert files_alike(film([still] * 4), film([still] * 3), OutputFormat.MP4) == (Likeness.DIFFERENT, 1.0)


def test_a_file_that_cannot_be_read_is_said() -> None:
    with pytest.raises(Unavailable, match="cannot be read"):
        files_alike(jpeg(a_picture()), b"nothing", OutputFormat.JPEG)
