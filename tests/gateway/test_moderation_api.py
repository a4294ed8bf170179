"""What reviewers' keys open, what decisions do to pictures and money, and how users appeal."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from heliograph.domain.accounts import Role
from heliograph.domain.billing_records import Account
from heliograph.domain.commands import RecordJob
from heliograph.domain.errors import AuthenticationError, PermissionDenied
from heliograph.domain.ids import CaseId, JobId, OutputId, TenantId
from heliograph.domain.job import JobState
from heliograph.domain.lifecycle import CaseMoved, CaseOpened, JobMoved
from heliograph.domain.moderation import Case, CaseDeed, CaseSubject, Finding, case_of_picture, new_case, opening
from heliograph.domain.pictures import Availability, Output
from heliograph.domain.prompt_verdict import ALLOWED, Category, PolicyDecision, PolicyVerdict, Span
from heliograph.domain.tiers import Tier
from heliograph.gateway.keys import KeyRing, mint
from heliograph.gateway.review_desk import APPEALS_MAX, ReviewDesk
from heliograph.storage.case_writes import OpenCase
from heliograph.storage.memory import MemoryStore
from heliograph.storage.store import PutJob, PutOutput, Write
from tests.builders import a_job, an_output
from tests.domain.test_moderation import unsafe_output
from tests.gateway.conftest import OPERATOR_KEY, Gateway
from tests.storage.stored_samples import a_posting

SECRET, KEY = mint(entropy=bytes(32), tenant_id=TenantId("acme"), tier=Tier.PRO, name="a", now_s=0.0)
REVIEWING, REVIEWER = mint(
    entropy=b"r" * 32, tenant_id=TenantId("reviewers"), tier=Tier.PRO, name="r", now_s=0.0, role=Role.REVIEWER
)
OTHER, OTHER_KEY = mint(entropy=b"o" * 32, tenant_id=TenantId("bob"), tier=Tier.PRO, name="o", now_s=0.0)
BLOCKS = PolicyVerdict(
    decision=PolicyDecision.BLOCK,
    category=Category.SEXUAL,
    score=0.9,
    scores={Category.SEXUAL: 0.9, Category.VIOLENCE: 0.4, Category.HATE: 0.01},
    span=Span(start=2, end=7, text="naked"),
    evidence=("nudity",),
)


class Filter:
    """Blocks whatever says naked, and for worse says what must not be kept."""

    appeal = "appeal"

    def judge(self, prompt: str, negative_prompt: str, *, tenant_id: str | None = None) -> PolicyVerdict:
        if "TOKEN" in prompt:
            return PolicyVerdict(decision=PolicyDecision.BLOCK, category=Category.SEXUAL_MINORS, score=1.0)
        return BLOCKS if "naked" in prompt else ALLOWED


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(keys=KeyRing([KEY, REVIEWER, OTHER_KEY]), policy=Filter())


@pytest.fixture
async def reviewer(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        client.headers.update(bearer(REVIEWING))
        yield client


async def put_job(
    store: MemoryStore, *, holds: bool = True, count: int = 1, state: JobState = JobState.COMPLETED
) -> list[Output]:
    """A job of acme's that cost 700 micro-dollars, with so many pictures to look at."""
    job = a_job("job_1", tenant="acme", state=state, on_review=holds)
    availability = Availability.HELD if holds else Availability.DELIVERED
    outputs = [unsafe_output(f"out_{index}", index=index, availability=availability) for index in range(count)]
    writes: list[Write] = [
        PutJob(job=job),
        a_posting(job, "charge", 700),
        *(PutOutput(output=each) for each in outputs),
    ]
    for output in outputs:
        case = case_of_picture(job, output)
        assert case is not None
        writes.append(OpenCase(case=case, action=opening(case)))
    await store.commit(writes)
    return outputs


async def put_prompt_case(store: MemoryStore, *, state: JobState, outputs: tuple[Output, ...] = ()) -> Case:
    job = a_job("job_1", tenant="acme", state=state, on_review=True)
    case = new_case(
        case_id=CaseId("case_p"),
        subject=CaseSubject.PROMPT,
        tenant_id=TenantId("acme"),
        job_id=JobId("job_1"),
        findings=(Finding(category="violence", score=0.6, evidence=("sword",)),),
        prompt="a knight with a sword",
        negative_prompt="",
        now_s=5.0,
        is_holding=True,
    )
    puts = [PutOutput(output=output) for output in outputs]
    await store.commit([PutJob(job=job), *puts, OpenCase(case=case, action=opening(case))])
    return case


