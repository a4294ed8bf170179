"""Delivered pictures: whole or in part, cached for good, by key or by signed link."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from heliograph.delivery.ladder import Wish
from heliograph.domain.accounts import Caller
from heliograph.domain.errors import InvalidRequest, PermissionDenied
from heliograph.domain.held import refuse_held
from heliograph.domain.ids import OutputId
from heliograph.domain.pictures import FileFormat, Output
from heliograph.gateway import openapi
from heliograph.gateway.context import Context
from heliograph.gateway.egress import ELSEWHERE_BYTES, TENANT
from heliograph.gateway.errors import ProtocolError
from heliograph.gateway.ranges import ByteRange, RangeNotSatisfiable, is_unchanged, requested_range
from heliograph.service import Service

_YEAR_S = 31_536_000
CHUNK_BYTES = 1024**2

_MIME_TYPE_OF_SUFFIX = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
    "mp4": "video/mp4",
    "webm": "video/webm",
}
_SOON_BETTER = "private, max-age=15"
"""A smaller file of the same picture is being made."""


def outputs_router(context: Context) -> APIRouter:
    """`/v1/outputs/{id}`."""
    router = APIRouter(prefix="/v1/outputs", tags=["Outputs"], default_response_class=Response)

    async def get_output(
        request: Request,
        output_id: str,
        variant: Annotated[Literal["thumbnail", "poster", "preview"] | None, Query()] = None,
        wanted: Annotated[Literal["auto", "png", "jpeg", "webp", "avif"] | None, Query(alias="format")] = None,
        width_px: Annotated[int | None, Query(alias="w", ge=1, le=100_000)] = None,
        expires: Annotated[int | None, Query(ge=0)] = None,
        signature: Annotated[str | None, Query(max_length=200)] = None,
    ) -> Response:
        is_thumbnail = variant == "thumbnail"
        if variant is not None and (wanted is not None or width_px is not None):
            raise InvalidRequest("`variant` goes with neither `format` nor `w`. Leave one out.", param="variant")
        caller = _reader(context, request, OutputId(output_id), is_thumbnail, expires_at_s=expires, signature=signature)
        output = await context.service.output(OutputId(output_id), caller=caller)
        setattr(request.state, TENANT, output.tenant_id)
        wish = Wish(
            name=variant,
            file_format=None if wanted is None or wanted == "auto" else FileFormat(wanted),
            width_px=width_px,
            is_negotiated=wanted == "auto",
            accept=request.headers.get("accept"),
        )
        cache_control = _cache_control(context, caller, expires_at_s=expires)
        if not is_thumbnail and request.method == "GET":
            context.insight.quality.downloaded(output.output_id)
        return await file_answer(
            context, request, output, wish=wish, cache_control=cache_control, is_link=caller is None
        )

    router.get("/{output_id}", **openapi.OUTPUT)(get_output)
    router.head("/{output_id}", include_in_schema=False)(get_output)
    return router


async def file_answer(
    context: Context, request: Request, output: Output, *, wish: Wish, cache_control: str, is_link: bool = False
) -> Response:
    """The file of an output that answers the wish, or the part of it that is asked for; the caller may read it, unless
    it is held.

    `is_link`: a link is all the caller has.
    """
    refuse_held(output)
    found = await context.service.file_of(output, wish, is_link=is_link)
    assert found.blob is not None, "a file that answers is there"
    name = found.blob
    size = await context.service.blob_size(name)
    digest, _, suffix = name.rpartition(".")
    etag = f'"{digest}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": cache_control if found.is_final else _SOON_BETTER,
        **({"Vary": "Accept"} if wish.is_negotiated else {}),
    }
    if is_unchanged(request.headers.get("if-none-match"), etag=etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers["Content-Disposition"] = f'inline; filename="{_file_name(output, suffix, wish.name)}"'
    media_type = _MIME_TYPE_OF_SUFFIX[suffix]
    elsewhere = await context.links.served_elsewhere(name)
    if elsewhere is not None:
        setattr(request.state, ELSEWHERE_BYTES, size if request.method == "GET" else 0)
        moved = {"Location": elsewhere, "Cache-Control": "private, no-store", "ETag": etag}
        return Response(status_code=HTTPStatus.FOUND, headers=moved)
    if request.method == "HEAD":
        headers["Content-Length"] = str(size)
        return Response(headers=headers, media_type=media_type)
    try:
        part = requested_range(
            request.headers.get("range"), if_range=request.headers.get("if-range"), etag=etag, size=size
        )
    except RangeNotSatisfiable as error:
        raise ProtocolError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"The picture has {size} bytes and the range begins beyond them.",
            code="range_not_satisfiable",
            headers={"Content-Range": f"bytes */{size}"},
        ) from error
    if part is None:
        return await _send(context.service, name, ByteRange(start=0, end=size - 1), headers, media_type)
    headers["Content-Range"] = f"bytes {part.start}-{part.end}/{size}"
    return await _send(context.service, name, part, headers, media_type, status_code=HTTPStatus.PARTIAL_CONTENT)


def _reader(
    context: Context,
    request: Request,
    output_id: OutputId,
    is_thumbnail: bool,
    *,
    expires_at_s: int | None,
    signature: str | None,
) -> Caller | None:
    """Whose right to read is used: the key's, or None for a valid link's. Raises where there is neither."""
    if signature is None or context.keys.is_open or "authorization" in request.headers:
        return context.caller(request)
    if expires_at_s is None or not context.links.is_valid(
        output_id, is_thumbnail, expires_at_s=expires_at_s, signature=signature
    ):
        raise PermissionDenied(
            "The link has expired or was changed. Get a fresh one from the job it belongs to.", code="link_not_valid"
        )
    return None


def _cache_control(context: Context, caller: Caller | None, *, expires_at_s: int | None) -> str:
    if caller is None and expires_at_s is not None:
        return context.links.shared_cache(expires_at_s=expires_at_s)
    return f"private, max-age={_YEAR_S}, immutable"


def _file_name(output: Output, suffix: str, variant: str | None) -> str:
    return f"{output.job_id}-{output.index + 1}{'-' + variant if variant else ''}.{suffix}"


async def _send(
    service: Service,
    name: str,
    part: ByteRange,
    headers: dict[str, str],
    media_type: str,
    status_code: HTTPStatus = HTTPStatus.OK,
) -> Response:
    # The first read comes before the status line goes out, so that a broken disk is still a clear 503.
    first = await service.read_blob(name, start=part.start, length=min(part.length, CHUNK_BYTES))
    if len(first) == part.length:
        return Response(first, status_code=status_code, headers=headers, media_type=media_type)

    async def chunks() -> AsyncIterator[bytes]:
        yield first
        for start in range(part.start + CHUNK_BYTES, part.end + 1, CHUNK_BYTES):
            yield await service.read_blob(name, start=start, length=min(CHUNK_BYTES, part.end + 1 - start))

    headers["Content-Length"] = str(part.length)
    return StreamingResponse(chunks(), status_code=status_code, headers=headers, media_type=media_type)
