"""How alike two delivered files look, frame by frame. Run in a process of its own: decoding is CPU work."""

import numpy as np
from numpy.typing import NDArray

from heliograph.delivery.pillow_clips import read_animation
from heliograph.domain.errors import Unavailable
from heliograph.domain.request import VIDEO_FORMATS, OutputFormat
from heliograph.quality.likeness import Likeness, likeness

FRAMES_MAX = 1_024


def files_alike(first: bytes, again: bytes, output_format: OutputFormat) -> tuple[Likeness, float]:
    """The verdict and distance of the two frames that differ most; clips of two lengths are different.

    Files that lose something are compared as they came out, so "identical" is left to digests of the pixels. Raises
    `Unavailable` for a file that cannot be read.
    """
    try:
        ones, others = _frames(first, output_format), _frames(again, output_format)
    except ValueError as error:
        raise Unavailable(f"a delivered file cannot be read: {error}", code="output_gone") from error
    if len(ones) != len(others):
        return Likeness.DIFFERENT, 1.0
    found = [likeness(one, other) for one, other in zip(ones, others, strict=True)]
    distance = max(distance for _, distance in found)
    is_different = any(verdict is Likeness.DIFFERENT for verdict, _ in found)
    return (Likeness.DIFFERENT if is_different else Likeness.VISUALLY_IDENTICAL), distance


def _frames(file: bytes, output_format: OutputFormat) -> list[NDArray[np.uint8]]:
    if output_format not in VIDEO_FORMATS:
        return read_animation(file, frames_max=FRAMES_MAX)
    # Imported here: the library is an extra, and whoever wrote a film had it.
    from heliograph.delivery.pyav import read_film

    return read_film(file, frames_max=FRAMES_MAX)
