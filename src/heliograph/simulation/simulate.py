"""From a scenario to a report: builds the world, plays it, sums it up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from heliograph.billing.fleet_meter import FleetMeter
from heliograph.billing.prices import PriceBook
from heliograph.domain.ids import GpuId, ModelId
from heliograph.domain.model_card import Catalogue, ModelCard
from heliograph.domain.money import Micros
from heliograph.domain.views import Gpu, Market
from heliograph.fleet.capacity import Offer
from heliograph.routing.catalogue import CatalogueFile
from heliograph.simulation.arrivals import Arrivals, Shares
from heliograph.simulation.books import Books
from heliograph.simulation.chance import Chance
from heliograph.simulation.decider import DeciderFactory, Making, Production
from heliograph.simulation.hardware import GPU_CLASSES, OTHER_SPEEDS, GpuPrices, Term
from heliograph.simulation.machines import Machines
from heliograph.simulation.measures import quantiles
from heliograph.simulation.report import Report
from heliograph.simulation.scenario import PolicySet, Scenario, ScenarioFile
from heliograph.simulation.spot import availability
from heliograph.simulation.truth import Truth, as_believed
from heliograph.simulation.world import World

Progress = Callable[[float, int, int], None]
"""Told now and then: the share of the simulated time that has passed (0 to 1), jobs so far, jobs open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a simulation takes from outside: shipped facts, and how to read the traces a scenario names."""

    shipped: CatalogueFile
    prices: GpuPrices
    shares: Shares
    read_text: Callable[[str], str]


def simulate(
    file: ScenarioFile,
    surroundings: Surroundings,
    *,
    policies: PolicySet | None = None,
    seed: int | None = None,
    make_decider: DeciderFactory = Production,
    clock_ns: Callable[[], int] | None = None,
    check_every: int = 0,
    exact_ledger: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Play the scenario. The report depends on the scenario, the policies and the seed, and on nothing else.

    `clock_ns` times the decisions. `check_every` steps the invariants are asserted, 0: at the end only; `exact_ledger`
    makes every posting with the billing code.
    """
    scenario = file.scenario if seed is None else replace(file.scenario, seed=seed)
    policies = policies or file.policies["default"]
    catalogue = file.catalogue(surroundings.shipped)
    chance = Chance(scenario.seed, "scenario")
    arrivals = Arrivals(
        scenario, catalogue, surroundings.shares, read_text=surroundings.read_text, chance=chance.fork("arrivals")
    )
    cards = known_cards(scenario, catalogue, [*arrivals.model_ids, *policies.fleet.always_warm])
    gpus, prices = the_fleet(scenario, surroundings.prices)
    machines = Machines(scenario.fleet, gpus, prices, scenario.machine)
    spot, book = chance.fork("spot"), _price_book(gpus, prices)
    world = World(
        scenario=scenario,
        cards=cards,
        machines=machines,
        make_decider=lambda present: make_decider(
            Making(
                present=present,
                possible=gpus,
                cards=cards,
                policies=policies,
                offers=_offers(gpus, prices),
            )
        ),
        capacity=policies.capacity is not None,
        truth=Truth(cards, scenario, chance.fork("truth")),
        books=Books(book, exact=exact_ledger),
        make_meter=(lambda present, now_s: FleetMeter(present, book, now_s=now_s)) if exact_ledger else None,
        availability={
            name: availability(
                source,
                duration_s=scenario.duration_s,
                read_text=surroundings.read_text,
                chance=spot.fork(name),
            )
            for name, source in scenario.spot.items()
        },
        chance=chance,
        clock_ns=clock_ns,
        check_every=check_every,
        watch=None if progress is None else _watcher(scenario, progress),
    )
    world.run(iter(arrivals))
    return _report(world, scenario, policies, len(gpus))


def known_cards(scenario: Scenario, catalogue: Catalogue, model_ids: list[ModelId]) -> dict[ModelId, ModelCard]:
    """The cards of these models as production knows them on this fleet."""
    speeds = dict(OTHER_SPEEDS)
    speeds |= {name: scenario.gpu_class(name).speed for name in (*GPU_CLASSES, *scenario.gpu_classes)}
    classes = list(dict.fromkeys(group.gpu for group in scenario.fleet))
    named = [model_id for model_id in dict.fromkeys(model_ids) if model_id in catalogue.cards]
    return {model_id: as_believed(catalogue.cards[model_id], classes, speeds) for model_id in named}


