"""Real servers and workers: a run that is interrupted goes on where it was, to the same bits."""

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.server import Server, eventually

pytestmark = pytest.mark.e2e

SLOW = '{"step_s": 0.05}'
KEEP_OFTEN = {"HELIOGRAPH_FLEET__CHECKPOINT_EVERY_S": "0.2"}
LONG_STEPS = 100
BOTH_BUILT_IN = {
    "HELIOGRAPH_FLEET__ALWAYS_WARM": '["helio-base", "helio-motion"]',
    "HELIOGRAPH_FLEET__WORKERS": "1",
    "HELIOGRAPH_FLEET__MODELS_PER_SLOT": "2",
}
"""Both models on the only slot, one of them at work at a time."""


def kept(server: Server) -> list[Path]:
    return sorted((server.data_dir / "checkpoints").iterdir())


def causes(server: Server, job_id: str) -> list[str]:
    return [line["cause"] for line in server.lines() if line.get("job_id") == job_id and "cause" in line]


def steps_made(server: Server) -> float:
    """Steps that were made so far, of all jobs."""
    lines = server.http.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("heliograph_steps_total{"))


def test_after_a_kill_of_its_worker_a_run_goes_on_from_what_was_kept(start_server: StartServer) -> None:
    server = start_server(fake=SLOW, env=KEEP_OFTEN)
    job = server.submit(steps=40)
    eventually(lambda: kept(server), within_s=10, what="a checkpoint")
    os.kill(server.worker_pids()[0], signal.SIGKILL)
    done = server.finished(job["id"])
    assert (done["status"], done["attempt"]) == ("completed", 2)
    assert steps_made(server) < 60, "what was done before the last checkpoint was not done again"
    eventually(lambda: not kept(server), within_s=5, what="the end of the checkpoint with its job")


def test_after_a_kill_of_the_server_a_run_goes_on_from_what_was_kept(start_server: StartServer) -> None:
    server = start_server(fake=SLOW, env=KEEP_OFTEN)
    job = server.submit(steps=40)

    def is_half_done() -> bool:
        progress = server.job(job["id"])["progress"]
        return progress is not None and progress["step"] >= 20

    eventually(is_half_done, within_s=10, what="half of a run")
    orphan = server.data_dir / "checkpoints" / "job_of_nobody.safetensors"
    orphan.write_bytes(b"of a job that has ended")
    server.kill()
    server.start()
    done = server.finished(job["id"])
    assert (done["status"], done["attempt"]) == ("completed", 2)
    assert steps_made(server) < 30, "the first half was not done again"
    assert not orphan.exists()


def test_what_has_not_ended_when_the_server_must_goes_on_after_its_restart(start_server: StartServer) -> None:
    server = start_server(fake=SLOW, env={"HELIOGRAPH_SERVER__DRAIN_S": "0.2"})
    job = server.submit(steps=40)

    def is_under_way() -> bool:
        progress = server.job(job["id"])["progress"]
        return progress is not None and progress["step"] >= 20

    eventually(is_under_way, within_s=15, what="twenty steps")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "paused" in causes(server, job["id"])
    server.start()
    done = server.finished(job["id"])
    assert (done["status"], done["attempt"]) == ("completed", 2)
    assert steps_made(server) <= 20, "no step was made twice"


def test_a_picture_does_not_wait_for_the_clip_of_another_model(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", BOTH_BUILT_IN)
    try:
        server.start()
        eventually(lambda: len(server.worker_pids()) == 2, within_s=20, what="both models on the only slot")
        clip = server.submit(model="helio-motion", prompt="a sailing boat at dawn", steps=40, n=6)
        server.reaches(clip["id"], "running")
        picture = server.finished(server.submit(model="helio-base", steps=2)["id"])
        assert picture["status"] == "completed"
        assert server.job(clip["id"])["completed_at"] is None, "the picture did not wait"
        done = server.finished(clip["id"], within_s=60)
    finally:
        server.stop()
    assert (done["status"], done["attempt"], len(done["outputs"])) == ("completed", 2, 6)
    assert causes(server, clip["id"]).count("paused") == 1


def test_a_long_run_on_the_only_worker_makes_way_for_a_short_one(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(fake='{"step_s": 0.03}')
    server.finished(server.submit(steps=10)["id"])  # from now on it is known how long runs take
    long = server.submit(steps=LONG_STEPS, seed=7)
    eventually(lambda: (server.job(long["id"])["progress"] or {"step": 0})["step"] >= 3, within_s=10, what="step 3")
    short = server.finished(server.submit(steps=2)["id"], within_s=5)
    assert short["status"] == "completed"
    assert server.job(long["id"])["progress"]["step"] < LONG_STEPS, "the short one did not wait"
    done = server.finished(long["id"])
    assert (done["status"], done["attempt"]) == ("completed", 2)
    assert causes(server, long["id"]).count("paused") == 1
    assert steps_made(server) == 10 + LONG_STEPS + 2, "no step was made twice"
    eventually(lambda: not kept(server), within_s=5, what="the end of the checkpoint with its job")
    fast = start_server(data_dir=tmp_path / "fast")
    alone = fast.finished(fast.submit(steps=LONG_STEPS, seed=7)["id"])
    pixels = [job["outputs"][0]["pixels_sha256"] for job in (done, alone)]  # files are signed with their time
    assert pixels[0] is not None
    assert pixels[0] == pixels[1], "to the bit what it would have been"
