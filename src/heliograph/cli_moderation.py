"""The commands below `heliograph moderation` that are about the filter itself. `cli.py` registers them."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.table import Table

from heliograph.content_filter import SHIPPED_WEIGHTS, keep_weights, open_filter, open_weights, shipped_terms
from heliograph.domain.errors import InvalidRequest
from heliograph.moderation.evaluation import Judged, LabelledPrompt, read_labelled, report
from heliograph.moderation.judge import PromptFilter
from heliograph.moderation.refit import refit
from heliograph.settings import read_settings

moderation_cli = typer.Typer(help="The content filter: how good it is, and teaching it.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@moderation_cli.callback()
def moderation() -> None:
    """The content filter: how good it is, and teaching it."""


@moderation_cli.command("evaluate")
def evaluate_command(
    file: Annotated[Path, typer.Argument(help="JSONL rows: prompt, label (1 = unsafe), category, source, tier.")],
    tenant: Annotated[str | None, typer.Option(help="Judge as this tenant's prompts.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Judge labelled prompts by the weights and the policy in force, and say how often that is right."""
    rows = read_labelled(_lines(file), origin=str(file))
    content_filter = open_filter(read_settings().moderation)
    found = report(judged(content_filter, rows, tenant_id=tenant))
    if as_json:
        typer.echo(json.dumps(found))
        return
    _print(found)


@moderation_cli.command("train")
def train_command(
    file: Annotated[Path, typer.Argument(help="JSONL rows: prompt, label (1 = unsafe), category.")],
    output: Annotated[Path, typer.Option(help="Where the new weights go; name them in `moderation.weights`.")],
    strength: Annotated[
        float, typer.Option(min=0.01, max=100.0, help="What a row counts against what is known already.")
    ] = 1.0,
    fpr_max: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Share of your harmless rows that may be flagged.")
    ] = 0.01,
    as_json: AsJson = False,
) -> None:
    """Teach the filter from labelled prompts of your own, on top of what it knows.

    The figures that are printed come from weights that had not seen the rows they are about.
    """
    rows = read_labelled(_lines(file), origin=str(file))
    lexicon = shipped_terms()
    classifier = open_weights(read_settings().moderation.weights or SHIPPED_WEIGHTS, lexicon.weighed)
    found = refit(classifier, lexicon, rows, strength=strength, fpr_max=fpr_max)
    keep_weights(output, found.classifier, about={"rows": {"own": found.rows}, "strength": strength})
    figures = {
        "rows": found.rows,
        "raised": found.raised,
        "fpr": {"before": found.fpr_before, "after": found.fpr_after},
        "recall": {"before": found.recall_before, "after": found.recall_after},
        "weights": str(output),
    }
    if as_json:
        typer.echo(json.dumps(figures))
        return
    typer.echo(
        f"{output}: learnt from {found.rows} rows. Set moderation.weights to this file, and start the server again."
    )
    for name, before, after in (
        ("flagged though harmless", found.fpr_before, found.fpr_after),
        ("found", found.recall_before, found.recall_after),
    ):
        typer.echo(f"  {name}: {_percent(before)} before, {_percent(after)} now")


def judged(content_filter: PromptFilter, rows: list[LabelledPrompt], *, tenant_id: str | None = None) -> list[Judged]:
    """Each row with its verdict and how long that took."""
    found: list[Judged] = []
    for row in rows:
        began_s = time.perf_counter()
        verdict = content_filter.judge(row.prompt, row.negative_prompt, tenant_id=tenant_id)
        latency_s = time.perf_counter() - began_s
        found.append(
            Judged(
                row=row, decision=verdict.decision, urgency=content_filter.urgency(verdict.scores), latency_s=latency_s
            )
        )
    return found


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file} cannot be read: {error}", param="file") from error


def _print(found: Mapping[str, object]) -> None:
    console = Console()
    table = Table(title=f"{found['n']} prompts")
    for name in ("", "n", "flagged though harmless", "found", "blocked though harmless", "blocked"):
        table.add_column(name, justify="left" if not name else "right")
    blocked = _part(found, "block")
    table.add_row("all", *_cells(found, blocked))
    for name in ("by_tier", "by_category", "by_source"):
        table.add_section()
        ours, theirs = _part(found, name), _part(blocked, name)
        for key in ours:
            table.add_row(f"{name.removeprefix('by_')} {key}", *_cells(_part(ours, key), _part(theirs, key)))
    console.print(table)
    auc, latency = found["auc"], _part(found, "latency_ms")
    shown = f"{auc:.4f}" if isinstance(auc, float) else "unknown"
    console.print(f"AUC {shown}; {latency['p50']:.2f} ms at the median, {latency['p99']:.2f} ms at the 99th percentile")


def _part(found: Mapping[str, object], name: str) -> Mapping[str, object]:
    return cast("Mapping[str, object]", found[name])


def _cells(flagged: Mapping[str, object], blocked: Mapping[str, object]) -> list[str]:
    return [
        str(flagged["n"]),
        _percent(flagged["fpr"]),
        _percent(flagged["recall"]),
        _percent(blocked["fpr"]),
        _percent(blocked["recall"]),
    ]


def _percent(value: object) -> str:
    return f"{100 * value:.1f}%" if isinstance(value, float) else ""
