"""Does the diagnosis name the cause? Incidents of ten kinds planted in simulated fleets, and calm weeks with none.

`python -m benchmarks.diagnosis`. Each seed draws a fleet of ten to twenty GPUs (a reserved base, spot GPUs in two
zones), three to five models at half to two thirds of what the fleet can carry, and the small faults that every fleet
has: workers that crash, loads that fail, pictures that a gate rejects. After three quarters of an hour one incident is
planted, for twenty minutes. The observer sees what the server's own would see: lifecycle events, and the fleet every
five seconds; every half minute the diagnosis is asked. An incident counts as found when the first thing that is said
after it began, within its twenty minutes and five more, is its cause (and, where the cause is about a model, GPU, zone
or tenant, about that one). Whatever is said before it began, or in a calm week, is a false finding; what lasts counts
once.

The rules were tuned on `--tuning`, whose seeds are other ones. A seed can be played alone: `--only KIND SEED`.
"""

import argparse
import json
import random
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from heliograph.cli_simulate import surroundings
from heliograph.domain.lifecycle import LifecycleEvent
from heliograph.domain.orders import Halt
from heliograph.domain.views import FleetView, QueueView
from heliograph.monitoring.diagnosis import Cause, Finding, diagnose
from heliograph.monitoring.recent import LOOK_EVERY_S, Recent
from heliograph.simulation import ScenarioFile, Surroundings, parse_scenario, simulate
from heliograph.simulation.incidents import Incident, IncidentKind
from heliograph.simulation.observed import Observed, ObservedClock
from heliograph.simulation.scenario import Flash, Scenario
from heliograph.simulation.simulate import known_cards

PER_KIND = 20
CALM_WEEKS = 3
ASK_EVERY_S = 30.0
BEGIN_S, LASTS_S, GRACE_S = 2_700.0, 1_200.0, 300.0
QUIET_S = 900.0
"""A finding that was not made for so long is a new one when it is made again."""
COMMIT_S = 0.005
JUDGING, TUNING = "verdict", "tuning"
POPULAR = ("sdxl-base", "z-image-turbo", "flux1-schnell", "sd3-medium", "flux1-dev")
RARE = (
    "sd15",
    "ssd-1b",
    "lcm-sdxl",
    "qwen-image",
    "flux2-klein-4b",
    "sana-1.6b",
    "pixart-alpha",
    "hunyuan-dit-1.2",
    "flux2-dev",
)

BASE = """
name = "incident"
duration_s = {duration_s}
seed = {seed}
[[fleet]]
gpu = "H100"
count = {reserved}
[[fleet]]
gpu = "H100"
count = {spot_b}
term = "spot"
zone = "b"
{churn}
[[fleet]]
gpu = "H100"
count = {spot_c}
term = "spot"
zone = "c"
[[workload]]
name = "usual"
rate_per_hour = 1.0
variation = 1.5
day_night = {day_night}
repeat_model = 0.6
users = 300
tenants = 20
models = {{ {models} }}
images = {{ 1 = 0.8, 4 = 0.2 }}
[faults]
worker_crashes_per_hour = 0.02
worker_hangs_per_hour = 0.005
gpu_failures_per_hour = 0.002
gpu_repair_s = 1800
load_failures = 0.005
run_failures = 0.003
out_of_memory = 0.0003
gate_rejects = 0.01
[scheduler]
post_processing_max = 64
[fleet_policy]
always_warm = [{warm}]
"""

BARE = 'name = "bare"\nduration_s = 1\n[[fleet]]\ngpu = "H100"\ncount = 1\n[[workload]]\nrate_per_hour = 1\n'


