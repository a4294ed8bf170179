"""The commands below `heliograph storage`. `cli.py` registers them and turns errors into exit codes."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from heliograph import app
from heliograph.domain.money import format_usd
from heliograph.housekeeping import FOLDERS
from heliograph.settings import read_settings

EXIT_UNSOUND = 3
SHOWN_MAX = 20

DataDir = Annotated[Path | None, typer.Option(help="Where jobs, ledger and pictures are kept.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def report_command(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say what lies where, whose it is, what a month of it costs, and what keeping less would save.

    It may run beside the server. The price of a GB is `prices.service_usd.storage`.
    """
    report = app.report_storage(read_settings(data_dir=data_dir))
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    console = Console()
    places = _table("tier", "pictures", "GB", "a month")
    for place in report.places:
        cost = "no price" if place.month_micros is None else format_usd(place.month_micros)
        places.add_row(place.tier.value, f"{place.outputs:,}", _gb(place.size_bytes), cost)
    places.add_row("in all", f"{report.outputs:,}", _gb(report.size_bytes), format_usd(report.month_micros))
    console.print(places)
    tenants = _table("tenant", "pictures", "kept", "GB", "a month")
    for share in report.tenants[:SHOWN_MAX]:
        cost = format_usd(share.month_micros)
        tenants.add_row(share.tenant_id, f"{share.outputs:,}", f"{share.kept:,}", _gb(share.size_bytes), cost)
    if report.tenants:
        console.print()
        console.print(tenants)
    savings = _table("what is older than", "would go", "pictures", "GB", "saves a month")
    for saving in report.savings:
        to = "away" if saving.to is None else f"to {saving.to.value}"
        cells = (f"{saving.outputs:,}", _gb(saving.size_bytes), format_usd(saving.month_micros))
        savings.add_row(f"{saving.older_than_days} days", to, *cells)
    if report.savings:
        console.print()
        console.print(savings)


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for column in others:
        table.add_column(column, justify="right")
    return table


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.3f}"


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
