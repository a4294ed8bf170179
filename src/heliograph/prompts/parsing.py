"""From text to tree: brackets, tags, flags and choices, in whichever notation they come.

One pass with a stack of open brackets. A bracket that is never closed, a closing one that was never opened, and what
stands in brackets without being of their kind are text, as typed: nothing here fails, and no word is lost. Brackets
deeper than `DEPTH_MAX` are text, too, so that what follows may recurse.

What the notations have in common is read the same way in all of them:

    A1111, SWARM   (x) (x:1.2) [x] [a:b:0.5] [a|b] BREAK AND <lora:…> <random:a,b> \\( ; choices and flags
    COMFYUI        (x) (x:1.2) \\( ; choices
    COMPEL         (x)1.2 (x)++ word-- ("a", "b").blend(.7, .3) ; choices
    MIDJOURNEY     a::2 b::1 ; flags
    SIMPLE         choices and flags

`AUTO` looks for signs that cannot be prose: a number behind a colon in brackets, doubled brackets, a tag. Round and
square brackets alone are none: `colored pencil (medium)` means what it says.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from heliograph.prompts.tree import (
    Alternate,
    And,
    Break,
    Choice,
    Comment,
    Emphasis,
    Flag,
    Network,
    Node,
    Nodes,
    Option,
    Prompt,
    Schedule,
    Syntax,
    Text,
    Weighted,
    joined,
)

DEPTH_MAX = 24
NETWORKS = ("lora", "lyco", "hypernet")

_NUMBER = r"[-+]?(?:\d{1,3}(?:\.\d{0,12})?|\.\d{1,12})"
_WHOLE_NUMBER = re.compile(rf"\s*({_NUMBER})\s*")
_TAG = (
    r"<(?P<tag>(?i:lora|lyco|hypernet|random|alternate|fromto|comment|break|and))"
    r"(?:\[(?P<when>[^\]<>]*)\])?(?::(?P<content>[^<>]*))?>"
)
_ESCAPE = r"\\(?P<escaped>(?:BREAK|AND)(?!\w)|[()\[\]{}<>|:\\—-])"
_CHOICE = r"\{(?:(?P<least>\d{1,2})(?:-(?P<most>\d{1,2}))?\$\$(?:(?P<between>[^|{}$\\]{0,20})\$\$)?)?"
_OPTION_WEIGHT = re.compile(r"\s*(\d{1,3}(?:\.\d{0,12})?|\.\d{1,12})::")
_A1111 = re.compile(rf"{_ESCAPE}|{_TAG}|(?P<word>(?<!\w)(?:BREAK|AND)(?!\w))|{_CHOICE}|[()\[\]}}|:]")
_COMFYUI = re.compile(rf"{_ESCAPE}|{_CHOICE}|[()}}|:]")
_SIMPLE = re.compile(rf"{_CHOICE}|[}}|]")
_COMPEL_WORD = r"(?P<stressed>[^\s()\[\]{}+|\",-][^\s()\[\]{}+|\",]*?)(?P<marks>\+{1,8}|-{1,8})(?=[\s,.;)]|$)"
_COMPEL = re.compile(rf"\\(?P<escaped>[()\"])|{_COMPEL_WORD}|{_CHOICE}|[()}}|]")
_COMPEL_SUFFIX = re.compile(r"(\+{1,8}|-{1,8})|(\d{1,3}(?:\.\d{1,12})?|\.\d{1,12})")
_COMPEL_CALL = re.compile(r'\(\s*("(?:[^"\\]|\\.)*"(?:\s*,\s*"(?:[^"\\]|\\.)*")*)\s*\)\s*\.(and|blend)\(([^()]*)\)')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PART_WEIGHT = re.compile(rf"::({_NUMBER})?(?=\s|$)")

_A1111_SIGNS = re.compile(
    rf"\([^()]*(?:(?<!\d):\s*{_NUMBER}|:\s*\d?\.\d+)\s*\)|\(\((?=[^()]*\)\))|\[[^\[\]]*:\s*{_NUMBER}\s*\]"
    r"|\[[^\[\]:|]*(?:\|[^\[\]:|]*)+\]|(?<!\w)BREAK(?!\w)|\\[()\[\]]"
    rf"|<(?i:lora|lyco|hypernet|random|alternate|fromto|comment|break)[:\[>]"
)
_COMPEL_SIGNS = re.compile(r"\)(?:\+{1,4}|-{2,4}|\d?\.\d{1,4})(?=[\s,.]|$)|\"\)\s*\.(?:and|blend)\(")

_FLAG_START = re.compile(r"(?:^|(?<=\s))(?:--|—)(?=[A-Za-z])")
_FLAG = re.compile(r"([A-Za-z]{1,20})(?:[ =:]+(.*?))?\s*", re.DOTALL)
_MARKUP = re.compile(r"[<>{}()\[\]|\\]")
_NUMERIC = re.compile(r"[+-]?\d{1,12}(?:\.\d{1,6})?")
_FLAG_VALUES: dict[str, re.Pattern[str]] = {
    **dict.fromkeys(("ar", "aspect"), re.compile(r"\d{1,5}(?:\.\d{1,4})?\s*[:x/]\s*\d{1,5}(?:\.\d{1,4})?")),
    "seed": re.compile(r"\d{1,12}"),
    "no": re.compile(r".+", re.DOTALL),
    **dict.fromkeys(
        ("s", "stylize", "c", "chaos", "w", "weird", "q", "quality", "iw", "sw", "ow", "cw", "stop", "exp", "r"),
        _NUMERIC,
    ),
    **dict.fromkeys(("v", "version", "niji"), re.compile(r"[\d.a-z]{0,8}")),
    **dict.fromkeys(("sref", "cref", "oref", "profile", "p", "style"), re.compile(r"\S{0,2000}")),
    **dict.fromkeys(
        (
            "tile",
            "raw",
            "fast",
            "relax",
            "turbo",
            "draft",
            "hd",
            "video",
            "loop",
            "test",
            "creative",
            "stealth",
        ),
        re.compile(""),
    ),
}
FLAGS = tuple(_FLAG_VALUES)
"""Names of the flags that are known, whether or not anything comes of them."""


def parse(text: str, syntax: Syntax = Syntax.AUTO) -> Prompt:
    """The tree of a prompt. Never fails; `PLAIN` gives one text."""
    if syntax is Syntax.AUTO:
        syntax = detected(text)
    match syntax:
        case Syntax.PLAIN:
            return Prompt(joined([Text(text)]))
        case Syntax.COMFYUI:
            return Prompt(_Brackets(text, _COMFYUI).nodes())
        case Syntax.COMPEL:
            return Prompt(_compel(text))
        case Syntax.MIDJOURNEY:
            body, flags = _split_flags(text)
            return Prompt(_multi_prompt(body), flags)
        case Syntax.SIMPLE:
            body, flags = _split_flags(text)
            return Prompt(_Brackets(body, _SIMPLE).nodes(), flags)
        case _:
            body, flags = _split_flags(text)
            return Prompt(_Brackets(body, _A1111).nodes(), flags)


def detected(text: str) -> Syntax:
    """The notation of a prompt whose author did not name one."""
    if _is_json(text):
        return Syntax.PLAIN
    if _COMPEL_SIGNS.search(text):
        return Syntax.COMPEL
    if _A1111_SIGNS.search(text):
        return Syntax.A1111
    body, flags = _split_flags(text)
    if flags and _PART_WEIGHT.search(body):
        return Syntax.MIDJOURNEY
    return Syntax.SIMPLE


def _is_json(text: str) -> bool:
    """Some models are told what to draw in JSON, whose braces and brackets are its own."""
    if not text.startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


@dataclass(slots=True)
class _Open:
    """A bracket that was opened: what stands in it, cut at the separators. `weights` are those of its options, as
    typed, with their colons.
    """

    opening: str
    segments: list[list[Node]] = field(default_factory=lambda: [[]])
    separators: list[str] = field(default_factory=list[str])
    weights: list[str] = field(default_factory=list[str])
    counts: tuple[int, int, str] | None = None

    def flat(self, closing: str = "") -> list[Node]:
        """The bracket as the text it is when it means nothing."""
        nodes: list[Node] = []
        weights = self.weights or [""] * len(self.segments)
        for before, weight, segment in zip((self.opening, *self.separators), weights, self.segments, strict=True):
            nodes += [Text(before + weight), *segment]
        return [*nodes, Text(closing)]


_CLOSING = {")": "(", "]": "[", "}": "{"}
_SEPARATORS = {"(": ":", "[": ":|", "{": "|"}


class _Brackets:
    """One pass over `text`, whose meaningful characters `tokens` finds."""

    def __init__(self, text: str, tokens: re.Pattern[str], *, depth_max: int = DEPTH_MAX) -> None:
        self._text = text
        self._depth_max = depth_max
        self._tokens = tokens
        self._stack = [_Open("")]
        self._at = 0

    def nodes(self) -> Nodes:
        """The tree."""
        while match := self._tokens.search(self._text, self._at):
            self._add(Text(self._text[self._at : match.start()]))
            self._at = match.end()
            self._take(match)
        self._add(Text(self._text[self._at :]))
        while len(self._stack) > 1:
            self._flatten()
        return joined(self._stack[0].segments[0])

    def _add(self, *nodes: Node) -> None:
        self._stack[-1].segments[-1].extend(nodes)

    def _flatten(self) -> None:
        unclosed = self._stack.pop()
        self._add(*unclosed.flat())

    def _take(self, match: re.Match[str]) -> None:
        found, groups = match[0], match.groupdict()
        if groups.get("escaped") is not None:
            self._add(Text(groups["escaped"]))
        elif groups.get("tag") is not None:
            self._add(_tag(match))
        elif groups.get("word") is not None:
            self._add(Break() if found == "BREAK" else And())
        elif groups.get("stressed") is not None:
            self._add(_stressed((Text(groups["stressed"]),), groups["marks"]))
        elif found[0] in "([{":
            self._open(match)
        elif found in _CLOSING:
            self._close(found)
        else:
            self._separate(found)

    def _open(self, match: re.Match[str]) -> None:
        if len(self._stack) > self._depth_max:
            self._add(Text(match[0]))
            return
        opened = _Open(match[0])
        if match[0][0] == "{":
            if match["least"] is not None:
                least = int(match["least"])
                most = int(match["most"] or least)
                between = match["between"]
                opened.counts = (min(least, most), max(least, most), ", " if between is None else between)
            opened.weights.append(self._option_weight())
        self._stack.append(opened)

    def _option_weight(self) -> str:
        match = _OPTION_WEIGHT.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _separate(self, token: str) -> None:
        top = self._stack[-1]
        if token not in _SEPARATORS.get(top.opening[:1], ""):
            self._add(Text(token))
            return
        top.separators.append(token)
        top.segments.append([])
        if top.opening[0] == "{":
            top.weights.append(self._option_weight())

    def _close(self, token: str) -> None:
        opening = _CLOSING[token]
        if not any(each.opening[:1] == opening for each in self._stack):
            self._add(Text(token))
            return
        while self._stack[-1].opening[0] != opening:
            self._flatten()
        closed = self._stack.pop()
        match opening:
            case "(" if self._tokens is _COMPEL:
                self._add(*self._compel_group(closed))
            case "(":
                self._add(*_round(closed))
            case "[":
                self._add(*_square(closed))
            case _:
                self._add(*_braces(closed))

    def _compel_group(self, closed: _Open) -> list[Node]:
        suffix = _COMPEL_SUFFIX.match(self._text, self._at)
        children = joined(closed.segments[0])
        if suffix is None or not children:
            return closed.flat(")")
        self._at = suffix.end()
        return [_stressed(children, suffix[1]) if suffix[1] else Weighted(children, float(suffix[2]))]


def _number_of(segment: list[Node]) -> float | None:
    nodes = joined(segment)
    match nodes:
        case (Text(text),):
            found = _WHOLE_NUMBER.fullmatch(text)
            return None if found is None else float(found[1])
        case _:
            return None


def _rejoined(segments: list[list[Node]], separators: list[str]) -> Nodes:
    nodes = list(segments[0])
    for separator, segment in zip(separators, segments[1:], strict=True):
        nodes += [Text(separator), *segment]
    return joined(nodes)


def _round(closed: _Open) -> list[Node]:
    if closed.separators and not _is_ratio(closed.segments):
        weight = _number_of(closed.segments[-1])
        if weight is not None:
            return [Weighted(_rejoined(closed.segments[:-1], closed.separators[:-1]), weight)]
    children = _rejoined(closed.segments, closed.separators)
    return [Emphasis(children)] if children else closed.flat(")")


def _is_ratio(segments: list[list[Node]]) -> bool:
    """A whole number behind a number, such as 16:9, is no weight."""
    match joined(segments[-2]), joined(segments[-1]):
        case (*_, Text(before)), (Text(after),):
            return before[-1].isdigit() and "." not in after
        case _:
            return False


def _square(closed: _Open) -> list[Node]:
    kinds = set(closed.separators)
    if kinds == {"|"}:
        return [Alternate(tuple(joined(segment) for segment in closed.segments))]
    when = _number_of(closed.segments[-1])
    if kinds == {":"} and len(closed.separators) <= 2 and when is not None:
        before = joined(closed.segments[0]) if len(closed.separators) == 2 else ()
        return [Schedule(before, joined(closed.segments[-2]), when)]
    children = _rejoined(closed.segments, closed.separators)
    return [Emphasis(children, is_down=True)] if children else closed.flat("]")


def _braces(closed: _Open) -> list[Node]:
    if not closed.separators and closed.counts is None:
        return closed.flat("}")
    options = tuple(
        Option(joined(segment), float(weight.rstrip(":")) if weight else 1.0)
        for segment, weight in zip(closed.segments, closed.weights, strict=True)
    )
    least, most, separator = closed.counts or (1, 1, ", ")
    return [Choice(options, least, most, separator)]


def _tag(match: re.Match[str]) -> Node:
    kind, content, when = match["tag"].lower(), match["content"], match["when"]
    if kind in ("break", "and") and content is None and when is None:
        return Break() if kind == "break" else And()
    if content is None or (when is not None and kind != "fromto"):
        return Text(match[0])
    if kind in NETWORKS:
        name, *arguments = content.split(":")
        return Network(kind, name, tuple(arguments))
    if kind == "comment":
        return Comment(content)
    parts = tuple((Text(part),) if part else () for part in re.split(r"\|\||\||,", content))
    found = _WHOLE_NUMBER.fullmatch(when or "")
    if kind == "random" and len(parts) > 1:
        return Choice(tuple(Option(part) for part in parts))
    if kind == "alternate" and len(parts) > 1:
        return Alternate(parts)
    if kind == "fromto" and len(parts) == 2 and found is not None:
        return Schedule(parts[0], parts[1], float(found[1]))
    return Text(match[0])


def _stressed(children: Nodes, marks: str) -> Node:
    """Each plus makes 1.1 times as much of it, each minus 0.9 times."""
    return Weighted(children, round((0.9 if marks[0] == "-" else 1.1) ** len(marks), 4))


def _compel(text: str) -> Nodes:
    nodes: list[Node] = []
    at = 0
    for call in _COMPEL_CALL.finditer(text):
        nodes += _Brackets(text[at : call.start()], _COMPEL).nodes()
        nodes += _compel_call(call)
        at = call.end()
    return joined([*nodes, *_Brackets(text[at:], _COMPEL).nodes()])


def _compel_call(call: re.Match[str]) -> Iterator[Node]:
    weights = [float(number) for number in re.findall(_NUMBER, call[3])]
    for index, part in enumerate(_QUOTED.finditer(call[1])):
        if index:
            yield And()
        children = _Brackets(re.sub(r"\\(.)", r"\1", part[1]), _COMPEL, depth_max=DEPTH_MAX - 1).nodes()
        weight = weights[index] if index < len(weights) else None
        if weight is None:
            yield from children
        else:
            yield Weighted(children, weight)


def _multi_prompt(text: str) -> Nodes:
    nodes: list[Node] = []
    at = 0
    for match in _PART_WEIGHT.finditer(text):
        part = joined([Text(text[at : match.start()].strip())])
        nodes += [And()] if nodes else []
        nodes += part if match[1] is None else [Weighted(part, float(match[1]))]
        at = match.end()
    rest = text[at:].strip() if nodes else text
    if nodes and rest:
        nodes.append(And())
    return joined([*nodes, Text(rest)])


def _split_flags(text: str) -> tuple[str, tuple[Flag, ...]]:
    """The prompt without the flags at its end, and those. What looks like one elsewhere is text."""
    if "--" not in text and "—" not in text:
        return text, ()
    starts = list(_FLAG_START.finditer(text))
    ends = [*(start.start() for start in starts[1:]), len(text)] if starts else []
    flags: list[Flag] = []
    known_from, cut = 0, len(text)
    for start, end in zip(reversed(starts), reversed(ends), strict=True):
        match = _FLAG.fullmatch(text, start.end(), end)
        if match is None:
            break
        name, value = match[1].lower(), (match[2] or "").strip()
        pattern = _FLAG_VALUES.get(name)
        if _MARKUP.search(value) or (pattern is None and " " in value):
            break
        if pattern is not None and pattern.fullmatch(value) is None:
            break
        flags.append(Flag(name, value))
        if pattern is not None:
            known_from, cut = len(flags), start.start()
    return text[:cut].rstrip() if known_from else text, tuple(reversed(flags[:known_from]))
