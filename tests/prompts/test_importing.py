"""Settings as each tool writes them: what is read, what is listed as left out, and what nothing can break."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_card

from heliograph.delivery.parameters import PictureParameters, format_parameters
from heliograph.domain.errors import InvalidRequest
from heliograph.domain.model_card import FrameRule
from heliograph.prompts import RawRequest, prepare
from heliograph.prompts.fitting import fitted, settings_in
from heliograph.prompts.importing import FoundSettings, Tool, bare_model_name, found_settings

A1111 = """(masterpiece:1.2), a red boat,
on the sea <lora:waves:0.6>
Negative prompt: blurry,
low quality
Steps: 25, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1234567890, Size: 768x512, Model hash: 6ce0161689, \
Model: dreamshaper_8, Denoising strength: 0.4, Clip skip: 2, Lora hashes: "waves: 1234, other: 5678", Version: v1.9.4"""

FORGE_ONE_LINE = "a cat\nSteps: 8, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Seed: 5, Size: 1024x1024"

COMFY: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 156680208700286, "steps": 20, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal",
            "denoise": 1.0, "model": ["10", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sub/v1-5-pruned.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 768, "height": 512, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["11", 0], "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, watermark", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "10": {"class_type": "LoraLoader", "inputs": {"lora_name": "glass.safetensors", "strength_model": 0.8,
                                                  "strength_clip": 1.0, "model": ["4", 0], "clip": ["4", 1]}},
    "11": {"class_type": "PrimitiveString", "inputs": {"value": "beautiful scenery (glass bottle:1.3)"}},
}  # fmt: skip

COMFY_FLUX: dict[str, Any] = {
    "13": {"class_type": "SamplerCustomAdvanced", "inputs": {"noise": ["25", 0], "guider": ["22", 0],
           "sampler": ["16", 0], "sigmas": ["17", 0], "latent_image": ["27", 0]}},
    "25": {"class_type": "RandomNoise", "inputs": {"noise_seed": 42}},
    "22": {"class_type": "BasicGuider", "inputs": {"model": ["12", 0], "conditioning": ["26", 0]}},
    "26": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["6", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["11", 0]}},
    "16": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
    "17": {"class_type": "BasicScheduler", "inputs": {"scheduler": "simple", "steps": 20, "denoise": 1.0,
           "model": ["12", 0]}},
    "27": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 1024, "height": 768, "batch_size": 1}},
    "12": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors", "weight_dtype": "default"}},
}  # fmt: skip

COMFY_EDITOR: dict[str, Any] = {
    "nodes": [
        {"id": 3, "type": "KSampler", "widgets_values": [77, "fixed", 12, 6.5, "euler", "normal", 1],
         "inputs": [{"name": "model", "link": 1}, {"name": "positive", "link": 4}, {"name": "negative", "link": 6},
                    {"name": "latent_image", "link": 2}]},
        {"id": 4, "type": "CheckpointLoaderSimple", "widgets_values": ["sd_xl_base_1.0.safetensors"]},
        {"id": 5, "type": "EmptyLatentImage", "widgets_values": [512, 640, 1]},
        {"id": 6, "type": "CLIPTextEncode", "widgets_values": ["a lake"]},
        {"id": 7, "type": "CLIPTextEncode", "widgets_values": ["people"]},
    ],
    "links": [[1, 4, 0, 3, 0, "MODEL"], [2, 5, 0, 3, 3, "LATENT"], [4, 6, 0, 3, 1, "C"], [6, 7, 0, 3, 2, "C"]],
}  # fmt: skip

INVOKE: dict[str, Any] = {
    "generation_mode": "sdxl_txt2img", "positive_prompt": "a (castle)++ at dawn", "negative_prompt": "fog",
    "width": 1024, "height": 768, "seed": 99, "rand_device": "cpu", "cfg_scale": 7.5, "steps": 30,
    "scheduler": "dpmpp_2m", "model": {"key": "k", "hash": "h", "name": "Juggernaut XL", "base": "sdxl"},
    "loras": [{"model": {"name": "detail"}, "weight": 0.5}], "app_version": "6.5.0",
}  # fmt: skip

INVOKE_2: dict[str, Any] = {
    "model": "stable diffusion", "model_weights": "stable-diffusion-1.5", "app_version": "2.3.5",
    "image": {"prompt": [{"prompt": "a harbour", "weight": 1.0}], "steps": 50, "cfg_scale": 7.5, "height": 512,
              "width": 640, "seed": 3, "sampler": "k_lms", "variations": []},
}  # fmt: skip

SWARM: dict[str, Any] = {
    "sui_image_params": {
        "prompt": "a <random:red,blue> door", "negativeprompt": "rust", "model": "OfficialSD/sd_xl_base_1.0",
        "seed": 7, "steps": 22, "cfgscale": 6.0, "aspectratio": "3:2", "width": 1216, "height": 832,
        "sampler": "euler", "loras": ["doors"], "loraweights": ["0.7"], "swarm_version": "0.9.7.1",
    },
    "sui_extra_data": {"date": "2026-01-01"},
}  # fmt: skip

FOUND: list[tuple[str, dict[str, str], Tool, dict[str, object], str | None, set[str]]] = [
    ("a1111", {"parameters": A1111}, Tool.A1111,
     {"prompt": "(masterpiece:1.2), a red boat,\non the sea <lora:waves:0.6>",
      "negative_prompt": "blurry,\nlow quality",
      "steps": 25, "guidance_scale": 7, "seed": 1234567890, "size": "768x512", "prompt_syntax": "a1111"},
     "dreamshaper_8", {"Sampler", "Model hash", "Denoising strength", "Clip skip", "Lora hashes"}),
    ("forge", {"text": FORGE_ONE_LINE}, Tool.A1111,
     {"prompt": "a cat", "steps": 8, "guidance_scale": 1, "seed": 5, "size": "1024x1024", "prompt_syntax": "a1111"},
     None, {"Sampler", "Schedule type"}),
    ("comfy", {"workflow": "{}", "prompt": json.dumps(COMFY)}, Tool.COMFYUI,
     {"prompt": "beautiful scenery (glass bottle:1.3)", "negative_prompt": "text, watermark", "steps": 20,
      "guidance_scale": 8, "size": "768x512", "prompt_syntax": "comfyui"},
     "sub/v1-5-pruned.safetensors", {"seed", "sampler_name", "scheduler", "lora glass.safetensors"}),
    ("comfy flux", {"prompt": json.dumps(COMFY_FLUX)}, Tool.COMFYUI,
     {"prompt": "a fox", "steps": 20, "guidance_scale": 3.5, "seed": 42, "size": "1024x768",
      "prompt_syntax": "comfyui"}, "flux1-dev.safetensors", {"sampler_name", "scheduler"}),
    ("comfy editor", {"text": json.dumps(COMFY_EDITOR)}, Tool.COMFYUI,
     {"prompt": "a lake", "negative_prompt": "people", "steps": 12, "guidance_scale": 6.5, "seed": 77,
      "size": "512x640", "prompt_syntax": "comfyui"}, "sd_xl_base_1.0.safetensors", {"sampler_name", "scheduler"}),
    ("comfy wrapped", {"text": json.dumps({"prompt": COMFY_FLUX, "client_id": "x"})}, Tool.COMFYUI,
     {"prompt": "a fox", "steps": 20, "guidance_scale": 3.5, "seed": 42, "size": "1024x768",
      "prompt_syntax": "comfyui"}, "flux1-dev.safetensors", {"sampler_name", "scheduler"}),
    ("invoke", {"invokeai_metadata": json.dumps(INVOKE)}, Tool.INVOKEAI,
     {"prompt": "a (castle)++ at dawn", "negative_prompt": "fog", "steps": 30, "guidance_scale": 7.5, "seed": 99,
      "size": "1024x768", "prompt_syntax": "compel"}, "Juggernaut XL", {"loras", "scheduler"}),
    ("invoke 2", {"sd-metadata": json.dumps(INVOKE_2)}, Tool.INVOKEAI,
     {"prompt": "a harbour", "steps": 50, "guidance_scale": 7.5, "seed": 3, "size": "640x512",
      "prompt_syntax": "compel"}, "stable-diffusion-1.5", {"sampler"}),
    ("swarm", {"parameters": json.dumps(SWARM)}, Tool.SWARMUI,
     {"prompt": "a <random:red,blue> door", "negative_prompt": "rust", "steps": 22, "guidance_scale": 6, "seed": 7,
      "size": "1216x832", "prompt_syntax": "swarm"}, "OfficialSD/sd_xl_base_1.0", {"sampler", "loras", "loraweights"}),
]  # fmt: skip


@pytest.mark.parametrize(("notes", "tool", "fields", "model", "left_out"), [each[1:] for each in FOUND])
def test_the_settings_of_each_tool_are_read(
    notes: dict[str, str], tool: Tool, fields: dict[str, object], model: str | None, left_out: set[str]
) -> None:
    found = found_settings(notes)
    assert found is not None
    assert (found.tool, found.fields, found.model) == (tool, fields, model)
    assert left_out <= set(found.left_out)


def test_a_seed_that_is_too_large_is_left_out_and_said() -> None:
    found = found_settings({"prompt": json.dumps(COMFY)})
    assert found is not None
    assert "seed" not in found.fields
    assert found.left_out["seed"] == "156680208700286"


@given(st.text(max_size=60), st.text(max_size=60), st.integers(1, 100), st.floats(0, 30), st.integers(0, 2**32 - 1))
def test_what_we_write_ourselves_we_read_again(
    prompt: str, negative: str, steps: int, guidance: float, seed: int
) -> None:
    written = format_parameters(
        PictureParameters(
            prompt=prompt, negative_prompt=negative, steps=steps, guidance=guidance, seed=seed, width_px=160,
            height_px=96, model="helio-base", version="heliograph 0.1.0",
        )
    )  # fmt: skip
    found = found_settings({"parameters": written})
    assert found is not None
    assert (found.tool, found.model, found.left_out) == (Tool.HELIOGRAPH, "helio-base", {})
    assert found.fields.get("prompt", "").strip() == prompt.strip()
    assert found.fields.get("negative_prompt", "").strip() == negative.strip()
    assert (found.fields["steps"], found.fields["seed"], found.fields["size"]) == (steps, seed, "160x96")
    assert found.fields["guidance_scale"] == pytest.approx(guidance)


NOTHING = [
    {}, {"parameters": ""}, {"text": "a red boat"}, {"text": "Steps: 8"}, {"text": "{"}, {"text": "[1, 2]"},
    {"text": "{}"}, {"prompt": "{}"}, {"prompt": '{"1": {"class_type": "SaveImage", "inputs": {}}}'},
    {"prompt": '{"1": {"class_type": "KSampler", "inputs": {"positive": ["1", 0], "latent_image": ["1", 0]}}}'},
    {"text": "{" * 100_000}, {"text": '{"a":' * 100_000}, {"text": '{"sui_image_params": {"prompt": 7}}'},
    {"text": '{"nodes": [7, {"id": [], "type": 3}], "links": [[]]}'}, {"Software": "GIMP"},
    {"workflow": '{"nodes": [{"id": 1, "type": "KSampler", "widgets_values": {"seed": 1}}]}'},
]  # fmt: skip


@pytest.mark.parametrize("notes", NOTHING)
def test_where_there_are_no_settings_none_are_made_up(notes: dict[str, str]) -> None:
    assert found_settings(notes) is None


def test_a_graph_that_bites_its_own_tail_ends() -> None:
    graph = {str(i): {"class_type": "KSampler", "inputs": {
        "positive": [str((i + 1) % 9), 0], "negative": [str(i), 0], "latent_image": [str((i + 2) % 9), 0],
        "model": [str((i + 3) % 9), 0], "steps": [str((i + 4) % 9), 0], "seed": 5, "cfg": [str(i), 0]}}
        for i in range(9)}  # fmt: skip
    found = found_settings({"prompt": json.dumps(graph)})
    assert found is not None
    assert found.fields["seed"] == 5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
SAMPLES = [COMFY, COMFY_FLUX, COMFY_EDITOR, INVOKE, INVOKE_2, SWARM]


@given(st.sampled_from(SAMPLES), st.data())
def test_a_document_with_anything_anywhere_is_read_or_not(sample: dict[str, Any], data: st.DataObject) -> None:
    document = json.loads(json.dumps(sample))
    for _ in range(data.draw(st.integers(1, 4))):
        place: Any = document
        while isinstance(place, dict | list) and place:
            key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
            if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
                place[key] = data.draw(json_values)
                break
            place = place[key]
    found = found_settings({"text": json.dumps(document)})
    if found is not None:
        fitted(found, a_card())
        assert all(isinstance(value, str | int | float) for value in found.fields.values())


@given(st.text(max_size=200), st.text(alphabet='Steps: 8,"\\ \nNegative prompt', max_size=200))
def test_any_text_is_read_or_not(text: str, settings: str) -> None:
    for each in (text, f"{text}\n{settings}", f"{settings}\nSteps: 8, Seed: 1, Size: {text}"):
        found_settings({"parameters": each})


def test_long_runs_of_spaces_and_quotes_take_no_time() -> None:
    for filler in (" " * 300_000, 'a:"' * 100_000, '"\\' * 100_000, "a: b " * 60_000, "-" * 300_000):
        found = found_settings({"parameters": f"a cat\nSteps: 8, Seed: 1, {filler} X: 1, Size: 64x64"})
        assert found is None or found.tool is Tool.A1111


# --- fitted to a model -----------------------------------------------------------------------------------------------


def found(**fields: object) -> FoundSettings:
    return FoundSettings(tool=Tool.A1111, fields={"prompt": "a cat", **fields})


FITTED = [
    ({"size": "300x200"}, {"size": "320x192"}),
    ({"size": "256x256"}, {"size": "256x256"}),
    ({"steps": 1000}, {"steps": 50}),
    ({"steps": 20, "guidance_scale": 3}, {"steps": 20, "guidance_scale": 3}),
    ({"guidance_scale": 25}, {"guidance_scale": 10}),
    ({"guidance_scale": 0}, {"guidance_scale": 1}),
    ({"frames": 12}, {}),
]


@pytest.mark.parametrize(("given", "becomes"), FITTED)
def test_settings_become_the_closest_that_the_model_takes(given: dict[str, object], becomes: dict[str, object]) -> None:
    imported = fitted(found(**given), a_card())
    assert imported.fields == {"prompt": "a cat", **becomes}
    changed = {name for name in given if given[name] != becomes.get(name)}
    assert {change.parameter for change in imported.changes} == changed
    fields = {name: value for name, value in imported.fields.items() if name != "model"}
    prepare(RawRequest(**fields), a_card(), presets={}, count_tokens=None, draw_seed=lambda: 7)


def test_what_the_model_lacks_is_left_out_and_said() -> None:
    plain = a_card(guidance=None, supports_negative_prompt=False)
    imported = fitted(found(negative_prompt="fog", guidance_scale=7), plain)
    assert imported.fields == {"prompt": "a cat"}
    assert [change.used for change in imported.changes] == ["left out", "left out"]
    clips = a_card(frames=FrameRule(minimum=4, maximum=16, default=12, per_second=8.0))
    assert fitted(found(frames=100), clips).fields["frames"] == 16


def test_the_model_that_is_named_comes_first_and_the_one_asked_for_second() -> None:
    notes = {"parameters": A1111}
    named, asked = a_card("dreamshaper_8"), a_card("other")
    known = {"dreamshaper_8": named}
    for find, card in ((known.get, named), ({}.get, asked)):
        assert settings_in(notes, param="file", asked=asked, find=find).card == card
    assert settings_in(notes, param="file", asked=None, find={}.get).card is None
    with pytest.raises(InvalidRequest, match="no settings in file") as caught:
        settings_in({}, param="file", asked=None, find={}.get)
    assert (caught.value.param, caught.value.code) == ("file", "no_settings_found")


def test_a_model_is_known_without_the_folder_and_ending_of_its_file() -> None:
    assert bare_model_name("sub\\dir/sd_xl_base_1.0.safetensors") == "sd_xl_base_1.0"
    assert bare_model_name("flux.1-dev") == "flux.1-dev"
