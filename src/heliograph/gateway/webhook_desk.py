"""What a tenant can do about its webhooks: endpoints, their secrets, the log of deliveries, sending again.

A secret is shown when its endpoint is made and when it is rotated. The secret that signs the webhooks given with jobs
is shown whenever it is asked for, because Replicate's clients fetch it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from heliograph.domain.accounts import Caller
from heliograph.domain.errors import InvalidRequest, NotFound
from heliograph.domain.ids import EndpointId, MessageId
from heliograph.domain.webhooks import (
    JOB_EVENTS,
    JobWebhook,
    MessageState,
    WebhookEndpoint,
    WebhookEvent,
    WebhookMessage,
    WebhookTry,
)
from heliograph.gateway.webhook_courier import default_owner
from heliograph.outbound import OutboundPolicy, checked_url
from heliograph.storage.store import (
    DropWebhookEndpoint,
    MoveWebhookMessage,
    PutWebhookEndpoint,
    ReplayWebhooks,
    Store,
)
from heliograph.webhooks import EndpointBook, Signer

OLD_SECRET_S = 86_400.0
"""How long the secret before a rotation goes on signing, so that a receiver can be changed at leisure."""
DESCRIPTION_CHARS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message with every try to deliver it."""

    message: WebhookMessage
    tries: tuple[WebhookTry, ...]


