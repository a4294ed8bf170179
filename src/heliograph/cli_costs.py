"""The command `heliograph costs`: the ledger as a table, what would change it, and what more traffic would cost.

The table is the ledger's, to the micro-dollar. What follows it is simulated, with the production scheduler, and says
so. `cli.py` registers the command and turns errors into exit codes.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.table import Table

from heliograph import app
from heliograph.billing.costs import WASTE, By, CostReport, CostShare, cost_report, report_json, running_words
from heliograph.billing.prices import PriceBook
from heliograph.billing.projection import VOLUMES, Assumption, Origin, Projection, assumptions, project
from heliograph.cli_simulate import Recorded, moment, promised, record, surroundings, weights
from heliograph.domain.billing_records import Component, LedgerTotal
from heliograph.domain.errors import InvalidRequest, NotFound
from heliograph.domain.ids import TenantId
from heliograph.domain.money import Micros, format_usd
from heliograph.settings import Settings, read_settings
from heliograph.simulation import PolicySet, Report, ScenarioFile, Surroundings, parse_scenario, simulate
from heliograph.simulation.charts import duration_words
from heliograph.simulation.cost_page import Costs, WhatIf, render_costs
from heliograph.simulation.fleet_size import Demand, plan_fleet
from heliograph.simulation.hardware import GPU_CLASSES, Term

RECORDED_MAX = 2_000
"""Requests that "what if" plays; the newest are enough to tell policies apart."""
SAMPLE = 200
PICTURES_MIN = 100
"""From so many pictures on, what this installation used per picture is taken; below, starting up outweighs them."""
SLICE_MAX = 100_000.0
"""Pictures a day that are simulated at most; more are so many of these side by side."""
MIX = {"sdxl-base": 0.7, "flux1-dev": 0.3}
SLO = ["p95=30"]
TTLS_S = (900.0, 3_600.0)
_NAMES: Mapping[CostShare, str] = {
    CostShare.GPU: "GPU",
    CostShare.STORAGE_CDN: "storage and CDN",
    CostShare.QUEUE: "queue and orchestration",
    CostShare.SAFETY: "safety and moderation",
    CostShare.API: "API and serving",
}

_UNITS = {"h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}


def costs_command(
    by: Annotated[By, typer.Option(help="What the rows are.")] = By.MODEL,
    since: Annotated[
        str | None,
        typer.Option(help="From this time on (ISO 8601, UTC), or so long ago: 24h, 7d, 4w.", show_default=False),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Before this time (ISO 8601, UTC), or so long ago.", show_default=False)
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data", "--data-dir", help="Where jobs, ledger and pictures are kept.", show_default=False),
    ] = None,
    what_if: Annotated[
        bool, typer.Option("--what-if/--no-what-if", help="Play the newest requests again on other fleets.")
    ] = True,
    projection: Annotated[
        bool, typer.Option("--projection/--no-projection", help="What more pictures a day would cost a month.")
    ] = True,
    images_per_day: Annotated[
        list[float] | None,
        typer.Option(help="Project so many; may be repeated. [default: 10000, 1000000]", min=1, show_default=False),
    ] = None,
    mix: Annotated[
        str | None,
        typer.Option(help="Models by weight, for the projection. [default: as measured]", show_default=False),
    ] = None,
    slo: Annotated[
        list[str] | None,
        typer.Option(help="The promise of the projection, as `heliograph plan` takes it. [default: p95=30]"),
    ] = None,
    gpu: Annotated[
        list[str] | None, typer.Option(help="Only this GPU class, for the projection. May be repeated.")
    ] = None,
    term: Annotated[Term, typer.Option(help="How the GPUs of the projection are paid for.")] = Term.ON_DEMAND,
    assume: Annotated[
        list[str] | None, typer.Option(help="Put another number in: NAME=VALUE, as the table names them.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write it all as a page to this file.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """What pictures cost and for what, what would change that, and what more of them would cost."""
    settings = read_settings() if data_dir is None else read_settings(data_dir=data_dir)
    if data_dir is not None and not data_dir.is_dir():
        raise NotFound(f"There is no ledger: {data_dir} is not there.", param="data")
    now_s = time.time()
    since_s, until_s = _time(since, "since", 0.0, now_s), _time(until, "until", now_s, now_s)
    if until_s <= since_s:
        raise InvalidRequest("--until is not after --since", param="until")
    given = _given(assume or [])
    held = asyncio.run(_read(settings, since_s, until_s))
    found = cost_report(held.totals, by=by, since_s=since_s, until_s=until_s)
    models = {row.key: row.pictures for row in _by_model(held.totals, since_s, until_s).rows}
    own_mix = _measured_mix(settings, models)
    prices = app.price_book(settings)
    with Console(stderr=True).status("reading the ledger") as status:
        told: Callable[[str], None] = (lambda text: status.update(text)) if sys.stderr.isatty() else lambda _text: None
        changes = _what_ifs(settings, since_s, until_s, told) if what_if and found.pictures else ()
        inputs: tuple[Assumption, ...] = ()
        projections: tuple[Projection, ...] = ()
        if projection:
            inputs, projections = _projected(
                images_per_day or list(VOLUMES),
                weights(mix) if mix is not None else own_mix or dict(MIX),
                slo or SLO,
                tuple(gpu or ()),
                term,
                _known(found, held, settings, prices, has_own_mix=mix is None and bool(own_mix)),
                given,
                prices,
                told,
            )
    costs = Costs(report=found, what_ifs=changes, projections=projections, assumptions=inputs, names=_NAMES)
    if report is not None:
        _write(report, render_costs(costs))
    if as_json:
        typer.echo(json.dumps(_json(costs)))
    else:
        _tell(costs)
        if report is not None:
            typer.echo(f"\nThe page is in {report}.")


# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """`stored_bytes` is the mean size of the newest pictures, None where there are none."""

    totals: tuple[LedgerTotal, ...]
    stored_bytes: float | None


async def _read(settings: Settings, since_s: float, until_s: float) -> _Held:
    if not settings.data_dir.is_dir():
        return _Held(totals=(), stored_bytes=None)
    store = await app.open_store(settings, claims=False)
    try:
        totals = await store.ledger_totals(since_s=since_s, until_s=until_s)
        sizes: list[int] = []
        for tenant_id in dict.fromkeys([TenantId("local"), *(key.tenant_id for key in await store.api_keys())]):
            jobs = await store.jobs(tenant_id, limit=SAMPLE)
            sizes += [output.size_bytes for job in jobs for output in job.outputs]
        return _Held(totals=totals, stored_bytes=sum(sizes) / len(sizes) if sizes else None)
    finally:
        await store.close()


def _by_model(totals: Sequence[LedgerTotal], since_s: float, until_s: float) -> CostReport:
    return cost_report(totals, by=By.MODEL, since_s=since_s, until_s=until_s)


def _time(text: str | None, param: str, otherwise_s: float, now_s: float) -> float:
    if text is not None and text[-1:] in _UNITS and text[:-1].replace(".", "", 1).isdigit():
        return now_s - float(text[:-1]) * _UNITS[text[-1]]
    return moment(text, param, otherwise_s)


def _given(items: Sequence[str]) -> dict[str, float]:
    given: dict[str, float] = {}
    for item in items:
        name, sign, value = item.partition("=")
        try:
            given[name.strip()] = float(value if sign else "x")
        except ValueError:
            raise InvalidRequest(f"--assume is {item!r}; write days_kept=90", param="assume") from None
    return given


# --- what if ---------------------------------------------------------------------------------------------------------


def _what_ifs(settings: Settings, since_s: float, until_s: float, told: Callable[[str], None]) -> tuple[WhatIf, ...]:
    """The newest requests again: as it was, with a GPU more and one fewer, and with models kept longer."""
    recorded = record(settings, since_s, until_s, jobs_max=RECORDED_MAX)
    if recorded is None:
        return ()
    file = parse_scenario(recorded.scenario, origin="the recorded history")
    around = _with_trace(recorded)
    was = file.policies["default"]
    if settings.fleet.idle_ttl_s is not None:
        was = _keeping(was, settings.fleet.idle_ttl_s)
    group = max(file.scenario.fleet, key=lambda each: each.count * (each.price_usd_per_hour or 0.0))
    tries: list[tuple[str, ScenarioFile, PolicySet]] = [("as it was", file, was)]
    tries.append((f"one more {group.gpu}", _sized(file, group.gpu, +1), was))
    if group.count > 1:
        tries.append((f"one {group.gpu} fewer", _sized(file, group.gpu, -1), was))
    tries += [(f"idle models kept {duration_words(ttl_s)}", file, _keeping(was, ttl_s)) for ttl_s in TTLS_S]
    found: list[WhatIf] = []
    for change, scenario, policies in tries:
        told(f"simulating {change}")
        played = simulate(scenario, around, policies=policies)
        found.append(_what_if(change, played, recorded.jobs))
    return tuple(found)


def _with_trace(recorded: Recorded) -> Surroundings:
    def read(_path: str) -> str:
        return recorded.trace

    return replace(surroundings(Path()), read_text=read)


def _sized(file: ScenarioFile, gpu: str, change: int) -> ScenarioFile:
    fleet = tuple(replace(each, count=each.count + change * (each.gpu == gpu)) for each in file.scenario.fleet)
    return replace(file, scenario=replace(file.scenario, fleet=fleet))


def _keeping(policies: PolicySet, ttl_s: float) -> PolicySet:
    return replace(policies, forecasts=False, fleet=replace(policies.fleet, idle_ttl_s=ttl_s))


def _what_if(change: str, report: Report, jobs: int) -> WhatIf:
    hours = report.gpu_hours
    return WhatIf(
        change=change,
        jobs=jobs,
        gpu_hours=hours.paid,
        usd=report.cost_usd,
        usd_per_1000=report.cost_usd_per_1000_on_time,
        on_time=report.overall.attainment,
        p95_s=report.overall.latency_s.p95,
        cold_starts=report.cold_start_share,
        idle_share=(hours.idle + hours.empty) / hours.paid if hours.paid else None,
    )


# --- projection ------------------------------------------------------------------------------------------------------


def _measured_mix(settings: Settings, models: Mapping[str, int]) -> dict[str, float]:
    """Pictures by model, for the models that the catalogue has GPU timings of."""
    cards = app.read_catalogue(settings).cards
    return {
        model_id: float(models[model_id])
        for model_id, card in cards.items()
        if models.get(model_id) and card.vram_bytes and any(timing.gpu != "cpu" for timing in card.timings)
    }


def _known(
    found: CostReport, held: _Held, settings: Settings, prices: PriceBook, *, has_own_mix: bool
) -> list[Assumption]:
    """What this installation knows: its prices, its settings, and what it used per picture."""
    known = [
        Assumption(name=name, value=prices.service_micros[component] / 1e6, unit=unit, origin=Origin.PRICE, why=why)
        for name, component, unit, why in (
            ("core_usd_per_hour", Component.API_CPU, "USD per core-hour", "prices.service_usd"),
            ("storage_usd_per_gb_month", Component.STORAGE, "USD per GB and month", "prices.service_usd"),
            ("egress_usd_per_gb", Component.EGRESS, "USD per GB", "prices.service_usd"),
            ("reviewer_usd_per_hour", Component.MODERATION, "USD per hour", "prices.service_usd"),
        )
    ]
    if settings.store.keep_jobs_s is not None:
        days = settings.store.keep_jobs_s / 86_400
        known.append(
            _assumption("days_kept", days, "days a picture is kept", Origin.GIVEN, "setting store.keep_jobs_s")
        )
    if found.pictures < PICTURES_MIN:
        return known
    why = f"over {found.pictures:,} pictures, the server's idle time in it"
    for name, components in (
        ("queue_cpu_s", (Component.QUEUE_CPU,)),
        ("safety_cpu_s", (Component.SAFETY_CPU,)),
        ("api_cpu_s", (Component.API_CPU, Component.POSTPROCESS_CPU)),
    ):
        used_us = sum(found.quantities.get(component.value, 0) for component in components)
        if used_us:
            known.append(_assumption(name, used_us / found.pictures / 1e6, "CPU-s per picture", Origin.MEASURED, why))
    if has_own_mix and held.stored_bytes is not None:
        known.append(
            _assumption("stored_mb", held.stored_bytes / 1e6, "MB kept per picture", Origin.MEASURED, "newest pictures")
        )
    sent = found.quantities.get(Component.EGRESS.value, 0)
    if has_own_mix and sent:
        known.append(
            _assumption("delivered_mb", sent / found.pictures / 1e6, "MB sent per picture", Origin.MEASURED, why)
        )
    return known


def _assumption(name: str, value: float, unit: str, origin: Origin, why: str) -> Assumption:
    return Assumption(name=name, value=value, unit=unit, origin=origin, why=why)


def _projected(
    volumes: Sequence[float],
    models: Mapping[str, float],
    slo: list[str],
    gpus: tuple[str, ...],
    term: Term,
    known: Sequence[Assumption],
    given: Mapping[str, float],
    prices: PriceBook,
    told: Callable[[str], None],
) -> tuple[tuple[Assumption, ...], tuple[Projection, ...]]:
    per_picture = {name: value for name, value in given.items() if name == "gpu_usd_per_picture"}
    inputs = assumptions(known, {name: value for name, value in given.items() if name not in per_picture})
    shown = list(inputs.values())
    projections: list[Projection] = []
    gpu_classes = gpus or tuple(GPU_CLASSES)
    for volume in sorted(volumes):
        if per_picture:
            month_usd = per_picture["gpu_usd_per_picture"] * volume * 730 / 24
            fleet = "as said on the command line"
        else:
            slices = max(-(-volume // SLICE_MAX), 1.0)
            demand = Demand(images_per_day=volume / slices, models=models)
            plan = plan_fleet(
                demand,
                promised(slo),
                surroundings(Path()),
                term=term,
                gpu_classes=gpu_classes,
                told=lambda text, volume=volume: told(f"projecting {volume:,.0f} a day: simulating {text}"),
            )
            best = plan.options[0]
            gpu_classes = (best.gpu,)  # the cheapest at the smallest volume is sized for the others
            count = round(slices) * best.count
            hour_usd = _gpu_usd(prices, best.gpu, term, best.usd_per_month[term.value] / best.count / 730)
            month_usd = count * hour_usd * 730
            fleet = (
                f"{count} x {best.gpu} {term.value.replace('_', ' ')} at ${hour_usd:.2f}/h, {best.busy_share:.0%} busy "
                f"at the busiest hours"
                + ("" if slices == 1 else f"; {slices:.0f} times the fleet of {volume / slices:,.0f} a day")
            )
        shown.append(
            _assumption(
                f"gpu_usd_per_picture at {volume:,.0f} a day",
                month_usd / (volume * 730 / 24),
                "USD per picture",
                Origin.GIVEN if per_picture else Origin.SIMULATED,
                fleet,
            )
        )
        projections.append(project(volume, inputs, gpu_usd_per_month=month_usd, fleet=fleet))
    if not per_picture:
        whole = sum(models.values())
        words = ", ".join(f"{name} {weight / whole:.0%}" for name, weight in models.items())
        shown.append(_assumption("mix", 1.0, words, Origin.GIVEN, f"the promise is {' '.join(slo)}"))
    return tuple(shown), tuple(projections)


def _gpu_usd(prices: PriceBook, gpu: str, term: Term, listed_usd: float) -> float:
    """The operator's price of an hour where there is one for that market, else the list's."""
    label = gpu if term is Term.RESERVED else f"{gpu}:{term.value}"
    micros = prices.gpu_hour_micros.get(label)
    return listed_usd if micros is None else micros / 1e6


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}", param="report") from error


# --- telling ---------------------------------------------------------------------------------------------------------


def _json(costs: Costs) -> dict[str, object]:
    return {
        **report_json(costs.report),
        "what_if": [{**_fields(each), "simulated": True} for each in costs.what_ifs],
        "projection": [
            {
                "pictures_per_day": each.pictures_per_day,
                "usd_per_month": each.total_usd,
                "usd_per_picture": each.usd_per_picture,
                "fleet": each.fleet,
                "parts": {
                    part.value: {
                        "usd_per_month": usd,
                        "share": each.share(part),
                        "published_share": None if each.published is None else each.published[part],
                    }
                    for part, usd in each.usd.items()
                },
            }
            for each in costs.projections
        ],
        "assumptions": [{**_fields(each), "origin": each.origin.value} for each in costs.assumptions],
    }


def _fields(record: WhatIf | Assumption) -> dict[str, object]:
    return {name: cast("object", getattr(record, name)) for name in type(record).__slots__}


def _tell(costs: Costs) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    report = costs.report
    began = "the beginning" if not report.since_s else f"{datetime.fromtimestamp(report.since_s, UTC):%Y-%m-%d %H:%M}"
    if not report.bill and not report.used:
        console.print(f"Nothing was bought since {began}.")
    else:
        console.print(
            f"{format_usd(report.bill)} since {began} for {report.pictures:,} picture{'s' * (report.pictures != 1)}"
            + _per_picture(report, report.bill, report.pictures)
            + (f"; {format_usd(report.revenue)} charged to tenants" if report.revenue else "")
        )
        if report.running:
            console.print(f"{running_words(report)}.", style="dim")
        console.print()
        console.print(_rows_table(report))
        console.print()
        console.print(_shares_table(report))
        if report.waste:
            console.print("\nGPU time that made no picture:")
            for name, amount in sorted(report.waste.items(), key=lambda item: -item[1]):
                console.print(f"  {format_usd(amount):>12}  {amount / max(report.used, 1):>5.1%}  {WASTE[name]}")
    if costs.what_ifs:
        console.print(f"\nWhat if (simulated: the newest {costs.what_ifs[0].jobs:,} requests played again)")
        console.print(_what_if_table(costs.what_ifs))
    if costs.projections:
        console.print("\nA month at more pictures a day (projected)")
        console.print(_projection_table(costs))
        for each in costs.projections:
            console.print(f"  {each.pictures_per_day:>11,.0f} a day: {each.fleet}", style="dim")
        console.print("\nWhat goes in (change with --assume NAME=VALUE)")
        console.print(_assumption_table(costs.assumptions))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _rows_table(report: CostReport) -> Table:
    if report.by is By.COMPONENT:
        table = _table("component", "cost", "share", "per picture")
        for row in report.rows:
            each = _dollars(report.per_picture_usd(row.cost))
            table.add_row(row.key, format_usd(row.cost), _percent(row.cost, report.used), each)
        return table
    table = _table(report.by.value, "pictures", "own cost", "shared cost", "cost", "share", "per picture", "charged")
    for row in report.rows:
        table.add_row(
            row.key,
            f"{row.pictures:,}",
            format_usd(row.direct),
            format_usd(row.shared),
            format_usd(row.cost),
            _percent(row.cost, report.used),
            _dollars(report.per_picture_usd(row.cost, row.pictures)),
            format_usd(row.revenue),
        )
    return table


def _shares_table(report: CostReport) -> Table:
    table = _table("part", "cost", "share", "per picture")
    for part, amount in report.shares.items():
        each = _dollars(report.per_picture_usd(amount))
        table.add_row(_NAMES[part], format_usd(amount), _percent(amount, report.used), each)
    return table


def _what_if_table(what_ifs: Sequence[WhatIf]) -> Table:
    table = _table("change", "GPU-hours", "cost", "", "on time", "P95", "cold starts", "idle")
    was = what_ifs[0]
    for each in what_ifs:
        change = "" if each is was or not was.usd else f"{each.usd / was.usd - 1:+.0%}"
        table.add_row(
            each.change,
            f"{each.gpu_hours:,.4g}",
            format_usd(Micros(round(each.usd * 1e6))),
            change,
            "-" if each.on_time is None else f"{each.on_time:.1%}",
            "-" if each.p95_s is None else duration_words(each.p95_s),
            "-" if each.cold_starts is None else f"{each.cold_starts:.1%}",
            "-" if each.idle_share is None else f"{each.idle_share:.0%}",
        )
    return table


def _projection_table(costs: Costs) -> Table:
    columns: list[str] = []
    for each in costs.projections:
        columns += [f"{each.pictures_per_day:,.0f} a day", "share"] + (["published"] if each.published else [])
    table = _table("part", *columns)
    for part in CostShare:
        cells: list[str] = []
        for each in costs.projections:
            cells += [f"${each.usd[part]:,.0f}", f"{each.share(part):.0%}"]
            if each.published:
                cells.append(f"{each.published[part]:.0%}")
        table.add_row(_NAMES[part], *cells)
    cells = []
    for each in costs.projections:
        cells += [f"${each.total_usd:,.0f}", ""] + ([""] if each.published else [])
    table.add_row("a month", *cells)
    cells = []
    for each in costs.projections:
        cells += [f"${each.usd_per_picture:.5f}", ""] + ([""] if each.published else [])
    table.add_row("a picture", *cells)
    return table


def _assumption_table(items: Sequence[Assumption]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "value", "unit", "origin", "why"):
        table.add_column(column, justify="right" if column == "value" else "left", overflow="fold")
    for each in items:
        table.add_row(each.name, f"{each.value:.4g}", each.unit, each.origin.value, each.why)
    return table


def _per_picture(report: CostReport, amount: int, pictures: int) -> str:
    each = report.per_picture_usd(amount, pictures)
    return "" if each is None else f", {_dollars(each)} each"


def _dollars(usd: float | None) -> str:
    return "-" if usd is None else format_usd(Micros(round(usd * 1e6)))


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
