"""Films: what a player gets back, and what the file says about itself."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from heliograph.delivery import pillow, pillow_clips
from heliograph.delivery.provenance import DIGITAL_SOURCE_TYPE, Imprint
from heliograph.delivery.pyav import encode_film, film_comment, read_film
from heliograph.delivery.variants import FilmEncoding, WebpEncoding

MP4 = FilmEncoding(quality=90, is_webm=False)
WEBM = FilmEncoding(quality=90, is_webm=True)
BOTH = pytest.mark.parametrize("encoding", [MP4, WEBM], ids=["mp4", "webm"])
COMMENT = 'a boat, "red"\nأهلا 🌅\nSteps: 8, Seed: 7'


XMP = f"<x:xmpmeta>{DIGITAL_SOURCE_TYPE}</x:xmpmeta>"


def a_clip(frames: int = 12, width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """A red square that moves over blue."""
    clip = np.zeros((frames, height, width, 3), np.uint8)
    clip[..., 2] = 160
    for number, frame in enumerate(clip):
        frame[16:48, 4 + 4 * number : 36 + 4 * number] = (220, 30, 40)
    return clip


def film(encoding: FilmEncoding, clip: NDArray[np.uint8] | None = None, per_second: float = 8.0) -> bytes:
    frames = a_clip() if clip is None else clip
    return encode_film(frames, encoding, frames_per_second=per_second, comment=COMMENT, xmp=XMP)


@BOTH
def test_every_frame_comes_back_in_order_and_in_its_colours(encoding: FilmEncoding) -> None:
    clip = a_clip()
    frames = read_film(film(encoding, clip), frames_max=100)
    assert len(frames) == 12
    for made, read in zip(clip, frames, strict=True):
        assert np.abs(made[20:44].astype(int) - read[20:44]).mean() < 2
    assert len(read_film(film(encoding, clip), frames_max=5)) == 5


@BOTH
def test_the_same_frames_give_the_same_bytes_and_a_better_quality_more(encoding: FilmEncoding) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (6, 64, 96, 3), dtype=np.uint8)
    assert film(encoding, noise) == film(encoding, noise)
    poor = FilmEncoding(quality=20, is_webm=encoding.is_webm)
    assert len(film(encoding, noise)) > 1.5 * len(film(poor, noise))


@BOTH
def test_it_says_how_it_was_made_and_that_a_machine_made_it(encoding: FilmEncoding) -> None:
    made = film(encoding)
    assert film_comment(made) == COMMENT
    assert DIGITAL_SOURCE_TYPE.encode() in made


@BOTH
def test_odd_sides_get_one_pixel_more(encoding: FilmEncoding) -> None:
    (first, *_) = read_film(film(encoding, a_clip(3, 95, 63)), frames_max=9)
    assert first.shape == (64, 96, 3)


def test_mp4_has_its_index_before_its_pictures() -> None:
    made = film(MP4)
    assert made.index(b"moov") < made.index(b"mdat")


def test_what_is_no_film_is_said() -> None:
    for data in (b"", b"nonsense" * 99, film(MP4)[:60]):
        with pytest.raises(ValueError, match="not a film"):
            read_film(data, frames_max=3)
    with pytest.raises(ValueError, match="not a film"):
        film_comment(b"nonsense" * 99)


def test_a_contact_sheet_shows_the_frames_row_by_row() -> None:
    sheet = Image.open(io.BytesIO(pillow_clips.contact_sheet(list(a_clip(12)))))
    assert (sheet.format, sheet.size) == ("JPEG", (4 * 96, 3 * 64))
    red = [np.asarray(sheet)[32, column * 96 + 12].tolist()[0] for column in range(4)]
    assert red[0] > 180 > 60 > red[3], "the square has moved on"
    large = Image.open(io.BytesIO(pillow_clips.contact_sheet(list(a_clip(100, 640, 64)))))
    assert large.size == (8 * 160, 8 * 16)


def test_the_frames_of_an_animation_are_read() -> None:
    first, *following = map(pillow.image_of, a_clip(5))
    motion = pillow.Motion(following=following, frames_per_second=8)
    data = pillow.encode(first, WebpEncoding(quality=95, effort=2), Imprint(xmp=""), motion=motion)
    frames = pillow_clips.read_animation(data, frames_max=4)
    assert len(frames) == 4
    assert np.abs(frames[2].astype(int) - a_clip(5)[2]).mean() < 8
    with pytest.raises(ValueError, match="not a clip"):
        pillow_clips.read_animation(b"nothing", frames_max=4)
