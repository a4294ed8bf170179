"""The composite of the policy benchmark loses nobody, holds several models on a GPU and pays for what it holds."""

import pytest
from benchmarks.policies.baselines import Order
from benchmarks.policies.composite import Composite
from benchmarks.policies.keep_alive import FixedTtl, GreedyDual, HybridHistogram, KeepAlive
from benchmarks.policies.spot_hedge import Buyer, BuyerPolicy

from heliograph.fleet.capacity import CapacityPolicy
from heliograph.simulation import PolicySet, Report, simulate
from heliograph.simulation.decider import Making
from tests.simulation.test_simulate import FAULTS, accounted
from tests.simulation.worlds import a_scenario, around

MARKET = """
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
ZONE = "[spot.s]\nup_s = 900\ndown_s = 300\n"


def simulated(keep: KeepAlive, *, order: Order = Order.EDF, tables: str = ZONE, **fields: object) -> Report:
    def make(making: Making) -> Composite:
        policy = BuyerPolicy(gpu_class="H100", qps_per_gpu=0.2, up_s=60.0)
        return Composite(order, making, keep=keep, buyer=Buyer(policy, making.offers))

    file = a_scenario(gpus=1, fleet=MARKET, tables=tables, more="deadlines = true", **fields)
    policies = PolicySet(capacity=CapacityPolicy(gpu_class="H100"))
    return simulate(file, around(), policies=policies, make_decider=make, check_every=1, exact_ledger=True)


@pytest.mark.parametrize("keep", [FixedTtl(900.0), HybridHistogram(), GreedyDual()])
@pytest.mark.parametrize("order", [Order.EDF, Order.SRTF])
def test_nobody_is_lost(order: Order, keep: KeepAlive) -> None:
    report = simulated(keep, order=order, tables=ZONE + FAULTS)
    assert accounted(report) == report.jobs
    assert report.overall.on_time > 0
    assert report.overall.unfinished == 0


def test_a_gpu_holds_several_models_unless_their_time_is_short() -> None:
    kept = simulated(GreedyDual(), rate_per_hour=120, duration_s=3_600)
    unloaded = simulated(FixedTtl(5.0), rate_per_hour=120, duration_s=3_600)
    assert 2 <= kept.loads < unloaded.loads
    assert kept.cold_start_share < unloaded.cold_start_share
