"""Pictures from outside, for tests: files of every kind, and an intake that reads them in this process."""

import asyncio
import io
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from heliograph.delivery.memory import MemoryBlobStore
from heliograph.domain.intake import IntakeLimits
from heliograph.intake import PictureIntake
from heliograph.outbound import Destination, OutboundPolicy, Reply
from heliograph.storage.memory import MemoryStore

LIMITS = IntakeLimits(bytes_max=2_000_000, pixels_max=4_000_000, frames_max=1, stored_pixels_max=250_000)


def a_file(
    size: tuple[int, int] = (60, 40), *, mode: str = "RGB", colour: Any = None, kind: str = "PNG", **options: Any
) -> bytes:
    """A picture of one colour as a file."""
    file = io.BytesIO()
    Image.new(mode, size, colour or 0).save(file, kind, **options)
    return file.getvalue()


class HereProcesses:
    """Runs the work at once; with `dies` no process survives it."""

    def __init__(self, *, dies: bool = False) -> None:
        self.dies = dies
        self.calls = 0

    async def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        return None if self.dies else function(*arguments, **named)


class ScriptedOutbound:
    """Answers calls with what the test has for each host."""

    def __init__(self, replies: Mapping[str, Reply] | None = None) -> None:
        self.replies = replies or {}
        self.called: list[Destination] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def call(self, destination: Destination, *, bytes_max: int, **_: Any) -> Reply:
        self.called.append(destination)
        await self.may_answer.wait()
        reply = self.replies[destination.host]
        return Reply(status=reply.status, duration_s=0.1, reason=reply.reason, body=reply.body[:bytes_max])


def an_intake(
    *,
    blobs: Any = None,
    store: Any = None,
    delivered: Any = None,
    processes: HereProcesses | None = None,
    outbound: ScriptedOutbound | None = None,
    limits: IntakeLimits = LIMITS,
    tenant_bytes_max: int = 10**9,
) -> PictureIntake:
    """An intake in memory."""
    return PictureIntake(
        processes=processes or HereProcesses(),
        blobs=blobs or MemoryBlobStore(),
        store=store or MemoryStore(),
        delivered=delivered or MemoryBlobStore(),
        outbound=outbound or ScriptedOutbound(),
        policy=OutboundPolicy(),
        limits=limits,
        fetch_timeout_s=1.0,
        keep_s=3_600.0,
        tenant_bytes_max=tenant_bytes_max,
        secret=b"a secret",
        clock=lambda: 1_000.0,
    )