async def availability_of(store: MemoryStore, output_id: str) -> str:
    output = await store.output(OutputId(output_id))
    assert output is not None
    return output.availability.value


async def decide(client: httpx.AsyncClient, case_id: str, decision: str, reason: str = "seen") -> httpx.Response:
    return await client.post(
        f"/v1/admin/moderation/cases/{case_id}/decision", json={"decision": decision, "reason": reason}
    )


# --- who may ---------------------------------------------------------------------------------------------------------

ADMIN_ROUTES = [
    ("GET", "/v1/admin/moderation/cases"),
    ("GET", "/v1/admin/moderation/cases/case_0"),
    ("POST", "/v1/admin/moderation/cases/case_0/decision"),
    ("GET", "/v1/admin/moderation/cases/case_0/pictures/0"),
    ("GET", "/v1/admin/moderation/backlog"),
]


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
async def test_only_reviewers_and_the_operator_see_cases(method: str, path: str, gateway: Gateway) -> None:
    async with gateway.client() as client:
        nobody = await client.request(method, path)
        assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "missing_api_key")
        for secret in (SECRET, "hg_unknown", REVIEWING[:-1]):
            tenant = await client.request(method, path, headers=bearer(secret))
            assert (tenant.status_code, tenant.json()["error"]["code"]) == (403, "reviewer_only")
        for secret in (REVIEWING, OPERATOR_KEY):
            assert (await client.request(method, path, headers=bearer(secret))).status_code in (200, 404, 415)


async def test_a_reviewers_key_opens_nothing_else(reviewer: httpx.AsyncClient) -> None:
    for method, path in (("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/v1/models"), ("GET", "/v1/admin/fleet")):
        answer = await reviewer.request(method, path, json={"prompt": "a cat"} if method == "POST" else None)
        assert answer.status_code == 403


def test_a_revoked_reviewer_is_nobody() -> None:
    ring = KeyRing([KEY, replace(REVIEWER, revoked_at_s=9.0)])
    assert ring.reviewer(f"Bearer {REVIEWING}") is None
    with pytest.raises(AuthenticationError):
        ring.caller(f"Bearer {REVIEWING}")
    with pytest.raises(PermissionDenied):
        KeyRing([REVIEWER]).caller(f"Bearer {REVIEWING}")
    assert not KeyRing([REVIEWER]).is_open


# --- looking ---------------------------------------------------------------------------------------------------------


async def test_the_queue_is_paged_and_a_case_shows_its_context(gateway: Gateway, reviewer: httpx.AsyncClient) -> None:
    (first, _) = await put_job(gateway.store, count=2)
    page = (await reviewer.get("/v1/admin/moderation/cases", params={"limit": 1})).json()
    assert ([case["id"] for case in page["data"]], page["has_more"]) == (["case_0"], True)
    rest = (await reviewer.get("/v1/admin/moderation/cases", params={"after": "case_0"})).json()
    assert ([case["id"] for case in rest["data"]], rest["has_more"]) == (["case_1"], False)

    shown = (await reviewer.get("/v1/admin/moderation/cases/case_0")).json()
    assert (shown["category"], shown["score"], shown["holding"], shown["tenant"]) == ("sexual", 0.63, True, "acme")
    assert shown["prompt"] == "a cat"
    assert [(each["index"], each["availability"]) for each in shown["pictures"]] == [(0, "held")]
    assert shown["pictures"][0]["safety"] == {"score": 0.63, "decision": "flag", "judge": "opennsfw"}
    assert [(line["actor"], line["deed"]) for line in shown["log"]] == [("filter", "opened")]
    gateway.service.blobs |= {first.blob: b"the picture", first.thumbnail_blob: b"small"}
    picture = await reviewer.get(shown["pictures"][0]["url"])
    assert (picture.content, picture.headers["content-type"]) == (b"the picture", "image/png")
    assert picture.headers["cache-control"] == "private, no-store"
    assert (await reviewer.get(shown["pictures"][0]["thumbnail_url"])).content == b"small"
    assert (await reviewer.get("/v1/admin/moderation/cases/case_0/pictures/1")).status_code == 404


