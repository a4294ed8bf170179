"""The commands around the simulator: `simulate`, `plan`, `export-trace`.

They read files and the clock so that `simulation/` need not. `cli.py` registers them and turns errors into exit codes.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from heliograph import app
from heliograph.billing.prices import PriceBook
from heliograph.domain.errors import InvalidRequest, NotFound
from heliograph.domain.ids import TenantId
from heliograph.domain.job import Job
from heliograph.routing.catalogue import parse_catalogue
from heliograph.settings import Settings, read_settings
from heliograph.simulation import PolicySet, Report, ScenarioFile, Surroundings, parse_policy, parse_scenario, simulate
from heliograph.simulation.arrivals import read_shares
from heliograph.simulation.charts import duration_words
from heliograph.simulation.fleet_size import Demand, FleetPlan, Promise, plan_fleet
from heliograph.simulation.hardware import GPU_CLASSES, Term, read_prices
from heliograph.simulation.page import render
from heliograph.simulation.recorded import Measured, scenario_text, trace_text
from heliograph.storage.store import Store

DATA_DIR = Path(__file__).parent / "data"
SCENARIOS_DIR = DATA_DIR / "scenarios"
CHECK_EVERY = 1_000
PAGE_OF_JOBS = 500

DataDir = Annotated[Path | None, typer.Option(help="Where jobs, ledger and pictures are kept.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Seed = Annotated[int | None, typer.Option(help="Another seed than the scenario's.", show_default=False)]


def surroundings(folder: Path) -> Surroundings:
    """The shipped facts; traces are looked for from `folder` on."""

    def read(path: str) -> str:
        return _text_of(folder / path)

    catalogue = DATA_DIR / "catalogue.toml"
    return Surroundings(
        shipped=parse_catalogue(_text_of(catalogue), origin=str(catalogue)),
        prices=read_prices(_text_of(DATA_DIR / "gpu_prices.csv")),
        shares=read_shares(
            popularity=_text_of(DATA_DIR / "gentd26_popularity.csv"),
            joint_mix=_text_of(DATA_DIR / "gentd26_joint_mix.csv"),
        ),
        read_text=read,
    )


def shipped_scenarios() -> tuple[str, ...]:
    """Names of the scenarios that come with the package."""
    return tuple(sorted(path.stem for path in SCENARIOS_DIR.glob("*.toml")))


def read_scenario(name: str) -> tuple[ScenarioFile, Path]:
    """A scenario by path or by the name of a shipped one, and the folder that its traces are relative to."""
    shipped = SCENARIOS_DIR / f"{name}.toml"
    path = shipped if shipped.is_file() and not Path(name).is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(shipped_scenarios())
        raise InvalidRequest(f"There is no scenario file {name}; shipped ones are {known}.", param="scenario")
    return parse_scenario(_text_of(path), origin=name), path.parent


def simulate_command(
    scenario: Annotated[str, typer.Argument(help="A scenario file, or the name of a shipped one.")],
    policy: Annotated[
        str | None, typer.Option(help="One of the scenario's policies, or a TOML file with one.", show_default=False)
    ] = None,
    seed: Seed = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the report as a page to this file.", show_default=False)
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Assert the invariants on the way; slower.")] = False,
    decision_time: Annotated[
        bool, typer.Option("--decision-time", help="Put what decisions took on this machine into JSON and page, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Play a scenario with the production scheduler, router and fleet plan, and say how it went.

    JSON and page are the same for the same seed, byte for byte, unless they hold what decisions took on this machine.
    """
    file, folder = read_scenario(scenario)
    is_timed = decision_time or (report is None and not as_json)
    policies = _policies(file, policy)
    with _progress(f"simulating {file.scenario.name}") as progress, _few_collections():
        found = simulate(
            file,
            surroundings(folder),
            policies=policies,
            seed=seed,
            clock_ns=time.thread_time_ns if is_timed else None,
            check_every=CHECK_EVERY if check else 0,
            exact_ledger=check,
            progress=progress,
        )
    if report is not None:
        _write(report, render(found))
    if as_json:
        typer.echo(found.to_json())
    else:
        _tell(found)
        if report is not None:
            typer.echo(f"\nThe report is in {report}.")


