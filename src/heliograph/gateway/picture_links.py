"""Addresses of delivered pictures: paths, or the edge's addresses; signed unless everybody may read them anyway."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from heliograph.delivery import links
from heliograph.delivery.edge_signatures import EdgeSign
from heliograph.domain.ids import OutputId
from heliograph.gateway.keys import KeyRing

_LINK_LIVES_PER_TTL = 4
PRESIGNED_S = 300.0
"""How long an address of the object store's own works: a reader follows it at once, and a deletion makes it useless."""

Presign = Callable[[str, float], Awaitable[str | None]]
"""Name of a file and seconds → an address of the object store's own that works so long; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A caching edge in front of the pictures, at `base_url`.

    With `sign` it checks links by itself and may keep copies for `ttl_s` seconds, and show them for `stale_s` more
    while it fetches them anew; without, it keeps each no longer than its link lives.
    """

    base_url: str
    sign: EdgeSign | None = None
    ttl_s: float = 0.0
    stale_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLinks:
    """Makes links that work for `ttl_s` seconds and knows its own again. `clock` gives seconds since the epoch."""

    keys: KeyRing
    secret: bytes
    ttl_s: float
    clock: Callable[[], float]
    edge: Edge | None = None
    presign: Presign | None = None

    def path(self, output_id: OutputId, is_thumbnail: bool) -> str:
        """The path of a picture, or its address where there is an edge.

        Expiry is rounded up to a quarter of the lifetime, so that asking again soon gives the same link and a browser
        finds the picture in its cache.
        """
        path, variant = f"/v1/outputs/{output_id}", _link_variant(is_thumbnail)
        query = {"variant": "thumbnail"} if is_thumbnail else {}
        edge = self.edge
        if not self.keys.is_open or (edge is not None and edge.sign is not None):
            grain_s = max(1, int(self.ttl_s / _LINK_LIVES_PER_TTL))
            expires_at_s = (int(self.clock() + self.ttl_s) // grain_s + 1) * grain_s
            query |= {
                "expires": str(expires_at_s),
                "signature": links.sign(self.secret, output_id, variant, expires_at_s),
            }
            if edge is not None and edge.sign is not None:
                query |= edge.sign(path, variant, expires_at_s)
        base_url = "" if edge is None else edge.base_url
        return base_url + path + (f"?{urlencode(query)}" if query else "")

    def is_valid(self, output_id: OutputId, is_thumbnail: bool, *, expires_at_s: int, signature: str) -> bool:
        """The link came from `path` and has not expired."""
        variant = _link_variant(is_thumbnail)
        return links.verify(self.secret, output_id, variant, expires_at_s, signature, now_s=self.clock())

    async def served_elsewhere(self, name: str) -> str | None:
        """An address of the object store's own for a file, None where this server sends it."""
        return None if self.presign is None else await self.presign(name, PRESIGNED_S)

    def shared_cache(self, *, expires_at_s: int) -> str:
        """`Cache-Control` of what a link shows. Who does not check links keeps nothing longer than the link lives."""
        left_s = max(0, int(expires_at_s - self.clock()))
        edge = self.edge
        if edge is None or edge.sign is None:
            return f"public, max-age={left_s}, immutable"
        stale = f"stale-while-revalidate={int(edge.stale_s)}, stale-if-error={int(edge.stale_s)}"
        return f"public, max-age={left_s}, s-maxage={int(edge.ttl_s)}, {stale}, immutable"


def absolute(base_url: str, address: str) -> str:
    """An address that `PictureLinks.path` made, wherever it leads, seen from outside of `base_url`."""
    return address if address.startswith(("https://", "http://")) else base_url + address


def _link_variant(is_thumbnail: bool) -> str:
    return "thumbnail" if is_thumbnail else "original"
