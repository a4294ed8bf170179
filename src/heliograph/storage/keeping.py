"""Writes about how long pictures stay. They join the others in one transaction; `store.py` has the port.

None of them reads first: what they depend on (a hold that was set meanwhile) is a condition of the write itself.
"""

from dataclasses import dataclass

from heliograph.domain.ids import JobId, ModelId, OutputId
from heliograph.domain.keeping import Deletion, StorageTier


@dataclass(frozen=True, slots=True, kw_only=True)
class StarOutput:
    """Set or take away (None) a picture's star."""

    output_id: OutputId
    at_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOutput:
    """Set or take away (None) a picture's hold."""

    output_id: OutputId
    at_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveOutput:
    """Write down that a picture lies somewhere else now; one with a star or a hold never becomes a recipe."""

    output_id: OutputId
    to: StorageTier
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseOutput:
    """Delete a picture's record with its variants' and write down the deletion.

    Nothing happens to a picture with a hold, and by retention nothing to one with a star. Its files are the caller's
    business: `Store.deletions_pending` names them until `EndDeletion`.
    """

    deletion: Deletion


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDeletion:
    """Every file of a deletion is gone, and every copy outside."""

    deletion_id: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Regeneration:
    """A job that makes a picture again, from its request and seed."""

    job_id: JobId
    output_id: OutputId
    model_id: ModelId
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PutRegeneration:
    """Insert a regeneration; a second write of the same job changes nothing."""

    regeneration: Regeneration


KeepingWrite = StarOutput | HoldOutput | MoveOutput | EraseOutput | EndDeletion | PutRegeneration
