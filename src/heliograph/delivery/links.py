"""Links that open one picture for whoever holds them, until they expire, so that an `<img>` tag works without a key."""

import base64
import hashlib
import hmac

from heliograph.domain.ids import OutputId

_SIGNATURE_BYTES = 18
"""144 bits, 24 characters without padding: far beyond guessing, short in a URL."""


def sign(secret: bytes, output_id: OutputId, variant: str, expires_at_s: int) -> str:
    """URL-safe signature of the right to fetch `variant` of a picture until `expires_at_s` (Unix time)."""
    message = f"{output_id}\n{variant}\n{expires_at_s}".encode()
    digest = hmac.digest(secret, message, hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode("ascii")


def verify(
    secret: bytes, output_id: OutputId, variant: str, expires_at_s: int, signature: str, *, now_s: float
) -> bool:
    """The signature is ours for exactly these values, and `now_s` is before the link expires. Takes constant time."""
    expected = sign(secret, output_id, variant, expires_at_s)
    is_ours = hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogatepass"))
    return is_ours and now_s < expires_at_s
