from pathlib import Path

import pytest
from sample_cards import FREE_SIZED, PRESETS, SMALL

import heliograph.data
from heliograph.domain.errors import InvalidRequest
from heliograph.prompts import parse_presets, styles_for

SHIPPED = Path(heliograph.data.__path__[0]) / "presets.toml"


def test_the_shipped_presets_cover_the_built_in_model_and_general_ones() -> None:
    presets = parse_presets(SHIPPED.read_text(encoding="utf-8"), origin="presets.toml")
    assert styles_for(SMALL, presets) == ("watercolor", "line-art", "pixel-art", "flat")
    assert {"photographic", "cinematic", "anime", "render-3d"} <= set(styles_for(FREE_SIZED, presets))


def test_presets_suit_the_families_they_name() -> None:
    assert styles_for(SMALL, PRESETS) == ("watercolor", "toy")
    assert styles_for(FREE_SIZED, PRESETS) == ("watercolor", "photographic", "toy")


def test_an_operator_adds_and_replaces_presets() -> None:
    own = parse_presets('[styles.watercolor]\nprompt = "{prompt}, gouache"', origin="mine.toml")
    assert {**PRESETS, **own}["watercolor"].prompt == "{prompt}, gouache"


@pytest.mark.parametrize(
    ("text", "param", "said"),
    [
        ("[styles", None, "mine.toml is not valid TOML"),
        ("[style.x]", "style", "is not known"),
        ("styles = 1", "styles", "must be a table"),
        ("[styles]\nx = 1", "styles.x", "must be a table"),
        ('[styles."Big One"]\nprompt = "{prompt}"', "styles.Big One", "lower-case"),
        ('[styles.x]\nprompt = "{prompt}"\nweight = 1', "styles.x.weight", "is not known"),
        ("[styles.x]", "styles.x.prompt", "must be a string"),
        ('[styles.x]\nprompt = "no place"', "styles.x.prompt", "must contain {prompt} once"),
        ('[styles.x]\nprompt = "{prompt}"\nnegative_prompt = 1', "styles.x.negative_prompt", "must be a string"),
        ('[styles.x]\nprompt = "{prompt}"\nfamilies = "sdxl"', "styles.x.families", "must be a list"),
        (
            '[styles.x]\nprompt = "{prompt}"\nfamilies = ["a"]\nexcept_families = ["b"]',
            "styles.x.except_families",
            "contradicts",
        ),
    ],
)
def test_a_broken_preset_file_names_the_place(text: str, param: str | None, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_presets(text, origin="mine.toml")
    assert caught.value.param == param
    assert said in caught.value.message
    assert caught.value.message.startswith("mine.toml")
