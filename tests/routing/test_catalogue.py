import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import heliograph
import heliograph.data
from heliograph.domain.errors import InvalidRequest
from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import Catalogue, EngineKind, Measured, ModelCard, PromptDialect, Timing
from heliograph.routing.built_in import with_measured
from heliograph.routing.catalogue import CatalogueFile, merge, parse_catalogue

DATA = Path(heliograph.data.__path__[0])
SHIPPED_TEXT = (DATA / "catalogue.toml").read_text(encoding="utf-8")
TESTING_TEXT = (DATA / "catalogue-testing.toml").read_text(encoding="utf-8")
SHIPPED = parse_catalogue(SHIPPED_TEXT, origin="catalogue.toml")

MINE = """
[models.mine]
name = "Mine"
family = "sdxl"
tasks = ["t2i"]
prompt_dialect = "clip_tags"
supports_negative_prompt = true
sizes = { default = "1024x768", multiple = 8, side_min = 512, side_max = 2048, pixels_max = 1572864 }
steps = { min = 1, max = 50, draft = 10, standard = 20, high = 30 }
"""


def with_mine(text: str) -> Catalogue:
    """The shipped catalogue with an operator's file over it."""
    return merge(SHIPPED, parse_catalogue(text, origin="mine.toml"))


def card(catalogue: Catalogue, name: str) -> ModelCard:
    found = catalogue.resolve(name)
    assert found is not None, name
    return found


BUILT_IN = ["helio-base", "helio-turbo", "helio-base-int8", "helio-motion"]


def test_the_shipped_file_knows_at_least_thirty_real_models_and_the_built_in_one() -> None:
    catalogue = merge(SHIPPED)
    assert len([card for card in catalogue.cards.values() if card.engine is None]) >= 30
    assert [card.model_id for card in catalogue.runnable([EngineKind.ONNX])] == BUILT_IN
    assert {task for card in catalogue.cards.values() for task in card.tasks} >= {"t2i", "edit", "t2v", "i2v"}


def test_the_built_in_model() -> None:
    helio = card(merge(SHIPPED), "helio-base")
    assert (helio.weights, helio.token_limit, helio.licence) == ("helio-base", 32, "Apache-2.0")
    assert helio.sizes.only == ((128, 128), (160, 96), (96, 160))
    assert (helio.steps.minimum, helio.steps.maximum) == (1, 50)
    assert (helio.steps.draft, helio.steps.standard, helio.steps.high) == (4, 8, 20)
    assert helio.guidance is not None
    assert (helio.guidance.minimum, helio.guidance.maximum, helio.guidance.default) == (1.0, 10.0, 3.5)
    assert (helio.upscale, helio.alignment) == ((2, 4), "helio-clip")
    assert helio.limits is not None
    assert helio.limits.startswith("Draws small landscapes only")


@pytest.mark.parametrize(
    "name",
    [
        "gpt-image-1",
        "gpt-image-1.5",
        "gpt-image-1-mini",
        "gpt-image-2",
        "dall-e-2",
        "dall-e-3",
        "chatgpt-image-latest",
    ],
)
def test_names_that_openai_clients_send_reach_the_built_in_model(name: str) -> None:
    assert card(merge(SHIPPED), name).model_id == "helio-base"


def test_a_measured_model_has_its_facts() -> None:
    qwen = card(merge(SHIPPED), "qwen-image")
    assert (qwen.vram_bytes, qwen.load_s, qwen.parameters_billion) == (46_900_000_000, 40.8, 20.0)
    assert qwen.prompt_dialect is PromptDialect.NATURAL_LANGUAGE
    assert (
        Timing(
            gpu="H100",
            gpu_count=1,
            width_px=1024,
            height_px=1024,
            frames=1,
            steps=50,
            seconds=12.77,
            source="SGLang perf_baselines/h100.json@03dbd7a8; bf16; grade A",
        )
        in qwen.timings
    )


@pytest.mark.parametrize("name", ["flux1-schnell", "sdxl-turbo", "z-image-turbo", "flux2-klein-4b"])
def test_distilled_models_have_no_guidance_and_no_negative_prompt(name: str) -> None:
    distilled = card(merge(SHIPPED), name)
    assert (distilled.guidance, distilled.supports_negative_prompt) == (None, False)


