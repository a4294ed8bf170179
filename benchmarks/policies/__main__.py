"""Our policies against the literature's, on the simulator: `python -m benchmarks.policies [--seeds N] [--json OUT]`.

    python -m benchmarks.policies --gentd26 FILE --days FROM:TO --scale 10,20,40 --spot-dir DIR --seeds N --json OUT

writes `{axis: {policy: {metric: {"mean": x, "ci95": [lo, hi]}}}}`. Axes: end_to_end, image_deadlines, image_video,
warm_pool, spot, flash_crowd, eta, decision_time; `--axes` chooses some. Our policy is called `heliograph`; the others
are re-implemented from their papers (`baselines.py`) or, for `textbook`, the production code told to be the textbook
policy. Every policy gets the same profiles with an error of up to 20%, the same fleet, the same requests per seed.
Requests that were refused, failed, expired or late count as misses for everybody.

Without `--gentd26` the end-to-end axis runs on synthetic traffic with that trace's popularity and mix, and `warm_pool`
is left out; without `--spot-dir` spot GPUs come and go at random. Not there yet: GenServe, SpotHedge, the composite of
the best of each axis, and the clairvoyant bound outside `warm_pool`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

from rich.console import Console
from rich.progress import Progress

from benchmarks.decisions import measured
from benchmarks.policies import warm_pool
from benchmarks.policies.baselines import Baseline, Order
from heliograph.cli_simulate import surroundings
from heliograph.domain.ids import ModelId
from heliograph.fleet.capacity import CapacityPolicy
from heliograph.fleet.plan import FleetPolicy
from heliograph.scheduling import SchedulerPolicy
from heliograph.simulation import PolicySet, Report, ScenarioFile, parse_scenario, simulate
from heliograph.simulation.decider import DeciderFactory, Production
from heliograph.simulation.scenario import SIMULATED_BOUNDS

AXES = ("end_to_end", "image_deadlines", "image_video", "warm_pool", "spot", "flash_crowd", "eta", "decision_time")
LOADS = (0.7, 1.0, 1.3)
DAY_S = 86_400.0
CHECKPOINTS = 65
T_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Student's t for 95% and 1, 2, ... degrees of freedom; 1.96 stands in beyond."""

Metrics = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What decides, and with which settings."""

    make: DeciderFactory
    policies: PolicySet


def baseline(order: Order) -> Policy:
    return Policy(make=lambda making: Baseline(order, making), policies=PolicySet(name=order.value))


def the_policies(warm: tuple[str, ...]) -> dict[str, Policy]:
    """Everybody by name; `warm` are the models asked for most, most popular first."""
    top = tuple(ModelId(name) for name in warm[:5])
    scheduler = SchedulerPolicy(**SIMULATED_BOUNDS)
    textbook = PolicySet(
        name="textbook",
        forecasts=False,
        scheduler=replace(scheduler, fairness_price=0.0, doomed_fraction=0.0, preempt_ratio=1e9, preemptions_max=0),
        fleet=FleetPolicy(always_warm=top, idle_ttl_s=300.0),
    )
    found = {order.value if order is not Order.EDF else "edf_admission": baseline(order) for order in Order}
    found["textbook"] = Policy(make=Production, policies=textbook)
    found["heliograph"] = Policy(make=Production, policies=PolicySet(name="heliograph"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One simulation: which axis and policy it counts for, and what of its report."""

    axis: str
    policy: str
    file: ScenarioFile
    decides: Policy
    seed: int
    metrics: Callable[[Report], Metrics]


def share(report: Report, tier: str, kind: str = "all") -> float:
    """Attainment of a group; of one that nobody belongs to, that of everybody."""
    found = [group for group in report.groups if (group.tier, group.kind) == (tier, kind)]
    return (found[0] if found else report.overall).attainment or 0.0


# --- axes ------------------------------------------------------------------------------------------------------------


def end_to_end(options: argparse.Namespace, seed: int) -> Iterator[Trial]:
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


def spot_tables(options: argparse.Namespace, seed: int) -> str:
    """Two zones: traces of the directory, another part for each seed, or random ones."""
    traces = sorted(Path(options.spot_dir).glob("skypilot_*.json")) if options.spot_dir else []
    parts: list[str] = []
    for number in (1, 2):
        parts.append(f"[spot.s{number}]")
        if traces:
            path = traces[(seed + number) % len(traces)].resolve()
            parts.append(f'kind = "skypilot"\npath = "{path}"\noffset_s = {seed * 350_000}')
        else:
            parts.append("up_s = 7200\ndown_s = 2400")
    return "\n".join(parts)


def image_deadlines(options: argparse.Namespace, seed: int) -> Iterator[Trial]:
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


def image_video(options: argparse.Namespace, seed: int) -> Iterator[Trial]:
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


def spot(options: argparse.Namespace, seed: int) -> Iterator[Trial]:
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


def flash_crowd(options: argparse.Namespace, seed: int) -> Iterator[Trial]:
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


def eta(options: argparse.Namespace, seed: int) -> Iterator[Trial]:
    """How good the promised times are, on the image mix at moderate load."""
    for trial in image_deadlines(options, seed):
        if trial.policy == "heliograph" and trial.file.scenario.name.endswith("1.0"):
            quiet = replace(trial.file.scenario, deadlines=False)
            yield replace(
                trial,
                axis="eta",
                file=replace(trial.file, scenario=quiet),
                metrics=lambda report: {
                    "interval_holds": report.eta.interval_holds or 0.0,
                    "median_error": report.eta.median_error or 0.0,
                },
            )


