"""Making a job's pictures again, and saying what came of it."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from heliograph.domain.ids import JobId
from heliograph.gateway.context import Context
from heliograph.gateway.errors import JOB_ID_HEADER
from heliograph.gateway.openapi import REPRODUCE_ROUTE, REPRODUCTION_ROUTE
from heliograph.gateway.wire import job_json, to_json
from heliograph.quality.reproduction import Reproduction


def reproductions_router(context: Context) -> APIRouter:
    """`/v1/jobs/{id}/reproduce` and `/v1/jobs/{id}/reproduction`."""
    router = APIRouter(prefix="/v1/jobs", tags=["Jobs"], default_response_class=Response)
    service = context.service

    @router.post("/{job_id}/reproduce", **REPRODUCE_ROUTE)
    async def reproduce(request: Request, job_id: str) -> Response:
        status = await service.reproduce(JobId(job_id), caller=context.caller(request))
        made = status.view.job.job_id
        return Response(
            to_json(job_json(status, output_url=context.output_url)),
            status_code=HTTPStatus.CREATED,
            headers={JOB_ID_HEADER: made, "Location": f"/v1/jobs/{made}"},
            media_type="application/json",
        )

    @router.get("/{job_id}/reproduction", **REPRODUCTION_ROUTE)
    async def reproduction(request: Request, job_id: str) -> Response:
        found = await service.reproduction(JobId(job_id), caller=context.caller(request))
        return Response(to_json(reproduction_json(found)), media_type="application/json")

    return router


def reproduction_json(found: Reproduction) -> dict[str, Any]:
    """The verdict on the wire."""
    return {
        "object": "reproduction",
        "verdict": found.verdict.value,
        "distance": found.distance,
        "pictures": [
            {"index": each.index, "verdict": each.verdict.value, "distance": each.distance} for each in found.pictures
        ],
        "changed": [{"component": each.component, "before": each.before, "now": each.now} for each in found.changed],
        "recorded": found.is_recorded,
    }