def the_fleet(scenario: Scenario, prices: GpuPrices) -> tuple[list[Gpu], list[float]]:
    """Every GPU the scenario can have, and what an hour of each costs in dollars."""
    gpus: list[Gpu] = []
    usd_per_hour: list[float] = []
    for number, group in enumerate(scenario.fleet):
        memory_bytes = round(scenario.gpu_class(group.gpu).memory_gb * 1e9)
        known = group.price_usd_per_hour
        price = known if known is not None else prices.of(group.gpu, group.term)
        for index in range(group.count):
            name = f"{group.gpu.lower().replace(' ', '-')}-{group.term.value}-{group.zone}{number}-{index:03d}"
            node_id = f"{group.zone}{number}-node{index // group.gpus_per_node}"
            gpus.append(
                Gpu(
                    gpu_id=GpuId(name),
                    gpu_class=group.gpu,
                    memory_bytes=memory_bytes,
                    node_id=node_id,
                    zone=group.zone,
                    market=MARKETS[group.term],
                )
            )
            usd_per_hour.append(price)
    return gpus, usd_per_hour


MARKETS = {Term.RESERVED: Market.RESERVED, Term.ON_DEMAND: Market.ON_DEMAND, Term.SPOT: Market.SPOT}


def _offers(gpus: list[Gpu], usd_per_hour: list[float]) -> tuple[Offer, ...]:
    """What the market has beyond the reserved base: one offer per class, market and zone."""
    found: dict[tuple[str, Market, str], Offer] = {}
    for gpu, price in zip(gpus, usd_per_hour, strict=True):
        if gpu.market is not Market.RESERVED:
            key = (gpu.gpu_class, gpu.market, gpu.zone)
            micros = Micros(round(price * 1_000_000))
            found[key] = Offer(gpu_class=key[0], market=key[1], zone=key[2], micros_per_hour=micros)
    return tuple(found.values())


def _price_book(gpus: list[Gpu], usd_per_hour: list[float]) -> PriceBook:
    """Billing knows classes: each costs what the fleet's GPUs of that class cost on average."""
    by_class: dict[str, list[float]] = {}
    for gpu, price in zip(gpus, usd_per_hour, strict=True):
        by_class.setdefault(gpu.gpu_class, []).append(price)
    means: Mapping[str, float] = {name: round(sum(each) / len(each), 6) for name, each in by_class.items()}
    return PriceBook().overridden(gpu_hour_usd=means)


def _watcher(scenario: Scenario, progress: Progress) -> Callable[[float, World], None]:
    def watch(now_s: float, world: World) -> None:
        progress(min(now_s / scenario.duration_s, 1.0), world.books.submitted, len(world.books.open))

    return watch


def _report(world: World, scenario: Scenario, policies: PolicySet, gpus: int) -> Report:
    measures, books, machines = world.measures, world.books, world.machines
    groups = measures.groups()
    hours = scenario.duration_s / 3600
    on_time = measures.pictures_on_time
    asked = groups[0].asked
    return Report(
        scenario=scenario.name,
        description=scenario.description,
        policy=policies.name,
        seed=scenario.seed,
        duration_s=scenario.duration_s,
        gpus=gpus,
        jobs=books.submitted,
        pictures_on_time=on_time,
        groups=groups,
        stages_s=measures.stages_s(),
        cold_start_share=measures.cold / measures.started if measures.started else None,
        loads=world.loads,
        replicas_stopped=world.stops,
        attempts={outcome.value: count for outcome, count in sorted(books.attempts.items())},
        gpu_hours=machines.gpu_hours(),
        cost_usd=machines.usd,
        cost_usd_per_1000_on_time=machines.usd / on_time * 1_000 if on_time else None,
        metered_usd=books.cost_micros / 1e6,
        charged_usd=books.charged_micros / 1e6,
        goodput_per_hour=on_time / hours,
        refused={code: books.refused[code] for code in sorted(books.refused)},
        refused_share=books.refused.total() / asked if asked else None,
        longest_wait_s=measures.longest_wait_s,
        jain=measures.jain(),
        eta=measures.eta(),
        series=measures.series(),
        strips=machines.strips(),
        latency_curves=measures.curves(),
        events=world.events,
        decision_us=quantiles(world.decision_us),
    )
