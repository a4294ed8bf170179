"""From the tree of a prompt to the text that a model reads, with a note of everything that could not be carried over.

CLIP encoders are told what to heed by weights, so those stay, written as `(words:1.21)` with literal brackets behind a
backslash, and breaks stay as `BREAK`. Encoders that read language (T5 and the like) would take brackets for words: they
get the words alone. What no engine does, changes between steps, becomes what is in effect for longer.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from heliograph.domain.model_card import PromptDialect
from heliograph.prompts.luck import Luck
from heliograph.prompts.tree import (
    Alternate,
    And,
    Break,
    Choice,
    Comment,
    Emphasis,
    Network,
    Node,
    Nodes,
    Schedule,
    Text,
    Weighted,
    joined,
)

EMPHASIS = 1.1
WEIGHT_MIN, WEIGHT_MAX = -2.0, 10.0
"""Weights beyond these make noise of any picture; they are brought back to the bound, with a note."""

_BREAK = re.compile("\\s*([.,;:!?]?)\\s*\0+\\s*")
_LITERAL = re.compile(r"[\\()\[\]]")


@dataclass(slots=True)
class Lowered:
    """`text` is what the model reads, `counts` how often what was changed, `networks` what it would have to load."""

    text: str = ""
    counts: Counter[str] = field(default_factory=Counter[str])
    networks: list[Network] = field(default_factory=list[Network])


def chosen(nodes: Nodes, luck: Luck) -> tuple[Nodes, int]:
    """The nodes with every choice made, and how many there were. The same luck makes the same choices."""
    made = 0

    def within(children: Nodes) -> Nodes:
        found: list[Node] = []
        for node in children:
            found.extend(one(node))
        return joined(found)

    def one(node: Node) -> Nodes:
        nonlocal made
        match node:
            case Choice():
                made += 1
                return within(_drawn(node, luck))
            case Weighted(children, weight):
                return (Weighted(within(children), weight),)
            case Emphasis(children, is_down):
                return (Emphasis(within(children), is_down),)
            case Schedule(before, after, when):
                return (Schedule(within(before), within(after), when),)
            case Alternate(options):
                return (Alternate(tuple(map(within, options))),)
            case _:
                return (node,)

    return within(nodes), made


def _drawn(choice: Choice, luck: Luck) -> Nodes:
    left = [option for option in choice.options if option.weight > 0] or list(choice.options)
    count = min(luck.whole(choice.count_min, choice.count_max), len(left))
    picked = [left.pop(luck.place([option.weight or 1.0 for option in left])) for _ in range(count)]
    nodes: list[Node] = []
    for index, option in enumerate(picked):
        nodes += [Text(choice.separator), *option.children] if index else option.children
    return tuple(nodes)


def lowered(nodes: Nodes, dialect: PromptDialect) -> Lowered:
    """What a model of this dialect reads; every choice has been made."""
    result = Lowered()
    spans = list(_spans(nodes, 1.0, result))
    if dialect is PromptDialect.CLIP_TAGS:
        result.text = "".join(_clip_span(text, weight) for text, weight in spans)
    else:
        weighted = sum(weight != 1.0 for text, weight in spans if text not in ("\0", "\1"))
        if weighted:
            result.counts["weight"] += weighted
        result.text = "".join(_plain_span(text) for text, _ in spans)
        result.text = _BREAK.sub(lambda found: f"{found[1] or '.'} ", result.text)
    if result.networks or result.counts["comment"]:
        result.text = re.sub(r"(?:\s*,)+(?=\s*,)|\s+(?=,)", "", result.text)
    result.text = re.sub(r"\s+", " ", result.text).strip()
    return result


def _spans(nodes: Nodes, weight: float, result: Lowered) -> Iterable[tuple[str, float]]:
    """Texts with their weights; `\\0` is a break and `\\1` what joins two prompts."""
    for node in nodes:
        match node:
            case Text(text):
                yield text, weight
            case Weighted(children, own):
                yield from _spans(children, weight * own, result)
            case Emphasis(children, is_down):
                yield from _spans(children, weight / EMPHASIS if is_down else weight * EMPHASIS, result)
            case Break():
                result.counts["break"] += 1
                yield "\0", 1.0
            case And():
                result.counts["and"] += 1
                yield "\1", 1.0
            case Schedule(before, after, when):
                result.counts["schedule"] += 1
                is_early = when < 0.5 or not before
                yield from _spans(after if is_early and after else before, weight, result)
            case Alternate(options):
                result.counts["alternation"] += 1
                for index, option in enumerate(options):
                    if index:
                        yield " and ", weight
                    yield from _spans(option, weight, result)
            case Network():
                result.networks.append(node)
            case Comment():
                result.counts["comment"] += 1
            case Choice():
                raise AssertionError("a choice was not made")
            case _:
                assert_never(node)


def _clip_span(text: str, weight: float) -> str:
    match text:
        case "\0":
            return " BREAK "
        case "\1":
            return ", "
        case _:
            escaped = _LITERAL.sub(r"\\\g<0>", text)
            bounded = round(min(max(weight, WEIGHT_MIN), WEIGHT_MAX), 4)
            return escaped if bounded == 1.0 or not text.strip() else f"({escaped}:{bounded:g})"


def _plain_span(text: str) -> str:
    return ", " if text == "\1" else text
