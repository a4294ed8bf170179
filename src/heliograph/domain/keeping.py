"""How long pictures stay and where: what is written down beside each of them, and what is left of those that went."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from heliograph.domain.ids import JobId, ModelId, OutputId, TenantId
from heliograph.domain.pictures import Output
from heliograph.domain.tiers import Tier


class StorageTier(StrEnum):
    """From what is at hand to what is hardly there any more."""

    HOT = "hot"
    COOL = "cool"
    """A cheaper medium that answers as quickly, or nearly."""
    ARCHIVE = "archive"
    """A medium for what nobody looks at any more."""
    RECIPE = "recipe"
    """Only the thumbnail, the request, the seed and the digests: the picture can be made again."""


class DeletionReason(StrEnum):
    """On whose account a picture went."""

    TENANT = "tenant"
    OPERATOR = "operator"
    RETENTION = "retention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What decides how long a picture stays. `plan` is the tier of its job; `size_bytes` are those of its first files,
    picture and thumbnail; variants that came later have their own.

    A star is the tenant's wish to keep it, a hold the operator's order: nothing deletes a picture that has a hold.
    """

    output_id: OutputId
    job_id: JobId
    tenant_id: TenantId
    plan: Tier
    model_id: ModelId
    created_at_s: float
    size_bytes: int
    storage_tier: StorageTier = StorageTier.HOT
    moved_at_s: float | None = None
    starred_at_s: float | None = None
    held_at_s: float | None = None

    @property
    def is_kept(self) -> bool:
        """It has a star or a hold."""
        return self.starred_at_s is not None or self.held_at_s is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """The record of a deletion, which stays. `sha256` is the delivered file's, `files` the names of all its files.

    `done_at_s` is when the last of the files and the last copy outside was gone, None while some may still be there.
    """

    deletion_id: str
    output_id: OutputId
    job_id: JobId
    tenant_id: TenantId
    reason: DeletionReason
    at_s: float
    sha256: str
    size_bytes: int
    files: tuple[str, ...]
    done_at_s: float | None = None

    @classmethod
    def of(cls, output: Output, reason: DeletionReason, *, at_s: float) -> Self:
        """The deletion of a picture; a second one of the same picture has the same id."""
        return cls(
            deletion_id=f"del_{output.output_id}",
            output_id=output.output_id,
            job_id=output.job_id,
            tenant_id=output.tenant_id,
            reason=reason,
            at_s=at_s,
            sha256=output.sha256,
            size_bytes=output.size_bytes,
            files=output.blobs,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Pictures that agree in these, counted. `age_days_min` is the lower end of their age, in days.

    `is_kept` says that they have a star or a hold.
    """

    tenant_id: TenantId
    plan: Tier
    storage_tier: StorageTier
    age_days_min: int
    is_kept: bool
    outputs: int
    size_bytes: int
