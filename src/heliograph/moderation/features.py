"""What the classifier sees of a prompt: hashed words, spellings and meanings, all of them facts that can be shown.

Three tables of `TABLE` places each, by hash: words and pairs of neighbours; spellings (runs of 3 to 5 characters in a
word); and meanings, that is classes of terms, their neighbours, and pairs of classes that meet within `WINDOW` words or
in the same prompt. Meanings are what lets a few thousand examples speak for words that were in none of them.

A prompt is a point in that space: words and spellings weigh `LEXICAL_NORM` together, meanings `MEANING_NORM`, each kind
divided by the root of how many there are, so that long prompts and short ones can be compared.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

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

CLASS_COUNT_MAX = 3
"""Mentions of one class that are told from one another; more are many."""

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
    """One feature as it is told to people: its place, what it is, and the first and last word it came from."""

    place: int
    name: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPrompt:
    """The words of a prompt that are weighed, and what is mentioned in them."""

    words: Sequence[str]
    mentions: Sequence[Mention]

    @staticmethod
    def of(words: Sequence[str], terms: Terms) -> "ReadPrompt":
        """What is there to be weighed."""
        weighed = words[:WORDS_MAX]
        return ReadPrompt(words=weighed, mentions=terms.mentions(weighed))


def features_of(prompt: ReadPrompt) -> Features:
    """The features of a prompt."""
    hashed = np.fromiter(_word_places(prompt.words), dtype=np.int64)
    lexical = np.concatenate((np.unique(hashed), np.unique(_spellings(prompt.words)) + SPELLINGS_AT))
    meanings = np.fromiter(_meanings(prompt), dtype=np.int64)
    return Features(lexical=lexical, meanings=np.unique(meanings) + MEANINGS_AT)


def named_features(prompt: ReadPrompt) -> list[NamedFeature]:
    """The features that have a name (words and meanings, not spellings), for an explanation."""
    found: list[NamedFeature] = []
    seen: set[str] = set()
    previous = "^"
    for at, word in enumerate(prompt.words):
        for name, first in ((f"w {word}", at), (f"b {previous} {word}", max(0, at - 1))):
            if name not in seen:
                seen.add(name)
                found.append(NamedFeature(place=_hash(name), name=name, first=first, last=at))
        previous = word
    found += [
        NamedFeature(place=place + MEANINGS_AT, name=name(), first=first, last=last)
        for place, (name, first, last) in _meanings(prompt).items()
    ]
    return found


def _hash(name: str) -> int:
    return zlib.crc32(name.encode()) % TABLE


@lru_cache(maxsize=8192)
def _hash_of_classes(kind: str, one: str, other: str) -> int:
    return _hash(f"{kind} {one} {other}")


def _word_places(words: Sequence[str]) -> Iterator[int]:
    previous = "^"
    for word in words:
        yield _hash(f"w {word}")
        yield _hash(f"b {previous} {word}")
        previous = word


_Told = tuple[Callable[[], str], int, int]
"""How to name a feature, and its first and last word."""


def _meanings(prompt: ReadPrompt) -> dict[int, _Told]:
    """The place of each meaning, with its first occurrence."""
    words, mentions = prompt.words, prompt.mentions
    found: dict[int, _Told] = {}
    counts: dict[str, int] = {}
    last_word = len(words) - 1

    def add(kind: str, one: str, other: str, first: int, last: int, place: int) -> None:
        if place not in found:
            found[place] = (lambda: f"{kind} {one} {other}", first, last)

    for mention in mentions:
        name, first, last = mention.term_class, mention.first, mention.last
        count = counts[name] = counts.get(name, 0) + 1
        if count <= CLASS_COUNT_MAX:
            add("c", name, str(count), first, last, _hash_of_classes("c", name, str(count)))
        if last < last_word:
            add("n", name, words[last + 1], first, last + 1, _hash(f"n {name} {words[last + 1]}"))
        if first > 0:
            add("p", words[first - 1], name, first - 1, last, _hash(f"p {words[first - 1]} {name}"))
    for at, mention in enumerate(mentions):
        for other in mentions[at + 1 : at + 1 + PAIRS_MAX]:
            if other.first - mention.last > WINDOW:
                break
            place = _hash_of_classes("m", mention.term_class, other.term_class)
            add("m", mention.term_class, other.term_class, mention.first, other.last, place)
    present = sorted(counts)
    for at, name in enumerate(present):
        for other_name in present[at + 1 :]:
            add("t", name, other_name, 0, last_word, _hash_of_classes("t", name, other_name))
    return found


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
