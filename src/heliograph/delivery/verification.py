"""What a file says about its origin, what of it can be believed, and whether a byte of it changed since.

Three witnesses, from strong to weak. The signed manifest: it names signer and model and covers every byte. The record
of what was delivered here: a file with a known digest is exactly that file. The picture's perceptual hash: a copy that
was resized or stripped of everything still looks like one that was made here. What stands in plain text (XMP, EXIF,
text chunks) is told, too, but anybody can write that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from heliograph.delivery.provenance import DIGITAL_SOURCE_TYPE, EDITED_SOURCE_TYPE, NAME
from heliograph.domain.ids import JobId, OutputId


class Integrity(StrEnum):
    """Whether the file is what its signer signed."""

    INTACT = "intact"
    CHANGED = "changed"
    UNSIGNED = "unsigned"


class Trust(StrEnum):
    """What is known of the signer."""

    INSTALLATION = "installation"
    """This installation signed it."""
    LISTED = "listed"
    """Its certificate leads to a root that the operator trusts."""
    UNKNOWN = "unknown"
    """The signature is good, and nobody vouches for who made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestReading:
    """The active manifest as a C2PA reader sees it. `faults` are its codes for what does not hold.

    `generator` is the program that wrote it, `agent` the model it names, `signer` and `issued_by` are names in the
    certificate. `is_trusted`: the certificate leads to a root that was given. `made_at` is what the maker states.
    """

    faults: tuple[str, ...]
    is_trusted: bool
    signer: str | None = None
    issued_by: str | None = None
    algorithm: str | None = None
    generator: str | None = None
    agent: str | None = None
    source_type: str | None = None
    made_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What one look at a file found. `mime_type` None: it is no picture that can be read.

    `manifest` None: there is none. `is_local_signer`: the certificate is one this installation made or was given.
    `frame_fault` is what is wrong with the bytes that no signature covers. `parameters` is the text in the file,
    `source_type` the XMP's, `perceptual_hash` the picture's, None where it cannot be decoded.
    """

    sha256: str
    size_bytes: int
    mime_type: str | None
    manifest: ManifestReading | None = None
    is_local_signer: bool = False
    frame_fault: str | None = None
    parameters: str | None = None
    software: str | None = None
    source_type: str | None = None
    perceptual_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookalike:
    """A picture delivered to the asking tenant that looks the same; `bits_apart` of 64 differ."""

    output_id: OutputId
    job_id: JobId
    bits_apart: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The answer. `is_machine_made` None: nothing says so. `delivered` names the very file where it is one of ours."""

    inspection: Inspection
    integrity: Integrity
    trust: Trust | None
    is_machine_made: bool | None
    reasons: tuple[str, ...]
    delivered: Lookalike | None = None
    lookalikes: tuple[Lookalike, ...] = ()


def conclude(
    inspection: Inspection, *, delivered: Lookalike | None = None, lookalikes: Sequence[Lookalike] = ()
) -> Verification:
    """What follows from the look at the file and from the records."""
    integrity, reasons = _integrity(inspection)
    manifest = inspection.manifest
    trust = None
    if manifest is not None and integrity is Integrity.INTACT:
        trust = Trust.UNKNOWN
        if manifest.is_trusted:
            trust = Trust.INSTALLATION if inspection.is_local_signer else Trust.LISTED
    return Verification(
        inspection=inspection,
        integrity=integrity,
        trust=trust,
        is_machine_made=_is_machine_made(inspection, delivered, lookalikes),
        reasons=reasons,
        delivered=delivered,
        lookalikes=tuple(lookalikes),
    )


def _integrity(inspection: Inspection) -> tuple[Integrity, tuple[str, ...]]:
    manifest = inspection.manifest
    if manifest is None:
        return Integrity.UNSIGNED, ()
    if manifest.faults:
        return Integrity.CHANGED, manifest.faults
    # Other programs may frame their manifests in other ways; ours has only one.
    is_ours = manifest.generator is not None and manifest.generator.partition("/")[0] == NAME
    if is_ours and inspection.frame_fault is not None:
        return Integrity.CHANGED, (f"frame: {inspection.frame_fault}",)
    return Integrity.INTACT, ()


def _is_machine_made(
    inspection: Inspection, delivered: Lookalike | None, lookalikes: Sequence[Lookalike]
) -> bool | None:
    told = {inspection.source_type, inspection.manifest and inspection.manifest.source_type}
    if delivered is not None or lookalikes or told & {DIGITAL_SOURCE_TYPE, EDITED_SOURCE_TYPE}:
        return True
    return None
