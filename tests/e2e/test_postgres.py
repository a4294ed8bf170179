"""The whole server with its jobs in a real PostgreSQL, which is taken away from it and given back."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.server import eventually
from tests.postgres import PostgresServer

pytestmark = pytest.mark.e2e


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A database server that may be mistreated."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def test_a_server_on_postgres_works_restarts_and_keeps_others_out(
    start_server: StartServer, postgres_url: str, tmp_path: Path
) -> None:
    server = start_server(env={"HELIOGRAPH_STORE__URL": postgres_url})
    jobs = [server.submit(prompt=f"picture {number}")["id"] for number in range(5)]
    server.finished(jobs[0])
    assert not (server.data_dir / "heliograph.sqlite").exists()

    command = [sys.executable, "-m", "heliograph", "serve", "--port", "0", "--store", postgres_url]
    second = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "second")], env=server.env, capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 3
    assert "is in use by another Heliograph" in second.stderr

    server.kill()
    server.start(wait=False)
    for job in [server.finished(job) for job in jobs]:
        assert job["status"] == "completed"
        (output,) = job["outputs"]
        assert hashlib.sha256(server.http.get(output["url"]).content).hexdigest() == output["sha256"]


def test_without_its_database_a_server_refuses_clearly_and_goes_on_by_itself(
    start_server: StartServer, own_server: PostgresServer
) -> None:
    env = {"HELIOGRAPH_STORE__URL": own_server.url("postgres")}
    server = start_server(fake='{"step_s": 0.05}', env=env)
    running = server.submit(steps=20)["id"]
    server.reaches(running, "running")
    own_server.kill()

    answer = server.http.post("/v1/jobs", json={"prompt": "a red boat", "model": "fake"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert server.http.get("/readyz").status_code == 503

    own_server.start()
    assert server.finished(running)["status"] == "completed"
    assert server.finished(running)["attempt"] == 1, "what ran meanwhile went on"
    eventually(lambda: server.http.get("/readyz").status_code == 200, within_s=10, what="readiness")
    assert server.finished(server.submit()["id"])["status"] == "completed"
    assert len(server.http.get("/v1/jobs").json()["data"]) == 2, "the refused one left nothing"
