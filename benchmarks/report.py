"""How every benchmark is run and how it tells what it found: a table, and JSON where asked for."""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What is promised of a figure: at most, or at least, `limit` in the figure's unit."""

    limit: float
    is_floor: bool = False

    def is_met(self, value: float) -> bool:
        """The promise holds."""
        return value >= self.limit if self.is_floor else value <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number and what it stands beside: a baseline of the same run in the same unit, and the promise if any."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    baseline_name: str = ""
    bar: Bar | None = None

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of its baseline."""
        return self.value / self.baseline if self.baseline else None


def run_alone(name: str, description: str | None, measure: Callable[[bool], Iterable[Figure]]) -> None:
    """A benchmark's command line: `--quick` for a look, `--json OUT` for the figures as a file.

    A missed promise is printed and is no failure of the command: the machine may be busy. A lost job raises.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--quick", action="store_true", help="a few seconds: shows that it works, not how fast it is")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures to this file")
    options = parser.parse_args()
    before = _Usage.now()
    figures = list(measure(options.quick))
    others_cores = _Usage.now().others_cores_since(before)
    print_table(name, figures)
    print(f"Meanwhile other processes kept {others_cores:.1f} of {os.cpu_count()} cores busy.")
    if options.json is not None:
        content = {"other_processes_cores": others_cores, "figures": [as_json(figure) for figure in figures]}
        options.json.write_text(json.dumps(content, indent=2) + "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usage:
    """CPU seconds used so far, by the whole machine and by this process with the children that have ended."""

    at_s: float
    machine_s: float
    own_s: float

    @classmethod
    def now(cls) -> Self:
        user, nice, system, _idle, _iowait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
        busy_s = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
        return cls(at_s=time.monotonic(), machine_s=busy_s, own_s=sum(os.times()[:4]))

    def others_cores_since(self, before: Self) -> float:
        """How many cores everybody else kept busy."""
        others_s = (self.machine_s - before.machine_s) - (self.own_s - before.own_s)
        return max(others_s, 0.0) / (self.at_s - before.at_s)


def as_json(figure: Figure) -> dict[str, object]:
    """The figure with its ratio and whether its promise holds."""
    is_met = None if figure.bar is None else figure.bar.is_met(figure.value)
    return {**asdict(figure), "ratio": figure.ratio, "is_met": is_met}


def print_table(title: str, figures: Sequence[Figure]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    table.add_column("figure")
    for column in ("measured", "baseline", "ratio", "promised"):
        table.add_column(column, justify="right")
    table.add_column("")
    for figure in figures:
        baseline = "" if figure.baseline is None else f"{figure.baseline_name} {_number(figure.baseline)}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        promised = "" if figure.bar is None else f"{'≥' if figure.bar.is_floor else '≤'} {figure.bar.limit:g}"
        verdict = "" if figure.bar is None else "met" if figure.bar.is_met(figure.value) else "MISSED"
        table.add_row(figure.name, f"{_number(figure.value)} {figure.unit}", baseline, ratio, promised, verdict)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def with_progress(items: Sequence[T], doing: str) -> Iterator[T]:
    """The items, with a bar and the time left on stderr where that is a terminal."""
    console = Console(stderr=True)
    return iter(track(items, description=doing, console=console, transient=True, disable=not console.is_terminal))


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile_95(values: Sequence[float]) -> float:
    """The value that one in twenty exceeds, by nearest rank."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]
