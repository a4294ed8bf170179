"""Where a file comes from: `POST /v1/provenance/verify` takes the file itself as its body."""

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from heliograph.delivery.verification import Lookalike, Verification
from heliograph.domain.errors import InvalidRequest
from heliograph.gateway import openapi_provenance
from heliograph.gateway.context import Context
from heliograph.gateway.errors import ProtocolError
from heliograph.gateway.json_body import BODY_S_MAX
from heliograph.gateway.wire import to_json

VERIFY_PATH = "/v1/provenance/verify"


def provenance_router(context: Context) -> APIRouter:
    """`/v1/provenance/verify`."""
    router = APIRouter(tags=["Provenance"], default_response_class=Response)

    @router.post(VERIFY_PATH, **openapi_provenance.VERIFY)
    async def verify(request: Request) -> Response:
        caller = context.caller(request)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not (media_type.startswith("image/") or media_type == "application/octet-stream"):
            raise ProtocolError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "Send the file itself as the body, with `Content-Type: application/octet-stream` or its own type, "
                f"not {media_type or 'unlabelled'!r}.",
                code="unsupported_media_type",
            )
        data = await _body(request)
        if not data:
            raise InvalidRequest("The body is empty. Send the picture's file.", param="body", code="empty_file")
        verification = await context.service.verify(data, caller=caller)
        return Response(to_json(verification_json(verification)), media_type="application/json")

    return router


async def _body(request: Request) -> bytes:
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


def verification_json(verification: Verification) -> dict[str, object]:
    """The answer on the wire, and what `heliograph verify --json` prints."""
    found, manifest = verification.inspection, verification.inspection.manifest
    return {
        "object": "verification",
        "sha256": found.sha256,
        "bytes": found.size_bytes,
        "mime_type": found.mime_type,
        "integrity": verification.integrity.value,
        "reasons": list(verification.reasons),
        "machine_made": verification.is_machine_made,
        "signature": manifest
        and {
            "trust": verification.trust and verification.trust.value,
            "signer": manifest.signer,
            "issued_by": manifest.issued_by,
            "algorithm": manifest.algorithm,
            "generator": manifest.generator,
            "made_by": manifest.agent,
            "made_at": manifest.made_at,
            "source_type": manifest.source_type,
        },
        "claims": {"source_type": found.source_type, "software": found.software, "parameters": found.parameters},
        "delivered": verification.delivered and _lookalike_json(verification.delivered),
        "lookalikes": [_lookalike_json(each) for each in verification.lookalikes],
    }


def _lookalike_json(alike: Lookalike) -> dict[str, object]:
    return {"output": alike.output_id, "job": alike.job_id, "bits_apart": alike.bits_apart}
