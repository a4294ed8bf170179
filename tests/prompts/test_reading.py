"""What a model is told of a prompt in each notation, and what is reported of it."""

from dataclasses import replace

import pytest
from sample_cards import DISTILLED, FREE_SIZED, SMALL

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.model_card import ModelCard, PromptDialect
from heliograph.domain.request import GenerationRequest
from heliograph.prompts import RawRequest, prepare
from heliograph.prompts.lowering import chosen, lowered
from heliograph.prompts.luck import Luck
from heliograph.prompts.parsing import parse
from heliograph.prompts.tree import Syntax
from heliograph.prompts.wording import CORRECTIONS, corrected

TAGS, LANGUAGE = PromptDialect.CLIP_TAGS, PromptDialect.NATURAL_LANGUAGE


def prepared(prompt: str, card: ModelCard = SMALL, **parameters: object) -> GenerationRequest:
    raw = RawRequest(prompt=prompt, **parameters)
    count = lambda text: len(text.split())  # noqa: E731 -- a model that reads words
    return prepare(raw, card, presets={}, count_tokens=count, draw_seed=lambda: 1234)


def reported(request: GenerationRequest) -> list[tuple[str, str, str]]:
    return [(each.parameter, each.requested, each.used) for each in request.adjustments]


@pytest.mark.parametrize(
    ("prompt", "tags", "language"),
    [
        ("a red boat", "a red boat", "a red boat"),
        ("(a red boat:1.3), sea", "(a red boat:1.3), sea", "a red boat, sea"),
        ("((boat)), [sea], (sky:1.0)", "(boat:1.21), (sea:0.9091), sky", "boat, sea, sky"),
        ("a (b (c:2):1.5)", "a (b :1.5)(c:3)", "a b c"),
        ("(boat:99)", "(boat:10)", "boat"),
        (r"boat \(small\) (sea:1.2)", r"boat \(small\) (sea:1.2)", "boat (small) sea"),
        ("a boat BREAK the sea", "a boat BREAK the sea", "a boat . the sea"),
        ("a boat. BREAK the sea", "a boat. BREAK the sea", "a boat. the sea"),
        ("(a:1.1) AND b", "(a:1.1) , b", "a , b"),
        ("a [red:blue:0.8] boat", "a red boat", "a red boat"),
        ("a [red:blue:0.2] boat", "a blue boat", "a blue boat"),
        ("a [red|blue] boat", "a red and blue boat", "a red and blue boat"),
        ("a boat <comment:not this>, sea", "a boat, sea", "a boat, sea"),
        ("colored pencil (medium)", r"colored pencil \(medium\)", "colored pencil (medium)"),
    ],
)
def test_each_family_is_told_in_its_own_words(prompt: str, tags: str, language: str) -> None:
    nodes = parse(prompt).nodes
    assert lowered(nodes, TAGS).text == tags
    assert lowered(nodes, LANGUAGE).text.replace(" ,", ",").replace(" .", ".") == language.replace(" ,", ",").replace(
        " .", "."
    )


def test_markup_that_a_model_cannot_follow_is_reported() -> None:
    request = prepared("(a red boat:1.3) BREAK [calm|rough] sea")
    assert reported(request)[:3] == [
        ("prompt", "1 weights", "words alone"),
        ("prompt", "1 breaks", "ends of sentences"),
        ("prompt", "1 alternations", "joined by and"),
    ]
    assert request.raw_prompt == "(a red boat:1.3) BREAK [calm|rough] sea"


def test_plain_leaves_every_character() -> None:
    prompt = "(a:1.3) teh {b|c} w/o d --ar 3:2"
    request = prepared(prompt, prompt_syntax="plain")
    assert request.prompt == prompt


def test_the_seed_draws_and_says_so() -> None:
    prompt = "a {red|blue|green} boat {by day|at night}"
    first = [prepared(prompt, seed=seed).prompt for seed in range(30)]
    assert first == [prepared(prompt, seed=seed).prompt for seed in range(30)]
    assert len(set(first)) == 6
    assert ("prompt", "2 choices", "drawn") in reported(prepared(prompt, seed=1))


