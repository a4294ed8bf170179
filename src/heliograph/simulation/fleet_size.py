"""The smallest fleet that keeps a promise: found by simulating the production code at the busiest hours of a day.

For each GPU class that can hold every model of the mix: raise the number of GPUs until the promise is kept, then halve
the gap. A class whose least conceivable fleet (its load at full use) costs more than the best so far is not tried.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.ids import ModelId
from heliograph.domain.tiers import Tier
from heliograph.fleet.plan import FleetPolicy
from heliograph.routing.catalogue import CatalogueFile
from heliograph.simulation.hardware import GPU_CLASSES, Term
from heliograph.simulation.report import Report
from heliograph.simulation.scenario import GpuGroup, PolicySet, Scenario, ScenarioFile, Workload
from heliograph.simulation.simulate import Surroundings, known_cards, simulate

HOURS_PER_MONTH = 730.0
PEAK_BEGINS_S = 14 * 3600.0
REQUESTS_WANTED = 4_000
WARM_UP_S = 300.0
GPUS_MAX = 4_096
PRICE_FACTORS = (0.5, 0.8, 1.0, 1.25, 1.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """`share` (0 to 1) of the requests of each kind (`image`, `video`) are delivered within so many seconds."""

    share: float
    target_s: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Pictures (or clips) a day, which models they are asked of by weight, and how the day and its bursts look."""

    images_per_day: float
    models: Mapping[str, float]
    day_night: float = 0.6
    variation: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOption:
    """`count` GPUs of a class keep the promise; `usd_per_month` by term. `kept` is the share they kept at the peak."""

    gpu: str
    count: int
    kept: float
    p95_s: float | None
    busy_share: float
    usd_per_month: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """Options by cost, the cheapest first, and classes that were not considered, with the reason.

    `sensitivity`: which class would be cheapest, and for how much a month, if the price of the first option's class
    were so many times what it is.
    """

    options: tuple[FleetOption, ...]
    left_out: Mapping[str, str]
    sensitivity: tuple[tuple[float, str, float], ...]


def plan_fleet(
    demand: Demand,
    promise: Promise,
    surroundings: Surroundings,
    *,
    term: Term = Term.ON_DEMAND,
    gpu_classes: Sequence[str] = tuple(GPU_CLASSES),
    seed: int = 1,
    told: Callable[[str], None] = lambda _text: None,
) -> FleetPlan:
    """The smallest fleet of each class. `told` hears what is being tried. `InvalidRequest` when no class will do."""
    options: list[FleetOption] = []
    left_out: dict[str, str] = {}
    by_price = sorted(gpu_classes, key=lambda name: surroundings.prices.of(name, term) / GPU_CLASSES[name].speed)
    for name in by_price:
        price = surroundings.prices.of(name, term)
        cheapest = min((option.usd_per_month[term.value] for option in options), default=math.inf)
        try:
            least = _least(demand, promise, surroundings, name)
        except InvalidRequest as error:
            left_out[name] = error.message
            continue
        if least * price * HOURS_PER_MONTH > cheapest:
            left_out[name] = f"even {least} GPUs, busy all the time, would cost more than the best fleet"
            continue
        option = _smallest(demand, promise, surroundings, name, least, seed, told)
        if option is None:
            left_out[name] = f"{GPUS_MAX} GPUs do not keep the promise"
        else:
            options.append(option)
    if not options:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise InvalidRequest(
            f"No fleet of one GPU class keeps this promise. {reasons}", code="no_such_fleet", param="slo"
        )
    options.sort(key=lambda option: (option.usd_per_month[term.value], option.gpu))
    return FleetPlan(options=tuple(options), left_out=left_out, sensitivity=_sensitivity(options, term))


def _sensitivity(options: Sequence[FleetOption], term: Term) -> tuple[tuple[float, str, float], ...]:
    first = options[0].gpu
    rows: list[tuple[float, str, float]] = []
    for factor in PRICE_FACTORS:
        costs = {each.gpu: each.usd_per_month[term.value] * (factor if each.gpu == first else 1.0) for each in options}
        best = min(costs, key=lambda gpu: (costs[gpu], gpu))
        rows.append((factor, best, costs[best]))
    return tuple(rows)


