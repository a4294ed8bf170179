"""Carries messages from the outbox to their receivers: at least once, in order for each job, for as long as it takes.

Theory of operation. The outbox is in the store; nothing here is the truth about a message except for the moment of a
try. The courier sleeps until new messages are committed or the next one is due, then looks at each target for jobs with
due messages and starts a *lane* for each: one task that delivers what one target is to hear about one job, in order,
and stops at the first failure. A target has few lanes at a time, and one that keeps failing has one, with growing
pauses, so a receiver that hangs holds up nobody else and one that is gone costs next to nothing. A try is written down
with its outcome before the next begins. Whatever ends the process in between, the message is still waiting and is sent
again with the same id.
"""

import asyncio
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from heliograph.domain.commands import RecordJob
from heliograph.domain.errors import InvalidRequest, Unavailable
from heliograph.domain.ids import JobId
from heliograph.domain.lifecycle import WebhookTried
from heliograph.domain.webhooks import MessageState, WebhookEndpoint, WebhookMessage, WebhookTry
from heliograph.outbound import Destination, Outbound, OutboundPolicy, checked_url
from heliograph.storage.store import ForgetWebhooks, MoveWebhookMessage, PutWebhookEndpoint, Store, StoredJob
from heliograph.webhooks import EndpointBook, RetryPolicy, Signer, after_try
from heliograph.webhooks.retries import error_of

LANES_MAX = 128
LANES_MAX_PER_TARGET = 16
FAILURES_UNTIL_SICK = 3
SICK_PAUSE_S = (0.1, 5.0)
"""Between two tries at a target that keeps failing: the first pause, which doubles up to the second."""
ANSWER_BYTES_MAX = 16_384
STORE_RETRY_S = 1.0
FORGET_EVERY_S = 3_600.0
LOOK_AGAIN_S_MAX = 300.0

_log = structlog.get_logger("heliograph.webhooks")

Render = Callable[[WebhookMessage, StoredJob], bytes]


@dataclass(slots=True)
class _Health:
    """How deliveries to one target go."""

    failures_in_a_row: int = 0
    lanes: int = 0
    not_before_s: float = 0.0


