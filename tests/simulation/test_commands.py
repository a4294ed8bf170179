"""`heliograph simulate` and `heliograph plan` as people call them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from heliograph.cli import cli
from heliograph.cli_simulate import read_scenario, shipped_scenarios, surroundings
from heliograph.simulation import simulate
from heliograph.simulation.fleet_size import Demand, Promise, plan_fleet
from tests.simulation.worlds import SMALL, around

runner = CliRunner()
DEFAULTS = {"duration_s": 900, "seed": 1, "gpus": 2, "rate_per_hour": 900, "more": "", "fleet": "", "workload": ""}


def scenario_in(folder: Path, tables: str = "", **changes: object) -> Path:
    path = folder / "small.toml"
    path.write_text(SMALL.format(**{**DEFAULTS, **changes}, tables=tables))
    return path


def test_a_report_is_told_printed_and_written(tmp_path: Path) -> None:
    path = scenario_in(tmp_path)
    page = tmp_path / "reports" / "small.html"
    told = runner.invoke(cli, ["simulate", str(path), "--report", str(page), "--check"])
    assert told.exit_code == 0, told.output
    assert "small: " in told.output
    assert "GPU-hours" in told.output
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    printed = runner.invoke(cli, ["simulate", str(path), "--json", "--seed", "7"])
    assert printed.stdout == runner.invoke(cli, ["simulate", str(path), "--json", "--seed", "7"]).stdout
    timed = runner.invoke(cli, ["simulate", str(path), "--json", "--decision-time"])
    assert json.loads(timed.stdout)["decision_us"]["p99"] > 0
    assert json.loads(printed.stdout)["seed"] == 7


def test_policies_are_taken_from_the_scenario_or_a_file(tmp_path: Path) -> None:
    path = scenario_in(tmp_path, "[policies.hasty.fleet_policy]\nidle_ttl_s = 5\n", rate_per_hour=60)
    file = tmp_path / "lazy.toml"
    file.write_text("[fleet_policy]\nidle_ttl_s = 100000\n")

    def loads(policy: str) -> int:
        done = runner.invoke(cli, ["simulate", str(path), "--json", "--policy", policy])
        assert done.exit_code == 0, done.output
        document = json.loads(done.stdout)
        assert document["policy"] == Path(policy).stem
        return document["loads"]

    assert loads("hasty") > loads(str(file))
    assert loads("default") >= loads(str(file))
    unknown = runner.invoke(cli, ["simulate", str(path), "--policy", "clever"])
    assert unknown.exit_code == 2
    assert "default, hasty" in unknown.output


def test_mistakes_are_named_and_end_with_two(tmp_path: Path) -> None:
    missing = runner.invoke(cli, ["simulate", str(tmp_path / "nothing.toml")])
    assert missing.exit_code == 2
    assert "quiet-day" in missing.output
    trace = scenario_in(tmp_path, workload="kind = 'gentd26'\npath = 'nowhere.csv'")
    done = runner.invoke(cli, ["simulate", str(trace)])
    assert done.exit_code == 2
    assert "nowhere.csv" in done.output


@pytest.mark.parametrize("name", shipped_scenarios())
def test_shipped_scenarios_run(name: str) -> None:
    """A sixteenth of each: enough to see that files, models and traces fit together."""
    file, folder = read_scenario(name)
    scenario = replace(file.scenario, duration_s=file.scenario.duration_s / 16)
    report = simulate(replace(file, scenario=scenario), surroundings(folder), check_every=500, exact_ledger=True)
    assert report.description
    assert report.overall.attainment > 0.5
    assert {"quiet-day", "flash-crowd", "spot-storm", "image-video"} == set(shipped_scenarios())


def test_the_smallest_fleet_keeps_the_promise_and_a_smaller_one_does_not() -> None:
    demand = Demand(images_per_day=30_000, models={"sdxl-base": 1.0})
    promise = Promise(share=0.95, target_s={"image": 15.0})
    tried: list[str] = []
    plan = plan_fleet(demand, promise, around(), gpu_classes=("H100", "L40S", "L4"), told=tried.append)
    best = plan.options[0]
    assert best.kept >= 0.95
    assert f"{best.count - 1} x {best.gpu}" in tried or best.count == 1
    costs = [option.usd_per_month["on_demand"] for option in plan.options]
    assert costs == sorted(costs)
    assert best.usd_per_month["spot"] < best.usd_per_month["reserved"] < best.usd_per_month["on_demand"]
    assert "alone takes" in plan.left_out["L4"], "an L4 is too slow whatever their number"
    assert {factor: gpu for factor, gpu, _ in plan.sensitivity}[1.0] == best.gpu
    bigger = plan_fleet(
        Demand(images_per_day=120_000, models={"sdxl-base": 1.0}), promise, around(), gpu_classes=("H100",)
    )
    smaller = next((option for option in plan.options if option.gpu == "H100"), best)
    assert bigger.options[0].count > smaller.count


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mix", "sdxl-base=x", "--slo", "p95=20"], "--mix"),
        (["--mix", "sdxl-base", "--slo", "soon"], "--slo"),
        (["--mix", "sdxl-base", "--slo", "p95=20", "--slo", "video.p99=20"], "--slo"),
        (["--mix", "no-such-model", "--slo", "p95=20"], "no-such-model"),
        (["--mix", "sdxl-base", "--slo", "p95=0.1"], "No fleet"),
        (["--mix", "sdxl-base", "--slo", "p95=20", "--gpu", "abacus"], "abacus"),
    ],
)
def test_a_plan_that_cannot_be_made_says_why(options: list[str], words: str) -> None:
    done = runner.invoke(cli, ["plan", "--images-per-day", "1000", *options])
    assert done.exit_code == 2
    assert words in done.output
