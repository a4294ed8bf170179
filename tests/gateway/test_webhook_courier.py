"""The courier over a store in memory: order, repetition, health, and what becomes of messages nobody can be told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count

import pytest
from standardwebhooks import Webhook

from heliograph.domain.commands import RecordJob
from heliograph.domain.errors import Unavailable
from heliograph.domain.job import Job, JobState
from heliograph.domain.lifecycle import WebhookTried
from heliograph.domain.webhooks import JOB_EVENTS, JobWebhook, MessageState, WebhookEndpoint, WebhookMessage
from heliograph.gateway.webhook_courier import LANES_MAX_PER_TARGET, Courier, default_owner
from heliograph.outbound import Destination, OutboundPolicy, Reply
from heliograph.storage.memory import MemoryStore
from heliograph.storage.store import PutJob, PutWebhookEndpoint, PutWebhookMessage, StoredJob
from heliograph.webhooks import EndpointBook, RetryPolicy, Signer
from tests.builders import a_job
from tests.storage.stored_samples import an_endpoint

SIGNER = Signer(bytes(32))
OK = Reply(status=200, duration_s=0.0)
STATES = (JobState.DISPATCHED, JobState.RUNNING, JobState.POST_PROCESSING, JobState.COMPLETED)


@dataclass
class Receiver:
    """Stands in for everybody outside: answers by host, and remembers what was sent, with the headers."""

    answers: dict[str, Callable[[], Reply]] = field(default_factory=dict)
    heard: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: dict[str, int] = field(default_factory=dict)
    most_under_way: dict[str, int] = field(default_factory=dict)
    something: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def call(
        self,
        destination: Destination,
        *,
        method: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_s: float,
        bytes_max: int,
    ) -> Reply:
        host = destination.host
        self.under_way[host] = self.under_way.get(host, 0) + 1
        self.most_under_way[host] = max(self.most_under_way.get(host, 0), self.under_way[host])
        self.something.set()
        try:
            await self.may_answer.wait()
        finally:
            self.under_way[host] -= 1
        self.heard.append((host, f"{method} {destination.path}", headers, body))
        self.something.set()
        return self.answers.get(host, lambda: OK)()

    def events(self, host: str | None = None) -> list[str]:
        return [body.decode() for where, _, _, body in self.heard if host in (None, where)]


@dataclass
class World:
    receiver: Receiver = field(default_factory=Receiver)
    store: MemoryStore = field(default_factory=MemoryStore)
    book: EndpointBook = field(default_factory=EndpointBook)
    now_s: float = 1_000.0
    tried: list[WebhookTried] = field(default_factory=list)
    log_s: float = 1e9
    sequences: Iterator[int] = field(default_factory=lambda: count(1_000))

    def __post_init__(self) -> None:
        self.courier = Courier(
            store=self.store,
            book=self.book,
            signer=SIGNER,
            outbound=self.receiver,
            policy=OutboundPolicy(),
            retries=RetryPolicy(delays_s=(5.0, 60.0), jitter=0.0),
            timeout_s=15.0,
            log_s=self.log_s,
            publish=self.tried.append,
            clock=lambda: self.now_s,
            luck=lambda: 0.0,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        def render(message: WebhookMessage, stored: StoredJob) -> bytes:
            return f"{stored.job.job_id} {message.event}".encode()

        task = asyncio.create_task(self.courier.run(render=render))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled(), task.exception()

    async def endpoint(self, endpoint_id: str = "we_1", **changes: object) -> WebhookEndpoint:
        plain = replace(an_endpoint(endpoint_id, tenant="acme"), events=JOB_EVENTS, disabled_at_s=None)
        endpoint = replace(plain, secret_generation=1, old_secret_until_s=0.0, **changes)
        await self.store.commit([PutWebhookEndpoint(endpoint=endpoint)])
        self.book.put(endpoint)
        return endpoint

    async def live(self, name: str, *, webhook: JobWebhook | None = None) -> None:
        """A job from its submission to its end; every move is committed with its messages."""
        moved = a_job(name, sequence=next(self.sequences), webhook=webhook, created_at_s=self.now_s)
        await self.commit(moved)
        for state in STATES:
            moved = moved.moved(state, now_s=self.now_s)
            await self.commit(moved)

    async def commit(self, job: Job) -> None:
        messages = self.courier.messages(RecordJob(job=job, cause="x"))
        await self.store.commit([PutJob(job=job), *(PutWebhookMessage(message=message) for message in messages)])
        self.courier.committed()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self.receiver.something.clear()
                await self.receiver.something.wait()

    async def settle(self) -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass and the courier notice."""
        self.now_s += seconds
        self.courier.committed()
        await self.settle()

    async def messages(self) -> list[WebhookMessage]:
        return list(await self.store.webhook_messages(a_job().tenant_id, limit=100))[::-1]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_job_is_told_in_order_with_signatures_that_verify(world: World) -> None:
    endpoint = await world.endpoint()
    async with world.running():
        await world.live("cat")
        await world.until(lambda: len(world.receiver.heard) == 3)
        await world.settle()
    assert world.receiver.events() == ["cat job.submitted", "cat job.started", "cat job.completed"]
    secret = SIGNER.secret(endpoint.endpoint_id, 1)
    for _, where, headers, body in world.receiver.heard:
        assert where == "POST /hook"
        assert headers["webhook-timestamp"] == "1000"
        signed = Webhook(secret).sign(headers["webhook-id"], datetime.fromtimestamp(1_000, tz=UTC), body.decode())
        assert headers["webhook-signature"] == signed
    assert {message.state for message in await world.messages()} == {MessageState.DELIVERED}
    assert [tried.state for tried in world.tried] == [MessageState.DELIVERED] * 3


