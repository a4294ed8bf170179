"""Encoding with Pillow: pixels to PNG, JPEG, WebP, AVIF or GIF, with metadata inside; clips to PNG, WebP and GIF.

Where the metadata goes: PNG carries the parameters as the text chunk `parameters` and the XMP packet as the text chunk
its specification names; JPEG, WebP and AVIF carry the parameters as EXIF `UserComment` and the packet as their own XMP
part; GIF carries the parameters as its comment and the packet as the application block that the XMP specification
names.

Colours are sRGB, and every file says so: PNG in the chunk `sRGB`, JPEG and WebP in EXIF, AVIF in its codec's own words.
"""

import io
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO, assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, PngImagePlugin

from heliograph.delivery import png
from heliograph.delivery.provenance import Imprint
from heliograph.delivery.variants import (
    AvifEncoding,
    Encoding,
    FilmEncoding,
    GifEncoding,
    JpegEncoding,
    PngEncoding,
    WebpEncoding,
)

_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
_SOFTWARE = 0x0131
_UNICODE = b"UNICODE\0"
_COLOUR_SPACE, _SRGB = 0xA001, 1
_EXIF_BYTES_MAX = 65_533
"""A JPEG segment holds 64 KiB; two of them are its length."""
_CLIP_LEVEL = 1
"""zlib's, of animated PNG."""

_GIF_COLOURS = 256
_GIF_TICK_MS = 10
_GIF_HEADER_BYTES = 13
_GIF_XMP = b"\x21\xff\x0bXMP DataXMP"
_GIF_XMP_END = bytes((1, *range(255, -1, -1), 0))
"""Leads a reader that takes the packet for sub-blocks of a length to their end, wherever in the packet it stumbles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """What makes a picture a clip: the frames that follow its first, each shown for 1 / `frames_per_second` seconds."""

    following: Sequence[Image.Image]
    frames_per_second: float

    def durations_ms(self, *, tick_ms: int = 1) -> list[int]:
        """How long each frame is shown, in whole ticks that add up to the clip's duration."""
        frame_ticks = 1000 / self.frames_per_second / tick_ms
        ends = [round(number * frame_ticks) for number in range(len(self.following) + 2)]
        return [max(1, end - start) * tick_ms for start, end in pairwise(ends)]


def texts_of(image: Image.Image) -> tuple[str | None, str | None]:
    """The generation parameters in a file and the software that wrote it, as the file states them."""
    exif = image.getexif()
    software = image.info.get("Software") or exif.get(_SOFTWARE)
    parameters = image.info.get("parameters")
    comment = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    if parameters is None and isinstance(comment, bytes) and comment.startswith(_UNICODE):
        parameters = comment.removeprefix(_UNICODE).decode("utf-16-be", "replace")
    if parameters is None and image.format == "GIF":
        comment = image.info.get("comment")
        parameters = comment.decode("utf-8", "replace") if isinstance(comment, bytes) else None
    return _text_or_none(parameters), _text_or_none(software)


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def frames_in(file: BinaryIO) -> list[Image.Image]:
    """Every frame of a file of ours, RGB. Raises `OSError` for one that is damaged."""
    with Image.open(file) as image:
        count: int = getattr(image, "n_frames", 1)
        frames: list[Image.Image] = []
        for number in range(count):
            image.seek(number)
            frames.append(image.convert("RGB"))
        return frames


Picture = Image.Image
"""Pixels in Pillow's hands, for those who pass them on."""


def squeezed(image: Image.Image, side_px: int) -> NDArray[np.uint8]:
    """(side, side, 3) uint8: the picture squeezed to a square, whatever its shape."""
    return np.asarray(image.convert("RGB").resize((side_px, side_px), Image.Resampling.BOX, reducing_gap=2.0))


def image_of(pixels: NDArray[np.uint8]) -> Image.Image:
    """A Pillow image of `pixels`: (height, width, 3 or 4) uint8 sRGB."""
    return Image.fromarray(pixels)


def scaled_down(image: Image.Image, size_px: tuple[int, int]) -> Image.Image:
    """`image` at exactly `size_px` (width, height), filtered; itself if it has that size already."""
    if image.size == size_px:
        return image
    return image.resize(size_px, Image.Resampling.LANCZOS, reducing_gap=2.0)


