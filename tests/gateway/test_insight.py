"""What the operator is told of latency, objectives, health and quality, and that nobody else is."""

import pytest

from heliograph.domain.pictures import Alignment
from heliograph.domain.views import FleetView, QueueView
from heliograph.gateway.openapi_insight import ANSWERED
from heliograph.monitoring import GpuReading
from tests.builders import MODEL, an_output
from tests.gateway.conftest import OPERATOR_KEY, Gateway
from tests.monitoring.lives import a_life

OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}
PATHS = [answered.path for answered in ANSWERED.values()]


def a_gateway_that_worked() -> Gateway:
    gateway = Gateway()
    output = an_output(alignment=Alignment(score=0.8))
    for event in a_life("job_1", at_s=gateway.now_s, run_s=3.0, outputs=(output,), tenant='ac"me\n<b>'):
        gateway.insight(event)
    gateway.insight.monitor.look(FleetView(gpus=(), replicas=()), QueueView(models={}))
    return gateway


@pytest.mark.parametrize("path", PATHS)
async def test_others_are_told_nothing(path: str) -> None:
    async with Gateway().client() as client:
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers={"Authorization": "Bearer hg_other"})).status_code == 403


@pytest.mark.parametrize("path", PATHS)
async def test_a_server_that_saw_nothing_yet_answers(path: str) -> None:
    async with Gateway().client() as client:
        assert (await client.get(path, headers=OPERATOR)).status_code == 200


@pytest.mark.parametrize(
    ("query", "param"), [("by=planet", "by"), ("window=2h", "window"), ("by=", "by"), ("window=%00", "window")]
)
async def test_a_wrong_question_names_its_field(query: str, param: str) -> None:
    async with Gateway().client() as client:
        answer = await client.get(f"/v1/admin/latency?{query}", headers=OPERATOR)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("limit", ["0", "201", "x", "-1", "²", "99999999999999999999"])
async def test_a_wrong_limit_is_refused(limit: str) -> None:
    async with Gateway().client() as client:
        answer = await client.get("/v1/admin/slowest", params={"limit": limit}, headers=OPERATOR)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")


async def test_latency_by_tenant_whatever_the_tenant_is_called() -> None:
    async with a_gateway_that_worked().client() as client:
        body = (await client.get("/v1/admin/latency?by=tenant&window=5m", headers=OPERATOR)).json()
    (group,) = body["groups"]
    assert group["name"] == 'ac"me\n<b>'
    assert group["stages"]["total"]["count"] == 1
    assert group["stages"]["total"]["p95"] == pytest.approx(4.5, rel=0.01)


async def test_the_slowest_with_their_timeline() -> None:
    async with a_gateway_that_worked().client() as client:
        (job,) = (await client.get("/v1/admin/slowest?limit=1", headers=OPERATOR)).json()["data"]
    assert (job["job_id"], job["total_s"], job["stages"]["inference"]) == ("job_1", 4.5, 3.0)
    assert [moment["state"] for moment in job["timeline"]][-1] == "completed"


async def test_objectives_and_quality() -> None:
    async with a_gateway_that_worked().client() as client:
        objectives = (await client.get("/v1/admin/objectives", headers=OPERATOR)).json()["data"]
        (quality,) = (await client.get("/v1/admin/quality", headers=OPERATOR)).json()["data"]
    assert [(each["name"], each["good"]) for each in objectives] == [("completed", 1), ("pro_within_60s", 0)]
    assert (quality["model"], quality["pictures"], quality["alignment"]["mean"]) == (MODEL, 1, 0.8)
    assert (quality["baseline"], quality["held"]) == (None, False)


async def test_health_has_the_driver_s_readings() -> None:
    gateway = a_gateway_that_worked()
    gateway.insight.monitor.gpus = (
        GpuReading(name="0", utilisation=None, memory_used_bytes=1, memory_total_bytes=2, temperature_c=None),
    )
    async with gateway.client() as client:
        body = (await client.get("/v1/admin/health", headers=OPERATOR)).json()
    assert body["gpus"] == [
        {"name": "0", "utilization": None, "memory_used_bytes": 1, "memory_total_bytes": 2, "temperature_c": None}
    ]
    assert {"what": "arrived", "of": MODEL, "count": 1} in body["counts"]
    assert body["at"] == gateway.now_s


async def test_every_answer_is_observed_by_its_route_and_problem() -> None:
    gateway = Gateway()
    async with gateway.client() as client:
        await client.get("/v1/jobs/job_404")
        await client.get("/nowhere/marker")
        await client.request("BREW", "/healthz")
    seen = [(each.route, each.method, each.status, each.code) for each in gateway.answered]
    assert seen == [
        ("/v1/jobs/{job_id}", "GET", 404, "job_not_found"),
        ("other", "GET", 404, "no_such_path"),
        ("/healthz", "OTHER", 405, "method_not_allowed"),
    ]