@pytest.mark.parametrize("query", [{"state": "closed"}, {"limit": 0}, {"limit": 101}, {"after": "x" * 101}])
async def test_a_wrong_query_names_the_parameter(query: dict[str, str], reviewer: httpx.AsyncClient) -> None:
    answer = await reviewer.get("/v1/admin/moderation/cases", params=query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, next(iter(query)))


# --- deciding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "state", "availability"),
    [("uphold", "upheld", "withheld"), ("overturn", "overturned", "delivered"), ("release", "upheld", "delivered")],
)
async def test_a_decision_takes_effect_at_once_and_is_logged(
    gateway: Gateway, reviewer: httpx.AsyncClient, decision: str, state: str, availability: str
) -> None:
    await put_job(gateway.store)
    gateway.now_s += 60
    answer = (await decide(reviewer, "case_0", decision, "a statue")).json()
    assert (answer["state"], answer["pictures"][0]["availability"]) == (state, availability)
    assert await availability_of(gateway.store, "out_0") == availability
    assert [line["actor"] for line in answer["log"]] == ["filter", REVIEWER.key_id]
    assert answer["log"][1]["reason"] == "a statue"
    (told,) = [event for event in gateway.published if isinstance(event, CaseMoved)]
    assert (told.action.actor, told.waited_s) == (REVIEWER.key_id, gateway.now_s - 5.0)


async def test_whoever_paid_for_what_nobody_may_have_gets_the_money_back_once(
    gateway: Gateway, reviewer: httpx.AsyncClient
) -> None:
    await put_job(gateway.store, count=2)
    await decide(reviewer, "case_0", "uphold")
    assert len(await gateway.store.ledger(JobId("job_1"))) == 2  # the other picture may still be delivered
    await decide(reviewer, "case_1", "uphold")
    refunded = [line for line in await gateway.store.ledger(JobId("job_1")) if line.component == "refund"]
    assert [(line.account, line.amount_micros) for line in refunded] == [(Account.REVENUE, -700), (Account.TENANT, 700)]
    await decide(reviewer, "case_1", "overturn")
    await decide(reviewer, "case_1", "uphold")
    assert len(await gateway.store.ledger(JobId("job_1"))) == 4
    assert gateway.credits == [("acme", 700)]


async def test_what_was_delivered_and_is_taken_down_stays_paid(gateway: Gateway, reviewer: httpx.AsyncClient) -> None:
    await put_job(gateway.store, holds=False)
    await decide(reviewer, "case_0", "uphold")
    assert await availability_of(gateway.store, "out_0") == "withheld"
    assert len(await gateway.store.ledger(JobId("job_1"))) == 2


async def test_a_prompt_that_is_against_the_policy_calls_its_job_off(
    gateway: Gateway, reviewer: httpx.AsyncClient
) -> None:
    await put_prompt_case(gateway.store, state=JobState.RUNNING)
    await decide(reviewer, "case_p", "overturn")
    assert gateway.cancelled == []
    await decide(reviewer, "case_p", "uphold")
    assert gateway.cancelled == ["job_1"]


