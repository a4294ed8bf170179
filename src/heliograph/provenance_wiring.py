"""Wiring of provenance for `app.py`: which certificate signs, which are trusted, and what files say."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from heliograph.delivery.certificates import ANCHORS, local_identity, operator_identity
from heliograph.delivery.provenance import StampPolicy
from heliograph.delivery.signing import SigningIdentity
from heliograph.delivery.verification import Inspection
from heliograph.settings import ProvenanceSettings


async def signing_identity(settings: ProvenanceSettings, data_dir: Path) -> SigningIdentity | None:
    """What to sign with, None where signing is off. Raises `InvalidRequest` and `Unavailable`."""
    if not settings.sign:
        return None
    if settings.certificate is None:
        return await asyncio.to_thread(local_identity, data_dir)
    return operator_identity(settings.certificate, key=settings.key, command=settings.sign_command, folder=data_dir)


def anchor_files(settings: ProvenanceSettings, data_dir: Path) -> tuple[Path, ...]:
    """PEM files of roots to trust: those made here, the end of the operator's chain, and what the operator lists."""
    named = (settings.certificate, settings.trust_anchors)
    return (data_dir / ANCHORS, *(path for path in named if path is not None))


def file_inspector(settings: ProvenanceSettings, data_dir: Path) -> Callable[[bytes], Inspection]:
    """What looks at files in this process: for a command, which has nobody else to break."""
    from heliograph.delivery.inspection import FileInspector  # what it loads takes a tenth of a second

    return FileInspector(*anchor_files(settings, data_dir)).look


def stamp_policy(settings: ProvenanceSettings) -> StampPolicy:
    """What files say, by tenant."""
    return StampPolicy(
        parameters=settings.parameters, of_tenant=settings.tenant_parameters, shared=settings.shared_parameters
    )
