"""What keeps jobs and pictures is taken away from a real server and given back: refused clearly, resumed by itself."""

import asyncio
import hashlib
import json
import resource
from pathlib import Path
from typing import Any

import httpx
import pytest

from heliograph.storage.postgres import PostgresStore
from tests.e2e.conftest import StartServer
from tests.e2e.server import Server, eventually
from tests.object_servers import LocalBucket, Rclone
from tests.postgres import PostgresServer

pytestmark = pytest.mark.e2e

SLOW = '{"step_s": 0.1}'


def refusal(server: Server, **fields: Any) -> httpx.Response:
    """The first submission that is refused."""

    def look() -> httpx.Response | None:
        answer = server.http.post("/v1/jobs", json={"prompt": "a red boat", "model": "fake", **fields})
        return None if answer.status_code == 201 else answer

    return eventually(look, within_s=20, what="a refusal")


def is_ready(server: Server) -> bool:
    return server.http.get("/readyz").status_code == 200


def check_pictures(server: Server, job: dict[str, Any]) -> None:
    for output in job["outputs"]:
        assert hashlib.sha256(server.http.get(output["url"]).content).hexdigest() == output["sha256"]


def test_a_database_that_may_not_grow(start_server: StartServer) -> None:
    """The kernel lets no file of the server grow beyond the size of the database's log: what a quota does."""
    server = start_server(fake=SLOW)
    assert server.process is not None
    running = server.submit(steps=10)["id"]
    server.reaches(running, "running")
    log = server.data_dir / "heliograph.sqlite-wal"
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (log.stat().st_size, resource.RLIM_INFINITY))
    refused = refusal(server, prompt="x" * 9_000)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    assert not is_ready(server)

    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    done = server.finished(running)
    assert (done["status"], done["attempt"]) == ("completed", 1)
    eventually(lambda: is_ready(server), within_s=10, what="readiness")
    check_pictures(server, server.finished(server.submit()["id"]))


def test_a_folder_of_pictures_that_is_away(start_server: StartServer) -> None:
    server = start_server(fake=SLOW)
    running = server.submit(steps=5)["id"]
    server.reaches(running, "running")
    folder, away = server.data_dir / "blobs", server.data_dir / "away"
    folder.rename(away)
    parked = server.reaches(running, "post_processing")
    eventually(lambda: not is_ready(server), within_s=10, what="the problem is told")
    refused = refusal(server)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "storage_unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    assert parked["attempt"] == 1

    away.rename(folder)
    done = server.finished(running)
    assert (done["status"], done["attempt"]) == ("completed", 1)
    check_pictures(server, done)
    eventually(lambda: is_ready(server), within_s=10, what="readiness")


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_an_object_store_that_is_away_or_silent(start_server: StartServer, tmp_path: Path, fault: str) -> None:
    objects = LocalBucket(tmp_path / "objects").start()
    settings = {
        "HELIOGRAPH_PICTURES__URL": f"{objects.url}/prefix",
        "HELIOGRAPH_PICTURES__OPTIONS": json.dumps(objects.options),
        "HELIOGRAPH_PICTURES__SECRET_OPTIONS": json.dumps(objects.secret_options),
        "HELIOGRAPH_PICTURES__TIMEOUT_S": "1",
        "HELIOGRAPH_PICTURES__WATCH_S": "0.3",
        "HELIOGRAPH_PICTURES__ENCRYPT": "true",
    }
    try:
        server = start_server(fake=SLOW, env=settings)
        before = server.finished(server.submit()["id"])
        check_pictures(server, before)
        assert not list((server.data_dir / "blobs").glob("*/*")), "no picture lies beside the object store"

        running = [server.submit(steps=5)["id"] for _ in range(3)]
        server.reaches(running[0], "running")
        objects.kill() if fault == "killed" else objects.freeze()
        # Also before any picture meets it.
        eventually(lambda: not is_ready(server), within_s=10, what="the problem is told")
        refused = refusal(server)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "storage_unavailable")
        assert int(refused.headers["Retry-After"]) > 0
        parked = server.reaches(running[0], "post_processing")
        assert parked["attempt"] == 1
        assert server.http.get(before["outputs"][0]["url"]).status_code == 503

        objects.start() if fault == "killed" else objects.thaw()
        for job_id in running:
            done = server.finished(job_id)
            assert (done["status"], done["attempt"]) == ("completed", 1)
            check_pictures(server, done)
        eventually(lambda: is_ready(server), within_s=10, what="readiness")
        check_pictures(server, server.finished(server.submit()["id"]))
        check_pictures(server, before)
    finally:
        objects.kill()


def test_an_object_store_may_serve_its_pictures_itself(start_server: StartServer, tmp_path: Path) -> None:
    """By addresses that it signed and checks; an encrypted picture never leaves that way."""
    objects = Rclone(tmp_path / "objects").start()
    settings = {
        "HELIOGRAPH_PICTURES__URL": f"{objects.url}/prefix",
        "HELIOGRAPH_PICTURES__OPTIONS": json.dumps(objects.options),
        "HELIOGRAPH_PICTURES__SECRET_OPTIONS": json.dumps(objects.secret_options),
        "HELIOGRAPH_LINKS__PRESIGNED": "true",
    }
    try:
        server = start_server(env=settings)
        output = server.finished(server.submit()["id"])["outputs"][0]
        moved = server.http.get(output["url"])
        assert (moved.status_code, moved.headers["Cache-Control"]) == (302, "private, no-store")
        address = httpx.URL(moved.headers["Location"])
        assert address.port == objects.port
        picture = httpx.get(address, trust_env=False)
        assert hashlib.sha256(picture.content).hexdigest() == output["sha256"]
        name = address.params["X-Amz-Signature"]
        forged = address.copy_set_param("X-Amz-Signature", name[::-1])
        assert httpx.get(forged, trust_env=False).status_code in (400, 403)
        assert httpx.get(address.copy_with(query=None), trust_env=False).status_code in (400, 403)

        server.stop()
        server = start_server(env={**settings, "HELIOGRAPH_PICTURES__ENCRYPT": "true"})
        check_pictures(server, server.finished(server.submit()["id"]))
    finally:
        objects.kill()


def test_a_server_that_was_overtaken_ends(
    start_server: StartServer, postgres_url: str, postgres_server: PostgresServer
) -> None:
    server = start_server(env={"HELIOGRAPH_STORE__URL": postgres_url})
    name = postgres_url.split("?")[0].rpartition("/")[2]
    postgres_server.execute(
        name,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()",
    )

    async def be_there_for_a_moment() -> None:
        other = await PostgresStore.open(postgres_url, claims=True)
        await other.close()

    asyncio.run(be_there_for_a_moment())
    answer = server.http.post("/v1/jobs", json={"prompt": "a red boat", "model": "fake"})
    assert answer.status_code == 503
    assert server.wait() == 3
    assert "taken over" in server.log.read_text()
    assert postgres_server.execute(name, "SELECT count(*) FROM jobs") == [(0,)]
