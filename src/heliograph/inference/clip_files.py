"""Video files as frames, through PyAV (extra `video`)."""

import io
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from heliograph.domain.errors import EngineError, EngineErrorKind

FRAMES_MAX = 1_024


def read_clip(content: bytes) -> NDArray[np.uint8]:
    """(frames, height, width, 3) uint8 sRGB of the file's first video. Raises `EngineError`."""
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise EngineError(
            EngineErrorKind.INTERNAL, "videos of other servers need PyAV: pip install 'heliograph[video]'"
        ) from error
    try:
        with av.open(io.BytesIO(content), mode="r") as container:
            first = islice(container.decode(video=0), FRAMES_MAX)
            frames = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in first]
    except (FFmpegError, IndexError, ValueError) as error:
        raise EngineError(EngineErrorKind.INTERNAL, "the server sent a video that cannot be read") from error
    if not frames:
        raise EngineError(EngineErrorKind.INTERNAL, "the server sent a video without a picture")
    return np.stack(frames)
