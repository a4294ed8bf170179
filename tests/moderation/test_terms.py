import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.moderation.disguise import Vocabulary, words_of
from heliograph.moderation.terms import Mention, Terms, known_terms, parse_terms


def test_words_beginnings_and_phrases_are_found_with_their_places() -> None:
    terms = Terms({"a.blood": ["blood", "bleed*"], "b.drink": ["bloody mary", "pool of wine*"]})
    found = terms.mentions(["bloody", "mary", "bleeding", "blood's", "pool", "of", "wines"])
    assert found == (
        Mention(term_class="b.drink", first=0, last=1),
        Mention(term_class="a.blood", first=2, last=2),
        Mention(term_class="a.blood", first=3, last=3),
        Mention(term_class="b.drink", first=4, last=6),
    )


def test_a_beginning_that_is_too_short_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match=r"ab\*") as caught:
        Terms({"a.b": ["ab*"]})
    assert caught.value.param == "a.b"


@pytest.mark.parametrize(("document", "param"), [({"a": 1}, "a"), ({"a": {"b": 2}}, "a.b")])
def test_a_damaged_file_names_the_field(document: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_terms(document)
    assert caught.value.param == param


def test_terms_of_negative_prompts_are_kept_apart() -> None:
    found = known_terms({"sexual": {"nudity": "naked"}, "negative": {"clothes": "clothes, Fully  Clothed"}})
    assert found.weighed.mentions(["clothes"]) == ()
    assert [each.term_class for each in found.avoidable.mentions(["fully", "clothed"])] == ["negative.clothes"]


def test_an_idiom_is_read_as_one_word_in_its_place() -> None:
    lexicon = known_terms({"harmless": {"idioms": "killer whale, killer whale show"}})
    text = "A killer whale show, a killer"
    words = lexicon.without_idioms(words_of(text, Vocabulary({})))
    assert [word.text for word in words] == ["a", "idiom", "a", "killer"]
    assert text[words[1].start : words[1].end] == "killer whale show"
