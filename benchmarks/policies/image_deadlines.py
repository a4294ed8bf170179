"""Pictures of four models with deadlines on eight GPUs, from light load to overload.

A request is due after three times what it takes alone and a few seconds, which depend on its tier. The
rivals hold one model per GPU, as they are described; `..._shared` are the same orders on GPUs that hold as many models
as their bytes allow, which our policy does, too: the difference to them is what ordering alone is worth.
"""

from collections.abc import Iterator

from benchmarks.policies.baselines import Order
from benchmarks.policies.loads import at_load
from benchmarks.policies.trials import Metrics, Options, Plot, Policy, Promise, Trial, baseline, share, the_policies
from benchmarks.report import Bar
from heliograph.simulation import parse_scenario

LOADS = (0.7, 0.85, 1.0, 1.15, 1.3)
"""Offered work as a multiple of what eight GPUs can do."""

RIVALS = ("edf_admission", "srtf")
SHARED = ("edf_admission_shared", "srtf_shared")
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

SCENARIO = """
name = "image deadlines"
duration_s = 3600
warm_up_s = 300
profile_error = 0.2
deadlines = true
target_stretch = 3
fleet = [{ gpu = "H100", count = 8 }]
[targets.image]
pro = 2
standard = 4
free = 8
[[workload]]
rate_per_hour = 3600
variation = 2
models = { flux1-dev = 0.25, sdxl-base = 0.35, z-image-turbo = 0.25, pixart-alpha = 0.15 }
sizes = { 512x512 = 0.3, 1024x1024 = 0.5, 1536x1024 = 0.2 }
images = { 1 = 0.8, 4 = 0.2 }
"""


def policies() -> dict[str, Policy]:
    """Everybody, and the two rivals on shared GPUs."""
    found = the_policies(("sdxl-base", "flux1-dev", "z-image-turbo", "pixart-alpha"))
    found["edf_admission_shared"] = baseline(Order.EDF, shares_gpus=True)
    found["srtf_shared"] = baseline(Order.SRTF, shares_gpus=True)
    return found


def trials(options: Options, seed: int) -> Iterator[Trial]:
    """Pictures of four models with deadlines on eight GPUs, from light load to overload."""
    for load in LOADS:
        file = at_load(parse_scenario(SCENARIO, origin="image_deadlines"), load)
        for name, decides in policies().items():
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
    """Adds, for one seed, by how much our attainment is above that of the best rival, of either kind."""
    ours = policies["heliograph"]
    for load in LOADS:
        metric = f"attainment_{load:g}"
        ours[f"lead_{load:g}"] = ours[metric] - max(policies[rival][metric] for rival in RIVALS)
        ours[f"lead_over_shared_{load:g}"] = ours[metric] - max(policies[rival][metric] for rival in SHARED)
