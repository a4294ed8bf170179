"""The `heliograph` command. It uses the public API only: a running server's, or that of one it starts for itself.

Exit codes: 0 done, 1 the job failed or the doctor found something, 2 the request is wrong, 3 something needed is
missing or broken, 130 interrupted.
"""

import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar, cast
from urllib.parse import urlencode

import typer
import uvloop
from pydantic import SecretStr
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from heliograph import __version__, app
from heliograph.cli_accounts import accounts_table, micros_of, posted_text, usage_command, usage_secret_command
from heliograph.cli_backup import backup_command, restore_command
from heliograph.cli_costs import costs_command
from heliograph.cli_doctor import audit_table, diagnosis_text, latency_table, objectives_table, slowest_text
from heliograph.cli_fleet import fleet_tables
from heliograph.cli_golden import add_golden_commands
from heliograph.cli_import import import_command
from heliograph.cli_keeping import add_keeping_commands
from heliograph.cli_moderation import moderation_cli
from heliograph.cli_prompt import prompt_command
from heliograph.cli_reproduce import EXIT_CODES, reproduced, reproduction_text
from heliograph.cli_simulate import export_trace_command, plan_command, simulate_command
from heliograph.cli_storage import check_command, report_command
from heliograph.cli_verify import verify_command
from heliograph.client import Client, JsonObject
from heliograph.domain.accounts import ApiKey, Role
from heliograph.domain.errors import CallerError, HeliographError, InvalidRequest, NotFound, Unavailable, WorldError
from heliograph.domain.ids import TenantId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.money import Micros, format_usd
from heliograph.domain.tiers import Tier
from heliograph.gateway.keys import mint
from heliograph.observability import configure_logging
from heliograph.settings import Settings, read_settings
from heliograph.storage.data_dir import Holder, holder
from heliograph.storage.store import PutApiKey, Store
from heliograph.terminal import ProgressView

EXIT_JOB_FAILED = 1
EXIT_FINDINGS = 1
EXIT_BAD_REQUEST = 2
EXIT_BROKEN = 3
REVIEWERS = "reviewers"
"""The tenant of reviewers' keys, unless another is named; it has no jobs."""
EXIT_INTERRUPTED = 130
WIDTH_PIPED = 400
PATIENCE_S = 60.0
"""How long to wait for another command on the same data directory."""
FORMAT_OF_SUFFIX = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".gif": "gif",
    ".mp4": "mp4",
    ".webm": "webm",
}

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
keys_cli = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
jobs_cli = typer.Typer(invoke_without_command=True, help="List, show and cancel jobs of a running server.")
webhooks_cli = typer.Typer(no_args_is_help=True, help="Endpoints that hear of jobs, and what was sent to them.")
storage_cli = typer.Typer(no_args_is_help=True, help="What is kept of pictures, and whether it is as it should be.")
golden_cli = typer.Typer(no_args_is_help=True, help="Record golden pictures of a model, and see whether it drifts.")
models_cli = typer.Typer(
    invoke_without_command=True, help="Print the catalogue; load models ahead, pin and cap them on a running server."
)
accounts_cli = typer.Typer(
    invoke_without_command=True, help="Show tenants' accounts; give credit, give back, export usage."
)
fleet_cli = typer.Typer(
    invoke_without_command=True, help="Show a running server's fleet and why it is so; pause, drain and resume."
)
cli.add_typer(models_cli, name="models")
cli.add_typer(accounts_cli, name="accounts")
cli.add_typer(fleet_cli, name="fleet")
cli.add_typer(keys_cli, name="keys")
cli.add_typer(jobs_cli, name="jobs")
cli.add_typer(webhooks_cli, name="webhooks")
cli.add_typer(storage_cli, name="storage")
cli.add_typer(moderation_cli, name="moderation")
cli.add_typer(golden_cli, name="golden")

_T = TypeVar("_T")

JobIdArgument = Annotated[
    str, typer.Argument(metavar="JOB_ID", help="As `generate --json` or `heliograph jobs` names it.")
]

