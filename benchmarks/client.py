"""A lean HTTP client: on two cores what the client burns is missing from the server.

One `Connection` is one kept-alive HTTP/1.1 connection that carries one exchange at a time. It reads what this server
sends and no more: bodies with a length, and chunked event streams.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Self


class Connection:
    """Use it as an asynchronous context."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def post(self, path: str, body: Mapping[str, object], *, prefer: str = "none") -> dict[str, Any]:
        """The answer's JSON; raises RuntimeError for any status but 2xx."""
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nprefer: {prefer}\r\ncontent-length: {len(data)}\r\n"
        self._writer.write(head.encode() + b"content-type: application/json\r\n\r\n" + data)
        return json.loads(await self._reader.readexactly(await self._length_of_body()))

    async def get(self, path: str) -> bytes:
        """The answer's body; raises RuntimeError for any status but 2xx."""
        self._ask(path)
        return await self._reader.readexactly(await self._length_of_body())

    async def events(self, path: str) -> AsyncGenerator[tuple[bytes, bytes]]:
        """Name and data of each event until the stream ends; comments are left out."""
        self._ask(path)
        await self._head()
        pending = b""
        while chunk_bytes := int(await self._reader.readuntil(b"\r\n"), 16):
            pending += (await self._reader.readexactly(chunk_bytes + 2))[:-2]
            *frames, pending = pending.split(b"\n\n")
            for frame in frames:
                if frame.startswith(b"event: "):
                    name, _, data = frame.removeprefix(b"event: ").partition(b"\ndata: ")
                    yield name, data
        await self._reader.readexactly(2)

    def _ask(self, path: str) -> None:
        self._writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())

    async def _head(self) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        if head[9:10] != b"2":
            raise RuntimeError(f"refused: {head.decode()}{(await self._reader.read(2000)).decode()}")
        return head

    async def _length_of_body(self) -> int:
        head = (await self._head()).lower()
        return int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])


async def make(connection: Connection, body: Mapping[str, object]) -> dict[str, Any]:
    """Submit a job and follow its events to the end; the job as `done` tells it."""
    job = await connection.post("/v1/jobs", body)
    done = b""
    async for name, data in connection.events(f"/v1/jobs/{job['id']}/events"):
        if name == b"done":
            done = data
    finished = json.loads(done)
    if finished["status"] != "completed":
        raise RuntimeError(f"a job ended as {finished['status']}: {finished['error']}")
    return finished
