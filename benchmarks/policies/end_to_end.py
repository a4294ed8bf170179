"""The real trace, superposed, on a reserved base with spot and on-demand GPUs to be had."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.policies.trials import Options, Trial, share, spot_tables, the_policies
from heliograph.fleet.capacity import CapacityPolicy
from heliograph.simulation import parse_scenario

CHECKPOINTS = 65
"""Models of the trace, as fine-tunes of one base."""


def trials(options: Options, seed: int) -> Iterator[Trial]:
    """The real trace, superposed, on a reserved base with spot and on-demand GPUs to be had."""
    for scale in options.scale:
        gpus = max(round(scale * 0.4), 2)
        if options.gentd26:
            first, last = options.days
            source = f"""kind = "gentd26"
path = "{options.gentd26}"
from_day = {first}
to_day = {last}
copies = {scale}
shift_s = {87_000 + 613 * seed}"""
        else:
            source = (
                f"rate_per_hour = {scale * 49}\nvariation = 4\nday_night = 0.8\nmix = 'gentd26'\nrepeat_model = 0.72"
            )
        text = f"""
name = "end to end x{scale}"
duration_s = {options.hours * 3600}
profile_error = 0.2
fleet = [
  {{ gpu = "A100-80G", count = {gpus} }},
  {{ gpu = "A100-80G", count = {gpus}, term = "spot", zone = "s1", availability = "s1" }},
  {{ gpu = "A100-80G", count = {gpus}, term = "spot", zone = "s2", availability = "s2" }},
]
[checkpoints.ck]
base = "sdxl-base"
count = {CHECKPOINTS}
{spot_tables(options, seed)}
[targets.image]
pro = 30
standard = 60
free = 180
[[workload]]
{source}
models = {{ ck = 1 }}
"""
        file = parse_scenario(text, origin="end_to_end")
        warm = tuple(f"ck-{number:02d}" for number in range(1, 6))
        policies = the_policies(warm)
        burst = CapacityPolicy(gpu_class="A100-80G", base=gpus, gpus_max=3 * gpus, load_s=60.0)
        ours = policies["heliograph"]
        policies["heliograph"] = replace(ours, policies=replace(ours.policies, capacity=burst))
        for name, decides in policies.items():
            yield Trial(
                axis="end_to_end",
                policy=name,
                file=file,
                decides=decides,
                seed=seed,
                metrics=lambda report, scale=scale: {
                    f"on_time_per_usd_x{scale}": report.pictures_on_time / report.cost_usd if report.cost_usd else 0.0,
                    **{f"attainment_{tier}_x{scale}": share(report, tier) for tier in ("pro", "standard", "free")},
                    f"cold_share_x{scale}": report.cold_start_share or 0.0,
                },
            )
