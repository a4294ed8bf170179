"""The buyers of the spot benchmark do what those of SkyServe do: follow the rate late, hedge, leave bad zones."""

from collections.abc import Mapping

import pytest
from benchmarks.policies.baselines import Baseline, Order
from benchmarks.policies.spot_hedge import Buyer, BuyerPolicy, Buying

from heliograph.domain.commands import BuyGpu, ReleaseGpu
from heliograph.domain.ids import GpuId, ModelId
from heliograph.domain.money import Micros
from heliograph.domain.views import Gpu, Market
from heliograph.fleet.capacity import Arriving, CapacityPolicy, Offer
from heliograph.simulation import PolicySet, simulate
from heliograph.simulation.decider import Holdings
from tests.simulation.test_simulate import accounted
from tests.simulation.worlds import a_scenario, around

OFFERS = tuple(
    Offer(gpu_class="H100", market=market, zone=zone, micros_per_hour=Micros(price))
    for market, zone, price in (
        (Market.ON_DEMAND, "o", 4_000_000),
        (Market.SPOT, "a", 800_000),
        (Market.SPOT, "b", 900_000),
        (Market.SPOT, "c", 900_001),
    )
)


def a_buyer(buying: Buying = Buying.SPOTHEDGE, **fields: object) -> Buyer:
    exact = {"gpu_class": "H100", "qps_per_gpu": 0.1, "spare": 1, "up_s": 30.0, "down_s": 60.0}
    return Buyer(BuyerPolicy(buying=buying, **(exact | fields)), OFFERS)


def holding(
    *zones: str,
    arriving: tuple[str, ...] = (),
    taken_back: Mapping[str, int] | None = None,
    refused_at_s: Mapping[str, float] | None = None,
) -> Holdings:
    return Holdings(
        gpus=tuple(
            Gpu(gpu_id=GpuId(f"gpu{n}"), gpu_class="H100", memory_bytes=80, market=market_of(zone), zone=zone)
            for n, zone in enumerate(zones)
        ),
        arriving=tuple(Arriving(market=market_of(zone), zone=zone, since_s=0.0) for zone in arriving),
        taken_back=taken_back or {},
        refused_at_s=refused_at_s or {},
    )


def market_of(zone: str) -> Market:
    return Market.ON_DEMAND if zone == "o" else Market.SPOT


def traded(buyer: Buyer, holdings: Holdings, *, ready: str | None = None, now_s: float = 0.0) -> list[str]:
    """In words; all GPUs that are here are ready unless said otherwise, and all are idle."""
    here = frozenset(gpu.gpu_id for gpu in holdings.gpus)
    serve = here if ready is None else frozenset(GpuId(f"gpu{n}") for n in ready.split())
    found = buyer.trade(holdings, ready=serve, idle=here, now_s=now_s)
    assert all(isinstance(command, BuyGpu | ReleaseGpu) for command in found)
    return [f"buy {c.zone}" if isinstance(c, BuyGpu) else f"return {c.gpu_id}" for c in found]


@pytest.mark.parametrize(
    ("buying", "holdings", "ready", "words"),
    [
        pytest.param(Buying.ON_DEMAND, holding(), None, ["buy o"], id="on demand"),
        pytest.param(Buying.SPOT_ONLY, holding(), None, ["buy a"], id="spot only"),
        pytest.param(Buying.SPOTHEDGE, holding(), None, ["buy a", "buy b", "buy o"], id="one to spare, and on demand"),
        pytest.param(Buying.SPOTHEDGE, holding("a", arriving=("b", "o")), None, [], id="all of it is coming"),
        pytest.param(Buying.SPOTHEDGE, holding("a", "b", "o"), None, ["return gpu2"], id="spot is ready"),
        pytest.param(Buying.SPOTHEDGE, holding("a", "b", "o"), "0 2", [], id="spot is here and not ready"),
        pytest.param(Buying.SPOTHEDGE, holding("a", "b", "c"), "0 1", ["return gpu2"], id="too many: who is not ready"),
    ],
)
def test_what_a_target_of_one_is_bought_as(
    buying: Buying, holdings: Holdings, ready: str | None, words: list[str]
) -> None:
    assert traded(a_buyer(buying), holdings, ready=ready) == words


def test_a_zone_that_fails_is_left_until_a_gpu_is_ready_there_or_too_few_are_active() -> None:
    buyer = a_buyer()
    assert traded(buyer, holding("b", arriving=("o",), taken_back={"a": 1})) == ["buy c"]
    assert traded(buyer, holding("b", arriving=("o",), taken_back={"a": 1})) == ["buy c"]
    refused = holding("b", arriving=("o",), taken_back={"a": 1}, refused_at_s={"c": 9.0})
    assert traded(buyer, refused) == ["buy a"], "only b was active, so all are again"
    assert traded(buyer, holding("b", arriving=("o",), taken_back={"a": 2}, refused_at_s={"c": 9.0})) == ["buy c"]
    ready_again = holding("b", "a", taken_back={"a": 2}, refused_at_s={"c": 9.0})
    traded(buyer, ready_again)
    assert traded(buyer, holding(arriving=("o",), taken_back={"a": 2}, refused_at_s={"c": 9.0}))[0] == "buy a"


def test_the_target_follows_the_rate_once_it_has_lasted() -> None:
    buyer = a_buyer(gpus_max=3)
    for second in range(0, 60, 2):
        buyer.note(float(second))
    targets = []
    for now_s in (60.0, 75.0, 90.0, 150.0, 165.0, 210.0, 225.0):
        traded(buyer, holding("a", "b"), now_s=now_s)
        targets.append(buyer.target)
    assert targets == [1, 1, 3, 3, 3, 1, 1]


FLEET = """
[[fleet]]
gpu = "H100"
count = 3
term = "on_demand"

[[fleet]]
gpu = "H100"
count = 3
term = "spot"
zone = "s"
availability = "s"
"""


@pytest.mark.parametrize("buying", Buying)
def test_nobody_is_lost_on_gpus_that_are_bought(buying: Buying) -> None:
    file = a_scenario(
        duration_s=3_600,
        gpus=1,
        fleet=FLEET,
        tables="[spot.s]\nup_s = 900\ndown_s = 300\n",
        rate_per_hour=600,
    )
    policy = BuyerPolicy(gpu_class="H100", qps_per_gpu=0.1, buying=buying, up_s=60.0)
    report = simulate(
        file,
        around(),
        policies=PolicySet(capacity=CapacityPolicy(gpu_class="H100")),
        make_decider=lambda making: Baseline(
            Order.FCFS, making, buyer=Buyer(policy, making.offers), eager=ModelId("sdxl-base")
        ),
        check_every=10,
    )
    assert accounted(report) == report.jobs
    terms = {strip.term for strip in report.strips if any(cell != "off" for cell in strip.cells)}
    bought = {
        Buying.ON_DEMAND: {"on_demand"},
        Buying.SPOT_ONLY: {"spot"},
        Buying.SPOTHEDGE: {"on_demand", "spot"},
    }
    assert terms - {"reserved"} == bought[buying]
    assert report.overall.on_time > 0
