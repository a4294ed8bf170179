"""The two plots of the prompt filter, as SVG: finds against false alarms, and whether scores mean what they say."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from training.prompt_rows import Row

from heliograph.domain.prompt_verdict import Category
from heliograph.moderation.classifier import LEARNT

SIDE, LEFT, TOP, BOTTOM, LEGEND = 360, 60, 40, 50, 170
COLOURS = ("#d9730d", "#2f6fb2", "#2e9e6b", "#9a4fb5", "#c2a010", "#777777")
FPR_MIN = 1e-4
BINS = 10
BIN_ROWS_MIN = 15
"""Bins with fewer rows are left out: their share means nothing."""

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2933 } .title { font-weight: 600; font-size: 14px }
  .grid { stroke: #cbd2d9; stroke-width: 1 } .frame { fill: none; stroke: #7b8794 }
  @media (prefers-color-scheme: dark) { text { fill: #e4e7eb } .grid { stroke: #3e4c59 } }
"""


def roc_plot(cases: Sequence[tuple[Row, float]]) -> str:
    """Recall over the share of harmless rows flagged, on a logarithmic scale, as the threshold moves."""
    safe = np.array([urgency for row, urgency in cases if not row.label and row.tier != "chat"])
    curves: list[tuple[str, list[tuple[float, float]]]] = []
    kinds = {"core": ("core", None), "sexual": ("core", "sexual"), "violence": ("core", "violence")}
    kinds |= {"obfuscated": ("obfuscated", None), "hate, illegal": ("policy", None)}
    for name, (tier, category) in kinds.items():
        unsafe = np.array(
            [urgency for row, urgency in cases if row.label and row.tier == tier and category in (None, row.category)]
        )
        if len(unsafe) and len(safe):
            curves.append((name, list(_roc(safe, unsafe))))
    ticks = [(_log_place(fpr), f"{100 * fpr:g}%") for fpr in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)]
    shares = [(share / 100, f"{share}%") for share in (0, 20, 40, 60, 80, 100)]
    return _drawing("found, over harmless rows flagged", curves, ticks, shares, dots=False)


def _roc(safe: NDArray[np.float64], unsafe: NDArray[np.float64]) -> Iterator[tuple[float, float]]:
    for fpr in np.geomspace(FPR_MIN, 1.0, 80):
        threshold = np.quantile(safe, 1 - fpr)
        yield _log_place(float(fpr)), float((unsafe > threshold).mean())


def _log_place(fpr: float) -> float:
    return float(1 - np.log10(fpr) / np.log10(FPR_MIN))


def calibration_plot(cases: Sequence[tuple[Row, Mapping[Category, float]]]) -> str:
    """Of the rows with a score near x, the share y that is harmful; a good calibration is the diagonal."""
    curves: list[tuple[str, list[tuple[float, float]]]] = [("ideal", [(0.0, 0.0), (1.0, 1.0)])]
    for category in LEARNT:
        rows = [
            (scores.get(category, 0.0), bool(row.label))
            for row, scores in cases
            if row.tier != "chat" and (not row.label or row.harm == category.value)
        ]
        points: list[tuple[float, float]] = []
        for low, high in pairwise(np.linspace(0, 1, BINS + 1).tolist()):
            inside = [(score, harm) for score, harm in rows if low <= score < high or (high == 1 and score == 1)]
            if len(inside) >= BIN_ROWS_MIN:
                points.append(
                    (sum(score for score, _ in inside) / len(inside), sum(h for _, h in inside) / len(inside))
                )
        if len(points) > 1:
            curves.append((category.value, points))
    ticks = [(at / 5, f"{at / 5:g}") for at in range(6)]
    return _drawing("harmful, over score", curves, ticks, [(at / 5, f"{20 * at}%") for at in range(6)], dots=True)


def _drawing(
    title: str,
    curves: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    ticks: Sequence[tuple[float, str]],
    shares: Sequence[tuple[float, str]],
    *,
    dots: bool,
) -> str:
    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + x * SIDE, TOP + (1 - y) * SIDE

    width, height = LEFT + SIDE + LEGEND, TOP + SIDE + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="22">{title}</text>',
    ]
    for x, label in ticks:
        at, _ = place(x, 0)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{TOP + SIDE}"/>')
        parts.append(f'<text x="{at:.1f}" y="{TOP + SIDE + 20}" text-anchor="middle">{label}</text>')
    for y, label in shares:
        _, at = place(0, y)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{LEFT + SIDE}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    parts.append(f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}"/>')
    for number, (name, points) in enumerate(curves):
        colour = COLOURS[-1] if name == "ideal" else COLOURS[number % len(COLOURS) - (1 if dots else 0)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        dash = ' stroke-dasharray="4 4"' if name == "ideal" else ""
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        if dots and name != "ideal":
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
                for x, y in (place(*each) for each in points)
            ]
        at = TOP + 12 + 22 * number
        left = LEFT + SIDE + 16
        parts.append(
            f'<line x1="{left}" x2="{left + 22}" y1="{at}" y2="{at}" stroke="{colour}" stroke-width="3"{dash}/>'
        )
        parts.append(f'<text x="{left + 30}" y="{at + 4}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])
