"""Does a picture show what its prompt says? A score, and the words it does not seem to show.

A dual encoder places pictures and texts in one space; the cosine between two of them says how well they fit. That
number means little by itself, so the encoder comes with facts measured when it was trained; the rest is arithmetic:

**Score.** `1 / (1 + exp(-scale * (cosine - mean)))`, near 1 for a picture with its own caption, near 0 with another's.

**Missing words.** The facts list attributes (an object, a time of day) with their values, and for each value the
phrases that name it. A value that the prompt names is compared with its rivals, the prompts in which another value
stands in its place ("a boat at night" against "a castle at night"). It is missing when the picture fits a rival better,
by more than a margin. The margin is chosen for few false alarms: a warning that is wrong annoys more than one that is
left out. For the same reason nothing is said of words that no attribute knows, of what the prompt excludes ("without a
boat"), and of attributes whose measured rate of false alarms is too high. A prompt of which the encoder knows nothing
("beautiful scenery", "a cat") gets no score: it would mean nothing.

Phrases are found as when the margin was measured: longest first, no word used twice, so the green of "green hills" is
part of a terrain and no colour. Some attributes count only before a phrase of another: "red" in "red boat".
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.domain.pictures import Alignment

_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII | re.IGNORECASE)
_PAUSE = re.compile(r"[,.;:!?]")
_EXCLUDING = frozenset({"no", "not", "without", "never", "except"})
_ARTICLES = frozenset({"a", "an", "any", "the"})
_WORDS_BETWEEN_MAX = 2
"""Words besides articles that may stand between "without" and what it excludes."""

FALSE_ALARM_RATE_MAX = 0.02
"""An attribute that cries wolf more often, over phrases that a picture does show, is never reported missing."""

_EXPONENT_MAX = 60.0

Phrases = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Attribute to value to the phrases that name it, in lower case; the first one stands for the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentFacts:
    """What was measured of a dual encoder.

    A score below `low` (0-1) is one that few fitting pictures get. `margin` is in cosine. An attribute in `only_before`
    counts only where a phrase of the attribute it maps to follows at once. Those in `unreliable` are never missing.
    """

    mean: float
    scale: float
    low: float
    margin: float
    only_before: Mapping[str, str]
    phrases: Phrases
    unreliable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One value of an attribute that a prompt names. `spans` are the (start, end) characters that name it."""

    attribute: str
    value: str
    spans: tuple[tuple[int, int], ...]


