"""The byte-pair tokenizer in CLIP's file format: vocab.json and merges.txt.

Text is lower-cased and split into runs of letters, single digits and runs of other characters; each piece is merged
pair by pair in the order of merges.txt, its last symbol carrying `</w>`. A caption becomes
`[start] + pieces + [end]`, filled up with `[end]` to CONTEXT_LENGTH; symbols outside the vocabulary are left out.

`python -m training.tokenizer --work DIR` learns the merges from sampled captions.
"""

from __future__ import annotations

import json
import random
import re
from itertools import pairwise
from pathlib import Path

from training.captions import caption, known_words
from training.progress import StageLog, stage_parser, write_whole
from training.scenes import sample_scene

CONTEXT_LENGTH = 32
START, END = "<|startoftext|>", "<|endoftext|>"

_PIECES = r"[a-z]+|[0-9]|[^\sa-z0-9]+"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_SYMBOLS = _LETTERS + ",.-'!?"
_VOCABULARY_SIZE = 1024


class Tokenizer:
    """Captions to token numbers."""

    def __init__(self, directory: Path) -> None:
        self.vocabulary: dict[str, int] = json.loads((directory / "vocab.json").read_text())
        merges = (directory / "merges.txt").read_text().splitlines()[1:]
        self._ranks = {tuple(line.split()): rank for rank, line in enumerate(merges)}
        self._known: dict[str, list[int]] = {}
        self.start, self.end = self.vocabulary[START], self.vocabulary[END]

    def encode(self, text: str) -> list[int]:
        """CONTEXT_LENGTH token numbers; what does not fit is cut off."""
        tokens = [token for piece in re.findall(_PIECES, text.lower()) for token in self._encode_piece(piece)]
        tokens = [self.start, *tokens[: CONTEXT_LENGTH - 2], self.end]
        return tokens + [self.end] * (CONTEXT_LENGTH - len(tokens))

    def _encode_piece(self, piece: str) -> list[int]:
        if piece not in self._known:
            symbols = [*piece[:-1], piece[-1] + "</w>"]
            while len(symbols) > 1:
                ranks = [self._ranks.get(pair, len(self._ranks)) for pair in pairwise(symbols)]
                best = min(range(len(ranks)), key=ranks.__getitem__)
                if ranks[best] == len(self._ranks):
                    break
                symbols[best : best + 2] = [symbols[best] + symbols[best + 1]]
            self._known[piece] = [self.vocabulary[symbol] for symbol in symbols if symbol in self.vocabulary]
        return self._known[piece]


def learn(directory: Path, captions: list[str]) -> int:
    """Learn merges from captions, write both files, return the size of the vocabulary."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), "removed", invert=True)
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY_SIZE, end_of_word_suffix="</w>", initial_alphabet=list(_SYMBOLS), show_progress=False
    )
    every_pair = [first + second for first in _LETTERS for second in _LETTERS]
    bpe.train_from_iterator(captions + every_pair + known_words() * 3, trainer)
    model = json.loads(bpe.to_str())["model"]
    symbols: list[str] = sorted(model["vocab"], key=model["vocab"].__getitem__)
    for symbol in _SYMBOLS:
        symbols += [form for form in (symbol, symbol + "</w>") if form not in model["vocab"]]
    vocabulary = {symbol: number for number, symbol in enumerate([*symbols, START, END])}
    merges = "".join(" ".join(pair) + "\n" for pair in model["merges"])
    write_whole(directory / "vocab.json", lambda file: file.write(json.dumps(vocabulary).encode()) and None)
    write_whole(directory / "merges.txt", lambda file: file.write(f"#version: 0.2\n{merges}".encode()) and None)
    return len(vocabulary)


def main() -> None:
    """Learn the tokenizer from 30 000 sampled captions."""
    work: Path = stage_parser(__doc__).parse_args().work
    log = StageLog(work, "tokenizer")
    rng = random.Random(0)
    captions = [caption(sample_scene(rng, 0), rng) for _ in range(30_000)]
    size = learn(work / "tokenizer", captions)
    tokenizer = Tokenizer(work / "tokenizer")
    longest = max(tokenizer.encode(text).index(tokenizer.end) + 1 for text in captions)
    log.write(f"vocabulary {size}, longest of {len(captions)} captions: {longest} of {CONTEXT_LENGTH} tokens")


if __name__ == "__main__":
    main()