EndpointArgument = Annotated[str, typer.Argument(metavar="ENDPOINT_ID", help="As `heliograph webhooks list` names it.")]

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A model id; see `heliograph models`.")]
OfModel = Annotated[str | None, typer.Option("--model", help="One model, wherever it runs.")]
OfPool = Annotated[str | None, typer.Option("--pool", help="One class of GPUs, as `heliograph fleet` names it.")]
DataDir = Annotated[Path | None, typer.Option(help="Where jobs, ledger and pictures are kept.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Key = Annotated[str | None, typer.Option("--api-key", envvar="HELIOGRAPH_API_KEY", help="For a running server.")]


@cli.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    """Heliograph: prompt in, delivered picture out."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
    configure_logging(level="error", json_lines=False)


@cli.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What the picture should show.")],
    model: Annotated[str | None, typer.Option(help="Model id; see `heliograph models`.")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.")] = None,
    aspect_ratio: Annotated[str | None, typer.Option(help="W:H, instead of a size.")] = None,
    upscale: Annotated[int | None, typer.Option(help="Enlarge the picture 2 or 4 times, instead of a size.")] = None,
    seed: Annotated[int | None, typer.Option(help="0 to 4294967295; the same seed makes the same picture.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    n: Annotated[int | None, typer.Option("--n", "-n", help="Number of pictures, 1 to 10.")] = None,
    frames: Annotated[int | None, typer.Option(help="Length of a clip, for models that make clips.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How strictly to follow the prompt.")] = None,
    negative: Annotated[str | None, typer.Option(help="What the picture should not show.")] = None,
    quality: Annotated[str | None, typer.Option(help="draft, standard or high.")] = None,
    style: Annotated[str | None, typer.Option(help="A style preset of the model.")] = None,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format", help="png, jpeg, webp, gif, mp4 or webm; by default as --out ends, else png, of a clip webp."
        ),
    ] = None,
    image: Annotated[Path | None, typer.Option(help="A picture to start from.", show_default=False)] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Which part of it is made anew: white or transparent.", show_default=False)
    ] = None,
    strength: Annotated[float | None, typer.Option(help="How far to leave it, up to 1.", show_default=False)] = None,
    out: Annotated[str, typer.Option(help="File (.png, .jpg, .webp, .gif, .mp4, .webm) or directory to write.")] = ".",
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    data_dir: DataDir = None,
    api_key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Make a picture or a clip and say where it is. Needs no server; uses one that runs on the same data directory."""
    wishes: dict[str, object | None] = {
        "prompt": prompt,
        "model": model,
        "size": size,
        "aspect_ratio": aspect_ratio,
        "upscale": upscale,
        "seed": seed,
        "steps": steps,
        "n": n,
        "frames": frames,
        "guidance_scale": guidance,
        "negative_prompt": negative,
        "quality": quality,
        "style": style,
        "output_format": file_format,
    }
    configure_logging(level="warning", json_lines=False)
    target = _or_stop(lambda: _target(out, file_format, n=n or 1, force=force), as_json=as_json)
    wishes["output_format"] = file_format or target.output_format
    body = {name: value for name, value in wishes.items() if value is not None}
    settings = _settings(data_dir)
    starts = _or_stop(lambda: _starts(image, mask, strength), as_json=as_json)
    job, paths = _run(_generate(settings, api_key, body, target, starts), as_json=as_json)
    if as_json:
        typer.echo(json.dumps(_report(job, paths)))
    else:
        _tell(job, paths)
    if job["status"] != "completed":
        raise typer.Exit(EXIT_JOB_FAILED)


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind; anything but loopback needs keys.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind; 0 picks a free one.", min=0, max=65535)] = None,
    data_dir: DataDir = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="PostgreSQL database, as postgresql://user@host/name; passwords belong in HELIOGRAPH_STORE__URL or "
            "~/.pgpass, where others do not see them.",
        ),
    ] = None,
) -> None:
    """Serve the API and the page until Ctrl-C."""
    settings = _settings(data_dir)
    changes = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"server": settings.server.model_copy(update=changes)})
    if store is not None:
        settings = settings.model_copy(update={"store": settings.store.model_copy(update={"url": SecretStr(store)})})
    configure_logging(level=settings.log.level, json_lines=settings.log.json_lines)

    def announce(url: str) -> None:
        kept = f"data in {settings.data_dir}" + (", jobs in PostgreSQL" if settings.store.url is not None else "")
        typer.echo(f"Heliograph {__version__} serves on {url}  ({kept}; Ctrl-C drains and stops)")

    _run(app.serve(settings, announce=announce))


