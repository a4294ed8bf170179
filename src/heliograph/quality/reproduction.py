"""What came of making a picture again: the same, the same for an eye, or another, and which component changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from heliograph.domain.making import Making
from heliograph.quality.likeness import Likeness

_FROM_BEST_TO_WORST = (Likeness.IDENTICAL, Likeness.VISUALLY_IDENTICAL, Likeness.DIFFERENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A component that is not what it was; empty text: it was not there, or not known."""

    component: str
    before: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureAgain:
    """One picture beside the one that was made first: the verdict and the perceptual distance, 0 to 1."""

    index: int
    verdict: Likeness
    distance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """All pictures of a job made again, with the worst verdict and what changed. `is_recorded` is False where it was
    not kept how they were made first, so that no change can be named.
    """

    verdict: Likeness
    distance: float
    pictures: tuple[PictureAgain, ...]
    changed: tuple[Change, ...]
    is_recorded: bool


def same_pixels(first_sha256: str | None, again_sha256: str | None) -> bool:
    """Two digests of pixels are known and equal: the pictures are identical, whatever their files say besides."""
    return first_sha256 is not None and first_sha256 == again_sha256


def reproduction(first: Making | None, again: Making | None, pictures: Sequence[PictureAgain]) -> Reproduction:
    """The verdict over at least one picture."""
    worst = max(pictures, key=lambda picture: (_FROM_BEST_TO_WORST.index(picture.verdict), picture.distance))
    return Reproduction(
        verdict=worst.verdict,
        distance=worst.distance,
        pictures=tuple(pictures),
        changed=changes(first, again),
        is_recorded=first is not None,
    )


def changes(first: Making | None, again: Making | None) -> tuple[Change, ...]:
    """The components that differ, in order of name; none where one of the two is not known."""
    if first is None or again is None:
        return ()
    before, now = first.components(), again.components()
    return tuple(
        Change(component=name, before=before.get(name, ""), now=now.get(name, ""))
        for name in sorted({*before, *now})
        if before.get(name, "") != now.get(name, "")
    )
