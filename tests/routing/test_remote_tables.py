"""The catalogue's tables of models that run elsewhere: what is read, and what is refused before it is promised."""

import json
from dataclasses import asdict

import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.remote_options import ComfyOptions, RemoteOptions, ServerFamily, comfy_from, remote_from
from heliograph.routing.catalogue import merge, parse_catalogue

CARD = """
[models.far]
name = "Far"
family = "far"
tasks = ["t2i"]
prompt_dialect = "natural_language"
supports_negative_prompt = true
sizes = { default = "64x64", multiple = 8, side_min = 8, side_max = 512, pixels_max = 262144 }
steps = { min = 1, max = 50, draft = 4, standard = 8, high = 20 }
guidance = { min = 1.0, max = 20.0, default = 3.5 }
"""
REMOTE = """
engine = "remote-openai"
[models.far.remote]
server = "vllm-omni"
urls = ["http://192.0.2.7:8000"]
model = "acme/painter"
"""
COMFY = """
engine = "comfyui"
[models.far.comfyui]
urls = ["http://192.0.2.7:8188", "https://comfy.example.com/api"]
workflow = "/etc/flow.json"
output = "9"
[models.far.comfyui.inputs]
prompt = ["6.text_g", "6.text_l"]
negative_prompt = "7.text"
seed = "3.seed"
steps = "3.steps"
guidance = "3.cfg"
width = "5.width"
height = "5.height"
"""


def card_of(text: str) -> ModelCard:
    return merge(parse_catalogue(text, origin="mine.toml")).cards[ModelId("far")]


def test_a_model_on_an_openai_compatible_server() -> None:
    more = 'networks = ["10.0.0.0/8"]\nkey_env = "KEY"\ntimeout_s = 30\nprogress = true\nstops_when_told = true\n'
    assert card_of(CARD + REMOTE + more).remote == RemoteOptions(
        server=ServerFamily.VLLM_OMNI,
        urls=("http://192.0.2.7:8000",),
        model="acme/painter",
        networks=("10.0.0.0/8",),
        key_env="KEY",
        timeout_s=30.0,
        has_progress=True,
        stops_when_told=True,
    )


def test_a_model_behind_comfyui() -> None:
    options = card_of(CARD + COMFY).remote
    assert isinstance(options, ComfyOptions)
    assert options.places["prompt"] == (("6", "text_g"), ("6", "text_l"))
    assert (options.workflow, options.output, options.sampler) == ("/etc/flow.json", "9", None)


@pytest.mark.parametrize("text", [CARD + REMOTE, CARD + COMFY])
def test_the_options_survive_a_workers_command_line(text: str) -> None:
    options = card_of(text).remote
    assert options is not None
    fields = json.loads(json.dumps(asdict(options)))
    again = comfy_from(fields) if isinstance(options, ComfyOptions) else remote_from(fields)
    assert again == options


OPENAI = REMOTE.replace("vllm-omni", "openai")
PLAIN = CARD.replace("supports_negative_prompt = true", "supports_negative_prompt = false").replace(
    "guidance = { min = 1.0, max = 20.0, default = 3.5 }", ""
)
ONE_VALUE = PLAIN.replace("min = 1, max = 50, draft = 4, standard = 8", "min = 20, max = 20, draft = 20, standard = 20")


@pytest.mark.parametrize(
    ("text", "param", "problem"),
    [
        (CARD + 'engine = "remote-openai"', "models.far.remote", "is missing; the engine remote-openai needs"),
        (CARD + 'engine = "comfyui"', "models.far.comfyui", "is missing; the engine comfyui needs this table"),
        (CARD + REMOTE.replace("remote-openai", "comfyui"), "models.far.remote", 'engine = "remote-openai"'),
        (CARD + REMOTE.replace("http://192.0.2.7:8000", "192.0.2.7"), "models.far.remote.urls", "addresses like"),
        (CARD + REMOTE.replace("//192", "//user:pass@192"), "models.far.remote.urls", "addresses like"),
        (CARD + REMOTE + 'networks = ["10/99"]', "models.far.remote.networks", "10/99"),
        (CARD + REMOTE + 'key_env = "sk-123"', "models.far.remote.key_env", "environment variable"),
        (CARD + OPENAI, "models.far.steps", "promises steps, which servers of the family openai drop"),
        (PLAIN + OPENAI, "models.far.steps", "promises steps"),
        (
            ONE_VALUE.replace("supports_negative_prompt = false", "supports_negative_prompt = true") + OPENAI,
            "models.far.supports_negative_prompt",
            "promises negative_prompt",
        ),
        (CARD + COMFY.replace('"3.seed"', '"seed"'), "models.far.comfyui.inputs.seed", 'like "6.text"'),
        (CARD + COMFY.replace('seed = "3.seed"\n', ""), "models.far.comfyui.inputs.seed", "every model needs it"),
        (CARD + COMFY.replace('guidance = "3.cfg"\n', ""), "models.far.comfyui.inputs.guidance", "guidance needs it"),
        (CARD + COMFY + 'sharpness = "1.x"', "models.far.comfyui.inputs.sharpness", "is not known"),
        (CARD.replace('"t2i"', '"t2i", "i2i"') + COMFY, "models.far.comfyui.inputs.image", "tasks needs it"),
        (CARD + COMFY.replace("/etc/flow", "etc/flow"), "models.far.comfyui.workflow", "absolute path"),
    ],
)
def test_what_cannot_work_is_refused_by_field(text: str, param: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as caught:
        card_of(text)
    assert caught.value.param == param


def test_a_model_that_promises_nothing_may_run_on_openais_own_servers() -> None:
    assert card_of(ONE_VALUE + OPENAI).remote is not None
