"""What only the operator may: look into the fleet, pause, drain and resume, pin, cap and load models ahead.

The operator is whoever holds the operator's key, which lies in the data directory; a tenant's key does not open this.
"""

import hmac
from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from heliograph.domain.errors import AuthenticationError, InvalidRequest, PermissionDenied
from heliograph.domain.ids import ModelId
from heliograph.domain.orders import Halt, Orders, Scope
from heliograph.domain.views import FleetStatus, GpuStatus, ModelStanding, ReplicaStatus
from heliograph.domain.weights import Fetching
from heliograph.gateway import openapi
from heliograph.gateway.context import Context
from heliograph.gateway.json_body import read_json
from heliograph.gateway.submissions import refuse_unknown
from heliograph.gateway.wire import to_json
from heliograph.prompts.values import choice, whole_number
from heliograph.service import Service

PREWARM_MINUTES, PREWARM_MINUTES_MAX = 30, 7 * 24 * 60
REPLICAS_MAX = 10_000
RUNNING = ("pause", "finish")

Verb = Literal["pause", "drain"]


def admin_router(context: Context) -> APIRouter:
    """Routes below `/v1/admin`."""
    router = APIRouter(prefix="/v1/admin", tags=["Operations"], default_response_class=Response)
    service = context.service

    def only_operator(request: Request) -> None:
        check_operator_key(request.headers.get("authorization"), context.operator_key)

    @router.get("/fleet", **openapi.FLEET)
    async def fleet(request: Request) -> Response:
        only_operator(request)
        return _answer(service.fleet())

    @router.post("/pause", **openapi.PAUSE)
    async def pause(request: Request) -> Response:
        only_operator(request)
        halt = await _halt(request, service, "pause")
        return _answer(await service.order(lambda orders: orders.with_halt(halt)))

    @router.post("/drain", **openapi.DRAIN)
    async def drain(request: Request) -> Response:
        only_operator(request)
        halt = await _halt(request, service, "drain")
        return _answer(await service.order(lambda orders: orders.with_halt(halt)))

    @router.post("/resume", **openapi.RESUME)
    async def resume(request: Request) -> Response:
        only_operator(request)
        fields = (await read_json(request)).fields
        refuse_unknown(fields, ("model", "pool"))
        target = _target(fields, service)
        return _answer(await service.order(lambda orders: orders.without_halt(target)))

    @router.patch("/models/{model_id}", **openapi.CHANGE_MODEL)
    async def change_model(request: Request, model_id: str) -> Response:
        only_operator(request)
        fields = (await read_json(request)).fields
        refuse_unknown(fields, ("pinned", "replicas_max"))
        change = _change_of(service.card_of(model_id).model_id, fields)
        return _answer(await service.order(change))

    @router.post("/models/{model_id}/prewarm", **openapi.PREWARM)
    async def prewarm(request: Request, model_id: str) -> Response:
        only_operator(request)
        fields = (await read_json(request)).fields
        refuse_unknown(fields, ("minutes",))
        asked = fields.get("minutes", PREWARM_MINUTES)
        minutes = whole_number(asked, param="minutes", minimum=1, maximum=PREWARM_MINUTES_MAX)
        name, now_s = service.runnable(model_id).model_id, context.clock()
        until_s = now_s + minutes * 60.0
        return _answer(await service.order(lambda orders: orders.with_wanted(name, until_s, now_s=now_s)))

    return router


def check_operator_key(authorization: str | None, operator_key: str) -> None:
    """Raises `AuthenticationError` or `PermissionDenied` for whoever does not hold the operator's key."""
    scheme, _, secret = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise AuthenticationError(
            "Send the operator's key as `Authorization: Bearer …`; it is in the data directory.", code="missing_api_key"
        )
    if not hmac.compare_digest(secret.strip().encode(), operator_key.encode()):
        raise PermissionDenied("This is for the operator's key only.", code="operator_only")


async def _halt(request: Request, service: Service, verb: Verb) -> Halt:
    """The halt a body asks for; what runs is paused by a pause and may finish in a drain, unless it says otherwise."""
    fields = (await read_json(request)).fields
    refuse_unknown(fields, ("model", "pool", "running"))
    scope, name = _target(fields, service)
    default = "pause" if verb == "pause" else "finish"
    running = choice(fields.get("running", default), param="running", choices=RUNNING)
    return Halt(scope=scope, name=name, lets_finish=running == "finish", is_drain=verb == "drain")


