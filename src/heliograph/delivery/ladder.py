"""Which files of one picture there may be, which of them are made without being asked for, and which answers a request.

Beside the file that was asked for, a still may be had in every format at full size and on the steps of a ladder: longer
sides of 256, 512 and 1024 pixels, where the picture is larger. So a picture has a bounded number of files, whoever asks
for what. A clip has a poster, its first frame, and a short small preview.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from heliograph.delivery.variants import THUMBNAIL_SIDE_PX, size_within
from heliograph.domain.errors import InvalidRequest
from heliograph.domain.pictures import FileFormat, Output

SIDES_PX = (256, 512, 1024)
STILL_FORMATS = (FileFormat.PNG, FileFormat.JPEG, FileFormat.WEBP, FileFormat.AVIF)
SHARED, POSTER, PREVIEW = "shared", "poster", "preview"
_BY_PREFERENCE = (FileFormat.AVIF, FileFormat.WEBP)
_WEIGHT = re.compile(r"\s*q\s*=\s*(\d(?:\.\d{0,3})?)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantOrder:
    """A file to make of a picture. `name` tells it from the picture's others, as `Variant.name` does."""

    name: str
    file_format: FileFormat
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which file of a picture somebody wants: one by name, or a format and a least width.

    `name` is `thumbnail`, `poster` or `preview`, None for the picture itself. `is_negotiated`: the format is up to
    `accept`, the header of that name, and what is there counts more than what would be best.
    """

    name: str | None = None
    file_format: FileFormat | None = None
    width_px: int | None = None
    is_negotiated: bool = False
    accept: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The file that answers a wish: `blob` where it is there, else `order` is to be made.

    `is_final`: the same wish will be answered with the same file from now on.
    """

    blob: str | None
    order: VariantOrder | None = None
    is_final: bool = True


def answer(output: Output, wish: Wish, *, is_shared: bool = False) -> Answer:
    """Which file answers. With `is_shared` the words of the user are kept back. Raises `InvalidRequest`."""
    whole = _answer(output, shared(output)) if is_shared else Answer(blob=output.blob)
    if wish.name == "thumbnail":
        return Answer(blob=output.thumbnail_blob)
    if wish.name is not None:
        if output.frames == 1:
            raise InvalidRequest(
                f"A still has no {wish.name}; clips do.", param="variant", code="variant_not_available"
            )
        return _answer(output, of_clip(output, wish.name))
    if wish.file_format is None and wish.width_px is None and not wish.is_negotiated:
        return whole
    if output.frames > 1:
        raise InvalidRequest(
            "A clip is delivered as it was made; ask for its `variant=poster` or `variant=preview`.",
            param="format",
            code="variant_not_available",
        )
    if not wish.is_negotiated:
        file_format = wish.file_format or FileFormat(output.output_format.value)
        order = of_still(output, file_format, width_px=wish.width_px)
        return whole if is_there(output, order) == output.blob else _answer(output, order)
    return _negotiated(output, wish, whole)


def _negotiated(output: Output, wish: Wish, whole: Answer) -> Answer:
    """The best format that is there; steps of the ladder are quickly made, slow formats of full size are waited for."""
    wanted = accepted(wish.accept)
    if wish.width_px is not None:
        quick = next(each for each in wanted if each is not FileFormat.AVIF)
        order = of_still(output, quick, width_px=wish.width_px)
        if (order.width_px, order.height_px) != (output.width_px, output.height_px):
            return _answer(output, order)
    for position, file_format in enumerate(wanted):
        order = of_still(output, file_format)
        there = is_there(output, order)
        if there is not None:
            return replace(whole if there == output.blob else Answer(blob=there), is_final=position == 0)
    return replace(whole, is_final=False)


def _answer(output: Output, order: VariantOrder) -> Answer:
    there = is_there(output, order)
    return Answer(blob=there, order=order if there is None else None)


def of_still(output: Output, file_format: FileFormat, *, width_px: int | None = None) -> VariantOrder:
    """The smallest file of that format that is at least `width_px` wide; the full size where none is, or without it."""
    for side_px in SIDES_PX:
        size = size_within(output.width_px, output.height_px, side_px)
        if width_px is not None and size != (output.width_px, output.height_px) and size[0] >= width_px:
            return _order(f"{file_format.value}-{side_px}", file_format, size)
    return _order(file_format.value, file_format, (output.width_px, output.height_px))


def of_clip(output: Output, name: str) -> VariantOrder:
    """Its poster or its preview."""
    assert name in (POSTER, PREVIEW), f"a clip has no {name}"
    size = (output.width_px, output.height_px)
    return _order(name, FileFormat.WEBP, size_within(*size, THUMBNAIL_SIDE_PX) if name == PREVIEW else size)


def shared(output: Output) -> VariantOrder:
    """The file that was asked for, without the words of the user."""
    return _order(SHARED, FileFormat(output.output_format.value), (output.width_px, output.height_px))


def is_there(output: Output, order: VariantOrder) -> str | None:
    """The name of its file in the blob store, None when it has yet to be made.

    The file that was asked for and the thumbnail are files of the ladder, too.
    """
    if order.name == FileFormat(output.output_format.value).value:
        return output.blob
    if order.name == f"{FileFormat.WEBP.value}-{THUMBNAIL_SIDE_PX}":
        return output.thumbnail_blob
    return next((variant.blob for variant in output.variants if variant.name == order.name), None)


def planned(output: Output, formats: Collection[FileFormat], *, is_shared: bool) -> tuple[VariantOrder, ...]:
    """What is made of a picture as soon as it is delivered, the most wanted first."""
    orders = [shared(output)] if is_shared else []
    if output.frames > 1:
        orders += [of_clip(output, POSTER), of_clip(output, PREVIEW)]
    else:
        steps = [of_still(output, FileFormat.WEBP, width_px=width_px) for width_px in widths(output)[:-1]]
        orders += [*steps, *(of_still(output, each) for each in (FileFormat.WEBP, FileFormat.AVIF) if each in formats)]
    missing = {order.name: order for order in orders if is_there(output, order) is None}
    return tuple(missing.values())


def widths(output: Output) -> tuple[int, ...]:
    """The widths on the ladder, the full one last."""
    sizes = [size_within(output.width_px, output.height_px, side_px)[0] for side_px in SIDES_PX]
    return tuple(dict.fromkeys([*sizes, output.width_px]))


def accepted(accept: str | None) -> tuple[FileFormat, ...]:
    """The formats of stills that an `Accept` header asks for, best first; JPEG, which everybody reads, is the last.

    Only what it names counts: `image/*` and `*/*` come from programs that cannot read what they say.
    """
    weights: dict[str, float] = {}
    for part in (accept or "")[:1000].split(","):
        media_type, *parameters = part.split(";")
        found = [_WEIGHT.fullmatch(parameter) for parameter in parameters]
        weights[media_type.strip().lower()] = min([float(each[1]) for each in found if each] or [1.0])
    wanted = [each for each in _BY_PREFERENCE if weights.get(each.mime_type, 0.0) > 0]
    return (*sorted(wanted, key=lambda each: -weights[each.mime_type]), FileFormat.JPEG)


def _order(name: str, file_format: FileFormat, size_px: tuple[int, int]) -> VariantOrder:
    return VariantOrder(name=name, file_format=file_format, width_px=size_px[0], height_px=size_px[1])
