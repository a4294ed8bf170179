"""OpenAI's `POST /v1/images/edits` in Heliograph's words: a form with files, or JSON with addresses.

Clients differ in how they send several pictures: as `image`, as `image[]`, repeated, as a list `images` of objects. All
of that is read. Pictures that were uploaded (`POST /v1/inputs`) or delivered before are named by `file_id`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from starlette.requests import Request

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.intake import GivenInputs, GivenPicture, PictureSource
from heliograph.domain.request import Adjustment
from heliograph.gateway.form_body import FormBody, FormFile, is_form, read_form, typed
from heliograph.gateway.json_body import JsonBody, read_json
from heliograph.gateway.openai_request import OPENAI_FIELDS, ImageOrder, read_order
from heliograph.prompts.given import picture_of
from heliograph.prompts.values import choice

PICTURE_FIELDS = ("image", "image[]", "images", "mask")
EDIT_FIELDS = (*OPENAI_FIELDS, *PICTURE_FIELDS, "strength", "input_fidelity")
_NUMBERS = (
    "n",
    "seed",
    "steps",
    "guidance_scale",
    "upscale",
    "output_compression",
    "partial_images",
    "strength",
)
_HIGH_FIDELITY = 0.5
"""The strength that `input_fidelity: high` stands for, where a model has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditOrder:
    """What a call of `/v1/images/edits` wants, and the body it was read from."""

    order: ImageOrder
    inputs: GivenInputs
    body: JsonBody | FormBody


async def read_edit(request: Request, *, pictures_max: int) -> EditOrder:
    """The order in a request's form or JSON. Raises `InvalidRequest` naming the field."""
    if not is_form(request):
        body = await read_json(request)
        return edit_order(body, body.fields, images=_named(body.fields), mask=_mask(body.fields), most=pictures_max)
    form = await read_form(request)
    fields = typed(form.fields, numbers=_NUMBERS, flags=("stream",))
    for file in form.files:
        if file.field not in PICTURE_FIELDS:
            raise InvalidRequest(
                f"A file came as {file.field!r}. Pictures are sent as image, image[] and mask.",
                param=file.field,
                code="unsupported_parameter",
            )
    masks = form.files_of("mask")
    if len(masks) > 1:
        raise _invalid("mask", "Send one mask, not several.")
    images = tuple(_of_file(file, "image") for file in form.files_of("image", "image[]", "images"))
    mask = _of_file(masks[0], "mask") if masks else _mask(fields)
    return edit_order(form, fields, images=images or _named(fields), mask=mask, most=pictures_max)


def edit_order(
    body: JsonBody | FormBody,
    fields: Mapping[str, object],
    *,
    images: tuple[GivenPicture, ...],
    mask: GivenPicture | None,
    most: int,
) -> EditOrder:
    """The order in `fields`, with the pictures that were found among them or beside them."""
    if "markup" in fields:
        raise InvalidRequest(
            "markup is not supported: say with a mask what is to be made anew.",
            param="markup",
            code="unsupported_parameter",
        )
    _refuse_unknown(fields)
    if not images:
        raise _invalid("image", "image is required: the picture to edit, as a file or by its address.")
    if len(images) > most:
        raise _invalid("image", f"Send at most {most} pictures, not {len(images)}.")
    rest = {name: value for name, value in fields.items() if name in OPENAI_FIELDS}
    order = read_order(rest)
    strength, changes = _strength(fields)
    return EditOrder(
        order=replace(order, adjustments=(*order.adjustments, *changes)),
        inputs=GivenInputs(
            images=images,
            mask=mask,
            strength=strength,
            prefix="",
            is_wish="strength" not in fields,
        ),
        body=body,
    )


def _strength(fields: Mapping[str, object]) -> tuple[object, tuple[Adjustment, ...]]:
    """How far the result may leave the picture, where the call says so."""
    fidelity = fields.get("input_fidelity")
    name = None if fidelity is None else choice(fidelity, param="input_fidelity", choices=("low", "high"))
    strength = fields.get("strength")
    if strength is not None or name != "high":
        return strength, ()
    change = Adjustment(
        parameter="input_fidelity",
        requested="high",
        used=f"strength {_HIGH_FIDELITY:g}",
        reason="For models that have a strength; others look at their pictures as they are.",
    )
    return _HIGH_FIDELITY, (change,)


def _refuse_unknown(fields: Mapping[str, object]) -> None:
    from_openai = [name for name in fields if name not in EDIT_FIELDS]
    if from_openai:
        name = from_openai[0][:100]
        raise InvalidRequest(
            f"Unknown parameter {name!r}. Known are {', '.join(EDIT_FIELDS)}.",
            param=name,
            code="unsupported_parameter",
        )


def _of_file(file: FormFile, param: str) -> GivenPicture:
    return GivenPicture(param=param, source=PictureSource.BYTES, data=file.data)


def _named(fields: Mapping[str, object]) -> tuple[GivenPicture, ...]:
    """The pictures that are named, not sent: `images`, or liberally `image`."""
    given = [fields[name] for name in ("images", "image", "image[]") if fields.get(name) is not None]
    if not given:
        return ()
    if len(given) > 1:
        raise _invalid("image", "Send images or image, not both.")
    several = cast("list[object]", given[0]) if isinstance(given[0], list) else [given[0]]
    return tuple(_reference(each, "image") for each in several)


def _mask(fields: Mapping[str, object]) -> GivenPicture | None:
    mask = fields.get("mask")
    return None if mask is None else _reference(mask, "mask")


def _reference(value: object, param: str) -> GivenPicture:
    """A picture by `image_url` or `file_id`, or just the text that would stand there."""
    if not isinstance(value, dict):
        return picture_of(value, param=param)
    fields = cast("Mapping[str, object]", value)
    if len(fields) != 1 or not set(fields) <= {"image_url", "file_id"}:
        raise _invalid(param, f"{param} must have image_url or file_id, one of the two.")
    return picture_of(next(iter(fields.values())), param=param)


def _invalid(param: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, param=param, code="invalid_inputs")
