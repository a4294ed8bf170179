"""What a prompt asks for, and what of it a picture does not show."""

import math
from typing import Any

import pytest

from heliograph.domain.pictures import Alignment
from heliograph.quality.alignment import AlignmentFacts, assess, mentions, read_facts, score_of

CALIBRATION: dict[str, Any] = {
    "alignment": {"midpoint": 0.4, "scale": 0.05, "low": 0.2, "false_alarm_rate": 0.01},
    "coverage": {
        "object": {
            "margin": 0.1,
            "values": {
                "none": {"phrases": [], "texts": ["a landscape"]},
                "boat": {"phrases": ["boat", "sailing boat"], "texts": ["a boat"]},
                "tree": {"phrases": ["tree", "green tree"], "texts": ["a tree"]},
                "castle": {"phrases": ["castle", "château"], "texts": ["a castle"]},
            },
        },
        "time": {
            "margin": 0.2,
            "values": {"day": {"phrases": ["by day", "at noon"]}, "night": {"phrases": ["at night", "night"]}},
        },
        "terrain": {"margin": 0.2, "values": {"hills": {"phrases": ["green hills"]}, "sea": {"phrases": ["the sea"]}}},
        "colour": {
            "margin": 0.1,
            "before": "object",
            "values": {
                "red": {"phrases": ["red"], "texts": ["a red {next}"]},
                "green": {"phrases": ["green"], "texts": ["a green {next}"]},
            },
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
        ("a sailing-boat", [("sailing-boat", "boat")]),
        ("a sailing  boat, at night", [("sailing  boat", "boat"), ("at night", "night")]),
        ("boats and treetops", []),
        ("a chateau by day", [("chateau", "castle"), ("by day", "day")]),
        ("un Château", [("Château", "castle")]),
        ("a boat and a castle", [("boat", "boat"), ("castle", "castle")]),
        ("a green tree", [("green tree", "tree")]),
        ("green hills with a red boat", [("green hills", "hills"), ("red", "red"), ("boat", "boat")]),
        ("a red sky over a boat", [("boat", "boat")]),
        ("a red castle", [("red", "red"), ("castle", "castle")]),
        ("no boat", []),
        ("a castle without a boat", [("castle", "castle")]),
        ("the sea without any boat, by day", [("the sea", "sea"), ("by day", "day")]),
        ("not at night", []),
        ("without a little red boat", []),
        ("no fog. A boat", [("boat", "boat")]),
        ("قارب 🌅 boat", [("boat", "boat")]),
    ],
)
def test_what_a_prompt_asks_for(prompt: str, asked: list[tuple[str, str]]) -> None:
    assert [(mention.phrase, mention.value.name) for mention in mentions(prompt, FACTS)] == asked


def seen(prompt: str, facts: AlignmentFacts = FACTS, **closeness: float) -> tuple[str, ...]:
    """The missing phrases when the picture lies so near to these captions (_ for a space), and at 0 to others."""
    near = {caption.replace("_", " "): cosine for caption, cosine in closeness.items()}
    return assess(
        prompt, facts, cosine=0.4, cosine_to=lambda captions: max(near.get(caption, 0.0) for caption in captions)
    ).missing


@pytest.mark.parametrize(
    ("prompt", "closeness", "missing"),
    [
        ("a boat", {"a_boat": 0.5}, ()),
        ("a boat", {"a_boat": 0.2, "a_castle": 0.29}, ()),
        ("a boat", {"a_boat": 0.2, "a_castle": 0.31}, ("boat",)),
        ("a boat", {"a_boat": 0.2, "a_landscape": 0.31}, ("boat",)),
        ("no boat", {"a_boat": 0.0, "a_castle": 0.9}, ()),
        ("a boat and a castle", {"a_boat": 0.5, "a_castle": 0.1}, ("castle",)),
        ("a boat and a castle", {"a_boat": 0.5, "a_castle": 0.45}, ()),
        ("a boat by day", {"a_tree": 0.5, "at_night": 0.5}, ("boat", "by day")),
        ("a boat, a boat", {"a_tree": 0.5}, ("boat",)),
        ("a red boat", {"a_boat": 0.5, "a_green_boat": 0.6, "a_red_boat": 0.3}, ("red",)),
        ("a red boat", {"a_boat": 0.5, "a_green_castle": 0.6, "a_red_boat": 0.3}, ()),
        ("green hills", {"the_sea": 0.1}, ()),
    ],
)
def test_what_is_missing(prompt: str, closeness: dict[str, float], missing: tuple[str, ...]) -> None:
    assert seen(prompt, **closeness) == missing


def test_without_coverage_facts_nothing_is_missing() -> None:
    facts = read_facts({"alignment": CALIBRATION["alignment"]})
    assessment = assess("a boat", facts, cosine=0.4, cosine_to=lambda _: 0.0)
    assert assessment == Alignment(score=0.5, missing=())


@pytest.mark.parametrize(
    "calibration",
    [
        {},
        {"alignment": {}},
        {"alignment": {"midpoint": 0.4, "scale": 0.0, "low": 0.2}},
        {"alignment": {"midpoint": "x", "scale": 0.1, "low": 0.2}},
        {"alignment": {"midpoint": float("nan"), "scale": 0.1, "low": 0.2}},
        {"alignment": {"midpoint": 0.4, "scale": 0.1, "low": 1.2}},
        {**CALIBRATION, "coverage": {"object": {}}},
        {**CALIBRATION, "coverage": {"object": {"margin": 0.1, "values": {"boat": {}}}}},
        {**CALIBRATION, "coverage": ["object"]},
    ],
)
def test_facts_of_no_use_are_refused(calibration: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"calibration|float"):
        read_facts(calibration)
