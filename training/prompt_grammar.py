"""Sentences from rules: the training text of the prompt filter that is nobody's but ours.

A rule is a name with one way to say it a line; `{name}` inside a line stands for another rule. Sentences on forbidden
matters say what a classifier must learn to recognise and no more. No rule joins people below 18 to anything sexual;
that meeting is recognised by words (`moderation/judge.py`), not learnt from examples.
"""

import random
import re

_SLOT = re.compile(r"\{(\w+)\}")


class Grammar:
    """Rules read from text: `name:` opens one, each further line is a choice, `a | b` on a line are two."""

    def __init__(self, text: str) -> None:
        self.rules: dict[str, list[str]] = {}
        name = ""
        for raw in text.strip().splitlines():
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            if re.fullmatch(r"\w+:", line):
                name = line[:-1]
                self.rules.setdefault(name, [])
            else:
                self.rules[name] += [choice.strip() for choice in line.split("|")]
        unknown = {slot for lines in self.rules.values() for line in lines for slot in _SLOT.findall(line)}
        assert unknown <= self.rules.keys(), f"rules without lines: {sorted(unknown - self.rules.keys())}"

    def sentence(self, name: str, luck: random.Random) -> str:
        """One sentence of a rule."""
        text = luck.choice(self.rules[name])
        while True:
            slot = _SLOT.search(text)
            if slot is None:
                return re.sub(r"\b([Aa]) (?=[aeiouAEIOU])", r"\1n ", " ".join(text.split()))
            text = text[: slot.start()] + luck.choice(self.rules[slot[1]]) + text[slot.end() :]

    def sentences(self, name: str, count: int, luck: random.Random) -> list[str]:
        """Up to `count` different sentences of a rule."""
        found: dict[str, None] = {}
        for _ in range(count * 4):
            if len(found) == count:
                break
            found[self.sentence(name, luck)] = None
        return list(found)
