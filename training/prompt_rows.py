"""The rows that the prompt filter learns from, and how they are read.

Two kinds: sentences that `prompt_rules.py` makes, and rows of public research sets whose licences allow it, read from a
file of `{"prompt", "label", "category", "source", "tier"}` a line. Rows of other sources in that file never reach the
weights; they only help to place the thresholds.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import log
from pathlib import Path

from heliograph.content_filter import masked_words
from heliograph.moderation.disguise import Vocabulary
from heliograph.moderation.terms import Terms
from training import prompt_rules
from training.prompt_disguises import disguised
from training.prompt_grammar import Grammar

LICENSED = {
    "overt_benign": "Apache-2.0",
    "overt_unsafe": "Apache-2.0",
    "adversarial_nibbler": "CC-BY-4.0",
    "xstest": "CC-BY-4.0",
    "coco_paintskill": "CC-BY-4.0",
    "partiprompts": "Apache-2.0",
    "dsg1k": "Apache-2.0",
    "ringabell_adv": "MIT",
    "geneval": "MIT",
    "t2i_compbench": "MIT",
    "diffusiondb_imagereward": "CC0-1.0",
    "handmade": "ours",
}
"""Sources whose rows may train weights that are given away, with their licences."""

OURS = "ours"
COUNTS = {"violence": 8000, "sexual": 6000, "self_harm": 2200, "hate": 1500, "illegal": 4500}
HARMLESS_COUNTS = {"benign": 10_000, "neutral": 6_000}
BORROWED = (
    ("v", prompt_rules.WORLD + prompt_rules.KNOWN + prompt_rules.VIOLENCE, "man men place surface object object2"),
    ("v", prompt_rules.WORLD + prompt_rules.KNOWN + prompt_rules.VIOLENCE, "animal2 food2 woman2"),
    ("s", prompt_rules.WORLD + prompt_rules.SEXUAL, "woman grown bedplace"),
    ("i", prompt_rules.ILLEGAL, "expert who place shop goods teach"),
    ("h", prompt_rules.HATE, "person kind task"),
    ("w", prompt_rules.SELF_HARM, "where"),
    ("k", prompt_rules.KNOWN, "who"),
)
"""Rules of harmful grammars whose words are harmless by themselves: prefix, grammar, names."""

COUNT_MIN = 3
"""Times a word must occur to enter the vocabulary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A labelled prompt; `label` is 1 where it is against the policy."""

    prompt: str
    label: int
    category: str
    source: str
    tier: str

    @property
    def is_licensed(self) -> bool:
        """It may train weights that are given away."""
        return self.source in LICENSED

    @property
    def harm(self) -> str | None:
        """The category it is against, without how it is dressed."""
        if not self.label:
            return None
        return next((name for name in COUNTS if self.category.endswith(name)), None)


def read_rows(path: Path) -> list[Row]:
    """The rows of a file."""
    rows: list[Row] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows.append(
            Row(
                prompt=row["prompt"],
                label=row["label"],
                category=row["category"],
                source=row["source"],
                tier=row["tier"],
            )
        )
    return rows


def our_rows(seed: int) -> list[Row]:
    """Sentences from the rules, some in lower case and some disguised."""
    luck = random.Random(seed)
    harmless = harmless_grammar()
    rows: list[Row] = []
    texts = {
        "violence": prompt_rules.WORLD + prompt_rules.KNOWN + prompt_rules.VIOLENCE,
        "sexual": prompt_rules.WORLD + prompt_rules.SEXUAL,
        "self_harm": prompt_rules.SELF_HARM,
        "hate": prompt_rules.HATE,
        "illegal": prompt_rules.ILLEGAL,
    }
    for category, text in texts.items():
        for sentence in Grammar(text).sentences(category, COUNTS[category], luck):
            shown = sentence.lower() if luck.random() < 0.3 else sentence
            hidden = disguised(shown, luck) if luck.random() < 0.12 else shown
            tier = "core" if hidden == shown else "obfuscated"
            rows.append(Row(prompt=hidden, label=1, category=category, source=OURS, tier=tier))
    for rule, count in HARMLESS_COUNTS.items():
        for sentence in harmless.sentences(rule, count, luck):
            hidden = disguised(sentence, luck) if luck.random() < 0.05 else sentence
            tier = "benign" if hidden == sentence else "obfuscated"
            rows.append(Row(prompt=hidden, label=0, category="benign", source=OURS, tier=tier))
    return rows


def harmless_grammar() -> Grammar:
    """The harmless rules, with the people, places and things of the others: it is not they that make the harm."""
    borrowed = "".join(
        f"{prefix}_{name}:\n  {' | '.join(Grammar(text).rules[name])}\n"
        for prefix, text, names in BORROWED
        for name in names.split()
    )
    return Grammar(prompt_rules.HARMLESS + borrowed)


def fragments(rows: Iterable[Row], seed: int) -> list[Row]:
    """A few words out of every other licensed harmless row, so that short prompts and single words are seen, too."""
    luck = random.Random(seed)
    found: list[Row] = []
    for row in rows:
        words = row.prompt.split()
        if row.label or not row.is_licensed or row.tier == "chat" or len(words) < 4 or luck.random() < 0.5:
            continue
        length = luck.randint(1, min(8, len(words)))
        start = luck.randrange(len(words) - length + 1)
        text = " ".join(words[start : start + length])
        found.append(Row(prompt=text, label=0, category="benign", source=OURS, tier="benign"))
    return found


def vocabulary_of(rows: Iterable[Row], terms: Terms) -> Vocabulary:
    """The words that a disguised one may stand for: those that occur in plain rows, and the terms."""
    counts: Counter[str] = Counter()
    for row in rows:
        is_plain = row.tier not in ("obfuscated", "adversarial") and not re.search(r"\w \w \w \w", row.prompt)
        if is_plain and (row.is_licensed or row.source == OURS):
            counts.update(set(re.findall(r"[a-z][a-z']+", row.prompt.lower())))
    logs = {word: log(1 + count) for word, count in counts.items() if count >= COUNT_MIN and len(word) > 1}
    for word in terms.words():
        if word.isascii() and len(word) > 2:
            logs.setdefault(word, log(2))
    logs |= dict.fromkeys(("a", "i"), 6.0)
    return Vocabulary(logs, masked_words(terms))
