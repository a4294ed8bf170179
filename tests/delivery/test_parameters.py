"""The parameter text: the form other tools read, and an exact way back."""

import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heliograph.delivery.parameters import PictureParameters, format_parameters, parse_parameters, settings_line

BOAT = PictureParameters(
    prompt="a red boat on the sea",
    negative_prompt="blurry, grey",
    steps=8,
    guidance=3.5,
    seed=7,
    width_px=128,
    height_px=96,
    model="helio-base",
    version="heliograph 0.1.0",
)
SETTINGS = "Steps: 8, CFG scale: 3.5, Seed: 7, Size: 128x96, Model: helio-base, Version: heliograph 0.1.0"


def test_the_form() -> None:
    assert format_parameters(BOAT) == f"a red boat on the sea\nNegative prompt: blurry, grey\n{SETTINGS}"


def test_no_negative_prompt_has_no_line() -> None:
    assert format_parameters(replace(BOAT, negative_prompt="")) == f"a red boat on the sea\n{SETTINGS}"


def test_the_settings_stand_alone() -> None:
    assert settings_line(BOAT) == SETTINGS


def test_a_clip_says_how_many_frames_it_has() -> None:
    assert ", Size: 128x96, Frames: 12, Model: " in settings_line(replace(BOAT, frames=12))


def test_a_whole_number_of_guidance_is_written_without_a_fraction() -> None:
    assert "CFG scale: 7, " in settings_line(replace(BOAT, guidance=7.0))


def test_a_value_with_separators_is_quoted() -> None:
    model = 'weird, "model": 1'
    text = format_parameters(replace(BOAT, model=model))
    assert f"Model: {json.dumps(model)}," in text
    assert parse_parameters(text) == replace(BOAT, model=model)


def test_an_ordinary_prompt_is_not_repeated() -> None:
    assert "Exact" not in format_parameters(replace(BOAT, prompt='two\nlines, "quoted": 🌅\n\nSteps: 3, Size: 1x1'))


@pytest.mark.parametrize("prompt", ["a\nNegative prompt: b", " padded ", "ends in a line break\n", "\r\nreturn"])
def test_a_prompt_that_the_form_would_change_is_repeated_exactly(prompt: str) -> None:
    parameters = replace(BOAT, prompt=prompt)
    text = format_parameters(parameters)
    assert "Exact prompt: " in text.rpartition("\n")[2]
    assert parse_parameters(text) == parameters


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
HARD_TEXT = TEXT | st.lists(
    st.sampled_from(
        ["Negative prompt: ", "Steps: 8", ", ", '"', "\\", "\n", "\r", "\x85", "\u2028", "🌅", "x", " ", ": "]
    ),
    max_size=12,
).map("".join)


@given(
    prompt=HARD_TEXT,
    negative=HARD_TEXT,
    steps=st.integers(1, 1000),
    guidance=st.floats(0, 100),
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 8192),
    height=st.integers(1, 8192),
    model=HARD_TEXT,
    frames=st.integers(1, 100),
)
@example(
    prompt="a", negative="Negative prompt: b", steps=1, guidance=1e-7, seed=0, width=1, height=1, model="", frames=1
)
def test_everything_comes_back_exactly(prompt, negative, steps, guidance, seed, width, height, model, frames) -> None:
    parameters = PictureParameters(
        prompt=prompt,
        negative_prompt=negative,
        steps=steps,
        guidance=guidance,
        seed=seed,
        width_px=width,
        height_px=height,
        model=model,
        version="heliograph 0.1.0",
        frames=frames,
    )
    assert parse_parameters(format_parameters(parameters)) == parameters


@pytest.mark.parametrize(
    "text",
    ["", "just a caption", "a cat\nSteps: 8, Seed: 1", SETTINGS.replace("128x96", "big"), SETTINGS.replace("8,", "x,")],
)
def test_a_text_of_another_form_gives_nothing(text: str) -> None:
    assert parse_parameters(text) is None


def test_the_text_of_another_tool_is_read_where_it_says_enough() -> None:
    text = (
        "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, "
        'Model hash: abc, Model: v1, Lora hashes: "x: 1, y: 2", Version: v1.9'
    )
    parsed = parse_parameters(text)
    assert parsed is not None
    assert (parsed.prompt, parsed.negative_prompt, parsed.guidance, parsed.version) == ("a cat", "dog", 7.0, "v1.9")
