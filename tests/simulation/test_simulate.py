"""Whole simulations: the same seed gives the same report, nobody is lost whatever goes wrong, and the sums add up."""

import gc
import subprocess
import sys

import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.job import Job
from heliograph.simulation import Report, simulate
from heliograph.simulation.hardware import Term
from tests.simulation.worlds import a_scenario, around, checked

FAULTS = """
[faults]
worker_crashes_per_hour = 4
worker_hangs_per_hour = 2
gpu_failures_per_hour = 1
gpu_repair_s = 200
load_failures = 0.1
run_failures = 0.03
out_of_memory = 0.01
gate_rejects = 0.05
lost_messages = 0.01
duplicates = 0.05
late_messages = 0.1
silence_s = 30
clock_jumps_per_hour = 6
clock_jump_s = 60
restarts_per_hour = 3
"""
SPOT = """
[[fleet]]
gpu = "A100-80G"
count = 3
term = "spot"
zone = "b"
availability = "storm"
"""
STORM = "[spot.storm]\nup_s = 200\ndown_s = 100\n"


def accounted(report: Report) -> int:
    """Requests whose fate is known, over the finest groups."""
    groups = [group for group in report.groups if group.tier != "all"]
    fates = ("on_time", "late", "refused", "failed", "expired", "cancelled", "unfinished")
    return sum(getattr(group, fate) for group in groups for fate in fates)


def test_the_same_seed_gives_the_same_report_byte_for_byte() -> None:
    file = a_scenario(tables=FAULTS + STORM, fleet=SPOT, workload="cancels = 0.05")
    first = simulate(file, around(), clock_ns=iter(range(10**9)).__next__)
    again = simulate(file, around())
    assert first.to_json(with_decision_time=False) == again.to_json(with_decision_time=False)
    other = simulate(file, around(), seed=2)
    assert other.to_json(with_decision_time=False) != again.to_json(with_decision_time=False)
    assert first.decision_us.count > 0
    assert again.decision_us.count == 0


def test_the_report_does_not_depend_on_how_this_process_salts_its_hashes() -> None:
    program = (
        "import hashlib; from tests.simulation.worlds import *; from tests.simulation.test_simulate import *;"
        "text = simulate(a_scenario(tables=FAULTS + STORM, fleet=SPOT), around()).to_json();"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": salt}, capture_output=True, text=True, check=True
        ).stdout
        for salt in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("seed", range(24))
def test_nobody_is_lost_whatever_goes_wrong(seed: int) -> None:
    """Worker loss, spot storms, clock jumps, lost, late and repeated messages, server restarts, again and again."""
    file = a_scenario(
        seed=seed,
        duration_s=600,
        rate_per_hour=900,
        gpus=2,
        fleet=SPOT,
        tables=FAULTS + STORM,
        workload="cancels = 0.1\npatience_s = 20",
        more="profile_error = 0.3\ndeadlines = true",
    )
    report = simulate(file, around(), check_every=7, exact_ledger=True)
    assert report.jobs > 70
    assert accounted(report) == report.jobs
    assert report.overall.on_time > 0
    assert set(report.attempts) - {"succeeded"}, "the faults did not happen"
    assert report.overall.unfinished == 0


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("worker_crashes_per_hour = 20", "worker_lost"),
        ("worker_hangs_per_hour = 20", "worker_lost"),
        ("gpu_failures_per_hour = 10\ngpu_repair_s = 60", "worker_lost"),
        ("run_failures = 0.1", "engine_failed"),
        ("out_of_memory = 0.05", "worker_lost"),
        ("lost_messages = 0.02", "worker_lost"),
        ("restarts_per_hour = 6", "server_lost"),
    ],
)
def test_each_fault_is_felt_and_survived(fault: str, outcome: str) -> None:
    report = checked(a_scenario(tables=f"[faults]\n{fault}"))
    assert report.attempts.get(outcome, 0) > 0
    assert accounted(report) == report.jobs
    assert report.overall.on_time > report.jobs / 4
    calm = checked(a_scenario())
    assert calm.attempts == {"succeeded": calm.jobs}


def test_gpu_hours_add_up_to_what_was_paid_for() -> None:
    report = checked(a_scenario(gpus=3, tables=FAULTS))
    hours = report.gpu_hours
    parts = hours.busy + hours.lost + hours.loading + hours.idle + hours.empty
    assert parts == pytest.approx(hours.paid)
    assert hours.paid < 3 * 1_200 / 3_600, "broken GPUs are not paid for"
    assert report.cost_usd == pytest.approx(hours.paid * around().prices.of("H100", Term.RESERVED), rel=1e-6)
    assert report.series.cost_usd[-1] == pytest.approx(report.cost_usd)


