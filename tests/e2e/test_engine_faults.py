"""Faults of every kind in real worker processes at once: each job ends right, and those beside them as if alone."""

import io
import json
import signal

import pytest
from PIL import Image

from tests.e2e.conftest import StartServer

pytestmark = pytest.mark.e2e

OPTIONS = json.dumps({"step_s": 0.01, "slow_s": 0.3, "prompted": True})
ENV = {
    "HELIOGRAPH_FLEET__WORKERS": "4",
    "HELIOGRAPH_FLEET__SLOT_MEMORY_BYTES": str(400 << 20),
    "HELIOGRAPH_FLEET__STEP_TIMEOUT_S": "3",
    "HELIOGRAPH_QUEUE__BACKOFF_S": "[0.0]",
}

PASSING = ("out_of_memory", "hog", "nan", "crash", "slow", "blank", "bug")
LASTING = {
    "out_of_memory": "engine_out_of_memory",
    "nan": "engine_nan",
    "crash": "worker_lost",
    "unsupported": "engine_unsupported_parameter",
    "bad_input": "engine_bad_input",
}


def test_every_job_ends_right_whatever_its_engine_does(start_server: StartServer) -> None:
    server = start_server(fake=OPTIONS, env=ENV)
    # Its size is a new one, so that nothing has been learned yet of how long such a run may be silent.
    hanging = server.submit("a boat, fault hang@2#1", steps=4, size="136x128")["id"]
    passing = {
        kind: server.submit(f"a boat, fault {kind}@{'end' if kind == 'blank' else 3}#1", steps=4)["id"]
        for kind in PASSING
    }
    lasting = {kind: server.submit(f"a boat, fault {kind}@3", steps=4)["id"] for kind in LASTING}
    neighbours = [server.submit("a boat", steps=4, seed=7)["id"] for _ in range(12)]

    for kind, job_id in {"hang": hanging, **passing}.items():
        job = server.finished(job_id, within_s=60)
        assert job["status"] == "completed", f"{kind}: {job['error']}"
        assert job["attempt"] == (1 if kind == "slow" else 2), f"{kind}: attempt {job['attempt']}"
    for kind, job_id in lasting.items():
        job = server.finished(job_id, within_s=60)
        assert (job["status"], job["error"]["code"], job["cost_micros"]) == ("failed", LASTING[kind], 0), kind
    jobs = [server.finished(job_id, within_s=60) for job_id in neighbours]
    assert {(job["status"], job["attempt"]) for job in jobs} == {("completed", 1)}
    pictures = [server.http.get(job["outputs"][0]["url"]).content for job in jobs]
    pixels = {Image.open(io.BytesIO(picture)).convert("RGB").tobytes() for picture in pictures}
    assert len(pixels) == 1, "the same order, the same picture"
    losses = [line["detail"] for line in server.lines() if line["event"] == "worker lost"]
    assert "no step for 3 s" in losses, "the hung worker was given longer than its limit"


def test_sizes_that_vary_do_not_run_out_of_memory_twice(start_server: StartServer) -> None:
    """A run takes 400 bytes a pixel here: four pictures of 512x512 at once are more than a worker may have."""
    env = {**ENV, "HELIOGRAPH_FLEET__WORKERS": "1", "HELIOGRAPH_FLEET__STEP_TIMEOUT_S": "20"}
    server = start_server(fake=json.dumps({"pixel_bytes": 400}), env=env)
    for size in ("256x256", "384x384", "512x512"):
        assert server.finished(server.submit(size=size, steps=1)["id"])["status"] == "completed"
    four = server.finished(server.submit(size="512x512", steps=1, n=4)["id"])
    assert (four["status"], four["attempt"]) == ("completed", 1), "it was known before that four at once do not fit"
    server.signal(signal.SIGTERM)
    server.wait()
    server.start()
    again = server.finished(server.submit(size="512x512", steps=1, n=4)["id"])
    assert (again["status"], again["attempt"]) == ("completed", 1), "what was learned outlives the server"


def test_without_anything_learned_the_first_one_costs_an_attempt(start_server: StartServer) -> None:
    env = {**ENV, "HELIOGRAPH_FLEET__WORKERS": "1", "HELIOGRAPH_FLEET__STEP_TIMEOUT_S": "20"}
    server = start_server(fake=json.dumps({"pixel_bytes": 400}), env=env)
    four = server.finished(server.submit(size="512x512", steps=1, n=4)["id"])
    assert (four["status"], four["attempt"]) == ("completed", 2)
