"""The pictures of a request as the native API takes them: names of pictures, told apart by how they begin.

    {"image": "in_…", "mask": "data:image/png;base64,…", "strength": 0.6}

A picture is `in_…` (an upload), `out_…` (a picture that was delivered), `https://…` or a `data:` URL. Nothing is
fetched or decoded here.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import cast

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.intake import GivenInputs, GivenPicture, PictureSource
from heliograph.prompts.values import shown

FIELDS = ("image", "mask", "strength")
_DATA = re.compile(r"data:[a-z0-9.+/;=-]{0,100};base64,", re.IGNORECASE | re.ASCII)
_HOW = "an id of POST /v1/inputs (in_…), an output's id (out_…), an https:// address or a data: URL in base64"


def read_inputs(value: object, *, pictures_max: int) -> GivenInputs | None:
    """The field `inputs` of a job. Raises `InvalidRequest` naming the part that is wrong."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _wrong("inputs", 'inputs must be an object such as {"image": "in_…"}')
    fields = cast("Mapping[str, object]", value)
    for name in fields:
        if name not in FIELDS:
            raise InvalidRequest(
                f"inputs has no {name[:100]!r}; it has {', '.join(FIELDS)}.",
                param=f"inputs.{name[:100]}",
                code="unsupported_parameter",
            )
    given = fields.get("image")
    if given is None:
        raise _wrong("inputs.image", f"inputs.image is required: {_HOW}")
    images = tuple(cast("list[object]", given)) if isinstance(given, list) else (given,)
    if not 1 <= len(images) <= pictures_max:
        raise _wrong("inputs.image", f"inputs.image must be one picture, or a list of 1 to {pictures_max}")
    mask = fields.get("mask")
    return GivenInputs(
        images=tuple(picture_of(each, param="inputs.image") for each in images),
        mask=None if mask is None else picture_of(mask, param="inputs.mask"),
        strength=fields.get("strength"),
    )


def picture_of(value: object, *, param: str) -> GivenPicture:
    """The picture that a text names."""
    if isinstance(value, str):
        if value.startswith("in_"):
            return GivenPicture(param=param, source=PictureSource.UPLOAD, value=value)
        if value.startswith("out_"):
            return GivenPicture(param=param, source=PictureSource.OUTPUT, value=value)
        if value.startswith(("https://", "http://")):
            return GivenPicture(param=param, source=PictureSource.URL, value=value)
        if value[:5].lower() == "data:":
            return GivenPicture(param=param, source=PictureSource.BYTES, data=_of_data_url(value, param))
    raise _wrong(param, f"{param} must be {_HOW}, not {shown(value)}")


def _of_data_url(value: str, param: str) -> bytes:
    head = _DATA.match(value)
    if head is None:
        raise _wrong(param, f"{param} must be a data: URL in base64, such as data:image/png;base64,…")
    try:
        return base64.b64decode(value[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise _wrong(param, f"{param} is not valid base64") from error


def _wrong(param: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{message}.", param=param, code="invalid_inputs")
