"""Request bodies: strict JSON objects, read once.

Python's parser takes more than JSON allows (NaN, repeated names, half a surrogate pair) and recurses as deep as a body
nests. Here all of that is a clear 400, before any stage sees it.
"""

import asyncio
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NoReturn, cast

from starlette.requests import Request

from heliograph.domain.errors import InvalidRequest
from heliograph.gateway.errors import ProtocolError

DEPTH_MAX = 16
BODY_S_MAX = 30.0
LARGE_BYTES = 1024**2
"""A larger body holds pictures, and is parsed beside the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonBody:
    """A JSON object and the SHA-256 hex of its canonical form: equal bodies have equal fingerprints."""

    fields: Mapping[str, object]
    fingerprint: str


async def read_json(request: Request) -> JsonBody:
    """The request's body. Raises `ProtocolError` (415, 413, 408) and `InvalidRequest`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _is_json(media_type):
        raise ProtocolError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The body must be JSON with `Content-Type: application/json`, not {media_type or 'unlabelled'!r}.",
            code="unsupported_media_type",
        )
    body = await read_body(request)
    return parse_json(body) if len(body) < LARGE_BYTES else await asyncio.to_thread(parse_json, body)


async def read_body(request: Request) -> bytes:
    """The whole body. Raises `ProtocolError` for one that is too large or takes too long."""
    try:
        async with asyncio.timeout(BODY_S_MAX):
            return await request.body()
    except TimeoutError:
        raise ProtocolError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body did not arrive within {BODY_S_MAX:g} s.",
            code="request_timeout",
            headers={"Connection": "close"},
        ) from None


def parse_json(body: bytes) -> JsonBody:
    """`body` checked and fingerprinted. Raises `InvalidRequest` with the position of the fault."""
    if not body.strip():
        raise _invalid("The body is empty. Send a JSON object.")
    try:
        parsed: object = _DECODER.decode(body.decode())
    except json.JSONDecodeError as error:
        raise _invalid(
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except UnicodeDecodeError as error:
        raise _invalid(f"The body is not UTF-8: byte {error.start} is out of place.") from error
    except ValueError as error:  # an integer of thousands of digits
        raise _invalid("The body holds a number of thousands of digits.") from error
    except RecursionError as error:
        raise _too_deep() from error
    if not isinstance(parsed, dict):
        raise _invalid('The body must be a JSON object, such as {"prompt": "a red boat"}.')
    fields = cast("dict[str, object]", parsed)
    _check_depth(fields, DEPTH_MAX)
    try:
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise _invalid(
            "The body holds half of a surrogate pair (\\ud800 to \\udfff), which is no character."
        ) from error
    return JsonBody(fields=fields, fingerprint=hashlib.sha256(canonical).hexdigest())


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(
            f"{repeated[:100]!r} is in the body twice. Send it once.", param=repeated[:100], code="duplicate_field"
        )
    return fields


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _invalid(f"The number {text[:40]} in the body is too large.")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise _invalid(f"{name} in the body is not valid JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant)


def _check_depth(value: object, levels: int) -> None:
    match value:
        case dict():
            members = list(cast("dict[str, object]", value).values())
        case list():
            members = cast("list[object]", value)
        case _:
            return
    if levels == 0:
        raise _too_deep()
    for member in members:
        _check_depth(member, levels - 1)


def _too_deep() -> InvalidRequest:
    return _invalid(f"The body nests more than {DEPTH_MAX} levels deep.")


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_json")
