"""Calls that an engine makes to servers elsewhere, in a thread of its own, so that it can say meanwhile that it waits.

An engine is a plain generator and what it calls takes minutes. `Caller` runs the guarded calls on an event loop beside
it; `waited_for` hands out `EngineWaits` until the answer is there. A server's own words are read to tell failures apart
and never passed on: they may quote the prompt.
"""

import asyncio
import json
import os
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NoReturn, TypeVar, cast
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection

from heliograph import __version__
from heliograph.domain.errors import EngineError, EngineErrorKind, InvalidRequest
from heliograph.domain.run import RunOrder
from heliograph.inference.engine import EngineWaits
from heliograph.inference.failures import kind_of
from heliograph.outbound import Destination, OutboundPolicy, Reply, checked_url, parsed_networks
from heliograph.outbound.guard import Network
from heliograph.outbound.http import OutboundHttp
from heliograph.outbound.websocket import open_websocket

WAIT_S = 0.25
"""How long an engine is deaf while it waits: a cancelled run is left within this time."""
CLOSE_S_MAX = 1.0
ANSWER_BYTES_MAX = 128 << 20
BUSY_S = 2.0
BUSY_S_MAX = 30.0
"""Between two tries of a server that says it is busy, where it does not say itself."""

T = TypeVar("T")
_BUSY = frozenset({429, 503})
_USER_AGENT = f"Heliograph/{__version__}"


