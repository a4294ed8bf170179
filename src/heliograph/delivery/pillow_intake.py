"""Pictures from outside, read with Pillow within bounds and written again as PNG of our own.

The size that a file's header claims is judged before a pixel is decoded, so a small file cannot unfold into a huge
picture. Whoever calls this does so in a process of its own: a codec that crashes or hangs takes nothing else along.
What comes out is upright, in sRGB, opaque, eight bits a channel, and holds no metadata of the sender's: where a camera
stood is nobody's business.
"""

import io
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from heliograph.domain.intake import IntakeLimits, PictureRole, ReadPicture, UnreadablePicture
from heliograph.domain.request import Adjustment

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF")
"""What is read. A phone's JPEG that holds a second picture (MPO) counts as its first."""

NOTES_MAX = 100
NOTE_CHARS_MAX = 2_000_000
NOTE_FRAMES_MAX = 1_000
_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
_EXIF_TEXTS = (0x010E, 0x010F, 0x0110)
_COMPRESS_LEVEL = 1
"""Inputs live for a day: speed counts for more than size."""


def read_picture(
    data: bytes, *, role: PictureRole, param: str, limits: IntakeLimits
) -> ReadPicture | UnreadablePicture:
    """The picture in `data`, or why it is none that is taken. `param` is what the request calls it."""
    if not data:
        return _no_picture("is empty")
    if len(data) > limits.bytes_max:
        return UnreadablePicture(
            problem=f"has {len(data):,} bytes, and {limits.bytes_max:,} are the most", code="picture_too_large"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # how much is too much is judged here
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            problem = _too_much(image, limits)
            if problem is not None:
                return UnreadablePicture(problem=problem, code="picture_too_large")
            return _read(image, role, param, limits)
    except UnidentifiedImageError:
        return _no_picture("is no picture in PNG, JPEG, WebP, AVIF or GIF")
    except Image.DecompressionBombError:
        return UnreadablePicture(
            problem=f"has more than {limits.pixels_max:,} pixels, which are the most", code="picture_too_large"
        )
    except Exception as error:  # a hostile file makes a codec raise anything at all: the file is to blame
        return _no_picture(f"is damaged or breaks off ({type(error).__name__})")


def read_notes(data: bytes, *, limits: IntakeLimits) -> Mapping[str, str] | UnreadablePicture:
    """The texts that are written into a picture, by the names they have there; at most `NOTE_CHARS_MAX` of each.

    PNG has them in chunks of text, JPEG and WebP in EXIF and comments, where other tools put whole graphs as well.
    """
    if len(data) > limits.bytes_max:
        return UnreadablePicture(
            problem=f"has {len(data):,} bytes, and {limits.bytes_max:,} are the most", code="picture_too_large"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            problem = _too_much(image, replace(limits, frames_max=NOTE_FRAMES_MAX))
            if problem is not None:
                return UnreadablePicture(problem=problem, code="picture_too_large")
            return _notes(image)
    except UnidentifiedImageError:
        return _no_picture("is no picture in PNG, JPEG, WebP, AVIF or GIF")
    except Exception as error:  # as above
        return _no_picture(f"is damaged or breaks off ({type(error).__name__})")


def _notes(image: Image.Image) -> dict[str, str]:
    notes: dict[str, str] = {}
    if image.format == "PNG":
        image.load()  # some tools write behind the pixels
    for name, value in image.info.items():
        if name in ("exif", "icc_profile", "xmp", "photoshop"):
            continue
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        if isinstance(name, str) and isinstance(text, str):
            notes[name] = str(text)
    exif = image.getexif()
    for tag in _EXIF_TEXTS:
        value = exif.get(tag)
        if isinstance(value, str) and value:
            # ComfyUI's writers of WebP put `prompt:{…}` and `workflow:{…}` into tags of their own choice.
            name, colon, rest = value.partition(":")
            is_named = colon and name.lower() in ("prompt", "workflow")
            notes[name.lower() if is_named else f"exif {tag}"] = rest if is_named else value
    comment = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    if comment:
        notes["parameters" if "parameters" not in notes else "comment"] = _user_comment(comment)
    return {name: text[:NOTE_CHARS_MAX].replace("\0", "") for name, text in list(notes.items())[:NOTES_MAX]}


def _user_comment(value: object) -> str:
    """EXIF's comment says in eight bytes how it is written, but not in which order the bytes of UTF-16 are."""
    if not isinstance(value, bytes):
        return str(value)
    code, rest = value[:8], value[8:]
    if code == b"UNICODE\0":
        texts = [rest.decode(order, "replace") for order in ("utf-16-be", "utf-16-le")]
        return max(texts, key=lambda text: sum(character.isascii() for character in text[:2_000]))
    return (rest if code in (b"ASCII\0\0\0", bytes(8)) else value).decode("utf-8", "replace")


def _no_picture(problem: str) -> UnreadablePicture:
    return UnreadablePicture(problem=problem, code="invalid_picture")


def _too_much(image: Image.Image, limits: IntakeLimits) -> str | None:
    pixels = image.width * image.height
    if pixels > limits.pixels_max:
        return f"has {image.width} x {image.height} pixels, and {limits.pixels_max:,} are the most"
    frames = 1 if image.format in ("JPEG", "MPO") else int(getattr(image, "n_frames", 1))
    if frames > limits.frames_max:
        most = "stills are taken" if limits.frames_max == 1 else f"{limits.frames_max} are the most"
        return f"has {frames} frames, and {most}"
    return None


def _read(image: Image.Image, role: PictureRole, param: str, limits: IntakeLimits) -> ReadPicture | UnreadablePicture:
    changes: list[Adjustment] = []
    if getattr(image, "n_frames", 1) > 1:
        image.seek(0)
    header_px = image.size
    shrink = min(1.0, math.sqrt(limits.stored_pixels_max / (image.width * image.height)))
    if shrink < 1:
        # A JPEG is decoded at a half, a quarter or an eighth where that is still large enough.
        image.draft(None, (math.ceil(image.width * shrink), math.ceil(image.height * shrink)))  # pyright: ignore[reportArgumentType]
    profile = cast("bytes | None", image.info.get("icc_profile"))
    turned = ImageOps.exif_transpose(image)
    is_turned = (turned.width > turned.height) != (image.width > image.height)
    came_px = (header_px[1], header_px[0]) if is_turned else header_px
    direct = _without_palette(turned)
    size = (max(1, round(came_px[0] * shrink)), max(1, round(came_px[1] * shrink)))
    if direct.size != size:
        direct = direct.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    if came_px != size:
        changes.append(
            Adjustment(
                parameter=param,
                requested=f"{came_px[0]}x{came_px[1]}",
                used=f"{size[0]}x{size[1]}",
                reason=f"A picture is kept with at most {limits.stored_pixels_max:,} pixels.",
            )
        )
    if role is PictureRole.MASK:
        final = _mask(direct)
        if not final.getextrema()[1]:
            problem = "has nothing white and nothing transparent: it says that nothing is made anew"
            return UnreadablePicture(problem=problem, code="invalid_mask")
    else:
        final = _opaque(direct, profile, param, changes)
    file = io.BytesIO()
    final.info.clear()  # or Pillow writes what the sender's file said
    final.save(file, "PNG", compress_level=_COMPRESS_LEVEL)
    return ReadPicture(
        png=file.getvalue(), width_px=size[0], height_px=size[1], came_px=came_px, changes=tuple(changes)
    )


def _without_palette(image: Image.Image) -> Image.Image:
    """The picture in L, RGB, CMYK, or with alpha in RGBA: eight bits a channel."""
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64) >> 8  # sixteen bits of grey
        return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _opaque(image: Image.Image, profile: bytes | None, param: str, changes: list[Adjustment]) -> Image.Image:
    """RGB in sRGB; what is transparent lies on white."""
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = _in_srgb(image if alpha is None else image.convert("RGB"), profile)
    if alpha is None or cast("tuple[int, int]", alpha.getextrema())[0] == 255:
        return colours
    changes.append(
        Adjustment(
            parameter=param,
            requested="partly transparent",
            used="opaque",
            reason="The models read opaque pictures: what is transparent was laid on white.",
        )
    )
    return Image.composite(colours, Image.new("RGB", colours.size, "white"), alpha)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile is not None:
        try:
            theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, theirs, _srgb_profile(), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = None  # a broken profile, or one for other channels: the colours are taken as they are
        if converted is not None:
            return converted
    return image.convert("RGB")


def _srgb_profile() -> ImageCms.ImageCmsProfile:
    make = cast("Callable[[str], Any]", ImageCms.createProfile)  # pyright: ignore[reportUnknownMemberType]
    return ImageCms.ImageCmsProfile(make("sRGB"))


def _mask(image: Image.Image) -> Image.Image:
    """Grey, white where the picture is made anew: where the mask is transparent, or else white."""
    if image.mode == "RGBA":
        alpha = image.getchannel("A")
        if cast("tuple[int, int]", alpha.getextrema())[0] < 255:
            return ImageOps.invert(alpha)
    return image.convert("L")
