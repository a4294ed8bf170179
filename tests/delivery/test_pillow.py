"""Files as other programs read them: pixels, text chunks, EXIF, XMP."""

import io
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from heliograph.delivery import pillow
from heliograph.delivery.parameters import PictureParameters
from heliograph.delivery.provenance import DIGITAL_SOURCE_TYPE, SOFTWARE, Imprint
from heliograph.delivery.provenance import xmp_packet as xmp_packet_of
from heliograph.delivery.variants import Encoding, GifEncoding, JpegEncoding, PngEncoding, WebpEncoding
from heliograph.domain.pictures import ParametersMode

PARAMETERS = 'a boat, "red"\nأهلا 🌅\nSteps: 8, Seed: 7'
MADE_OF = PictureParameters(
    prompt='a boat, "red"\nأهلا 🌅',
    negative_prompt="",
    steps=8,
    guidance=3.5,
    seed=7,
    width_px=96,
    height_px=64,
    model="helio-base",
    version=SOFTWARE,
)
METADATA = Imprint(
    xmp=xmp_packet_of(MADE_OF, ParametersMode.MINIMAL),
    software=SOFTWARE,
    parameters=PARAMETERS,
    short_parameters="Steps: 8, Seed: 7",
)
PNG = PngEncoding()
JPEG = JpegEncoding(quality=92, has_full_chroma=True)
WEBP = WebpEncoding(quality=92, effort=4)
GIF = GifEncoding()
ALL = [PNG, JPEG, WEBP]
ANIMATED = [PNG, WEBP, GIF]


def a_picture(width: int = 96, height: int = 64) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 6, width), np.linspace(0, 4, height))
    waves = [np.sin(x), np.cos(y), np.sin(x + y)]
    return (np.stack(waves, axis=-1) * 120 + 127).astype(np.uint8)


def encoded(encoding: Encoding, metadata: Imprint = METADATA) -> bytes:
    return pillow.encode(pillow.image_of(a_picture()), encoding, metadata)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def user_comment(image: Image.Image) -> str | None:
    comment = image.getexif().get_ifd(0x8769).get(0x9286)
    if comment is None:
        return None
    assert comment[:8] == b"UNICODE\0"
    return comment[8:].decode("utf-16-be")


def xmp_packet(image: Image.Image) -> bytes:
    packet = image.info["XML:com.adobe.xmp"].encode() if image.format == "PNG" else image.info["xmp"]
    assert isinstance(packet, bytes)
    return packet


def test_png_keeps_every_level() -> None:
    np.testing.assert_array_equal(np.asarray(opened(encoded(PNG))), a_picture())


@pytest.mark.parametrize("encoding", [JPEG, WEBP])
def test_lossy_formats_stay_close(encoding: Encoding) -> None:
    difference = np.asarray(opened(encoded(encoding))).astype(int) - a_picture()
    assert np.abs(difference).mean() < 2.5


@pytest.mark.parametrize(("encoding", "name"), [(PNG, "PNG"), (JPEG, "JPEG"), (WEBP, "WEBP")])
def test_the_format_size_and_mode_are_right(encoding: Encoding, name: str) -> None:
    image = opened(encoded(encoding))
    assert (image.format, image.size, image.mode) == (name, (96, 64), "RGB")


def test_png_carries_the_parameters_as_text() -> None:
    text = opened(encoded(PNG)).text
    assert (text["parameters"], text["Software"]) == (PARAMETERS, SOFTWARE)


@pytest.mark.parametrize("encoding", [JPEG, WEBP])
def test_jpeg_and_webp_carry_the_parameters_as_user_comment(encoding: Encoding) -> None:
    image = opened(encoded(encoding))
    assert user_comment(image) == PARAMETERS
    assert image.getexif()[0x0131] == SOFTWARE


@pytest.mark.parametrize("encoding", ALL)
def test_every_format_says_that_a_model_made_it(encoding: Encoding) -> None:
    packet = xmp_packet(opened(encoded(encoding)))
    description = ElementTree.fromstring(packet).find(".//{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    assert description is not None
    assert description.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType") == DIGITAL_SOURCE_TYPE
    assert description.get("{http://ns.adobe.com/xap/1.0/}CreatorTool") == SOFTWARE


@pytest.mark.parametrize("encoding", ALL)
def test_without_parameters_only_the_origin_is_told(encoding: Encoding) -> None:
    image = opened(encoded(encoding, replace(METADATA, parameters=None)))
    assert user_comment(image) is None
    assert "parameters" not in image.info
    assert DIGITAL_SOURCE_TYPE.encode() in xmp_packet(image)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [(PNG, None), (JPEG, "Steps: 8, Seed: 7"), (WEBP, "Steps: 8, Seed: 7")],
)
def test_a_prompt_too_long_for_exif_leaves_the_settings(encoding: Encoding, expected: str | None) -> None:
    long = "boat " * 10_000
    image = opened(encoded(encoding, replace(METADATA, parameters=long)))
    assert user_comment(image) == expected
    assert image.info.get("parameters") == (long if encoding is PNG else None)


