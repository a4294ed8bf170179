"""What the operator's key opens, and what a tenant's does not."""

from collections.abc import AsyncIterator

import httpx
import pytest

from heliograph.domain.errors import Unavailable
from heliograph.domain.orders import Halt, Scope
from tests.gateway.conftest import OPERATOR_KEY, Gateway
from tests.gateway.fake_service import NOW_S

ROUTES = [
    ("GET", "/v1/admin/fleet"),
    ("POST", "/v1/admin/pause"),
    ("POST", "/v1/admin/drain"),
    ("POST", "/v1/admin/resume"),
    ("PATCH", "/v1/admin/models/painter"),
    ("POST", "/v1/admin/models/painter/prewarm"),
    ("PUT", "/v1/admin/outputs/out_1/hold"),
    ("DELETE", "/v1/admin/outputs/out_1/hold"),
    ("DELETE", "/v1/admin/outputs/out_1"),
]


@pytest.fixture
async def operator(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        client.headers["Authorization"] = f"Bearer {OPERATOR_KEY}"
        yield client


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_only_the_operators_key_opens_it(method: str, path: str, client: httpx.AsyncClient) -> None:
    """Even on a server without keys, where everybody may make pictures."""
    nobody = await client.request(method, path, json={})
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "missing_api_key")
    for wrong in ("hg_a_tenants", OPERATOR_KEY + "x", OPERATOR_KEY[:-1], "ünïcode"):
        header = {"Authorization": f"Bearer {wrong}".encode()}
        tenant = await client.request(method, path, json={}, headers=header)
        assert (tenant.status_code, tenant.json()["error"]["code"]) == (403, "operator_only")


async def test_the_fleet_says_what_is_there_and_why(operator: httpx.AsyncClient) -> None:
    shown = (await operator.get("/v1/admin/fleet")).json()
    assert [gpu["pool"] for gpu in shown["gpus"]] == ["H100", "cpu"]
    (replica,) = shown["replicas"]
    assert replica == {
        "id": "w0",
        "model": "painter",
        "gpus": ["gpu0"],
        "state": "ready",
        "since": NOW_S - 40,
        "loaded_at": NOW_S - 90,
        "last_used_at": NOW_S - 40,
        "memory_bytes": 900,
        "fetching": None,
        "gpu_share": 1.0,
        "job_id": None,
        "saves_s_per_hour": None,
        "why": "stays for another 860 s",
    }


@pytest.mark.parametrize(
    ("verb", "body", "halt"),
    [
        ("pause", {}, Halt(scope=Scope.SYSTEM)),
        ("pause", {"model": "painter"}, Halt(scope=Scope.MODEL, name="painter")),
        ("pause", {"pool": "H100", "running": "finish"}, Halt(scope=Scope.POOL, name="H100", lets_finish=True)),
        ("drain", {}, Halt(scope=Scope.SYSTEM, lets_finish=True, is_drain=True)),
        ("drain", {"pool": "cpu", "running": "pause"}, Halt(scope=Scope.POOL, name="cpu", is_drain=True)),
    ],
)
async def test_halting_and_resuming(
    verb: str, body: dict[str, str], halt: Halt, gateway: Gateway, operator: httpx.AsyncClient
) -> None:
    answer = await operator.post(f"/v1/admin/{verb}", json=body)
    assert answer.status_code == 200
    assert gateway.service.orders.halts == (halt,)
    (shown,) = answer.json()["halts"]
    assert (shown["scope"], shown["name"], shown["action"]) == (halt.scope, halt.name or None, verb)
    await operator.post("/v1/admin/pause", json={"model": "painter", "running": "finish"})
    target = {name: value for name, value in body.items() if name != "running"}
    resumed = await operator.post("/v1/admin/resume", json=target)
    assert halt.target not in [(each["scope"], each["name"] or "") for each in resumed.json()["halts"]]
    assert len(gateway.service.orders.halts) == (0 if target == {"model": "painter"} else 1)


async def test_pins_caps_and_loading_ahead(gateway: Gateway, operator: httpx.AsyncClient) -> None:
    await operator.patch("/v1/admin/models/painter", json={"pinned": True, "replicas_max": 2})
    assert (gateway.service.orders.pins, gateway.service.orders.caps) == (("painter",), {"painter": 2})
    capped = await operator.patch("/v1/admin/models/painter", json={"pinned": False})
    assert (gateway.service.orders.pins, gateway.service.orders.caps) == ((), {"painter": 2})
    (model,) = capped.json()["models"]
    assert (model["model"], model["pinned"], model["replicas_max"]) == ("painter", False, 2)
    await operator.patch("/v1/admin/models/painter", json={"replicas_max": None})
    assert gateway.service.orders.caps == {}
    warmed = await operator.post("/v1/admin/models/painter/prewarm", json={"minutes": 5})
    assert gateway.service.orders.wanted == {"painter": NOW_S + 300}
    assert warmed.json()["models"][0]["prewarmed_until"] == NOW_S + 300
    gateway.now_s += 299
    await operator.post("/v1/admin/models/painter/prewarm", json={})
    assert gateway.service.orders.wanted == {"painter": NOW_S + 299 + 1_800}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "pause", {"model": "nobody"}, 404, "model_not_found"),
        ("POST", "pause", {"model": 7}, 400, "invalid_model"),
        ("POST", "pause", {"pool": "H900"}, 400, "invalid_pool"),
        ("POST", "drain", {"pool": "cpu", "model": "painter"}, 400, "invalid_pool"),
        ("POST", "drain", {"running": "crash"}, 400, "invalid_running"),
        ("POST", "resume", {"running": "finish"}, 400, "unsupported_parameter"),
        ("PATCH", "models/nobody", {"pinned": True}, 404, "model_not_found"),
        ("PATCH", "models/painter", {"pinned": 1}, 400, "invalid_pinned"),
        ("PATCH", "models/painter", {"replicas_max": -1}, 400, "invalid_replicas_max"),
        ("POST", "models/painter/prewarm", {"minutes": 0}, 400, "invalid_minutes"),
    ],
)
async def test_a_bad_order_is_refused_by_name(
    method: str, path: str, body: dict[str, object], status: int, code: str, operator: httpx.AsyncClient
) -> None:
    answer = await operator.request(method, f"/v1/admin/{path}", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_an_order_that_cannot_be_kept_says_so(gateway: Gateway, operator: httpx.AsyncClient) -> None:
    gateway.service.error = Unavailable("The order cannot be kept.", code="orders_not_kept", retry_after_s=5.0)
    answer = await operator.post("/v1/admin/pause", json={})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
