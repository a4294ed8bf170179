"""What every axis is made of: options, policies to compare, and single simulations to run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Self

from benchmarks.policies.baselines import Baseline, Order
from benchmarks.report import Bar
from heliograph.domain.ids import ModelId
from heliograph.fleet.plan import FleetPolicy
from heliograph.scheduling import SchedulerPolicy
from heliograph.simulation import PolicySet, Report, ScenarioFile
from heliograph.simulation.decider import DeciderFactory, Production
from heliograph.simulation.scenario import SIMULATED_BOUNDS

Metrics = dict[str, float]

T_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Student's t for 95% and 1, 2, ... degrees of freedom; 1.96 stands in beyond."""


SHARED_GPUS = FleetPolicy(residents_max=8)
"""Our fleet policy with the one setting that docs/how-to/models.md advises for large GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for. `gentd26` and `spot_dir` are None where the data is not there; `days` are counted
    from the first request of the trace; `hours` is the simulated time of the long axes, `jobs` how many
    simulations run at once."""

    gentd26: str | None
    spot_dir: str | None
    days: tuple[float, float]
    scale: tuple[int, ...]
    seeds: int
    hours: float
    axes: tuple[str, ...]
    jobs: int
    json: Path | None
    docs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What decides, and with which settings."""

    make: DeciderFactory
    policies: PolicySet


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One simulation: which axis and policy it counts for, and what of its report."""

    axis: str
    policy: str
    file: ScenarioFile
    decides: Policy
    seed: int
    metrics: Callable[[Report], Metrics]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A mean over the seeds with its 95% interval (Student's t)."""

    mean: float
    ci95: tuple[float, float]

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of one value per seed; one alone is its own interval."""
        mean = fmean(values)
        if len(values) < 2:
            return cls(mean=mean, ci95=(mean, mean))
        t = T_95[len(values) - 2] if len(values) - 2 < len(T_95) else 1.96
        half = t * stdev(values) / len(values) ** 0.5
        return cls(mean=mean, ci95=(mean - half, mean + half))


Figures = dict[str, Figure]
"""By metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A bar that one of our policy's metrics has to reach.

    `unit` says how figures are written: `%` for shares, `points` for differences of shares, `x` for ratios; anything
    else stands behind the number.
    """

    text: str
    metric: str
    bar: Bar
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One picture of an axis: a metric of every policy side by side. `is_low_good` says which end is the better one."""

    title: str
    metric: str
    unit: str
    is_low_good: bool = False


def baseline(order: Order, *, shares_gpus: bool = False) -> Policy:
    return Policy(
        make=lambda making: Baseline(order, making, shares_gpus=shares_gpus), policies=PolicySet(name=order.value)
    )


def the_policies(warm: tuple[str, ...]) -> dict[str, Policy]:
    """Everybody by name; `warm` are the models asked for most, most popular first."""
    top = tuple(ModelId(name) for name in warm[:5])
    scheduler = SchedulerPolicy(**SIMULATED_BOUNDS)
    textbook = PolicySet(
        name="textbook",
        forecasts=False,
        scheduler=replace(scheduler, fairness_price=0.0, doomed_fraction=0.0, preempt_ratio=1e9, preemptions_max=0),
        fleet=FleetPolicy(always_warm=top, idle_ttl_s=300.0),
    )
    orders = (Order.FCFS, Order.SJF, Order.SRTF, Order.EDF)
    found = {order.value if order is not Order.EDF else "edf_admission": baseline(order) for order in orders}
    found["textbook"] = Policy(make=Production, policies=textbook)
    found["heliograph"] = Policy(make=Production, policies=PolicySet(name="heliograph", fleet=SHARED_GPUS))
    return found


def share(report: Report, tier: str, kind: str = "all") -> float:
    """Attainment of a group; of one that nobody belongs to, that of everybody."""
    found = [group for group in report.groups if (group.tier, group.kind) == (tier, kind)]
    return (found[0] if found else report.overall).attainment or 0.0


def spot_zones(options: Options) -> tuple[str, ...]:
    """One zone per trace of the directory, or three random ones."""
    traces = len(spot_traces(options))
    return tuple(f"s{number}" for number in range(1, (traces or 3) + 1))


def spot_traces(options: Options) -> list[Path]:
    """The spot traces that there are, in a fixed order."""
    return sorted(Path(options.spot_dir).glob("skypilot_*.json")) if options.spot_dir else []


def spot_tables(options: Options, seed: int) -> str:
    """The zones: all traces of the directory over the same days, other days for each seed, or random ones."""
    traces = spot_traces(options)
    parts: list[str] = []
    for number, zone in enumerate(spot_zones(options)):
        parts.append(f"[spot.{zone}]")
        if traces:
            parts.append(f'kind = "skypilot"\npath = "{traces[number].resolve()}"\noffset_s = {seed * 350_000}')
        else:
            parts.append("up_s = 7200\ndown_s = 2400")
    return "\n".join(parts)


def market(options: Options, gpus: int, *, gpu: str = "A100-80G") -> str:
    """Fleet entries: up to `gpus` on demand, and as many on spot in every zone while it has any."""
    groups = [f'{{ gpu = "{gpu}", count = {gpus}, gpus_per_node = 1, term = "on_demand", zone = "o" }}']
    groups += [
        f'{{ gpu = "{gpu}", count = {gpus}, gpus_per_node = 1, term = "spot", zone = "{zone}", '
        f'availability = "{zone}" }}'
        for zone in spot_zones(options)
    ]
    return ", ".join(groups)
