"""The command `verify`: where a file comes from, without a server. `cli.py` registers it."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from heliograph.delivery.verification import Integrity, Trust, Verification, conclude
from heliograph.domain.errors import InvalidRequest
from heliograph.gateway.provenance import verification_json
from heliograph.provenance_wiring import file_inspector
from heliograph.settings import read_settings

BYTES_MAX = 1024**3
EXIT_CHANGED = 1

_TRUST = {
    Trust.INSTALLATION: "this installation signed it",
    Trust.LISTED: "its certificate is one you trust",
    Trust.UNKNOWN: "the signature holds; nobody vouches for the signer",
}

DataDir = Annotated[Path | None, typer.Option(help="Whose certificates are trusted.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def verify_command(
    file: Annotated[Path, typer.Argument(help="A picture or clip: PNG, JPEG, WebP, AVIF, GIF or MP4.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say who made a file, with what, and whether one byte has changed since. Exit code 1: it has, or nobody signed."""
    settings = read_settings(data_dir=data_dir)
    inspect = file_inspector(settings.provenance, settings.data_dir)
    verification = conclude(inspect(_read(file)))
    if verification.inspection.mime_type is None:
        raise InvalidRequest(f"{file} is no picture that can be read: PNG, JPEG, WebP, AVIF, GIF or MP4.", param="file")
    if as_json:
        typer.echo(json.dumps(verification_json(verification)))
    else:
        Console(highlight=False, soft_wrap=True).print(_table(verification))
    if verification.integrity is not Integrity.INTACT:
        raise typer.Exit(EXIT_CHANGED)


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > BYTES_MAX:
            raise InvalidRequest(f"{file} is larger than {BYTES_MAX} bytes.", param="file")
        return file.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"Cannot read {file}: {error.strerror}.", param="file") from error


def _table(verification: Verification) -> Table:
    found, manifest = verification.inspection, verification.inspection.manifest
    says = {
        Integrity.INTACT: "intact: every byte is as it was signed",
        Integrity.CHANGED: "CHANGED since it was signed",
        Integrity.UNSIGNED: "not signed: nothing proves where it comes from",
    }
    lines = {
        "file": says[verification.integrity],
        "why": ", ".join(verification.reasons),
        "made by": "a machine" if verification.is_machine_made else "",
        "with": manifest and manifest.agent,
        "software": (manifest and manifest.generator) or found.software,
        "when": manifest and manifest.made_at,
        "signed by": manifest and f"{manifest.signer}, {manifest.issued_by} ({manifest.algorithm})",
        "trust": verification.trust and _TRUST[verification.trust],
        "states": found.parameters,
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines.items():
        if value:
            table.add_row(name, _plain(value))
    return table


def _plain(text: str) -> str:
    """Text from a stranger's file without what a terminal would obey."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text).replace(
        "[", r"\["
    )
