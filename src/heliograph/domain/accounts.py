"""Who calls: tenants, their keys, and what was refused to them."""

from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.ids import KeyId, TenantId
from heliograph.domain.tiers import Tier


class Role(StrEnum):
    """What a key is for. Reviewers decide moderation cases of every tenant, and do nothing else."""

    USER = "user"
    REVIEWER = "reviewer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key. Only the SHA-256 of the secret is kept: secrets carry 256 random bits, so a slow hash adds nothing.

    `hint` is the first few characters of the secret, enough for a person to tell keys apart.
    """

    key_id: KeyId
    secret_sha256: str
    hint: str
    tenant_id: TenantId
    tier: Tier
    name: str
    created_at_s: float
    revoked_at_s: float | None = None
    role: Role = Role.USER


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """On whose behalf a call is made."""

    tenant_id: TenantId
    tier: Tier


LOCAL_CALLER = Caller(tenant_id=TenantId("local"), tier=Tier.STANDARD)
"""Everybody, while no keys are configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A request that never became a job. No prompt text is kept, only where and why it was refused."""

    refusal_id: str
    tenant_id: TenantId
    stage: str
    category: str
    param: str | None
    at_s: float
