"""The axes that are simulated, and one simulation of one, as a process of a pool runs it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.decisions import measured
from benchmarks.policies import end_to_end, eta, flash_crowd, image_deadlines, image_video, spot
from benchmarks.policies.trials import Metrics, Options, Plot, Promise, Trial
from benchmarks.report import Bar
from heliograph.cli_simulate import surroundings
from heliograph.simulation import simulate

DECISION_SIZES = (10_000, 1_000_000)
"""Jobs in line while decisions are timed."""

SIMULATED: Mapping[str, Callable[[Options, int], Iterator[Trial]]] = {
    "end_to_end": end_to_end.trials,
    "image_deadlines": image_deadlines.trials,
    "image_video": image_video.trials,
    "spot": spot.trials,
    "flash_crowd": flash_crowd.trials,
    "eta": eta.trials,
}

FINISH: Mapping[str, Callable[[dict[str, Metrics]], None]] = {
    "flash_crowd": flash_crowd.finish,
    "image_deadlines": image_deadlines.finish,
    "image_video": image_video.finish,
    "spot": spot.finish,
    "end_to_end": end_to_end.finish,
}
"""What is made of several simulations with one seed: adds to the metrics of its policies."""

PROMISES: Mapping[str, tuple[Promise, ...]] = {
    "end_to_end": end_to_end.PROMISES,
    "image_deadlines": image_deadlines.PROMISES,
    "image_video": image_video.PROMISES,
    "spot": spot.PROMISES,
    "flash_crowd": flash_crowd.PROMISES,
    "warm_pool": (
        Promise(
            text="gap in idle GPU-hours between a 15-minute TTL and clairvoyance that is closed at equal cold starts",
            metric="gap_closed",
            bar=Bar(limit=0.5, is_floor=True),
            unit="%",
        ),
    ),
    "eta": eta.PROMISES,
    "decision_time": tuple(
        Promise(
            text=f"99th percentile with {size:,} jobs in line, in CPU time",
            metric=f"p99_us_{size}_queued",
            bar=Bar(limit=limit_us),
            unit="µs",
        )
        for size, limit_us in zip(DECISION_SIZES, (1_000.0, 2_000.0), strict=True)
    ),
}

PLOTS: Mapping[str, tuple[Plot, ...]] = {
    "end_to_end": end_to_end.PLOTS,
    "image_deadlines": image_deadlines.PLOTS,
    "image_video": image_video.PLOTS,
    "spot": spot.PLOTS,
    "flash_crowd": flash_crowd.PLOTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One trial by its place in its axis: what a process of the pool is told, since trials hold functions."""

    axis: str
    seed: int
    number: int
    policy: str


@cache
def trials_of(options: Options, axis: str, seed: int) -> tuple[Trial, ...]:
    """The simulations of an axis with one seed, in a fixed order."""
    return tuple(SIMULATED[axis](options, seed))


def run(options: Options, task: Task) -> Metrics:
    """Simulate one trial; called in a process of the pool."""
    trial = trials_of(options, task.axis, task.seed)[task.number]
    report = simulate(
        trial.file,
        surroundings(Path()),
        policies=trial.decides.policies,
        seed=trial.seed,
        make_decider=trial.decides.make,
    )
    return trial.metrics(report)


def decision_times() -> Metrics:
    """P99 of the scheduler's dearest kind of decision, in microseconds, by the number of jobs in line."""
    return {f"p99_us_{size}_queued": max(p99_us for _, _, p99_us in measured(size)) for size in DECISION_SIZES}
