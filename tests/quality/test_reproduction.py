"""Verdicts over pictures that were made again, and the components that changed."""

from dataclasses import replace

import pytest

from heliograph.domain.making import EngineFacts, Making
from heliograph.quality.likeness import Likeness
from heliograph.quality.reproduction import Change, PictureAgain, changes, reproduction, same_pixels

FACTS = EngineFacts(
    engine="onnx",
    revision="r1",
    weights_sha256="ab",
    libraries=(("numpy", "2.4.0"), ("onnxruntime", "1.32.0")),
    device="a processor",
    dtype="float32",
    scheduler="euler",
)
FIRST = Making(facts=FACTS, software="heliograph 0.1.0", gpu_class="cpu", batch=1)


def again(index: int, verdict: Likeness, distance: float) -> PictureAgain:
    return PictureAgain(index=index, verdict=verdict, distance=distance)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (FIRST, ()),
        (replace(FIRST, batch=4), (Change(component="batch", before="1", now="4"),)),
        (replace(FIRST, gpu_class="H100"), (Change(component="gpu class", before="cpu", now="H100"),)),
        (
            replace(FIRST, facts=replace(FACTS, weights_sha256="cd", revision="r2")),
            (
                Change(component="model revision", before="r1", now="r2"),
                Change(component="weights", before="ab", now="cd"),
            ),
        ),
        (
            replace(FIRST, facts=replace(FACTS, libraries=(("onnxruntime", "1.33.0"), ("torch", "2.13.0")))),
            (
                Change(component="library numpy", before="2.4.0", now=""),
                Change(component="library onnxruntime", before="1.32.0", now="1.33.0"),
                Change(component="library torch", before="", now="2.13.0"),
            ),
        ),
        (None, ()),
    ],
)
def test_what_changed_is_named(now: Making | None, expected: tuple[Change, ...]) -> None:
    assert changes(FIRST, now) == expected


def test_the_worst_picture_decides() -> None:
    pictures = [again(0, Likeness.IDENTICAL, 0.0), again(1, Likeness.DIFFERENT, 0.3), again(2, Likeness.DIFFERENT, 0.1)]
    found = reproduction(FIRST, FIRST, pictures)
    assert (found.verdict, found.distance, found.is_recorded) == (Likeness.DIFFERENT, 0.3, True)
    assert reproduction(None, FIRST, pictures[:1]).is_recorded is False


@pytest.mark.parametrize(("first", "other", "same"), [("a", "a", True), ("a", "b", False), (None, None, False)])
def test_only_known_digests_prove_that_pixels_are_the_same(first: str | None, other: str | None, same: bool) -> None:
    assert same_pixels(first, other) is same
