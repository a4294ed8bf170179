"""The commands `backup` and `restore`. `cli.py` registers them and turns errors into exit codes."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from heliograph import app
from heliograph.settings import read_settings

EXIT_INCOMPLETE = 3

DataDir = Annotated[Path | None, typer.Option(help="Where jobs, ledger and pictures are kept.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def backup_command(
    out: Annotated[Path, typer.Argument(help="Folder to make; it must not exist.")],
    pictures: Annotated[bool, typer.Option("--pictures", help="Copy the pictures, too.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write the database and the secrets beside it to a folder, while the server runs. It holds secrets: guard it."""
    manifest = app.back_up(read_settings(data_dir=data_dir), out, has_pictures=pictures)
    if as_json:
        typer.echo(json.dumps({"out": str(out), **asdict(manifest)}))
    else:
        copied = "" if manifest.pictures is None else f" and {manifest.pictures:,} picture file(s)"
        typer.echo(f"{sum(manifest.rows.values()):,} rows{copied} are in {out}")
    if manifest.pictures_missing:
        typer.echo(f"heliograph: {manifest.pictures_missing} picture file(s) missing or damaged", err=True)
        raise typer.Exit(EXIT_INCOMPLETE)


def restore_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Folder that `heliograph backup` wrote.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Fill a new data directory (and the PostgreSQL database, where one is set) from a backup of either kind."""
    settings = read_settings(data_dir=data_dir)
    manifest, damaged = app.restore(settings, source)
    if as_json:
        typer.echo(json.dumps({"data_dir": str(settings.data_dir), **asdict(manifest), "pictures_damaged": damaged}))
    else:
        typer.echo(f"{sum(manifest.rows.values()):,} rows of {source} are in place; start the server")
    if damaged:
        typer.echo(f"heliograph: {damaged} damaged picture file(s) in {source} left out", err=True)
        raise typer.Exit(EXIT_INCOMPLETE)
