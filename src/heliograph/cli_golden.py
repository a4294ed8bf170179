"""The commands below `heliograph golden`: record a model's golden pictures, and check for drift. `cli.py` adds them."""

import json
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from heliograph.client import Client
from heliograph.domain.errors import InvalidRequest
from heliograph.golden_set import EXIT_CODES, Check, check, record, report, summary
from heliograph.quality.golden import PROMPTS

Model = Annotated[str, typer.Argument(help="Model id; see `heliograph models`.")]
DataDir = Annotated[Path | None, typer.Option(help="Where jobs, ledger and pictures are kept.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Key = Annotated[str | None, typer.Option("--api-key", envvar="HELIOGRAPH_API_KEY", help="For a running server.")]

Connect = Callable[[Path | None, str | None], tuple[Path, AbstractAsyncContextManager[Client]]]
"""The data directory in use, and a client of the server on it."""
Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


def add_golden_commands(cli: typer.Typer, connect: Connect, run: Run) -> None:
    """Add them to the sub-app."""

    @cli.command("record")
    def record_set(
        model: Model,
        prompts: Annotated[Path | None, typer.Option(help="A file with a prompt on each line.")] = None,
        data_dir: DataDir = None,
        api_key: Key = None,
    ) -> None:
        """Make a model's golden pictures and keep them in the data directory, below golden/."""

        async def work() -> Path:
            folder, client = connect(data_dir, api_key)
            async with client as asked:
                await record(asked, model, _prompts(prompts), folder / "golden" / model)
            return folder / "golden" / model

        typer.echo(f"The golden pictures of {model} are in {run(work)}.")

    @cli.command("check")
    def check_set(
        model: Model,
        against: Annotated[str | None, typer.Option(help="Compare with the set of this model instead.")] = None,
        out: Annotated[
            Path | None, typer.Option("--report", help="A page to write, with both pictures side by side.")
        ] = None,
        data_dir: DataDir = None,
        api_key: Key = None,
        as_json: AsJson = False,
    ) -> None:
        """Make the golden pictures again. Exit code 0: the same; 4: changed; 5: changed, and they fit worse."""

        async def work() -> Check:
            folder, client = connect(data_dir, api_key)
            async with client as asked:
                return await check(asked, model, folder / "golden" / (against or model))

        checked: Check = run(work)
        if out is not None:
            out.write_text(report(model, checked), encoding="utf-8")
        typer.echo(json.dumps(summary(model, checked)) if as_json else _text(model, checked))
        raise typer.Exit(EXIT_CODES[checked.found.decision])


def _prompts(file: Path | None) -> list[str]:
    if file is None:
        return list(PROMPTS)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"Cannot read {file}: {error}.", param="prompts") from error
    return [line.strip() for line in lines if line.strip()]


def _text(model: str, checked: Check) -> str:
    found = checked.found
    lines = [
        f"{model}: {found.decision.value}. {found.changed} of {found.pictures} golden pictures look different, "
        f"mean distance {found.distance_mean:.4f}, worst {found.distance_worst:.4f}."
    ]
    lines += [f"  {name}: {before or 'none'} -> {now or 'none'}" for name, before, now in checked.changed]
    return "\n".join(lines)
