"""Our policies against the literature's, on the simulator: `python -m benchmarks.policies [--seeds N] [--json OUT]`.

    python -m benchmarks.policies --gentd26 FILE --days FROM:TO --scale 10,20,40 --spot-dir DIR --seeds N --json OUT

writes `{axis: {policy: {metric: {"mean": x, "ci95": [lo, hi]}}}}`. Axes: end_to_end, image_deadlines, image_video,
warm_pool, spot, flash_crowd, eta, decision_time; `--axes` chooses some. Our policy is called `heliograph`; the others
are re-implemented from their papers (`baselines.py`) or, for `textbook`, the production code told to be the textbook
policy. Every policy gets the same profiles with an error of up to 20%, the same fleet, the same requests per seed.
Requests that were refused, failed, expired or late count as misses for everybody.

Without `--gentd26` the end-to-end axis runs on synthetic traffic with that trace's popularity and mix, and `warm_pool`
is left out; without `--spot-dir` spot GPUs come and go at random.

Each axis is a module with `trials(options, seed)`, the simulations to run; `finish(policies)`, where figures are made
of several simulations of a seed; `PROMISES` and `PLOTS`. Simulations run in one process per core, and so do the
decisions that are timed: in CPU time, which is theirs alone. `--docs` writes figures and plots into
docs/benchmarks.md.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.policies import warm_pool
from benchmarks.policies.axes import FINISH, SIMULATED, Task, decision_times, run, trials_of
from benchmarks.policies.page import write_page
from benchmarks.policies.trials import Figure, Figures, Metrics, Options

AXES = ("end_to_end", "image_deadlines", "image_video", "warm_pool", "spot", "flash_crowd", "eta", "decision_time")


def warm_pools(options: Options) -> dict[str, Metrics]:
    """`warm_pool.py` on the days that count; the days before them are what policies have learned from."""
    rows = warm_pool.compared_on(Path(options.gentd26 or ""), options.days)
    figures: dict[str, Metrics] = {}
    for name, found in rows:
        closed = warm_pool.gap_closed(rows, found)
        figures[name] = {"cold_share": found.cold_ratio, "idle_gpu_hours": found.idle_hours}
        figures[name] |= {} if closed is None else {"gap_closed": closed}
    return figures


# --- the run ---------------------------------------------------------------------------------------------------------


def arguments_of(words: list[str] | None = None) -> Options:
    """The options of a command line; a bad one ends the process with a message, as argparse does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gentd26", help="trace in the format of gentd26")
    parser.add_argument("--days", default="0:7", help="days of it that count, FROM:TO, from its first request")
    parser.add_argument("--scale", default="10", help="copies of the trace at once, for example 10,20,40")
    parser.add_argument("--spot-dir", help="folder with skypilot_*.json")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hours", type=float, default=24.0, help="simulated time of the end-to-end and spot axes")
    parser.add_argument("--axes", default=",".join(AXES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="simulations at once")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--docs", action="store_true", help="write them into docs/benchmarks.md, with plots")
    words_found = parser.parse_args(words)
    axes = tuple(words_found.axes.split(","))
    if set(axes) - set(AXES):
        parser.error(f"axes are {', '.join(AXES)}")
    try:
        first, last = (float(day) for day in words_found.days.split(":"))
        scale = tuple(int(each) for each in words_found.scale.split(","))
    except ValueError:
        parser.error("--days is FROM:TO and --scale numbers with commas between")
    return Options(
        gentd26=str(Path(words_found.gentd26).resolve()) if words_found.gentd26 else None,
        spot_dir=str(Path(words_found.spot_dir).resolve()) if words_found.spot_dir else None,
        days=(first, last),
        scale=scale,
        seeds=words_found.seeds,
        hours=words_found.hours,
        axes=axes,
        jobs=words_found.jobs,
        json=words_found.json,
        docs=words_found.docs,
    )


def figures_of(options: Options) -> dict[str, dict[str, Figures]]:
    """All axes that were asked for, with progress and the time that is left on the terminal."""
    tasks = [
        Task(axis=axis, seed=seed, number=number, policy=trial.policy)
        for seed in range(1, options.seeds + 1)
        for axis in SIMULATED
        if axis in options.axes
        for number, trial in enumerate(trials_of(options, axis, seed))
    ]
    seen: dict[tuple[str, int], dict[str, Metrics]] = {}
    for task in tasks:
        seen.setdefault((task.axis, task.seed), {})[task.policy] = {}
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    began_s = time.monotonic()
    with (
        Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar,
        ProcessPoolExecutor(max_workers=options.jobs, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        shown = bar.add_task("simulating", total=len(tasks))
        timing = pool.submit(decision_times) if "decision_time" in options.axes else None
        running = {pool.submit(run, options, task): task for task in tasks}
        for count, done in enumerate(as_completed(running), start=1):
            task = running[done]
            seen[task.axis, task.seed][task.policy].update(done.result())
            bar.update(shown, advance=1, description=f"{task.axis}: {task.policy}, seed {task.seed}")
            if not console.is_terminal and count % 10 == 0:
                left_s = (time.monotonic() - began_s) / count * (len(tasks) - count)
                print(f"{count} of {len(tasks)} simulations, about {left_s:.0f} s left", file=sys.stderr, flush=True)
    figures = {axis: _over_seeds(axis, seen) for axis in SIMULATED if axis in options.axes}
    if "warm_pool" in options.axes and options.gentd26:
        for policy, metrics in warm_pools(options).items():
            figures.setdefault("warm_pool", {})[policy] = {name: Figure.of([value]) for name, value in metrics.items()}
    if timing is not None:
        times = timing.result()
        figures["decision_time"] = {"heliograph": {name: Figure.of([value]) for name, value in times.items()}}
    return {axis: figures[axis] for axis in AXES if axis in figures}


def _over_seeds(axis: str, seen: Mapping[tuple[str, int], dict[str, Metrics]]) -> dict[str, Figures]:
    """Means and intervals of an axis; what `finish` derives, it derives seed by seed: differences are paired."""
    values: dict[str, dict[str, list[float]]] = {}
    for (of_axis, _), policies in sorted(seen.items(), key=lambda each: each[0]):
        if of_axis != axis:
            continue
        if axis in FINISH:
            FINISH[axis](policies)
        for policy, metrics in policies.items():
            for metric, value in metrics.items():
                values.setdefault(policy, {}).setdefault(metric, []).append(value)
    return {
        policy: {metric: Figure.of(found) for metric, found in metrics.items()} for policy, metrics in values.items()
    }


def table_of(figures: Mapping[str, Mapping[str, Figures]]) -> str:
    """The figures for people."""
    lines: list[str] = []
    for axis, policies in figures.items():
        lines.append(f"\n{axis}")
        for policy, metrics in policies.items():
            cells = [
                f"{name} {found.mean:.4g} [{found.ci95[0]:.4g}, {found.ci95[1]:.4g}]" for name, found in metrics.items()
            ]
            lines.append(f"  {policy:<32}{'; '.join(cells)}")
    return "\n".join(lines)


def as_data(figures: Mapping[str, Mapping[str, Figures]]) -> object:
    """The figures for programs."""
    return {
        axis: {policy: {name: asdict(found) for name, found in metrics.items()} for policy, metrics in policies.items()}
        for axis, policies in figures.items()
    }


def main() -> None:
    """Run, print the table, write the figures."""
    options = arguments_of()
    figures = figures_of(options)
    print(table_of(figures))
    if options.docs:
        write_page(figures, options)
    if options.json is not None:
        options.json.write_text(json.dumps(as_data(figures), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
