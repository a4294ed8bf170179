import pytest
from training.coverage import Claim, claims, coverage_phrases, rivals

PHRASES = coverage_phrases()


def named(prompt: str) -> dict[str, str]:
    return {claim.attribute: claim.value for claim in claims(prompt, PHRASES)}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red boat", {"object": "boat", "colour": "red"}),
        ("A Red SAILBOAT at Night", {"object": "boat", "colour": "red", "time": "night"}),
        ("a blue sky over a house", {"object": "house"}),
        ("green hills", {"terrain": "hills"}),
        ("a green house, green hills", {"object": "house", "colour": "green", "terrain": "hills"}),
        ("a hot air balloon", {"object": "balloon"}),
        ("a lighthouse", {"object": "lighthouse"}),
        ("8-bit pixel art of the sea", {"style": "pixel", "terrain": "sea"}),
        ("a starry sky under a dark sky", {"celestial": "stars", "time": "night"}),
        ("a cat on a surfboard", {}),
        ("boathouse, moonlit, seaside", {}),
        ("", {}),
    ],
)
def test_known_phrases_are_claims_and_each_word_counts_once(prompt: str, expected: dict[str, str]) -> None:
    assert named(prompt) == expected


def test_a_claim_points_at_the_words_that_make_it() -> None:
    prompt = "Night: a boat at night"
    (night,) = [claim for claim in claims(prompt, PHRASES) if claim.attribute == "time"]
    assert [prompt[start:stop] for start, stop in night.spans] == ["Night", "at night"]


def test_rivals_say_something_else_in_every_place_of_the_claim() -> None:
    prompt = "night sea at night"
    found = claims(prompt, PHRASES)
    (night,) = [claim for claim in found if claim.attribute == "time"]
    texts = rivals(prompt, night, found, PHRASES)
    assert set(texts) == {"dawn", "day", "sunset"}
    assert texts["dawn"] == "at dawn sea at dawn"


def test_what_the_prompt_names_too_is_no_rival() -> None:
    prompt = "mountains by the sea"
    found = claims(prompt, PHRASES)
    sea = Claim(attribute="terrain", value="sea", spans=((17, 20),))
    assert sea in found
    assert "mountains" not in rivals(prompt, sea, found, PHRASES)
