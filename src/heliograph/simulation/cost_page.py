"""Costs as one self-contained page: what it was, what would change it, what more would cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from heliograph.billing.costs import WASTE, By, CostReport, CostShare, running_words
from heliograph.billing.projection import Assumption, Projection
from heliograph.domain.money import Micros, format_usd
from heliograph.simulation.charts import duration_words, stacked
from heliograph.simulation.page import cards_of, frame, heading, legend

_COLOURS: Mapping[CostShare, str] = {
    CostShare.GPU: "var(--busy)",
    CostShare.STORAGE_CDN: "var(--loading)",
    CostShare.QUEUE: "var(--good)",
    CostShare.SAFETY: "var(--lost)",
    CostShare.API: "var(--pro)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The newest `jobs` requests played again with one change. Shares are 0 to 1, times seconds, `usd` GPU time."""

    change: str
    jobs: int
    gpu_hours: float
    usd: float
    usd_per_1000: float | None
    on_time: float | None
    p95_s: float | None
    cold_starts: float | None
    idle_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """All that `heliograph costs` found. `names` are the parts' names for people."""

    report: CostReport
    what_ifs: tuple[WhatIf, ...]
    projections: tuple[Projection, ...]
    assumptions: tuple[Assumption, ...]
    names: Mapping[CostShare, str]


def render_costs(costs: Costs) -> str:
    """The page."""
    return frame("costs", [_head(costs.report), _figures(costs), *_sections(costs)])


def _head(report: CostReport) -> str:
    began = _day(report.since_s) if report.since_s else "the beginning"
    facts = f"from {began} to {_day(report.until_s)} UTC · every amount is a sum of ledger lines"
    return heading("Heliograph costs", "What pictures cost", facts)


def _figures(costs: Costs) -> str:
    report = costs.report
    wasted = sum(report.waste.values())
    idle = report.waste.get("gpu_idle", 0) + report.waste.get("gpu_empty", 0)
    return cards_of(
        [
            ("the bill", format_usd(report.bill), running_words(report)),
            ("a picture", _usd(report.per_picture_usd(report.bill)), f"{report.pictures:,} delivered"),
            ("charged", format_usd(report.revenue), "to tenants, refunds taken off"),
            ("made no picture", _share(wasted, report.used), f"{_share(idle, report.used)} idle GPUs"),
        ]
    )


def _sections(costs: Costs) -> list[str]:
    report, names = costs.report, costs.names
    parts = [(names[part], _COLOURS[part], report.shares[part] / 1e6) for part in CostShare]
    rows = [
        (names[part], format_usd(amount), _share(amount, report.used), _usd(report.per_picture_usd(amount)))
        for part, amount in report.shares.items()
    ]
    sections = [
        f"<section><h2>For what</h2>{stacked(parts, unit='$')}{legend([(name, hue) for name, hue, _ in parts])}"
        + _table(("part", "cost", "share", "per picture"), rows)
        + "</section>",
        _by(report),
    ]
    if report.waste:
        lost = sorted(report.waste.items(), key=lambda item: -item[1])
        sections.append(
            "<section><h2>GPU time that made no picture</h2>"
            + _table(
                ("why", "cost", "share"),
                [(WASTE[name], format_usd(amount), _share(amount, report.used)) for name, amount in lost],
            )
            + "</section>"
        )
    if costs.what_ifs:
        sections.append(_what_if(costs.what_ifs))
    if costs.projections:
        sections += [_projection(costs), _inputs(costs.assumptions)]
    return sections


def _by(report: CostReport) -> str:
    rows = [
        (
            row.key,
            f"{row.pictures:,}",
            format_usd(row.direct),
            format_usd(row.shared),
            format_usd(row.cost),
            _share(row.cost, report.used),
            _usd(report.per_picture_usd(row.cost, row.pictures)),
            format_usd(row.revenue),
        )
        for row in report.rows
    ]
    heads = (report.by.value, "pictures", "own cost", "shared cost", "cost", "share", "per picture", "charged")
    note = (
        ""
        if report.by is By.COMPONENT
        else '<p class="note">Shared cost is what belongs to nobody in particular, handed out in proportion.</p>'
    )
    return f"<section><h2>By {report.by.value}</h2><div class=scroll>{_table(heads, rows)}</div>{note}</section>"


def _what_if(what_ifs: Sequence[WhatIf]) -> str:
    rows = [
        (
            each.change,
            f"{each.gpu_hours:,.4g}",
            format_usd(Micros(round(each.usd * 1e6))),
            "–" if each.on_time is None else f"{each.on_time:.1%}",
            "–" if each.p95_s is None else duration_words(each.p95_s),
            "–" if each.cold_starts is None else f"{each.cold_starts:.1%}",
            "–" if each.idle_share is None else f"{each.idle_share:.0%}",
        )
        for each in what_ifs
    ]
    heads = ("change", "GPU-hours", "cost", "on time", "P95", "cold starts", "idle")
    return (
        f"<section><h2>What if</h2><p class=note>Simulated: the newest {what_ifs[0].jobs:,} requests played again with "
        f"the production scheduler.</p><div class=scroll>{_table(heads, rows)}</div></section>"
    )


def _projection(costs: Costs) -> str:
    blocks: list[str] = []
    for each in costs.projections:
        parts = [(costs.names[part], _COLOURS[part], each.usd[part]) for part in CostShare]
        rows = [
            (
                costs.names[part],
                f"${each.usd[part]:,.0f}",
                f"{each.share(part):.0%}",
                *(() if each.published is None else (f"{each.published[part]:.0%}",)),
            )
            for part in CostShare
        ]
        heads = ("part", "a month", "share", *(() if each.published is None else ("published",)))
        blocks.append(
            f"<section><h2>{each.pictures_per_day:,.0f} pictures a day</h2>"
            f"<p>${each.total_usd:,.0f} a month, ${each.usd_per_picture:.5f} a picture</p>"
            f"{stacked(parts, unit='$')}{_table(heads, rows)}"
            f"<p class=note>{escape(each.fleet)}; projected.</p></section>"
        )
    return f'<div class="two">{"".join(blocks)}</div>'


def _inputs(items: Sequence[Assumption]) -> str:
    rows = [(each.name, f"{each.value:.4g}", each.unit, each.origin.value, each.why) for each in items]
    return (
        "<section><h2>What goes in</h2><div class=scroll>"
        + _table(("name", "value", "unit", "origin", "why"), rows, has_words=True)
        + "</div></section>"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, has_words: bool = False) -> str:
    """Figures stand to the right; with `has_words` everything to the left, and long cells are broken."""
    kind = " class=words" if has_words else ""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _day(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _usd(usd: float | None) -> str:
    return "–" if usd is None else format_usd(Micros(round(usd * 1e6)))
