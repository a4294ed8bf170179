"""Animated pictures with Pillow: their frames back, and a contact sheet of a clip."""

import io
import math
from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence, UnidentifiedImageError

FRAMES_ON_SHEET_MAX = 64
SIDE_PX = 160
_JPEG_QUALITY = 85

Frame = NDArray[np.uint8]
"""(height, width, 3) sRGB."""


def read_animation(clip: bytes, *, frames_max: int) -> list[Frame]:
    """The frames of an animated WebP, GIF or PNG, at most so many. Raises `ValueError` for what is none."""
    try:
        with Image.open(io.BytesIO(clip)) as image:
            return [
                np.asarray(frame.convert("RGB"), np.uint8)
                for frame in islice(ImageSequence.Iterator(image), frames_max)
            ]
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"not a clip: {error}") from error


def contact_sheet(frames: Sequence[Frame]) -> bytes:
    """At most 64 of the frames, evenly chosen, small, side by side and row by row, in one JPEG."""
    count = min(len(frames), FRAMES_ON_SHEET_MAX)
    chosen = [Image.fromarray(frames[number * (len(frames) - 1) // max(count - 1, 1)]) for number in range(count)]
    width_px, height_px = chosen[0].size
    factor = min(1.0, SIDE_PX / max(width_px, height_px))
    size_px = (max(1, round(width_px * factor)), max(1, round(height_px * factor)))
    columns = math.ceil(math.sqrt(count))
    sheet = Image.new("RGB", (columns * size_px[0], math.ceil(count / columns) * size_px[1]))
    for number, frame in enumerate(chosen):
        sheet.paste(frame.resize(size_px), ((number % columns) * size_px[0], (number // columns) * size_px[1]))
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()
