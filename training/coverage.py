"""Prompt coverage: which words of a prompt a picture does not seem to show. Plain Python; the towers are handed in.

A prompt's known phrases ("at night", "sailboat", "pixel art") each stand for a value of an attribute. The picture is
compared with the prompt and with its rivals, in which the phrase is replaced by another value of the same attribute
("at night" by "at dawn"): if a rival fits better by more than a margin, the picture does not show the phrase.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from training.captions import SYNONYMS
from training.scenes import COLOURS

_WORDS = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
ONLY_BEFORE = {"colour": "object"}
"""A colour counts only directly before an object: "red boat", not "a blue sky"."""

Phrases = dict[str, dict[str, list[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One attribute's value that a prompt names, and the (start, stop) characters that name it."""

    attribute: str
    value: str
    spans: tuple[tuple[int, int], ...]


def coverage_phrases() -> Phrases:
    """Attribute to value to the phrases that name it, without articles; the first one stands for the value."""
    phrases: Phrases = {"colour": {colour: [colour] for colour in COLOURS}}
    for attribute in ("time", "terrain", "celestial", "object", "weather", "style", "position"):
        phrases[attribute] = {
            value: list(dict.fromkeys(re.sub(r"^(a|an|the) ", "", text) for text in synonyms))
            for value, synonyms in SYNONYMS[attribute].items()
        }
    return phrases


def claims(prompt: str, phrases: Phrases) -> list[Claim]:
    """What the prompt names: longest phrases first, no word used twice, in order of attributes."""
    words = [(match.group(), match.start(), match.end()) for match in _WORDS.finditer(prompt.lower())]
    known = [
        (tuple(phrase.split()), attribute, value)
        for attribute, values in phrases.items()
        for value, texts in values.items()
        for phrase in texts
    ]
    known.sort(key=lambda entry: -len(entry[0]))
    taken: dict[int, tuple[str, str, int]] = {}
    for pattern, attribute, value in known:
        for first in range(len(words) - len(pattern) + 1):
            places = range(first, first + len(pattern))
            matches = all(words[k][0] == part for k, part in zip(places, pattern, strict=True))
            if matches and not any(k in taken for k in places):
                taken |= dict.fromkeys(places, (attribute, value, first))
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for first in sorted({entry[2] for entry in taken.values()}):
        attribute, value, _ = taken[first]
        last = max(k for k, entry in taken.items() if entry[2] == first)
        following = taken.get(last + 1)
        if attribute in ONLY_BEFORE and (following is None or following[0] != ONLY_BEFORE[attribute]):
            continue
        found.setdefault((attribute, value), []).append((words[first][1], words[last][2]))
    return [Claim(attribute=a, value=v, spans=tuple(spans)) for (a, v), spans in found.items()]


def rivals(prompt: str, claim: Claim, named: list[Claim], phrases: Phrases) -> dict[str, str]:
    """Other value to the prompt with that value in the claim's place; values the prompt also names are no rivals."""
    own = {each.value for each in named if each.attribute == claim.attribute}
    texts: dict[str, str] = {}
    for value, synonyms in phrases[claim.attribute].items():
        if value not in own:
            text = prompt
            for start, stop in sorted(claim.spans, reverse=True):
                text = text[:start] + synonyms[0] + text[stop:]
            texts[value] = text
    return texts
