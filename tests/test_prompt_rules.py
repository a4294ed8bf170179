"""The training text of the prompt filter: what it must never hold, and that what hides words is undone again."""

import random

import pytest
from training import prompt_rules
from training.prompt_disguises import DISGUISES, disguised
from training.prompt_grammar import Grammar
from training.prompt_rows import BORROWED, LICENSED, Row, fragments, harmless_grammar

from heliograph.content_filter import SHIPPED_WEIGHTS, open_weights, shipped_terms
from heliograph.moderation.disguise import words_of
from heliograph.moderation.weights_file import about_weights

LEXICON = shipped_terms()
VOCABULARY = open_weights(SHIPPED_WEIGHTS, LEXICON.weighed).vocabulary
SEXUAL = Grammar(prompt_rules.WORLD + prompt_rules.SEXUAL)


def test_no_sexual_rule_names_anybody_below_18() -> None:
    """Every choice of every rule, each by itself: so no sentence can either."""
    named = [
        (name, choice)
        for name, choices in SEXUAL.rules.items()
        for choice in choices
        for mention in LEXICON.weighed.mentions([word.text for word in words_of(choice, VOCABULARY)])
        if mention.term_class == "minors.minor"
    ]
    assert named == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (prompt_rules.WORLD + prompt_rules.KNOWN + prompt_rules.VIOLENCE, "violence"),
        (prompt_rules.WORLD + prompt_rules.SEXUAL, "sexual"),
        (prompt_rules.SELF_HARM, "self_harm"),
        (prompt_rules.HATE, "hate"),
        (prompt_rules.ILLEGAL, "illegal"),
    ],
)
def test_every_grammar_makes_many_sentences_without_slots(text: str, rule: str) -> None:
    sentences = Grammar(text).sentences(rule, 200, random.Random(1))
    assert len(sentences) == 200
    assert not [sentence for sentence in sentences if "{" in sentence or "  " in sentence]


def test_harmless_sentences_have_the_people_and_places_of_the_others() -> None:
    grammar = harmless_grammar()
    assert {f"{prefix}_{name}" for prefix, _, names in BORROWED for name in names.split()} <= set(grammar.rules)
    assert len(grammar.sentences("neutral", 300, random.Random(1))) == 300


def test_a_slot_without_a_rule_is_noticed() -> None:
    with pytest.raises(AssertionError, match="nothing"):
        Grammar("a:\n  {nothing}")


@pytest.mark.parametrize("way", DISGUISES, ids=lambda way: way.__name__)
def test_what_hides_a_word_is_undone(way) -> None:
    for word in ("naked", "blood", "corpse", "cocaine", "murder"):
        read = words_of(f"the {way(word, random.Random(3))} there", VOCABULARY)
        assert [each.text for each in read] == ["the", word, "there"]


def test_a_disguise_leaves_the_words_around_alone() -> None:
    text = "a man with a bloody hammer"
    hidden = disguised(text, random.Random(5), share=1.0)
    assert hidden != text
    assert " ".join(word.text for word in words_of(hidden, VOCABULARY)) == text


def test_fragments_come_from_licensed_harmless_rows_only() -> None:
    def row(source: str, label: int) -> Row:
        return Row(prompt=f"{source} {label} one two three", label=label, category="", source=source, tier="benign")

    given = [row(source, label) for source in ("partiprompts", "krea_open_prompts") for label in (0, 1)] * 40
    found = fragments(given, 1)
    assert 10 < len(found) < 35
    assert not [each for each in found if "krea" in each.prompt or "1" in each.prompt.split()]


def test_the_weights_that_ship_were_made_from_licensed_rows() -> None:
    about = about_weights(SHIPPED_WEIGHTS)
    rows, licences = about["rows"], about["licences"]
    assert isinstance(rows, dict)
    assert isinstance(licences, dict)
    assert set(rows) <= {*LICENSED, "ours"}
    assert rows["ours"] > 10_000
    assert all(licences[source] for source in rows if source != "ours")
