"""A live installation's history becomes a scenario that can be simulated, without prompts or names."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from heliograph import app
from heliograph.cli import cli
from heliograph.domain.job import JobState
from heliograph.settings import Settings
from heliograph.simulation import parse_scenario, simulate
from heliograph.simulation.recorded import Measured, trace_text
from heliograph.simulation.scenario import WorkloadKind
from heliograph.simulation.traces import read_trace
from heliograph.storage.store import PutApiKey, PutAttempt, PutJob
from tests.builders import a_job, a_request, an_api_key, an_attempt
from tests.simulation.worlds import around

runner = CliRunner()


def jobs() -> list:
    small = a_request(model="helio-base", prompt="the secret plan", width_px=128, height_px=128, steps=8)
    return [
        a_job("second", tenant="acme", end_user="eve@example.org", request=small, sequence=2, created_at_s=1_005.0),
        a_job(
            "first", tenant="zeta", tier="pro", request=small, sequence=1, created_at_s=1_000.0, deadline_at_s=1_030.0
        ),
        a_job(
            "third",
            tenant="acme",
            end_user="eve@example.org",
            request=small,
            sequence=3,
            created_at_s=1_010.0,
            state=JobState.CANCELLED,
        ),
    ]


def test_a_trace_has_no_names_and_no_prompts_and_is_read_back() -> None:
    text = trace_text(jobs())
    assert not any(secret in text for secret in ("acme", "zeta", "eve", "secret"))
    rows = read_trace(WorkloadKind.RECORDED, text, origin="trace.csv")
    assert [(row.at_s, row.tenant, row.user, row.deadline_s, row.cancelled_after_s) for row in rows] == [
        (0.0, "t001", None, 30.0, None),
        (5.0, "t002", "u00001", None, None),
        (10.0, "t002", "u00001", None, 0.0),
    ]


def test_what_was_measured_are_gpus_and_seconds_per_step() -> None:
    measured = Measured()
    job = jobs()[0]
    measured.add(job, [an_attempt("second", gpu="a", gpu_s=1.0), an_attempt("second", gpu="b", gpu_s=2.0)])
    assert list(measured.gpus["cpu"]) == ["a", "b"]
    ((_, runs),) = measured.s_per_step.items()
    assert runs[1] == pytest.approx(2 * runs[0])


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """A data directory with a short history in it."""
    folder = tmp_path / "data"
    store = await app.open_store(Settings(data_dir=app.made_data_dir(folder)), claims=True)
    await store.commit(
        [PutApiKey(key=an_api_key("key1", tenant="acme")), PutApiKey(key=an_api_key("key2", tenant="zeta"))]
    )
    for number in range(30):
        base = jobs()[number % 2]
        job = a_job(
            f"job{number}",
            tenant=base.tenant_id,
            request=base.request,
            sequence=number + 1,
            created_at_s=1_000.0 + 2 * number,
            state=JobState.COMPLETED,
            attempt=1,
        )
        attempt = an_attempt(f"job{number}", gpu=f"slot{number % 2}", model="helio-base", gpu_s=0.5)
        await store.commit([PutJob(job=job), PutAttempt(attempt=attempt)])
    await store.close()
    return folder


def test_a_history_is_exported_and_simulated(data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "export"
    done = runner.invoke(cli, ["export-trace", "--data-dir", str(data_dir), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "30 requests" in done.output
    assert "secret" not in (out / "trace.csv").read_text() + (out / "scenario.toml").read_text()
    text = (out / "scenario.toml").read_text()
    file = parse_scenario(text, origin="scenario.toml")
    assert [(group.gpu, group.count) for group in file.scenario.fleet] == [("cpu", 2)]
    report = simulate(file, around(lambda name: (out / name).read_text()), check_every=1, exact_ledger=True)
    assert report.jobs == 30
    assert report.stages_s["run"].p50 == pytest.approx(0.5, rel=0.05)
    fewer = parse_scenario(text.replace("count = 2", "count = 1"), origin="scenario.toml")
    assert simulate(fewer, around(lambda name: (out / name).read_text())).gpus == 1


def test_a_part_of_the_history_can_be_exported(data_dir: Path, tmp_path: Path) -> None:
    options = ["--data-dir", str(data_dir), "--out", str(tmp_path)]
    some = runner.invoke(cli, ["export-trace", *options, "--since", "1970-01-01T00:17:00"])
    assert "20 requests" in some.output  # from second 1,020 on
    none = runner.invoke(cli, ["export-trace", *options, "--since", "2100-01-01"])
    assert none.exit_code == 2
    wrong = runner.invoke(cli, ["export-trace", *options, "--until", "tomorrow"])
    assert wrong.exit_code == 2
    assert "--until" in wrong.output


def test_settings_name_the_memory_of_a_slot() -> None:
    assert Settings().fleet.slot_memory_bytes > 0
