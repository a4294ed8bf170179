"""A contact sheet of a clip: its frames, small, side by side, in one JPEG."""

import io
import math

import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

from heliograph.domain.request import VIDEO_FORMATS, OutputFormat

FRAMES_MAX = 64
SIDE_PX = 160
_FRAMES_READ_MAX = 4_096
_JPEG_QUALITY = 85


def spritesheet(clip: bytes, output_format: OutputFormat) -> bytes:
    """The sheet of at most 64 frames evenly chosen, row by row. Raises `ValueError` for a file that is no clip."""
    frames = _frames(clip, output_format)
    chosen = [frames[round(at)] for at in np.linspace(0, len(frames) - 1, min(len(frames), FRAMES_MAX))]
    width, height = chosen[0].size
    factor = min(1.0, SIDE_PX / max(width, height))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    columns = math.ceil(math.sqrt(len(chosen)))
    sheet = Image.new("RGB", (columns * size[0], math.ceil(len(chosen) / columns) * size[1]))
    for number, frame in enumerate(chosen):
        sheet.paste(frame.resize(size), ((number % columns) * size[0], (number // columns) * size[1]))
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _frames(clip: bytes, output_format: OutputFormat) -> list[Image.Image]:
    if output_format in VIDEO_FORMATS:
        # Imported here: the library is an extra, and whoever wrote a film had it.
        from heliograph.delivery.pyav import read_film

        return [Image.fromarray(frame) for frame in read_film(clip, frames_max=_FRAMES_READ_MAX)]
    try:
        with Image.open(io.BytesIO(clip)) as image:
            return [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"not a clip: {error}") from error
