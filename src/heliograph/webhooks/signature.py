"""Signatures as Standard Webhooks 1.0.0 has them, with secrets that are derived instead of stored.

A secret has to be at hand for every signature, so a hash of it would not do. It is the HMAC of whose it is under the
installation's key, which lies in a file of its own beside the database: a copy of the database holds no secret, and
there is nothing to encrypt. Another generation of a secret is another HMAC. Whoever loses the key file must hand out
all secrets anew.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass

SECRET_PREFIX = "whsec_"  # noqa: S105 - marks a secret, is none
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Signer:
    """Knows the installation's key, `KEY_BYTES` random bytes; its `repr` does not tell it."""

    _key: bytes

    def __post_init__(self) -> None:
        assert len(self._key) == KEY_BYTES, f"the key of the webhooks needs {KEY_BYTES} bytes"

    def __repr__(self) -> str:
        return "Signer(…)"

    def secret(self, owner: str, generation: int) -> str:
        """The secret of `owner` (an endpoint, or a tenant's jobs) as receivers are given it."""
        return SECRET_PREFIX + base64.b64encode(self._bytes(owner, generation)).decode()

    def headers(self, owner: str, *generations: int, event_id: str, at_s: int, body: bytes) -> dict[str, str]:
        """The three headers of one delivery at `at_s`, in whole seconds since the epoch, signed by each generation."""
        content = b"%s.%d.%s" % (event_id.encode(), at_s, body)
        signatures = [
            "v1," + base64.b64encode(hmac.digest(self._bytes(owner, each), content, hashlib.sha256)).decode()
            for each in generations
        ]
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(at_s),
            "webhook-signature": " ".join(signatures),
        }

    def _bytes(self, owner: str, generation: int) -> bytes:
        return hmac.digest(self._key, f"webhook:{generation}:{owner}".encode(), hashlib.sha256)
