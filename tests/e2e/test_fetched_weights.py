"""A real model whose weights come over HTTP: fetched with the first job, shown while they come, used again after."""

import hashlib
from pathlib import Path

import pytest

import heliograph
from tests.e2e.conftest import StartServer
from tests.fleet.weights_server import WeightsServer
from tests.inference.serving import served

pytestmark = pytest.mark.e2e

FOLDER = Path(heliograph.__file__).parent / "weights" / "helio-base"
CARD = """
[models.fetched]
name = "Fetched"
family = "helio"
tasks = ["t2i"]
engine = "onnx"
prompt_dialect = "natural_language"
supports_negative_prompt = true
sizes = { default = "128x128", multiple = 32, side_min = 64, side_max = 192, pixels_max = 36864 }
steps = { min = 1, max = 50, draft = 4, standard = 8, high = 16 }
guidance = { min = 1.0, max = 10.0, default = 3.5 }
"""


def test_a_model_is_fetched_with_its_first_job(start_server: StartServer, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    listed = "".join(
        f'  {{ path = "{name}", bytes = {len(content)}, sha256 = "{hashlib.sha256(content).hexdigest()}" }},\n'
        for name, content in files.items()
    )
    weights, catalogue = WeightsServer(files, cuts=[1_000_000]), tmp_path / "models.toml"
    with served(weights.app()) as url:
        catalogue.write_text(f'{CARD}[models.fetched.fetch]\nbase = "{url}/hub"\nfiles = [\n{listed}]\n')
        server = start_server(env={"HELIOGRAPH_CATALOGUE__FILE": str(catalogue), "HELIOGRAPH_FLEET__WORKERS": "2"})
        order = {"model": "fetched", "steps": 2, "seed": 7}
        done = server.finished(server.submit("a boat at dawn", **order)["id"], within_s=60)
        assert done["status"] == "completed", done["error"]
        asked = len(weights.asked)
        assert asked == len(files) + 1, "the one that broke off was asked for twice"
        server.kill()
        server.start()
        again = server.finished(server.submit("a boat at dawn", **order)["id"], within_s=60)
        assert again["status"] == "completed"
        assert len(weights.asked) == asked, "nothing is fetched twice"
