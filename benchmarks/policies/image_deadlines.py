"""Pictures of three sizes with deadlines on eight GPUs, from light load to overload."""

from collections.abc import Iterator

from benchmarks.policies.trials import Metrics, Options, Plot, Promise, Trial, share, the_policies
from benchmarks.report import Bar
from heliograph.simulation import parse_scenario

LOADS = (0.7, 1.0, 1.3)
"""Offered work as a multiple of what eight GPUs can do."""

RIVALS = ("edf_admission", "srtf")
PROMISES = tuple(
    Promise(
        text=f"attainment over the best of EDF with admission and SRTF at load {load:g}",
        metric=f"lead_{load:g}",
        bar=Bar(limit=0.05, is_floor=True),
        unit="points",
    )
    for load in LOADS
)
PLOTS = tuple(
    Plot(title=f"Pictures within their deadline, load {load:g}", metric=f"attainment_{load:g}", unit="%")
    for load in LOADS
)


def trials(options: Options, seed: int) -> Iterator[Trial]:
    """Pictures of three sizes with deadlines on eight GPUs, from light load to overload."""
    per_hour = 8 * 3600 / 3.6  # a request of this mix takes 3.6 GPU-seconds on average
    for load in LOADS:
        text = f"""
name = "image deadlines at {load}"
duration_s = 3600
warm_up_s = 300
profile_error = 0.2
deadlines = true
fleet = [{{ gpu = "H100", count = 8 }}]
[targets.image]
pro = 20
standard = 30
free = 40
[[workload]]
rate_per_hour = {per_hour * load}
variation = 2
models = {{ flux1-dev = 0.5, sdxl-base = 0.5 }}
sizes = {{ 512x512 = 0.3, 1024x1024 = 0.5, 1536x1024 = 0.2 }}
steps = {{ 28 = 0.6, 50 = 0.4 }}
"""
        file = parse_scenario(text, origin="image_deadlines")
        for name, decides in the_policies(("flux1-dev", "sdxl-base")).items():
            yield Trial(
                axis="image_deadlines",
                policy=name,
                file=file,
                decides=decides,
                seed=seed,
                metrics=lambda report, load=load: {
                    f"attainment_{load:g}": report.overall.attainment or 0.0,
                    f"attainment_pro_{load:g}": share(report, "pro"),
                },
            )


def finish(policies: dict[str, Metrics]) -> None:
    """Adds, for one seed, by how much our attainment is above that of the best rival."""
    for load in LOADS:
        best = max(policies[rival][f"attainment_{load:g}"] for rival in RIVALS)
        policies["heliograph"][f"lead_{load:g}"] = policies["heliograph"][f"attainment_{load:g}"] - best
