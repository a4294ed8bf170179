"""Which files are made, as a table."""

import pytest

from heliograph.delivery.variants import (
    GifEncoding,
    JpegEncoding,
    PngEncoding,
    WebpEncoding,
    plan_variants,
    size_within,
)
from heliograph.domain.request import OutputFormat
from tests.builders import a_request

PNG, JPEG, WEBP, GIF = OutputFormat.PNG, OutputFormat.JPEG, OutputFormat.WEBP, OutputFormat.GIF


@pytest.mark.parametrize(
    ("output_format", "quality", "side", "expected"),
    [
        (PNG, None, 128, PngEncoding()),
        (PNG, None, 256, PngEncoding()),
        (PNG, None, 1024, PngEncoding()),
        (JPEG, None, 128, JpegEncoding(quality=90, has_full_chroma=True)),
        (JPEG, 89, 128, JpegEncoding(quality=89, has_full_chroma=False)),
        (JPEG, 100, 128, JpegEncoding(quality=100, has_full_chroma=True)),
        (JPEG, 1, 128, JpegEncoding(quality=1, has_full_chroma=False)),
        (WEBP, 75, 128, WebpEncoding(quality=75, effort=4)),
        (WEBP, None, 1024, WebpEncoding(quality=90, effort=2)),
        (GIF, None, 128, GifEncoding()),
    ],
)
def test_the_encoding_of_the_picture(output_format, quality, side, expected) -> None:
    request = a_request(output_format=output_format, output_quality=quality)
    assert plan_variants(request, width_px=side, height_px=side).main == expected


@pytest.mark.parametrize(
    ("size", "thumbnail"),
    [
        ((64, 64), (64, 64)),
        ((256, 256), (256, 256)),
        ((257, 100), (256, 100)),
        ((1024, 512), (256, 128)),
        ((512, 1024), (128, 256)),
        ((5000, 3), (256, 1)),
        ((1, 1), (1, 1)),
    ],
)
def test_the_thumbnail_is_scaled_down_and_never_up(size: tuple[int, int], thumbnail: tuple[int, int]) -> None:
    plan = plan_variants(a_request(), width_px=size[0], height_px=size[1])
    assert plan.thumbnail_size_px == thumbnail == size_within(*size, 256)


def test_the_effort_counts_every_frame_of_a_clip() -> None:
    clip = a_request(output_format=WEBP, frames=32, frames_per_second=8)
    assert plan_variants(clip, width_px=128, height_px=128).main == WebpEncoding(quality=90, effort=2)
