"""The command `import`: the settings in a picture's file, without a server. `cli.py` registers it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from heliograph import app
from heliograph.gateway.importing import imported_json
from heliograph.settings import read_settings

DataDir = Annotated[Path | None, typer.Option(help="Where jobs, ledger and pictures are kept.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def import_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture, or a text file with its settings.")],
    model: Annotated[
        str | None, typer.Option(help="Fit to this model where theirs is not here.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Read the settings that A1111, ComfyUI, InvokeAI, SwarmUI or Heliograph wrote into a picture."""
    imported = app.import_settings(read_settings(data_dir=data_dir), file, model=model)
    if as_json:
        typer.echo(json.dumps(imported_json(imported), ensure_ascii=False))
        return
    found = imported.found
    fitted = "" if imported.card is None else f", fitted to {imported.card.model_id}"
    typer.echo(f"Written by {found.tool.value}{f' for {found.model}' if found.model else ''}{fitted}:")
    for name, value in imported.fields.items():
        typer.echo(f"  {name}: {value}")
    for change in imported.changes:
        typer.echo(f"  changed {change.parameter}: {change.requested} -> {change.used}. {change.reason}")
    if found.left_out:
        typer.echo("Left out, because no request has a field for it: " + ", ".join(found.left_out))
