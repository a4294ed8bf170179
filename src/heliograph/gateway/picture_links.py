"""Addresses of delivered pictures: paths, signed unless everybody may read them anyway."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from heliograph.delivery import links
from heliograph.domain.ids import OutputId
from heliograph.gateway.keys import KeyRing

_LINK_LIVES_PER_TTL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLinks:
    """Makes links that work for `ttl_s` seconds and knows its own again. `clock` gives seconds since the epoch."""

    keys: KeyRing
    secret: bytes
    ttl_s: float
    clock: Callable[[], float]

    def path(self, output_id: OutputId, is_thumbnail: bool) -> str:
        """The path of a picture.

        Expiry is rounded up to a quarter of the lifetime, so that asking again soon gives the same link and a browser
        finds the picture in its cache.
        """
        query = {"variant": "thumbnail"} if is_thumbnail else {}
        if not self.keys.is_open:
            grain_s = max(1, int(self.ttl_s / _LINK_LIVES_PER_TTL))
            expires_at_s = (int(self.clock() + self.ttl_s) // grain_s + 1) * grain_s
            query |= {
                "expires": str(expires_at_s),
                "signature": links.sign(self.secret, output_id, _link_variant(is_thumbnail), expires_at_s),
            }
        return f"/v1/outputs/{output_id}" + (f"?{urlencode(query)}" if query else "")

    def is_valid(self, output_id: OutputId, is_thumbnail: bool, *, expires_at_s: int, signature: str) -> bool:
        """The link came from `path` and has not expired."""
        variant = _link_variant(is_thumbnail)
        return links.verify(self.secret, output_id, variant, expires_at_s, signature, now_s=self.clock())


def _link_variant(is_thumbnail: bool) -> str:
    return "thumbnail" if is_thumbnail else "original"
