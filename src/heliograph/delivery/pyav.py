"""Films with PyAV: clips as MP4 (H.264) and WebM (VP9), and their frames back.

A film says how it was made in its tag `comment`, and that a machine made it in XMP (MP4) or in a tag (WebM). MP4 has
its index at the front, so that it plays while it loads. Colours are BT.709 in 4:2:0, which halves them in both
directions: a film is never bit for bit what its frames were, and a side of an odd number of pixels gets one more.
"""

import io
from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from heliograph.delivery.provenance import DIGITAL_SOURCE_TYPE
from heliograph.delivery.variants import FilmEncoding

Frame = NDArray[np.uint8]
"""(height, width, 3) sRGB."""

_open: Any = av.open
"""PyAV's own types are only in part there."""

_BT709 = 1
_LIMITED_RANGE = 1
_RATE_DENOMINATOR_MAX = 1_000
_INDEX_BYTES, _INDEX_BYTES_PER_FRAME = 2_048, 32
"""Room for the index at the front of an MP4; what is left of it stays empty."""
_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""The UUID of the box that holds XMP in MP4 (ISO 16684-3)."""


def encode_film(
    frames: Sequence[Frame] | NDArray[np.uint8],
    encoding: FilmEncoding,
    *,
    frames_per_second: float,
    comment: str,
    xmp: str,
) -> bytes:
    """The file of at least one frame, all of one size; an array is (frames, height, width, 3). Same in, same out."""
    file = io.BytesIO()
    # FFmpeg's own `faststart` wants to read the file by its name again, and there is none.
    index_bytes = _INDEX_BYTES + _INDEX_BYTES_PER_FRAME * len(frames) + len(comment.encode())
    options = {"fflags": "bitexact"} if encoding.is_webm else {"fflags": "bitexact", "moov_size": str(index_bytes)}
    rate = Fraction(frames_per_second).limit_denominator(_RATE_DENOMINATOR_MAX)
    with _open(file, "w", format="webm" if encoding.is_webm else "mp4", options=options) as container:
        container.metadata["comment"] = comment
        if encoding.is_webm:
            container.metadata["DIGITAL_SOURCE_TYPE"] = DIGITAL_SOURCE_TYPE
        stream: Any = None
        for number, pixels in enumerate(frames):
            height_px, width_px = pixels.shape[:2]
            if stream is None:
                stream = container.add_stream(
                    "libvpx-vp9" if encoding.is_webm else "libx264", rate=rate, options=_options(encoding)
                )
                stream.height, stream.width = height_px + height_px % 2, width_px + width_px % 2
                stream.pix_fmt = "yuv420p"
                codec = stream.codec_context
                codec.color_primaries = codec.color_trc = codec.colorspace = _BT709
                codec.color_range = _LIMITED_RANGE
                codec.time_base = 1 / rate
                codec.thread_count = 1
            even = np.pad(pixels, ((0, height_px % 2), (0, width_px % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24").reformat(
                format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE
            )
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        assert stream is not None, "a film has a frame"
        container.mux(stream.encode(None))
    return file.getvalue() + (b"" if encoding.is_webm else _box(xmp.encode()))


def read_film(film: bytes, *, frames_max: int) -> list[Frame]:
    """The frames of a film, at most so many. Raises `ValueError` for what is none."""
    try:
        with closing(_open(io.BytesIO(film))) as container:
            decoded = islice(container.decode(video=0), frames_max)
            return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in decoded]
    except (FFmpegError, IndexError) as error:
        raise ValueError(f"not a film: {error}") from error


def film_comment(film: bytes) -> str | None:
    """What the film's tags say of how it was made. Raises `ValueError` for what is no film."""
    try:
        with closing(_open(io.BytesIO(film))) as container:
            tags = {name.lower(): text for name, text in container.metadata.items()}
    except FFmpegError as error:
        raise ValueError(f"not a film: {error}") from error
    return tags.get("comment")


def _box(xmp: bytes) -> bytes:
    content = b"uuid" + _XMP_BOX + xmp
    return (len(content) + 4).to_bytes(4, "big") + content


def _options(encoding: FilmEncoding) -> dict[str, str]:
    """The codec's words for a quality from 1 to 100: constant rate factors, from hardly watchable to hardly visible."""
    share = 1 - encoding.quality / 100
    if encoding.is_webm:
        return {"crf": str(round(10 + 50 * share)), "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "0"}
    return {"crf": str(round(12 + 36 * share)), "preset": "fast"}