@models_cli.callback()
def models(context: typer.Context, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print the catalogue: what each model is, needs and can do."""
    if context.invoked_subcommand is not None:
        return
    settings = _settings(data_dir)
    catalogue = _or_stop(lambda: app.read_catalogue(settings))
    cards = list(catalogue.cards.values())
    if as_json:
        typer.echo(json.dumps({"models": [_model_row(card) for card in cards], "aliases": dict(catalogue.aliases)}))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", no_wrap=True, overflow="fold")
    for column in ("family", "engine", "tasks", "GPU memory", "steps", "size", "licence"):
        table.add_column(column)
    for card in cards:
        memory = "" if card.vram_bytes is None else f"{card.vram_bytes / 1e9:.1f} GB"
        size = "x".join(map(str, card.sizes.default))
        tasks = " ".join(sorted(card.tasks))
        runs = card.engine.value if card.engine is not None and card.is_installed else ""
        steps = str(card.steps.standard)
        table.add_row(card.model_id, card.family, runs, tasks, memory, steps, size, card.licence or "")
    _console().print(table)


@models_cli.command("prewarm")
def models_prewarm(
    model: ModelArgument,
    minutes: Annotated[int, typer.Option(help="How long it is kept.", min=1)] = 30,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Load a model now, idle ones making room, and keep it for a while."""
    _show_fleet(data_dir, as_json, lambda client: client.prewarm(model, minutes=minutes))


@models_cli.command("pin")
def models_pin(model: ModelArgument, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Keep a model loaded while there is room."""
    _show_fleet(data_dir, as_json, lambda client: client.change_model(model, {"pinned": True}))


@models_cli.command("unpin")
def models_unpin(model: ModelArgument, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Let a model go when it no longer pays."""
    _show_fleet(data_dir, as_json, lambda client: client.change_model(model, {"pinned": False}))


@models_cli.command("cap")
def models_cap(
    model: ModelArgument,
    replicas: Annotated[int | None, typer.Argument(help="At most so many; left out: as the settings say.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Bound the number of a model's replicas."""
    _show_fleet(data_dir, as_json, lambda client: client.change_model(model, {"replicas_max": replicas}))


@cli.command()
def reproduce(
    what: Annotated[str, typer.Argument(help="A job's id, or a picture's file as it was delivered.")],
    data_dir: DataDir = None,
    api_key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Make pictures again and say whether they are the same. Exit code 0: identical; 4: for an eye; 5: different."""
    settings = _settings(data_dir)
    found = _run(_make_again(settings, api_key, what), as_json=as_json)
    typer.echo(json.dumps(found)) if as_json else _console().print(reproduction_text(found))
    raise typer.Exit(EXIT_CODES[str(found["verdict"])])


async def _make_again(settings: Settings, api_key: str | None, what: str) -> JsonObject:
    async with _client(settings, api_key, may_run_jobs=True) as client:
        return await reproduced(client, what)


@cli.command()
def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say what is wrong with a running server, why it is thought so, and what to do. Ends with 1 if anything is."""
    settings = _settings(data_dir)
    found = _run(_ask_running(settings, lambda client: client.look("/v1/admin/diagnosis")), as_json=as_json)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _console().print(diagnosis_text(found), soft_wrap=True)
    if found["findings"]:
        raise typer.Exit(EXIT_FINDINGS)


@cli.command()
def latency(
    by: Annotated[str, typer.Option(help="all, model, tier, tenant or region.")] = "all",
    window: Annotated[str, typer.Option(help="5m, 1h or 24h.")] = "1h",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show how long people wait at a running server: P50, P95 and P99, from end to end and by stage."""
    path = f"/v1/admin/latency?{urlencode({'by': by, 'window': window})}"
    _show(_settings(data_dir), path, latency_table, as_json=as_json)


@cli.command()
def slowest(
    limit: Annotated[int, typer.Option(help="How many.")] = 10, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show the slowest jobs of the last hour with everything that happened to them."""
    _show(_settings(data_dir), f"/v1/admin/slowest?limit={limit}", slowest_text, as_json=as_json)


@cli.command()
def objectives(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show how each objective stands, what is left of its error budget and how fast it burns."""
    _show(_settings(data_dir), "/v1/admin/objectives", objectives_table, as_json=as_json)


@cli.command()
def audit(
    limit: Annotated[int, typer.Option(help="How many.")] = 20, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show what was ordered with the operator's key, the newest first."""
    _show(_settings(data_dir), f"/v1/admin/audit?limit={limit}", audit_table, as_json=as_json)


def _show(settings: Settings, path: str, draw: Callable[[JsonObject], RenderableType], *, as_json: bool) -> None:
    """Ask a running server for what its operator may see."""
    found = _run(_ask_running(settings, lambda client: client.look(path)), as_json=as_json)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _console().print(draw(found), soft_wrap=True)


@fleet_cli.command("key")
def fleet_key(data_dir: DataDir = None) -> None:
    """Print the operator's key, which opens the operations page and everything below /v1/admin."""
    settings = _settings(data_dir)
    typer.echo(app.operator_key(app.made_data_dir(settings.data_dir)))


async def _ask_running(settings: Settings, ask: Callable[[Client], Awaitable[JsonObject]]) -> JsonObject:
    if await asyncio.to_thread(holder, settings.data_dir) is None:
        raise Unavailable(
            f"No server runs on {settings.data_dir}, so there is nothing to examine; `heliograph serve` starts one.",
            code="no_server",
            param="data_dir",
        )
    return await _ask_as_operator(settings, ask)


@accounts_cli.callback()
def accounts(context: typer.Context, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List every tenant's plan, charges of this month and balance."""
    if context.invoked_subcommand is None:
        found = _run(_ask_as_operator(_settings(data_dir), lambda client: client.accounts()), as_json=as_json)
        typer.echo(json.dumps(found)) if as_json else _console().print(accounts_table(found))


@accounts_cli.command("credit")
def accounts_credit(
    tenant: Annotated[str, typer.Argument(help="Whose account.")],
    usd: Annotated[str, typer.Argument(help="Dollars; negative ones are taken back.")],
    credit_id: Annotated[
        str | None, typer.Option("--id", help="Names the credit: the same id is posted once. [default: made up]")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give a tenant credit."""

    def post(client: Client) -> Awaitable[JsonObject]:
        name = credit_id or f"cli-{secrets.token_hex(8)}"
        return client.credit(tenant, {"id": name, "micros": micros_of(usd)})

    _post_to_account(data_dir, as_json, post)


@accounts_cli.command("refund")
def accounts_refund(job_id: JobIdArgument, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Give back what a job was charged, once."""
    _post_to_account(data_dir, as_json, lambda client: client.refund(job_id))


def _post_to_account(data_dir: Path | None, as_json: bool, question: Callable[[Client], Awaitable[JsonObject]]) -> None:
    posted = _run(_ask_as_operator(_settings(data_dir), question), as_json=as_json)
    typer.echo(json.dumps(posted) if as_json else posted_text(posted))


@fleet_cli.callback()
def fleet(context: typer.Context, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show the GPUs, what is loaded on them and why, and what was ordered."""
    if context.invoked_subcommand is None:
        _show_fleet(data_dir, as_json, lambda client: client.fleet())


@fleet_cli.command("pause")
def fleet_pause(
    model: OfModel = None,
    pool: OfPool = None,
    let_finish: Annotated[bool, typer.Option("--let-finish", help="What runs may finish.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Begin nothing new; what runs stops at its next step, where it can go on later. Without options: everything."""
    body = _halted(model, pool) | {"running": "finish" if let_finish else "pause"}
    _show_fleet(data_dir, as_json, lambda client: client.order("pause", body))


@fleet_cli.command("drain")
def fleet_drain(
    model: OfModel = None,
    pool: OfPool = None,
    now: Annotated[bool, typer.Option("--now", help="What runs stops at its next step instead of finishing.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take out of service: what runs finishes, workers are unloaded, nothing new is taken. Without options: all."""
    body = _halted(model, pool) | {"running": "pause" if now else "finish"}
    _show_fleet(data_dir, as_json, lambda client: client.order("drain", body))


@fleet_cli.command("resume")
def fleet_resume(model: OfModel = None, pool: OfPool = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """End the pause or drain of the same model, pool or system."""
    _show_fleet(data_dir, as_json, lambda client: client.order("resume", _halted(model, pool)))


@moderation_cli.command("export")
def moderation_export(
    file: Annotated[Path, typer.Argument(help="JSONL file to write, as `moderation evaluate` reads it.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write what reviewers decided about prompts as labelled rows."""
    rows = _run(_ask_as_operator(_settings(data_dir), lambda client: client.moderation_labels()), as_json=as_json)
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        _stop(InvalidRequest(f"{file} cannot be written: {error.strerror}.", param="file"))
    typer.echo(json.dumps({"rows": len(rows), "file": str(file)}) if as_json else f"{len(rows)} rows in {file}.")


@keys_cli.command("create")
def keys_create(
    tenant: Annotated[str, typer.Option(help="Whose jobs and pictures the key opens.")] = "",
    role: Annotated[Role, typer.Option(help="reviewer: decides moderation cases, and nothing else.")] = Role.USER,
    tier: Annotated[Tier, typer.Option(help="Service tier.")] = Tier.STANDARD,
    name: Annotated[str, typer.Option(help="A name to tell keys apart.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print its secret, once."""
    if role is Role.REVIEWER:
        tenant = tenant or REVIEWERS
    if not tenant.strip():
        _stop(InvalidRequest("--tenant must not be empty", param="tenant"))
    tenant_id = TenantId(tenant.strip())
    secret, key = mint(
        entropy=secrets.token_bytes(32), tenant_id=tenant_id, tier=tier, name=name, now_s=time.time(), role=role
    )
    _run(_with_store(_settings(data_dir), lambda store: store.commit([PutApiKey(key=key)])))
    if as_json:
        typer.echo(
            json.dumps(
                {"id": key.key_id, "secret": secret, "tenant": tenant_id, "tier": tier.value, "role": role.value}
            )
        )
    else:
        whose = "of a reviewer" if role is Role.REVIEWER else f"of tenant {tenant_id} ({tier.value})"
        typer.echo(f"{secret}\n\nKey {key.key_id} {whose}. It is not shown again.")


@keys_cli.command("list")
def keys_list(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List keys without their secrets."""
    keys = _run(_with_store(_settings(data_dir), lambda store: store.api_keys()))
    if as_json:
        typer.echo(json.dumps({"keys": [_key_row(key) for key in keys]}))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "begins with", "tenant", "tier", "role", "name", "state"):
        table.add_column(column)
    for key in keys:
        state = "active" if key.revoked_at_s is None else "revoked"
        table.add_row(key.key_id, key.hint, key.tenant_id, key.tier.value, key.role.value, key.name, state)
    _console().print(table)


@keys_cli.command("revoke")
def keys_revoke(
    key_id: Annotated[str, typer.Argument(help="See `heliograph keys list`.")], data_dir: DataDir = None
) -> None:
    """Revoke a key; a running server notices within two seconds."""

    async def revoke(store: Store) -> None:
        found = [key for key in await store.api_keys() if key.key_id == key_id]
        if not found:
            raise NotFound(f"There is no key {key_id}; see `heliograph keys list`.", param="key_id")
        if found[0].revoked_at_s is None:
            await store.commit([PutApiKey(key=replace(found[0], revoked_at_s=time.time()))])

    _run(_with_store(_settings(data_dir), revoke))
    typer.echo(f"{key_id} is revoked.")


@jobs_cli.callback()
def jobs_list(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="How many of the newest.", min=1, max=100)] = 20,
    data_dir: DataDir = None,
    api_key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List the newest jobs."""
    if context.invoked_subcommand is not None:
        return
    jobs = _run(_ask(_settings(data_dir), api_key, lambda client: client.jobs(limit=limit)))
    if as_json:
        typer.echo(json.dumps({"jobs": jobs}))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("job", no_wrap=True, overflow="fold")
    for column in ("status", "model", "n", "seconds", "cost", "prompt"):
        table.add_column(column, overflow="ellipsis", no_wrap=column == "prompt")
    for job in jobs:
        request, timings = cast(JsonObject, job["request"]), cast(JsonObject, job["timings"])
        cost = format_usd(Micros(int(str(job["cost_micros"]))))
        seconds = f"{float(str(timings.get('total_s', 0))):.2f}"
        cells = (job["id"], job["status"], job["model"], request["n"], seconds, cost, request["prompt"])
        table.add_row(*(Text(str(cell)) for cell in cells))
    _console().print(table)


@jobs_cli.command("show")
def jobs_show(job_id: JobIdArgument, data_dir: DataDir = None, api_key: Key = None) -> None:
    """Print one job as JSON."""
    typer.echo(json.dumps(_run(_ask(_settings(data_dir), api_key, lambda client: client.job(job_id))), indent=2))


@jobs_cli.command("cancel")
def jobs_cancel(job_id: JobIdArgument, data_dir: DataDir = None, api_key: Key = None) -> None:
    """Cancel a job."""
    job = _run(_ask(_settings(data_dir), api_key, lambda client: client.cancel(job_id)))
    typer.echo(f"{job_id} is {job['status']}.")


@webhooks_cli.command("add")
def webhooks_add(
    url: Annotated[str, typer.Argument(help="Where to send events: public and https, or an allowed network.")],
    events: Annotated[str | None, typer.Option(help="Which, with commas between them; by default all.")] = None,
    description: Annotated[str, typer.Option(help="A word to tell endpoints apart.")] = "",
    data_dir: DataDir = None,
    api_key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint that hears of every job, and print its secret, once."""
    body: JsonObject = {"url": url, "description": description}
    if events is not None:
        body["events"] = [name.strip() for name in events.split(",")]
    endpoint = _run(_ask(_settings(data_dir), api_key, lambda client: client.add_webhook_endpoint(body)))
    if as_json:
        typer.echo(json.dumps(endpoint))
    else:
        typer.echo(f"{endpoint['secret']}\n\nEndpoint {endpoint['id']}. The secret is not shown again.")


@webhooks_cli.command("list")
def webhooks_list(data_dir: DataDir = None, api_key: Key = None, as_json: AsJson = False) -> None:
    """List endpoints."""
    endpoints = _run(_ask(_settings(data_dir), api_key, lambda client: client.webhook_endpoints()))
    if as_json:
        typer.echo(json.dumps({"endpoints": endpoints}))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("endpoint", "url", "events", "state", "description"):
        table.add_column(column, overflow="fold")
    for endpoint in endpoints:
        state = "active" if endpoint["disabled_at"] is None else f"disabled: {endpoint['disabled_reason']}"
        events = " ".join(cast("list[str]", endpoint["events"]))
        cells = (endpoint["id"], endpoint["url"], events, state, endpoint["description"])
        table.add_row(*(Text(str(cell)) for cell in cells))
    _console().print(table)


@webhooks_cli.command("remove")
def webhooks_remove(endpoint_id: EndpointArgument, data_dir: DataDir = None, api_key: Key = None) -> None:
    """Forget an endpoint, and everything that was or is to be sent there."""
    _run(_ask(_settings(data_dir), api_key, lambda client: client.remove_webhook_endpoint(endpoint_id)))
    typer.echo(f"{endpoint_id} is gone.")


@webhooks_cli.command("enable")
def webhooks_enable(endpoint_id: EndpointArgument, data_dir: DataDir = None, api_key: Key = None) -> None:
    """Enable an endpoint that was disabled; what it missed meanwhile is not sent by itself."""
    body = {"disabled": False}
    _run(_ask(_settings(data_dir), api_key, lambda client: client.change_webhook_endpoint(endpoint_id, body)))
    typer.echo(f"{endpoint_id} is enabled.")


@webhooks_cli.command("rotate")
def webhooks_rotate(endpoint_id: EndpointArgument, data_dir: DataDir = None, api_key: Key = None) -> None:
    """Make a new secret and print it, once; for a day the old one signs as well."""
    endpoint = _run(_ask(_settings(data_dir), api_key, lambda client: client.rotate_webhook_secret(endpoint_id)))
    typer.echo(str(endpoint["secret"]))


@webhooks_cli.command("deliveries")
def webhooks_deliveries(
    delivery_id: Annotated[str | None, typer.Argument(help="One of them, with every try.")] = None,
    limit: Annotated[int, typer.Option(help="How many of the newest.", min=1, max=100)] = 20,
    data_dir: DataDir = None,
    api_key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List what was sent, is to be sent and could not be; or print one delivery as JSON."""
    settings = _settings(data_dir)
    if delivery_id is not None:
        delivery = _run(_ask(settings, api_key, lambda client: client.webhook_delivery(delivery_id)))
        typer.echo(json.dumps(delivery, indent=2))
        return
    deliveries = _run(_ask(settings, api_key, lambda client: client.webhook_deliveries(limit=limit)))
    if as_json:
        typer.echo(json.dumps({"deliveries": deliveries}))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("delivery", "event", "job", "target", "state", "tries", "last error"):
        table.add_column(column, overflow="fold")
    for each in deliveries:
        error = each["last_error"] or ""
        cells = (each["id"], each["event"], each["job_id"], each["target"], each["state"], each["tries"], error)
        table.add_row(*(Text(str(cell)) for cell in cells))
    _console().print(table)


@webhooks_cli.command("replay")
def webhooks_replay(
    what: Annotated[
        str, typer.Argument(metavar="ID", help="A delivery, or an endpoint: all that it was not delivered.")
    ],
    data_dir: DataDir = None,
    api_key: Key = None,
) -> None:
    """Send a delivery again, or everything that an endpoint missed."""

    async def replay(client: Client) -> JsonObject:
        if what.startswith("we_"):
            return await client.replay_webhook_endpoint(what)
        return await client.replay_webhook_delivery(what)

    _run(_ask(_settings(data_dir), api_key, replay))
    typer.echo(f"{what} is due now; a running server sends it.")


# --- commands of cli_backup.py, cli_prompt.py and cli_simulate.py -----------------------------------------------------


def _stopping(command: Callable[..., None]) -> Callable[..., None]:
    """The command with errors as messages and exit codes."""

    @wraps(command)
    def stopping(**arguments: object) -> None:
        _or_stop(lambda: command(**arguments))

    return stopping


cli.command("backup")(_stopping(backup_command))
cli.command("restore")(_stopping(restore_command))
accounts_cli.command("usage")(_stopping(usage_command))
accounts_cli.command("usage-secret")(_stopping(usage_secret_command))
cli.command("costs")(_stopping(costs_command))
cli.command("prompt")(_stopping(prompt_command))
cli.command("import")(_stopping(import_command))
storage_cli.command("check")(_stopping(check_command))
storage_cli.command("report")(_stopping(report_command))


def _ask_about_keeping(
    question: Callable[[Client], Awaitable[JsonObject]],
    *,
    data_dir: Path | None,
    api_key: str | None,
    is_operator: bool,
) -> JsonObject:
    settings = _settings(data_dir)
    return _run(_ask_as_operator(settings, question) if is_operator else _ask(settings, api_key, question))


add_keeping_commands(storage_cli, _ask_about_keeping)
cli.command("simulate")(_stopping(simulate_command))
cli.command("verify")(_stopping(verify_command))
cli.command("plan")(_stopping(plan_command))
cli.command("export-trace")(_stopping(export_trace_command))


# --- generate --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Where pictures go: a directory, each under a name of its own, or a file whose name says `output_format`."""

    path: Path
    is_file: bool
    output_format: str | None


def _target(out: str, file_format: str | None, *, n: int, force: bool) -> _Target:
    """Make sure that pictures can be written before any is made. Raises `InvalidRequest` naming --out or --format."""
    path = Path(out)
    said = FORMAT_OF_SUFFIX.get(path.suffix.lower())
    is_file = said is not None and not out.endswith("/") and not path.is_dir()
    if is_file and file_format is not None and file_format != said:
        raise InvalidRequest(f"--out ends in {path.suffix}, --format is {file_format}; make them agree", param="out")
    folder = path.parent if is_file else path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InvalidRequest(f"Nothing can be written to {folder}: {error.strerror}", param="out") from error
    taken = [one for one in (_numbered(path, index) for index in range(n)) if one.exists()] if is_file else []
    if taken and not force:
        raise InvalidRequest(f"{taken[0]} exists; choose another name, or --force to overwrite it", param="out")
    return _Target(path=path, is_file=is_file, output_format=said if is_file else None)


def _numbered(path: Path, index: int) -> Path:
    return path if index == 0 else path.with_stem(f"{path.stem}-{index + 1}")


def _starts(image: Path | None, mask: Path | None, strength: float | None) -> dict[str, object]:
    """What `inputs` of the job is made of: the files' bytes and the strength, as far as they are given."""
    if image is None:
        if mask is not None or strength is not None:
            raise InvalidRequest("--mask and --strength need a picture to start from: --image FILE.", param="image")
        return {}
    found: dict[str, object] = {} if strength is None else {"strength": strength}
    for name, path in (("image", image), ("mask", mask)):
        if path is not None:
            try:
                found[name] = path.read_bytes()
            except OSError as error:
                raise InvalidRequest(f"Cannot read {path}: {error.strerror}.", param=name) from error
    return found


async def _generate(
    settings: Settings, api_key: str | None, body: JsonObject, target: _Target, starts: Mapping[str, object]
) -> tuple[JsonObject, list[Path]]:
    """The finished job and where its pictures were written."""
    async with _client(settings, api_key, may_run_jobs=True) as client:
        if starts:
            stored = {
                name: (await client.upload(value, purpose=name))["id"] if isinstance(value, bytes) else value
                for name, value in starts.items()
            }
            body = {**body, "inputs": stored}
        job = await client.submit(body)
        job_id = str(job["id"])
        try:
            with ProgressView(Console(stderr=True)) as view:
                async for event in client.events(job_id):
                    view.show(event)
                    if event.name == "done":
                        job = event.data
        except asyncio.CancelledError:
            await client.cancel(job_id)
            raise
        if job["status"] not in ("completed", "failed", "cancelled", "expired"):
            raise WorldError(f"The server stopped before job {job_id} was done; ask for it when it is back.")
        return job, [await _save(client, job, output, target) for output in _outputs(job)]


async def _save(client: Client, job: JsonObject, output: JsonObject, target: _Target) -> Path:
    """Write one picture: into the directory under a name of its own, or to the file named."""
    data = await client.download(str(output["url"]))
    index = int(str(output["index"]))
    name = f"{job['model']}-{output['seed']}-{str(job['id'])[-6:]}.{output['format']}"
    path = _numbered(target.path, index) if target.is_file else target.path / name
    try:
        await asyncio.to_thread(path.write_bytes, data)
    except OSError as error:
        raise InvalidRequest(f"Cannot write {path}: {error.strerror}.", param="out") from error
    return path.absolute()


def _outputs(job: JsonObject) -> list[JsonObject]:
    return cast("list[JsonObject]", job["outputs"])


def _report(job: JsonObject, paths: list[Path]) -> JsonObject:
    """What `--json` prints."""
    kept = ("width", "height", "format", "seed", "sha256", "frames", "duration_s", "alignment", "missing")
    outputs = zip(_outputs(job), paths, strict=True)
    timings = cast("dict[str, float]", job["timings"])
    return {
        "job_id": job["id"],
        "status": job["status"],
        "outputs": [
            {"path": str(path), **{name: output[name] for name in kept if name in output}} for output, path in outputs
        ],
        "timings": {name.removesuffix("_s"): seconds for name, seconds in timings.items()},
        "adjustments": job["adjustments"],
        "cost_micros": job["cost_micros"],
        "error": job["error"],
    }


def _tell(job: JsonObject, paths: list[Path]) -> None:
    """The result for a person."""
    console = _console()
    if job["status"] != "completed":
        error = cast(JsonObject, job["error"])
        Console(stderr=True).print(f"The job {job['status']}: {error['message']}", style="red", markup=False)
        return
    for output, path in zip(_outputs(job), paths, strict=True):
        clip = f"  {output['frames']} frames, {output['duration_s']:g} s" if "frames" in output else ""
        said = f"{path}  {output['width']}x{output['height']}{clip}  seed {output['seed']}{_fit(output)}"
        console.print(Text(said), soft_wrap=True)
    timings = cast("dict[str, float]", job["timings"])
    stages = "  ".join(f"{name.removesuffix('_s')} {seconds:.2f} s" for name, seconds in timings.items())
    console.print(Text(f"{stages}  cost {format_usd(Micros(int(str(job['cost_micros']))))}", style="dim"))
    for change in cast("list[dict[str, str]]", job["adjustments"]):
        line = f"{change['parameter']}: {change['requested']} -> {change['used']}. {change['reason']}"
        console.print(Text(line, style="dim"))


def _fit(output: JsonObject) -> str:
    """How well the picture fits its prompt, as the end of a line; empty where nothing judged it."""
    if output["alignment"] is None:
        return ""
    missing = ", ".join(cast("list[str]", output["missing"]))
    score = f"  matches the prompt: {float(str(output['alignment'])):.0%}"
    return f"{score}, may not show: {missing}" if missing else score


# --- shared ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _client(settings: Settings, api_key: str | None, *, may_run_jobs: bool) -> AsyncGenerator[Client]:
    """A client of the server that runs on the data directory, or of one that lives as long as the context.

    Without `may_run_jobs` the latter only answers questions: jobs that wait for a server stay as they are.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    async with AsyncExitStack() as stack:
        while True:
            running = await _holder(settings.data_dir, deadline_s)
            if running is not None and running.url is not None:
                yield await stack.enter_async_context(_closing(Client(base_url=running.url, api_key=api_key)))
                return
            try:
                client = await stack.enter_async_context(_own_server(settings, api_key, may_run_jobs=may_run_jobs))
            except Unavailable as error:
                # Another command may have taken the directory since we looked: wait for that one, too.
                if error.code != "data_dir_locked" or time.monotonic() > deadline_s:
                    raise
            else:
                yield client
                return


@asynccontextmanager
async def _own_server(settings: Settings, api_key: str | None, *, may_run_jobs: bool) -> AsyncGenerator[Client]:
    """A client of a server that lives as long as the context, reached through a private socket."""
    with tempfile.TemporaryDirectory(prefix="heliograph-") as folder:
        socket_path = Path(folder) / "api.sock"
        async with app.serve_privately(settings, socket_path, may_run_jobs=may_run_jobs):
            own = Client(base_url="http://localhost", api_key=api_key, socket=socket_path)
            async with _closing(own) as client:
                yield client


async def _holder(data_dir: Path, deadline_s: float) -> Holder | None:
    """Who holds the data directory; another command that works on it for a moment is waited for."""
    is_told = False
    while True:
        running = await asyncio.to_thread(holder, data_dir)
        if running is None or running.url is not None or time.monotonic() > deadline_s:
            return running
        if not is_told:
            typer.echo(f"waiting for another heliograph command (process {running.pid}) to finish", err=True)
            is_told = True
        await asyncio.sleep(0.1)


@asynccontextmanager
async def _closing(client: Client) -> AsyncGenerator[Client]:
    try:
        yield client
    finally:
        await client.close()


def _halted(model: str | None, pool: str | None) -> JsonObject:
    return {name: value for name, value in (("model", model), ("pool", pool)) if value is not None}


def _show_fleet(data_dir: Path | None, as_json: bool, question: Callable[[Client], Awaitable[JsonObject]]) -> None:
    """Ask or order something as the operator, and print the fleet."""
    settings = _settings(data_dir)
    found = _run(_ask_as_operator(settings, question))
    if as_json:
        typer.echo(json.dumps(found))
        return
    _console().print(fleet_tables(found, now_s=time.time()))


async def _ask_as_operator(settings: Settings, question: Callable[[Client], Awaitable[_T]]) -> _T:
    data_dir = await asyncio.to_thread(app.made_data_dir, settings.data_dir)
    key = await asyncio.to_thread(app.operator_key, data_dir)
    return await _ask(settings, key, question)


async def _ask(settings: Settings, api_key: str | None, question: Callable[[Client], Awaitable[_T]]) -> _T:
    if not await asyncio.to_thread(settings.data_dir.is_dir):
        raise NotFound(f"There are no jobs: {settings.data_dir} is not there.", param="data_dir")
    async with _client(settings, api_key, may_run_jobs=False) as client:
        return await question(client)


async def _with_store(settings: Settings, work: Callable[[Store], Awaitable[_T]]) -> _T:
    """Work on the store directly: keys can be managed whether a server runs or not."""
    await asyncio.to_thread(app.made_data_dir, settings.data_dir)
    store = await app.open_store(settings, claims=False)
    try:
        return await work(store)
    finally:
        await store.close()


def _model_row(card: ModelCard) -> JsonObject:
    """A card as `models --json` prints it; what is unknown is null."""
    row = cast(JsonObject, asdict(card))
    return {"id": row.pop("model_id"), **row, "tasks": sorted(card.tasks)}


def _key_row(key: ApiKey) -> JsonObject:
    return {
        "id": key.key_id,
        "hint": key.hint,
        "tenant": key.tenant_id,
        "tier": key.tier.value,
        "role": key.role.value,
        "name": key.name,
        "revoked": key.revoked_at_s is not None,
    }


def _console() -> Console:
    """For results: where they go to a file or another program, lines are as long as they need to be."""
    width = None if sys.stdout.isatty() else WIDTH_PIPED
    return Console(highlight=False, width=width)


def _connect(data_dir: Path | None, api_key: str | None) -> tuple[Path, AbstractAsyncContextManager[Client]]:
    settings = read_settings(data_dir=data_dir)
    return settings.data_dir, _client(settings, api_key, may_run_jobs=True)


add_golden_commands(golden_cli, _connect, lambda work: _run(work()))


def _settings(data_dir: Path | None) -> Settings:
    return _or_stop(lambda: read_settings(data_dir=data_dir))


def _run(work: Coroutine[None, None, _T], *, as_json: bool = False) -> _T:
    return _or_stop(lambda: uvloop.run(work), as_json=as_json)


def _or_stop(work: Callable[[], _T], *, as_json: bool = False) -> _T:
    """The result, or a message (with `as_json` an object on stdout, too) and an exit code."""
    try:
        return work()
    except HeliographError as error:
        if as_json:
            refusal = {"code": error.code, "message": error.message, "param": error.param}
            typer.echo(json.dumps({"status": "refused", "error": refusal}))
        _stop(error)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _stop(error: HeliographError) -> NoReturn:
    where = f" ({error.param})" if error.param else ""
    typer.echo(f"heliograph: {error.message}{where}", err=True)
    raise typer.Exit(EXIT_BAD_REQUEST if isinstance(error, CallerError) else EXIT_BROKEN)


def main() -> None:
    """Entry point of the `heliograph` command."""
    try:
        cli(prog_name="heliograph")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
