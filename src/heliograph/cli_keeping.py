"""The commands below `heliograph storage` that ask a running server: delete, star, hold. `cli.py` registers them."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Protocol, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from heliograph.client import Client, JsonObject

OutputId = Annotated[str, typer.Argument(metavar="OUTPUT_ID", help="As the job names it in `outputs`.")]
DataDir = Annotated[Path | None, typer.Option(help="Where jobs, ledger and pictures are kept.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Key = Annotated[str | None, typer.Option("--api-key", envvar="HELIOGRAPH_API_KEY", help="For a running server.")]


class Ask(Protocol):
    """Asks the server of a data directory, with a tenant's key or as the operator; errors become exit codes."""

    def __call__(
        self,
        question: Callable[[Client], Awaitable[JsonObject]],
        *,
        data_dir: Path | None,
        api_key: str | None,
        is_operator: bool,
    ) -> JsonObject:
        """The answer."""
        ...


def add_keeping_commands(cli: typer.Typer, ask: Ask) -> None:
    """Add them to the sub-app."""

    @cli.command("delete")
    def delete(output_id: OutputId, data_dir: DataDir = None, api_key: Key = None, as_json: AsJson = False) -> None:
        """Delete a picture with all that belongs to it. Its links stop working at once."""
        done = ask(
            lambda client: client.delete_output(output_id), data_dir=data_dir, api_key=api_key, is_operator=False
        )
        rest = "its files are gone" if done["gone_at"] is not None else "its files go within minutes"
        typer.echo(json.dumps(done) if as_json else f"{output_id} is deleted; {rest}.")

    @cli.command("star")
    def star(output_id: OutputId, data_dir: DataDir = None, api_key: Key = None, as_json: AsJson = False) -> None:
        """Keep a picture from retention."""
        _mark(lambda client: client.star_output(output_id, is_on=True), data_dir, api_key, as_json, is_operator=False)

    @cli.command("unstar")
    def unstar(output_id: OutputId, data_dir: DataDir = None, api_key: Key = None, as_json: AsJson = False) -> None:
        """Leave a picture to retention again."""
        _mark(lambda client: client.star_output(output_id, is_on=False), data_dir, api_key, as_json, is_operator=False)

    @cli.command("hold")
    def hold(output_id: OutputId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
        """Keep a picture from every deletion, its tenant's included. For the operator."""
        _mark(lambda client: client.hold_output(output_id, is_on=True), data_dir, None, as_json, is_operator=True)

    @cli.command("release")
    def release(output_id: OutputId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
        """Take such a hold away."""
        _mark(lambda client: client.hold_output(output_id, is_on=False), data_dir, None, as_json, is_operator=True)

    @cli.command("deletions")
    def deletions(
        limit: Annotated[int, typer.Option(help="How many of the newest.", min=1, max=100)] = 20,
        data_dir: DataDir = None,
        api_key: Key = None,
        as_json: AsJson = False,
    ) -> None:
        """List the records of deleted pictures."""

        async def question(client: Client) -> JsonObject:
            return {"deletions": await client.deletions(limit=limit)}

        found = ask(question, data_dir=data_dir, api_key=api_key, is_operator=False)
        if as_json:
            typer.echo(json.dumps(found))
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("output", "job", "reason", "bytes", "files", "gone"):
            table.add_column(column)
        for row in cast("list[JsonObject]", found["deletions"]):
            gone = "yes" if row["gone_at"] is not None else "not yet"
            cells = (row["id"], row["job"], row["reason"], row["bytes"], row["files"], gone)
            table.add_row(*(Text(str(cell)) for cell in cells))
        Console().print(table)

    def _mark(
        question: Callable[[Client], Awaitable[JsonObject]],
        data_dir: Path | None,
        api_key: str | None,
        as_json: bool,
        *,
        is_operator: bool,
    ) -> None:
        kept = ask(question, data_dir=data_dir, api_key=api_key, is_operator=is_operator)
        if as_json:
            typer.echo(json.dumps(kept))
            return
        marks = [name for name, at in (("star", kept["starred_at"]), ("hold", kept["held_at"])) if at is not None]
        typer.echo(f"{kept['id']} has {' and '.join(marks) if marks else 'neither star nor hold'}.")
