"""Pictures of seconds beside clips of minutes on eight GPUs."""

from collections.abc import Iterator

from benchmarks.policies.trials import Options, Plot, Trial, share, the_policies
from heliograph.simulation import parse_scenario

PLOTS = (Plot(title="Pictures and clips within their targets", metric="attainment", unit="%"),)


def trials(options: Options, seed: int) -> Iterator[Trial]:
    """Pictures of seconds beside clips of minutes on eight GPUs."""
    text = """
name = "image and video"
duration_s = 7200
warm_up_s = 300
profile_error = 0.2
fleet = [{ gpu = "H100", count = 8 }]
[targets.image]
pro = 15
standard = 30
free = 60
[targets.video]
standard = 900
pro = 600
[[workload]]
name = "pictures"
rate_per_hour = 3300
variation = 2
models = { sdxl-base = 0.6, z-image-turbo = 0.4 }
[[workload]]
name = "clips"
rate_per_hour = 90
models = { "wan2.1-t2v-1.3b" = 1 }
tiers = { standard = 0.6, pro = 0.4 }
"""
    file = parse_scenario(text, origin="image_video")
    for name, decides in the_policies(("sdxl-base", "z-image-turbo", "wan2.1-t2v-1.3b")).items():
        yield Trial(
            axis="image_video",
            policy=name,
            file=file,
            decides=decides,
            seed=seed,
            metrics=lambda report: {
                "attainment": report.overall.attainment or 0.0,
                "attainment_image": share(report, "all", "image"),
                "attainment_video": share(report, "all", "video"),
                "image_p95_s": next(g for g in report.groups if g.kind == "image").latency_s.p95 or 0.0,
            },
        )
