"""PNG files of our own making, as other programs read them."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from heliograph.delivery import png

GENERATOR = np.random.default_rng(5)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2), (8, 8), (9, 33), (64, 96), (300, 700)])
def test_every_level_of_every_size_comes_back(size: tuple[int, int], channels: int) -> None:
    height, width = size
    ramp = np.linspace(0, 255, height * width * channels).reshape(height, width, channels)
    for pixels in (GENERATOR.integers(0, 256, (height, width, channels), np.uint8), ramp.astype(np.uint8)):
        image = Image.open(io.BytesIO(png.encode(pixels)))
        image.load()
        assert image.mode == {3: "RGB", 4: "RGBA"}[channels]
        assert np.array_equal(np.asarray(image), pixels)


def test_pixels_that_are_a_view_of_a_larger_picture_come_back() -> None:
    large = GENERATOR.integers(0, 256, (40, 60, 3), np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png.encode(large[::2, 5:25])))), large[::2, 5:25])


def test_it_says_that_its_colours_are_srgb_and_carries_texts() -> None:
    chunks = [png.text("parameters", "Steps: 8"), png.text("Prompt", "שלום"), png.international_text("XMP", "<x/>")]
    image = Image.open(io.BytesIO(png.encode(np.zeros((4, 4, 3), np.uint8), chunks)))
    image.load()
    assert image.info["srgb"] == 0
    assert (image.text["parameters"], image.text["Prompt"], image.text["XMP"]) == ("Steps: 8", "שלום", "<x/>")


def test_files_are_no_larger_than_a_general_encoder_makes_them() -> None:
    x, y = np.meshgrid(np.linspace(0, 9, 512), np.linspace(0, 9, 512))
    waves = np.stack([np.sin(x * y), np.cos(x + y), np.sin(x)], -1) * 100 + 127
    photo = (waves + GENERATOR.normal(0, 3, waves.shape)).clip(0, 255).astype(np.uint8)
    usual = io.BytesIO()
    Image.fromarray(photo).save(usual, "PNG", compress_level=1)
    assert len(png.encode(photo)) <= 1.02 * len(usual.getvalue())


def test_a_chunk_has_its_length_and_checksum() -> None:
    made = png.chunk(b"tEXt", b"a\0b")
    assert made == b"\0\0\0\x03tEXta\0b" + zlib.crc32(b"tEXta\0b").to_bytes(4)