def _least(demand: Demand, promise: Promise, surroundings: Surroundings, gpu: str) -> int:
    """GPUs that the peak keeps busy all the time. `InvalidRequest` when the class cannot do it at all, with why."""
    file = _file(demand, promise, gpu, count=1, seed=1)
    catalogue = file.catalogue(surroundings.shipped)
    cards = known_cards(file.scenario, catalogue, [ModelId(name) for name in demand.models])
    total = sum(demand.models.values())
    load = 0.0
    for name, weight in demand.models.items():
        card = cards.get(ModelId(name))
        if card is None:
            raise InvalidRequest(f"There is no model called {name!r}.", param="mix", code="model_not_found")
        if (card.vram_bytes or 0) > GPU_CLASSES[gpu].memory_gb * 1e9:
            raise InvalidRequest(f"{name} needs {(card.vram_bytes or 0) / 1e9:.0f} GB of memory")
        timing = card.timings[0]
        s_per_step = timing.seconds / max(timing.steps, 1)
        load += weight / total * s_per_step * card.steps.standard
        kind = "video" if card.tasks & {"t2v", "i2v"} else "image"
        target_s = promise.target_s.get(kind)
        if target_s is not None and s_per_step * card.steps.standard > target_s:
            raise InvalidRequest(f"one {kind} of {name} alone takes {s_per_step * card.steps.standard:.0f} s")
    return max(math.ceil(load * _peak_per_s(demand)), 1)


def _peak_per_s(demand: Demand) -> float:
    return demand.images_per_day / 86_400 * (1.0 + demand.day_night)


def _smallest(
    demand: Demand,
    promise: Promise,
    surroundings: Surroundings,
    gpu: str,
    least: int,
    seed: int,
    told: Callable[[str], None],
) -> FleetOption | None:
    tried: dict[int, Report] = {}

    def keeps(count: int) -> bool:
        told(f"{count} x {gpu}")
        file = _file(demand, promise, gpu, count=count, seed=seed)
        tried[count] = simulate(file, surroundings)
        return _kept(tried[count]) >= promise.share

    high = least
    while not keeps(high):
        if high >= GPUS_MAX:
            return None
        least, high = high + 1, min(max(high + 1, math.ceil(high * 1.5)), GPUS_MAX)
    while least < high:
        middle = (least + high) // 2
        if keeps(middle):
            high = middle
        else:
            least = middle + 1
    report = tried[high]
    hours = report.gpu_hours
    return FleetOption(
        gpu=gpu,
        count=high,
        kept=_kept(report),
        p95_s=report.overall.latency_s.p95,
        busy_share=hours.busy / hours.paid if hours.paid else 0.0,
        usd_per_month={term.value: high * surroundings.prices.of(gpu, term) * HOURS_PER_MONTH for term in Term},
    )


def _kept(report: Report) -> float:
    """The promise is kept when it is kept for every kind: the worst counts."""
    by_kind = [group for group in report.groups if group.tier == "all" and group.kind != "all"] or [report.overall]
    return min(group.attainment or 0.0 for group in by_kind)


def _file(demand: Demand, promise: Promise, gpu: str, *, count: int, seed: int) -> ScenarioFile:
    """The busiest hours of the day on that fleet, with every model of the mix kept warm."""
    peak_per_s = _peak_per_s(demand)
    duration_s = WARM_UP_S + min(max(REQUESTS_WANTED / peak_per_s, 1_800.0), 4 * 3_600.0)
    every_tier = {kind: dict.fromkeys(Tier, target_s) for kind, target_s in promise.target_s.items()}
    scenario = Scenario(
        name=f"{count} x {gpu}",
        duration_s=duration_s,
        warm_up_s=WARM_UP_S,
        start_s=PEAK_BEGINS_S,
        seed=seed,
        fleet=(GpuGroup(gpu=gpu, count=count),),
        workload=(
            Workload(
                rate_per_hour=demand.images_per_day / 24,
                variation=demand.variation,
                day_night=demand.day_night,
                models=demand.models,
                tiers={Tier.STANDARD: 1.0},
            ),
        ),
        targets=every_tier,
        tick_s=2.0,
    )
    policies = PolicySet()
    fleet = replace(policies.fleet, always_warm=tuple(ModelId(name) for name in demand.models))
    assert isinstance(fleet, FleetPolicy)
    return ScenarioFile(
        scenario=scenario, models=CatalogueFile(origin="plan"), policies={"default": replace(policies, fleet=fleet)}
    )