def test_jpeg_is_progressive_and_keeps_full_colour_where_asked() -> None:
    fine = opened(encoded(JPEG))
    coarse = opened(encoded(JpegEncoding(quality=70, has_full_chroma=False)))
    assert "progressive" in fine.info
    assert [layer[1:3] for layer in fine.layer] == [(1, 1)] * 3
    assert coarse.layer[0][1:3] == (2, 2)


@pytest.mark.parametrize("quality", [75, 100])
@pytest.mark.parametrize("has_full_chroma", [False, True])
def test_noise_of_any_size_fits_a_jpeg(quality: int, has_full_chroma: bool) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (640, 512, 3), np.uint8)
    encoding = JpegEncoding(quality=quality, has_full_chroma=has_full_chroma)
    assert opened(pillow.encode(pillow.image_of(noise), encoding, METADATA)).size == (512, 640)


def test_a_lower_quality_is_smaller() -> None:
    assert len(encoded(WebpEncoding(quality=10, effort=4))) < len(encoded(WEBP))
    assert len(encoded(JpegEncoding(quality=10, has_full_chroma=False))) < len(encoded(JPEG))


def test_scaling_down_keeps_the_picture() -> None:
    image = pillow.image_of(a_picture(400, 200))
    small = pillow.scaled_down(image, (100, 50))
    expected = a_picture(400, 200).reshape(50, 4, 100, 4, 3).mean(axis=(1, 3))
    assert np.abs(np.asarray(small) - expected).mean() < 2
    assert pillow.scaled_down(small, (100, 50)) is small


# --- clips ----------------------------------------------------------------------------------------------------------


def a_clip(frames: int = 5) -> list[np.ndarray]:
    """A wave that wanders to the right."""
    return [np.roll(a_picture(), 7 * number, axis=1) for number in range(frames)]


def encoded_clip(encoding: Encoding, *, frames_per_second: float = 8.0, frames: int = 5) -> bytes:
    first, *following = map(pillow.image_of, a_clip(frames))
    motion = pillow.Motion(following=following, frames_per_second=frames_per_second)
    return pillow.encode(first, encoding, METADATA, motion=motion)


def frames_of(data: bytes) -> tuple[list[np.ndarray], float]:
    """Pixels of every frame and the duration in milliseconds, as a browser would show them."""
    image = Image.open(io.BytesIO(data))
    frames, duration_ms = [], 0.0
    for number in range(image.n_frames):
        image.seek(number)
        image.load()
        frames.append(np.asarray(image.convert("RGB")).astype(int))
        duration_ms += image.info["duration"]
    return frames, duration_ms


@pytest.mark.parametrize(("encoding", "tolerance"), [(PNG, 0.0), (WEBP, 3.0), (GIF, 12.0)])
def test_a_clip_has_every_frame_in_order(encoding: Encoding, tolerance: float) -> None:
    frames, duration_ms = frames_of(encoded_clip(encoding))
    assert [np.abs(frame - still).mean() <= tolerance for frame, still in zip(frames, a_clip(), strict=True)] == [
        True
    ] * 5
    assert duration_ms == pytest.approx(5 / 8 * 1000, abs=5 if encoding is GIF else 1)


@pytest.mark.parametrize("encoding", ANIMATED)
def test_a_clip_plays_forever_and_says_where_it_comes_from(encoding: Encoding) -> None:
    data = encoded_clip(encoding)
    image = opened(data)
    assert image.info["loop"] == 0
    assert DIGITAL_SOURCE_TYPE.encode() in data
    told = {"PNG": lambda: image.text["parameters"], "WEBP": lambda: user_comment(image)}
    assert told.get(str(image.format), lambda: image.info["comment"].decode())() == PARAMETERS


def test_a_gif_is_read_to_its_end_by_readers_that_do_not_know_the_packet() -> None:
    """The packet is skipped as sub-blocks are: a length, so many bytes, until a length of zero."""
    data = encoded_clip(GIF)
    at = data.index(b"XMP DataXMP") + 11
    while data[at]:
        at += data[at] + 1
    assert data[at + 1] in b"\x21\x2c"


@pytest.mark.parametrize(("frames_per_second", "tick_ms"), [(8, 1), (8, 10), (24, 1), (24, 10), (30, 10), (7.5, 10)])
def test_frame_times_add_up_to_the_duration_of_the_clip(frames_per_second: float, tick_ms: int) -> None:
    motion = pillow.Motion(following=[pillow.image_of(a_picture())] * 15, frames_per_second=frames_per_second)
    durations = motion.durations_ms(tick_ms=tick_ms)
    assert len(durations) == 16
    assert sum(durations) == pytest.approx(16_000 / frames_per_second, abs=tick_ms / 2)
    assert max(durations) - min(durations) <= tick_ms


def test_what_stands_still_in_a_gif_keeps_its_colours() -> None:
    """Colours chosen anew for every frame would make a still sky flicker."""
    clip = a_clip()
    for number, frame in enumerate(clip):
        frame[:32] = a_picture()[:32]
        frame[32:] = (number * 60, 255 - number * 40, 128)
    first, *following = map(pillow.image_of, clip)
    data = pillow.encode(first, GIF, METADATA, motion=pillow.Motion(following=following, frames_per_second=8))
    frames, _ = frames_of(data)
    assert all(np.array_equal(frame[:32], frames[0][:32]) for frame in frames)