def test_guidance_distilled_models_have_guidance_but_no_negative_prompt() -> None:
    flux = card(merge(SHIPPED), "flux1-dev")
    assert flux.guidance is not None
    assert (flux.guidance.default, flux.supports_negative_prompt) == (3.5, False)


SOURCED = (
    *("vram_gb", "disk_gb", "load_s", "parameters_billion", "token_limit", "licence"),
    *("sizes", "steps", "guidance", "frames"),
)


@pytest.mark.parametrize("name", SHIPPED.models)
def test_every_figure_has_a_source(name: str) -> None:
    table: dict[str, Any] = tomllib.loads(SHIPPED_TEXT)["models"][name]
    fields = {field for source in table["sources"] for field in source.split(": ")[0].split(", ")}
    figures = {field for field in SOURCED if field in table}
    if table["family"] == "helio":
        figures -= {"licence"}  # its own
    assert figures <= fields
    assert fields <= set(table), "a source for something the card does not have"
    assert all(timing.source for timing in card(merge(SHIPPED), name).timings)


def test_alternatives_share_a_task() -> None:
    cards = merge(SHIPPED).cards
    for found in cards.values():
        assert len(found.alternatives) <= 3
        for other in found.alternatives:
            assert found.tasks & cards[other].tasks, (found.model_id, other)


def test_the_testing_model_is_in_a_file_of_its_own() -> None:
    assert merge(SHIPPED).resolve("fake") is None
    fake = card(merge(SHIPPED, parse_catalogue(TESTING_TEXT, origin="testing")), "fake")
    assert (fake.engine, fake.token_limit) == (EngineKind.FAKE, None)
    assert (fake.sizes.multiple, fake.sizes.side_min, fake.sizes.side_max) == (8, 8, 1024)


def test_an_operator_overrides_field_by_field() -> None:
    before = card(merge(SHIPPED), "sdxl-base")
    after = card(
        with_mine("[models.sdxl-base]\nvram_gb = 7.5\nsizes = { pixels_max = 2097152 }\nalternatives = []"), "sdxl-base"
    )
    assert (after.vram_bytes, after.sizes.pixels_max, after.alternatives) == (7_500_000_000, 2_097_152, ())
    assert (after.name, after.sizes.multiple, after.timings) == (before.name, before.sizes.multiple, before.timings)


def test_an_operator_adds_a_model_at_the_end_and_points_aliases_at_it() -> None:
    catalogue = with_mine(MINE + '[aliases]\ngpt-image-1 = "mine"\nhouse-style = "sdxl-base"')
    assert list(catalogue.cards)[-1] == "mine"
    assert catalogue.aliases["gpt-image-1"] == ModelId("mine")
    assert card(catalogue, "house-style").model_id == "sdxl-base"
    assert card(catalogue, "dall-e-3").model_id == "helio-base"
    mine = card(catalogue, "mine")
    assert (mine.licence, mine.engine, mine.guidance, mine.token_limit, mine.vram_bytes) == (None,) * 5
    assert (mine.load_s, mine.timings, mine.alternatives, mine.source) == (None, (), (), None)


def test_aliases_can_come_from_settings() -> None:
    settings = CatalogueFile(origin="settings", aliases={"our-model": "sd15"})
    assert card(merge(SHIPPED, settings), "our-model").model_id == "sd15"


