"""The port of signing: a finished file goes in, the same file with a signed manifest comes out.

Signing is the last thing that happens to a file. Whatever touches a byte afterwards breaks the signature, which is the
point of it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from heliograph.delivery.provenance import Stamp
from heliograph.domain.errors import HeliographError

LOCAL_LABEL = "self-made, on no trust list"
"""In the name of every certificate that Heliograph makes for itself."""


class SigningFailed(HeliographError):
    """The key could not be used just now: the operator's command failed. Nothing is delivered unsigned instead."""

    default_code = "signing_unavailable"


class FileSigner(Protocol):
    """Raises `SigningFailed`."""

    def sign(self, data: bytes, mime_type: str, *, model: str, stamp: Stamp) -> bytes:
        """The file with its manifest."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningIdentity:
    """Where the pieces are. `chain` is a PEM file, the signer's certificate first; `key` its PEM key, or None where
    `command` signs: a program that reads bytes on its standard input and writes their signature to its output.

    `algorithm` is C2PA's name for what the key does. `anchors` is a PEM file of the roots that this installation
    made for itself, now and earlier; `is_local` says that the present certificate comes from one of them.
    """

    chain: Path
    key: Path | None
    algorithm: str
    anchors: Path
    is_local: bool
    command: tuple[str, ...] = ()
