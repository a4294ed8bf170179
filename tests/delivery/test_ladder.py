"""Which file answers which request."""

from dataclasses import replace

import pytest

from heliograph.delivery.ladder import Wish, accepted, answer, of_still, planned, widths
from heliograph.domain.errors import InvalidRequest
from heliograph.domain.pictures import FileFormat, Output, Variant
from heliograph.domain.request import OutputFormat
from tests.builders import an_output

AVIF, WEBP, JPEG, PNG = FileFormat.AVIF, FileFormat.WEBP, FileFormat.JPEG, FileFormat.PNG
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


def a_still(width: int = 1536, height: int = 1024, *made: tuple[str, FileFormat, int, int]) -> Output:
    output = replace(an_output(width_px=width, height_px=height), blob="original.png", thumbnail_blob="small.webp")
    variants = tuple(
        Variant(
            output_id=output.output_id,
            job_id=output.job_id,
            name=name,
            blob=f"{name}.file",
            file_format=file_format,
            width_px=wide,
            height_px=high,
            size_bytes=9,
            created_at_s=1.0,
        )
        for name, file_format, wide, high in made
    )
    return replace(output, variants=variants)


FULL_WEBP, FULL_AVIF = ("webp", WEBP, 1536, 1024), ("avif", AVIF, 1536, 1024)
CLIP = replace(an_output(output_format=OutputFormat.WEBP, frames=12, duration_s=1.5), blob="clip.webp")


@pytest.mark.parametrize(
    ("width_px", "expected"),
    [(None, "avif"), (1, "avif-256"), (256, "avif-256"), (257, "avif-512"), (1024, "avif-1024"), (1025, "avif")],
)
def test_the_smallest_step_that_is_wide_enough_is_taken(width_px: int | None, expected: str) -> None:
    assert of_still(a_still(), AVIF, width_px=width_px).name == expected


def test_a_tall_picture_is_measured_by_its_width() -> None:
    tall = a_still(1024, 2048)
    assert widths(tall) == (128, 256, 512, 1024)
    assert of_still(tall, WEBP, width_px=200).name == "webp-512"
    assert (of_still(tall, WEBP, width_px=200).width_px, of_still(tall, WEBP, width_px=200).height_px) == (256, 512)


def test_a_small_picture_has_no_steps() -> None:
    small = a_still(128, 96)
    assert widths(small) == (128,)
    assert of_still(small, WEBP, width_px=10).name == "webp"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (BROWSER, (AVIF, WEBP, JPEG)),
        ("image/webp,*/*", (WEBP, JPEG)),
        ("image/avif;q=0.5, image/webp;q=0.9", (WEBP, AVIF, JPEG)),
        ("image/avif;q=0, image/webp", (WEBP, JPEG)),
        ("*/*", (JPEG,)),
        (None, (JPEG,)),
        ("IMAGE/WEBP ; q=nonsense", (WEBP, JPEG)),
        (",;=q" * 1000, (JPEG,)),
    ],
)
def test_formats_that_are_accepted_come_best_first(accept: str | None, expected: tuple[FileFormat, ...]) -> None:
    assert accepted(accept) == expected


@pytest.mark.parametrize(
    ("output", "wish", "blob", "made", "is_final"),
    [
        (a_still(), Wish(), "original.png", None, True),
        (a_still(), Wish(name="thumbnail"), "small.webp", None, True),
        (a_still(), Wish(file_format=PNG), "original.png", None, True),
        (a_still(), Wish(file_format=WEBP, width_px=200), "small.webp", None, True),
        (a_still(), Wish(file_format=WEBP), None, "webp", True),
        (a_still(1536, 1024, FULL_WEBP), Wish(file_format=WEBP), "webp.file", None, True),
        (a_still(), Wish(width_px=300), None, "png-512", True),
        (a_still(1536, 1024, FULL_WEBP, FULL_AVIF), Wish(is_negotiated=True, accept=BROWSER), "avif.file", None, True),
        (a_still(1536, 1024, FULL_WEBP), Wish(is_negotiated=True, accept=BROWSER), "webp.file", None, False),
        (a_still(), Wish(is_negotiated=True, accept=BROWSER), "original.png", None, False),
        (a_still(), Wish(is_negotiated=True, accept=BROWSER, width_px=500), None, "webp-512", True),
        (a_still(), Wish(is_negotiated=True, accept="*/*", width_px=500), None, "jpeg-512", True),
        (a_still(), Wish(is_negotiated=True, accept=BROWSER, width_px=1500), "original.png", None, False),
        (CLIP, Wish(name="poster"), None, "poster", True),
        (CLIP, Wish(name="preview"), None, "preview", True),
        (CLIP, Wish(), "clip.webp", None, True),
    ],
)
def test_what_answers_a_wish(output: Output, wish: Wish, blob: str | None, made: str | None, is_final: bool) -> None:
    found = answer(output, wish)
    assert (found.blob, found.order and found.order.name, found.is_final) == (blob, made, is_final)


def test_by_link_the_words_of_the_user_are_kept_back_whatever_is_asked_for() -> None:
    for wish in (Wish(), Wish(file_format=PNG), Wish(is_negotiated=True, accept=BROWSER)):
        found = answer(a_still(), wish, is_shared=True)
        assert found.order is not None
        assert (found.blob, found.order.name) == (None, "shared")
    there = a_still(1536, 1024, ("shared", PNG, 1536, 1024))
    assert answer(there, Wish(), is_shared=True).blob == "shared.file"
    assert answer(there, Wish(name="thumbnail"), is_shared=True).blob == "small.webp"


@pytest.mark.parametrize(
    ("output", "wish", "param"),
    [
        (a_still(), Wish(name="poster"), "variant"),
        (CLIP, Wish(file_format=AVIF), "format"),
        (CLIP, Wish(width_px=9), "format"),
    ],
)
def test_what_a_picture_cannot_have_is_refused_by_name(output: Output, wish: Wish, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        answer(output, wish)
    assert (refused.value.code, refused.value.param) == ("variant_not_available", param)


def test_the_plan_has_thumbnails_first_and_the_slow_format_last() -> None:
    formats = frozenset({WEBP, AVIF})
    assert [order.name for order in planned(a_still(), formats, is_shared=False)] == [
        *("webp-512", "webp-1024", "webp", "avif")
    ]
    assert [order.name for order in planned(a_still(128, 96), formats, is_shared=True)] == ["shared", "webp", "avif"]
    assert [order.name for order in planned(a_still(128, 96), frozenset(), is_shared=False)] == []
    assert [order.name for order in planned(CLIP, formats, is_shared=False)] == ["poster", "preview"]
    whole = a_still(1536, 1024, FULL_WEBP, FULL_AVIF, ("webp-512", WEBP, 512, 341), ("webp-1024", WEBP, 1024, 683))
    assert planned(whole, formats, is_shared=False) == ()