def test_work_after_the_end_is_paid_for_and_idle_time_is_not() -> None:
    """A minute brings work for many; the jobs' own meters know for how long."""
    report = checked(a_scenario(gpus=1, duration_s=60, rate_per_hour=3_600))
    price = around().prices.of("H100", Term.RESERVED)
    assert report.gpu_hours.busy > 120 / 3_600
    assert report.gpu_hours.busy == pytest.approx(report.metered_usd / price, rel=0.1)
    assert report.gpu_hours.idle + report.gpu_hours.empty < 60 / 3_600
    assert report.series.cost_usd[-1] == pytest.approx(report.cost_usd)


def test_an_idle_fleet_serves_in_the_time_the_catalogue_says() -> None:
    file = a_scenario(
        rate_per_hour=30,
        duration_s=7_200,
        tables="[machine]\nstep_spread = 0\n[fleet_policy]\nalways_warm = ['sdxl-base', 'z-image-turbo']",
    )
    stages = checked(file).stages_s
    assert stages["run"].p50 == pytest.approx(2.496 / 30 * 50, rel=0.02)  # SDXL on an H100
    assert stages["queue"].p50 == 0.0


def test_more_load_waits_longer_and_more_gpus_wait_less() -> None:
    calm = checked(a_scenario(gpus=2, rate_per_hour=600)).overall
    busy = checked(a_scenario(gpus=2, rate_per_hour=3_000)).overall
    eased = checked(a_scenario(gpus=6, rate_per_hour=3_000)).overall
    assert calm.latency_s.p95 < busy.latency_s.p95
    assert eased.latency_s.p95 < busy.latency_s.p95
    assert calm.attainment > busy.attainment < eased.attainment


