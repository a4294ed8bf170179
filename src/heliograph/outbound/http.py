"""One guarded HTTP call: resolve, check, connect to the very address that was checked, read a bounded answer.

Redirects are never followed, proxies of the environment are not used, and connections are not kept: a kept one would
belong to an address, while its certificate was checked for a name.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address

import httpx

from heliograph.outbound.guard import Address, Destination, OutboundPolicy, refuse_address
from heliograph.outbound.reply import Reply

ADDRESSES_TRIED_MAX = 3
RESOLVE_S_MAX = 5.0

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Addresses of a host, best first. Raises `OSError` when there are none."""


class OutboundHttp:
    """`Outbound` over real connections. `resolve` stands in for the system's resolver, `trust` for its certificates."""

    def __init__(
        self,
        policy: OutboundPolicy,
        *,
        user_agent: str,
        resolve: Resolve | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = policy
        self._resolve = resolve or system_resolve
        self._client = httpx.AsyncClient(
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            verify=trust or ssl.create_default_context(),
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

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
        """See `Outbound.call`."""
        started_s = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._call(destination, method, headers, body, bytes_max, started_s)
        except TimeoutError:
            reason = f"no answer within {timeout_s:g} s"
        except (OSError, ssl.SSLError) as error:
            reason = f"the name cannot be resolved: {error.strerror or error}"
        except httpx.HTTPError as error:
            reason = f"the connection failed: {str(error) or type(error).__name__}"
        return Reply(status=None, reason=reason, duration_s=time.monotonic() - started_s)

    async def _call(
        self,
        destination: Destination,
        method: str,
        headers: Mapping[str, str],
        body: bytes,
        bytes_max: int,
        started_s: float,
    ) -> Reply:
        allowed, problem = await checked_addresses(destination, self._policy, self._resolve)
        if not allowed:
            return Reply(status=None, reason=f"not called: {problem}", duration_s=time.monotonic() - started_s)
        failure: httpx.HTTPError | None = None
        for address in allowed[:ADDRESSES_TRIED_MAX]:
            try:
                return await self._call_address(address, destination, method, headers, body, bytes_max, started_s)
            except httpx.ConnectError as error:  # nothing was sent, so another address may be tried
                failure = error
        assert failure is not None, "no address was tried and none answered"
        raise failure

    async def _call_address(
        self,
        address: Address,
        destination: Destination,
        method: str,
        headers: Mapping[str, str],
        body: bytes,
        bytes_max: int,
        started_s: float,
    ) -> Reply:
        literal = f"[{address}]" if address.version == 6 else str(address)
        async with self._client.stream(
            method,
            f"{destination.scheme}://{literal}:{destination.port}{destination.path}",
            headers={**headers, "Host": destination.authority},
            content=body,
            timeout=None,
            extensions={"sni_hostname": destination.host},
        ) as response:
            received = bytearray()
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) >= bytes_max:
                    break
            return Reply(
                status=response.status_code,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=bytes(received[:bytes_max]),
                duration_s=time.monotonic() - started_s,
            )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()


async def checked_addresses(
    destination: Destination, policy: OutboundPolicy, resolve: Resolve
) -> tuple[Sequence[Address], str]:
    """The addresses to which a connection may be made now, best first; where there are none, why. Raises `OSError`."""
    async with asyncio.timeout(RESOLVE_S_MAX):
        addresses = await resolve(destination.host, destination.port)
    problems = [refuse_address(each, scheme=destination.scheme, policy=policy) for each in addresses]
    allowed = [each for each, problem in zip(addresses, problems, strict=True) if problem is None]
    return allowed, next(filter(None, problems), "it has no address")


async def system_resolve(host: str, port: int) -> Sequence[Address]:
    """What the system's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))
