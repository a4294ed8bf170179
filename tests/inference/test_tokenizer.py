import time
from pathlib import Path

import pytest

from heliograph.inference.tokenizer import END, START, Tokenizer

# Merges in order of rank: "th" + "e</w>" wins over "he" although "h e</w>" stands first in the text.
MERGES = [("t", "h"), ("h", "e</w>"), ("th", "e</w>"), ("a", "t</w>"), ("c", "at</w>"), ("!", "!</w>")]
SYMBOLS = ["a", "c", "e", "h", "t", "a</w>", "e</w>", "t</w>", "8</w>", "!", "!</w>", "-</w>"]
VOCABULARY = {
    symbol: number for number, symbol in enumerate([*SYMBOLS, *("".join(pair) for pair in MERGES), START, END])
}
START_ID, END_ID = VOCABULARY[START], VOCABULARY[END]


def a_tokenizer() -> Tokenizer:
    words = frozenset({"the", "cat", "chateau", "4k", "bit"})
    return Tokenizer(vocabulary=VOCABULARY, merges=MERGES, known_words=words, context_length=8)


def symbols(text: str) -> list[str]:
    names = {number: symbol for symbol, number in VOCABULARY.items()}
    ids = a_tokenizer().encode(text)
    assert len(ids) == 8
    assert ids[0] == START_ID
    end = ids.index(END_ID)
    assert set(ids[end:]) == {END_ID}
    return [names[number] for number in ids[1:end]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  \n\t ", []),
        ("the cat", ["the</w>", "cat</w>"]),
        ("THE  Cat", ["the</w>", "cat</w>"]),
        ("thethe", ["th", "e", "the</w>"]),
        ("88", ["8</w>", "8</w>"]),
        ("cat!!", ["cat</w>", "!!</w>"]),
        ("cat-cat", ["cat</w>", "-</w>", "cat</w>"]),
        ("cát", ["cat</w>"]),
        ("the 🐈 cat", ["the</w>", "cat</w>"]),
        ("חתול", []),
        ("t\u200bh", ["t</w>"]),
        ("<|endoftext|>", ["e", "t", "e", "t</w>"]),
    ],
)
def test_text_becomes_symbols(text: str, expected: list[str]) -> None:
    assert symbols(text) == expected


def test_what_does_not_fit_is_cut_off_but_counted() -> None:
    tokenizer = a_tokenizer()
    assert tokenizer.encode("cat " * 7) == [START_ID, *[VOCABULARY["cat</w>"]] * 6, END_ID]
    assert tokenizer.count("cat " * 6) == 8
    assert tokenizer.count("cat " * 7) == 9
    assert tokenizer.count("") == 2


@pytest.mark.parametrize("text", ["cat " * 10_000, "cat" * 13_333, "!" * 40_000, "🐈" * 40_000, "e\u0301" * 20_000])
def test_a_very_long_prompt_is_counted_quickly(text: str) -> None:
    started_s = time.perf_counter()
    a_tokenizer().count(text)
    assert time.perf_counter() - started_s < 1.0


def test_unknown_words_are_named_once_in_order() -> None:
    text = "The zebra's CAT, a Château & zebra, 4k 8k 8-bit 42 🐈 חתול"
    assert a_tokenizer().unknown_words(text) == ("zebra", "s", "a", "8k", "חתול")


def test_files_are_read_in_clips_format(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text('{"a": 0, "b</w>": 1, "ab</w>": 2, "<|startoftext|>": 3, "<|endoftext|>": 4}')
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    (tmp_path / "known_words.txt").write_text("ab\nba\n")
    tokenizer = Tokenizer.from_files(
        vocabulary=tmp_path / "vocab.json",
        merges=tmp_path / "merges.txt",
        known_words=tmp_path / "known_words.txt",
        context_length=4,
    )
    assert tokenizer.encode("ab") == [3, 2, 4, 4]
    assert tokenizer.unknown_words("ab ba aa") == ("aa",)
