"""The figures as a part of docs/benchmarks.md: what was promised, every policy side by side, and plots."""

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from benchmarks.policies.axes import PLOTS, PROMISES
from benchmarks.policies.trials import Figure, Figures, Options, Plot, Promise

DOCS = Path("docs")
BEGIN, END = "<!-- policies: written by `make bench-policies` -->", "<!-- end of policies -->"
LABEL_W, PLOT_W, ROW_H, TOP = 190, 420, 26, 44

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2933 }
  .title { font-weight: 600; font-size: 14px } .value { font-variant-numeric: tabular-nums }
  .bar { fill: #9aa5b1 } .ours { fill: #d9730d } .whisker { stroke: #1f2933; stroke-width: 1.2 }
  @media (prefers-color-scheme: dark) { text { fill: #e4e7eb } .whisker { stroke: #e4e7eb } .bar { fill: #616e7c } }
"""


def write_page(figures: Mapping[str, Mapping[str, Figures]], options: Options) -> None:
    """Replaces the part of docs/benchmarks.md between the two comments, and the plots it shows.

    Raises ValueError if the page has no such part.
    """
    page = DOCS / "benchmarks.md"
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the comments {BEGIN!r} and {END!r}")
    for axis, plots in PLOTS.items():
        if axis in figures:
            picture = DOCS / "images" / f"policies-{axis.replace('_', '-')}.svg"
            picture.write_text(drawing(plots, figures[axis]), encoding="utf-8")
    text = "\n".join(section(figures, options))
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def section(figures: Mapping[str, Mapping[str, Figures]], options: Options) -> Iterator[str]:
    """The lines of the section, as Markdown."""
    source = f"days {options.days[0]:g} to {options.days[1]:g} of gentd26" if options.gentd26 else "synthetic traffic"
    spot = "recorded spot availability" if options.spot_dir else "random spot availability"
    scales = ", ".join(f"x{scale}" for scale in options.scale)
    yield f"Simulated: {options.seeds} seeds, {source} superposed {scales}, {spot}. Means with 95% intervals."
    yield ""
    yield "| promise | measured | promised | |"
    yield "|---|---|---|---|"
    for axis, promises in PROMISES.items():
        ours = figures.get(axis, {}).get("heliograph", {})
        for promise in promises:
            if promise.metric in ours:
                yield promise_row(axis, promise, ours[promise.metric])
    for axis, policies in figures.items():
        yield ""
        yield f"### {axis.replace('_', ' ').capitalize()}"
        yield ""
        if axis in PLOTS:
            yield f"![{axis.replace('_', ' ')}: policies side by side](images/policies-{axis.replace('_', '-')}.svg)"
            yield ""
        names = list(policies)
        yield f"| metric | {' | '.join(names)} |"
        yield f"|---|{'---|' * len(names)}"
        metrics = dict.fromkeys(metric for found in policies.values() for metric in found)
        for metric in metrics:
            cells = [with_interval(policies[name].get(metric)) for name in names]
            yield f"| {metric} | {' | '.join(cells)} |"


def promise_row(axis: str, promise: Promise, found: Figure) -> str:
    """One bar, what was measured of it, and whether it is met by the mean."""
    sign = "≥" if promise.bar.is_floor else "≤"
    low, high = (written(bound, promise.unit) for bound in found.ci95)
    measured = f"{written(found.mean, promise.unit)} ({low} to {high})"
    verdict = "met" if promise.bar.is_met(found.mean) else "**missed**"
    limit = written(promise.bar.limit, promise.unit)
    return f"| {axis.replace('_', ' ')}: {promise.text} | {measured} | {sign} {limit} | {verdict} |"


def written(value: float, unit: str) -> str:
    """A figure as people write it."""
    if unit == "%":
        return f"{value:.1%}"
    if unit == "points":
        return f"{value * 100:+.1f} points"
    if unit == "x":
        return f"{value:.2f}x"
    if unit == "$":
        return f"${value:,.2f}"
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{number} {unit}" if unit else number


def with_interval(found: Figure | None) -> str:
    """The mean and half the width of its interval, or a dash."""
    if found is None:
        return "–"
    half = (found.ci95[1] - found.ci95[0]) / 2
    return f"{found.mean:.4g} ± {half:.2g}" if half else f"{found.mean:.4g}"


def drawing(plots: tuple[Plot, ...], policies: Mapping[str, Figures]) -> str:
    """Bars of every policy with 95% whiskers, one block per plot, as an SVG that follows light and dark."""
    blocks: list[str] = []
    top = 0
    for plot in plots:
        rows = [(name, found[plot.metric]) for name, found in policies.items() if plot.metric in found]
        rows.sort(key=lambda row: row[1].mean, reverse=not plot.is_low_good)
        blocks.append(f'<g transform="translate(0 {top})">{"".join(_block(plot, rows))}</g>')
        top += TOP + ROW_H * len(rows) + 14
    width = LABEL_W + PLOT_W + 110
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}">'
        f"<style>{STYLE}</style>{''.join(blocks)}</svg>\n"
    )


def _block(plot: Plot, rows: list[tuple[str, Figure]]) -> Iterator[str]:
    better = "less is better" if plot.is_low_good else "more is better"
    yield f'<text class="title" x="8" y="24">{escape(plot.title)} ({better})</text>'
    scale = PLOT_W / max((found.ci95[1] for _, found in rows), default=1.0)
    for number, (name, found) in enumerate(rows):
        y = TOP + number * ROW_H
        middle = y + ROW_H / 2 - 2
        low, high = (LABEL_W + max(bound, 0.0) * scale for bound in found.ci95)
        kind = "bar ours" if name == "heliograph" else "bar"
        label = escape(name.replace("_", " "))
        yield f'<text x="{LABEL_W - 10}" y="{middle + 4}" text-anchor="end">{label}</text>'
        length = max(found.mean, 0.0) * scale
        yield f'<rect class="{kind}" x="{LABEL_W}" y="{y}" width="{length:.1f}" height="{ROW_H - 7}"/>'
        if high - low > 1:
            yield f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
        yield f'<text class="value" x="{high + 8:.1f}" y="{middle + 4}">{written(found.mean, plot.unit)}</text>'
