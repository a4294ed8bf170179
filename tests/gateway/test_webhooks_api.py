"""Webhooks over HTTP: endpoints, secrets, deliveries; tenants stay apart."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from heliograph.domain.ids import JobId, MessageId, TenantId
from heliograph.domain.tiers import Tier
from heliograph.domain.webhooks import JOB_EVENTS, MessageState, WebhookEvent
from heliograph.gateway.keys import KeyRing, mint
from heliograph.storage.store import MoveWebhookMessage, PutWebhookMessage
from heliograph.webhooks import Signer
from tests.gateway.conftest import Gateway
from tests.storage.stored_samples import a_message, a_try

SECRET, KEY = mint(entropy=bytes(32), tenant_id=TenantId("acme"), tier=Tier.PRO, name="a", now_s=0.0)
OTHER_SECRET, OTHER_KEY = mint(entropy=b"x" * 32, tenant_id=TenantId("other"), tier=Tier.FREE, name="b", now_s=0.0)
OTHER = {"Authorization": f"Bearer {OTHER_SECRET}"}
URL = "https://example.com/hook"


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(keys=KeyRing([KEY, OTHER_KEY]))


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        client.headers["Authorization"] = f"Bearer {SECRET}"
        yield client


async def test_an_endpoint_is_added_shown_changed_and_deleted(gateway: Gateway, client: httpx.AsyncClient) -> None:
    added = await client.post("/v1/webhooks/endpoints", json={"url": URL, "events": ["job.failed", "job.completed"]})
    assert added.status_code == 201
    shown = added.json()
    secret = shown.pop("secret")
    assert secret == Signer(bytes(32)).secret(shown["id"], 1)
    assert shown["events"] == ["job.completed", "job.failed"]
    path = f"/v1/webhooks/endpoints/{shown['id']}"
    assert (await client.get(path)).json() == shown, "the secret is shown once"
    assert (await client.get("/v1/webhooks/endpoints")).json() == {"object": "list", "data": [shown]}

    changed = await client.patch(path, json={"url": f"{URL}/new", "description": "orders", "disabled": True})
    assert changed.json() | {"disabled_at": 0} == shown | {
        "url": f"{URL}/new",
        "description": "orders",
        "disabled_at": 0,
        "disabled_reason": "on request",
    }
    enabled = await client.patch(path, json={"disabled": False, "events": ["job.expired"]})
    assert (enabled.json()["disabled_at"], enabled.json()["events"]) == (None, ["job.expired"])
    assert gateway.book.of(TenantId("acme")) == await gateway.store.webhook_endpoints()

    assert (await client.delete(path)).json()["deleted"] is True
    assert (await client.get(path)).status_code == 404
    assert await gateway.store.webhook_endpoints() == ()


async def test_rotating_gives_a_new_secret_and_lets_the_old_one_sign_for_a_day(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    first = (await client.post("/v1/webhooks/endpoints", json={"url": URL})).json()
    second = (await client.post(f"/v1/webhooks/endpoints/{first['id']}/rotate")).json()
    assert second["secret"] == Signer(bytes(32)).secret(first["id"], 2) != first["secret"]
    (endpoint,) = gateway.book.of(TenantId("acme"))
    assert (endpoint.secret_generation, endpoint.old_secret_until_s) == (2, gateway.now_s + 86_400.0)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "url_not_allowed", "url"),
        ({"url": "http://example.com"}, "url_not_allowed", "url"),
        ({"url": "https://169.254.169.254/"}, "url_not_allowed", "url"),
        ({"url": URL, "events": []}, "invalid_events", "events"),
        ({"url": URL, "events": "job.completed"}, "invalid_events", "events"),
        ({"url": URL, "events": ["job.completed", 7]}, "invalid_events", "events"),
        ({"url": URL, "events": ["completed"]}, "invalid_events", "events"),
        ({"url": URL, "description": "x" * 201}, "invalid_description", "description"),
        ({"url": URL, "secret": "mine"}, "unsupported_parameter", "secret"),
    ],
)
async def test_what_is_wrong_with_an_endpoint_is_said(
    client: httpx.AsyncClient, body: dict[str, object], code: str, param: str
) -> None:
    answer = await client.post("/v1/webhooks/endpoints", json=body)
    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (code, param)


async def test_a_change_is_checked_as_well(client: httpx.AsyncClient) -> None:
    endpoint = (await client.post("/v1/webhooks/endpoints", json={"url": URL})).json()
    path = f"/v1/webhooks/endpoints/{endpoint['id']}"
    for change, code in (
        ({"url": "https://[::1]"}, "url_not_allowed"),
        ({"disabled": "yes"}, "invalid_disabled"),
        ({"events": ["start"]}, "invalid_events"),
    ):
        assert (await client.patch(path, json=change)).json()["error"]["code"] == code
    assert endpoint.pop("secret")
    assert (await client.get(path)).json() == endpoint


async def test_there_are_only_so_many_endpoints(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await client.post("/v1/webhooks/endpoints", json={"url": URL})).status_code == 201
    refused = await client.post("/v1/webhooks/endpoints", json={"url": URL})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "too_many_endpoints")


async def test_another_tenant_sees_nothing_of_it(gateway: Gateway, client: httpx.AsyncClient) -> None:
    endpoint = (await client.post("/v1/webhooks/endpoints", json={"url": URL})).json()
    message = a_message("dlv_1", tenant="acme", target=endpoint["id"])
    await gateway.store.commit([PutWebhookMessage(message=message)])
    path = f"/v1/webhooks/endpoints/{endpoint['id']}"
    calls = [
        ("GET", path),
        ("DELETE", path),
        ("POST", f"{path}/rotate"),
        ("GET", "/v1/webhooks/deliveries/dlv_1"),
        ("POST", "/v1/webhooks/deliveries/dlv_1/replay"),
    ]
    for method, where in calls:
        assert (await client.request(method, where, headers=OTHER)).status_code == 404, where
        assert (await client.request(method, where, headers={"Authorization": ""})).status_code == 401, where
    for where, body in ((path, {}), (f"{path}/replay", {})):
        method = "PATCH" if where == path else "POST"
        assert (await client.request(method, where, json=body, headers=OTHER)).status_code == 404, where
    assert (await client.get("/v1/webhooks/endpoints", headers=OTHER)).json()["data"] == []
    assert (await client.get("/v1/webhooks/deliveries", headers=OTHER)).json()["data"] == []
    assert (await client.get(f"/v1/webhooks/deliveries?endpoint={endpoint['id']}", headers=OTHER)).json()["data"] == []
    own = (await client.get("/v1/webhooks/default/secret")).json()["key"]
    others = (await client.get("/v1/webhooks/default/secret", headers=OTHER)).json()["key"]
    assert own != others
    assert own.startswith("whsec_")


async def test_deliveries_are_listed_looked_at_and_sent_again(gateway: Gateway, client: httpx.AsyncClient) -> None:
    messages = [a_message(f"dlv_{number}", tenant="acme", target=f"we_{number % 2}") for number in range(1, 4)]
    given_up = replace(messages[0], state=MessageState.GIVEN_UP, tries=9, failures=9, ended_at_s=50.0, last_error="500")
    await gateway.store.commit([PutWebhookMessage(message=message) for message in messages])
    await gateway.store.commit([MoveWebhookMessage(message=given_up, tried=a_try("dlv_1", 9))])

    page = (await client.get("/v1/webhooks/deliveries?limit=2")).json()
    assert [delivery["id"] for delivery in page["data"]] == ["dlv_3", "dlv_2"]
    assert (page["has_more"], page["next_before"]) == (True, "dlv_2")
    rest = (await client.get("/v1/webhooks/deliveries?limit=2&before=dlv_2")).json()
    assert [delivery["id"] for delivery in rest["data"]] == ["dlv_1"]
    assert (await client.get("/v1/webhooks/deliveries?before=dlv_9")).status_code == 404
    for strange in ("before=%00", "endpoint=a%20b"):
        assert (await client.get(f"/v1/webhooks/deliveries?{strange}")).status_code == 400
    assert (await client.get("/v1/webhooks/deliveries/dlv_%00")).json()["error"]["code"] == "no_such_path"
    of_one = (await client.get("/v1/webhooks/deliveries?endpoint=we_0")).json()
    assert [delivery["id"] for delivery in of_one["data"]] == ["dlv_2"]

    shown = (await client.get("/v1/webhooks/deliveries/dlv_1")).json()
    assert (shown["state"], shown["tries"], shown["next_try_at"], shown["last_error"]) == ("given_up", 9, None, "500")
    assert [(one["number"], one["status"]) for one in shown["log"]] == [(9, 500)]
    again = (await client.post("/v1/webhooks/deliveries/dlv_1/replay")).json()
    assert (again["state"], again["next_try_at"], again["event_id"]) == (
        "waiting",
        gateway.now_s,
        given_up.event_id,
    )
    assert await gateway.store.webhook_message(MessageId("dlv_1")) == replace(
        given_up, state=MessageState.WAITING, failures=0, next_at_s=gateway.now_s, ended_at_s=None
    )


async def test_everything_an_endpoint_missed_is_sent_again(gateway: Gateway, client: httpx.AsyncClient) -> None:
    endpoint = (await client.post("/v1/webhooks/endpoints", json={"url": URL})).json()
    missed = replace(
        a_message("dlv_1", tenant="acme", target=endpoint["id"], at_s=100.0), state=MessageState.GIVEN_UP, failures=9
    )
    older = replace(missed, message_id=MessageId("dlv_2"), at_s=99.0)
    await gateway.store.commit([PutWebhookMessage(message=message) for message in (missed, older)])
    path = f"/v1/webhooks/endpoints/{endpoint['id']}/replay"
    assert (await client.post(path, json={"since": "now"})).json()["error"]["code"] == "invalid_since"
    assert (await client.post(path, json={"since": 99.5})).status_code == 200
    states = [(await gateway.store.webhook_message(one.message_id)).state for one in (missed, older)]  # pyright: ignore
    assert states == [MessageState.WAITING, MessageState.GIVEN_UP]


async def test_a_job_brings_a_webhook_of_its_own(gateway: Gateway, client: httpx.AsyncClient) -> None:
    webhook = {"url": f"{URL}?order=17", "events": ["job.completed"]}
    assert (await client.post("/v1/jobs", json={"prompt": "a cat", "webhook": webhook})).status_code == 201
    (kept,) = (status.view.job.webhook for status in gateway.service.statuses.values())
    assert kept is not None
    assert (kept.url, kept.events) == (f"{URL}?order=17", (WebhookEvent.JOB_COMPLETED,))
    await client.post("/v1/jobs", json={"prompt": "a cat", "webhook": {"url": URL}})
    kept = gateway.service.statuses[JobId("job_2")].view.job.webhook
    assert kept is not None
    assert kept.events == JOB_EVENTS


@pytest.mark.parametrize(
    ("webhook", "code", "param"),
    [
        (URL, "invalid_webhook", "webhook"),
        ({"url": "https://127.0.0.1"}, "url_not_allowed", "webhook.url"),
        ({"url": URL, "events": ["start"]}, "invalid_events", "webhook.events"),
        ({"link": URL}, "unsupported_parameter", "link"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused_with_its_job(
    gateway: Gateway, client: httpx.AsyncClient, webhook: object, code: str, param: str
) -> None:
    answer = await client.post("/v1/jobs", json={"prompt": "a cat", "webhook": webhook})
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["param"]) == (400, code, param)
    assert gateway.service.statuses == {}
    assert gateway.service.refusals == [(code, param, "acme")]
