# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The library has types for half of what it takes and gives.
"""Signing and reading C2PA manifests with c2pa-python.

Thumbnails in manifests are off: they made WebP files nine times as large. No time-stamping server is asked, and no
manifest is fetched from an address that a file names.
"""

import datetime
import io
import json
import subprocess
from pathlib import Path
from typing import Any, cast

import c2pa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from typing_extensions import override

from heliograph.delivery.media_types import mime_type_of
from heliograph.delivery.provenance import Stamp, manifest
from heliograph.delivery.signing import LOCAL_LABEL, FileSigner, SigningFailed, SigningIdentity
from heliograph.delivery.verification import ManifestReading

COMMAND_S_MAX = 10.0
_COMMAND_TRIES = 3
_NUMBER_BYTES = {"es256": 32, "es384": 48, "es512": 66}
"""Bytes of each of the two numbers that make a signature on these curves."""

_SETTINGS: dict[str, Any] = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
}


class C2paSigner(FileSigner):
    """Signs with an identity. Raises `SigningFailed` when its files cannot be used."""

    def __init__(self, identity: SigningIdentity) -> None:
        self._command_error: str | None = None
        try:
            self._context = c2pa.Context(c2pa.Settings.from_dict(_SETTINGS), self._signer(identity))
        except (c2pa.C2paError, OSError) as error:
            raise SigningFailed(f"pictures cannot be signed with {identity.chain}: {error}") from error

    @override
    def sign(self, data: bytes, mime_type: str, *, model: str, stamp: Stamp) -> bytes:
        """The file with its manifest."""
        signed = io.BytesIO()
        self._command_error = None
        made_at = None
        if stamp.made_at_s is not None:
            made_at = f"{datetime.datetime.fromtimestamp(stamp.made_at_s, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
        definition = json.dumps(manifest(model, stamp, made_at=made_at))
        try:
            with c2pa.Builder.from_json(definition, context=self._context) as builder:
                if stamp.ingredient is not None:
                    builder.set_intent(c2pa.C2paBuilderIntent.EDIT)  # it says first that the parent was opened
                    parent = {"title": "the picture that was edited", "relationship": "parentOf"}
                    mime = mime_type_of(stamp.ingredient) or "application/octet-stream"
                    builder.add_ingredient(parent, mime, io.BytesIO(stamp.ingredient))
                builder.sign(mime_type, io.BytesIO(data), signed)
        except c2pa.C2paError as error:
            raise SigningFailed(f"a picture could not be signed: {self._command_error or error}") from error
        return signed.getvalue()

    def _signer(self, identity: SigningIdentity) -> c2pa.Signer:
        chain = identity.chain.read_text(encoding="ascii")
        if identity.key is not None:
            key = identity.key.read_text(encoding="ascii")
            info = c2pa.C2paSignerInfo(identity.algorithm.encode(), chain.encode(), key.encode(), None)
            return c2pa.Signer.from_info(info)
        algorithm = c2pa.C2paSigningAlg[identity.algorithm.upper()]
        return c2pa.Signer.from_callback(lambda data: self._ask(identity, data), algorithm, chain)

    def _ask(self, identity: SigningIdentity, data: bytes) -> bytes:
        """The signature that the operator's command makes of `data`, tried three times."""
        for _ in range(_COMMAND_TRIES):
            try:
                done = subprocess.run(  # noqa: S603 - the operator's own command, from the settings
                    identity.command, input=data, capture_output=True, timeout=COMMAND_S_MAX, check=True
                )
            except (OSError, subprocess.SubprocessError) as error:
                last_words = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()[-200:]
                self._command_error = f"provenance.sign_command failed: {error} {last_words}".rstrip()
                continue
            return _raw_signature(done.stdout, identity.algorithm)
        raise SigningFailed(self._command_error or "provenance.sign_command failed")


def _raw_signature(signature: bytes, algorithm: str) -> bytes:
    """The signature as COSE wants it: of curves the two numbers alone, which most programs wrap in DER."""
    size = _NUMBER_BYTES.get(algorithm)
    if size is None or len(signature) == 2 * size:
        return signature
    return b"".join(number.to_bytes(size) for number in decode_dss_signature(signature))


class ManifestReader:
    """Reads manifests and trusts certificates that lead to a root in one of the PEM files, where they exist."""

    def __init__(self, *anchors: Path) -> None:
        roots = [path.read_text(encoding="utf-8") for path in anchors if path.exists()]
        settings = {**_SETTINGS, **({"trust": {"trust_anchors": "\n".join(roots)}} if roots else {})}
        self._context = c2pa.Context(c2pa.Settings.from_dict(settings))

    def read(self, data: bytes, mime_type: str) -> ManifestReading | None:
        """The active manifest, or None where there is none."""
        try:
            with c2pa.Reader(mime_type, io.BytesIO(data), context=self._context) as reader:
                report: dict[str, Any] = json.loads(reader.json())
        except c2pa.C2paError as error:
            if "ManifestNotFound" in type(error).__name__ or "no JUMBF data found" in str(error):
                return None
            return ManifestReading(faults=(f"unreadable: {str(error)[:200]}",), is_trusted=False)
        try:
            return _reading(report)
        except (KeyError, TypeError, AttributeError, IndexError) as error:  # what a damaged manifest leaves out
            return ManifestReading(faults=(f"unreadable: {error!r}"[:200],), is_trusted=False)


def _reading(report: dict[str, Any]) -> ManifestReading:
    active: dict[str, Any] = report["manifests"][report["active_manifest"]]
    results: dict[str, Any] = report.get("validation_results") or {}
    checked = cast("dict[str, list[dict[str, Any]]]", results.get("activeManifest") or {})
    codes = {kind: [str(each["code"]) for each in checked.get(kind, [])] for kind in ("success", "failure")}
    faults = [code for code in codes["failure"] if not code.startswith("signingCredential.untrusted")]
    signature: dict[str, Any] = active.get("signature_info") or {}
    action = _first_action(active)
    agent = action.get("softwareAgent")
    generators: list[dict[str, Any]] = active.get("claim_generator_info") or []
    return ManifestReading(
        faults=tuple(dict.fromkeys(faults)),
        is_trusted="signingCredential.trusted" in codes["success"],
        signer=signature.get("common_name"),
        issued_by=signature.get("issuer"),
        algorithm=signature.get("alg"),
        generator="/".join(str(generators[0].get(name, "")) for name in ("name", "version")) if generators else None,
        agent=str(agent.get("name")) if isinstance(agent, dict) else agent,
        source_type=action.get("digitalSourceType"),
        made_at=action.get("when"),
    )


def _first_action(active: dict[str, Any]) -> dict[str, Any]:
    for assertion in active.get("assertions") or []:
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            for action in assertion["data"].get("actions") or []:
                if action.get("action") in ("c2pa.created", "c2pa.edited", "c2pa.opened") and "softwareAgent" in action:
                    return action
    return {}


def is_local(reading: ManifestReading) -> bool:
    """The certificate is one that an installation of Heliograph made for itself; trusted, it is one of this one's."""
    return LOCAL_LABEL in (reading.issued_by or "")
