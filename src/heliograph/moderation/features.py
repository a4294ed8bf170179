"""What the classifier sees of a prompt: hashed words, spellings and meanings, all of them facts that can be shown.

Three tables of `TABLE` places each, by hash: words and pairs of neighbours; spellings (runs of 3 to 5 characters in a
word); and meanings, that is classes of terms, their neighbours, and pairs of classes that meet within `WINDOW` words or
in the same prompt. Meanings are what lets a few thousand examples speak for words that were in none of them.

A prompt is a point in that space: words and spellings weigh `LEXICAL_NORM` together, meanings `MEANING_NORM`, each kind
divided by the root of how many there are, so that long prompts and short ones can be compared.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heliograph.moderation.terms import Mention, Terms

TABLE = 1 << 16
"""Places of one table."""

FEATURES = 3 * TABLE
SPELLINGS_AT = TABLE
MEANINGS_AT = 2 * TABLE

WINDOW = 7
"""Words between two mentions that still count as meeting."""

WORDS_MAX = 1_200
"""Most words of a prompt that are weighed, which bounds the time; the rest is read for terms only."""

PAIRS_MAX = 24
"""Most later mentions that one is paired with."""

LEXICAL_NORM = 6.0
MEANING_NORM = 4.0
LEXICAL_COUNT_MIN = 40
MEANING_COUNT_MIN = 6
"""A prompt with fewer is weighed as if it had so many: one word alone should not decide."""

_CHAR_BASE = np.uint64(1_099_511_628_211)
_MIX = np.uint64(0x9E3779B97F4A7C15)

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Places that are set, each once: `lexical` below `MEANINGS_AT`, `meanings` from there on."""

    lexical: Places
    meanings: Places

    @property
    def lexical_value(self) -> float:
        """What each lexical feature counts."""
        return LEXICAL_NORM / max(LEXICAL_COUNT_MIN, len(self.lexical)) ** 0.5

    @property
    def meaning_value(self) -> float:
        """What each meaning counts."""
        return MEANING_NORM / max(MEANING_COUNT_MIN, len(self.meanings)) ** 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFeature:
    """One feature as it is told to people: its place, and the first and last word it came from."""

    place: int
    name: str
    first: int
    last: int


def features_of(words: Sequence[str], terms: Terms) -> Features:
    """The features of a prompt's words."""
    weighed = words[:WORDS_MAX]
    word_names: dict[str, tuple[int, int]] = {}
    meaning_names: dict[str, tuple[int, int]] = {}
    _add_word_names(weighed, word_names)
    _add_meaning_names(weighed, terms.mentions(weighed), meaning_names)
    hashed = np.fromiter((_hash(name) for name in word_names), dtype=np.int64, count=len(word_names))
    lexical = np.concatenate((np.unique(hashed), np.unique(_spellings(weighed)) + SPELLINGS_AT))
    meanings = np.fromiter((_hash(name) for name in meaning_names), dtype=np.int64, count=len(meaning_names))
    return Features(lexical=lexical, meanings=np.unique(meanings) + MEANINGS_AT)


def named_features(words: Sequence[str], terms: Terms) -> list[NamedFeature]:
    """The features that have a name (words and meanings, not spellings), for an explanation."""
    weighed = words[:WORDS_MAX]
    names: dict[str, tuple[int, int]] = {}
    _add_word_names(weighed, names)
    found = [NamedFeature(place=_hash(name), name=name, first=at[0], last=at[1]) for name, at in names.items()]
    meanings: dict[str, tuple[int, int]] = {}
    _add_meaning_names(weighed, terms.mentions(weighed), meanings)
    found += [
        NamedFeature(place=_hash(name) + MEANINGS_AT, name=name, first=at[0], last=at[1])
        for name, at in meanings.items()
    ]
    return found


def _hash(name: str) -> int:
    return zlib.crc32(name.encode()) % TABLE


def _add_word_names(words: Sequence[str], names: dict[str, tuple[int, int]]) -> None:
    previous = "^"
    for at, word in enumerate(words):
        names.setdefault("w " + word, (at, at))
        names.setdefault(f"b {previous} {word}", (max(0, at - 1), at))
        previous = word


def _add_meaning_names(words: Sequence[str], mentions: Sequence[Mention], names: dict[str, tuple[int, int]]) -> None:
    counts: dict[str, int] = {}
    for mention in mentions:
        count = counts[mention.term_class] = counts.get(mention.term_class, 0) + 1
        if count <= 3:
            names.setdefault(f"c {mention.term_class} {count}", (mention.first, mention.last))
        if mention.last + 1 < len(words):
            names.setdefault(f"n {mention.term_class} {words[mention.last + 1]}", (mention.first, mention.last + 1))
        if mention.first > 0:
            names.setdefault(f"p {words[mention.first - 1]} {mention.term_class}", (mention.first - 1, mention.last))
    for at, mention in enumerate(mentions):
        for other in mentions[at + 1 : at + 1 + PAIRS_MAX]:
            if other.first - mention.last > WINDOW:
                break
            names.setdefault(f"m {mention.term_class} {other.term_class}", (mention.first, other.last))
    present = sorted(counts)
    for at, name in enumerate(present):
        for other in present[at + 1 :]:
            names.setdefault(f"t {name} {other}", (0, len(words) - 1))


def _spellings(words: Sequence[str]) -> Places:
    """Hashes of the runs of 3 to 5 characters, word ends included."""
    text = " " + " ".join(words) + " "
    codes = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.uint64) + np.uint64(1)
    spaces = codes == np.uint64(33)
    found: list[Places] = []
    for length in (3, 4, 5):
        count = len(codes) - length + 1
        if count <= 0:
            continue
        value = np.full(count, np.uint64(length), dtype=np.uint64)
        crosses = np.zeros(count, dtype=np.bool_)
        for offset in range(length):
            value = value * _CHAR_BASE + codes[offset : offset + count]
            if 0 < offset < length - 1:
                crosses |= spaces[offset : offset + count]
        places = ((value * _MIX) >> np.uint64(40)).astype(np.int64) % TABLE
        found.append(places[~crosses])
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
