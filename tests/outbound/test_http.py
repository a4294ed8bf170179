"""Guarded calls against a real server on this machine."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from heliograph.outbound import OutboundPolicy, Reply, checked_url, parsed_networks
from heliograph.outbound.guard import Address
from heliograph.outbound.http import OutboundHttp

HERE = OutboundPolicy(allowed=parsed_networks(("127.0.0.1/32",)))

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def receiver(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that reads one request's head and body and lets `handler` answer; gives its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"ontent-" in line and b"ength" in line), 0
        )
        body = await reader.readexactly(length)
        try:
            await handler(head + body, writer)
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def call(
    port: int,
    *,
    policy: OutboundPolicy = HERE,
    addresses: Sequence[str] = ("127.0.0.1",),
    timeout_s: float = 5.0,
    bytes_max: int = 1_000,
) -> Reply:
    async def resolve(host: str, _port: int) -> Sequence[Address]:
        assert host == "receiver.example"
        return tuple(map(ip_address, addresses))

    outbound = OutboundHttp(policy, user_agent="Heliograph/test", resolve=resolve)
    try:
        destination = checked_url(f"http://receiver.example:{port}/hook?a=1", HERE, param="url")
        return await outbound.call(
            destination,
            method="POST",
            headers={"webhook-id": "evt_1"},
            body=b"{}",
            timeout_s=timeout_s,
            bytes_max=bytes_max,
        )
    finally:
        await outbound.close()


def answering(text: bytes, *, seen: list[bytes] | None = None) -> Handler:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        if seen is not None:
            seen.append(request)
        writer.write(text)

    return answer


async def test_the_name_is_in_the_host_header_and_the_connection_goes_to_the_checked_address() -> None:
    seen: list[bytes] = []
    answer = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: 7\r\n\r\nok", seen=seen)
    async with receiver(answer) as port:
        reply = await call(port)
        assert f"\r\nhost: receiver.example:{port}\r\n".encode() in seen[0].lower()
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (200, b"ok", "7")
    assert seen[0].startswith(b"POST /hook?a=1 HTTP/1.1\r\n")
    assert seen[0].endswith(b"\r\n\r\n{}")
    assert b"webhook-id: evt_1" in seen[0]


@pytest.mark.parametrize("addresses", [["127.0.0.2"], ["10.0.0.1", "::1"], ["::ffff:127.0.0.2"], []])
async def test_nothing_is_sent_to_an_address_that_is_not_allowed(addresses: list[str]) -> None:
    seen: list[bytes] = []
    async with receiver(answering(b"HTTP/1.1 200 OK\r\n\r\n", seen=seen)) as port:
        reply = await call(port, addresses=addresses)
    assert reply.status is None
    assert reply.reason is not None
    assert reply.reason.startswith("not called:")
    assert seen == []


async def test_an_allowed_address_among_others_is_the_one_that_is_called() -> None:
    async with receiver(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as port:
        assert (await call(port, addresses=["169.254.169.254", "127.0.0.1"])).status == 204


CERTIFICATES = Path(__file__).parent / "certificates"
"""Of `receiver.example`, signed by an authority nobody else knows; good for a hundred years from 2026."""


@pytest.mark.parametrize(("host", "status"), [("receiver.example", 200), ("other.example", None)])
async def test_a_certificate_is_checked_against_the_name_and_not_the_address(host: str, status: int | None) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        return (ip_address("127.0.0.1"),)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATES / "receiver.pem", CERTIFICATES / "receiver.key")
    names: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    trust = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    outbound = OutboundHttp(HERE, user_agent="t", resolve=resolve, trust=trust)
    async with receiver(answering(b"HTTP/1.1 200 OK\r\n\r\n"), tls=tls) as port:
        destination = checked_url(f"https://{host}:{port}/", HERE, param="url")
        reply = await outbound.call(destination, method="POST", headers={}, timeout_s=5, bytes_max=10)
    await outbound.close()
    assert reply.status == status
    assert names == [host]
    if status is None:
        assert "certificate" in (reply.reason or "").lower()


async def test_redirects_are_not_followed() -> None:
    seen: list[bytes] = []
    away = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    async with receiver(answering(away, seen=seen)) as port:
        assert (await call(port)).status == 302
    assert len(seen) == 1


async def test_the_answer_is_cut_at_its_bound() -> None:
    async def flood(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(1_000):
            writer.write(b"x" * 100_000)
            await writer.drain()

    async with receiver(flood) as port:
        reply = await call(port, bytes_max=500)
    assert (reply.status, len(reply.body)) == (200, 500)


async def test_a_receiver_that_says_nothing_is_given_up_in_time() -> None:
    is_over = asyncio.Event()

    async def hang(_request: bytes, _writer: asyncio.StreamWriter) -> None:
        await is_over.wait()

    async with receiver(hang) as port:
        reply = await call(port, timeout_s=0.05)
        is_over.set()
    assert (reply.status, reply.reason) == (None, "no answer within 0.05 s")


async def test_a_refused_connection_and_nonsense_are_no_answers() -> None:
    async with receiver(answering(b"SSH-2.0-nonsense\r\n")) as port:
        nonsense = await call(port)
    refused = await call(port)
    for reply in (nonsense, refused):
        assert reply.status is None
        assert reply.reason is not None
        assert reply.reason.startswith("the connection failed:")


async def test_a_name_that_does_not_resolve_is_no_answer() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        raise OSError("no such name")

    outbound = OutboundHttp(HERE, user_agent="t", resolve=resolve)
    destination = checked_url("https://nowhere.example", HERE, param="url")
    reply = await outbound.call(destination, method="GET", headers={}, timeout_s=5, bytes_max=10)
    await outbound.close()
    assert (reply.status, reply.reason) == (None, "the name cannot be resolved: no such name")


async def test_the_systems_resolver_is_asked_by_default() -> None:
    outbound = OutboundHttp(OutboundPolicy(), user_agent="t")
    policy = OutboundPolicy(allowed=parsed_networks(("192.0.2.0/24",)))
    destination = checked_url("http://localhost:9/", policy, param="url")
    reply = await outbound.call(destination, method="GET", headers={}, timeout_s=5, bytes_max=10)
    await outbound.close()
    assert reply.reason is not None
    assert reply.reason.startswith("not called: it leads into a network that is not public")