def test_a_flash_crowd_is_a_crowd() -> None:
    crowd = "flash = [{ at_s = 600, duration_s = 300, factor = 10, ramp_s = 30 }]"
    arrivals = checked(a_scenario(gpus=8, workload=crowd, rate_per_hour=600)).series.arrivals_per_min
    count = len(arrivals)
    usual = sum(arrivals[: count // 2]) / (count // 2)
    in_crowd = arrivals[int(count * 0.53) : int(count * 0.74)]
    assert sum(in_crowd) / len(in_crowd) > 5 * usual


def test_spot_gpus_that_go_take_their_work_with_them_and_are_not_paid_for() -> None:
    steady = checked(a_scenario(gpus=1, fleet=SPOT, tables="[spot.storm]\nup_s = 1e9\n"))
    stormy = checked(a_scenario(gpus=1, fleet=SPOT, tables=STORM + "notice_s = 0"))
    assert stormy.gpu_hours.paid < steady.gpu_hours.paid
    assert stormy.attempts["worker_lost"] > 0
    assert accounted(stormy) == stormy.jobs
    warned = checked(a_scenario(gpus=1, fleet=SPOT, tables=STORM + "notice_s = 60"))
    assert warned.attempts.get("worker_lost", 0) < stormy.attempts["worker_lost"]
    off = [strip for strip in stormy.strips if "off" in strip.cells]
    assert {strip.term for strip in off} == {"spot"}


ALBUMS = """
[[workload]]
rate_per_hour = 12
models = { sdxl-base = 1 }
images = { 50 = 1 }
tiers = { free = 1 }
"""


def test_long_runs_pause_for_short_ones_and_nothing_they_did_is_lost() -> None:
    options = {"gpus": 2, "rate_per_hour": 300, "workload": ALBUMS, "duration_s": 3_600}
    pausing = checked(a_scenario(**options))
    never = checked(a_scenario(tables="[machine]\ncan_resume = false", **options))
    assert pausing.attempts.get("paused", 0) > 0
    assert "paused" not in never.attempts
    assert pausing.gpu_hours.lost == 0.0
    assert accounted(pausing) == pausing.jobs


def test_what_was_kept_of_a_run_is_not_lost_with_its_worker() -> None:
    crashes = "[faults]\nworker_crashes_per_hour = 60\n"
    options = {"gpus": 2, "rate_per_hour": 60, "workload": ALBUMS, "duration_s": 3_600}
    never = checked(a_scenario(tables=crashes, **options))
    kept = checked(a_scenario(tables=f"[machine]\ncheckpoint_every_s = 10\n{crashes}", **options))
    assert never.gpu_hours.lost > 0
    assert kept.gpu_hours.lost < never.gpu_hours.lost / 2
    assert kept.attempts.get("worker_lost", 0) > 0


GANGS = """
[models.flux1-dev]
gpus = 2
timings = [{ gpu = "H100", gpus = 2, size = "1024x1024", steps = 28, seconds = 4.2, source = "test" }]
"""


def test_a_model_on_several_gpus_gets_them_all_at_once() -> None:
    more = "\n[[workload]]\nrate_per_hour = 100\nmodels = { flux1-dev = 1 }\n"
    report = checked(a_scenario(gpus=6, tables=GANGS, workload=more, rate_per_hour=600))
    held = [strip for strip in report.strips if any("flux1-dev" in cell for cell in strip.cells)]
    assert len(held) >= 2
    assert len(held) % 2 == 0
    assert accounted(report) == report.jobs
    faulty = checked(a_scenario(gpus=6, tables=GANGS + FAULTS, workload=more, rate_per_hour=600))
    assert accounted(faulty) == faulty.jobs


BOUGHT = """
[[fleet]]
gpu = "H100"
count = 6
term = "spot"
zone = "b"
availability = "zone"

[[fleet]]
gpu = "H100"
count = 6
term = "on_demand"
zone = "c"
"""


def test_a_capacity_plan_buys_for_the_evening_and_gives_back_at_night() -> None:
    options = {
        "gpus": 1,
        "fleet": BOUGHT,
        "rate_per_hour": 3_000,
        "duration_s": 7_200,
        "workload": "flash = [{ at_s = 1800, duration_s = 1200, factor = 3 }]",
    }
    zone = "[spot.zone]\nup_s = 1e9\n"
    held = checked(a_scenario(tables=zone, **options))
    bought = checked(a_scenario(tables=zone + "[capacity]\ngpu_class = 'H100'\nload_s = 30", **options))
    assert bought.cost_usd < held.cost_usd
    assert max(bought.series.gpus_up) > 2 * bought.series.gpus_up[0]
    assert accounted(bought) == bought.jobs
    assert bought.overall.on_time > bought.jobs / 2


def test_deadlines_expire_what_is_late_and_targets_alone_do_not() -> None:
    options = {"gpus": 1, "rate_per_hour": 3_000}
    hard = checked(a_scenario(more="deadlines = true", **options)).overall
    soft = checked(a_scenario(**options)).overall
    assert hard.expired > 0
    assert soft.expired == 0
    assert soft.late > 0


def test_what_a_policy_says_is_what_production_does() -> None:
    bounded = checked(a_scenario(gpus=1, rate_per_hour=3_000, tables="[scheduler]\npending_max = 5"))
    assert bounded.refused["queue_full"] > 0
    assert bounded.refused_share == pytest.approx(bounded.refused["queue_full"] / bounded.jobs)
    patient = checked(a_scenario(rate_per_hour=60, tables="[fleet_policy]\nidle_ttl_s = 30"))
    warm = checked(a_scenario(rate_per_hour=60, tables="[fleet_policy]\nalways_warm = ['sdxl-base', 'z-image-turbo']"))
    assert patient.cold_start_share > warm.cold_start_share
    assert patient.gpu_hours.idle < warm.gpu_hours.idle


def test_a_model_that_fits_no_gpu_is_refused_by_the_router() -> None:
    file = a_scenario(tables="[models.sdxl-base]\nvram_gb = 900")
    report = checked(file)
    assert report.refused["model_unavailable"] > 0
    assert report.overall.on_time > 0, "the other model is served"


def test_weights_in_host_memory_load_faster() -> None:
    slow, fast = "[machine]\nhost_memory_gb = 0\n", "[machine]\nhost_memory_gb = 512\nmemory_share = 0.05\n"
    tables = "[fleet_policy]\nidle_ttl_s = 20\n"
    first = checked(a_scenario(gpus=1, rate_per_hour=90, duration_s=7_200, tables=slow + tables))
    second = checked(a_scenario(gpus=1, rate_per_hour=90, duration_s=7_200, tables=fast + tables))
    assert first.loads > 10
    assert second.gpu_hours.loading / second.loads < 0.3 * first.gpu_hours.loading / first.loads


def test_warm_up_is_served_and_not_judged() -> None:
    whole = checked(a_scenario())
    judged = checked(a_scenario(more="warm_up_s = 600"))
    assert judged.jobs == whole.jobs
    assert 0 < judged.overall.asked < whole.overall.asked
    assert judged.cost_usd == whole.cost_usd


def test_memory_holds_open_jobs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No job object outlives its job by more than what is still open."""
    largest = 0

    def watch(share: float, jobs: int, open_jobs: int) -> None:
        nonlocal largest
        largest = max(largest, open_jobs)

    report = simulate(a_scenario(duration_s=7_200, gpus=6), around(), progress=watch)
    assert report.jobs > 2_000
    assert largest < 200
    gc.collect()
    assert sum(isinstance(each, Job) for each in gc.get_objects()) < 200


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workload": "colour = 'red'"}, "workload.0.colour"),
        ({"more": "duration = 3"}, "duration"),
        ({"fleet": "[[fleet]]\ngpu = 'H900'\ncount = 1"}, "H900"),
        ({"tables": "[fleet_policy]\nidle_ttl = 3"}, "fleet_policy.idle_ttl"),
        ({"tables": "[scheduler]\npending_max = 'many'"}, "scheduler.pending_max"),
        ({"fleet": SPOT}, "storm"),
        ({"workload": "kind = 'gentd26'"}, "path"),
    ],
)
def test_a_mistake_in_a_scenario_is_named(changes: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        a_scenario(**changes)
    assert words in caught.value.message
    assert "small.toml" in caught.value.message
