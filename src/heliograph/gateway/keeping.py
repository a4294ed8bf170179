"""How long pictures stay, over HTTP: stars, deletions and their records, and the operator's holds."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from heliograph.delivery.retention import Step
from heliograph.domain.ids import OutputId
from heliograph.domain.keeping import Deletion
from heliograph.gateway import openapi_keeping as openapi
from heliograph.gateway.admin import check_operator_key
from heliograph.gateway.context import Context
from heliograph.gateway.wire import to_json
from heliograph.keeper import Keeper, Kept

LIST_MAX = 100


def keeping_router(context: Context, keeper: Keeper) -> APIRouter:
    """`DELETE /v1/outputs/{id}` and what belongs to it."""
    router = APIRouter(default_response_class=Response)

    def only_operator(request: Request) -> None:
        check_operator_key(request.headers.get("authorization"), context.operator_key)

    @router.get("/v1/outputs/{output_id}/keeping", tags=["Outputs"], **openapi.KEEPING)
    async def kept(request: Request, output_id: str) -> Response:
        return _kept(await keeper.kept(OutputId(output_id), caller=context.caller(request)))

    @router.put("/v1/outputs/{output_id}/star", tags=["Outputs"], **openapi.STAR)
    async def star(request: Request, output_id: str) -> Response:
        return _kept(await keeper.star(OutputId(output_id), is_on=True, caller=context.caller(request)))

    @router.delete("/v1/outputs/{output_id}/star", tags=["Outputs"], **openapi.UNSTAR)
    async def unstar(request: Request, output_id: str) -> Response:
        return _kept(await keeper.star(OutputId(output_id), is_on=False, caller=context.caller(request)))

    @router.delete("/v1/outputs/{output_id}", tags=["Outputs"], **openapi.DELETE)
    async def delete(request: Request, output_id: str) -> Response:
        return _answer(deletion_json(await keeper.delete(OutputId(output_id), caller=context.caller(request))))

    @router.get("/v1/deletions", tags=["Outputs"], **openapi.DELETIONS)
    async def deletions(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 20,
        before: Annotated[float | None, Query(ge=0, le=1e12, allow_inf_nan=False)] = None,
    ) -> Response:
        found = await keeper.deletions(caller=context.caller(request), limit=limit, before_s=before)
        return _answer({"object": "list", "data": [deletion_json(each) for each in found]})

    @router.put("/v1/admin/outputs/{output_id}/hold", tags=["Operations"], **openapi.HOLD)
    async def hold(request: Request, output_id: str) -> Response:
        only_operator(request)
        return _kept(await keeper.hold(OutputId(output_id), is_on=True))

    @router.delete("/v1/admin/outputs/{output_id}/hold", tags=["Operations"], **openapi.RELEASE)
    async def release(request: Request, output_id: str) -> Response:
        only_operator(request)
        return _kept(await keeper.hold(OutputId(output_id), is_on=False))

    @router.delete("/v1/admin/outputs/{output_id}", tags=["Operations"], **openapi.TAKE_DOWN)
    async def take_down(request: Request, output_id: str) -> Response:
        only_operator(request)
        return _answer(deletion_json(await keeper.delete(OutputId(output_id), caller=None)))

    return router


def keeping_json(kept: Kept) -> dict[str, object]:
    """How a picture is kept."""
    keeping = kept.keeping
    return {
        "id": keeping.output_id,
        "object": "keeping",
        "job": keeping.job_id,
        "created_at": keeping.created_at_s,
        "bytes": keeping.size_bytes,
        "storage_tier": keeping.storage_tier.value,
        "moved_at": keeping.moved_at_s,
        "starred_at": keeping.starred_at_s,
        "held_at": keeping.held_at_s,
        "next": None if kept.next_step is None else _step_json(kept.next_step),
    }


def _step_json(step: Step) -> dict[str, object]:
    return {"action": "delete" if step.to is None else step.to.value, "at": step.at_s}


def deletion_json(deletion: Deletion) -> dict[str, object]:
    """The record of a deletion."""
    return {
        "id": deletion.output_id,
        "object": "output.deleted",
        "deleted": True,
        "deletion": deletion.deletion_id,
        "job": deletion.job_id,
        "reason": deletion.reason.value,
        "at": deletion.at_s,
        "sha256": deletion.sha256,
        "bytes": deletion.size_bytes,
        "files": len(deletion.files),
        "gone_at": deletion.done_at_s,
    }


def _kept(kept: Kept) -> Response:
    return _answer(keeping_json(kept))


def _answer(content: object) -> Response:
    return Response(to_json(content), media_type="application/json")
