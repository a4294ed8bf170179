"""The application over a fake service, called in process or through a real server on a free port."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from heliograph.account_desk import AccountDesk
from heliograph.app_telemetry import DEFAULT_OBJECTIVES
from heliograph.billing.accounts import AccountBook
from heliograph.delivery.memory import MemoryBlobStore
from heliograph.delivery.retention import RetentionPolicy
from heliograph.domain.errors import Unavailable
from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.lifecycle import LifecycleEvent
from heliograph.gateway.app import create_app
from heliograph.gateway.keys import KeyRing
from heliograph.gateway.middleware import Answered
from heliograph.gateway.picture_links import PictureLinks
from heliograph.gateway.review_desk import ReviewDesk
from heliograph.gateway.webhook_desk import WebhookDesk
from heliograph.insight import Insight
from heliograph.keeper import Keeper
from heliograph.monitoring import Latency, Monitor, Objectives
from heliograph.outbound import OutboundPolicy
from heliograph.prompts.policy import AllowAll, PromptPolicy
from heliograph.quality_watch import QualityWatch
from heliograph.settings import GatewaySettings, LimitSettings
from heliograph.storage.memory import MemoryStore
from heliograph.webhooks import EndpointBook, Signer
from tests.gateway.fake_service import NOW_S, FakeService

OPERATOR_KEY = "hgo_of_this_test"


async def _scrape() -> tuple[bytes, str]:
    return b"jobs_total 3\n", "text/plain; version=1.0.0"


class AuditInMemory:
    """Entries, the oldest first; with `error` nothing can be written."""

    def __init__(self) -> None:
        self.entries: list[Mapping[str, object]] = []
        self.error: Unavailable | None = None

    async def append(self, entry: Mapping[str, object]) -> None:
        if self.error is not None:
            raise self.error
        self.entries.append(entry)

    async def latest(self, count: int) -> tuple[Mapping[str, object], ...]:
        return tuple(reversed(self.entries))[:count]


def an_insight() -> Insight:
    """One that has seen nothing yet."""

    def clock() -> float:
        return NOW_S

    return Insight(
        monitor=Monitor(clock),
        latency=Latency(clock),
        objectives=Objectives(DEFAULT_OBJECTIVES, clock=clock),
        quality=QualityWatch(revisions={}, clock=clock),
    )


@dataclass(kw_only=True)
class Gateway:
    """One application and all it stands on."""

    service: FakeService = field(default_factory=FakeService)
    store: MemoryStore = field(default_factory=MemoryStore)
    kept_blobs: MemoryBlobStore = field(default_factory=MemoryBlobStore)
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    book: EndpointBook = field(default_factory=EndpointBook)
    keys: KeyRing = field(default_factory=KeyRing)
    settings: GatewaySettings = field(default_factory=GatewaySettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    page_dir: Path | None = None
    now_s: float = NOW_S
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    policy: PromptPolicy = field(default_factory=AllowAll)
    credits: list[tuple[TenantId, int]] = field(default_factory=list)
    cancelled: list[JobId] = field(default_factory=list)
    published: list[LifecycleEvent] = field(default_factory=list)
    insight: Insight = field(default_factory=lambda: an_insight())
    audit: AuditInMemory = field(default_factory=lambda: AuditInMemory())
    answered: list[Answered] = field(default_factory=list)

    def app(self) -> FastAPI:
        numbers = itertools.count(1)
        return create_app(
            self.service,
            keys=self.keys,
            settings=self.settings,
            limits=self.limits,
            metrics=_scrape,
            links=PictureLinks(
                keys=self.keys, secret=b"a secret", ttl_s=self.settings.link_ttl_s, clock=lambda: self.now_s
            ),
            desk=WebhookDesk(
                store=self.store,
                book=self.book,
                signer=Signer(bytes(32)),
                policy=OutboundPolicy(),
                endpoints_max=3,
                wake=lambda: None,
                clock=lambda: self.now_s,
                new_id=lambda: f"id{next(numbers)}",
            ),
            keeper=Keeper(
                store=self.store,
                blobs=self.kept_blobs,
                policy=self.retention,
                problems={},
                clock=lambda: self.now_s,
            ),
            page_dir=self.page_dir,
            clock=lambda: self.now_s,
            new_id=lambda: str(next(numbers)),
            closing=self.closing,
            operator_key=OPERATOR_KEY,
            review=self.review_desk(),
            insight=self.insight,
            audit=self.audit,
            observe=self.answered.append,
            accounts=AccountDesk(store=self.store, book=AccountBook(), clock=lambda: self.now_s),
        )

    def review_desk(self) -> ReviewDesk:
        async def cancel(job_id: JobId) -> None:
            self.cancelled.append(job_id)

        return ReviewDesk(
            store=self.store,
            policy=self.policy,
            cancel=cancel,
            publish=self.published.append,
            show=lambda _backlog: None,
            credited=lambda tenant_id, amount: self.credits.append((tenant_id, amount)),
            clock=lambda: self.now_s,
        )

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[httpx.AsyncClient]:
        """Calls in process; a body arrives whole."""
        transport = httpx.ASGITransport(app=self.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield client

    @asynccontextmanager
    async def server(self) -> AsyncGenerator[str]:
        """A real server; gives its base URL."""
        config = uvicorn.Config(self.app(), port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=2)
        server = _Server(config)
        task = asyncio.create_task(server.serve())
        await server.is_up.wait()
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


class _Server(uvicorn.Server):
    """Leaves the signal handlers of the test run alone, and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    async def startup(self, sockets: list | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client


def frames(text: str) -> list[tuple[str, str]]:
    """Events of a stream as (event, data); comments are left out."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    return [tuple(line.partition(": ")[2] for line in block.split("\n")) for block in blocks]  # type: ignore[misc]
