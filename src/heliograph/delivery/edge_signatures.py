"""Signatures that a caching edge checks by itself, so that it need not ask for every picture it has.

They are put into a link beside our own signature (`links.py`): the edge checks its own, and we check ours when the edge
fetches what it does not have. Each is for one picture and either its thumbnail or everything else of it, until a time.
"""

import base64
import hashlib
import json
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

EdgeSign = Callable[[str, str, int], dict[str, str]]
"""Path, variant (`thumbnail` or `original`) and Unix time of expiry → what the query gets besides."""

_CLOUDFRONT = str.maketrans("+=/", "-_~")


def nginx_signer(secret: str) -> EdgeSign:
    """For nginx's `secure_link_md5 "$secure_link_expires$uri $link_variant SECRET"`.

    MD5 is what the module has. The secret comes last, so that nobody can add to what was signed without knowing it.
    """

    def sign(path: str, variant: str, expires_at_s: int) -> dict[str, str]:
        digest = hashlib.md5(f"{expires_at_s}{path} {variant} {secret}".encode(), usedforsecurity=False).digest()
        return {"md5": base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")}

    return sign


def cloudfront_signer(base_url: str, key_id: str, private_key_pem: bytes) -> EdgeSign:
    """For CloudFront's signed URLs with a custom policy. Raises `ValueError` for a key that is neither RSA nor ECDSA.

    The policy ends in a wildcard, so that formats and widths of the same picture work with it.
    """
    key = load_pem_private_key(private_key_pem, password=None)
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise ValueError("CloudFront takes RSA keys of 2048 bits and ECDSA keys on P-256")

    def signed(policy: bytes) -> bytes:
        # SHA-1 is what CloudFront takes; who is to be kept from forging cannot choose what is signed.
        if isinstance(key, RSAPrivateKey):
            return key.sign(policy, PKCS1v15(), hashes.SHA1())  # noqa: S303
        return key.sign(policy, ECDSA(hashes.SHA1()))  # noqa: S303

    def sign(path: str, variant: str, expires_at_s: int) -> dict[str, str]:
        resource = f"{base_url}{path}?variant=thumbnail*" if variant == "thumbnail" else f"{base_url}{path}*"
        condition = {"DateLessThan": {"AWS:EpochTime": expires_at_s}}
        statement = {"Statement": [{"Resource": resource, "Condition": condition}]}
        policy = json.dumps(statement, separators=(",", ":")).encode()
        return {"Policy": _spelled(policy), "Signature": _spelled(signed(policy)), "Key-Pair-Id": key_id}

    return sign


def _spelled(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").translate(_CLOUDFRONT)