def test_several_are_drawn_once_each_and_by_weight() -> None:
    nodes = parse("{2$$ & $$a|b|c}").nodes
    for seed in range(20):
        drawn, count = chosen(nodes, Luck(seed))
        words = lowered(drawn, LANGUAGE).text.split(" & ")
        assert (count, len(words), len(set(words))) == (1, 2, 2)
    heavy = parse("{99::a|0::b}").nodes
    assert {lowered(chosen(heavy, Luck(seed))[0], LANGUAGE).text for seed in range(50)} == {"a"}


def test_a_seed_draws_the_same_everywhere() -> None:
    luck = Luck(7)
    assert [luck.place([1, 1, 2]) for _ in range(8)] == [2, 0, 1, 1, 0, 2, 1, 2]
    assert {Luck(seed).whole(2, 4) for seed in range(60)} == {2, 3, 4}


def test_flags_set_what_the_request_leaves_open() -> None:
    request = prepared("a red boat --ar 5:3 --seed 7 --no fog, rain --s 250")
    assert (request.width_px, request.height_px, request.seed) == (160, 96, 7)
    assert (request.prompt, request.negative_prompt) == ("a red boat", "fog, rain")
    assert ("prompt", "--s", "left out") in reported(request)
    sent = prepared("a red boat --seed 7", seed=9)
    assert sent.seed == 9
    assert ("prompt", "--seed", "left out") in reported(sent)


@pytest.mark.parametrize("prompt", ["a boat --no fog", "a boat <lora:film:0.8>"])
def test_what_the_model_cannot_do_is_refused_or_left_out(prompt: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepared(prompt, DISTILLED)
    assert caught.value.code == "unsupported_parameter"
    request = prepared(prompt, DISTILLED, on_unsupported="drop")
    assert (request.prompt, request.negative_prompt) == ("a boat", "")
    assert any(used == "left out" for _, _, used in reported(request))


def test_what_is_too_long_is_refused_or_shortened_at_a_phrase() -> None:
    card = replace(SMALL, token_limit=5)
    prompt = "a red boat, on the sea, at sunset, with gulls"
    with pytest.raises(InvalidRequest, match="at most 5"):
        prepared(prompt, card)
    request = prepared(prompt, card, on_overflow="shorten")
    assert request.prompt == "a red boat"
    assert request.raw_prompt == prompt
    assert ("prompt", "45 characters", "10 characters") in reported(request)
    assert prepared("one two three four five six", card, on_overflow="shorten").prompt == "one two three four five"


@pytest.mark.parametrize(
    ("field", "value"), [("prompt_syntax", "latex"), ("on_unsupported", "hide"), ("on_overflow", True)]
)
def test_a_policy_that_is_not_known_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepared("a boat", FREE_SIZED, **{field: value})
    assert caught.value.param == field


def test_a_prompt_of_markup_alone_is_empty() -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepared("<comment:nothing> --ar 1:1")
    assert caught.value.param == "prompt"


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("teh cat w/ a hat w/o feathers", "the cat with a hat without feathers"),
        ("a portait, b&w", "a portrait, black and white"),
        ('a sign saying "teh bg"', 'a sign saying "teh bg"'),
        ("the book 'teh end' by Teh", "the book 'teh end' by Teh"),
        ("it's teh cat's", "it's the cat's"),
        ("bg.png and #bg and big-bg", "bg.png and #bg and big-bg"),
    ],
)
def test_words_are_corrected_with_care(text: str, better: str) -> None:
    assert corrected(text)[0] == better


def test_no_correction_is_corrected_again() -> None:
    assert all(corrected(better) == (better, 0) for better in CORRECTIONS.values())


@pytest.mark.parametrize("syntax", Syntax)
def test_every_notation_can_be_asked_for(syntax: Syntax) -> None:
    assert prepared("a red boat", prompt_syntax=syntax.value).prompt == "a red boat"
