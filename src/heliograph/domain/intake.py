"""Pictures that come in with a request: what was given, the bounds they are read within, and what became of them."""

from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.request import Adjustment, InputPicture


class PictureRole(StrEnum):
    """What a picture is for. Of a mask, what is white is made anew; where parts are transparent, those."""

    IMAGE = "image"
    MASK = "mask"


class PictureSource(StrEnum):
    """How a picture was given; `GivenPicture.value` is what the source's name says."""

    BYTES = "bytes"
    URL = "url"
    UPLOAD = "upload"
    """The id that `POST /v1/inputs` gave."""
    OUTPUT = "output"
    """The id of a delivered picture of the same tenant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPicture:
    """A picture as it was given, unread. `data` is set for bytes alone, `value` for everything else."""

    param: str
    source: PictureSource
    data: bytes = b""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenInputs:
    """The pictures of a request as they were given; `strength` is unchecked.

    The fields are called `prefix` + `image`, `mask` and `strength` in errors. A strength that `is_wish` is left out for
    a model that has none, another is refused.
    """

    images: tuple[GivenPicture, ...]
    mask: GivenPicture | None = None
    strength: object = None
    prefix: str = "inputs."
    is_wish: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeLimits:
    """What a picture from outside may be: bytes of its file, pixels and frames it holds.

    One with more than `stored_pixels_max` pixels is scaled down to that many.
    """

    bytes_max: int
    pixels_max: int
    frames_max: int
    stored_pixels_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPicture:
    """A picture made our own: `png` is upright, sRGB and free of metadata; a mask's is grey.

    `came_px` is the (width, height) it came with, seen upright, and `changes` is what else was done to it.
    """

    png: bytes
    width_px: int
    height_px: int
    came_px: tuple[int, int]
    changes: tuple[Adjustment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadablePicture:
    """Why a picture was not read: the predicate of a sentence, and the code of the error."""

    problem: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenInputs:
    """The pictures of a request, read and stored; the rest is as it was given."""

    images: tuple[InputPicture, ...]
    mask: InputPicture | None = None
    strength: object = None
    prefix: str = "inputs."
    is_wish: bool = False
    changes: tuple[Adjustment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedPicture:
    """A picture that was stored for a later request of the same tenant, which names it by `upload_id`."""

    upload_id: str
    role: PictureRole
    width_px: int
    height_px: int
    size_bytes: int
    kept_until_s: float
    changes: tuple[Adjustment, ...] = ()
