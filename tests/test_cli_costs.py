"""`heliograph costs` on a real ledger, made by real runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from heliograph.cli import cli


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures made by the built-in model."""
    folder = tmp_path_factory.mktemp("costs")
    made = CliRunner().invoke(
        cli, ["generate", "a lone tree", "-n", "2", "--data-dir", str(folder / "data"), "--out", str(folder)]
    )
    assert made.exit_code == 0, made.output
    return folder / "data"


def told(*arguments: str) -> Any:
    result = CliRunner().invoke(cli, ["costs", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("by", ["model", "tenant", "tier", "component"])
def test_it_is_the_bill_to_the_micro_dollar(by: str, data_dir: Path) -> None:
    found = told("--by", by, "--data", str(data_dir), "--no-what-if", "--no-projection")
    assert found["pictures"] == 2
    assert found["difference_micros"] == 0
    assert found["bill_micros"] > 0
    assert sum(row["cost_micros"] for row in found["rows"]) == found["used_micros"]
    assert sum(share["micros"] for share in found["shares"].values()) == found["used_micros"]
    assert {"gpu_run", "gpu_load"} <= set(found["components_micros"])


def test_what_would_change_it_is_simulated_from_what_was_asked(data_dir: Path) -> None:
    found = told("--data", str(data_dir), "--no-projection")["what_if"]
    assert [each["change"] for each in found][:2] == ["as it was", "one more cpu"]
    assert all(each["simulated"] and each["jobs"] == 1 for each in found)
    assert found[1]["usd"] > found[0]["usd"] > 0


def test_a_projection_stands_beside_what_was_published_and_shows_what_went_in(data_dir: Path, tmp_path: Path) -> None:
    page = tmp_path / "costs.html"
    found = told(
        "--data", str(data_dir), "--no-what-if", "--gpu", "H100", "--images-per-day", "10000", "--assume",
        "days_kept=30", "--report", str(page),
    )  # fmt: skip
    (projection,) = found["projection"]
    assert projection["parts"]["gpu"]["published_share"] == 0.72
    assert sum(part["share"] for part in projection["parts"].values()) == pytest.approx(1.0)
    assert "H100" in projection["fleet"]
    inputs = {each["name"]: each for each in found["assumptions"]}
    assert (inputs["days_kept"]["value"], inputs["days_kept"]["origin"]) == (30.0, "given")
    assert inputs["gpu_usd_per_picture at 10,000 a day"]["origin"] == "simulated"
    assert "10,000 pictures a day" in page.read_text()


def test_without_a_ledger_a_planner_still_gets_a_projection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_DATA_DIR", str(tmp_path / "nothing"))
    found = told("--assume", "gpu_usd_per_picture=0.005")
    assert (found["bill_micros"], found["pictures"], found["rows"], found["what_if"]) == (0, 0, [], [])
    assert [each["pictures_per_day"] for each in found["projection"]] == [10_000.0, 1_000_000.0]
    assert found["projection"][0]["parts"]["gpu"]["usd_per_month"] == pytest.approx(0.005 * 10_000 * 730 / 24)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--data", "/nowhere"), "/nowhere"),
        (("--since", "yesterday"), "--since"),
        (("--since", "1h", "--until", "2h"), "--until"),
        (("--assume", "days=3"), "days"),
        (("--assume", "days_kept"), "--assume"),
    ],
)
def test_a_wrong_option_is_named(arguments: tuple[str, ...], named: str, tmp_path: Path) -> None:
    where = () if "--data" in arguments else ("--data", str(tmp_path))
    result = CliRunner().invoke(cli, ["costs", *arguments, *where])
    assert result.exit_code == 2, result.output
    assert named in result.output
