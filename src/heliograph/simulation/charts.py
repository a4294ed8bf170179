"""Plots as SVG text, without a plotting library: areas, lines, cumulative curves, strips and stacked bars.

Every plot is 1000 units wide and takes its colours from the page's CSS variables, so that it follows light and dark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 1000
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve: a name, a CSS colour, its values, and whether the area below it is filled."""

    name: str
    colour: str
    values: Sequence[float]
    is_filled: bool = False
    is_thin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A piece of a strip from `begin` to `end` (0 to 1 of the width)."""

    begin: float
    end: float
    style: str
    title: str


def over_time(lines: Sequence[Line], *, duration_s: float, unit: str, height: int = 220) -> str:
    """Curves over simulated time, all on one scale that begins at 0."""
    top = nice_ceiling(max((max(line.values, default=0.0) for line in lines), default=0.0))
    plot_h = height - TOP - BOTTOM
    parts = [
        _open(height, f'data-duration="{duration_s:g}"'),
        *_grid_y(top, plot_h, unit),
        *_grid_time(duration_s, height),
    ]
    for line in lines:
        count = max(len(line.values) - 1, 1)
        points = [(_x(index / count), TOP + plot_h * (1 - value / top)) for index, value in enumerate(line.values)]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        if line.is_filled:
            area = f"{path}L{points[-1][0]:.1f} {TOP + plot_h}L{points[0][0]:.1f} {TOP + plot_h}Z"
            parts.append(f'<path d="{area}" fill="{line.colour}" opacity=".22"/>')
        width = 1 if line.is_thin else 2
        values = ",".join(f"{value:.4g}" for value in line.values)
        parts.append(
            f'<path class="curve" d="{path}" fill="none" stroke="{line.colour}" stroke-width="{width}" '
            f'stroke-linejoin="round" data-name="{escape(line.name)}" data-unit="{escape(unit)}" '
            f'data-values="{values}"/>'
        )
    return "".join([*parts, "</svg>"])


def distribution(
    curves: Sequence[tuple[str, str, Sequence[tuple[float, float]], float | None]], *, height: int = 400
) -> str:
    """Cumulative curves over a logarithmic axis of seconds: (name, colour, points, target in seconds or None)."""
    values = [value for _, _, points, _ in curves for value, _ in points if value > 0]
    if not values:
        return '<p class="none">Nothing was delivered.</p>'
    low = 10 ** math.floor(math.log10(max(min(values), 0.01)))
    high = nice_ceiling(max(values))
    span = math.log10(high / low)
    plot_h = height - TOP - BOTTOM

    def x(value: float) -> float:
        return _x(math.log10(max(value, low) / low) / span)

    parts = [_open(height)]
    for share in (0.0, 0.25, 0.5, 0.75, 0.95):
        y = TOP + plot_h * (1 - share)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for power in range(round(math.log10(low)), math.floor(math.log10(high)) + 1):
        for step in (1, 2, 5) if span < 4 else (1,):
            value = step * 10.0**power
            if low <= value <= high:
                parts.append(
                    f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{TOP}" y2="{TOP + plot_h}"/>'
                )
                label = duration_words(value)
                parts.append(
                    f'<text class="tick" x="{x(value):.1f}" y="{height - 8}" text-anchor="middle">{label}</text>'
                )
    for name, colour, points, target_s in curves:
        steps = [(x(value), TOP + plot_h * (1 - share)) for value, share in points]
        path = f"M{steps[0][0]:.1f} {TOP + plot_h}L" + "L".join(f"{px:.1f} {py:.1f}" for px, py in steps)
        parts.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round">'
            f"<title>{escape(name)}</title></path>"
        )
        if target_s is not None and low <= target_s <= high:
            parts.append(
                f'<line x1="{x(target_s):.1f}" x2="{x(target_s):.1f}" y1="{TOP}" y2="{TOP + plot_h}" stroke="{colour}" '
                f'stroke-dasharray="3 5"><title>target of {escape(name)}: {duration_words(target_s)}</title></line>'
            )
    return "".join([*parts, "</svg>"])


def strips(rows: Sequence[tuple[str, Sequence[Cell]]], *, duration_s: float) -> str:
    """One row per GPU, coloured by what it did when."""
    row_h = 16 if len(rows) <= 16 else 11 if len(rows) <= 40 else 7
    height = TOP + BOTTOM + row_h * len(rows)
    parts = [_open(height)]
    for number, (name, cells) in enumerate(rows):
        y = TOP + number * row_h
        if row_h > 8:
            parts.append(
                f'<text class="tick" x="{LEFT - 8}" y="{y + row_h - 3}" text-anchor="end">{escape(name)}</text>'
            )
        for cell in cells:
            x, width = _x(cell.begin), _x(cell.end) - _x(cell.begin)
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width + 0.15:.2f}" height="{row_h - 1}" style="{cell.style}">'
                f"<title>{escape(name)} · {escape(cell.title)}</title></rect>"
            )
    return "".join([*parts, *_grid_time(duration_s, height, is_lined=False), "</svg>"])


def stacked(parts: Sequence[tuple[str, str, float]], *, unit: str) -> str:
    """One bar of several parts: (name, colour, value)."""
    total = sum(value for _, _, value in parts) or 1.0
    x, pieces = 0.0, [f'<svg viewBox="0 0 {WIDTH} 34" role="img" preserveAspectRatio="none" class="bar">']
    for name, colour, value in parts:
        width = WIDTH * value / total
        title = f"{name}: {value:,.1f} {unit} ({value / total:.1%})"
        pieces.append(
            f'<rect x="{x:.1f}" y="0" width="{width:.2f}" height="34" fill="{colour}">'
            f"<title>{escape(title)}</title></rect>"
        )
        x += width
    return "".join([*pieces, "</svg>"])


def duration_words(seconds: float) -> str:
    """A duration in a few letters: 0.5 s, 90 s, 12 min, 3 h, 2 d."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{seconds / 60:.3g} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 86400:.3g} d"


def nice_ceiling(value: float) -> float:
    """The next round number that is not below `value`."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999999)


def _open(height: int, data: str = "") -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" {data}>'


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _grid_y(top: float, plot_h: float, unit: str) -> list[str]:
    parts: list[str] = []
    for step in range(5):
        value, y = top * step / 4, TOP + plot_h * (1 - step / 4)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        label = f"${value:,.3g}" if unit == "$" else f"{value:.0%}" if unit == "%" else f"{value:,.4g}"
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    return parts


def _grid_time(duration_s: float, height: int, *, is_lined: bool = True) -> list[str]:
    steps = (60, 300, 600, 1800, 3600, 7200, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 2 * 86_400, 7 * 86_400)
    step_s = next((step for step in steps if duration_s / step <= 9), 30 * 86_400)
    parts: list[str] = []
    for number in range(int(duration_s / step_s) + 1):
        at_s = number * step_s
        x = _x(at_s / duration_s)
        if is_lined:
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>')
        label = "0" if not number else duration_words(at_s)
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 8}" text-anchor="middle">{label}</text>')
    return parts