async def test_what_was_decided_while_the_job_ran_takes_effect_when_its_pictures_are_there(gateway: Gateway) -> None:
    """The desk hears of the completed job, whichever came first."""
    desk: ReviewDesk = gateway.review_desk()
    await put_prompt_case(gateway.store, state=JobState.RUNNING)
    await desk.decide(CaseId("case_p"), CaseDeed.OVERTURNED, actor="operator", reason="a knight")
    held = an_output("out_7", job="job_1", tenant="acme", availability=Availability.HELD)
    job = a_job("job_1", tenant="acme", state=JobState.COMPLETED, on_review=True)
    await gateway.store.commit([PutJob(job=job), PutOutput(output=held)])
    desk(JobMoved(record=RecordJob(job=job, cause="completed", outputs=(held,)), previous=None, cost_micros=0))
    await gateway.service.settle()
    assert await availability_of(gateway.store, "out_7") == "delivered"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "decision"),
        ({"decision": "delete"}, "decision"),
        ({"decision": ["uphold"]}, "decision"),
        ({"decision": "overturn"}, "reason"),
        ({"decision": "release", "reason": "  "}, "reason"),
        ({"decision": "uphold", "reason": 7}, "reason"),
        ({"decision": "uphold", "reason": "x" * 1001}, "reason"),
        ({"decision": "uphold", "why": "x"}, "why"),
    ],
)
async def test_a_wrong_decision_names_the_field(
    gateway: Gateway, reviewer: httpx.AsyncClient, body: dict[str, object], param: str
) -> None:
    await put_job(gateway.store)
    answer = await reviewer.post("/v1/admin/moderation/cases/case_0/decision", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert len(await gateway.store.case_actions(CaseId("case_0"))) == 1


async def test_the_backlog_says_how_much_waits_since_when_and_who_decides(
    gateway: Gateway, reviewer: httpx.AsyncClient
) -> None:
    await put_job(gateway.store, count=3)
    await decide(reviewer, "case_0", "overturn")
    await decide(reviewer, "case_1", "uphold")
    gateway.now_s = 65.0
    backlog = (await reviewer.get("/v1/admin/moderation/backlog")).json()
    assert backlog["waiting"] == {"open": {"cases": 1, "age_s": 60.0}, "appealed": {"cases": 0, "age_s": 0.0}}
    assert backlog["reviewers"] == [{"reviewer": REVIEWER.key_id, "decided": {"overturned": 1, "upheld": 1}}]


# --- the user's side -------------------------------------------------------------------------------------------------


async def test_a_user_appeals_and_reads_the_answer(gateway: Gateway) -> None:
    async with gateway.client() as client:
        job_id = (await client.post("/v1/jobs", json={"prompt": "a cat"}, headers=bearer(SECRET))).json()["id"]
        assert job_id == "job_1"
        await put_job(gateway.store)
        own = (await client.get("/v1/jobs/job_1/moderation", headers=bearer(SECRET))).json()["data"]
        assert [(case["state"], case["appealed"], case["decision"]) for case in own] == [("open", False, None)]
        assert "log" not in own[0]
        await decide_as_reviewer(client, "uphold", "bare")
        appeal = await client.post("/v1/jobs/job_1/appeal", json={"reason": "it is a statue"}, headers=bearer(SECRET))
        assert (appeal.status_code, appeal.json()["data"][0]["state"]) == (201, "appealed")
        again = await client.post("/v1/jobs/job_1/appeal", json={"reason": "really"}, headers=bearer(SECRET))
        assert again.status_code == 201, "it waits already"
        queue = await client.get("/v1/admin/moderation/cases?state=appealed", headers=bearer(REVIEWING))
        assert [case["id"] for case in queue.json()["data"]] == ["case_0"]
        await decide_as_reviewer(client, "overturn", "indeed")
        own = (await client.get("/v1/jobs/job_1/moderation", headers=bearer(SECRET))).json()["data"]
        assert own[0]["decision"] == {"deed": "overturned", "at": gateway.now_s, "reason": "indeed"}
        await decide_as_reviewer(client, "uphold", "no, bare")
        late = await client.post("/v1/jobs/job_1/appeal", json={"reason": "a statue!"}, headers=bearer(SECRET))
        assert (late.status_code, late.json()["error"]["code"]) == (400, "appeal_decided")


async def decide_as_reviewer(client: httpx.AsyncClient, decision: str, reason: str) -> None:
    await client.post(
        "/v1/admin/moderation/cases/case_0/decision",
        json={"decision": decision, "reason": reason},
        headers=bearer(REVIEWING),
    )


async def test_another_tenants_job_and_appeal_are_not_there(gateway: Gateway) -> None:
    async with gateway.client() as client:
        await client.post("/v1/jobs", json={"prompt": "a cat"}, headers=bearer(SECRET))
        await put_job(gateway.store)
        made = await client.post(
            "/v1/appeals", json={"prompt": "a naked mole rat", "reason": "an animal"}, headers=bearer(SECRET)
        )
        for method, path in (
            ("GET", "/v1/jobs/job_1/moderation"),
            ("POST", "/v1/jobs/job_1/appeal"),
            ("GET", f"/v1/appeals/{made.json()['id']}"),
        ):
            body = {"reason": "mine"} if method == "POST" else None
            assert (await client.request(method, path, json=body, headers=bearer(OTHER))).status_code == 404


async def test_there_is_nothing_to_appeal_where_nothing_was_found(gateway: Gateway) -> None:
    async with gateway.client() as client:
        client.headers.update(bearer(SECRET))
        await client.post("/v1/jobs", json={"prompt": "a cat"})
        job = await client.post("/v1/jobs/job_1/appeal", json={"reason": "why"})
        prompt = await client.post("/v1/appeals", json={"prompt": "a cat", "reason": "why"})
        for answer in (job, prompt):
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "nothing_to_appeal")


