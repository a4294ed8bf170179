"""What the classifier sees of a prompt: hashed words, spellings and meanings, all of them facts that can be shown.

Four kinds of features share one table of `FEATURES` places, by hash: words and pairs of neighbours, spellings (runs of
3 to 5 characters within words), classes of terms, and pairs of classes that meet within `WINDOW` words or in
the same prompt. Meanings are what lets a few thousand examples speak for words that were in none of them.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heliograph.moderation.terms import Mention, Terms

FEATURES = 1 << 17
WINDOW = 7
WORDS_MAX = 1_200
"""Most words of a prompt that are weighed, which bounds the time; the rest is read for terms only."""

NEIGHBOURS = 3

_CHAR_BASE = np.uint64(1_099_511_628_211)
_MIX = np.uint64(0x9E3779B97F4A7C15)

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The places that are set, each once, and which words each came from where that is told (for the explanation)."""

    indices: Indices
    told: dict[int, tuple[str, int, int]]
    """Place -> (what it is, first word, last word)."""


def features_of(words: Sequence[str], terms: Terms, *, explains: bool = False) -> Features:
    """The features of a prompt's words."""
    weighed = words[:WORDS_MAX]
    mentions = terms.mentions(weighed)
    told: dict[int, tuple[str, int, int]] = {}
    names: dict[str, tuple[int, int]] = {}
    _word_names(weighed, names)
    _meaning_names(weighed, mentions, names)
    hashed = {_place(name): name for name in names}
    if explains:
        told = {place: (name, *names[name]) for place, name in hashed.items()}
    places = np.fromiter(hashed, dtype=np.int64, count=len(hashed))
    indices = np.unique(np.concatenate((places, _spellings(weighed))))
    return Features(indices=indices, told=told)


def _place(name: str) -> int:
    return zlib.crc32(name.encode()) % FEATURES


def _word_names(words: Sequence[str], names: dict[str, tuple[int, int]]) -> None:
    previous = "^"
    for at, word in enumerate(words):
        names.setdefault("w " + word, (at, at))
        names.setdefault(f"b {previous} {word}", (max(0, at - 1), at))
        previous = word


def _meaning_names(words: Sequence[str], mentions: Sequence[Mention], names: dict[str, tuple[int, int]]) -> None:
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
        for other in mentions[at + 1 : at + 1 + 24]:
            if other.first - mention.last > WINDOW:
                break
            names.setdefault(f"m {mention.term_class} {other.term_class}", (mention.first, other.last))
    present = sorted(counts)
    for at, name in enumerate(present):
        for other in present[at + 1 :]:
            names.setdefault(f"t {name} {other}", (0, len(words) - 1))


def _spellings(words: Sequence[str]) -> Indices:
    """Places of the runs of 3 to 5 characters, word ends included."""
    text = " " + " ".join(words) + " "
    codes = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.uint64) + np.uint64(1)
    spaces = codes == np.uint64(33)
    found: list[Indices] = []
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
        places = ((value * _MIX) >> np.uint64(40)).astype(np.int64) % FEATURES
        found.append(places[~crosses])
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