@pytest.mark.parametrize(
    ("text", "param", "said"),
    [
        ("[models", None, "is not valid TOML"),
        ("[models.x]\n[models.x]", None, "is not valid TOML"),
        ("[model.x]", "model", "is not known; a catalogue has the tables models and aliases"),
        ("models = []", "models", "must be a table"),
        ("[models]\nx = 1", "models.x", "must be a table"),
        ('[models."Big One"]', "models.Big One", "lower-case"),
        ("[models.sd15]\nvram = 4", "models.sd15.vram", "is not known; known here are name, family"),
        ('[models.sd15]\nvram_gb = "4"', "models.sd15.vram_gb", "must be a number above 0"),
        ("[models.sd15]\nupscale = [2, 3]", "models.sd15.upscale", "must list some of 2, 4"),
        ("[models.sd15]\nupscale = [2, 2]", "models.sd15.upscale", "twice"),
        ("[models.sd15]\nupscale = 2", "models.sd15.upscale", "must be a list"),
        ('[models.sd15]\nalignment = "sdxl-base"', "models.sd15.alignment", "no model with the task alignment"),
        ('[models.sd15]\nalignment = "../clip"', "models.sd15.alignment", "names ../clip, which is no model"),
        ("[models.sd15]\nvram_gb = 0", "models.sd15.vram_gb", "leave the field out where it is not known"),
        ("[models.sd15]\nvram_gb = nan", "models.sd15.vram_gb", "must be a number above 0"),
        ("[models.sd15]\nvram_gb = true", "models.sd15.vram_gb", "must be a number above 0"),
        ("[models.sd15]\nname = ''", "models.sd15.name", "must be a string that is not empty"),
        ("[models.sd15]\ntoken_limit = 7.5", "models.sd15.token_limit", "must be a whole number of at least 1"),
        ('[models.sd15]\nsupports_negative_prompt = "yes"', "models.sd15.supports_negative_prompt", "true or false"),
        ('[models.sd15]\ntasks = ["paint"]', "models.sd15.tasks", "must list one or more of t2i"),
        ("[models.sd15]\ntasks = []", "models.sd15.tasks", "must list one or more of t2i"),
        ('[models.sd15]\ntasks = ["t2i", "t2i"]', "models.sd15.tasks", "lists something twice"),
        ('[models.sd15]\nengine = "steam"', "models.sd15.engine", "must be one of onnx, diffusers, remote-openai"),
        ("[models.sd15]\nprompt_dialect = 1", "models.sd15.prompt_dialect", "must be one of clip_tags"),
        ("[models.sd15]\nsizes = 512", "models.sd15.sizes", "must be a table"),
        ("[models.sd15.sizes]\ndefault = 512", "models.sd15.sizes.default", 'must be a size like "1024x768"'),
        ("[models.sd15.sizes]\nmax = 512", "models.sd15.sizes.max", "is not known"),
        ('[models.sd15.sizes]\ndefault = "513x512"', "models.sd15.sizes.default", "not multiples of 8"),
        ('[models.sd15.sizes]\ndefault = "128x512"', "models.sd15.sizes.default", "not from 256 to 1024"),
        ('[models.sd15.sizes]\ndefault = "1024x1024"', "models.sd15.sizes.default", "more than the 393216 pixels"),
        ('[models.sd15.sizes]\nonly = ["256x256"]', "models.sd15.sizes.default", "must be one of the sizes in only"),
        ('[models.sd15.sizes]\nonly = ["512x512", "520x10"]', "models.sd15.sizes.only", "has 520x10"),
        ("[models.sd15.steps]\ndraft = 90", "models.sd15.steps", "must rise in the order"),
        ("[models.sd15.guidance]\ndefault = 30", "models.sd15.guidance", "must rise in the order"),
        ('[models.sd15]\ntasks = ["t2v"]\nengine = "fake"', "models.sd15.frames", "has to say how long"),
        ("[models.sd15]\nframes = { min = 8, max = 8, default = 8, per_second = 8 }", "models.sd15.frames", "is for"),
        ("[models.helio-motion.frames]\nmin = 1", "models.helio-motion.frames", "from 2 on"),
        ("[models.helio-motion.frames]\ndefault = 13", "models.helio-motion.frames", "must rise in the order"),
        ("[models.helio-motion.frames]\nper_second = 0", "models.helio-motion.frames.per_second", "above 0"),
        ('[models.sd15]\nby_name_only = "yes"', "models.sd15.by_name_only", "true or false"),
        ('[models.sd15]\nengine = "onnx"', "models.sd15.weights", "is missing; the onnx engine"),
        ("[models.sd15]\ntimings = [1]", "models.sd15.timings.0", "must be a table"),
        ('[[models.sd15.timings]]\ngpu = "H100"', "models.sd15.timings.0.size", "is missing"),
        ('[models.sd15]\nalternatives = ["nope"]', "models.sd15.alternatives", "names nope, which is not in"),
        ('[models.sd15]\nalternatives = ["sd15"]', "models.sd15.alternatives", "names the model itself"),
        ('[aliases]\nx = "nope"', "aliases.x", "points to nope, which is not in the catalogue"),
        ("[aliases]\nx = 1", "aliases.x", "must be a string"),
        ('[aliases]\nsd15 = "sdxl-base"', "aliases.sd15", "is also the name of a model"),
        ('[models.new]\nname = "New"', "models.new.family", "is missing; every model needs it"),
        (MINE.replace("multiple = 8, ", ""), "models.mine.sizes.multiple", "is missing; every model needs it"),
    ],
)
def test_a_broken_file_names_file_model_and_field(text: str, param: str | None, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        with_mine(text)
    assert caught.value.message.startswith("mine.toml")
    assert (caught.value.param, caught.value.code) == (param, "invalid_catalogue")
    assert said in caught.value.message


# --- the built-in family --------------------------------------------------------------------------------------------

WEIGHTS = Path(heliograph.__file__).parent / "weights"
INSTALLED = sorted(folder.name for folder in WEIGHTS.iterdir() if folder.is_dir())


def facts_of(folder: str) -> dict[str, Any]:
    return json.loads((WEIGHTS / folder / "model.json").read_text())


def test_a_model_whose_folder_is_not_there_cannot_be_run() -> None:
    catalogue = with_measured(merge(SHIPPED), {"helio-base": facts_of("helio-base")})
    assert [card.model_id for card in catalogue.runnable([EngineKind.ONNX])] == ["helio-base"]
    assert with_measured(merge(SHIPPED), {}).runnable([EngineKind.ONNX]) == ()
    assert card(catalogue, "sd15") == card(merge(SHIPPED), "sd15"), "what is not built in has no folder"


def test_a_built_in_model_says_what_was_measured_of_it() -> None:
    facts = {
        "revision": "0123456789ab",
        "domain": "Landscapes.",
        "weaknesses": ["Thin lines break up."],
        "training": {"adherence": {"time": 1, "object": 0.97, "note": "judged"}},
    }
    measured = card(with_measured(merge(SHIPPED), {"helio-turbo": facts}), "helio-turbo").measured
    assert measured == Measured(
        revision="0123456789ab",
        domain="Landscapes.",
        weaknesses=("Thin lines break up.",),
        adherence={"time": 1.0, "object": 0.97},
    )


@pytest.mark.parametrize("facts", [{}, {"training": None}, {"training": {"adherence": None}}, {"weaknesses": None}])
def test_what_a_folder_does_not_say_is_unknown(facts: dict[str, Any]) -> None:
    measured = card(with_measured(merge(SHIPPED), {"helio-base": facts}), "helio-base").measured
    assert measured == Measured(revision="", domain="", weaknesses=(), adherence={})


@pytest.mark.parametrize("folder", INSTALLED)
def test_the_catalogue_agrees_with_the_folders_that_are_there(folder: str) -> None:
    """Sizes, steps, guidance and frames are stated in both: the catalogue checks requests, the folder runs them."""
    found, facts = card(merge(SHIPPED), folder), facts_of(folder)
    assert found.weights == folder
    if facts["kind"] not in ("text_to_image", "text_to_video"):
        assert found.engine is None
        return
    assert {tuple(size) for size in facts["sizes_px"]} == set(found.sizes.only)
    assert facts["default_steps"] == found.steps.standard
    assert facts["default_guidance"] == (None if found.guidance is None else found.guidance.default)
    assert facts["context_length"] == found.token_limit
    assert found.supports_negative_prompt is (found.guidance is not None)
    if facts["kind"] == "text_to_video":
        assert found.frames is not None
        assert (facts["frames"], facts["frames_per_second"]) == (found.frames.default, found.frames.per_second)


def test_the_tools_of_post_processing_take_no_orders() -> None:
    for name in ("helio-upscale", "helio-clip"):
        tool = card(merge(SHIPPED), name)
        assert (tool.engine, tool.weights) == (None, name)
        assert not tool.tasks & {"t2i", "t2v"}