class WebhookDesk:
    """Keeps tenants apart: an endpoint or delivery of another one is `NotFound`.

    `new_id` gives letters and digits that never come twice, `wake` tells the courier that there is something to send.
    """

    def __init__(
        self,
        *,
        store: Store,
        book: EndpointBook,
        signer: Signer,
        policy: OutboundPolicy,
        endpoints_max: int,
        wake: Callable[[], None],
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._book = book
        self._signer = signer
        self._policy = policy
        self._endpoints_max = endpoints_max
        self._wake = wake
        self._clock = clock
        self._new_id = new_id

    def job_webhook(
        self, url: object, events: object, *, known: tuple[WebhookEvent, ...], param: str, events_param: str
    ) -> JobWebhook:
        """The webhook that a job brings along; without `events` it hears of all that are `known`."""
        checked_url(url, self._policy, param=param)
        return JobWebhook(url=str(url), events=chosen_events(events, known=known, param=events_param))

    def endpoints(self, caller: Caller) -> tuple[WebhookEndpoint, ...]:
        """The caller's endpoints, oldest first."""
        return self._book.of(caller.tenant_id)

    def endpoint(self, endpoint_id: str, *, caller: Caller) -> WebhookEndpoint:
        """One of the caller's endpoints."""
        found = self._book.get(caller.tenant_id, endpoint_id)
        if found is None:
            raise NotFound(f"There is no webhook endpoint {endpoint_id}.", code="endpoint_not_found")
        return found

    async def add(self, *, url: object, events: object, description: object, caller: Caller) -> WebhookEndpoint:
        """A new endpoint; its secret is `secret` of it."""
        if len(self._book.of(caller.tenant_id)) >= self._endpoints_max:
            raise InvalidRequest(
                f"There are {self._endpoints_max} endpoints already; delete one first.", code="too_many_endpoints"
            )
        checked_url(url, self._policy, param="url")
        endpoint = WebhookEndpoint(
            endpoint_id=EndpointId(f"we_{self._new_id()}"),
            tenant_id=caller.tenant_id,
            url=str(url),
            events=chosen_events(events, known=JOB_EVENTS, param="events"),
            description=_described(description),
            created_at_s=self._clock(),
        )
        return await self._put(endpoint)

    async def change(
        self,
        endpoint_id: str,
        *,
        caller: Caller,
        url: object = None,
        events: object = None,
        description: object = None,
        disabled: object = None,
    ) -> WebhookEndpoint:
        """The endpoint with other values; None leaves one as it is."""
        endpoint = self.endpoint(endpoint_id, caller=caller)
        if url is not None:
            checked_url(url, self._policy, param="url")
            endpoint = replace(endpoint, url=str(url))
        if events is not None:
            endpoint = replace(endpoint, events=chosen_events(events, known=JOB_EVENTS, param="events"))
        if description is not None:
            endpoint = replace(endpoint, description=_described(description))
        if disabled is True and endpoint.disabled_at_s is None:
            endpoint = replace(endpoint, disabled_at_s=self._clock(), disabled_reason="on request")
        elif disabled is False:
            endpoint = replace(endpoint, disabled_at_s=None, disabled_reason=None)
        elif disabled not in (None, True):
            raise InvalidRequest("disabled must be true or false.", param="disabled", code="invalid_disabled")
        return await self._put(endpoint)

    async def remove(self, endpoint_id: str, *, caller: Caller) -> WebhookEndpoint:
        """Forget the endpoint, and everything that was or is to be sent to it."""
        endpoint = self.endpoint(endpoint_id, caller=caller)
        await self._store.commit([DropWebhookEndpoint(endpoint_id=endpoint.endpoint_id)])
        self._book.drop(endpoint)
        return endpoint

    async def rotate(self, endpoint_id: str, *, caller: Caller) -> WebhookEndpoint:
        """The endpoint with a new secret; for a day the old one signs as well."""
        endpoint = self.endpoint(endpoint_id, caller=caller)
        return await self._put(
            replace(
                endpoint,
                secret_generation=endpoint.secret_generation + 1,
                old_secret_until_s=self._clock() + OLD_SECRET_S,
            )
        )

    def secret(self, endpoint: WebhookEndpoint) -> str:
        """The endpoint's present secret: to be shown when it is new, and never again."""
        return self._signer.secret(endpoint.endpoint_id, endpoint.secret_generation)

    def default_secret(self, caller: Caller) -> str:
        """What signs the webhooks that come with the caller's jobs."""
        return self._signer.secret(default_owner(caller.tenant_id), 1)

    async def deliveries(
        self, *, caller: Caller, limit: int, endpoint_id: str | None, before: str | None
    ) -> tuple[WebhookMessage, ...]:
        """The caller's messages, newest first; only those to one endpoint, or from before another message."""
        if before is not None:
            await self._message(before, caller)
        return await self._store.webhook_messages(
            caller.tenant_id, limit=limit, target=endpoint_id, before=None if before is None else MessageId(before)
        )

    async def delivery(self, message_id: str, *, caller: Caller) -> Delivery:
        """One message and its tries."""
        message = await self._message(message_id, caller)
        return Delivery(message=message, tries=await self._store.webhook_tries(message.message_id))

    async def replay(self, message_id: str, *, caller: Caller) -> Delivery:
        """The message, due again now, whatever became of it before; its event keeps its id."""
        delivery = await self.delivery(message_id, caller=caller)
        again = replace(
            delivery.message, state=MessageState.WAITING, failures=0, next_at_s=self._clock(), ended_at_s=None
        )
        await self._store.commit([MoveWebhookMessage(message=again)])
        self._wake()
        return replace(delivery, message=again)

    async def replay_all(self, endpoint_id: str, *, since_s: float, caller: Caller) -> WebhookEndpoint:
        """Make everything due now that the endpoint was not delivered, from events at `since_s` on."""
        endpoint = self.endpoint(endpoint_id, caller=caller)
        replay = ReplayWebhooks(
            tenant_id=caller.tenant_id, target=endpoint.endpoint_id, since_s=since_s, now_s=self._clock()
        )
        await self._store.commit([replay])
        self._wake()
        return endpoint

    async def _message(self, message_id: str, caller: Caller) -> WebhookMessage:
        message = await self._store.webhook_message(MessageId(message_id))
        if message is None or message.tenant_id != caller.tenant_id:
            raise NotFound(f"There is no delivery {message_id}.", code="delivery_not_found")
        return message

    async def _put(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        await self._store.commit([PutWebhookEndpoint(endpoint=endpoint)])
        self._book.put(endpoint)
        return endpoint


def chosen_events(names: object, *, known: tuple[WebhookEvent, ...], param: str) -> tuple[WebhookEvent, ...]:
    """The events of those names, in the order of `known`; all of them for None. Raises `InvalidRequest`."""
    if names is None:
        return known
    by_name = {event.value: event for event in known}
    wanted = cast("list[object]", names) if isinstance(names, list) else []
    if not wanted or not all(isinstance(name, str) and name in by_name for name in wanted):
        raise InvalidRequest(
            f"{param} must be a list of one or more of {', '.join(by_name)}.", param=param, code="invalid_events"
        )
    return tuple(event for event in known if event.value in wanted)


def _described(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > DESCRIPTION_CHARS_MAX or not value.isprintable():
        raise InvalidRequest(
            f"description must be a string of at most {DESCRIPTION_CHARS_MAX} printable characters.",
            param="description",
            code="invalid_description",
        )
    return value
