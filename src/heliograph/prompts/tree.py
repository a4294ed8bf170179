"""A prompt as a tree, whatever notation it was written in, and one notation in which every tree can be written down.

`printed` gives a tree in the canonical notation, which is AUTOMATIC1111's with a few additions: dynamic choices in
braces, flags behind two hyphens at the end, and a backslash before whatever would mean something. `parse` in
`parsing.py` gives the same tree back.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TypeAlias, assert_never


class Syntax(StrEnum):
    """Notations a prompt may be in. `AUTO` finds out; `PLAIN` takes every character for what it is."""

    AUTO = "auto"
    A1111 = "a1111"
    SWARM = "swarm"
    COMFYUI = "comfyui"
    COMPEL = "compel"
    MIDJOURNEY = "midjourney"
    SIMPLE = "simple"
    """Text with dynamic choices and flags, and nothing else: what `AUTO` takes a prompt for that shows no signs."""
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Text:
    """Words as they are to be read, free of escapes."""

    text: str


@dataclass(frozen=True, slots=True)
class Weighted:
    """`(children:weight)`: heeded `weight` times as much."""

    children: "Nodes"
    weight: float


@dataclass(frozen=True, slots=True)
class Emphasis:
    """`(children)` is heeded 1.1 times as much, and `[children]` (`is_down`) that much less."""

    children: "Nodes"
    is_down: bool = False


@dataclass(frozen=True, slots=True)
class Break:
    """A new chunk of the text encoder begins here."""


@dataclass(frozen=True, slots=True)
class And:
    """What stands on either side is a prompt of its own, and both are followed."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """`[before:after:when]`: the second replaces the first at a fraction of the steps (below 1), or at a step."""

    before: "Nodes"
    after: "Nodes"
    when: float


@dataclass(frozen=True, slots=True)
class Alternate:
    """`[a|b]`: one after the other, from step to step."""

    options: tuple["Nodes", ...]


@dataclass(frozen=True, slots=True)
class Option:
    """One of a choice, drawn as often as its weight says."""

    children: "Nodes"
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Choice:
    """`{2$$a|b|c}`: from `count_min` to `count_max` of the options, drawn by the seed, joined by `separator`."""

    options: tuple[Option, ...]
    count_min: int = 1
    count_max: int = 1
    separator: str = ", "


@dataclass(frozen=True, slots=True)
class Network:
    """`<lora:name:weight>`: a small network that is to change the model; `kind` is lora, lyco or hypernet."""

    kind: str
    name: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comment:
    """`<comment:…>`: for whoever reads the prompt, not for the model."""

    text: str


Node: TypeAlias = Text | Weighted | Emphasis | Break | And | Schedule | Alternate | Choice | Network | Comment
Nodes: TypeAlias = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """`--name value` behind a prompt; a flag without a value has an empty one."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A whole prompt. `syntax` is the notation it was written in, which two equal prompts need not share."""

    nodes: Nodes
    flags: tuple[Flag, ...] = ()


def joined(nodes: list[Node]) -> Nodes:
    """The nodes with neighbouring texts made one, and empty ones left out."""
    merged: list[Node] = []
    for is_text, run in groupby(nodes, lambda node: isinstance(node, Text)):
        if not is_text:
            merged.extend(run)
        elif text := "".join(node.text for node in run if isinstance(node, Text)):
            merged.append(Text(text))
    return tuple(merged)


def printed(prompt: Prompt) -> str:
    """The prompt in the canonical notation."""
    body = _printed(prompt.nodes, is_inside=False)
    flags = [f"--{flag.name} {flag.value}".rstrip() for flag in prompt.flags]
    return " ".join([body, *flags] if body or not flags else flags)


def number_text(number: float) -> str:
    """A weight as people write it, with a decimal point and never with an exponent: `1.2`, `2.0`."""
    whole, _, fraction = f"{number:.12f}".partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}"


_SPECIAL = re.compile(r"[\\()\[\]{}<]")
_SPECIAL_INSIDE = re.compile(r"[\\()\[\]{}<|:]")
_WORDS = re.compile(r"(?<!\w)(BREAK|AND)(?!\w)")
_FLAG_START = re.compile(r"(^|(?<=\s))(?=--[A-Za-z]|—[A-Za-z])")


def _printed(nodes: Nodes, *, is_inside: bool) -> str:
    return "".join(_node(node, is_inside=is_inside) for node in nodes)


def _node(node: Node, *, is_inside: bool) -> str:
    match node:
        case Text(text):
            escaped = (_SPECIAL_INSIDE if is_inside else _SPECIAL).sub(r"\\\g<0>", text)
            escaped = _WORDS.sub(r"\\\1", escaped)
            return _FLAG_START.sub(r"\\", escaped)
        case Weighted(children, weight):
            return f"({_inner(children)}:{number_text(weight)})"
        case Emphasis(children, is_down):
            return f"[{_inner(children)}]" if is_down else f"({_inner(children)})"
        case Break():
            return "<break>"
        case And():
            return "<and>"
        case Schedule(before, after, when):
            return f"[{_inner(before)}:{_inner(after)}:{number_text(when)}]"
        case Alternate(options):
            return f"[{'|'.join(map(_inner, options))}]"
        case Choice(options, count_min, count_max, separator):
            body = "|".join(f"{number_text(option.weight)}::{_inner(option.children)}" for option in options)
            return f"{{{count_min}-{count_max}$${separator}$${body}}}"
        case Network(kind, name, arguments):
            return f"<{':'.join((kind, name, *arguments))}>"
        case Comment(text):
            return f"<comment:{text}>"
        case _:
            assert_never(node)


def _inner(nodes: Nodes) -> str:
    return _printed(nodes, is_inside=True)