class Caller:
    """Calls to one of several replicas, with one key. A process that ends takes its calls with it."""

    def __init__(self, urls: Sequence[str], *, networks: Sequence[str], key_env: str | None, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._policy = OutboundPolicy(allowed=(*parsed_networks(tuple(networks)), *_addresses_in(urls)))
        try:
            self._replicas = [checked_url(url, self._policy, param="urls") for url in urls]
        except InvalidRequest as error:
            raise EngineError(EngineErrorKind.BAD_INPUT, error.message) from error
        self._turn = os.getpid()  # workers of one model begin with different replicas
        self._headers = _authorisation(key_env)
        self._http = OutboundHttp(self._policy, user_agent=_USER_AGENT)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="calls", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Drop what is under way. A worker need not, its process ends; whoever holds several engines should."""

        async def drop() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:  # what only tidies up may end
                _, others = await asyncio.wait(others, timeout=CLOSE_S_MAX)
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._http.close()

        self.spawn(drop()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def replicas(self) -> Sequence[Destination]:
        """Where the model is served."""
        return self._replicas

    def next_replica(self) -> Destination:
        """The one whose turn it is. What it answers has a meaning only there: stay with it for the whole run."""
        self._turn += 1
        return self._replicas[self._turn % len(self._replicas)]

    def spawn(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run it beside the engine."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def start(
        self,
        replica: Destination,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        content_type: str | None = None,
        timeout_s: float | None = None,
    ) -> "Future[Reply]":
        """Begin a call to the replica's `path` (with its query)."""
        return self.spawn(self.answer(replica, method, path, body=body, content_type=content_type, timeout_s=timeout_s))

    async def answer(
        self,
        replica: Destination,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        content_type: str | None = None,
        timeout_s: float | None = None,
    ) -> Reply:
        """The answer, for coroutines that were spawned here."""
        return await self._http.call(
            at(replica, path),
            method=method,
            headers=self._headers if content_type is None else {**self._headers, "Content-Type": content_type},
            body=body,
            timeout_s=self.timeout_s if timeout_s is None else timeout_s,
            bytes_max=ANSWER_BYTES_MAX,
        )

    def call(
        self,
        replica: Destination,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        content_type: str | None = None,
        timeout_s: float | None = None,
    ) -> Generator[EngineWaits, None, Reply]:
        """The answer, whatever it says. A server that is busy is asked again, within the time a run may take."""
        deadline_s = time.monotonic() + self.timeout_s
        while True:
            reply = yield from waited_for(
                self.start(replica, method, path, body=body, content_type=content_type, timeout_s=timeout_s)
            )
            pause_s = _pause_s(reply)
            if pause_s is None or time.monotonic() + pause_s > deadline_s:
                return reply
            yield from waited_for(self.spawn(asyncio.sleep(pause_s)))

    @asynccontextmanager
    async def websocket(self, replica: Destination, path: str) -> AsyncGenerator[ClientConnection]:
        """A WebSocket to the replica. Raises `OSError`. For coroutines that were spawned here."""
        connection = await open_websocket(
            at(replica, path), self._policy, user_agent=_USER_AGENT, message_bytes_max=ANSWER_BYTES_MAX
        )
        async with connection:
            yield connection


def no_checkpoint() -> NoReturn:
    """The checkpoint of a run that cannot be taken up again; nobody asks for it."""
    raise AssertionError("runs on other servers cannot be taken up again")


def measured(pixels: NDArray[np.uint8], order: RunOrder, replica: Destination) -> NDArray[np.uint8]:
    """The frames of one picture, as many and as large as was ordered. Raises `EngineError` naming the field."""
    frames, height_px, width_px, _ = pixels.shape
    if (width_px, height_px) != (order.width_px, order.height_px):
        raise EngineError(
            EngineErrorKind.UNSUPPORTED_PARAMETER,
            f"size: {replica.origin} made {width_px}x{height_px} instead of {order.width_px}x{order.height_px}; "
            "the operator has to narrow the model's sizes in the catalogue",
        )
    if frames != order.frames:
        raise EngineError(
            EngineErrorKind.UNSUPPORTED_PARAMETER,
            f"frames: {replica.origin} made {frames} instead of {order.frames}; the operator has to narrow the model's "
            "frames in the catalogue, or to set the workflow's batch size to 1",
        )
    return pixels


def at(replica: Destination, path: str) -> Destination:
    """The place below the replica's own path; `path` begins with a slash."""
    return replace(replica, path=replica.path.rstrip("/") + path)


def waited_for(future: "Future[T]") -> Generator[EngineWaits, None, T]:
    """What comes of it. Who closes the generator meanwhile leaves it to itself."""
    while True:
        try:
            return future.result(WAIT_S)
        except TimeoutError:
            if future.done():
                raise
            yield EngineWaits()


def as_json(value: object) -> tuple[bytes, str]:
    """Body and content type."""
    return json.dumps(value).encode(), "application/json"


def as_form(fields: Mapping[str, object], files: Sequence[tuple[str, str, str, bytes]] = ()) -> tuple[bytes, str]:
    """Body and content type of a form. Each file is (field, file name, media type, content)."""
    boundary = secrets.token_hex(16)
    parts: list[bytes] = []
    for name, value in fields.items():
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    for name, file_name, media_type, content in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{quote(file_name)}"\r\n'
        parts += [head.encode(), f"Content-Type: {media_type}\r\n\r\n".encode(), content, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def read_json(reply: Reply, replica: Destination) -> Mapping[str, Any]:
    """The object in a reply that must be one. Raises `EngineError` for failures, each with its kind."""
    refuse_failure(reply, replica)
    try:
        value: object = json.loads(reply.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise EngineError(EngineErrorKind.INTERNAL, f"{replica.origin} did not answer with a JSON object")
    return cast(Mapping[str, Any], value)


def as_table(value: object) -> Mapping[str, Any]:
    """A JSON object's fields; none where the server sent something else."""
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}


def as_tables(value: object) -> Sequence[Mapping[str, Any]]:
    """The objects in a JSON list; none where the server sent something else."""
    return [cast(Mapping[str, Any], each) for each in as_list(value) if isinstance(each, dict)]


def as_list(value: object) -> Sequence[object]:
    """A JSON list's items; none where the server sent something else."""
    return cast(list[object], value) if isinstance(value, list) else ()


def refuse_failure(reply: Reply, replica: Destination) -> None:
    """Raises `EngineError` unless the call succeeded."""
    status, origin = reply.status, replica.origin
    if status is None:
        is_late = (reply.reason or "").startswith("no answer")
        kind = EngineErrorKind.TIMEOUT if is_late else EngineErrorKind.CRASH
        raise EngineError(kind, f"{origin} did not answer: {reply.reason}")
    if len(reply.body) >= ANSWER_BYTES_MAX:
        raise EngineError(EngineErrorKind.INTERNAL, f"{origin} answered with more than {ANSWER_BYTES_MAX >> 20} MiB")
    if 200 <= status < 300:
        return
    if status in (401, 403):
        raise EngineError(EngineErrorKind.INTERNAL, f"{origin} does not accept the key ({status})")
    if status in _BUSY:
        raise EngineError(EngineErrorKind.TIMEOUT, f"{origin} was busy all the time ({status})")
    if status == 404:
        # An id is known to the replica that gave it, until that one is started again.
        raise EngineError(EngineErrorKind.CRASH, f"{origin} does not know what it was asked for ({status})")
    if status < 500:
        raise EngineError(EngineErrorKind.UNSUPPORTED_PARAMETER, f"{origin} refused the request ({status})")
    kind = kind_of(RuntimeError(reply.body[:10_000].decode(errors="replace")))
    raise EngineError(kind, f"{origin} failed ({status})")


def _pause_s(reply: Reply) -> float | None:
    """How long to wait before the same call is made again; None where that is pointless."""
    if reply.status not in _BUSY:
        return None
    try:
        said_s = float(reply.headers.get("retry-after", BUSY_S))
    except ValueError:
        said_s = BUSY_S
    return min(max(said_s, 0.1), BUSY_S_MAX)


def _addresses_in(urls: Sequence[str]) -> list[Network]:
    """The addresses that the operator wrote down as such: those are meant, wherever they lead."""
    hosts = [urlsplit(url).hostname or "" for url in urls]
    return [network for host in hosts for network in _network_of(host)]


def _network_of(host: str) -> tuple[Network, ...]:
    try:
        return parsed_networks((host,))
    except ValueError:
        return ()


def _authorisation(key_env: str | None) -> Mapping[str, str]:
    if key_env is None:
        return {}
    key = os.environ.get(key_env, "")
    if not key:
        raise EngineError(EngineErrorKind.BAD_INPUT, f"the environment variable {key_env} (key_env) holds no key")
    return {"Authorization": f"Bearer {key}"}
