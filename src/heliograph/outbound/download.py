"""A guarded download: like `http.py`, but as long as it takes, from any byte on, and along redirects.

Every hop of a redirect is checked as the first address was, and a key goes only to the origin it is for.
"""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urljoin

import httpx

from heliograph.domain.errors import InvalidRequest
from heliograph.outbound.guard import Destination, OutboundPolicy, checked_url
from heliograph.outbound.http import Resolve, checked_addresses, system_resolve

REDIRECTS_MAX = 5
SILENCE_S_MAX = 30.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """An answer that is being read: 200 begins at the first byte, 206 at the one that was asked for."""

    status: int
    chunks: AsyncIterator[bytes]


class Downloads:
    """Makes them. `resolve` stands in for the system's resolver."""

    def __init__(self, policy: OutboundPolicy, *, user_agent: str, resolve: Resolve = system_resolve) -> None:
        self._policy = policy
        self._resolve = resolve
        self._client = httpx.AsyncClient(
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            verify=ssl.create_default_context(),
            follow_redirects=False,
            trust_env=False,
            timeout=SILENCE_S_MAX,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    @asynccontextmanager
    async def open(
        self, destination: Destination, *, headers: Mapping[str, str], first_byte: int = 0
    ) -> AsyncGenerator[Download]:
        """The answer. Raises `OSError` with a sentence where none comes, also while it is read."""
        origin, there = destination.origin, destination
        try:
            for _ in range(REDIRECTS_MAX + 1):
                given = {name: value for name, value in headers.items() if there.origin == origin}
                response = await self._ask(there, given, first_byte)
                if response.status_code in _REDIRECTS:
                    await response.aclose()
                    there = self._next(there, response.headers.get("location", ""))
                    continue
                try:
                    yield Download(status=response.status_code, chunks=response.aiter_raw())
                finally:
                    await response.aclose()
                return
        except httpx.HTTPError as error:
            raise OSError(f"the connection failed: {str(error) or type(error).__name__}") from error
        raise OSError(f"there were more than {REDIRECTS_MAX} redirects")

    async def _ask(self, there: Destination, headers: Mapping[str, str], first_byte: int) -> httpx.Response:
        allowed, problem = await checked_addresses(there, self._policy, self._resolve)
        if not allowed:
            raise OSError(f"not called: {problem}")
        literal = f"[{allowed[0]}]" if allowed[0].version == 6 else str(allowed[0])
        ranged = {"Range": f"bytes={first_byte}-"} if first_byte else {}
        request = self._client.build_request(
            "GET",
            f"{there.scheme}://{literal}:{there.port}{there.path}",
            headers={**headers, **ranged, "Host": there.authority},
            extensions={"sni_hostname": there.host},
        )
        return await self._client.send(request, stream=True)

    def _next(self, there: Destination, location: str) -> Destination:
        try:
            return checked_url(urljoin(f"{there.origin}{there.path}", location), self._policy, param="redirect")
        except InvalidRequest as error:
            raise OSError(f"a redirect leads nowhere: {error.message}") from error

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()
