"""Thousands of small worlds in which everything goes wrong, one per seed: `make sim-faults SEEDS=10000`.

Each seed draws a world: a fleet (with gangs of GPUs, spot zones, a capacity plan or none), a workload (with deadlines,
cancellations, bounds) and a set of faults (crashed, hanging and failing workers, out of memory, broken GPUs, spot
storms, lost, late and repeated messages, a wall clock that jumps both ways, a server that is killed and recovers). The
production scheduler, router, fleet plan, capacity plan and ledger run in it, and after every few steps all invariants
are asserted: no job twice or lost, no GPU overfull, no run in two places, bounds kept, every attempt metered once, a
balanced ledger; at the end, every request has exactly one outcome and every refusal a reason.

Seeds that are done are remembered in a file below `build/`, so that an interrupted run goes on where it stopped; a
change of the code or of this file begins anew. A seed that fails is printed with the command that plays it alone, and
its world can be printed as a scenario file. The exit code is 1 when any did.
"""

import argparse
import hashlib
import json
import random
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from heliograph.cli_simulate import surroundings
from heliograph.simulation import Report, Surroundings, parse_scenario, simulate
from heliograph.simulation.decider import DeciderFactory, Production

SEEDS = 10_000
SAVE_EVERY_S = 5.0
CHECK_EVERY = 5
"""Steps between two looks at all invariants."""

STATE = Path("build/sim-faults.json")

FAULTS: dict[str, tuple[float, ...]] = {
    "worker_crashes_per_hour": (0.0, 4.0, 30.0),
    "worker_hangs_per_hour": (0.0, 2.0, 20.0),
    "gpu_failures_per_hour": (0.0, 2.0, 15.0),
    "load_failures": (0.0, 0.1, 0.4),
    "run_failures": (0.0, 0.03, 0.15),
    "out_of_memory": (0.0, 0.01, 0.1),
    "gate_rejects": (0.0, 0.05, 0.3),
    "lost_messages": (0.0, 0.01, 0.1),
    "duplicates": (0.0, 0.05, 0.5),
    "late_messages": (0.0, 0.1, 0.6),
    "clock_jumps_per_hour": (0.0, 12.0, 120.0),
    "restarts_per_hour": (0.0, 6.0, 40.0),
    "halts_per_hour": (0.0, 12.0, 60.0),
}
"""What a world may suffer from: never, now and then, all the time."""

REASONS = frozenset(
    {
        "queue_full",
        "tenant_queue_full",
        "user_queue_full",
        "deadline_unreachable",
        "wait_too_long",
        "model_unavailable",
        "server_down",
    }
)
"""Every code a refusal can have in these worlds; one without is unexplained."""


def world_of(seed: int) -> str:
    """The seed's world as a scenario file."""
    dice = random.Random(f"sim-faults/{seed}")
    spot, has_gang = dice.random() < 0.6, dice.random() < 0.3
    gpus = dice.randint(2, 4) if has_gang else dice.randint(1, 4)
    lines = [
        f'name = "faults-{seed}"',
        f"duration_s = {dice.choice((120, 240, 400))}",
        f"seed = {seed}",
        f"deadlines = {dice.choice(('true', 'false'))}",
        f"profile_error = {dice.choice((0.0, 0.3, 0.8))}",
        f"step_reports_s = {dice.choice((0.5, 5.0))}",
        f'[[fleet]]\ngpu = "H100"\ncount = {gpus}\ngpus_per_node = {dice.choice((2, 8))}',
    ]
    if spot:
        lines += [
            f'[[fleet]]\ngpu = "A100-80G"\ncount = {dice.randint(1, 3)}\nterm = "spot"\nzone = "b"',
            'availability = "storm"',
            f"[spot.storm]\nup_s = {dice.choice((30, 200))}\ndown_s = {dice.choice((20, 100))}",
            f"notice_s = {dice.choice((0, 5, 30))}",
        ]
    lines += _workload(dice, has_gang)
    lines += ["[targets.image]", "pro = 15", "standard = 40", "free = 90"]
    lines += ["[machine]", f"can_resume = {dice.choice(('true', 'true', 'false'))}", "boot_s = 10", "load_spread = 0.4"]
    lines += ["[faults]", "silence_s = 15", "gpu_repair_s = 40", "clock_jump_s = 90", "restart_s = 5", "halt_s = 20"]
    lines += [f"late_s = {dice.choice((2, 20))}"]
    lines += [f"{name} = {dice.choices(rates, (5, 3, 1))[0]}" for name, rates in FAULTS.items()]
    lines += _policies(dice, spot)
    return "\n".join(lines) + "\n"


