"""What a prompt asks for, and what of it a picture does not show."""

import math
from typing import Any

import pytest

from heliograph.quality.alignment import assess, claims, read_facts, rivals_of, score_of

CALIBRATION: dict[str, Any] = {
    "alignment": {"mean": 0.4, "scale": 20.0, "low_threshold": 0.2, "false_alarm_rate": 0.01},
    "coverage": {
        "margin": 0.1,
        "only_before": {"colour": "object"},
        "phrases": {
            "colour": {"red": ["red"], "green": ["green"]},
            "object": {"boat": ["boat", "sailing boat"], "tree": ["tree", "green tree"], "castle": ["castle"]},
            "time": {"day": ["by day", "at noon"], "night": ["at night", "night"]},
            "terrain": {"hills": ["green hills"], "sea": ["sea"]},
            "style": {"flat": ["vector art"], "pixel": ["8-bit pixel art"]},
        },
    },
}
FACTS = read_facts(CALIBRATION)


@pytest.mark.parametrize(
    ("cosine", "score"), [(0.4, 0.5), (0.45, 1 / (1 + math.exp(-1))), (0.35, 1 / (1 + math.e)), (1.0, 1.0), (-1.0, 0.0)]
)
def test_the_score_is_a_logistic_of_the_cosine(cosine: float, score: float) -> None:
    assert score_of(cosine, FACTS) == pytest.approx(score, abs=1e-5)
    assert 0 <= score_of(cosine, FACTS) <= 1


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("", []),
        ("a picture of something", []),
        ("a boat", [("boat", "boat")]),
        ("A Boat at NIGHT", [("Boat", "boat"), ("at NIGHT", "night")]),
        ("a sailing  boat, at night", [("sailing  boat", "boat"), ("at night", "night")]),
        ("a sailing-boat", []),
        ("8-bit pixel art of a castle", [("8-bit pixel art", "pixel"), ("castle", "castle")]),
        ("boats and treetops", []),
        ("a boat and a castle", [("boat", "boat"), ("castle", "castle")]),
        ("a green tree", [("green tree", "tree")]),
        ("green hills with a red boat", [("green hills", "hills"), ("red", "red"), ("boat", "boat")]),
        ("a red sky over a boat", [("boat", "boat")]),
        ("a red castle", [("red", "red"), ("castle", "castle")]),
        ("a castle, night, castle", [("castle", "castle"), ("night", "night")]),
        ("no boat", []),
        ("a castle without a boat", [("castle", "castle")]),
        ("the sea without any boat, by day", [("sea", "sea"), ("by day", "day")]),
        ("not at night", []),
        ("without a little red boat", []),
        ("no fog. A boat", [("boat", "boat")]),
        ("קיץ İ 🌅 boat", [("boat", "boat")]),
    ],
)
def test_what_a_prompt_asks_for(prompt: str, asked: list[tuple[str, str]]) -> None:
    found = claims(prompt, FACTS)
    assert [(prompt[slice(*claim.spans[0])], claim.value) for claim in found] == asked


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a boat", [["a tree", "a castle"]]),
        ("a Boat and a boat", [["a tree and a tree", "a castle and a castle"]]),
        ("a boat and a castle", [["a tree and a castle"], ["a boat and a tree"]]),
        ("a red boat", [["a green boat"], ["a red tree", "a red castle"]]),
        ("a sailing boat by night", [["a tree by night", "a castle by night"], ["a sailing boat by by day"]]),
        ("no boat", []),
    ],
)
def test_the_rivals_of_a_prompt(prompt: str, expected: list[list[str]]) -> None:
    named = claims(prompt, FACTS)
    assert [list(rivals_of(prompt, claim, named, FACTS.phrases)) for claim in named] == expected


def missing_of(prompt: str, closeness: dict[str, float]) -> tuple[str, ...]:
    """What is missing of a picture that lies so near to these texts, and at 0 to every other."""
    alignment = assess(prompt, FACTS, cosines=lambda texts: [closeness.get(text, 0.0) for text in texts])
    assert alignment is not None
    return alignment.missing


@pytest.mark.parametrize(
    ("prompt", "closeness", "missing"),
    [
        ("a boat", {"a boat": 0.5}, ()),
        ("a boat", {"a boat": 0.2, "a castle": 0.29}, ()),
        ("a boat", {"a boat": 0.2, "a castle": 0.31}, ("boat",)),
        ("at night, no boat", {"at night, no castle": 0.9, "at night, no boat": 0.2}, ()),
        ("a boat and a castle", {"a tree and a castle": 0.5}, ("boat",)),
        ("a boat and a castle", {"a boat and a tree": 0.5}, ("castle",)),
        ("a Boat by day", {"a Boat at night": 0.5, "a tree by day": 0.2}, ("Boat", "by day")),
        ("by day a boat", {"by day a tree": 0.5, "at night a boat": 0.3}, ("by day", "boat")),
        ("a boat, a boat", {"a tree, a tree": 0.5}, ("boat",)),
        ("a red boat", {"a red boat": 0.3, "a green boat": 0.6}, ("red",)),
        ("a dog at night", {"a cat at night": 0.9}, ()),
    ],
)
def test_what_is_missing(prompt: str, closeness: dict[str, float], missing: tuple[str, ...]) -> None:
    assert missing_of(prompt, closeness) == missing


@pytest.mark.parametrize("prompt", ["", "a dog", "beautiful scenery", "no boat"])
def test_a_prompt_of_which_nothing_is_known_gets_no_score(prompt: str) -> None:
    assert assess(prompt, FACTS, cosines=lambda texts: [0.9] * len(texts)) is None


@pytest.mark.parametrize(("rate", "missing"), [(0.02, ("boat",)), (0.021, ())])
def test_an_attribute_that_raises_false_alarms_is_not_reported(rate: float, missing: tuple[str, ...]) -> None:
    rates = {"false_alarm_rate_by_attribute": {"object": rate, "time": 0.0}}
    facts = read_facts({**CALIBRATION, "coverage": CALIBRATION["coverage"] | rates})
    alignment = assess("a boat", facts, cosines=lambda texts: [0.0, *([0.9] * (len(texts) - 1))])
    assert alignment is not None
    assert alignment.missing == missing


@pytest.mark.parametrize(
    "calibration",
    [
        {},
        {"alignment": CALIBRATION["alignment"]},
        {"coverage": CALIBRATION["coverage"]},
        {**CALIBRATION, "alignment": {}},
        {**CALIBRATION, "alignment": {"mean": 0.4, "scale": 0.0, "low_threshold": 0.2}},
        {**CALIBRATION, "alignment": {"mean": "x", "scale": 0.1, "low_threshold": 0.2}},
        {**CALIBRATION, "alignment": {"mean": float("nan"), "scale": 0.1, "low_threshold": 0.2}},
        {**CALIBRATION, "alignment": {"mean": 0.4, "scale": 0.1, "low_threshold": 1.2}},
        {**CALIBRATION, "coverage": {"margin": 0.1, "only_before": {}, "phrases": {"object": {"boat": []}}}},
        {**CALIBRATION, "coverage": {"margin": 0.1, "only_before": {}, "phrases": ["object"]}},
        {**CALIBRATION, "coverage": ["object"]},
    ],
)
def test_facts_of_no_use_are_refused(calibration: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"calibration|float"):
        read_facts(calibration)
