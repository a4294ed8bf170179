"""API keys: whom a bearer secret belongs to.

A secret is `hg_` and 43 URL-safe characters, 256 random bits; only its SHA-256 is kept. With no key ever made the door
is open and everybody is the tenant `local`. Revoking the last key does not open it again. A reviewer's key opens
moderation and nothing else.
"""

import base64
import hashlib
from collections.abc import Iterable

from heliograph.domain.accounts import LOCAL_CALLER, ApiKey, Caller, Role
from heliograph.domain.errors import AuthenticationError, PermissionDenied
from heliograph.domain.ids import KeyId, TenantId
from heliograph.domain.tiers import Tier

SECRET_PREFIX = "hg_"  # noqa: S105 - marks a secret, is none
ENTROPY_BYTES = 32
_HINT_CHARS = len(SECRET_PREFIX) + 6


def mint(
    *, entropy: bytes, tenant_id: TenantId, tier: Tier, name: str, now_s: float, role: Role = Role.USER
) -> tuple[str, ApiKey]:
    """A new secret, to be shown once, and the key that recognises it. `entropy` is 32 bytes nobody can guess."""
    assert len(entropy) == ENTROPY_BYTES, f"a secret needs {ENTROPY_BYTES} random bytes"
    secret = SECRET_PREFIX + base64.urlsafe_b64encode(entropy).decode().rstrip("=")
    digest = _digest(secret)
    key = ApiKey(
        key_id=KeyId(f"key_{digest[:16]}"),
        secret_sha256=digest,
        hint=secret[:_HINT_CHARS],
        tenant_id=tenant_id,
        tier=tier,
        name=name,
        created_at_s=now_s,
        role=role,
    )
    return secret, key


class KeyRing:
    """The keys this server knows. Share one ring and `replace` its keys when they change."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._is_open = True
        self._callers: dict[str, Caller] = {}
        self._reviewers: dict[str, KeyId] = {}
        self.replace(keys)

    def replace(self, keys: Iterable[ApiKey]) -> None:
        """Know exactly these keys from now on; revoked ones open nothing, but keep the door shut."""
        all_keys = tuple(keys)
        self._is_open = not all_keys
        valid = [key for key in all_keys if key.revoked_at_s is None]
        self._callers = {
            key.secret_sha256: Caller(tenant_id=key.tenant_id, tier=key.tier) for key in valid if key.role is Role.USER
        }
        self._reviewers = {key.secret_sha256: key.key_id for key in valid if key.role is Role.REVIEWER}

    @property
    def is_open(self) -> bool:
        """No key was ever made: everybody is let in, so the server must listen on loopback only."""
        return self._is_open

    def tenants(self) -> tuple[TenantId, ...]:
        """Whoever a key that works belongs to; `local` while there are no keys."""
        if self._is_open:
            return (LOCAL_CALLER.tenant_id,)
        return tuple(sorted({caller.tenant_id for caller in self._callers.values()}))

    def caller(self, authorization: str | None) -> Caller:
        """Whom the `Authorization` header speaks for. Raises `AuthenticationError`.

        Secrets are compared by their digests, so the time this takes tells nothing about a secret that was not sent.
        """
        if self._is_open:
            return LOCAL_CALLER
        if not authorization:
            raise AuthenticationError(
                "No API key was sent. Send the header `Authorization: Bearer hg_...`.", code="missing_api_key"
            )
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise AuthenticationError("The Authorization header must read `Bearer hg_...`.")
        digest = _digest(secret.strip())
        caller = self._callers.get(digest)
        if digest in self._reviewers:
            raise PermissionDenied("This is a reviewer's key: it opens moderation only.", code="reviewer_key")
        if caller is None:
            raise AuthenticationError("The API key is unknown or revoked. `heliograph keys` lists and makes keys.")
        return caller

    def reviewer(self, authorization: str | None) -> KeyId | None:
        """The reviewer's key in the `Authorization` header, or None when it is anything else."""
        scheme, _, secret = (authorization or "").partition(" ")
        return self._reviewers.get(_digest(secret.strip())) if scheme.lower() == "bearer" else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