async def test_a_refused_prompt_is_appealed_once_with_what_the_filter_found(
    gateway: Gateway, reviewer: httpx.AsyncClient
) -> None:
    async with gateway.client() as client:
        client.headers.update(bearer(SECRET))
        body = {"prompt": "a naked mole rat", "reason": "an animal"}
        first, second = [(await client.post("/v1/appeals", json=body)).json() for _ in range(2)]
        assert first == second
        assert (first["state"], first["appealed"], first["job_id"]) == ("appealed", True, None)
        case = (await reviewer.get(f"/v1/admin/moderation/cases/{first['id']}")).json()
        assert [(each["category"], each["evidence"]) for each in case["findings"]] == [
            ("sexual", ["naked", "nudity"]),
            ("violence", []),
        ]
        assert case["log"][0] == {
            "number": 1, "at": gateway.now_s, "actor": "tenant:acme", "deed": "appealed", "reason": "an animal"
        }  # fmt: skip
        await decide(reviewer, first["id"], "overturn", "an animal")
        told = (await client.get(f"/v1/appeals/{first['id']}")).json()
        assert (told["state"], told["decision"]["reason"]) == ("overturned", "an animal")
        label = (await reviewer.get(f"/v1/admin/moderation/cases/{first['id']}")).json()["label"]
        assert (label["prompt"], label["label"], label["category"]) == ("a naked mole rat", 0, "benign")
    assert sum(isinstance(event, CaseOpened) for event in gateway.published) == 1


async def test_of_what_must_not_be_kept_an_appeal_keeps_the_category_only(
    gateway: Gateway, reviewer: httpx.AsyncClient
) -> None:
    async with gateway.client() as client:
        body = {"prompt": "TOKEN", "reason": "a test"}
        made = (await client.post("/v1/appeals", json=body, headers=bearer(SECRET))).json()
    shown = await reviewer.get(f"/v1/admin/moderation/cases/{made['id']}")
    assert (shown.json()["category"], shown.json()["prompt"]) == ("sexual_minors", None)
    assert "TOKEN" not in shown.text


async def test_appeals_of_a_tenant_are_bounded(gateway: Gateway) -> None:
    async with gateway.client() as client:
        client.headers.update(bearer(SECRET))
        codes = [
            (await client.post("/v1/appeals", json={"prompt": f"naked {number}", "reason": "x"})).status_code
            for number in range(APPEALS_MAX + 1)
        ]
    assert codes == [201] * APPEALS_MAX + [429]


# --- held pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("availability", [Availability.HELD, Availability.WITHHELD])
async def test_a_picture_that_is_held_is_not_handed_out_in_any_protocol(
    gateway: Gateway, availability: Availability
) -> None:
    code = f"picture_{availability.value}"
    async with gateway.client() as client:
        client.headers.update(bearer(SECRET))
        job_id = (await client.post("/v1/jobs", json={"prompt": "a cat"})).json()["id"]
        status = gateway.service.statuses[job_id]
        held = tuple(replace(output, availability=availability) for output in status.outputs)
        gateway.service.statuses[job_id] = replace(status, outputs=held)
        (shown,) = (await client.get(f"/v1/jobs/{job_id}")).json()["outputs"]
        assert (shown["url"], shown["thumbnail_url"], shown["availability"]) == (None, None, availability.value)
        for variant in ("", "?variant=thumbnail"):
            file = await client.get(f"/v1/outputs/{shown['id']}{variant}")
            assert (file.status_code, file.json()["error"]["code"]) == (403, code)
        prediction = (await client.get(f"/v1/predictions/{job_id}")).json()
        assert (prediction["status"], prediction["output"]) == ("failed", None)
        assert prediction["error"]


async def test_the_openai_call_says_that_a_person_looks_first(gateway: Gateway) -> None:
    gateway.service.is_held = True
    async with gateway.client() as client:
        client.headers.update(bearer(SECRET))
        for body in ({"prompt": "a cat"}, {"prompt": "a cat", "stream": True}):
            answer = await client.post("/v1/images/generations", json=body)
            assert "picture_held" in answer.text
            assert answer.headers["x-heliograph-job-id"]
        assert (await client.post("/v1/images/generations", json={"prompt": "a cat"})).status_code == 403
