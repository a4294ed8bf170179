"""The commands below `heliograph storage`. `cli.py` registers them and turns errors into exit codes."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from heliograph import app
from heliograph.housekeeping import FOLDERS
from heliograph.settings import read_settings

EXIT_UNSOUND = 3
SHOWN_MAX = 20

DataDir = Annotated[Path | None, typer.Option(help="Where jobs, ledger and pictures are kept.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def check_command(
    read: Annotated[bool, typer.Option("--read", help="Read every file and compare it with its digest.")] = False,
    sweep: Annotated[bool, typer.Option("--sweep", help="Delete files of more than a day that nothing names.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Look whether every picture that is named is there and whole, and which files nothing names.

    It may run beside the server. It ends with 3 when a picture is missing or damaged.
    """
    settings = read_settings(data_dir=data_dir)
    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as progress:
        task = progress.add_task("looking at pictures", total=FOLDERS)
        found = app.check_pictures(settings, reads=read, sweeps=sweep, on_folder=lambda _: progress.advance(task))
    if as_json:
        typer.echo(json.dumps({**asdict(found), "sound": found.is_sound}))
    else:
        size = "" if found.bytes is None else f" ({found.bytes / 1e9:.3f} GB, all of them read)"
        typer.echo(f"{found.objects:,} files{size}, {found.named:,} of them named by pictures")
        typer.echo(f"{found.unused:,} that nothing names, {found.deleted:,} of them deleted")
        for what, names in (("missing", found.missing), ("damaged", found.damaged)):
            typer.echo(f"{len(names):,} {what}")
            for name in names[:SHOWN_MAX]:
                typer.echo(f"  {name}")
    if not found.is_sound:
        raise typer.Exit(EXIT_UNSOUND)