async def test_what_waited_while_nobody_delivered_is_sent_when_somebody_does(world: World) -> None:
    await world.endpoint()
    await world.live("cat")
    assert world.receiver.heard == []
    async with world.running():
        await world.until(lambda: len(world.receiver.heard) == 3)


async def test_a_failure_holds_back_the_rest_of_its_lane_until_it_is_delivered(world: World) -> None:
    await world.endpoint()
    replies = [Reply(status=500, duration_s=0.0), OK, OK, OK]
    world.receiver.answers["example.com"] = lambda: replies.pop(0)
    async with world.running():
        await world.live("cat")
        await world.settle()
        assert world.receiver.events() == ["cat job.submitted"]
        await world.pass_time(4.9)
        assert len(world.receiver.heard) == 1
        await world.pass_time(0.2)
        await world.until(lambda: len(world.receiver.heard) == 4)
        await world.settle()
    assert world.receiver.events()[1:] == ["cat job.submitted", "cat job.started", "cat job.completed"]
    ids = [headers["webhook-id"] for _, _, headers, _ in world.receiver.heard]
    assert ids[0] == ids[1], "the same event keeps its id"
    assert len(set(ids)) == 3
    first = (await world.messages())[0]
    assert (first.tries, first.failures, first.state) == (2, 1, MessageState.DELIVERED)
    assert [(one.number, one.status) for one in await world.store.webhook_tries(first.message_id)] == [
        (1, 500),
        (2, 200),
    ]


async def test_news_that_comes_while_an_earlier_one_waits_its_turn(world: World) -> None:
    await world.endpoint()
    replies = [Reply(status=None, duration_s=0.0, reason="no answer"), OK, OK]
    world.receiver.answers["example.com"] = lambda: replies.pop(0)
    job = a_job("cat", created_at_s=world.now_s)
    async with world.running():
        await world.commit(job)
        await world.settle()
        world.now_s += 1.0
        await world.commit(job.moved(JobState.CANCELLED, now_s=world.now_s))
        await world.settle()
        assert world.receiver.events() == ["cat job.submitted"]
        await world.pass_time(4.5)
        await world.until(lambda: len(world.receiver.heard) == 3)
    assert world.receiver.events()[1:] == ["cat job.submitted", "cat job.cancelled"]


async def test_a_message_is_given_up_after_its_last_try_and_the_next_one_follows(world: World) -> None:
    await world.endpoint(events=JOB_EVENTS[:1])
    world.receiver.answers["example.com"] = lambda: Reply(status=500, duration_s=0.0)
    async with world.running():
        await world.commit(a_job("cat", created_at_s=world.now_s))
        for _ in range(3):
            await world.settle()
            await world.pass_time(60.0)
    (message,) = await world.messages()
    assert (message.state, message.tries, message.last_error) == (
        MessageState.GIVEN_UP,
        3,
        "500 Internal Server Error",
    )


async def test_410_disables_the_endpoint_and_nothing_more_is_sent(world: World) -> None:
    endpoint = await world.endpoint()
    world.receiver.answers["example.com"] = lambda: Reply(status=410, duration_s=0.0)
    async with world.running():
        await world.live("cat")
        await world.settle()
        await world.live("dog")
        await world.settle()
    assert world.receiver.events() == ["cat job.submitted"]
    (stored,) = await world.store.webhook_endpoints()
    assert (stored.disabled_at_s, stored.disabled_reason) == (1_000.0, "the receiver answered 410 Gone")
    assert world.book.get(endpoint.tenant_id, endpoint.endpoint_id) == stored
    messages = await world.messages()
    assert {message.state for message in messages} == {MessageState.GIVEN_UP}
    assert [message.last_error for message in messages] == [
        "410 Gone",
        "the endpoint is disabled",
        "the endpoint is disabled",
    ]