def _target(fields: Mapping[str, object], service: Service) -> tuple[Scope, str]:
    """The model or the pool that is named, or the whole system."""
    model, pool = fields.get("model"), fields.get("pool")
    if model is not None and pool is not None:
        raise InvalidRequest("Name a model or a pool, not both.", param="pool", code="invalid_pool")
    if model is not None:
        if not isinstance(model, str):
            raise InvalidRequest("model must be a string.", param="model", code="invalid_model")
        return Scope.MODEL, service.card_of(model).model_id
    if pool is not None:
        pools = dict.fromkeys(gpu.gpu.gpu_class for gpu in service.fleet().gpus)
        return Scope.POOL, choice(pool, param="pool", choices=pools)
    return Scope.SYSTEM, ""


class _Change:
    """Pins and caps as a body has them; what is not named stays as it is."""

    def __init__(self, model_id: ModelId, *, pinned: bool | None, caps: bool, replicas_max: int | None) -> None:
        self._model_id = model_id
        self._pinned = pinned
        self._caps = caps
        self._replicas_max = replicas_max

    def __call__(self, orders: Orders) -> Orders:
        if self._pinned is not None:
            orders = orders.with_pin(self._model_id, self._pinned)
        return orders.with_cap(self._model_id, self._replicas_max) if self._caps else orders


def _change_of(model_id: ModelId, fields: Mapping[str, object]) -> _Change:
    pinned = fields.get("pinned")
    if pinned is not None and not isinstance(pinned, bool):
        raise InvalidRequest("pinned must be true or false.", param="pinned", code="invalid_pinned")
    asked = fields.get("replicas_max")
    replicas_max = None if asked is None else whole_number(asked, param="replicas_max", minimum=0, maximum=REPLICAS_MAX)
    return _Change(model_id, pinned=pinned, caps="replicas_max" in fields, replicas_max=replicas_max)


# --- on the wire -----------------------------------------------------------------------------------------------------


def _answer(status: FleetStatus) -> Response:
    return Response(to_json(fleet_json(status)), media_type="application/json")


def fleet_json(status: FleetStatus) -> dict[str, object]:
    """The fleet as `GET /v1/admin/fleet` shows it."""
    return {
        "object": "fleet",
        "gpus": [_gpu_json(gpu) for gpu in status.gpus],
        "replicas": [_replica_json(replica) for replica in status.replicas],
        "models": [_model_json(model) for model in status.models],
        "halts": [_halt_json(halt) for halt in status.halts],
    }


def _gpu_json(status: GpuStatus) -> dict[str, object]:
    gpu = status.gpu
    return {
        "id": gpu.gpu_id,
        "pool": gpu.gpu_class,
        "node": gpu.node_id,
        "zone": gpu.zone,
        "market": gpu.market.value,
        "memory_bytes": gpu.memory_bytes,
        "planned_bytes": status.planned_bytes,
        "resting": status.is_resting,
        "halt": None if status.halt is None else _halt_json(status.halt),
    }


def _replica_json(status: ReplicaStatus) -> dict[str, object]:
    view, standing = status.view, status.standing
    return {
        "id": view.worker_id,
        "model": view.model_id,
        "gpus": list(view.gpu_ids),
        "state": view.state.value,
        "since": view.since_s,
        "loaded_at": view.loaded_at_s,
        "last_used_at": status.last_used_s,
        "memory_bytes": status.memory_bytes,
        "fetching": None if view.fetching is None else _fetching_json(view.fetching),
        "gpu_share": round(standing.share, 4),
        "job_id": view.job_id,
        "saves_s_per_hour": None if standing.saved_per_s is None else round(standing.saved_per_s * 3600, 3),
        "why": standing.why,
    }


def _fetching_json(fetching: Fetching) -> dict[str, object]:
    left_s = None if fetching.left_s is None else round(fetching.left_s, 1)
    return {"done_bytes": fetching.done_bytes, "total_bytes": fetching.total_bytes, "left_s": left_s}


def _model_json(model: ModelStanding) -> dict[str, object]:
    queue = model.queue
    return {
        "model": model.model_id,
        "replicas": queue.replicas,
        "pending": queue.pending,
        "pending_s": round(queue.pending_s, 3),
        "running_s": round(queue.running_s, 3),
        "load_s": round(queue.load_s, 3),
        "asked_per_hour": None if model.asked_per_hour is None else round(model.asked_per_hour, 3),
        "pinned": model.is_pinned,
        "prewarmed_until": model.wanted_until_s,
        "replicas_max": model.replicas_max,
        "halt": None if model.halt is None else _halt_json(model.halt),
    }


def _halt_json(halt: Halt) -> dict[str, object]:
    return {
        "scope": halt.scope.value,
        "name": halt.name or None,
        "action": "drain" if halt.is_drain else "pause",
        "running": "finish" if halt.lets_finish else "pause",
    }
