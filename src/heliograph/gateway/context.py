"""What every route needs, made once by `create_app`."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request

from heliograph.delivery import links
from heliograph.domain.accounts import Caller
from heliograph.domain.errors import CallerError
from heliograph.domain.ids import OutputId
from heliograph.gateway.keys import KeyRing
from heliograph.service import Service
from heliograph.settings import GatewaySettings

_LINK_LIVES_PER_TTL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The service and the gateway's own state. `clock` gives seconds since the epoch; `closing` is set at shutdown."""

    service: Service
    keys: KeyRing
    settings: GatewaySettings
    metrics: Callable[[], tuple[bytes, str]]
    link_secret: bytes
    clock: Callable[[], float]
    closing: asyncio.Event

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
        """The path of a picture, signed unless everybody may read it anyway.

        Expiry is rounded up to a quarter of the lifetime, so that asking again soon gives the same link and a browser
        finds the picture in its cache.
        """
        query = {"variant": "thumbnail"} if is_thumbnail else {}
        if not self.keys.is_open:
            grain_s = max(1, int(self.settings.link_ttl_s / _LINK_LIVES_PER_TTL))
            expires_at_s = (int(self.clock() + self.settings.link_ttl_s) // grain_s + 1) * grain_s
            query |= {
                "expires": str(expires_at_s),
                "signature": links.sign(self.link_secret, output_id, _link_variant(is_thumbnail), expires_at_s),
            }
        return f"/v1/outputs/{output_id}" + (f"?{urlencode(query)}" if query else "")

    def is_valid_link(self, output_id: OutputId, is_thumbnail: bool, *, expires_at_s: int, signature: str) -> bool:
        """The link came from `output_url` and has not expired."""
        variant = _link_variant(is_thumbnail)
        return links.verify(self.link_secret, output_id, variant, expires_at_s, signature, now_s=self.clock())


def _link_variant(is_thumbnail: bool) -> str:
    return "thumbnail" if is_thumbnail else "original"
