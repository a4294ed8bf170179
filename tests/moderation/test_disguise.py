import pytest

from heliograph.moderation.disguise import Vocabulary, spelled, words_of

VOCABULARY = Vocabulary(
    {"blood": 4.0, "naked": 4.0, "kill": 5.0, "cat": 6.0, "a": 7.0, "the": 8.0, "hacker": 3.0, "good": 6.0},
    frozenset({"blood"}),
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The naked cat", "the naked cat"),
        ("n4k3d", "naked"),
        ("bl**d", "blood"),
        ("bl00d", "blood"),
        ("blooooood", "blood"),
        ("b l o o d", "blood"),
        ("b.l.o.o.d", "blood"),
        ("a k i l l e r-cat", "a k i l l e r cat"),
        ("k i l l  t h e  c a t", "kill the cat"),
        ("n\u200ba\u200bk\u200be\u200bd", "naked"),
        ("nаkеd", "naked"),  # Cyrillic а and е
        ("ｎａｋｅｄ", "naked"),
        ("𝖓𝖆𝖐𝖊𝖉", "naked"),
        ("náked", "naked"),
        ("h4ck3r", "hacker"),
    ],
)
def test_disguises_are_undone(text: str, words: str) -> None:
    read = " ".join(word.text for word in words_of(text, VOCABULARY))
    assert read.replace(" ", "") == words.replace(" ", "")


@pytest.mark.parametrize("text", ["4k", "8k", "50mm", "h2o", "старый город", "1930s", "2 0 0", "cat"])
def test_what_is_no_disguise_stays(text: str) -> None:
    assert " ".join(word.text for word in words_of(text, VOCABULARY)) == ("2 0 0" if text == "2 0 0" else text)


@pytest.mark.parametrize("text", ["a ｎａｋｅｄ cat", "a n\u200ba\u200bked cat", "a b l o o d cat", "a n4k3d cat"])
def test_each_word_knows_its_place_in_the_original(text: str) -> None:
    words = words_of(text, VOCABULARY)
    assert [text[word.start : word.end] for word in words] == [text[:1], text[2:-4], text[-3:]]
    assert [word.is_disguised for word in words] == [False, True, False]


def test_a_hostile_text_takes_no_more_than_its_share() -> None:
    text = " ".join("4" * 3 + "b" * (at % 30) + "@" * 20 for at in range(2_000))
    assert len(words_of(text, VOCABULARY)) == 2_000


def test_scripts_without_spaces_are_read_sign_by_sign() -> None:
    text = "赤い bike2号"
    words = words_of(text, VOCABULARY)
    assert [word.text for word in words] == ["赤", "い", "bike2", "号"]
    assert [text[word.start : word.end] for word in words] == ["赤", "い", "bike2", "号"]
    assert spelled("赤い bike") == ("赤", "い", "bike")
