"""Dashboards and alert rules against a real Prometheus that scrapes a real server; `promtool` plays the alerts."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.conftest import StartServer
from tests.e2e.server import Server, eventually

OPS = Path(__file__).parents[2] / "ops"
RULES = OPS / "prometheus/alerts.yml"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not (shutil.which("prometheus") and shutil.which("promtool")),
        reason="Prometheus is not installed (tools/install_prometheus.sh)",
    ),
]

NOT_HERE = (
    "heliograph_gpu_utilization",
    "heliograph_gpu_memory",
    "heliograph_gpu_temperature",
    "heliograph_webhook_",
    "gpus_gone",
    "late_events",
    "quality_held",
    "alignment",
    "charged",
    "model_swaps",
    "workers_lost",
    'result="failed"',
)
"""What this server has none of: a driver, webhooks, GPUs that leave, a judge of the fake model's pictures, a price, a
second model, workers that die, a disk that fails."""


def panels() -> Iterator[tuple[str, str]]:
    for file in sorted((OPS / "grafana").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield f"{file.stem}: {panel['title']}", target["expr"]


def rules() -> list[dict[str, Any]]:
    return yaml.safe_load(RULES.read_text())["groups"][0]["rules"]


class Prometheus:
    """A real one on a port of its own that scrapes `server` every second and evaluates the shipped rules."""

    def __init__(self, folder: Path, server: Server) -> None:
        (folder / "alerts.yml").write_text(RULES.read_text().replace("interval: 30s", "interval: 1s"))
        target = server.url.removeprefix("http://")
        config = (OPS / "prometheus/prometheus.yml").read_text()
        config = config.replace("127.0.0.1:8000", target).replace("15s", "1s")
        assert target in config
        (folder / "prometheus.yml").write_text(config)
        self.log = folder / "prometheus.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    "--web.listen-address=127.0.0.1:0",
                ],
                stdout=log,
                stderr=log,
            )
        address = eventually(self._address, within_s=30, what="Prometheus listens")
        self.http = httpx.Client(base_url=f"http://{address}", timeout=30, trust_env=False)

    def _address(self) -> str | None:
        for line in self.log.read_text().splitlines():
            if "Listening on" in line and "address=" in line:
                return line.split("address=")[1].split()[0]
        assert self.process.poll() is None, self.log.read_text()
        return None

    def ask(self, expression: str) -> list[dict[str, Any]]:
        answer = self.http.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        return answer["data"]["result"]

    def stop(self) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def start_prometheus(tmp_path: Path) -> Iterator[Callable[[Server], Prometheus]]:
    started: list[Prometheus] = []

    def start(server: Server) -> Prometheus:
        folder = tmp_path / "prometheus"
        folder.mkdir()
        started.append(Prometheus(folder, server))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def work(server: Server) -> None:
    """Something of everything that is counted."""
    assert server.finished(server.submit("a boat, fault bad_input@1")["id"])["status"] == "failed"
    server.finished(server.submit("a boat, fault nan@2#1")["id"])  # is tried again
    server.finished(server.submit()["id"])
    done = server.finished(server.submit()["id"])  # the same prompt again
    assert done["status"] == "completed"
    assert server.http.get(done["outputs"][0]["url"]).status_code == 200
    assert server.http.post("/v1/jobs", json={"prompt": "x", "model": "nothing"}).status_code == 404


def test_every_panel_and_rule_is_answered_by_a_real_server(
    start_server: StartServer, start_prometheus: Callable[[Server], Prometheus]
) -> None:
    server = start_server(fake='{"prompted": true}')
    work(server)
    prometheus = start_prometheus(server)
    eventually(lambda: prometheus.ask("heliograph_jobs_ended_total"), within_s=30, what="the first scrape")
    work(server)  # a rate needs something to happen between two scrapes
    eventually(
        lambda: prometheus.ask("sum(rate(heliograph_jobs_ended_total[5m])) > 0"), within_s=30, what="a rate of jobs"
    )
    eventually(
        lambda: prometheus.ask("heliograph:objective_errors:ratio_rate1h"), within_s=30, what="the recorded rules"
    )
    empty = [
        f"{name}: {expression}"
        for name, expression in panels()
        if not prometheus.ask(expression) and not any(word in expression for word in NOT_HERE)
    ]
    assert all("> 0" in each for each in empty), empty
    for rule in rules():
        prometheus.ask(rule["expr"])
    (group,) = prometheus.http.get("/api/v1/rules").json()["data"]["groups"]
    assert {rule["name"]: rule["health"] for rule in group["rules"] if rule["health"] != "ok"} == {}
    assert prometheus.ask('up{job="heliograph"}')[0]["value"][1] == "1"


@pytest.mark.parametrize("file", ["tests.yml", "tests_slow.yml"])
def test_alerts_fire_when_they_should(file: str) -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", file], cwd=OPS / "prometheus", capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_shipped_files_are_valid() -> None:
    done = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"],
        cwd=OPS / "prometheus",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_played_and_says_what_to_do() -> None:
    played = "".join((OPS / "prometheus" / name).read_text() for name in ("tests.yml", "tests_slow.yml"))
    page = (OPS.parent / "docs/how-to/alerts.md").read_text().lower()
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len(alerts) > 10
    for alert in alerts:
        assert alert["alert"] in played
        heading = alert["annotations"]["runbook"].partition("#")[2]
        assert f"## {heading}\n" in page, heading
        assert alert["labels"]["severity"] in ("page", "ticket")
