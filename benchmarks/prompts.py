"""How prompts are read: `python -m benchmarks.prompts [FILE ...] [--count 10000]`.

Reads prompts from files (one a line; `.jsonl` has them under "prompt", of `.tsv` the first column counts) and fills up
with made ones to `--count`: scenes in every notation, with brackets, flags, typing errors and noise. Each is prepared
for a model that reads language and for one that reads weights. Prints how many raised anything but a refusal, how many
lost a word on the way into the tree, and the CPU time of preparing one, in milliseconds. Ends with 1 if any failed.
"""

import argparse
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from heliograph.app import read_catalogue
from heliograph.domain.errors import InvalidRequest
from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import ModelCard
from heliograph.prompts import RawRequest, prepare
from heliograph.prompts.parsing import parse
from heliograph.prompts.tree import Prompt, Syntax, printed
from heliograph.settings import Settings

_WORD = re.compile(r"[^\W_]+")
_MARKUP_WORDS = frozenset({"BREAK", "AND", "and", "random", "alternate", "fromto", "break"})
_THINGS = ("a red boat", "an old lighthouse", "the sea at dusk", "colored pencil (medium)", "un château", "猫", "C++")
_SIGNS = (
    *("{}", "({}:1.3)", "(({}))", "[{}]", "{{{}|a dog}}", "{} BREAK", "<lora:{}:0.8>", "[{}:a dog:0.4]"),
    *('"{}"', "{}, teh bg w/ fog", "({}"),
)
_TAILS = ("", "", " --ar 3:2", " --no fog --s 250", ", masterpiece", " :)", " \\(x\\)", " )](")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prompts", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    given = [prompt for path in options.files for prompt in _read(path)]
    made = _made(max(0, options.count - len(given)))
    cards = read_catalogue(Settings()).cards
    readers = [cards[ModelId(name)] for name in ("flux1-dev", "sd15")]
    print(f"{len(given):,} prompts from files, {len(made):,} made; CPU ms per prompt, each read twice")
    failed = _report("from files", given, readers) if given else 0
    failed += _report("made", made, readers) if made else 0
    sys.exit(1 if failed else 0)


def _report(name: str, prompts: Sequence[str], cards: Sequence[ModelCard]) -> int:
    times_ms: list[float] = []
    crashed, lost, refused = 0, 0, 0
    for prompt in prompts:
        for card in cards:
            raw = RawRequest(prompt=prompt, on_unsupported="drop")
            started_s = time.process_time()
            try:
                prepare(raw, card, presets={}, count_tokens=None, draw_seed=lambda: 7)
            except InvalidRequest:
                refused += 1
            except Exception:  # what is counted here
                crashed += 1
            times_ms.append((time.process_time() - started_s) * 1000)
        tree = parse(prompt)
        lost += bool(_words(prompt) - _words(printed(tree)) - _MARKUP_WORDS) or not _is_stable(tree)
    times_ms.sort()
    p50, p99 = statistics.median(times_ms), times_ms[int(len(times_ms) * 0.99)]
    print(f"{name:10} crashed {crashed}  lost {lost}  refused {refused}  p50 {p50:.3f} ms  p99 {p99:.3f} ms")
    return crashed + lost


def _words(text: str) -> set[str]:
    """Words with a letter in them; numbers of weights and the like have their own way of being written."""
    return {word for word in _WORD.findall(text) if any(character.isalpha() for character in word)}


def _is_stable(tree: Prompt) -> bool:
    return parse(printed(tree), Syntax.A1111) == tree


def _read(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if path.suffix == ".jsonl":
            yield str(json.loads(line)["prompt"])
        elif line.strip():
            yield line.partition("\t")[0]


def _made(count: int) -> list[str]:
    luck = random.Random(7)
    prompts: list[str] = []
    for _ in range(count):
        parts = [luck.choice(_SIGNS).format(luck.choice(_THINGS)) for _ in range(luck.randint(1, 8))]
        prompts.append(", ".join(parts) + luck.choice(_TAILS))
    return prompts


if __name__ == "__main__":
    main()
