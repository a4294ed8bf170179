"""`GET /v1/admin/diagnosis`: what is wrong, why it is thought so, and what to do next."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from heliograph.gateway import openapi
from heliograph.gateway.admin import check_operator_key
from heliograph.gateway.context import Context
from heliograph.gateway.wire import to_json
from heliograph.monitoring import Diagnosis, Finding


def diagnosis_router(context: Context) -> APIRouter:
    """The route, for the operator only."""
    router = APIRouter(prefix="/v1/admin", tags=["Operations"], default_response_class=Response)

    @router.get("/diagnosis", **openapi.DIAGNOSIS)
    async def diagnosis(request: Request) -> Response:
        check_operator_key(request.headers.get("authorization"), context.operator_key)
        found = context.insight.monitor.diagnosis(context.service.readiness().problems)
        return Response(to_json(diagnosis_json(found)), media_type="application/json")

    return router


def diagnosis_json(found: Diagnosis) -> dict[str, object]:
    """A diagnosis as the API shows it."""
    return {
        "object": "diagnosis",
        "at": found.at_s,
        "observed_s": round(found.observed_s, 1),
        "summary": found.summary,
        "findings": [_finding_json(finding, since_s) for finding, since_s in found.findings],
    }


def _finding_json(finding: Finding, since_s: float) -> dict[str, object]:
    return {
        "cause": finding.cause.value,
        "severity": finding.severity.value,
        "subject": finding.subject,
        "since": since_s,
        "summary": finding.summary,
        "next_step": finding.next_step,
        "evidence": [{"name": fact.name, "value": round(fact.value, 6), "unit": fact.unit} for fact in finding.facts],
    }