SIMULATED: Mapping[str, Callable[[argparse.Namespace, int], Iterator[Trial]]] = {
    "end_to_end": end_to_end,
    "image_deadlines": image_deadlines,
    "image_video": image_video,
    "spot": spot,
    "flash_crowd": flash_crowd,
    "eta": eta,
}


def warm_pools(options: argparse.Namespace) -> dict[str, Metrics]:
    """`warm_pool.py` on the days that count; the days before them are what policies have learned from."""
    requests = warm_pool.read(Path(options.gentd26))
    first, last = options.days
    began_s = requests[0].at_s
    window = (began_s + first * DAY_S, min(began_s + last * DAY_S, requests[-1].at_s + 1.0))
    rows = warm_pool.compared([request for request in requests if request.at_s < window[1]], window)
    return {name: {"cold_share": found.cold_ratio, "idle_gpu_hours": found.idle_hours} for name, found in rows}


def decision_times(*, sizes: tuple[int, ...]) -> Metrics:
    """P99 of the scheduler's dearest kind of decision, in microseconds, by the number of jobs in line."""
    return {f"p99_us_{size}_queued": max(p99_us for _, _, p99_us in measured(size)) for size in sizes}


# --- the run ---------------------------------------------------------------------------------------------------------


def summary(values: list[float]) -> dict[str, object]:
    """The mean and its 95% interval."""
    mean = fmean(values)
    if len(values) < 2:
        return {"mean": mean, "ci95": [mean, mean]}
    t = T_95[len(values) - 2] if len(values) - 2 < len(T_95) else 1.96
    half = t * stdev(values) / len(values) ** 0.5
    return {"mean": mean, "ci95": [mean - half, mean + half]}


def arguments_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gentd26", help="trace in the format of gentd26")
    parser.add_argument("--days", default="0:7", help="days of it that count, FROM:TO, from its first request")
    parser.add_argument("--scale", default="10", help="copies of the trace at once, for example 10,20,40")
    parser.add_argument("--spot-dir", help="folder with skypilot_*.json")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hours", type=float, default=24.0, help="simulated time of the end-to-end and spot axes")
    parser.add_argument("--axes", default=",".join(AXES))
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(words)
    first, last = options.days.split(":")
    options.days = (float(first), float(last))
    options.scale = [int(scale) for scale in options.scale.split(",")]
    options.axes = options.axes.split(",")
    options.gentd26 = str(Path(options.gentd26).resolve()) if options.gentd26 else None
    if set(options.axes) - set(AXES):
        parser.error(f"axes are {', '.join(AXES)}")
    return options


def figures_of(options: argparse.Namespace) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    """All axes that were asked for, with progress and the time that is left on the terminal."""
    values: dict[tuple[str, str, str], list[float]] = {}

    def note(axis: str, policy: str, metrics: Metrics) -> None:
        for metric, value in metrics.items():
            values.setdefault((axis, policy, metric), []).append(value)

    trials = [
        trial
        for seed in range(1, options.seeds + 1)
        for axis, make in SIMULATED.items()
        if axis in options.axes
        for trial in make(options, seed)
    ]
    around = surroundings(Path())
    console = Console(stderr=True)
    began_s = time.monotonic()
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("simulating", total=len(trials))
        for number, trial in enumerate(trials, start=1):
            bar.update(task, description=f"{trial.axis}: {trial.policy}, seed {trial.seed}")
            report = simulate(
                trial.file, around, policies=trial.decides.policies, seed=trial.seed, make_decider=trial.decides.make
            )
            note(trial.axis, trial.policy, trial.metrics(report))
            bar.advance(task)
            if not console.is_terminal and number % 10 == 0:
                left_s = (time.monotonic() - began_s) / number * (len(trials) - number)
                print(f"{number} of {len(trials)} simulations, about {left_s:.0f} s left", file=sys.stderr, flush=True)
    if "warm_pool" in options.axes and options.gentd26:
        for policy, metrics in warm_pools(options).items():
            note("warm_pool", policy, metrics)
    if "decision_time" in options.axes:
        note("decision_time", "heliograph", decision_times(sizes=(10_000, 100_000)))
    figures: dict[str, dict[str, dict[str, dict[str, object]]]] = {}
    for (axis, policy, metric), seen in values.items():
        figures.setdefault(axis, {}).setdefault(policy, {})[metric] = summary(seen)
    if "flash_crowd" in figures:
        for metrics in figures["flash_crowd"].values():
            calm, crowd = metrics["pro_p95_s_calm"]["mean"], metrics["pro_p95_s_in_crowd"]["mean"]
            ratio = float(str(crowd)) / max(float(str(calm)), 1e-9)
            metrics["pro_p95_ratio"] = {"mean": ratio, "ci95": [ratio, ratio]}
    return figures


def table_of(figures: Mapping[str, Mapping[str, Mapping[str, Mapping[str, object]]]]) -> str:
    """The figures for people."""
    lines: list[str] = []
    for axis, policies in figures.items():
        lines.append(f"\n{axis}")
        for policy, metrics in policies.items():
            cells: list[str] = []
            for name, found in metrics.items():
                low, high = (float(str(bound)) for bound in found["ci95"])  # type: ignore[attr-defined]
                cells.append(f"{name} {float(str(found['mean'])):.4g} [{low:.4g}, {high:.4g}]")
            lines.append(f"  {policy:<32}{'; '.join(cells)}")
    return "\n".join(lines)


def main() -> None:
    """Run, print the table, write the figures."""
    options = arguments_of()
    figures = figures_of(options)
    print(table_of(figures))
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
