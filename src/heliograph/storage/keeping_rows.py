"""What `keeping.py` writes as table rows and back, in the manner of `rows.py`."""

import json

from heliograph.domain.ids import JobId, ModelId, OutputId, TenantId
from heliograph.domain.keeping import Deletion, DeletionReason, Holding, Keeping, StorageTier
from heliograph.domain.pictures import Output
from heliograph.domain.tiers import Tier
from heliograph.storage.keeping import Regeneration
from heliograph.storage.rows import Parameters, Row


def row_of_new_keeping(output: Output) -> Parameters:
    """The parameters of `PUT_KEEPING`."""
    return {
        "output_id": output.output_id,
        "job_id": output.job_id,
        "created_at_s": output.created_at_s,
        "size_bytes": output.size_bytes + output.thumbnail_bytes,
    }


def keeping_of_row(row: Row) -> Keeping:
    """The keeping in a row of `output_keeping`."""
    return Keeping(
        output_id=OutputId(row["output_id"]),
        job_id=JobId(row["job_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        plan=Tier(row["plan"]),
        model_id=ModelId(row["model_id"]),
        created_at_s=row["created_at_s"],
        size_bytes=row["size_bytes"],
        storage_tier=StorageTier(row["storage_tier"]),
        moved_at_s=row["moved_at_s"],
        starred_at_s=row["starred_at_s"],
        held_at_s=row["held_at_s"],
    )


def row_of_deletion(deletion: Deletion) -> Parameters:
    """The parameters of `PUT_DELETION`; what the picture's own row says is taken from there."""
    return {
        "deletion_id": deletion.deletion_id,
        "output_id": deletion.output_id,
        "reason": deletion.reason.value,
        "at_s": deletion.at_s,
        "sha256": deletion.sha256,
        "size_bytes": deletion.size_bytes,
        "files": json.dumps(deletion.files),
    }


def deletion_of_row(row: Row) -> Deletion:
    """The deletion in a row of `deletions`."""
    return Deletion(
        deletion_id=row["deletion_id"],
        output_id=OutputId(row["output_id"]),
        job_id=JobId(row["job_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        reason=DeletionReason(row["reason"]),
        at_s=row["at_s"],
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        files=tuple(json.loads(row["files"])),
        done_at_s=row["done_at_s"],
    )


def holding_of_row(row: Row) -> Holding:
    """The holding in a row of `HOLDINGS`."""
    return Holding(
        tenant_id=TenantId(row["tenant_id"]),
        plan=Tier(row["plan"]),
        storage_tier=StorageTier(row["storage_tier"]),
        age_days_min=row["age_days_min"],
        is_kept=bool(row["is_kept"]),
        outputs=row["output_count"],
        size_bytes=row["size_bytes"],
    )


def row_of_regeneration(regeneration: Regeneration) -> Parameters:
    """A row of `regenerations`."""
    return {
        "job_id": regeneration.job_id,
        "output_id": regeneration.output_id,
        "model_id": regeneration.model_id,
        "at_s": regeneration.at_s,
    }


def regeneration_of_row(row: Row) -> Regeneration:
    """The regeneration in a row of `regenerations`."""
    return Regeneration(
        job_id=JobId(row["job_id"]),
        output_id=OutputId(row["output_id"]),
        model_id=ModelId(row["model_id"]),
        at_s=row["at_s"],
    )
