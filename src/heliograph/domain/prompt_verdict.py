"""What was found in a prompt and what follows from it: the answer of the content filter."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Category(StrEnum):
    """What a prompt may be refused for. The values are stable codes of the API."""

    SEXUAL = "sexual"
    SEXUAL_MINORS = "sexual_minors"
    VIOLENCE = "violence"
    HATE = "hate"
    SELF_HARM = "self_harm"
    ILLEGAL = "illegal"
    PUBLIC_FIGURES = "public_figures"


class PolicyDecision(StrEnum):
    """What the content policy asks for. A flagged request runs, and people look at it afterwards."""

    ALLOW = "allow"
    FLAG = "flag"
    BLOCK = "block"


SEVERITY = {PolicyDecision.ALLOW: 0, PolicyDecision.FLAG: 1, PolicyDecision.BLOCK: 2}
"""The higher one wins where several apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where in the judged text something stands: characters from `start` up to and without `end`."""

    start: int
    end: int
    text: str


_NO_SCORES: Mapping[Category, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVerdict:
    """A decision with its reason.

    `category` is what decided, None when nothing was found, and `score` the filter's confidence in it, 0 to 1.
    `scores` has every category. `span` is the part of the prompt that weighed most, and `evidence` names the words or
    kinds of words that decided, the heaviest first; both are empty for sexual content with minors, of which nothing but
    the category is ever kept.
    """

    decision: PolicyDecision
    category: Category | None = None
    score: float = 0.0
    scores: Mapping[Category, float] = field(default_factory=lambda: _NO_SCORES)
    span: Span | None = None
    evidence: tuple[str, ...] = ()


ALLOWED = PolicyVerdict(decision=PolicyDecision.ALLOW)
