"""Models that run on servers elsewhere, through the whole system: catalogue, worker process, events, cancelling."""

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.server import eventually
from tests.inference.comfy_server import ComfyServer, workflow
from tests.inference.openai_server import MODEL, PaintServer
from tests.inference.serving import served

pytestmark = pytest.mark.e2e

CATALOGUE = """
[models.painter]
name = "Painter"
family = "painter"
tasks = ["t2i", "t2v"]
engine = "remote-openai"
prompt_dialect = "natural_language"
supports_negative_prompt = true
sizes = {{ default = "64x64", multiple = 8, side_min = 8, side_max = 512, pixels_max = 262144 }}
steps = {{ min = 1, max = 500, draft = 4, standard = 8, high = 20 }}
guidance = {{ min = 1.0, max = 20.0, default = 3.5 }}
frames = {{ min = 2, max = 16, default = 4, per_second = 8 }}

[models.painter.remote]
server = "vllm-omni"
urls = ["{painter}"]
model = "{model}"

[models.comfy]
name = "Comfy"
family = "comfy"
tasks = ["t2i"]
engine = "comfyui"
prompt_dialect = "natural_language"
supports_negative_prompt = true
sizes = {{ default = "64x64", multiple = 8, side_min = 8, side_max = 512, pixels_max = 262144 }}
steps = {{ min = 1, max = 500, draft = 4, standard = 8, high = 20 }}
guidance = {{ min = 1.0, max = 20.0, default = 3.5 }}

[models.comfy.comfyui]
urls = ["{comfy}"]
workflow = "{workflow}"
output = "9"

[models.comfy.comfyui.inputs]
prompt = "6.text"
negative_prompt = "7.text"
seed = "3.seed"
steps = "3.steps"
guidance = "3.cfg"
width = "5.width"
height = "5.height"
"""


def test_models_on_other_servers_are_models_like_any_other(start_server: StartServer, tmp_path: Path) -> None:
    painter, comfy = PaintServer(step_s=0.02), ComfyServer(step_s=0.1)
    flow, catalogue = tmp_path / "flow.json", tmp_path / "models.toml"
    flow.write_text(json.dumps(workflow()))
    with served(painter.app()) as painter_url, served(comfy.app()) as comfy_url:
        catalogue.write_text(CATALOGUE.format(painter=painter_url, model=MODEL, comfy=comfy_url, workflow=flow))
        env = {
            "HELIOGRAPH_CATALOGUE__FILE": str(catalogue),
            "HELIOGRAPH_FLEET__ALWAYS_WARM": '["painter", "comfy"]',
            "HELIOGRAPH_FLEET__WORKERS": "2",
        }
        server = start_server(env=env)

        done = server.finished(server.submit("a red boat", model="painter", n=2, seed=7)["id"])
        assert (done["status"], [output["seed"] for output in done["outputs"]]) == ("completed", [7, 8]), done["error"]
        clip = server.finished(server.submit("a red boat", model="painter", task="t2v", frames=4)["id"])
        assert (clip["status"], clip["outputs"][0]["frames"]) == ("completed", 4), clip["error"]

        job = server.submit("a red boat", model="comfy", steps=8)
        with server.http.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
            names = [line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: ")]
        assert server.job(job["id"])["status"] == "completed"
        assert {"progress", "preview", "done"} <= set(names)

        long = server.submit("a red boat", model="comfy", steps=500)
        server.reaches(long["id"], "running")
        eventually(lambda: comfy.running is not None, within_s=10, what="a prompt that runs")
        server.http.post(f"/v1/jobs/{long['id']}/cancel")
        eventually(lambda: comfy.interrupted, within_s=10, what="an interrupt")
        assert server.finished(server.submit("a boat", model="comfy", steps=1)["id"])["status"] == "completed"

        painter.failure = (500, "CUDA out of memory")
        failed = server.finished(server.submit("a boat", model="painter", steps=1)["id"], within_s=60)
        assert (failed["status"], failed["error"]["code"]) == ("failed", "engine_out_of_memory")
