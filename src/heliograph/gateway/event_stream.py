"""Server-sent events: frames, throttled progress, heartbeats, and a prompt end when either side goes away.

One loop waits for whatever comes first: the next frame, the client's hang-up, the server's shutdown, a heartbeat due.
The source of the frames is an asynchronous iterator; a wait for its next item is kept over heartbeats, never cancelled
and repeated, because cancelling it would end the iterator.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from heliograph.domain.errors import AuthenticationError, CallerError, HeliographError
from heliograph.gateway.errors import error_object
from heliograph.gateway.wire import to_json

KEEP_ALIVE = b": keep-alive\n\n"


class Weight(Enum):
    """How a frame relates to the progress around it."""

    PROGRESS = auto()
    """A newer one makes it worthless, so it may be thinned out."""
    PICTURE = auto()
    STATE = auto()
    """Makes progress from before it worthless."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event, encoded."""

    data: bytes
    weight: Weight


def frame(event: str, data: Mapping[str, object], weight: Weight = Weight.STATE) -> Frame:
    """The event `event` with JSON data, in ASCII: some clients end a line at U+2028 or U+0085 too."""
    return Frame(b"event: %s\ndata: %s\n\n" % (event.encode(), to_json(data, is_ascii=True)), weight)


def error_frame(error: HeliographError) -> Frame:
    """The event that ends a stream early."""
    return frame("error", {"type": "error", "error": error_object(error)})


class Throttle:
    """Lets progress through at most every `interval_s` seconds and keeps the newest of what came too early."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._next_at_s = 0.0
        self._held: Frame | None = None

    def pass_or_hold(self, frame: Frame, *, now_s: float) -> Frame | None:
        """`frame` when it may be sent now; else None, and it is held."""
        if frame.weight is Weight.PROGRESS:
            self._held = frame
            return self.due(now_s=now_s)
        if frame.weight is Weight.STATE:
            self._held = None
        return frame

    def due(self, *, now_s: float) -> Frame | None:
        """The held progress once its time has come."""
        if self._held is None or now_s < self._next_at_s:
            return None
        progress, self._held = self._held, None
        self._next_at_s = now_s + self._interval_s
        return progress

    def due_in_s(self, *, now_s: float) -> float | None:
        """Seconds until something held may be sent, None when nothing is."""
        return None if self._held is None else max(0.0, self._next_at_s - now_s)


class Departure(Enum):
    """Who ends an exchange before its time."""

    CLIENT = auto()
    SERVER = auto()


@asynccontextmanager
async def departures(receive: Receive, closing: asyncio.Event) -> AsyncGenerator[asyncio.Task[Departure]]:
    """A task that ends when the client hangs up or the server closes. The request's body must have been read."""

    async def client_left() -> None:
        with suppress(CallerError):  # it sends a body beyond the limit where none is expected: not a client to talk to
            while (await receive())["type"] != "http.disconnect":
                pass

    async def first() -> Departure:
        async with asyncio.TaskGroup() as tasks:
            client = tasks.create_task(client_left())
            server = tasks.create_task(closing.wait())
            await asyncio.wait({client, server}, return_when=asyncio.FIRST_COMPLETED)
            departure = Departure.CLIENT if client.done() else Departure.SERVER
            client.cancel()
            server.cancel()
        return departure

    task = asyncio.create_task(first())
    try:
        yield task
    finally:
        await abandon(task)


async def abandon(task: asyncio.Task[Any]) -> None:
    """Cancel the task and wait until it has let go; its outcome no longer matters."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


class EventStream(Response):
    """Sends `frames` until they end. `farewell` is sent when the server closes first.

    `check_key` is asked before anything is sent and raises `AuthenticationError` once the key no longer counts; that
    error is then the last event. `on_hang_up` runs when the client goes first, `release` always and last.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncGenerator[Frame],
        *,
        heartbeat_s: float,
        progress_interval_s: float,
        closing: asyncio.Event,
        farewell: bytes,
        check_key: Callable[[], object],
        release: Callable[[], Awaitable[object]],
        on_hang_up: Callable[[], Awaitable[object]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})})
        self._frames = frames
        self._heartbeat_s = heartbeat_s
        self._throttle = Throttle(progress_interval_s)
        self._closing = closing
        self._farewell = farewell
        self._check_key = check_key
        self._release = release
        self._on_hang_up = on_hang_up

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with departures(receive, self._closing) as departure:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                ended_by = await self._pump(departure, send)
            if ended_by is not Departure.CLIENT:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif self._on_hang_up is not None:
                await self._on_hang_up()
        finally:
            await self._frames.aclose()
            await self._release()

    async def _pump(self, departure: asyncio.Task[Departure], send: Send) -> Departure | None:
        """Send frames until there are no more or the key is refused (None), or until somebody goes."""

        async def write(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        clock = asyncio.get_running_loop().time
        upcoming: asyncio.Task[Frame | None] | None = None
        try:
            while True:
                upcoming = upcoming or asyncio.create_task(_next(self._frames))
                due_in_s = self._throttle.due_in_s(now_s=clock())
                await asyncio.wait(
                    {upcoming, departure},
                    timeout=self._heartbeat_s if due_in_s is None else min(due_in_s, self._heartbeat_s),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                # What a job said just before the shutdown still gets out.
                if departure.done() and (departure.result() is Departure.CLIENT or not upcoming.done()):
                    if departure.result() is Departure.SERVER:
                        await write(self._farewell)
                    return departure.result()
                try:
                    self._check_key()
                except AuthenticationError as error:
                    await write(error_frame(error).data)
                    return None
                if not upcoming.done():
                    progress = self._throttle.due(now_s=clock())
                    if progress is not None:
                        await write(progress.data)
                    elif due_in_s is None or due_in_s > self._heartbeat_s:
                        await write(KEEP_ALIVE)
                    continue
                item, upcoming = upcoming.result(), None
                if item is None:
                    return None
                item = self._throttle.pass_or_hold(item, now_s=clock())
                if item is not None:
                    await write(item.data)
        finally:
            if upcoming is not None:
                await abandon(upcoming)


async def _next(frames: AsyncIterator[Frame]) -> Frame | None:
    return await anext(frames, None)


def base64_text(data: bytes) -> str:
    """Bytes as they travel inside JSON."""
    return base64.b64encode(data).decode()
