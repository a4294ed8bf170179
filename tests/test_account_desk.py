"""Credits, refunds and usage on a store, and the accounts of a server that really runs."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from heliograph import app
from heliograph.account_desk import AccountDesk, usage
from heliograph.billing.accounts import AccountBook, Plan
from heliograph.billing.ledger import charge
from heliograph.billing.prices import PriceBook
from heliograph.cli import cli
from heliograph.domain.commands import RecordJob
from heliograph.domain.errors import Conflict, NotFound
from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.job import JobState
from heliograph.domain.lifecycle import JobMoved, LifecycleEvent, SoftLimitPassed
from heliograph.domain.money import Micros
from heliograph.settings import BillingSettings, PlanSettings, Settings
from heliograph.storage.memory import MemoryStore
from heliograph.storage.store import PostLedger, PutJob
from tests.builders import a_job, an_attempt

ACME = TenantId("acme")
NOW_S = 1_790_000_000.0
BOOK = PriceBook(gpu_hour_micros={"cpu": Micros(3_600_000)})


def a_desk(
    store: MemoryStore, book: AccountBook | None = None, told: list[LifecycleEvent] | None = None
) -> AccountDesk:
    sinks = () if told is None else (told.append,)
    return AccountDesk(store=store, book=book or AccountBook(), clock=lambda: NOW_S, sinks=sinks)


async def a_charged_job(store: MemoryStore, name: str = "cat") -> RecordJob:
    """2,000 micro-dollars, in the store."""
    sequence = await store.last_sequence() + 1
    job = a_job(name, state=JobState.COMPLETED, attempt=1, created_at_s=NOW_S - 9, sequence=sequence)
    attempt = an_attempt(name, gpu_s=2.0)
    await store.commit([PutJob(job=job), PostLedger(lines=charge(attempt, job, BOOK))])
    return RecordJob(job=job, cause="completed", charged_attempt=attempt)


async def test_a_credit_is_posted_once_for_each_id() -> None:
    store = MemoryStore()
    desk = a_desk(store, AccountBook({"p": Plan(name="p")}))
    assert (await desk.credit(ACME, Micros(500), credit_id="invoice-1")).amount == 500
    assert (await desk.credit(ACME, Micros(500), credit_id="invoice-1")).amount == 0
    with pytest.raises(Conflict, match="another amount"):
        await desk.credit(ACME, Micros(600), credit_id="invoice-1")
    assert (await desk.standing(ACME)).balance == 500
    later = a_desk(store, AccountBook({"p": Plan(name="p")}))
    await later.open()
    assert (await later.standing(ACME)).balance == 500


async def test_a_refund_gives_back_what_was_charged_once() -> None:
    store = MemoryStore()
    await a_charged_job(store)
    desk = a_desk(store)
    assert (await desk.refund(JobId("cat"))).amount == 2_000
    assert (await desk.refund(JobId("cat"))).amount == 0
    standing = await desk.standing(ACME)
    assert (standing.charged, standing.balance, standing.pictures) == (0, 0, 1)
    with pytest.raises(NotFound):
        await desk.refund(JobId("dog"))


async def test_the_desk_follows_jobs_and_tells_of_soft_limits() -> None:
    store, told = MemoryStore(), list[LifecycleEvent]()
    book = AccountBook({"p": Plan(name="p", soft_micros=Micros(3_000))}, {ACME: "p"})
    desk = a_desk(store, book, told)
    for name in ("cat", "dog"):
        record = await a_charged_job(store, name)
        book.hold(JobId(name), ACME, price=Micros(7), pictures=1, now_s=NOW_S)
        desk.on_event(JobMoved(record=record, previous=JobState.POST_PROCESSING, cost_micros=2_000))
    standing = await desk.standing(ACME)
    assert (standing.charged, standing.pictures, standing.held) == (4_000, 2, 0)
    assert told == [SoftLimitPassed(tenant_id=ACME)]


async def test_usage_is_every_charge_and_refund_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.account_desk.PAGE", 2)
    store = MemoryStore()
    for number in range(5):
        await a_charged_job(store, f"job{number}")
    await a_desk(store).refund(JobId("job2"))
    lines = [line async for line in usage(store, since_s=0.0, until_s=NOW_S + 1)]
    assert [line.amount_micros for line in lines] == [2_000] * 5 + [-2_000]
    assert [line async for line in usage(store, since_s=NOW_S + 1, until_s=NOW_S + 2)] == []


async def test_a_server_refuses_what_the_plan_does_not_cover_and_says_the_price_before(tmp_path: Path) -> None:
    plan = PlanSettings(pictures_per_month=2)
    settings = Settings(data_dir=tmp_path, billing=BillingSettings(plans={"starter": plan}, default_plan="starter"))
    async with app.installation(settings) as running:
        transport = httpx.ASGITransport(app=running.app)
        operator = {"Authorization": f"Bearer {app.operator_key(tmp_path)}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client:
            price = (await client.post("/v1/prices", json={"prompt": "a tree", "n": 2})).json()
            assert (price["model"], price["images"], price["may_order"]) == ("helio-base", 2, True)
            assert 0 < price["low_micros"] <= price["expected_micros"] <= price["high_micros"]
            made = await client.post("/v1/jobs", json={"prompt": "a tree", "n": 2}, headers={"Prefer": "wait=30"})
            job = made.json()
            assert job["status"] == "completed", job
            account = (await client.get("/v1/account")).json()
            assert (account["pictures"], account["pictures_left"]) == (2, 0)
            assert account["charged_micros"] == job["cost_micros"] == -account["balance_micros"]
            refused = await client.post("/v1/images/generations", json={"prompt": "a tree", "model": "helio-base"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
            assert refused.headers["x-should-retry"] == "false"
            price = (await client.post("/v1/prices", json={"prompt": "a tree"})).json()
            assert not price["may_order"]
            assert "2 pictures a month" in price["why_not"]
            back = await client.post(f"/v1/admin/jobs/{job['id']}/refund", headers=operator)
            assert back.json()["micros"] == job["cost_micros"]
            credited = await client.post(
                "/v1/admin/accounts/local/credits", json={"id": "gift", "micros": 5}, headers=operator
            )
            assert credited.json()["account"]["balance_micros"] == 5
            listed = (await client.get("/v1/admin/accounts", headers=operator)).json()["data"]
            assert [each["tenant"] for each in listed] == ["local"]
            costs = (await client.get("/v1/admin/costs", params={"by": "tenant"}, headers=operator)).json()
            assert (costs["pictures"], costs["difference_micros"], costs["revenue_micros"]) == (2, 0, 0)
            assert (await client.get("/v1/admin/costs")).status_code == 401
            assert (await client.get("/v1/admin/costs?by=moon", headers=operator)).status_code == 400
            assert (await client.get("/v1/admin/accounts")).status_code == 401
            assert (await client.post("/v1/admin/accounts/local/credits", json={})).status_code == 401
    arguments = ["accounts", "usage", "--format", "openmeter", "--data-dir", str(tmp_path)]
    exported = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
    events = [json.loads(line) for line in exported.stdout.splitlines()]
    assert [event["data"]["component"] for event in events] == ["image_generation", "refund"]
    assert events[0]["id"] == f"{job['id']}:charge"


async def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, billing=BillingSettings(plan_of={"acme": "gold"}))
    with pytest.raises(app.InvalidRequest, match=r"billing\.plan_of\.acme"):
        app.account_book(settings)


def test_the_command_line_gives_credit_and_lists_accounts(tmp_path: Path) -> None:
    def told(*arguments: str) -> str:
        result = CliRunner().invoke(cli, ["accounts", *arguments, "--data-dir", str(tmp_path)])
        assert result.exit_code == 0, result.output
        return result.stdout

    app.made_data_dir(tmp_path)
    assert "$12.50 posted. acme has a balance of $12.50" in told("credit", "acme", "12.50", "--id", "one")
    assert "Nothing to post" in told("credit", "acme", "12.50", "--id", "one")
    assert "acme" in told()
    wrong = CliRunner().invoke(cli, ["accounts", "credit", "acme", "lots", "--data-dir", str(tmp_path)])
    assert (wrong.exit_code, "lots" in wrong.output) == (2, True)
