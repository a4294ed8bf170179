"""Does a picture show what its prompt says? A score, and the words it does not seem to show.

A dual encoder places pictures and texts in one space; the cosine between two of them says how well they fit. That
number means little by itself, so the encoder comes with facts measured when it was trained; the rest is arithmetic:

**Score.** `1 / (1 + exp(-(cosine - midpoint) / scale))`: 0.5 where matched and mismatched pairs are equally likely.

**Missing words.** The facts list attributes (an object, a time of day) with their values, and for each value the
phrases that name it and the captions that stand for it. A phrase of the prompt is missing when the picture lies nearer
to another value of the same attribute, by more than the attribute's margin. Margins are chosen for few false alarms: a
warning that is wrong annoys more than one that is left out. For the same reason nothing is said of words that no
attribute knows, of what the prompt excludes ("without a boat"), and of attributes the encoder judges badly: these are
not in its facts.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.domain.pictures import Alignment

_WORD = re.compile(r"[^\W_]+")
_EXCLUDING = frozenset({"no", "not", "without", "never", "except"})
_ARTICLES = frozenset({"a", "an", "any", "the"})
_PAUSE = re.compile(r"[,.;:!?]")
_WORDS_BETWEEN_MAX = 2
"""Words besides articles that may stand between "without" and what it excludes."""

_EXPONENT_MAX = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One value of an attribute: the phrases that name it in a prompt, as words, and the captions that stand for it."""

    name: str
    phrases: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """Values of which a picture shows one.

    A value that was asked for is missing when another is nearer by more than `margin`, in cosine. With `before` set, a
    phrase counts only where one of that attribute follows at once, as in "red boat"; `{next}` in the captions is it.
    """

    name: str
    margin: float
    before: str | None
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentFacts:
    """What was measured of a dual encoder. A score below `low` (0-1) is one that few fitting pictures get."""

    midpoint: float
    scale: float
    low: float
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A phrase of the prompt, as typed, that asks for a value. `following` is the phrase behind it, plain, or empty."""

    phrase: str
    attribute: Attribute
    value: Value
    following: str = ""

    def captions(self, value: Value) -> tuple[str, ...]:
        """What stands for `value` of the same attribute in this place."""
        return tuple(text.replace("{next}", self.following) for text in value.texts)


def read_facts(calibration: Mapping[str, Any]) -> AlignmentFacts:
    """The facts in a model.json's `calibration`. Raises `ValueError` for what is missing or of no use."""
    try:
        alignment: Mapping[str, Any] = calibration["alignment"]
        coverage: Mapping[str, Any] = calibration.get("coverage", {})
        facts = AlignmentFacts(
            midpoint=float(alignment["midpoint"]),
            scale=float(alignment["scale"]),
            low=float(alignment["low"]),
            attributes=tuple(_attribute(name, entry) for name, entry in coverage.items()),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the calibration is not of the form expected: {error!r}") from error
    if not (facts.scale > 0 and 0 <= facts.low <= 1 and math.isfinite(facts.midpoint)):
        raise ValueError("the calibration's scale must be above 0, and low from 0 to 1")
    return facts


def _attribute(name: str, entry: Mapping[str, Any]) -> Attribute:
    values: Mapping[str, Any] = entry["values"]
    return Attribute(
        name=name,
        margin=float(entry["margin"]),
        before=entry.get("before"),
        values=tuple(
            Value(
                name=value,
                phrases=tuple(tuple(_words(phrase)) for phrase in facts.get("phrases", ())),
                texts=tuple(facts.get("texts") or facts["phrases"]),
            )
            for value, facts in values.items()
        ),
    )


def assess(
    prompt: str, facts: AlignmentFacts, *, cosine: float, cosine_to: Callable[[tuple[str, ...]], float]
) -> Alignment:
    """How well a picture fits its prompt.

    `cosine` is between the picture and the whole prompt, `cosine_to` gives the one between the picture and what some
    captions describe together.
    """
    missing = [mention.phrase for mention in mentions(prompt, facts) if _is_missing(mention, cosine_to)]
    return Alignment(score=score_of(cosine, facts), missing=tuple(dict.fromkeys(missing)))


def score_of(cosine: float, facts: AlignmentFacts) -> float:
    """The score, from 0 to 1, of a cosine between a picture and its prompt."""
    exponent = (facts.midpoint - cosine) / facts.scale
    return 1 / (1 + math.exp(max(-_EXPONENT_MAX, min(_EXPONENT_MAX, exponent))))


def _is_missing(mention: Mention, cosine_to: Callable[[tuple[str, ...]], float]) -> bool:
    closeness = {value.name: cosine_to(mention.captions(value)) for value in mention.attribute.values}
    wanted = closeness.pop(mention.value.name)
    return max(closeness.values(), default=wanted) - wanted > mention.attribute.margin


def mentions(prompt: str, facts: AlignmentFacts) -> tuple[Mention, ...]:
    """What the prompt asks for, in its order. Long phrases go first and use up their words.

    So the green of "green hills" is part of a terrain and no colour of an object.
    """
    spans = [match.span() for match in _WORD.finditer(prompt)]
    words = [_plain(prompt[start:end]) for start, end in spans]
    named = [
        (phrase, attribute, value)
        for attribute in facts.attributes
        for value in attribute.values
        for phrase in value.phrases
        if phrase
    ]
    found: dict[int, tuple[int, Attribute, Value]] = {}
    is_used = [False] * len(words)
    for phrase, attribute, value in sorted(named, key=lambda each: -len(each[0])):
        for start in range(len(words) - len(phrase) + 1):
            end = start + len(phrase)
            if tuple(words[start:end]) == phrase and not any(is_used[start:end]):
                is_used[start:end] = [True] * len(phrase)
                found[start] = (end, attribute, value)
    asked: list[Mention] = []
    for start, (end, attribute, value) in sorted(found.items(), key=lambda each: each[0]):
        next_end, next_attribute, _ = found.get(end, (end, None, None))
        is_before_it = next_attribute is not None and next_attribute.name == attribute.before
        if _is_excluded(prompt, spans, start) or (attribute.before is not None and not is_before_it):
            continue
        asked.append(
            Mention(
                phrase=prompt[spans[start][0] : spans[end - 1][1]],
                attribute=attribute,
                value=value,
                following=" ".join(words[end:next_end]) if is_before_it else "",
            )
        )
    return tuple(asked)


def _is_excluded(prompt: str, spans: list[tuple[int, int]], start: int) -> bool:
    """The phrase at word `start` is what the picture should not show: "no boat", "without a red boat"."""
    between = 0
    for at in range(start - 1, -1, -1):
        word_start, word_end = spans[at]
        if _PAUSE.search(prompt, word_end, spans[at + 1][0]) is not None:
            return False
        word = _plain(prompt[word_start:word_end])
        if word in _EXCLUDING:
            return True
        between += word not in _ARTICLES
        if between > _WORDS_BETWEEN_MAX:
            return False
    return False


def _words(text: str) -> list[str]:
    return [_plain(word) for word in _WORD.findall(text)]


def _plain(word: str) -> str:
    """Lower case without accents, as the encoder reads it."""
    decomposed = unicodedata.normalize("NFKD", word).lower()
    return "".join(character for character in decomposed if not unicodedata.combining(character))