@dataclass(slots=True)
class Watch:
    """An observer that asks for a diagnosis now and then and keeps what was said when."""

    clock: ObservedClock
    recent: Recent
    said: list[tuple[float, tuple[Finding, ...]]] = field(default_factory=list[tuple[float, tuple[Finding, ...]]])
    asked_s: float = 0.0

    def __call__(self, event: LifecycleEvent, /) -> None:
        """Something happened."""
        self.recent(event)

    def look(self, fleet: FleetView, queue: QueueView, halts: tuple[Halt, ...] = ()) -> None:
        """This is how things are."""
        self.recent.look(fleet, queue, halts)
        now_s = self.clock.now_s
        if now_s - self.asked_s < ASK_EVERY_S:
            return
        self.asked_s = now_s
        evidence = self.recent.evidence()
        assert evidence is not None
        self.said.append((now_s, diagnose(evidence)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A world with one incident, and what a diagnosis should say of it; `subject` None: about nothing in particular."""

    file: ScenarioFile
    cause: Cause
    subject: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was said of an incident: its first finding, how many seconds after it began, and what was said before."""

    first: Finding | None
    after_s: float | None
    false_before: int
    is_right: bool


def calm(seed: str, duration_s: float, *, day_night: float = 0.0) -> tuple[ScenarioFile, random.Random, float]:
    """A world in which nothing special happens, its dice, and how many jobs an hour its fleet could carry."""
    dice = random.Random(f"diagnosis/{seed}")
    reserved, spot_b, spot_c = dice.randint(6, 10), dice.randint(3, 6), dice.randint(1, 4)
    models = dice.sample(POPULAR, dice.randint(3, 5))
    weights = {model: dice.choice((0.15, 0.25, 0.4)) for model in models}
    churn = 'availability = "b"\n[spot.b]\nup_s = 64800\ndown_s = 1200' if day_night else ""
    text = BASE.format(
        duration_s=duration_s,
        seed=dice.randrange(2**31),
        reserved=reserved,
        spot_b=2 if day_night else spot_b,
        spot_c=spot_c,
        churn=churn,
        day_night=day_night,
        models=", ".join(f"{model} = {weight}" for model, weight in weights.items()),
        warm=", ".join(f'"{model}"' for model in models),
    )
    file = parse_scenario(text, origin=f"seed {seed}")
    gpus = sum(group.count for group in file.scenario.fleet)
    run_s = mean_run_s(file.scenario, weights)
    full = gpus * 3600 / run_s
    (usual,) = file.scenario.workload
    load = dice.uniform(0.35, 0.45) if day_night else dice.uniform(0.5, 0.66)
    return changed(file, workload=(replace(usual, rate_per_hour=load * full),)), dice, full


def changed(file: ScenarioFile, **fields: object) -> ScenarioFile:
    return replace(file, scenario=replace(file.scenario, **fields))


def mean_run_s(scenario: Scenario, weights: Mapping[str, float]) -> float:
    """GPU-seconds of a job on average, by what the models' cards say; a job is for 1.6 pictures on average."""
    around = surroundings(Path())
    file = parse_scenario(BARE, origin="the catalogue")
    catalogue = file.catalogue(around.shipped)
    cards = known_cards(scenario, catalogue, [card for card in catalogue.cards if card in weights])
    total = sum(weights.values())
    return 1.6 * sum(weight / total * cards[model].timings[0].seconds for model, weight in weights.items())


# --- the ten kinds ---------------------------------------------------------------------------------------------------


def surge(at_s: float, factor: float) -> tuple[Flash, ...]:
    return (Flash(at_s=at_s, duration_s=LASTS_S, factor=factor, ramp_s=60.0),)


def under_provisioned(seed: str) -> Planted:
    file, dice, full = calm(seed, BEGIN_S + LASTS_S + GRACE_S)
    (usual,) = file.scenario.workload
    factor = dice.uniform(1.4, 3.0) * full / usual.rate_per_hour
    more = replace(usual, flash=surge(BEGIN_S, factor))
    return Planted(file=changed(file, workload=(more,)), cause=Cause.UNDER_PROVISIONED, subject=None)


def tenant_flood(seed: str) -> Planted:
    file, dice, full = calm(seed, BEGIN_S + LASTS_S + GRACE_S)
    (usual,) = file.scenario.workload
    flood = replace(
        usual,
        name="flood",
        tenants=1,
        users=dice.randint(1, 30),
        rate_per_hour=6.0,
        flash=surge(BEGIN_S, dice.uniform(1.3, 3.0) * full / 6.0),
    )
    return Planted(file=changed(file, workload=(usual, flood)), cause=Cause.TENANT_FLOOD, subject="flood-t000")


def cold_start_storm(seed: str) -> Planted:
    file, dice, _ = calm(seed, BEGIN_S + LASTS_S + GRACE_S)
    (usual,) = file.scenario.workload
    gpus = sum(group.count for group in file.scenario.fleet)
    storm = replace(
        usual,
        name="rare",
        tenants=15,
        users=200,
        models=dict.fromkeys(dice.sample(RARE, 7), 1.0),
        repeat_model=0.0,
        images={"1": 1.0},
        rate_per_hour=1.0,
        flash=surge(BEGIN_S, gpus * dice.uniform(60, 150)),
    )
    # Nodes with little memory: each load comes from the disk.
    small = replace(file.scenario.machine, host_memory_gb=32.0)
    return Planted(
        file=changed(file, workload=(usual, storm), machine=small), cause=Cause.COLD_START_STORM, subject=None
    )


def spot_loss(seed: str) -> Planted:
    file, dice, full = calm(seed, BEGIN_S + LASTS_S + GRACE_S)
    base, zone_b, zone_c = file.scenario.fleet
    (usual,) = file.scenario.workload
    larger = (replace(base, count=max(base.count // 2, 3)), replace(zone_b, count=zone_b.count + 5), zone_c)
    gpus, before = sum(group.count for group in larger), sum(group.count for group in file.scenario.fleet)
    rate = dice.uniform(0.6, 0.7) * full * gpus / before
    gone = Incident(kind=IncidentKind.ZONE_LOSS, at_s=BEGIN_S, duration_s=LASTS_S, target="b", size=1.0)
    world = changed(file, fleet=larger, workload=(replace(usual, rate_per_hour=rate),), incident=(gone,))
    return Planted(file=world, cause=Cause.SPOT_LOSS, subject="b")


def slow_post_processing(seed: str) -> Planted:
    file, dice, _ = calm(seed, BEGIN_S + LASTS_S + GRACE_S)
    slow = Incident(kind=IncidentKind.SLOW_FINISH, at_s=BEGIN_S, duration_s=LASTS_S, size=dice.uniform(8, 100))
    return Planted(file=changed(file, incident=(slow,)), cause=Cause.SLOW_POST_PROCESSING, subject=None)


def loads_fail(seed: str) -> Planted:
    """A model that was not loaded before is asked for, and cannot be."""
    file, dice, full = calm(seed, BEGIN_S + LASTS_S + GRACE_S)
    (usual,) = file.scenario.workload
    model = dice.choice([name for name in POPULAR if name not in usual.models] or ["qwen-image"])
    asked = replace(
        usual,
        name="new",
        models={model: 1.0},
        rate_per_hour=1.0,
        flash=surge(BEGIN_S, max(full * dice.uniform(0.03, 0.15), 30.0)),
    )
    broken = Incident(
        kind=IncidentKind.LOAD_FAILURES, at_s=0.0, duration_s=BEGIN_S + LASTS_S, target=model, size=dice.uniform(0.9, 1)
    )
    # Whoever asks before the incident begins would meet it, too.
    world = changed(file, workload=(usual, replace(asked, begin_s=BEGIN_S)), incident=(broken,))
    return Planted(file=world, cause=Cause.LOADS_FAIL, subject=model)


def bad_revision(seed: str) -> Planted:
    file, dice, _ = calm(seed, BEGIN_S + LASTS_S + GRACE_S)
    model = max(file.scenario.workload[0].models.items(), key=lambda item: item[1])[0]
    kind = dice.choice((IncidentKind.RUN_FAILURES, IncidentKind.GATE_REJECTS))
    bad = Incident(kind=kind, at_s=BEGIN_S, duration_s=LASTS_S, target=model, size=dice.uniform(0.4, 1.0))
    return Planted(file=changed(file, incident=(bad,)), cause=Cause.BAD_REVISION, subject=model)


def store_slow(seed: str) -> Planted:
    file, dice, _ = calm(seed, BEGIN_S + LASTS_S + GRACE_S)
    slow = Incident(kind=IncidentKind.SLOW_COMMITS, at_s=BEGIN_S, duration_s=LASTS_S, size=dice.uniform(0.15, 4.0))
    return Planted(file=changed(file, incident=(slow,)), cause=Cause.STORE_SLOW, subject=None)


def bad_gpu(seed: str) -> Planted:
    file, dice, _ = calm(seed, BEGIN_S + LASTS_S + GRACE_S)
    gpu = f"h100-reserved-a0-{dice.randrange(file.scenario.fleet[0].count):03d}"
    bad = Incident(kind=IncidentKind.BAD_GPU, at_s=BEGIN_S, duration_s=LASTS_S, target=gpu, size=dice.uniform(0.5, 1.0))
    return Planted(file=changed(file, incident=(bad,)), cause=Cause.BAD_GPU, subject=gpu)


def slow_gpu(seed: str) -> Planted:
    file, dice, _ = calm(seed, BEGIN_S + LASTS_S + GRACE_S)
    gpu = f"h100-reserved-a0-{dice.randrange(file.scenario.fleet[0].count):03d}"
    slow = Incident(kind=IncidentKind.SLOW_GPU, at_s=BEGIN_S, duration_s=LASTS_S, target=gpu, size=dice.uniform(1.8, 4))
    return Planted(file=changed(file, incident=(slow,)), cause=Cause.SLOW_GPU, subject=gpu)


KINDS: Mapping[str, Callable[[str], Planted]] = {
    kind.__name__: kind
    for kind in (
        under_provisioned,
        tenant_flood,
        cold_start_storm,
        spot_loss,
        slow_post_processing,
        loads_fail,
        bad_revision,
        store_slow,
        bad_gpu,
        slow_gpu,
    )
}


# --- playing and judging ---------------------------------------------------------------------------------------------


def watched(file: ScenarioFile, around: Surroundings) -> Watch:
    """Play the world to its end and tell what was said on the way."""
    clock = ObservedClock()
    watch = Watch(clock=clock, recent=Recent(clock))
    commits = [each for each in file.scenario.incident if each.kind is IncidentKind.SLOW_COMMITS]
    luck = random.Random(f"commits/{file.scenario.seed}")

    def commit_s(now_s: float) -> float:
        slow = [each.size for each in commits if each.is_on(now_s - file.scenario.start_s)]
        return max([COMMIT_S, *slow]) * luck.uniform(0.7, 1.4)

    simulate(
        file,
        around,
        make_decider=lambda making: Observed(
            making, observer=watch, clock=clock, commit_s=commit_s, look_every_s=LOOK_EVERY_S
        ),
    )
    return watch


def judged(planted: Planted, watch: Watch) -> Verdict:
    """What was said of the incident."""
    before = episodes([(at_s, found) for at_s, found in watch.said if at_s < BEGIN_S])
    until_s = BEGIN_S + LASTS_S + GRACE_S
    for at_s, found in watch.said:
        if found and BEGIN_S <= at_s <= until_s:
            is_right = found[0].cause is planted.cause and planted.subject in (None, found[0].subject)
            return Verdict(first=found[0], after_s=at_s - BEGIN_S, false_before=len(before), is_right=is_right)
    return Verdict(first=None, after_s=None, false_before=len(before), is_right=False)


def episodes(said: list[tuple[float, tuple[Finding, ...]]]) -> list[tuple[float, Finding]]:
    """Findings, each counted once while it lasts."""
    seen: dict[tuple[Cause, str | None], float] = {}
    found: list[tuple[float, Finding]] = []
    for at_s, findings in said:
        for finding in findings:
            key = (finding.cause, finding.subject)
            if at_s - seen.get(key, float("-inf")) > QUIET_S:
                found.append((at_s, finding))
            seen[key] = at_s
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-kind", type=int, default=PER_KIND)
    parser.add_argument("--calm-weeks", type=int, default=CALM_WEEKS)
    parser.add_argument("--tuning", action="store_true", help="the seeds the rules were tuned on")
    parser.add_argument("--only", nargs=2, metavar=("KIND", "SEED"), help="one incident; KIND may be calm")
    parser.add_argument("--kinds", default=",".join(KINDS), help="some kinds only")
    parser.add_argument("--quick", action="store_true", help="one incident of each kind and a calm day")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    around = surroundings(Path())
    if options.only:
        show_one(*options.only, around)
        return
    name = TUNING if options.tuning else JUDGING
    per_kind = 1 if options.quick else options.per_kind
    names = [kind for kind in options.kinds.split(",") if kind]
    found: dict[str, list[Verdict]] = {}
    for kind in names:
        for number in track(range(per_kind), kind, console=Console(stderr=True), transient=True):
            planted = KINDS[kind](f"{name}/{kind}/{number}")
            verdict = judged(planted, watched(planted.file, around))
            found.setdefault(kind, []).append(verdict)
            if not verdict.is_right or verdict.false_before:
                said = "nothing" if verdict.first is None else verdict.first.summary
                print(f"  {kind} {name}/{kind}/{number}: {verdict.false_before} before; {said}", file=sys.stderr)
    days = 1 if options.quick else 7
    numbers = track(range(1 if options.quick else options.calm_weeks), "calm", console=Console(stderr=True))
    weeks = [calm_week(f"{name}/calm/{number}", around, days) for number in numbers]
    tell(found, weeks, is_quick=options.quick)
    if options.json is not None:
        options.json.write_text(json.dumps(figures(found, weeks), indent=2) + "\n")


def calm_week(seed: str, around: Surroundings, days: float) -> list[tuple[float, Finding]]:
    file, _, _ = calm(seed, days * 86_400.0, day_night=0.5)
    return episodes(watched(file, around).said)


def figures(found: Mapping[str, list[Verdict]], weeks: list[list[tuple[float, Finding]]]) -> dict[str, object]:
    """What the bars are about."""
    verdicts = [verdict for each in found.values() for verdict in each]
    return {
        "incidents": len(verdicts),
        "right_first": sum(verdict.is_right for verdict in verdicts) / max(len(verdicts), 1),
        "by_kind": {kind: sum(verdict.is_right for verdict in each) / len(each) for kind, each in found.items()},
        "false_per_calm_week": sum(map(len, weeks)) / len(weeks) if weeks else None,
        "false_before_incidents": sum(verdict.false_before for verdict in verdicts),
    }


def tell(found: Mapping[str, list[Verdict]], weeks: list[list[tuple[float, Finding]]], *, is_quick: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("planted", "incidents", "right cause first", "median until said", "said instead"):
        table.add_column(column)
    for kind, verdicts in found.items():
        instead = Counter(each.first.cause.value if each.first else "nothing" for each in verdicts if not each.is_right)
        times = [verdict.after_s for verdict in verdicts if verdict.is_right and verdict.after_s is not None]
        table.add_row(
            kind,
            str(len(verdicts)),
            f"{sum(verdict.is_right for verdict in verdicts) / len(verdicts):.0%}",
            f"{statistics.median(times) / 60:.1f} min" if times else "",
            ", ".join(f"{cause} {count}" for cause, count in instead.items()),
        )
    Console(width=140).print(table)
    summary = figures(found, weeks)
    print(f"right cause first: {summary['right_first']:.1%} of {summary['incidents']} incidents (bar: 90%)")
    if weeks:
        unit = "calm day" if is_quick else "calm week"
        print(f"false findings per {unit}: {summary['false_per_calm_week']:.2f} in {len(weeks)} (bar: 1 per week)")
        for number, week in enumerate(weeks):
            for at_s, finding in week:
                print(f"  week {number}, hour {at_s / 3600:.1f}: {finding.summary}")
    minutes = len([1 for each in found.values() for _ in each]) * BEGIN_S / 60
    print(f"false findings before the incidents: {summary['false_before_incidents']} in {minutes / 60:.0f} hours")


def show_one(kind: str, seed: str, around: Surroundings) -> None:
    if kind == "calm":
        for at_s, finding in calm_week(seed, around, 7):
            print(f"hour {at_s / 3600:.2f}: {finding.summary}")
        return
    planted = KINDS[kind](seed)
    watch = watched(planted.file, around)
    for at_s, findings in watch.said:
        for finding in findings:
            print(f"{at_s - BEGIN_S:7.0f} s  {finding.cause:22} {finding.subject or '':20} {finding.summary}")
    print(judged(planted, watch))


if __name__ == "__main__":
    main()
