"""Ten times the demand for ten minutes: the paid tiers' P95 against that of a calm hour, and nobody lost."""

from collections.abc import Iterator

from benchmarks.policies.trials import Metrics, Options, Plot, Promise, Trial, share, the_policies
from benchmarks.report import Bar
from heliograph.simulation import parse_scenario

PROMISES = (
    Promise(
        text="paid tier's P95 in a tenfold crowd, as a multiple of the calm one",
        metric="pro_p95_ratio",
        bar=Bar(limit=1.5),
        unit="x",
    ),
    Promise(text="requests lost in the crowd", metric="unfinished_in_crowd", bar=Bar(limit=0.0)),
)
PLOTS = (
    Plot(title="P95 of the paid tier in a tenfold crowd", metric="pro_p95_s_in_crowd", unit="s", is_low_good=True),
)


def trials(options: Options, seed: int) -> Iterator[Trial]:
    """Ten times the demand for ten minutes: the paid tiers' P95 against that of a calm hour, and nobody lost."""
    models = ("sdxl-base", "z-image-turbo")
    for crowd in ("", "flash = [{ at_s = 1800, duration_s = 600, factor = 10 }]"):
        text = f"""
name = "flash crowd"
duration_s = 3600
warm_up_s = 300
profile_error = 0.2
fleet = [{{ gpu = "H100", count = 16 }}]
[targets.image]
pro = 15
standard = 60
free = 900
[fleet_policy]
always_warm = ["sdxl-base", "z-image-turbo"]
[[workload]]
rate_per_hour = 3600
variation = 1.5
models = {{ sdxl-base = 0.6, z-image-turbo = 0.4 }}
tiers = {{ free = 0.85, pro = 0.15 }}
{crowd}
"""
        when = "in_crowd" if crowd else "calm"
        for name, decides in the_policies(models).items():
            yield Trial(
                axis="flash_crowd",
                policy=name,
                file=parse_scenario(text, origin="flash_crowd"),
                decides=decides,
                seed=seed,
                metrics=lambda report, when=when: {
                    f"pro_p95_s_{when}": report.group("pro").latency_s.p95 or 0.0,
                    f"attainment_free_{when}": share(report, "free"),
                    f"unfinished_{when}": float(report.overall.unfinished),
                },
            )


def finish(policies: dict[str, Metrics]) -> None:
    """Adds, for one seed, how many times the calm P95 of the paid tier that of the crowd is."""
    for metrics in policies.values():
        metrics["pro_p95_ratio"] = metrics["pro_p95_s_in_crowd"] / max(metrics["pro_p95_s_calm"], 1e-9)
