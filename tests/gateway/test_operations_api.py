from pathlib import Path

import httpx
import pytest

from heliograph.gateway.errors import STATUS_OF
from heliograph.service import Readiness
from tests.gateway.conftest import Gateway


async def test_models_are_listed(client: httpx.AsyncClient) -> None:
    body = (await client.get("/v1/models")).json()
    assert body["object"] == "list"
    assert body["data"][0].items() >= {"id": "painter", "est_seconds": 1.5, "styles": ["watercolor"]}.items()


async def test_alive_and_ready(gateway: Gateway, client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).json() == {"status": "ready", "problems": {}}
    gateway.service.readiness_now = Readiness(is_ready=False, problems={"store": "The disk is full."})
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not_ready", "problems": {"store": "The disk is full."}}


async def test_a_closing_server_is_alive_and_not_ready(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.closing.set()
    assert (await client.get("/healthz")).status_code == 200
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["problems"]) == (503, {"server": "shutting down"})


async def test_metrics_are_passed_on(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert (answer.text, answer.headers["content-type"]) == ("jobs_total 3\n", "text/plain; version=1.0.0")


@pytest.mark.parametrize(("peer", "status"), [("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 403)])
async def test_metrics_are_for_this_machine(gateway: Gateway, peer: str, status: int) -> None:
    transport = httpx.ASGITransport(gateway.app(), client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/metrics")).status_code == status
        assert (await client.get("/metrics", headers={"Host": "rebound.example"})).status_code == 403


async def test_the_description_knows_that_no_key_opens_the_metrics(client: httpx.AsyncClient) -> None:
    operation = (await client.get("/openapi.json")).json()["paths"]["/metrics"]["get"]
    assert operation["security"] == []
    assert set(operation["responses"]) == {"200", "403"}


async def test_head_answers_like_get_without_the_body(gateway: Gateway) -> None:
    async with gateway.server() as url, httpx.AsyncClient(base_url=url) as client:
        await client.post("/v1/jobs", json={"prompt": "a cat"})
        for path in ("/healthz", "/readyz", "/v1/models", "/v1/jobs/job_1"):
            head, get = await client.head(path), await client.get(path)
            assert (head.status_code, head.content) == (200, b""), path
            assert head.headers["content-length"] == str(len(get.content))
        assert (await client.head("/v1/jobs/job_9")).status_code == 404


async def test_the_description_has_an_example_of_every_answer(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/v1/account",
        "/v1/admin/accounts",
        "/v1/admin/accounts/{tenant}/credits",
        "/v1/admin/audit",
        "/v1/admin/costs",
        "/v1/admin/jobs/{job_id}/refund",
        "/v1/admin/diagnosis",
        "/v1/admin/moderation/backlog",
        "/v1/admin/moderation/cases",
        "/v1/admin/moderation/cases/{case_id}",
        "/v1/admin/moderation/cases/{case_id}/decision",
        "/v1/admin/moderation/cases/{case_id}/pictures/{index}",
        "/v1/appeals",
        "/v1/appeals/{case_id}",
        "/v1/jobs/{job_id}/appeal",
        "/v1/jobs/{job_id}/moderation",
        "/v1/prices",
        "/v1/admin/drain",
        "/v1/admin/fleet",
        "/v1/admin/health",
        "/v1/admin/latency",
        "/v1/admin/models/{model_id}",
        "/v1/admin/models/{model_id}/prewarm",
        "/v1/admin/objectives",
        "/v1/admin/outputs/{output_id}",
        "/v1/admin/outputs/{output_id}/hold",
        "/v1/admin/pause",
        "/v1/admin/quality",
        "/v1/admin/resume",
        "/v1/admin/slowest",
        "/v1/deletions",
        "/v1/jobs",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}/cancel",
        "/v1/jobs/{job_id}/events",
        "/v1/jobs/{job_id}/reproduce",
        "/v1/jobs/{job_id}/reproduction",
        "/v1/outputs/{output_id}",
        "/v1/outputs/{output_id}/keeping",
        "/v1/outputs/{output_id}/star",
        "/v1/images/generations",
        "/v1/images/edits",
        "/v1/import",
        "/v1/inputs",
        "/v1/models",
        "/v1/models/{owner}/{name}",
        "/v1/models/{owner}/{name}/predictions",
        "/v1/models/{owner}/{name}/versions/{version_id}",
        "/v1/predictions",
        "/v1/predictions/{prediction_id}",
        "/v1/predictions/{prediction_id}/cancel",
        "/v1/provenance/verify",
        "/v1/videos",
        "/v1/videos/{video_id}",
        "/v1/videos/{video_id}/content",
        "/v1/videos/{video_id}/remix",
        "/v1/webhooks/default/secret",
        "/v1/webhooks/deliveries",
        "/v1/webhooks/deliveries/{delivery_id}",
        "/v1/webhooks/deliveries/{delivery_id}/replay",
        "/v1/webhooks/endpoints",
        "/v1/webhooks/endpoints/{endpoint_id}",
        "/v1/webhooks/endpoints/{endpoint_id}/replay",
        "/v1/webhooks/endpoints/{endpoint_id}/rotate",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    shown: set[int] = set()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                shown.add(int(status))
                for content in answer.get("content", {}).values():
                    assert "example" in content, (path, status)
            if "requestBody" in operation:
                for content in operation["requestBody"]["content"].values():
                    assert "example" in content, path
    assert {status.value for status in STATUS_OF.values()} <= shown
    assert "HTTPValidationError" not in str(document)


async def test_the_reference_page_loads(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs")
    assert answer.status_code == 200
    assert "/openapi.json" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_without_a_built_page_the_root_says_how_to_build_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 200
    assert "make web" in answer.text
    assert "http://127.0.0.1/v1/jobs" in answer.text


async def test_a_built_page_is_served_with_strict_headers(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>Page</title>")
    (tmp_path / "mark.svg").write_text("<svg/>")
    (tmp_path / "assets" / "index-3f2a.js").write_text("1")
    async with Gateway(page_dir=tmp_path).client() as client:
        page = await client.get("/")
        assert page.text == "<title>Page</title>"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["cache-control"] == "no-cache"
        assert (await client.head("/")).status_code == 200
        assert (await client.get("/mark.svg")).headers["cache-control"] == "no-cache"
        asset = await client.get("/assets/index-3f2a.js")
        assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
        copy = await client.get("/assets/index-3f2a.js", headers={"If-None-Match": asset.headers["etag"]})
        assert copy.status_code == 304
        for path in ("/assets/none.js", "/assets/..%2findex.html", "/none.svg"):
            assert (await client.get(path)).status_code == 404, path


async def test_an_unbuilt_page_directory_is_no_page(tmp_path: Path) -> None:
    async with Gateway(page_dir=tmp_path / "page").client() as client:
        assert "make web" in (await client.get("/")).text


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/jobs/", "/v2/jobs", "/v1"])
async def test_an_unknown_path_is_a_problem_like_any_other(client: httpx.AsyncClient, path: str) -> None:
    for answer in (await client.get(path), await client.post(path, json={})):
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["error"]["code"] == "no_such_path"
        assert answer.json()["instance"] == path


async def test_another_method_is_told_which_there_are(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/v1/jobs")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"
    assert answer.json()["error"]["code"] == "method_not_allowed"
