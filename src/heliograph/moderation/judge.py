"""The content filter: a prompt, its negative prompt and a policy go in, a verdict with its reason comes out.

A prompt is first read as a person would read it (`disguise.py`), then scored by `classifier.py`. Three things are known
and not learnt:

- A negative prompt is what the picture shall not show, so what it names is not held against it. What it takes away can
  be asked for by that, though: without `clothes`, people are naked.
- Somebody below 18 in a sexual prompt. No example of it exists in any training data and none should; it is the meeting
  of a word or an age with what the rest of the prompt says. Whatever was matched is not told, logged or kept.
- A public figure in a prompt that is flagged for any harm: 0.5 is where that begins.
"""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from heliograph.domain.prompt_verdict import Category, PolicyDecision, PolicyVerdict, Span
from heliograph.moderation.classifier import HEADS, LEARNT, SHARE_OF_ANY, Classifier, Floats, Threshold
from heliograph.moderation.disguise import Vocabulary, Word, words_of
from heliograph.moderation.features import MEANINGS_AT, Features, ReadPrompt, features_of, named_features
from heliograph.moderation.policy import PUBLIC_FIGURES_DEFAULT, ContentPolicy
from heliograph.moderation.terms import Lexicon

EVIDENCE_MAX = 3
SPAN_WORDS_MAX = 12
NEARBY = 8
"""Words that one feature may stretch over and still point at a place."""

ADULT_AGE = 18
MINORS_BELOW = 1.0
"""A prompt about somebody below 18 is refused from so little below what is flagged as sexual elsewhere, in log-odds."""

MINORS_HARD_BELOW = 3.0
"""The same where one of `HARD` is in it."""

MINORS = Threshold(flag=0.5, block=0.5)
HARD = frozenset({"sexual.sex_act", "sexual.porn", "sexual.private_part", "sexual.sexual_violence"})
_AGE_WORDS = frozenset({"year", "years", "yr", "yrs", "yo", "y"})
_AGE = re.compile(r"(\d{1,2})(?:yo|yr|yrs|y)")
_NAKED = ("without", "clothes")


class PromptFilter:
    """Judges prompts by weights, terms and the policy in force. Pure but for `use`, which takes up a new policy."""

    def __init__(self, classifier: Classifier, lexicon: Lexicon, policy: ContentPolicy) -> None:
        self._classifier = classifier
        self._lexicon = lexicon
        self._terms = lexicon.weighed
        self._usual: Mapping[Category, Threshold] = {
            **classifier.thresholds,
            Category.PUBLIC_FIGURES: PUBLIC_FIGURES_DEFAULT,
            Category.SEXUAL_MINORS: MINORS,
        }
        self.use(policy)

    @property
    def policy(self) -> ContentPolicy:
        """The policy in force."""
        return self._policy

    @property
    def appeal(self) -> str:
        """What somebody can do whose prompt was refused wrongly."""
        return self._policy.appeal

    def use(self, policy: ContentPolicy) -> None:
        """Judge by another policy from now on."""
        self._policy = policy
        self._exceptions = Phrases({"exception": policy.exceptions}, self._classifier.vocabulary)
        self._added = Phrases(
            {category.value: terms for category, terms in policy.terms.items()}, self._classifier.vocabulary
        )

    def judge(self, prompt: str, negative_prompt: str, *, tenant_id: str | None = None) -> PolicyVerdict:
        """The verdict on what a model is about to read. Never raises; below 10 ms for 2,000 characters."""
        read = words_of(prompt, self._classifier.vocabulary)
        excepted = {at for _, first, last in self._exceptions.found(read) for at in range(first, last + 1)}
        kept = self._lexicon.without_idioms([word for at, word in enumerate(read) if at not in excepted])
        words = [word.text for word in kept]
        avoided = self._avoided(negative_prompt)
        judged = [*words, *_NAKED] if "negative.clothes" in avoided else words
        weighed = ReadPrompt.of(judged, self._terms)
        features = features_of(weighed)
        margins = self._classifier.margins(features)
        scores = self._classifier.scores_of(margins)
        added = self._added.found(read)
        for name, _, _ in added:
            scores[Category(name)] = 1.0
        classes = {mention.term_class for mention in weighed.mentions}
        if self._is_of_minors(judged, classes, avoided, scores[Category.SEXUAL]):
            return PolicyVerdict(
                decision=PolicyDecision.BLOCK,
                category=Category.SEXUAL_MINORS,
                score=1.0,
                scores={Category.SEXUAL_MINORS: 1.0},
            )
        if "public_figures.figure" in classes:
            scores.setdefault(Category.PUBLIC_FIGURES, 1.0 / (1.0 + math.exp(-self.urgency(scores))))
        decision, category = self._policy.decide(scores, self._usual, tenant_id=tenant_id)
        if category is None:
            return PolicyVerdict(decision=decision, score=max(scores.values()), scores=scores)
        for name, first, last in added:
            if name == category:
                span = _span(prompt, read, first, last)
                evidence = (f"a term of this installation: {span.text}",)
                break
        else:
            span, evidence = self._explained(prompt, kept, weighed, features, margins, category)
        return PolicyVerdict(
            decision=decision, category=category, score=scores[category], scores=scores, span=span, evidence=evidence
        )

    def urgency(self, scores: Mapping[Category, float]) -> float:
        """A number to order prompts by, the worst last: how far, in log-odds, a score is above where flags begin."""
        return max(_log_odds(score) - _log_odds(self._usual[category].flag) for category, score in scores.items())

    def _avoided(self, negative_prompt: str) -> frozenset[str]:
        """The classes that a negative prompt names."""
        if not negative_prompt:
            return frozenset()
        words = [word.text for word in words_of(negative_prompt, self._classifier.vocabulary)]
        return frozenset(mention.term_class for mention in self._lexicon.avoidable.mentions(words))

    def _is_of_minors(self, words: Sequence[str], classes: set[str], avoided: frozenset[str], sexual: float) -> bool:
        names_minor = "minors.minor" in classes or _is_of_age_below(words) or "negative.adults" in avoided
        if not names_minor:
            return False
        below = _log_odds(self._usual[Category.SEXUAL].flag) - _log_odds(sexual)
        return below <= (MINORS_HARD_BELOW if classes & HARD else MINORS_BELOW)

    def _explained(
        self,
        prompt: str,
        kept: Sequence[Word],
        weighed: ReadPrompt,
        features: Features,
        margins: Floats,
        category: Category,
    ) -> tuple[Span | None, tuple[str, ...]]:
        """The part of the prompt that weighs most, and what weighs most in it."""
        named = named_features(weighed)
        if not named:
            return None, ()
        learnt = category if category in LEARNT else LEARNT[int(margins[:-1].argmax())]
        own, every = LEARNT.index(learnt), len(HEADS) - 1
        sharing = (0.0, 1.0) if margins[own] < margins[-1] else (1.0, SHARE_OF_ANY)
        places = np.array([each.place for each in named])
        value = np.where(places >= MEANINGS_AT, features.meaning_value, features.lexical_value)
        heads = self._classifier.weights(places)[:, (own, every)]
        weights: list[float] = (heads @ np.array(sharing) * value).tolist()
        shares = [0.0] * len(weighed.words)
        for feature, weight in zip(named, weights, strict=True):
            stretch = feature.last - feature.first + 1
            if stretch <= NEARBY:
                for at in range(feature.first, feature.last + 1):
                    shares[at] += weight / stretch
        first, last = heaviest_stretch(shares[: len(kept)], most=SPAN_WORDS_MAX)
        heaviest = sorted(zip(weights, range(len(named)), strict=True), reverse=True)[: EVIDENCE_MAX * 4]
        evidence = [_told(named[at].name) for weight, at in heaviest if weight > 0]
        span = None if first > last else _span(prompt, kept, first, last)
        return span, tuple(dict.fromkeys(evidence))[:EVIDENCE_MAX]


