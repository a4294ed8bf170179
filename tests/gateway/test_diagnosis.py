"""`GET /v1/admin/diagnosis`."""

from heliograph.domain.ids import GpuId
from heliograph.domain.views import FleetView, Gpu, QueueView
from heliograph.service import Readiness
from tests.gateway.conftest import OPERATOR_KEY, Gateway

OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}


async def test_the_operator_is_told_what_is_wrong() -> None:
    gateway = Gateway()
    gateway.service.readiness_now = Readiness(is_ready=False, problems={"store": "disk full"})
    fleet = FleetView(gpus=(Gpu(gpu_id=GpuId("g"), gpu_class="H100", memory_bytes=1),), replicas=())
    gateway.insight.monitor.look(fleet, QueueView(models={}))
    async with gateway.client() as client:
        answer = await client.get("/v1/admin/diagnosis", headers=OPERATOR)
    assert answer.status_code == 200
    body = answer.json()
    assert body["object"] == "diagnosis"
    assert body["summary"] == body["findings"][0]["summary"]
    assert body["findings"][0] | {"evidence": []} == {
        "cause": "part_failing",
        "severity": "page",
        "subject": "store",
        "since": gateway.now_s,
        "summary": "No job is taken because of the store: disk full.",
        "next_step": "Once that is mended the server goes on by itself, and /readyz turns 200.",
        "evidence": [],
    }


async def test_before_anything_was_observed_nothing_is_found() -> None:
    async with Gateway().client() as client:
        body = (await client.get("/v1/admin/diagnosis", headers=OPERATOR)).json()
    assert body["findings"] == []
    assert body["summary"] == "Nothing was observed yet."


async def test_others_are_told_nothing() -> None:
    async with Gateway().client() as client:
        assert (await client.get("/v1/admin/diagnosis")).status_code == 401
        stranger = await client.get("/v1/admin/diagnosis", headers={"Authorization": "Bearer hg_other"})
    assert stranger.status_code == 403
    assert stranger.json()["error"]["code"] == "operator_only"
