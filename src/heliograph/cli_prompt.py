"""The command `prompt`: how a prompt would be read, without making anything. `cli.py` registers it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from heliograph import app
from heliograph.domain.model_card import PromptDialect
from heliograph.settings import read_settings

DataDir = Annotated[Path | None, typer.Option(help="Where jobs, ledger and pictures are kept.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def prompt_command(
    text: Annotated[str, typer.Argument(metavar="PROMPT", help="The prompt, in any notation.")],
    model: Annotated[str, typer.Option(help="Which model is to read it.")] = "helio-base",
    negative: Annotated[str | None, typer.Option(help="A negative prompt.", show_default=False)] = None,
    style: Annotated[str | None, typer.Option(help="A style preset.", show_default=False)] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="What draws from {a|b|c}.", show_default=False)] = None,
    syntax: Annotated[str | None, typer.Option(help="The notation, where it is not to be found out.")] = None,
    on_unsupported: Annotated[str | None, typer.Option(help="What the model cannot do: refuse or drop.")] = None,
    on_overflow: Annotated[str | None, typer.Option(help="What is too long: refuse or shorten.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show how a model would read a prompt: the verdict on it, the request, its tokens and every adjustment."""
    read = app.read_prompt(
        read_settings(data_dir=data_dir),
        prompt=text,
        model=model,
        negative_prompt=negative,
        style=style,
        size=size,
        seed=seed,
        prompt_syntax=syntax,
        on_unsupported=on_unsupported,
        on_overflow=on_overflow,
    )
    request, verdict = read.request, read.verdict
    adjustments = [
        {"parameter": each.parameter, "requested": each.requested, "used": each.used, "reason": each.reason}
        for each in request.adjustments
    ]
    if as_json:
        found: dict[str, object] = {
            "verdict": {
                "decision": verdict.decision.value,
                "category": verdict.category,
                "score": round(verdict.score, 4),
                "scores": {category.value: round(score, 4) for category, score in verdict.scores.items()},
                "span": None if verdict.span is None else asdict(verdict.span),
                "evidence": list(verdict.evidence),
            },
            "model": request.model_id,
            "syntax": read.syntax,
            "request": {
                "raw_prompt": request.raw_prompt,
                "prompt": request.prompt,
                "negative_prompt": request.negative_prompt,
                "width": request.width_px,
                "height": request.height_px,
                "steps": request.steps,
                "guidance_scale": request.guidance,
                "seed": request.seed,
                "style": request.style,
                "quality": request.quality.value,
            },
            "tokens": {"prompt": request.prompt_tokens if read.is_counted else None, "limit": read.card.token_limit},
            "adjustments": adjustments,
        }
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    typer.echo(f"{request.model_id} reads: {request.prompt}")
    if request.negative_prompt:
        typer.echo(f"without: {request.negative_prompt}")
    dialect = "weights" if read.card.prompt_dialect is PromptDialect.CLIP_TAGS else "language"
    counted = f"{request.prompt_tokens} of {read.card.token_limit}" if read.is_counted else "not counted here"
    typer.echo(f"notation {read.syntax}, read as {dialect}; tokens: {counted}; verdict: {verdict.decision.value}")
    if verdict.category is not None:
        shown = "" if verdict.span is None else f", for {verdict.span.text!r}"
        typer.echo(f"  {verdict.decision.value}: {verdict.category.value}, {verdict.score:.2f}{shown}")
    for each in adjustments:
        typer.echo(f"  {each['parameter']}: {each['requested']} -> {each['used']}. {each['reason']}")