class Phrases:
    """Phrases of an operator, found in what was read, disguises undone on both sides."""

    def __init__(self, named: Mapping[str, Sequence[str]], vocabulary: Vocabulary) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for name, phrases in named.items():
            for phrase in phrases:
                words = tuple(word.text for word in words_of(phrase, vocabulary))
                if words:
                    self._by_first.setdefault(words[0], []).append((words, name))

    def found(self, read: Sequence[Word]) -> list[tuple[str, int, int]]:
        """(name, first word, last word) of each phrase that stands in the text."""
        if not self._by_first:
            return []
        words = [word.text for word in read]
        return [
            (name, at, at + len(phrase) - 1)
            for at, word in enumerate(words)
            for phrase, name in self._by_first.get(word, ())
            if tuple(words[at : at + len(phrase)]) == phrase
        ]


def heaviest_stretch(shares: Sequence[float], *, most: int) -> tuple[int, int]:
    """First and last of the neighbours that weigh most together, at most `most`; (0, -1) where nothing weighs."""
    best, first, last = 0.0, 0, -1
    start, total = 0, 0.0
    for at, share in enumerate(shares):
        if total <= 0:
            start, total = at, 0.0
        total += share
        if at - start >= most:
            total -= shares[start]
            start += 1
        if total > best:
            best, first, last = total, start, at
    return first, last


def _log_odds(score: float) -> float:
    bounded = min(max(score, 1e-9), 1 - 1e-9)
    return math.log(bounded / (1 - bounded))


def _span(prompt: str, words: Sequence[Word], first: int, last: int) -> Span:
    start, end = words[first].start, words[last].end
    return Span(start=start, end=end, text=prompt[start:end])


def _is_of_age_below(words: Sequence[str]) -> bool:
    for at, word in enumerate(words):
        joined = _AGE.fullmatch(word)
        if joined is not None and int(joined[1]) < ADULT_AGE:
            return True
        if word.isdecimal() and int(word[:3]) < ADULT_AGE:
            after = words[at + 1] if at + 1 < len(words) else ""
            before = words[at - 1] if at else ""
            if after in _AGE_WORDS or before in ("aged", "age"):
                return True
    return False


_KINDS = {
    "w": "the word {0}",
    "b": "the words {0} {1}",
    "c": "{0}",
    "n": "{0} before {1}",
    "p": "{0} before {1}",
    "m": "{0} near {1}",
    "t": "{0} together with {1}",
}


def _told(name: str) -> str:
    """A feature in words: its kind and what it is about."""
    kind, _, rest = name.partition(" ")
    parts = (*rest.split(" "), "")
    return _KINDS[kind].format(*parts).replace("^ ", "").strip()