def read_facts(calibration: Mapping[str, Any]) -> AlignmentFacts:
    """The facts in a model.json's `calibration`. Raises `ValueError` for what is missing or of no use."""
    try:
        alignment, coverage = calibration["alignment"], calibration["coverage"]
        facts = AlignmentFacts(
            mean=float(alignment["mean"]),
            scale=float(alignment["scale"]),
            low=float(alignment["low_threshold"]),
            margin=float(coverage["margin"]),
            only_before={str(name): str(other) for name, other in coverage["only_before"].items()},
            phrases={
                str(attribute): {str(value): tuple(map(str, phrases)) for value, phrases in values.items()}
                for attribute, values in coverage["phrases"].items()
            },
            unreliable=frozenset(
                str(attribute)
                for attribute, rate in coverage.get("false_alarm_rate_by_attribute", {}).items()
                if rate > FALSE_ALARM_RATE_MAX
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the calibration is not of the form expected: {error!r}") from error
    are_numbers = all(map(math.isfinite, (facts.mean, facts.scale, facts.margin)))
    if not (are_numbers and facts.scale > 0 and 0 <= facts.low <= 1):
        raise ValueError("the calibration's numbers are out of bounds")
    if not all(phrases for values in facts.phrases.values() for phrases in values.values()):
        raise ValueError("the calibration has a value without a phrase")
    return facts


def assess(
    prompt: str, facts: AlignmentFacts, *, cosines: Callable[[Sequence[str]], Sequence[float]]
) -> Alignment | None:
    """How well a picture fits its prompt, or None for a prompt of which the encoder knows nothing.

    `cosines` gives those between the picture and some texts.
    """
    named = claims(prompt, facts)
    if not named:
        return None
    rivals = [
        (claim, text)
        for claim in named
        if claim.attribute not in facts.unreliable
        for text in rivals_of(prompt, claim, named, facts.phrases)
    ]
    own, *others = cosines([prompt, *(text for _, text in rivals)])
    beaten = {
        prompt[start:end]
        for (claim, _), cosine in zip(rivals, others, strict=True)
        if cosine - own > facts.margin
        for start, end in claim.spans[:1]
    }
    in_order = [prompt[start:end] for start, end in sorted(claim.spans[0] for claim in named)]
    missing = tuple(dict.fromkeys(phrase for phrase in in_order if phrase in beaten))
    return Alignment(score=score_of(own, facts), missing=missing)


def score_of(cosine: float, facts: AlignmentFacts) -> float:
    """The score, from 0 to 1, of a cosine between a picture and its prompt."""
    exponent = facts.scale * (facts.mean - cosine)
    return 1 / (1 + math.exp(max(-_EXPONENT_MAX, min(_EXPONENT_MAX, exponent))))


def claims(prompt: str, facts: AlignmentFacts) -> tuple[Claim, ...]:
    """The values that the prompt asks for, in the order in which it first names them."""
    spans = [match.span() for match in _WORD.finditer(prompt)]
    found = _phrases_in([prompt[start:end].lower() for start, end in spans], facts.phrases)
    named: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for first, (end, attribute, value) in sorted(found.items()):
        _, next_attribute, _ = found.get(end, (0, None, None))
        needs = facts.only_before.get(attribute)
        if (needs is None or needs == next_attribute) and not _is_excluded(prompt, spans, first):
            named.setdefault((attribute, value), []).append((spans[first][0], spans[end - 1][1]))
    return tuple(Claim(attribute=name, value=value, spans=tuple(at)) for (name, value), at in named.items())


def rivals_of(prompt: str, claim: Claim, named: Sequence[Claim], phrases: Phrases) -> tuple[str, ...]:
    """The prompts with each other value in the claim's place; values that the prompt also names are no rivals."""
    own = {each.value for each in named if each.attribute == claim.attribute}
    texts: list[str] = []
    for value, (stand_in, *_) in phrases[claim.attribute].items():
        if value not in own:
            text = prompt
            for start, end in sorted(claim.spans, reverse=True):
                text = text[:start] + stand_in + text[end:]
            texts.append(text)
    return tuple(texts)


def _phrases_in(words: Sequence[str], phrases: Phrases) -> dict[int, tuple[int, str, str]]:
    """First word to (end, attribute, value) of every phrase among the words; long ones go first and use words up."""
    known = [
        (tuple(phrase.split()), attribute, value)
        for attribute, values in phrases.items()
        for value, ways in values.items()
        for phrase in ways
    ]
    found: dict[int, tuple[int, str, str]] = {}
    is_used = [False] * len(words)
    for pattern, attribute, value in sorted(known, key=lambda each: -len(each[0])):
        for first in range(len(words) - len(pattern) + 1):
            end = first + len(pattern)
            if tuple(words[first:end]) == pattern and not any(is_used[first:end]):
                is_used[first:end] = [True] * len(pattern)
                found[first] = (end, attribute, value)
    return found


def _is_excluded(prompt: str, spans: Sequence[tuple[int, int]], first: int) -> bool:
    """The phrase at word `first` is what the picture should not show: "no boat", "without a red boat"."""
    between = 0
    for at in range(first - 1, -1, -1):
        word_start, word_end = spans[at]
        if _PAUSE.search(prompt, word_end, spans[at + 1][0]) is not None:
            return False
        word = prompt[word_start:word_end].lower()
        if word in _EXCLUDING:
            return True
        between += word not in _ARTICLES
        if between > _WORDS_BETWEEN_MAX:
            return False
    return False
