"""What every route needs, made once by `create_app`."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from heliograph.account_desk import AccountDesk
from heliograph.domain.accounts import Caller
from heliograph.domain.errors import CallerError
from heliograph.domain.ids import OutputId
from heliograph.gateway.keys import KeyRing
from heliograph.gateway.picture_links import PictureLinks
from heliograph.gateway.review_desk import ReviewDesk
from heliograph.gateway.webhook_desk import WebhookDesk
from heliograph.insight import Insight
from heliograph.service import Service
from heliograph.settings import GatewaySettings


class Audit(Protocol):
    """Where it is written down what operators ordered."""

    async def append(self, entry: Mapping[str, object]) -> None:
        """Return once the entry is durable. Raises `Unavailable`."""
        ...

    async def latest(self, count: int) -> tuple[Mapping[str, object], ...]:
        """The last entries, the newest first. Raises `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The service and the gateway's own state. `clock` gives seconds since the epoch; `closing` is set at shutdown.

    `operator_key` is the secret of whoever runs this. `public_url` is what the outside calls this server, without a
    slash at the end; None: whatever each caller used.
    """

    service: Service
    desk: WebhookDesk
    keys: KeyRing
    settings: GatewaySettings
    metrics: Callable[[], Awaitable[tuple[bytes, str]]]
    links: PictureLinks
    clock: Callable[[], float]
    closing: asyncio.Event
    public_url: str | None
    operator_key: str
    review: ReviewDesk
    insight: Insight
    audit: Audit
    accounts: AccountDesk

    def caller(self, request: Request) -> Caller:
        """On whose behalf the request is made. Raises `AuthenticationError`."""
        return self.keys.caller(request.headers.get("authorization"))

    @contextmanager
    def recording_refusals(self, caller: Caller) -> Generator[None]:
        """What the body refuses on the caller's account is put on record; the service records the rest."""
        try:
            yield
        except CallerError as error:
            self.service.refuse(error, caller=caller)
            raise

    def output_url(self, output_id: OutputId, is_thumbnail: bool) -> str:
        """The path of a picture, signed unless everybody may read it anyway."""
        return self.links.path(output_id, is_thumbnail)

    def base_url(self, request: Request) -> str:
        """What absolute addresses in the answer to `request` begin with."""
        return self.public_url or str(request.base_url).rstrip("/")