def _workload(dice: random.Random, has_gang: bool) -> list[str]:
    """Up to three models, one of which may need two GPUs of a node (the fleet always has such a node)."""
    models = ["z-image-turbo", "sdxl-base", "sd-turbo"][: dice.randint(1, 3)]
    weights = ", ".join(f"{model} = {dice.choice((1, 1, 4))}" for model in models)
    lines = [
        f"[[workload]]\nrate_per_hour = {dice.choice((300, 900, 2000))}",
        f"variation = {dice.choice((1.0, 4.0))}",
        f"models = {{ {weights} }}",
        "images = { 1 = 0.8, 4 = 0.2 }",
        f"tenants = {dice.choice((1, 3))}\nusers = {dice.choice((3, 12))}\nrepeat_model = 0.5",
        f"cancels = {dice.choice((0.0, 0.2))}\npatience_s = 15",
    ]
    for model in models:
        lines += [f"[models.{model}]", f"load_s = {dice.choice((2, 8, 20))}"]
        lines += ["gpus = 2"] if has_gang and model == "z-image-turbo" else []
    return lines


def _policies(dice: random.Random, spot: bool) -> list[str]:
    """Tight bounds or none, long or no patience; the capacity plan where there is something to buy."""
    lines = [
        "[scheduler]",
        f"attempts_max = {dice.choice((2, 3, 20))}",
        f"post_processing_max = {dice.choice((2, 64))}",
    ]
    if dice.random() < 0.4:
        lines += [f"pending_max = {dice.choice((3, 20))}", f"pending_max_per_tenant = {dice.choice((2, 20))}"]
    if dice.random() < 0.4:
        lines += ["running_max_per_tenant = 2", "running_max_per_user = 1"]
    if dice.random() < 0.3:
        lines += ["wait_s_max = { free = 20 }"]
    if dice.random() < 0.3:
        lines += ['spot_tiers = ["free"]']
    lines += ["[fleet_policy]", f"patience_s = {dice.choice((0, 15))}", f"residents_max = {dice.choice((1, 2, 4))}"]
    if dice.random() < 0.3:
        lines += [f"idle_ttl_s = {dice.choice((5, 60))}"]
    if dice.random() < 0.3:
        lines += ['always_warm = ["sdxl-base"]']
    if spot and dice.random() < 0.5:
        lines += ["[capacity]", 'gpu_class = "A100-80G"', "down_s = 20", "up_s = 5", "drain_s = 20"]
    return lines


def play(seed: int, around: Surroundings, *, make_decider: DeciderFactory = Production) -> Report:
    """The seed's world, played to its end with every invariant asserted; raises `AssertionError` where one broke."""
    file = parse_scenario(world_of(seed), origin=f"seed {seed}")
    report = simulate(file, around, make_decider=make_decider, check_every=CHECK_EVERY, exact_ledger=True)
    groups = [group for group in report.groups if group.tier != "all"]
    fates = ("on_time", "late", "refused", "failed", "expired", "cancelled", "unfinished")
    known = sum(getattr(group, fate) for group in groups for fate in fates)
    assert known == report.jobs, f"{report.jobs} requests, {known} outcomes"
    unexplained = sorted(set(report.refused) - REASONS)
    assert not unexplained, f"refusals without a reason: {unexplained}"
    assert not report.overall.unfinished, f"{report.overall.unfinished} jobs never ended"
    return report


