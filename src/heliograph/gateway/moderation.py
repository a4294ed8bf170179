"""What reviewers may: look at cases, see what they are about, decide. What users may: ask, and appeal."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from heliograph.domain.errors import InvalidRequest, PermissionDenied
from heliograph.domain.ids import CaseId, JobId
from heliograph.domain.moderation import DECISIONS, Case, CaseAction, CaseDeed, CaseState, label_of
from heliograph.domain.pictures import Output
from heliograph.gateway.admin import check_operator_key
from heliograph.gateway.context import Context
from heliograph.gateway.json_body import read_json
from heliograph.gateway.openapi import REVIEW
from heliograph.gateway.review_desk import Backlog, CaseFile
from heliograph.gateway.submissions import refuse_unknown
from heliograph.gateway.wire import safety_json, to_json

LIST_MAX = 100
REASON_CHARS_MAX = 1_000
PROMPT_CHARS_MAX = 20_000

OPERATOR = "operator"
"""The author of what was done with the operator's key."""

_DEED_OF = {"uphold": CaseDeed.UPHELD, "overturn": CaseDeed.OVERTURNED, "release": CaseDeed.RELEASED}


def moderation_router(context: Context) -> APIRouter:
    """Routes below `/v1/admin/moderation`, for reviewers' keys and the operator's."""
    router = APIRouter(prefix="/v1/admin/moderation", tags=["Moderation"], default_response_class=Response)
    desk = context.review

    @router.get("/cases", **REVIEW["cases"])
    async def cases(
        request: Request,
        state: CaseState = CaseState.OPEN,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        after: Annotated[str | None, Query(max_length=100)] = None,
    ) -> Response:
        _reviewer(context, request)
        found = await desk.cases(state, limit=limit + 1, after=None if after is None else CaseId(after))
        page = found[:limit]
        body = {"object": "list", "data": [case_json(case) for case in page], "has_more": len(found) > limit}
        return _answer(body)

    @router.get("/cases/{case_id}", **REVIEW["case"])
    async def case(request: Request, case_id: str) -> Response:
        _reviewer(context, request)
        return _answer(file_json(await desk.file(CaseId(case_id))))

    @router.post("/cases/{case_id}/decision", **REVIEW["decide"])
    async def decide(request: Request, case_id: str) -> Response:
        actor = _reviewer(context, request)
        fields = (await read_json(request)).fields
        refuse_unknown(fields, ("decision", "reason"))
        deed = _DEED_OF.get(str(fields.get("decision")))
        if deed is None:
            raise InvalidRequest(
                f"decision must be one of {', '.join(_DEED_OF)}.", param="decision", code="invalid_decision"
            )
        reason = _text(fields, "reason", chars_max=REASON_CHARS_MAX, is_needed=deed is not CaseDeed.UPHELD)
        return _answer(file_json(await desk.decide(CaseId(case_id), deed, actor=actor, reason=reason)))

    @router.get("/cases/{case_id}/pictures/{index}", **REVIEW["picture"])
    async def picture(
        request: Request,
        case_id: str,
        index: int,
        variant: Annotated[Literal["thumbnail"] | None, Query()] = None,
    ) -> Response:
        _reviewer(context, request)
        output = await desk.picture(CaseId(case_id), index=index)
        name = output.blob if variant is None else output.thumbnail_blob
        await context.service.blob_size(name)
        data = await context.service.read_blob(name, start=0, length=None)
        media_type = f"image/{'webp' if variant else output.output_format.value}"
        return Response(data, media_type=media_type, headers={"Cache-Control": "private, no-store"})

    @router.get("/backlog", **REVIEW["backlog"])
    async def backlog(request: Request) -> Response:
        _reviewer(context, request)
        return _answer(backlog_json(await desk.count(), now_s=context.clock()))

    return router


def appeals_router(context: Context) -> APIRouter:
    """What a tenant may ask about its own."""
    router = APIRouter(tags=["Moderation"], default_response_class=Response)
    desk = context.review

    @router.get("/v1/jobs/{job_id}/moderation", **REVIEW["job_moderation"])
    async def of_job(request: Request, job_id: str) -> Response:
        status = await context.service.status(JobId(job_id), caller=context.caller(request))
        return _answer(_own_list(await desk.of_job(status.view.job.job_id)))

    @router.post("/v1/jobs/{job_id}/appeal", **REVIEW["appeal_job"])
    async def appeal_job(request: Request, job_id: str) -> Response:
        caller = context.caller(request)
        fields = (await read_json(request)).fields
        refuse_unknown(fields, ("reason",))
        reason = _text(fields, "reason", chars_max=REASON_CHARS_MAX)
        status = await context.service.status(JobId(job_id), caller=caller)
        files = await desk.appeal_job(status.view.job.job_id, caller=caller, reason=reason)
        return _answer(_own_list(files), HTTPStatus.CREATED)

    @router.post("/v1/appeals", **REVIEW["appeal_prompt"])
    async def appeal_prompt(request: Request) -> Response:
        caller = context.caller(request)
        fields = (await read_json(request)).fields
        refuse_unknown(fields, ("prompt", "negative_prompt", "reason"))
        file = await desk.appeal_prompt(
            _text(fields, "prompt", chars_max=PROMPT_CHARS_MAX),
            _text(fields, "negative_prompt", chars_max=PROMPT_CHARS_MAX, is_needed=False),
            caller=caller,
            reason=_text(fields, "reason", chars_max=REASON_CHARS_MAX),
        )
        return _answer(own_json(file), HTTPStatus.CREATED)

    @router.get("/v1/appeals/{case_id}", **REVIEW["appeal"])
    async def appeal(request: Request, case_id: str) -> Response:
        return _answer(own_json(await desk.of_tenant(CaseId(case_id), caller=context.caller(request))))

    return router


