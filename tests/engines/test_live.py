"""A diffusers model from the catalogue to the delivered picture: `heliograph serve`, a worker process, the API."""

import io
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.e2e.server import Server, eventually

CATALOGUE = """
[models.tiny-sd]
name = "Tiny SD"
family = "tiny"
tasks = ["t2i", "i2i", "inpaint"]
engine = "diffusers"
prompt_dialect = "clip_tags"
supports_negative_prompt = true
sizes = {{ default = "64x64", multiple = 8, side_min = 16, side_max = 128, pixels_max = 16384 }}
steps = {{ min = 1, max = 2000, draft = 2, standard = 4, high = 8 }}
guidance = {{ min = 1.0, max = 10.0, default = 3.0 }}
diffusers = {{ pipeline = "StableDiffusionPipeline", folder = "{root}/sd", scheduler = "euler-a" }}

[models.tiny-wan]
name = "Tiny Wan"
family = "tiny"
tasks = ["t2v"]
engine = "diffusers"
prompt_dialect = "natural_language"
supports_negative_prompt = true
sizes = {{ default = "32x32", multiple = 16, side_min = 16, side_max = 64, pixels_max = 4096 }}
steps = {{ min = 1, max = 50, draft = 2, standard = 3, high = 8 }}
guidance = {{ min = 1.0, max = 10.0, default = 3.0 }}
frames = {{ min = 5, max = 9, default = 5, per_second = 8 }}
diffusers = {{ pipeline = "WanPipeline", folder = "{root}/wan" }}
"""


@pytest.fixture(scope="module")
def server(pipelines: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("live")
    (root / "models.toml").write_text(CATALOGUE.format(root=pipelines))
    env = {
        "HELIOGRAPH_CATALOGUE__FILE": str(root / "models.toml"),
        "HELIOGRAPH_FLEET__ALWAYS_WARM": '["tiny-sd"]',
        "HELIOGRAPH_FLEET__WORKERS": "1",
        "HELIOGRAPH_FLEET__IDLE_MIN_S": "0",
    }
    server = Server(root / "data", env).start()
    yield server
    server.stop()


def made(server: Server, **fields: Any) -> dict[str, Any]:
    submitted = server.http.post("/v1/jobs", json={"prompt": "a red boat", **fields})
    assert submitted.status_code == 201, submitted.text
    path = f"/v1/jobs/{submitted.json()['id']}"

    def ended() -> dict[str, Any] | None:
        job = server.http.get(path).json()
        return job if job["status"] in ("completed", "failed", "cancelled") else None

    return eventually(ended, within_s=60, what="an end of the job")


def picture(server: Server, job: dict[str, Any]) -> bytes:
    assert job["status"] == "completed", job
    return server.http.get(job["outputs"][0]["url"]).content


def pixels(file: bytes) -> bytes:
    return Image.open(io.BytesIO(file)).tobytes()


def test_a_picture_by_the_api_is_the_same_again(server: Server) -> None:
    first, again = (made(server, model="tiny-sd", seed=7, steps=4) for _ in range(2))
    other = made(server, model="tiny-sd", seed=8, steps=4)
    same, anew, different = (pixels(picture(server, job)) for job in (first, again, other))
    assert same == anew, "the files differ by the date of their signatures, the pixels do not"
    assert same != different


def test_a_run_is_cancelled_at_its_next_step(server: Server) -> None:
    job = server.http.post("/v1/jobs", json={"prompt": "a boat", "model": "tiny-sd", "steps": 2000}).json()
    path = f"/v1/jobs/{job['id']}"
    eventually(lambda: (server.http.get(path).json().get("progress") or {}).get("step"), within_s=60, what="a step")
    begun_s = time.monotonic()
    server.http.post(f"{path}/cancel")
    eventually(lambda: server.http.get(path).json()["status"] == "cancelled", within_s=10, what="the end")
    assert made(server, model="tiny-sd", steps=2)["status"] == "completed"
    assert time.monotonic() - begun_s < 60, "the worker went on with what was called off"


def test_a_clip_by_the_api(server: Server) -> None:
    job = made(server, model="tiny-wan", seed=7)
    assert picture(server, job)[:4] == b"RIFF"
