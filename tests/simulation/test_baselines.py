"""The baselines of the benchmarks: they lose nobody either, and keep the relations the literature reports."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from benchmarks.policies.__main__ import AXES, arguments_of
from benchmarks.policies.axes import SIMULATED
from benchmarks.policies.baselines import Baseline, Order
from benchmarks.policies.loads import at_load, offered_load
from benchmarks.policies.page import drawing, promise_row
from benchmarks.policies.trials import Figure, Plot, Promise
from benchmarks.report import Bar

from heliograph.simulation import parse_scenario, simulate
from heliograph.simulation.decider import Making
from tests.simulation.test_simulate import FAULTS, SPOT, STORM, accounted
from tests.simulation.worlds import a_scenario, around

MIXED = """
[[workload]]
rate_per_hour = 30
models = { sdxl-base = 1 }
images = { 20 = 1 }
tiers = { standard = 1 }
"""


def making(order: Order, *, shares_gpus: bool = False):
    def make(parts: Making) -> Baseline:
        return Baseline(order, parts, shares_gpus=shares_gpus)

    return make


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nobody_is_lost(order: Order, seed: int) -> None:
    file = a_scenario(
        seed=seed,
        duration_s=600,
        fleet=SPOT,
        tables=FAULTS + STORM,
        workload="cancels = 0.1\n" + MIXED,
        more="deadlines = true",
    )
    decider = making(order, shares_gpus=seed > 1)
    report = simulate(file, around(), make_decider=decider, check_every=1, exact_ledger=True)
    assert accounted(report) == report.jobs
    assert report.overall.on_time > 0
    assert report.overall.unfinished == 0


def test_figures_have_a_mean_and_an_interval() -> None:
    assert Figure.of([2.0]) == Figure(mean=2.0, ci95=(2.0, 2.0))
    found = Figure.of([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.ci95 == pytest.approx((2.0 - 4.30 / 3**0.5, 2.0 + 4.30 / 3**0.5))


def test_every_axis_makes_trials_of_our_policy() -> None:
    options = arguments_of(["--seeds", "1", "--scale", "2,4", "--days", "0:6"])
    assert (options.scale, options.days, options.axes) == ((2, 4), (0.0, 6.0), AXES)
    for axis, make in SIMULATED.items():
        trials = list(make(options, 1))
        assert {trial.axis for trial in trials} == {axis}
        assert "heliograph" in {trial.policy for trial in trials}
    with pytest.raises(SystemExit):
        arguments_of(["--axes", "luck"])


def played(order: Order, *, more: str = ""):
    file = a_scenario(gpus=2, rate_per_hour=700, duration_s=3_600, workload=MIXED, more=more)
    return simulate(file, around(), make_decider=making(order), check_every=50)


def test_shortest_first_beats_first_come_and_pausing_beats_not_pausing() -> None:
    fcfs, sjf, srtf = (played(order).overall.latency_s.mean for order in (Order.FCFS, Order.SJF, Order.SRTF))
    assert srtf < sjf < fcfs


def test_admission_keeps_more_deadlines_and_says_no_to_the_rest() -> None:
    fcfs = played(Order.FCFS, more="deadlines = true").overall
    edf = played(Order.EDF, more="deadlines = true").overall
    assert edf.attainment > fcfs.attainment
    assert edf.refused > 0
    assert edf.expired + edf.late < fcfs.expired + fcfs.late


CLIPS = """
name = "pictures and clips"
duration_s = 1500
deadlines = true
target_stretch = 3
fleet = [{ gpu = "H100", count = 2 }]
[targets.image]
standard = 4
[targets.video]
standard = 60
[[workload]]
rate_per_hour = 100
models = { sdxl-base = 0.5, z-image-turbo = 0.5 }
tiers = { standard = 1 }
[[workload]]
rate_per_hour = 50
models = { "wan2.1-t2v-1.3b" = 1 }
steps = { 10 = 0.5, 50 = 0.5 }
tiers = { standard = 1 }
"""


def with_clips(order: Order, *, load: float, seed: int = 1):
    file = at_load(parse_scenario(CLIPS, origin="clips"), load)
    report = simulate(file, around(), seed=seed, make_decider=making(order, shares_gpus=True), check_every=20)
    return report, {group.kind: group.attainment for group in report.groups if group.tier == "all"}


def test_on_pictures_and_clips_srtf_keeps_more_than_fcfs_and_genserve_keeps_the_pictures() -> None:
    (_, fcfs), (_, srtf), (paused, genserve) = (
        with_clips(order, load=1.0) for order in (Order.FCFS, Order.SRTF, Order.GENSERVE)
    )
    assert srtf["all"] > fcfs["all"]
    assert genserve["image"] > fcfs["image"] + 0.2
    assert paused.attempts["paused"] > 0


def test_a_load_of_one_is_all_the_gpus_can_do() -> None:
    file = parse_scenario(CLIPS, origin="clips")
    assert [offered_load(at_load(file, load)) for load in (0.5, 1.0)] == pytest.approx([0.5, 1.0])
    only = replace(file.scenario.workload[0], models={"sdxl-base": 1.0}, rate_per_hour=3600.0)
    alone = replace(file, scenario=replace(file.scenario, workload=(only,)))
    assert offered_load(alone) == pytest.approx(2.496 / 30 * 50 / 2), "50 steps, one a second, two GPUs"


def test_the_page_says_what_was_missed_and_draws_every_policy() -> None:
    promise = Promise(text="late", metric="late_share", bar=Bar(limit=0.1), unit="%")
    assert promise_row("flash_crowd", promise, Figure.of([0.05])).endswith("5.0% (5.0% to 5.0%) | ≤ 10.0% | met |")
    assert promise_row("flash_crowd", promise, Figure.of([0.2])).endswith("| **missed** |")
    plot = Plot(title="P95", metric="p95_s", unit="s", is_low_good=True)
    picture = drawing((plot,), {"fcfs": {"p95_s": Figure.of([9.0, 11.0])}, "heliograph": {"p95_s": Figure.of([3.0])}})
    words = [each.text for each in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert words == ["P95 (less is better)", "heliograph", "3 s", "fcfs", "10 s"]