async def test_a_receiver_that_hangs_holds_up_nobody_else(world: World) -> None:
    stuck = JobWebhook(url="https://stuck.example/", events=JOB_EVENTS[:1])
    lively = JobWebhook(url="https://lively.example/", events=JOB_EVENTS[:1])
    world.receiver.may_answer.clear()
    async with world.running():
        for number in range(20):
            await world.live(f"stuck{number}", webhook=stuck)
        await world.until(lambda: world.receiver.under_way.get("stuck.example") == LANES_MAX_PER_TARGET)
        await world.live("fine", webhook=lively)
        await world.until(lambda: world.receiver.under_way.get("lively.example") == 1)
        await world.settle()
        assert world.receiver.most_under_way["stuck.example"] == LANES_MAX_PER_TARGET
        world.receiver.may_answer.set()
        await world.until(lambda: len(world.receiver.heard) == 21)
    assert world.receiver.most_under_way["stuck.example"] == LANES_MAX_PER_TARGET


async def test_one_that_keeps_failing_is_tried_one_at_a_time_with_pauses_until_it_answers(world: World) -> None:
    hook = JobWebhook(url="https://sick.example/", events=JOB_EVENTS[:1])
    world.receiver.answers["sick.example"] = lambda: Reply(status=503, duration_s=0.0)
    async with world.running():
        for number in range(80):
            await world.live(f"job{number}", webhook=hook)
        await world.settle()
        in_first_burst = len(world.receiver.heard)
        assert in_first_burst <= 2 * LANES_MAX_PER_TARGET
        world.receiver.most_under_way.clear()
        for _ in range(8):
            await world.pass_time(1.0)
        assert len(world.receiver.heard) - in_first_burst <= 6, "the pauses grow"
        assert world.receiver.most_under_way["sick.example"] == 1
        world.receiver.answers.clear()
        await world.pass_time(5.1)
        await world.until(lambda: len({body for *_, body in world.receiver.heard}) == 80)
        world.now_s += 60.0
        world.receiver.may_answer.clear()
        for number in range(20):
            await world.live(f"later{number}", webhook=hook)
        await world.settle()
        assert world.receiver.under_way["sick.example"] == LANES_MAX_PER_TARGET


async def test_a_message_whose_endpoint_or_job_is_gone_ends(world: World) -> None:
    endpoint = await world.endpoint(events=JOB_EVENTS[:1])
    await world.commit(a_job("cat", created_at_s=world.now_s))
    world.book.drop(endpoint)
    orphan = replace((await world.messages())[0], message_id="dlv_x", job_id="nobody")
    await world.store.commit([PutWebhookMessage(message=orphan)])
    async with world.running():
        await world.settle()
    assert world.receiver.heard == []
    assert [(message.state, message.last_error) for message in await world.messages()] == [
        (MessageState.GIVEN_UP, "the endpoint is gone"),
        (MessageState.GIVEN_UP, "the job is gone"),
    ]


async def test_the_job_s_own_webhook_is_signed_with_the_tenants_secret(world: World) -> None:
    hook = JobWebhook(url="https://example.com/mine?order=17", events=JOB_EVENTS)
    async with world.running():
        await world.live("cat", webhook=hook)
        await world.until(lambda: len(world.receiver.heard) == 3)
    _, where, headers, body = world.receiver.heard[-1]
    assert where == "POST /mine?order=17"
    own = SIGNER.headers(default_owner("acme"), 1, event_id=headers["webhook-id"], at_s=1_000, body=body)
    assert headers["webhook-signature"] == own["webhook-signature"]


async def test_after_a_rotation_both_secrets_sign_for_a_while(world: World) -> None:
    await world.endpoint(events=JOB_EVENTS[:1])
    endpoint = world.book.of(a_job().tenant_id)[0]
    world.book.put(replace(endpoint, secret_generation=2, old_secret_until_s=1_010.0))
    async with world.running():
        await world.commit(a_job("cat", created_at_s=world.now_s))
        await world.until(lambda: world.receiver.heard)
        await world.pass_time(10.0)
        await world.commit(a_job("dog", sequence=2, created_at_s=world.now_s))
        await world.until(lambda: len(world.receiver.heard) == 2)
    counts = [len(headers["webhook-signature"].split()) for _, _, headers, _ in world.receiver.heard]
    assert counts == [2, 1]


async def test_a_try_that_cannot_be_written_down_is_made_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.gateway.webhook_courier.STORE_RETRY_S", 0.0)
    await world.endpoint(events=JOB_EVENTS[:1])
    await world.commit(a_job("cat", created_at_s=world.now_s))
    real_commit, failures = world.store.commit, [Unavailable("the disk is full")]

    async def commit(writes: object) -> None:
        if world.receiver.heard and failures:
            raise failures.pop()
        await real_commit(writes)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(world.store, "commit", commit)
    async with world.running():
        await world.until(lambda: len(world.receiver.heard) == 2)
        await world.settle()
    assert len({headers["webhook-id"] for _, _, headers, _ in world.receiver.heard}) == 1
    assert (await world.messages())[0].state is MessageState.DELIVERED


async def test_old_messages_are_forgotten() -> None:
    world = World(log_s=100.0)
    await world.endpoint(events=JOB_EVENTS[:1])
    await world.commit(a_job("cat", created_at_s=world.now_s))
    world.now_s += 1_000.0
    async with world.running():
        await world.settle()
    assert await world.messages() == []
    assert world.receiver.heard == []