def enlarged(pixels: NDArray[np.uint8], size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """`pixels` (height, width, 3) uint8 at exactly `size_px` (width, height), filtered."""
    return np.asarray(image_of(pixels).resize(size_px, Image.Resampling.LANCZOS))


def encode(image: Image.Image, encoding: Encoding, imprint: Imprint, *, motion: Motion | None = None) -> bytes:
    """The file: `image` (RGB) encoded as `encoding` says, with `imprint`; with `motion` a clip that plays forever."""
    file = io.BytesIO()
    match encoding:
        case PngEncoding() if motion is None:
            return png.encode(np.asarray(image), _png_chunks(imprint))
        case PngEncoding():
            image.save(file, "PNG", compress_level=_CLIP_LEVEL, pnginfo=_png_text(imprint), **_animation(motion))
        case JpegEncoding(quality=quality, has_full_chroma=has_full_chroma):
            assert motion is None, "a JPEG file holds no clip"
            with _room_for_jpeg(image):
                image.save(
                    file,
                    "JPEG",
                    quality=quality,
                    subsampling="4:4:4" if has_full_chroma else "4:2:0",
                    progressive=True,
                    optimize=True,
                    exif=_exif(imprint),
                    xmp=imprint.xmp.encode(),
                )
        case WebpEncoding(quality=quality, effort=effort):
            image.save(
                file,
                "WEBP",
                quality=quality,
                method=effort,
                exif=_exif(imprint),
                xmp=imprint.xmp.encode(),
                **_animation(motion),
            )
        case AvifEncoding(quality=quality, speed=speed, has_full_chroma=has_full_chroma):
            assert motion is None, "clips are not delivered as AVIF"
            image.save(
                file,
                "AVIF",
                quality=quality,
                speed=speed,
                subsampling="4:4:4" if has_full_chroma else "4:2:0",
                max_threads=1,  # the pool has a process for every core it may use
                exif=_exif(imprint),
                xmp=imprint.xmp.encode(),
            )
        case GifEncoding():
            comment = imprint.software if imprint.parameters is None else imprint.parameters
            first, *following = _in_few_colours([image, *(motion.following if motion is not None else ())])
            if motion is not None:
                motion = Motion(following=following, frames_per_second=motion.frames_per_second)
            animation = _animation(motion, tick_ms=_GIF_TICK_MS)
            first.save(file, "GIF", comment=comment.encode(errors="replace"), **animation)
            return _with_gif_xmp(file.getvalue(), imprint.xmp.encode())
        case FilmEncoding():
            raise AssertionError("films are made by pyav.py")
        case _:
            assert_never(encoding)
    return file.getvalue()


def _animation(motion: Motion | None, *, tick_ms: int = 1) -> dict[str, Any]:
    """Pillow's options for a clip, none for a still."""
    if motion is None:
        return {}
    durations = motion.durations_ms(tick_ms=tick_ms)
    return {"save_all": True, "append_images": list(motion.following), "duration": durations, "loop": 0}


def _in_few_colours(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """The frames in 256 colours that they share: colours of their own would flicker, and take four times as long."""
    sheet = Image.fromarray(np.concatenate([np.asarray(frame) for frame in frames]))
    palette = sheet.quantize(_GIF_COLOURS)
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


def _with_gif_xmp(gif: bytes, xmp: bytes) -> bytes:
    """The file with the packet behind its header and global colours: Pillow writes none."""
    flags = gif[10]
    colours = 3 << ((flags & 7) + 1) if flags & 0x80 else 0
    at = _GIF_HEADER_BYTES + colours
    return b"".join((gif[:at], _GIF_XMP, xmp, _GIF_XMP_END, gif[at:]))


@contextmanager
def _room_for_jpeg(image: Image.Image) -> Generator[None]:
    """Let Pillow give a progressive JPEG as many bytes as the pixels take, and those of the imprint.

    It has to fit one buffer as a whole. By itself Pillow gives it one or two bytes a pixel, and a picture of noise
    then fails as a "broken data stream".
    """
    usual = ImageFile.MAXBLOCK
    ImageFile.MAXBLOCK = 4 * image.width * image.height + usual
    try:
        yield
    finally:
        ImageFile.MAXBLOCK = usual


def _png_chunks(imprint: Imprint) -> list[tuple[bytes, bytes]]:
    texts = [] if imprint.parameters is None else [png.text("parameters", imprint.parameters)]
    return [
        *texts,
        png.text("Software", imprint.software),
        png.international_text("XML:com.adobe.xmp", imprint.xmp),
    ]


def _png_text(imprint: Imprint) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    if imprint.parameters is not None:
        text.add_text("parameters", imprint.parameters)
    text.add_text("Software", imprint.software)
    text.add_itxt("XML:com.adobe.xmp", imprint.xmp)
    return text


def _exif(imprint: Imprint) -> bytes:
    """EXIF with the parameters, or with the short ones when the whole would not fit a JPEG segment."""
    data = _exif_of(imprint.software, imprint.parameters)
    return data if len(data) <= _EXIF_BYTES_MAX else _exif_of(imprint.software, imprint.short_parameters)


def _exif_of(software: str, comment: str | None) -> bytes:
    """`UserComment` has no byte order of its own; readers assume big endian or follow the file's, so both are big."""
    exif = Image.Exif()
    exif.endian = ">"
    exif[_SOFTWARE] = software
    exif.get_ifd(_EXIF_IFD)[_COLOUR_SPACE] = _SRGB
    if comment is not None:
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = _UNICODE + comment.encode("utf-16-be", "replace")
    return exif.tobytes()