def _reviewer(context: Context, request: Request) -> str:
    """Who reviews: a reviewer's key by its id, or the operator. Raises for everybody else."""
    authorization = request.headers.get("authorization")
    key_id = context.keys.reviewer(authorization)
    if key_id is not None:
        return key_id
    try:
        check_operator_key(authorization, context.operator_key)
    except PermissionDenied as error:
        raise PermissionDenied("This is for a reviewer's key or the operator's.", code="reviewer_only") from error
    return OPERATOR


def _text(fields: Mapping[str, object], name: str, *, chars_max: int, is_needed: bool = True) -> str:
    value = fields.get(name)
    if value is None and not is_needed:
        return ""
    if not isinstance(value, str) or len(value) > chars_max or (is_needed and not value.strip()):
        needed = "a text" if is_needed else "a text, or left out,"
        raise InvalidRequest(
            f"{name} must be {needed} of at most {chars_max:,} characters.", param=name, code=f"invalid_{name}"
        )
    return value


# --- on the wire -----------------------------------------------------------------------------------------------------


def _answer(body: Mapping[str, object], status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(to_json(body), status_code=status, media_type="application/json")


def case_json(case: Case) -> dict[str, object]:
    """A case as reviewers see it. `label` is the row that it is for the filter's evaluation, once it is decided."""
    return {
        "id": case.case_id,
        "object": "moderation_case",
        "subject": case.subject.value,
        "state": case.state.value,
        "tenant": case.tenant_id,
        "job_id": case.job_id,
        "output_id": case.output_id,
        "category": case.category,
        "score": round(case.score, 4),
        "findings": [
            {"category": each.category, "score": round(each.score, 4), "evidence": list(each.evidence)}
            for each in case.findings
        ],
        "prompt": case.prompt,
        "negative_prompt": case.negative_prompt,
        "holding": case.is_holding,
        "opened_at": case.opened_at_s,
        "since": case.since_s,
        "label": label_of(case),
    }


def file_json(file: CaseFile) -> dict[str, object]:
    """A case with its log, its pictures and what became of its job."""
    job = file.job
    return case_json(file.case) | {
        "log": [_action_json(action) for action in file.log],
        "pictures": [_picture_json(file.case, output) for output in file.outputs],
        "job": job
        and {
            "status": job.job.state.value,
            "model": job.job.request.model_id,
            "seed": job.job.request.seed,
            "style": job.job.request.style,
            "created_at": job.job.created_at_s,
            "error": None if job.job.failure is None else job.job.failure.code,
        },
    }


def _action_json(action: CaseAction) -> dict[str, object]:
    return {
        "number": action.number,
        "at": action.at_s,
        "actor": action.actor,
        "deed": action.deed.value,
        "reason": action.reason,
    }


def _picture_json(case: Case, output: Output) -> dict[str, object]:
    url = f"/v1/admin/moderation/cases/{case.case_id}/pictures/{output.index}"
    return {
        "index": output.index,
        "url": url,
        "thumbnail_url": f"{url}?variant=thumbnail",
        "width": output.width_px,
        "height": output.height_px,
        "availability": output.availability.value,
        "safety": safety_json(output),
    }


def backlog_json(backlog: Backlog, *, now_s: float) -> dict[str, object]:
    """What waits and since when, and what each reviewer decided within the last hour."""
    reviewers: dict[str, dict[str, int]] = {}
    for each in backlog.deeds:
        if each.deed in DECISIONS:
            reviewers.setdefault(each.actor, {})[each.deed.value] = each.count
    waiting = {each.state.value: each for each in backlog.waiting}
    return {
        "object": "moderation_backlog",
        "waiting": {
            state.value: {
                "cases": waiting[state.value].count if state.value in waiting else 0,
                "age_s": round(max(0.0, now_s - waiting[state.value].oldest_s), 3) if state.value in waiting else 0.0,
            }
            for state in CaseState
            if state.is_waiting
        },
        "reviewers": [{"reviewer": name, "decided": counts} for name, counts in sorted(reviewers.items())],
    }


def own_json(file: CaseFile) -> dict[str, object]:
    """A case as its tenant sees it: what was found and decided, not by whom, and no more than it was told before."""
    case = file.case
    decisions = [action for action in file.log if action.deed in DECISIONS]
    return {
        "id": case.case_id,
        "object": "moderation_case",
        "subject": case.subject.value,
        "state": case.state.value,
        "job_id": case.job_id,
        "output_id": case.output_id,
        "category": case.category,
        "score": round(case.score, 4),
        "opened_at": case.opened_at_s,
        "since": case.since_s,
        "appealed": any(action.deed is CaseDeed.APPEALED for action in file.log),
        "decision": {"deed": decisions[-1].deed.value, "at": decisions[-1].at_s, "reason": decisions[-1].reason}
        if decisions and not case.state.is_waiting
        else None,
    }


def _own_list(files: tuple[CaseFile, ...]) -> dict[str, object]:
    return {"object": "list", "data": [own_json(file) for file in files]}