@dataclass(slots=True)
class Progress:
    """What is done: seeds below `begun` one after the other, and what they added up to."""

    code: str
    begun: int = 0
    jobs: int = 0
    events: int = 0
    failed: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def read(cls, path: Path, code: str) -> "Progress":
        """What an earlier run left, if it ran this code."""
        if path.is_file():
            known = json.loads(path.read_text())
            if known["code"] == code:
                return cls(**known)
        return cls(code=code)

    def write(self, path: Path) -> None:
        """Keep it for the next run."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fields = {name: getattr(self, name) for name in self.__slots__}
        path.write_text(json.dumps(fields, indent=1))


def code_digest() -> str:
    """Of every source file that decides what a seed does."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted([*(root / "src/heliograph").rglob("*.py"), *(root / "src/heliograph").rglob("*.toml")]):
        digest.update(path.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()[:16]


def run(seeds: int, path: Path, *, seconds_max: float | None) -> Progress:
    """Play every seed that has not been played yet, with a line of progress on the terminal."""
    around = surroundings(Path())
    progress = Progress.read(path, code_digest())
    first, began_s = progress.begun, time.monotonic()
    saved_s = began_s
    for seed in _with_progress(progress, seeds, first, began_s):
        try:
            report = play(seed, around)
        except Exception as error:  # whatever it is, it is what was looked for
            where = traceback.extract_tb(error.__traceback__)[-1]
            progress.failed[str(seed)] = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
            print(f"\nseed {seed}: {progress.failed[str(seed)]}", file=sys.stderr)
        else:
            progress.jobs += report.jobs
            progress.events += report.events
        progress.begun = seed + 1
        now_s = time.monotonic()
        if now_s - saved_s >= SAVE_EVERY_S:
            progress.write(path)
            saved_s = now_s
        if seconds_max is not None and now_s - began_s >= seconds_max:
            break
    progress.write(path)
    return progress


def _with_progress(progress: Progress, seeds: int, first: int, began_s: float) -> Iterator[int]:
    told_s = 0.0
    for seed in range(first, seeds):
        now_s = time.monotonic()
        if seed > first and now_s - told_s >= 1.0 and sys.stderr.isatty():
            left_s = (now_s - began_s) / (seed - first) * (seeds - seed)
            text = f"{seed}/{seeds} seeds, {progress.jobs} jobs, {len(progress.failed)} failed, {left_s:.0f} s left"
            print(f"\r{text:<80}", end="", file=sys.stderr)
            told_s = now_s
        yield seed
    if sys.stderr.isatty():
        print(file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many, from 0 on")
    parser.add_argument("--state", type=Path, default=STATE, help="where progress is kept")
    parser.add_argument("--seconds", type=float, help="stop after so long; the next run goes on from there")
    parser.add_argument("--only", type=int, help="play this seed alone, and let its failure through")
    parser.add_argument("--print", type=int, dest="shown", help="print this seed's world as a scenario file")
    options = parser.parse_args()
    if options.shown is not None:
        print(world_of(options.shown), end="")
        return
    if options.only is not None:
        report = play(options.only, surroundings(Path()))
        print(f"seed {options.only}: {report.jobs} jobs, {report.events} events, every invariant held")
        return
    progress = run(options.seeds, options.state, seconds_max=options.seconds)
    for seed, reason in progress.failed.items():
        print(f"seed {seed}: {reason}\n  python -m benchmarks.sim_faults --only {seed}")
    summary = {
        "seeds": progress.begun,
        "jobs": progress.jobs,
        "events": progress.events,
        "failed": [int(seed) for seed in progress.failed],
    }
    print(json.dumps(summary))
    if progress.failed or progress.begun < options.seeds:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