def plan_command(
    images_per_day: Annotated[float, typer.Option(help="Pictures (or clips) a day.", min=1)],
    mix: Annotated[str, typer.Option(help="Models by weight, for example sdxl-base=0.7,flux1-dev=0.3.")],
    slo: Annotated[
        list[str],
        typer.Option(help="P50, P95 or P99 in seconds, for example p95=20; for clips video.p95=900. May be repeated."),
    ],
    gpu: Annotated[
        list[str] | None, typer.Option(help="Only this GPU class. May be repeated.", show_default=False)
    ] = None,
    term: Annotated[Term, typer.Option(help="What the cheapest fleet is judged by.")] = Term.ON_DEMAND,
    seed: Annotated[int, typer.Option(help="Seed of the simulations.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Find the smallest fleet that keeps a promise, and what it costs a month."""
    models = weights(mix)
    promise = promised(slo)
    classes = tuple(gpu) if gpu else tuple(GPU_CLASSES)
    for name in classes:
        if name not in GPU_CLASSES:
            raise InvalidRequest(f"There is no GPU class {name!r}; known are {', '.join(GPU_CLASSES)}.", param="gpu")
    demand = Demand(images_per_day=images_per_day, models=models)
    is_shown = sys.stderr.isatty()
    with Console(stderr=True).status("planning") as status, _few_collections():
        found = plan_fleet(
            demand,
            promise,
            surroundings(Path()),
            term=term,
            gpu_classes=classes,
            seed=seed,
            told=(lambda text: status.update(f"simulating {text}")) if is_shown else lambda _text: None,
        )
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        _tell_plan(found, term)


def export_trace_command(
    out: Annotated[Path, typer.Option(help="Folder to write trace.csv and scenario.toml to.")],
    since: Annotated[
        str | None, typer.Option(help="Only requests from this time on (ISO 8601, UTC).", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only requests before this time (ISO 8601, UTC).", show_default=False)
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Turn this installation's history into a scenario to simulate, without prompts or names."""
    settings = read_settings() if data_dir is None else read_settings(data_dir=data_dir)
    if not settings.data_dir.is_dir():
        raise NotFound(f"There are no jobs: {settings.data_dir} is not there.", param="data_dir")
    recorded = record(settings, moment(since, "since", 0.0), moment(until, "until", float("inf")))
    if recorded is None:
        raise NotFound("No job was submitted in that time.", param="since")
    _write(out / "trace.csv", recorded.trace)
    _write(out / "scenario.toml", recorded.scenario)
    typer.echo(f"{recorded.jobs} requests are in {out / 'trace.csv'}; heliograph simulate {out / 'scenario.toml'}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An installation's history as texts: a scenario, and the trace `trace.csv` that it plays."""

    scenario: str
    trace: str
    jobs: int


def record(settings: Settings, first_s: float, last_s: float, *, jobs_max: int | None = None) -> Recorded | None:
    """What was submitted from `first_s` and before `last_s`, at most the newest `jobs_max`; None for nothing."""
    jobs, measured = asyncio.run(_history(settings, first_s, last_s))
    if not jobs:
        return None
    jobs = sorted(jobs, key=lambda job: job.created_at_s)[-(jobs_max or len(jobs)) :]
    prices = PriceBook().overridden(gpu_hour_usd=settings.prices.gpu_hour_usd).gpu_hour_micros
    begin_s = jobs[0].created_at_s
    text = scenario_text(
        name=f"recorded {datetime.fromtimestamp(begin_s, UTC):%Y-%m-%d}",
        trace_name="trace.csv",
        duration_s=jobs[-1].created_at_s - begin_s + 1.0,
        start_s=begin_s,
        measured=measured,
        cards=app.read_catalogue(settings).cards,
        memory_gb={name: known.memory_gb for name, known in GPU_CLASSES.items()}
        | {"cpu": settings.fleet.slot_memory_bytes / 1e9},
        usd_per_hour={name: micros / 1e6 for name, micros in prices.items()},
    )
    return Recorded(scenario=text, trace=trace_text(jobs), jobs=len(jobs))


async def _history(settings: Settings, first_s: float, last_s: float) -> tuple[list[Job], Measured]:
    """Every job of those times, and what its attempts say."""
    store = await app.open_store(settings, claims=False)
    measured = Measured()
    jobs: list[Job] = []
    try:
        tenants = dict.fromkeys([TenantId("local"), *(key.tenant_id for key in await store.api_keys())])
        for tenant_id in tenants:
            async for job in _jobs_of(store, tenant_id):
                if first_s <= job.created_at_s < last_s:
                    jobs.append(job)
                    measured.add(job, await store.attempts(job.job_id))
    finally:
        await store.close()
    return jobs, measured


async def _jobs_of(store: Store, tenant_id: TenantId) -> AsyncGenerator[Job]:
    before: int | None = None
    while True:
        page = await store.jobs(tenant_id, limit=PAGE_OF_JOBS, before_sequence=before)
        for stored in page:
            yield stored.job
        if len(page) < PAGE_OF_JOBS:
            return
        before = page[-1].job.sequence


# --- reading what was asked ------------------------------------------------------------------------------------------


def _policies(file: ScenarioFile, name: str | None) -> PolicySet:
    if name is None:
        return file.policies["default"]
    if name in file.policies:
        return file.policies[name]
    path = Path(name)
    if not path.is_file():
        known = ", ".join(file.policies)
        raise InvalidRequest(f"{name} is neither a policy of the scenario ({known}) nor a file.", param="policy")
    read = parse_policy(_text_of(path), base=file.policies["default"], origin=name)
    return replace(read, name=path.stem)


def weights(text: str) -> dict[str, float]:
    """Models by weight out of `--mix`. Raises `InvalidRequest`."""
    try:
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        found = {name.strip(): float(weight) if sign else 1.0 for name, sign, weight in pairs}
    except ValueError:
        raise InvalidRequest(f"--mix is {text!r}; write sdxl-base=0.7,flux1-dev=0.3", param="mix") from None
    if not found or min(found.values()) <= 0:
        raise InvalidRequest("--mix needs models with weights above 0", param="mix")
    return found


def promised(items: list[str]) -> Promise:
    """The promise out of `--slo`. Raises `InvalidRequest`."""
    targets: dict[str, float] = {}
    shares: set[float] = set()
    for item in items:
        left, _, seconds = item.partition("=")
        kind, _, percentile = left.rpartition(".")
        try:
            share = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}[percentile]
            targets[kind or "image"] = float(seconds)
        except (KeyError, ValueError):
            raise InvalidRequest(f"--slo is {item!r}; write p95=20 or video.p95=900", param="slo") from None
        shares.add(share)
    if len(shares) != 1 or min(targets.values()) <= 0 or not set(targets) <= {"image", "video"}:
        raise InvalidRequest("--slo needs one percentile for all, and seconds above 0 for image or video", param="slo")
    return Promise(share=shares.pop(), target_s=targets)


def moment(text: str | None, param: str, otherwise_s: float) -> float:
    """A time out of an option, in seconds since the epoch. Raises `InvalidRequest`."""
    if text is None:
        return otherwise_s
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"--{param} is {text!r}; write a time like 2026-11-17T08:00", param=param) from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}", param=str(path)) from error


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}", param="report") from error


# --- telling ----------------------------------------------------------------------------------------------------------


@contextmanager
def _progress(title: str) -> Generator[Callable[[float, int, int], None] | None]:
    """A bar with the time that is left, on a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[jobs]:,} requests, {task.fields[open]:,} open"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=1.0, jobs=0, open=0)
        yield lambda share, jobs, open_jobs: bar.update(task, completed=share, jobs=jobs, open=open_jobs)


@contextmanager
def _few_collections() -> Generator[None]:
    """A simulation makes millions of small objects and no cycles worth looking for."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _tell(report: Report) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(
        f"{report.scenario}: {report.jobs:,} requests in {duration_words(report.duration_s)} on {report.gpus} GPUs, "
        f"policy {report.policy}, seed {report.seed}\n"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("who", "target", "asked", "on time", "late", "refused", "failed", "P50", "P95", "P99"):
        table.add_column(column, justify="left" if column == "who" else "right")
    for group in report.groups:
        who = group.tier if group.kind == "all" else f"{group.tier} {group.kind}"
        failed = group.failed + group.expired + group.unfinished
        table.add_row(
            who,
            _duration(group.target_s),
            f"{group.asked:,}",
            "-" if group.attainment is None else f"{group.attainment:.1%}",
            f"{group.late:,}",
            f"{group.refused:,}",
            f"{failed:,}",
            *(_duration(value) for value in (group.latency_s.p50, group.latency_s.p95, group.latency_s.p99)),
        )
    console.print(table)
    hours = report.gpu_hours
    per_1000 = report.cost_usd_per_1000_on_time
    lines = [
        f"cost        ${report.cost_usd:,.2f}"
        + ("" if per_1000 is None else f", ${per_1000:,.2f} per 1,000 on-time pictures"),
        f"goodput     {report.goodput_per_hour:,.0f} pictures on time per hour",
        f"GPU-hours   {hours.paid:,.1f} paid: {hours.busy:,.1f} busy, {hours.lost:,.1f} lost, {hours.loading:,.1f} "
        f"loading, {hours.idle:,.1f} idle, {hours.empty:,.1f} empty",
        f"cold starts {'-' if report.cold_start_share is None else f'{report.cold_start_share:.1%}'} of requests; "
        f"{report.loads:,} loads",
        f"fairness    longest wait {_duration(report.longest_wait_s)}; Jain "
        + ("-" if report.jain is None else f"{report.jain:.3f}"),
    ]
    if report.decision_us.count:
        lines.append(f"decisions   P50 {report.decision_us.p50:.0f} us, P99 {report.decision_us.p99:.0f} us")
    console.print("\n" + "\n".join(lines))


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else duration_words(seconds)


def _tell_plan(plan: FleetPlan, term: Term) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    best = plan.options[0]
    console.print(
        f"{best.count} x {best.gpu} keeps the promise at the busiest hours ({best.kept:.1%}) for "
        f"${best.usd_per_month[term.value]:,.0f} a month ({term.value.replace('_', ' ')}).\n"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("GPU", "count", "kept", "P95", "busy at peak", *(f"$/month {each.value}" for each in Term)):
        table.add_column(column, justify="left" if column == "GPU" else "right")
    for option in plan.options:
        table.add_row(
            option.gpu,
            str(option.count),
            f"{option.kept:.1%}",
            _duration(option.p95_s),
            f"{option.busy_share:.0%}",
            *(f"{option.usd_per_month[each.value]:,.0f}" for each in Term),
        )
    console.print(table)
    console.print(f"\nIf the price of {best.gpu} were another:")
    for factor, gpu, usd in plan.sensitivity:
        console.print(f"  {factor:>4.0%}  cheapest is {gpu} at ${usd:,.0f} a month")
    for gpu, reason in plan.left_out.items():
        console.print(f"  {gpu}: {reason}")
