"""Pictures of seconds beside clips of minutes on eight GPUs, from below what they can do to overload.

GenServe pauses clips for pictures, so its GPUs hold several models, and so do those of the other rivals here.
"""

from collections.abc import Iterator

from benchmarks.policies.baselines import Order
from benchmarks.policies.loads import at_load
from benchmarks.policies.trials import Metrics, Options, Plot, Policy, Promise, Trial, baseline, share, the_policies
from benchmarks.report import Bar
from heliograph.simulation import parse_scenario

LOADS = (0.85, 1.0, 1.15, 1.3)
"""Offered work as a multiple of what eight GPUs can do."""

PROMISES = (
    Promise(
        text="attainment over GenServe, mean of four loads",
        metric="lead",
        bar=Bar(limit=0.05, is_floor=True),
        unit="points",
    ),
    Promise(
        text="pictures: attainment over GenServe", metric="lead_image", bar=Bar(limit=0.0, is_floor=True), unit="points"
    ),
    Promise(
        text="clips: attainment over GenServe", metric="lead_video", bar=Bar(limit=0.0, is_floor=True), unit="points"
    ),
    Promise(
        text="SRTF over FCFS, as the literature has it",
        metric="srtf_over_fcfs",
        bar=Bar(limit=0.0, is_floor=True),
        unit="points",
    ),
)
PLOTS = tuple(
    Plot(title=f"Pictures and clips within their deadlines, load {load:g}", metric=f"attainment_{load:g}", unit="%")
    for load in LOADS
)

SCENARIO = """
name = "image and video"
duration_s = 5400
warm_up_s = 600
profile_error = 0.2
deadlines = true
target_stretch = 3
fleet = [{ gpu = "H100", count = 8 }]
[targets.image]
pro = 2
standard = 4
free = 8
[targets.video]
pro = 30
standard = 60
free = 120
[[workload]]
name = "pictures"
rate_per_hour = 300
variation = 2
models = { sdxl-base = 0.5, z-image-turbo = 0.2, flux1-dev = 0.3 }
images = { 1 = 0.8, 4 = 0.2 }
[[workload]]
name = "clips"
rate_per_hour = 300
models = { "wan2.1-t2v-1.3b" = 1 }
steps = { 25 = 0.5, 50 = 0.5 }
"""


def policies() -> dict[str, Policy]:
    """Everybody, with several models on a GPU where the order is a rival's."""
    found = the_policies(("sdxl-base", "flux1-dev", "z-image-turbo", "wan2.1-t2v-1.3b"))
    for order in (Order.FCFS, Order.SRTF, Order.GENSERVE):
        found[order.value] = baseline(order, shares_gpus=True)
    found["edf_admission"] = baseline(Order.EDF, shares_gpus=True)
    return found


def trials(options: Options, seed: int) -> Iterator[Trial]:
    """Pictures of seconds beside clips of minutes on eight GPUs, from below what they can do to overload."""
    for load in LOADS:
        file = at_load(parse_scenario(SCENARIO, origin="image_video"), load)
        for name, decides in policies().items():
            yield Trial(
                axis="image_video",
                policy=name,
                file=file,
                decides=decides,
                seed=seed,
                metrics=lambda report, load=load: {
                    f"attainment_{load:g}": report.overall.attainment or 0.0,
                    f"attainment_image_{load:g}": share(report, "all", "image"),
                    f"attainment_video_{load:g}": share(report, "all", "video"),
                },
            )


def finish(policies: dict[str, Metrics]) -> None:
    """Adds means over the loads, for one seed, and our lead over GenServe; at each load and on average."""
    for metrics in policies.values():
        for name in ("attainment", "attainment_image", "attainment_video"):
            metrics[name] = sum(metrics[f"{name}_{load:g}"] for load in LOADS) / len(LOADS)
    ours, rival = policies["heliograph"], policies["genserve"]
    for load in LOADS:
        ours[f"lead_{load:g}"] = ours[f"attainment_{load:g}"] - rival[f"attainment_{load:g}"]
    for lead, name in (
        ("lead", "attainment"),
        ("lead_image", "attainment_image"),
        ("lead_video", "attainment_video"),
    ):
        ours[lead] = ours[name] - rival[name]
    ours["srtf_over_fcfs"] = policies["srtf"]["attainment"] - policies["fcfs"]["attainment"]
