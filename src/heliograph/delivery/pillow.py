"""Encoding with Pillow: pixels to PNG, JPEG or WebP, with metadata inside.

Where the metadata goes: PNG carries the parameters as the text chunk `parameters` and the XMP packet as the text chunk
its specification names; JPEG and WebP carry the parameters as EXIF `UserComment` and the packet as their own XMP part.
"""

import io
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from heliograph.delivery.variants import Encoding, JpegEncoding, PngEncoding, WebpEncoding

_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
_SOFTWARE = 0x0131
_EXIF_BYTES_MAX = 65_533
"""A JPEG segment holds 64 KiB; two of them are its length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What is written into a file. `parameters` None: none are; `short_parameters` stand in where they do not fit."""

    xmp: str
    software: str
    parameters: str | None = None
    short_parameters: str | None = None


def image_of(pixels: NDArray[np.uint8]) -> Image.Image:
    """A Pillow image of `pixels`: (height, width, 3) uint8 sRGB."""
    return Image.fromarray(pixels, mode="RGB")


def scaled_down(image: Image.Image, size_px: tuple[int, int]) -> Image.Image:
    """`image` at exactly `size_px` (width, height), filtered; itself if it has that size already."""
    if image.size == size_px:
        return image
    return image.resize(size_px, Image.Resampling.LANCZOS, reducing_gap=2.0)


def encode(image: Image.Image, encoding: Encoding, metadata: Metadata) -> bytes:
    """The file: `image` (RGB) encoded as `encoding` says, with `metadata`."""
    file = io.BytesIO()
    match encoding:
        case PngEncoding(compress_level=level):
            image.save(file, "PNG", compress_level=level, pnginfo=_png_text(metadata))
        case JpegEncoding(quality=quality, has_full_chroma=has_full_chroma):
            image.save(
                file,
                "JPEG",
                quality=quality,
                subsampling="4:4:4" if has_full_chroma else "4:2:0",
                progressive=True,
                optimize=True,
                exif=_exif(metadata),
                xmp=metadata.xmp.encode(),
            )
        case WebpEncoding(quality=quality, effort=effort):
            image.save(file, "WEBP", quality=quality, method=effort, exif=_exif(metadata), xmp=metadata.xmp.encode())
        case _:
            assert_never(encoding)
    return file.getvalue()


def _png_text(metadata: Metadata) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    if metadata.parameters is not None:
        text.add_text("parameters", metadata.parameters)
    text.add_text("Software", metadata.software)
    text.add_itxt("XML:com.adobe.xmp", metadata.xmp)
    return text


def _exif(metadata: Metadata) -> bytes:
    """EXIF with the parameters, or with the short ones when the whole would not fit a JPEG segment."""
    data = _exif_of(metadata.software, metadata.parameters)
    return data if len(data) <= _EXIF_BYTES_MAX else _exif_of(metadata.software, metadata.short_parameters)


def _exif_of(software: str, comment: str | None) -> bytes:
    """`UserComment` has no byte order of its own; readers assume big endian or follow the file's, so both are big."""
    exif = Image.Exif()
    exif.endian = ">"
    exif[_SOFTWARE] = software
    if comment is not None:
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + comment.encode("utf-16-be", "replace")
    return exif.tobytes()
