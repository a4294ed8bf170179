"""Real processes killed with real signals: nothing acknowledged is lost, and every job ends."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.server import eventually, is_alive

pytestmark = pytest.mark.e2e

SLOW = '{"step_s": 0.1}'


def test_a_worker_killed_while_loading_is_replaced(start_server: StartServer) -> None:
    server = start_server(fake='{"load_s": 1.0}', wait=False)
    job = server.submit()
    (victim,) = eventually(server.worker_pids, within_s=10, what="a worker that loads")
    os.kill(victim, signal.SIGKILL)
    done = server.finished(job["id"])
    assert (done["status"], done["attempt"]) == ("completed", 1)


def test_a_worker_killed_while_idle_is_replaced(start_server: StartServer) -> None:
    server = start_server()
    (victim,) = server.worker_pids()
    os.kill(victim, signal.SIGKILL)
    assert server.finished(server.submit()["id"])["status"] == "completed"


def test_a_worker_killed_while_running_costs_one_attempt(start_server: StartServer) -> None:
    server = start_server(fake=SLOW)
    job = server.submit(steps=8)
    server.reaches(job["id"], "running")
    os.kill(server.worker_pids()[0], signal.SIGKILL)
    done = server.finished(job["id"])
    assert (done["status"], done["attempt"]) == ("completed", 2)
    causes = [line["cause"] for line in server.lines() if line.get("job_id") == job["id"]]
    assert "worker_lost" in causes


def test_a_worker_killed_with_a_job_it_never_began_costs_one_attempt(start_server: StartServer) -> None:
    server = start_server()
    (frozen,) = server.worker_pids()
    os.kill(frozen, signal.SIGSTOP)
    job = server.submit()
    server.reaches(job["id"], "dispatched")
    os.kill(frozen, signal.SIGKILL)
    done = server.finished(job["id"])
    assert (done["status"], done["attempt"]) == ("completed", 2)


def test_a_post_processor_killed_at_work_costs_nothing(start_server: StartServer) -> None:
    server = start_server()
    jobs = [server.submit(size="1024x1024", steps=1) for _ in range(4)]
    ids = [job["id"] for job in jobs]
    eventually(lambda: server.some(ids, "post_processing"), within_s=10, what="a picture in post-processing")
    os.kill(server.postprocess_pids()[0], signal.SIGKILL)
    ended = [server.finished(job["id"]) for job in jobs]
    assert [job["status"] for job in ended] == ["completed"] * 4
    assert all(job["attempt"] == 1 for job in ended), "no GPU work was repeated"


def test_a_server_killed_again_and_again_loses_nothing(start_server: StartServer) -> None:
    server = start_server(fake='{"step_s": 0.02}')
    jobs = [server.submit(prompt=f"picture {number}", steps=2, n=2)["id"] for number in range(40)]
    for _ in range(5):
        eventually(lambda: server.some(jobs, "running"), within_s=10, what="a running job")
        server.kill()
        server.start(wait=False)
    ended = [server.finished(job, within_s=60) for job in jobs]
    assert {job["status"] for job in ended} == {"completed"}
    for job in ended:
        for output in job["outputs"]:
            picture = server.http.get(output["url"]).content
            assert hashlib.sha256(picture).hexdigest() == output["sha256"]


def test_ten_pictures_in_one_job(start_server: StartServer) -> None:
    server = start_server()
    done = server.finished(server.submit(n=10, seed=2**32 - 3)["id"])
    assert [output["seed"] for output in done["outputs"]] == [2**32 - 3, 2**32 - 2, 2**32 - 1, *range(7)]
    assert len({output["sha256"] for output in done["outputs"]}) == 10


@pytest.mark.parametrize("fault", ["hang@2#1", "crash@2#1", "nan@2#1"])
def test_an_engine_that_fails_once_is_tried_again(start_server: StartServer, fault: str) -> None:
    server = start_server(fake=f'{{"faults": ["{fault}"]}}', env={"HELIOGRAPH_FLEET__STEP_TIMEOUT_S": "1"})
    done = server.finished(server.submit(steps=4)["id"])
    assert (done["status"], done["attempt"]) == ("completed", 2)


def test_who_ran_out_of_memory_gets_by_with_less(start_server: StartServer) -> None:
    server = start_server(fake='{"faults": ["hungry@2"]}')
    done = server.finished(server.submit(steps=4, n=3)["id"])
    assert (done["status"], done["attempt"], len(done["outputs"])) == ("completed", 2, 3)


def test_the_owner_sees_which_attempt_comes_next_and_why(start_server: StartServer) -> None:
    server = start_server(fake='{"faults": ["crash@2"]}', env={"HELIOGRAPH_QUEUE__BACKOFF_S": "[0.5]"})
    job = server.submit(steps=4)
    with server.http.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
        lines = [line.removeprefix("data: ") for line in stream.iter_lines() if line.startswith("data: {")]
    seen = [data for data in map(json.loads, lines) if data.get("retry")]
    shown = {(data["phase"], data["retry"]["attempt"], data["retry"]["of"], data["retry"]["code"]) for data in seen}
    assert {("retrying", 2, 3, "worker_lost"), ("retrying", 3, 3, "worker_lost")} <= shown
    assert {data["retry"]["message"] for data in seen} == {"The worker crashed."}
    done = server.job(job["id"])
    assert (done["status"], done["retry"], done["error"]["code"]) == ("failed", None, "worker_lost")


def test_a_worker_that_never_answers_fails_the_job_in_the_end(start_server: StartServer) -> None:
    env = {"HELIOGRAPH_FLEET__STEP_TIMEOUT_S": "0.5", "HELIOGRAPH_QUEUE__BACKOFF_S": "[0.1]"}
    server = start_server(fake='{"faults": ["hang@2"]}', env=env)
    done = server.finished(server.submit(steps=4)["id"])
    assert (done["status"], done["attempt"]) == ("failed", 3)
    assert done["error"]["code"] == "worker_lost"
    assert "stopped answering" in done["error"]["message"]
    assert done["cost_micros"] == 0, "a failed job is not charged"


def test_a_frozen_worker_is_found_and_replaced(start_server: StartServer) -> None:
    server = start_server(fake=SLOW, env={"HELIOGRAPH_FLEET__LEASE_S": "1"})
    job = server.submit(steps=8)
    server.reaches(job["id"], "running")
    (frozen,) = server.worker_pids()
    os.kill(frozen, signal.SIGSTOP)
    done = server.finished(job["id"])
    assert (done["status"], done["attempt"]) == ("completed", 2)
    assert not is_alive(frozen), "it lost its lease and does not come back"
    (loss,) = [line for line in server.lines() if line["event"] == "worker lost"]
    assert loss["detail"] == "no sign of life for 1 s"


def test_cancel_really_stops_the_worker(start_server: StartServer) -> None:
    server = start_server(fake=SLOW)
    job = server.submit(steps=50)
    server.reaches(job["id"], "running")
    answer = server.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert answer.json()["status"] == "cancelled"
    follower = server.submit(steps=1)
    assert server.finished(follower["id"], within_s=3)["status"] == "completed", "the worker was not free at once"
    assert server.job(job["id"])["status"] == "cancelled"


def test_a_killed_server_finishes_everything_after_its_restart(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(fake=SLOW)
    jobs = [server.submit(prompt=f"picture {number}", steps=3)["id"] for number in range(6)]
    server.finished(jobs[0])
    eventually(lambda: server.some(jobs, "running"), within_s=10, what="a running job")
    workers = server.worker_pids() + server.postprocess_pids()
    before = server.job(jobs[0])
    server.kill()
    for pid in workers:
        eventually(lambda pid=pid: not is_alive(pid), within_s=3, what=f"the end of orphan {pid}")

    server.start()
    ended = [server.finished(job) for job in jobs]
    assert [job["status"] for job in ended] == ["completed"] * 6
    assert ended[0] == before, "a delivered job is as it was"
    for job in ended:
        for output in job["outputs"]:
            assert server.http.get(output["url"]).status_code == 200


def test_a_second_server_on_the_same_data_is_refused(start_server: StartServer) -> None:
    server = start_server()
    assert server.process is not None
    command = [sys.executable, "-m", "heliograph", "serve", "--port", "0", "--data-dir", str(server.data_dir)]
    second = subprocess.run(command, env=server.env, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 3
    assert str(server.process.pid) in second.stderr
    assert server.url in second.stderr
    assert "Traceback" not in second.stderr


def test_interrupting_drains_what_runs_and_keeps_what_waits(start_server: StartServer) -> None:
    server = start_server(fake=SLOW)
    running, waiting = server.submit(steps=10)["id"], server.submit(steps=10)["id"]
    server.reaches(running, "running")
    children = server.worker_pids() + server.postprocess_pids()
    server.signal(signal.SIGINT)
    refused = eventually(
        lambda: next(
            (a for a in [server.http.post("/v1/jobs", json={"prompt": "late"})] if a.status_code != 201), None
        ),
        within_s=2,
        what="a refusal while draining",
    )
    assert refused.status_code == 503
    assert "shutting down" in refused.json()["error"]["message"]
    assert server.wait() == 0
    assert not [pid for pid in children if is_alive(pid)]

    server.start()
    assert server.job(running)["status"] == "completed"
    assert server.job(running)["attempt"] == 1, "what ran was allowed to finish"
    assert server.finished(waiting)["status"] == "completed"


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4_096)):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def test_a_second_interrupt_ends_at_once_and_leaves_nobody_behind(start_server: StartServer) -> None:
    server = start_server(fake=SLOW)
    job = server.submit(steps=100)["id"]
    server.reaches(job, "running")
    children = server.worker_pids() + server.postprocess_pids()
    server.signal(signal.SIGTERM)
    eventually(lambda: server.http.get("/readyz").status_code == 503, within_s=5, what="draining")
    server.signal(signal.SIGINT)
    assert server.wait(timeout_s=8) == 0
    assert not [pid for pid in children if is_alive(pid)]
    server.start()
    assert server.job(job)["status"] not in ("failed", "cancelled"), "its job is not lost"


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system of its own needs root")
def test_a_full_disk_refuses_new_jobs_and_loses_none(start_server: StartServer, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], check=True)
    try:
        server = start_server(fake='{"step_s": 0.2}', data_dir=small / "data")
        server.log = tmp_path / "server.log"
        running = server.submit(steps=5)["id"]
        server.reaches(running, "running")
        filler = small / "filler"
        fill(filler)
        refusal = eventually(
            lambda: next(
                (
                    answer
                    for answer in [server.http.post("/v1/jobs", json={"prompt": "x" * 9_000, "model": "fake"})]
                    if answer.status_code != 201
                ),
                None,
            ),
            within_s=20,
            what="a refusal because of the full disk",
        )
        assert refusal.status_code == 503
        assert "disk is full" in refusal.json()["error"]["message"].lower()
        assert int(refusal.headers["retry-after"]) > 0
        assert server.http.get("/readyz").status_code == 503
        filler.unlink()
        assert server.finished(running)["status"] == "completed"
        eventually(lambda: server.http.get("/readyz").status_code == 200, within_s=10, what="recovery by itself")
        assert server.finished(server.submit()["id"])["status"] == "completed"
        server.stop()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
