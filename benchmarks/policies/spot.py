"""The same traffic served on demand only, on whatever spot there is, and by the capacity plan."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.policies.trials import Options, Plot, Policy, Trial, spot_tables
from heliograph.domain.ids import ModelId
from heliograph.fleet.capacity import CapacityPolicy
from heliograph.fleet.plan import FleetPolicy
from heliograph.simulation import PolicySet, parse_scenario
from heliograph.simulation.decider import Production

PLOTS = (Plot(title="Cost of 1,000 pictures on time", metric="usd_per_1000_on_time", unit="$", is_low_good=True),)


def trials(options: Options, seed: int) -> Iterator[Trial]:
    """The same traffic served on demand only, on whatever spot there is, and by the capacity plan."""
    groups = {
        "on_demand": '{ gpu = "A100-80G", count = 12, term = "on_demand", zone = "o" }',
        "spot_naive": ", ".join(
            f'{{ gpu = "A100-80G", count = 6, term = "spot", zone = "s{n}", availability = "s{n}" }}' for n in (1, 2)
        ),
    }
    groups["heliograph"] = f"{groups['on_demand']}, {groups['spot_naive']}"
    for name, fleet in groups.items():
        text = f"""
name = "spot, {name}"
duration_s = {options.hours * 3600}
profile_error = 0.2
fleet = [{fleet}]
{spot_tables(options, seed)}
[targets.image]
pro = 60
standard = 60
free = 120
[[workload]]
rate_per_hour = 2400
variation = 2
day_night = 0.6
models = {{ sdxl-base = 1 }}
"""
        anywhere = replace(PolicySet().scheduler, spot_tiers=frozenset(("free", "standard", "pro")))
        policies = PolicySet(name=name, fleet=FleetPolicy(always_warm=(ModelId("sdxl-base"),)))
        if name == "spot_naive":
            policies = replace(policies, scheduler=anywhere)
        if name == "heliograph":
            burst = CapacityPolicy(gpu_class="A100-80G", base=0, gpus_max=12, load_s=60.0)
            policies = replace(policies, capacity=burst)
        yield Trial(
            axis="spot",
            policy=name,
            file=parse_scenario(text, origin="spot"),
            decides=Policy(make=Production, policies=policies),
            seed=seed,
            metrics=lambda report: {
                "usd_per_1000_on_time": report.cost_usd_per_1000_on_time or 0.0,
                "attainment": report.overall.attainment or 0.0,
                "p99_s": report.overall.latency_s.p99 or 0.0,
            },
        )
