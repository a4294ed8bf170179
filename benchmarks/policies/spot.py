"""One model on GPUs that are bought and returned: on demand only, on spot only, by SpotHedge, by our capacity plan.

Everybody may buy the same: GPUs on demand, and spot in as many zones as there are traces. The others follow SkyServe's
request-rate autoscaler (`spot_hedge.py`), load the model on every GPU that comes, and serve first come, first served
from one line, which is no worse than sending each request to the least loaded replica. `QPS_PER_GPU` is their only
knob; it was tuned for SpotHedge on days of the traces that no seed from 1 to 10 plays.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.policies.baselines import Baseline, Order
from benchmarks.policies.spot_hedge import Buyer, BuyerPolicy, Buying
from benchmarks.policies.trials import Figure, Figures, Options, Policy, Trial, market, spot_tables
from heliograph.domain.ids import ModelId
from heliograph.domain.tiers import Tier
from heliograph.fleet.capacity import CapacityPolicy
from heliograph.fleet.plan import FleetPolicy
from heliograph.simulation import PolicySet, parse_scenario
from heliograph.simulation.decider import Making, Production

GPU, MODEL, GPUS_MAX = "A100-80G", ModelId("sdxl-base"), 16
QPS_PER_GPU = 0.12


def trials(options: Options, seed: int) -> Iterator[Trial]:
    """The same day of traffic, with everybody."""
    text = f"""
name = "spot"
duration_s = {options.hours * 3600}
profile_error = 0.2
fleet = [{market(options, GPUS_MAX)}]
{spot_tables(options, seed)}
[targets.image]
pro = 60
standard = 60
free = 120
[[workload]]
rate_per_hour = 2400
variation = 2
day_night = 0.6
models = {{ {MODEL} = 1 }}
"""
    file = parse_scenario(text, origin="spot")
    policies = {buying.value: serving(buying) for buying in Buying}
    policies["heliograph"] = Policy(
        make=Production,
        policies=PolicySet(
            name="heliograph",
            scheduler=replace(PolicySet().scheduler, spot_tiers=frozenset(Tier)),
            fleet=FleetPolicy(always_warm=(MODEL,)),
            capacity=CapacityPolicy(gpu_class=GPU, base=0, gpus_max=GPUS_MAX, load_s=60.0),
        ),
    )
    for name, decides in policies.items():
        yield Trial(
            axis="spot",
            policy=name,
            file=file,
            decides=decides,
            seed=seed,
            metrics=lambda report: {
                "usd_per_1000_on_time": report.cost_usd_per_1000_on_time or 0.0,
                "attainment": report.overall.attainment or 0.0,
                "p99_s": report.overall.latency_s.p99 or 0.0,
                "usd": report.cost_usd,
                "gpu_hours": report.gpu_hours.paid,
            },
        )


def serving(buying: Buying, *, qps_per_gpu: float = QPS_PER_GPU) -> Policy:
    """First come, first served on GPUs bought that way."""
    policy = BuyerPolicy(gpu_class=GPU, qps_per_gpu=qps_per_gpu, buying=buying, gpus_max=GPUS_MAX)
    capacity = CapacityPolicy(gpu_class=GPU, gpus_max=GPUS_MAX)  # its figures do not count; that it is there lets trade
    return Policy(make=_made(policy), policies=PolicySet(name=buying.value, capacity=capacity))


def _made(policy: BuyerPolicy) -> Callable[[Making], Baseline]:
    return lambda making: Baseline(Order.FCFS, making, buyer=Buyer(policy, making.offers), eager=MODEL)


def finish(policies: dict[str, Figures]) -> None:
    """Adds what SpotHedge saves against buying on demand, which its authors put at about 40%."""
    usd = {name: metrics["usd"].mean for name, metrics in policies.items()}
    saved = 1.0 - usd["spothedge"] / usd["on_demand"]
    policies["spothedge"]["saves_over_on_demand"] = Figure.of([saved])
