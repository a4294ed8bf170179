"""Makes the further files of a picture, where nobody waits for them: pixels and orders in, signed files out.

It begins with the pixels the picture was made of, or, where they are gone, with its own file. No file is made of
another that lost something, as long as there is a choice.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heliograph.delivery import pillow
from heliograph.delivery.fidelity import fidelity
from heliograph.delivery.ladder import POSTER, PREVIEW, SHARED, VariantOrder
from heliograph.delivery.media_types import mime_type_of
from heliograph.delivery.parameters import PictureParameters
from heliograph.delivery.provenance import Imprint, Stamp, imprint
from heliograph.delivery.quality_search import QualityTarget, Trial, lowest_quality, sample_of
from heliograph.delivery.signing import FileSigner
from heliograph.delivery.variants import (
    AvifEncoding,
    Encoding,
    FilmEncoding,
    JpegEncoding,
    PngEncoding,
    VariantPlan,
    WebpEncoding,
)
from heliograph.domain.pictures import FileFormat

PREVIEW_FRAMES_MAX = 12
FILM_FRAMES_MAX = 2_000
_SMALLEST_MEASURED_PX = 16
_UNMEASURED_QUALITY = 85


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """`rgb`: row-major uint8 RGB, sRGB, frame by frame; how `RawImage` has it, at the size that was delivered."""

    rgb: bytes
    width_px: int
    height_px: int
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTask:
    """What to make of one picture. `source` is its pixels, or its file where they are gone.

    `main` is how the picture's own file was encoded, for another like it.
    """

    source: Pixels | bytes
    orders: tuple[VariantOrder, ...]
    parameters: PictureParameters
    stamp: Stamp
    target: QualityTarget
    main: VariantPlan
    frames_per_second: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeVariant:
    """A file as it was ordered."""

    order: VariantOrder
    data: bytes


def make_variants(task: VariantTask, signer: FileSigner | None) -> tuple[MadeVariant, ...]:
    """Every file that was ordered. Raises `SigningFailed`, and `OSError` for a source that cannot be read."""
    frames = _frames_of(task.source)
    mode = task.stamp.parameters.at_most(task.stamp.shared)
    written = imprint(task.parameters, mode, is_edit=task.stamp.is_edit)
    made: list[MadeVariant] = []
    for order in task.orders:
        data, mime_type = _file_of(order, frames, written, task)
        if signer is not None and order.file_format is not FileFormat.WEBM:  # C2PA knows none
            data = signer.sign(data, mime_type, model=task.parameters.model, stamp=task.stamp)
        made.append(MadeVariant(order=order, data=data))
    return tuple(made)


def _frames_of(source: Pixels | bytes) -> Sequence[pillow.Picture]:
    if isinstance(source, bytes):
        if (mime_type_of(source) or "").startswith("image/"):
            return pillow.frames_in(io.BytesIO(source))
        # Imported here: the library is an extra, and large.
        from heliograph.delivery import pyav

        return [pillow.image_of(frame) for frame in pyav.read_film(source, frames_max=FILM_FRAMES_MAX)]
    pixels = np.frombuffer(source.rgb, np.uint8).reshape(source.frames, source.height_px, source.width_px, 3)
    return [pillow.image_of(frame) for frame in pixels]


def _file_of(
    order: VariantOrder, frames: Sequence[pillow.Picture], written: Imprint, task: VariantTask
) -> tuple[bytes, str]:
    size_px = (order.width_px, order.height_px)
    shown, frames_per_second = list(frames), task.frames_per_second
    if order.name == PREVIEW:
        stride = -(-len(frames) // PREVIEW_FRAMES_MAX)
        shown = [pillow.scaled_down(frame, size_px) for frame in frames[::stride]]
        frames_per_second = None if frames_per_second is None else frames_per_second / stride
    first, *following = shown
    motion = None
    if following and order.name in (PREVIEW, SHARED) and frames_per_second is not None:
        motion = pillow.Motion(following=following, frames_per_second=frames_per_second)
    if order.name == SHARED:
        encoding: Encoding = task.main.main
    elif order.name in (PREVIEW, POSTER):
        encoding = task.main.thumbnail
    else:
        first = pillow.scaled_down(first, size_px)
        encoding = fitting(order.file_format, np.asarray(first), task.target)
    if isinstance(encoding, FilmEncoding):
        return _film(shown, encoding, written, frames_per_second), encoding.mime_type
    return pillow.encode(first, encoding, written, motion=motion), encoding.mime_type


def _film(
    frames: Sequence[pillow.Picture], encoding: FilmEncoding, written: Imprint, frames_per_second: float | None
) -> bytes:
    from heliograph.delivery import pyav

    assert frames_per_second is not None, "a film has its frames per second"
    return pyav.encode_film(
        [np.asarray(frame) for frame in frames],
        encoding,
        frames_per_second=frames_per_second,
        comment=written.parameters or written.software,
        xmp=written.xmp,
    )


def fitting(file_format: FileFormat, pixels: NDArray[np.uint8], target: QualityTarget) -> Encoding:
    """How to encode `pixels` (height, width, 3) so that the file keeps what `target` asks for, and no more."""
    if file_format is FileFormat.PNG:
        return PngEncoding()
    if min(pixels.shape[:2]) < _SMALLEST_MEASURED_PX:
        return _lossy(file_format, _UNMEASURED_QUALITY)
    sample = sample_of(pixels)
    image, bare = pillow.image_of(sample), Imprint(xmp="")

    def try_out(quality: int) -> Trial:
        data = pillow.encode(image, _lossy(file_format, quality), bare)
        copy = np.asarray(pillow.frames_in(io.BytesIO(data))[0])
        return Trial(fidelity=fidelity(sample, copy), size_bytes=len(data))

    share = sample.size / pixels.size
    return _lossy(file_format, lowest_quality(try_out, target, share=share))


def _lossy(file_format: FileFormat, quality: int) -> Encoding:
    match file_format:
        case FileFormat.JPEG:
            return JpegEncoding(quality=quality, has_full_chroma=False)
        case FileFormat.WEBP:
            return WebpEncoding(quality=quality, effort=4)
        case FileFormat.AVIF:
            return AvifEncoding(quality=quality, speed=8, has_full_chroma=False)
        case _:
            raise AssertionError(f"{file_format} has no quality to choose")
