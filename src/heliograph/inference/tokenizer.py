"""The byte-pair tokenizer of the built-in models, in CLIP's file format: vocab.json and merges.txt.

Text is lower-cased, stripped of accents and cut into runs of letters, single digits and runs of other characters. The
symbols of each piece, the last one carrying `</w>`, are merged pair by pair in the order of merges.txt. Symbols outside
the vocabulary, such as emoji, are left out: `unknown_words` and the token count tell what a model does not read.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

START, END = "<|startoftext|>", "<|endoftext|>"

_PIECE = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]+")
_WORD = re.compile(r"[^\W_]+")
_PIECES_CACHED = 4096
_PIECE_CHARACTERS_MAX = 64
"""Longer runs are cut: merging is quadratic in the length of a piece, and no word is that long."""


class Tokenizer:
    """Text to token ids. Safe to share between threads."""

    def __init__(
        self,
        *,
        vocabulary: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        known_words: frozenset[str],
        context_length: int,
    ) -> None:
        self._vocabulary = vocabulary
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._known_words = known_words
        self._start, self._end = vocabulary[START], vocabulary[END]
        self.context_length = context_length
        self._merged = lru_cache(_PIECES_CACHED)(self._merge)

    @classmethod
    def from_files(cls, *, vocabulary: Path, merges: Path, known_words: Path, context_length: int) -> "Tokenizer":
        """The tokenizer of a vocab.json, a merges.txt and a list of known words (one a line)."""
        numbers: dict[str, int] = json.loads(vocabulary.read_text())
        _version, *lines = merges.read_text().splitlines()
        return cls(
            vocabulary=numbers,
            merges=[(left, right) for left, right in (line.split() for line in lines if line)],
            known_words=frozenset(known_words.read_text().split()),
            context_length=context_length,
        )

    def encode(self, text: str) -> list[int]:
        """`context_length` ids: start, the text, end, and more ends as padding. What does not fit is cut off."""
        ids = [self._start, *self._ids(text)[: self.context_length - 2], self._end]
        return ids + [self._end] * (self.context_length - len(ids))

    def count(self, text: str) -> int:
        """How many ids the text needs, start and end included; more than `context_length` when it does not fit."""
        return len(self._ids(text)) + 2

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """The words of the text that the model was not trained on, once each, in order. Numbers are no words."""
        words = dict.fromkeys(_WORD.findall(_plain(text)))
        return tuple(word for word in words if word not in self._known_words and not word.isnumeric())

    def _ids(self, text: str) -> list[int]:
        return [
            number
            for piece in _PIECE.findall(_plain(text))
            for start in range(0, len(piece), _PIECE_CHARACTERS_MAX)
            for number in self._merged(piece[start : start + _PIECE_CHARACTERS_MAX])
        ]

    def _merge(self, piece: str) -> tuple[int, ...]:
        symbols = [*piece[:-1], piece[-1] + "</w>"]
        never = len(self._ranks)
        while len(symbols) > 1:
            ranks = [self._ranks.get(pair, never) for pair in pairwise(symbols)]
            first = min(ranks)
            if first == never:
                break
            at = ranks.index(first)
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
        return tuple(self._vocabulary[symbol] for symbol in symbols if symbol in self._vocabulary)


def _plain(text: str) -> str:
    """Lower case without accents: `Château` becomes `chateau`."""
    decomposed = unicodedata.normalize("NFKD", text).lower()
    return "".join(character for character in decomposed if not unicodedata.combining(character))