class Courier:
    """Delivers what the outbox holds while `run` runs; also the pipeline's `Outbox`.

    `luck` draws numbers from 0 to 1, `publish` takes lifecycle events, `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        *,
        store: Store,
        book: EndpointBook,
        signer: Signer,
        outbound: Outbound,
        policy: OutboundPolicy,
        retries: RetryPolicy,
        timeout_s: float,
        log_s: float,
        publish: Callable[[WebhookTried], None],
        clock: Callable[[], float],
        luck: Callable[[], float],
    ) -> None:
        self._store = store
        self._book = book
        self._signer = signer
        self._outbound = outbound
        self._policy = policy
        self._retries = retries
        self._timeout_s = timeout_s
        self._log_s = log_s
        self._publish = publish
        self._clock = clock
        self._luck = luck
        self._news = asyncio.Event()
        self._in_flight: set[tuple[JobId, str]] = set()
        self._health: dict[str, _Health] = {}
        self._turn = 0

    # --- the pipeline's side -----------------------------------------------------------------------------------------

    def messages(self, record: RecordJob) -> Sequence[WebhookMessage]:
        """See `Outbox.messages`."""
        return self._book.messages(record)

    def committed(self) -> None:
        """See `Outbox.committed`."""
        self._news.set()

    # --- the delivering side -----------------------------------------------------------------------------------------

    async def run(self, *, render: Render) -> None:
        """Deliver until cancelled; `render` makes the body of a message."""
        forgotten_at_s = float("-inf")
        async with asyncio.TaskGroup() as lanes:
            while True:
                self._news.clear()
                try:
                    if self._clock() - forgotten_at_s >= FORGET_EVERY_S:
                        forgotten_at_s = self._clock()
                        await self._store.commit([ForgetWebhooks(before_s=forgotten_at_s - self._log_s)])
                    next_at_s = await self._start_lanes(lanes, render)
                except Unavailable as error:
                    _log.warning("the outbox cannot be read", reason=error.message)
                    await asyncio.sleep(STORE_RETRY_S)
                    continue
                except Exception:  # the top of a task: whatever it is, later messages must still get out
                    _log.error("looking through the outbox broke", exception=traceback.format_exc())
                    await asyncio.sleep(STORE_RETRY_S)
                    continue
                pause_s = min(LOOK_AGAIN_S_MAX, max(0.0, next_at_s - self._clock()))
                try:
                    async with asyncio.timeout(pause_s):
                        await self._news.wait()
                except TimeoutError:
                    pass

    async def _start_lanes(self, lanes: asyncio.TaskGroup, render: Render) -> float:
        """Start what is due and there is room for; when to look again, if nothing happens before."""
        next_at_s = float("inf")
        targets = await self._store.webhook_targets()
        self._turn += 1
        first = self._turn % len(targets) if targets else 0
        for target, due_at_s in (*targets[first:], *targets[:first]):
            health = self._health.get(target)
            due_at_s = due_at_s if health is None else max(due_at_s, health.not_before_s)
            if due_at_s > self._clock():
                next_at_s = min(next_at_s, due_at_s)
                continue
            room = min(self._room(target), LANES_MAX - len(self._in_flight))
            if room <= 0:
                continue  # the end of a lane is news
            # A job may have several messages waiting, and those of lanes under way are among them.
            limit = 8 * (room + LANES_MAX_PER_TARGET)
            due = await self._store.webhook_jobs_due(target, now_s=self._clock(), limit=limit)
            waiting = [job_id for job_id in dict.fromkeys(due) if (job_id, target) not in self._in_flight]
            for job_id in waiting[:room]:
                self._in_flight.add((job_id, target))
                self._health.setdefault(target, _Health()).lanes += 1
                lanes.create_task(self._lane(job_id, target, render), name=f"webhooks of {job_id}")
        for target in [target for target, health in self._health.items() if not health.lanes]:
            if target not in dict(targets):
                del self._health[target]
        return next_at_s

    def _room(self, target: str) -> int:
        health = self._health.get(target)
        if health is None:
            return LANES_MAX_PER_TARGET
        lanes_max = 1 if health.failures_in_a_row >= FAILURES_UNTIL_SICK else LANES_MAX_PER_TARGET
        return lanes_max - health.lanes

    async def _lane(self, job_id: JobId, target: str, render: Render) -> None:
        try:
            await self._deliver_lane(job_id, target, render)
        except Unavailable as error:
            _log.warning("a delivery cannot be written down", job_id=job_id, reason=error.message)
            await asyncio.sleep(STORE_RETRY_S)
        except Exception:  # the top of a task: other lanes go on
            _log.error("a delivery broke", job_id=job_id, target=target, exception=traceback.format_exc())
            await asyncio.sleep(STORE_RETRY_S)
        finally:
            self._in_flight.discard((job_id, target))
            self._health[target].lanes -= 1
            self._news.set()

    async def _deliver_lane(self, job_id: JobId, target: str, render: Render) -> None:
        lane = await self._store.webhook_lane(job_id, target)
        if not lane:
            return
        if lane[0].next_at_s > self._clock():
            await self._store.commit([MoveWebhookMessage(message=lane[0])])  # what came later waits for it
            return
        stored = await self._store.job(job_id)
        for message in lane:
            if not await self._try(message, stored, render):
                return

    async def _try(self, message: WebhookMessage, stored: StoredJob | None, render: Render) -> bool:
        """One try, written down. True when the next message of the lane may follow."""
        at_s = self._clock()
        endpoint = self._book.get(message.tenant_id, message.target)
        address = self._address(message, endpoint, stored)
        if isinstance(address, str) or stored is None:
            given_up = replace(message, state=MessageState.GIVEN_UP, ended_at_s=at_s, last_error=str(address))
            await self._store.commit([MoveWebhookMessage(message=given_up)])
            return True
        body = render(message, stored)
        reply = await self._outbound.call(
            address,
            method="POST",
            headers={"Content-Type": "application/json", **self._signature(message, endpoint, at_s, body)},
            body=body,
            timeout_s=self._timeout_s,
            bytes_max=ANSWER_BYTES_MAX,
        )
        tried = WebhookTry(
            message_id=message.message_id,
            number=message.tries + 1,
            at_s=at_s,
            duration_s=reply.duration_s,
            status=reply.status,
            error=reply.reason if reply.status is None else error_of(reply.status),
        )
        after = after_try(message, tried, self._retries, retry_after_s=_retry_after_s(reply.headers), luck=self._luck())
        writes: list[MoveWebhookMessage | PutWebhookEndpoint] = [MoveWebhookMessage(message=after.message, tried=tried)]
        endpoint = self._book.get(message.tenant_id, message.target)
        if after.is_gone and endpoint is not None:
            endpoint = replace(endpoint, disabled_at_s=at_s, disabled_reason="the receiver answered 410 Gone")
            self._book.put(endpoint)
            writes.append(PutWebhookEndpoint(endpoint=endpoint))
        await self._store.commit(writes)
        self._note(message.target, after.message)
        self._publish(
            WebhookTried(
                event=message.event, state=after.message.state, tries=tried.number, duration_s=tried.duration_s
            )
        )
        return after.message.state is not MessageState.WAITING

    def _note(self, target: str, message: WebhookMessage) -> None:
        health = self._health[target]
        if message.state is MessageState.DELIVERED:
            health.failures_in_a_row, health.not_before_s = 0, 0.0
            return
        health.failures_in_a_row += 1
        doublings = health.failures_in_a_row - FAILURES_UNTIL_SICK
        if doublings >= 0:
            first_s, longest_s = SICK_PAUSE_S
            health.not_before_s = self._clock() + min(longest_s, first_s * 2.0 ** min(doublings, 16))
        write_line = _log.warning if message.state is MessageState.GIVEN_UP else _log.info
        write_line(
            "webhook not delivered",
            message_id=message.message_id,
            target=target,
            job_id=message.job_id,
            tries=message.tries,
            state=message.state.value,
            reason=message.last_error,
        )

    def _address(
        self, message: WebhookMessage, endpoint: WebhookEndpoint | None, stored: StoredJob | None
    ) -> Destination | str:
        """Where the message goes, or why it goes nowhere."""
        if stored is None:
            return "the job is gone"
        url = stored.job.webhook.url if stored.job.webhook is not None else ""
        if "://" not in message.target:
            if endpoint is None:
                return "the endpoint is gone"
            if endpoint.disabled_at_s is not None:
                return "the endpoint is disabled"
            url = endpoint.url
        try:
            return checked_url(url, self._policy, param="url")
        except InvalidRequest as error:
            return error.message

    def _signature(
        self, message: WebhookMessage, endpoint: WebhookEndpoint | None, at_s: float, body: bytes
    ) -> dict[str, str]:
        owner, generations = default_owner(message.tenant_id), (1,)
        if endpoint is not None:
            owner, generations = endpoint.endpoint_id, (endpoint.secret_generation,)
            if at_s < endpoint.old_secret_until_s:
                generations = (endpoint.secret_generation, endpoint.secret_generation - 1)
        return self._signer.headers(owner, *generations, event_id=message.event_id, at_s=int(at_s), body=body)


def default_owner(tenant_id: str) -> str:
    """Whose secret signs the webhooks that come with jobs."""
    return f"tenant:{tenant_id}"


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isdecimal() and len(value) < 10 else None
