"""Teaching the filter from an operator's own labelled prompts.

The weights there are serve as a prior: what is learnt is the difference, so that a few hundred rows mend what they are
about and everything else stays. Thresholds are only ever raised: to keep the share of harmless rows that are flagged
within what is wanted, judged by weights that have not seen them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from heliograph.domain.errors import InvalidRequest
from heliograph.moderation.classifier import HEADS, LEARNT, Classifier, joined
from heliograph.moderation.disguise import words_of
from heliograph.moderation.evaluation import LabelledPrompt
from heliograph.moderation.features import FEATURES, ReadPrompt, features_of
from heliograph.moderation.fit import Design, Fitted, Learner, design_of, encoded
from heliograph.moderation.terms import Lexicon

ROWS_MIN = 20
"""Fewer rows teach nothing that can be checked."""

HARMLESS_MIN = 50
"""With fewer harmless rows the thresholds stay as they are: a share of them would mean little."""

FOLDS = 3
OTHER_HARM = 0.3
"""What a row of another category counts against a head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refitted:
    """New weights, and how rows fared before and after: shares of those flagged, by weights that had not seen them.

    `raised` is how much higher the thresholds are, in log-odds. None where there are no such rows.
    """

    classifier: Classifier
    rows: int
    raised: float
    fpr_before: float | None
    fpr_after: float | None
    recall_before: float | None
    recall_after: float | None


def refit(
    classifier: Classifier, lexicon: Lexicon, rows: Sequence[LabelledPrompt], *, strength: float, fpr_max: float
) -> Refitted:
    """The classifier after learning from `rows`; `strength` is what they count against what is known.

    Raises `InvalidRequest` for too few rows, or rows of one kind only.
    """
    is_unsafe = np.array([row.is_unsafe for row in rows])
    if len(rows) < ROWS_MIN or is_unsafe.all() or not is_unsafe.any():
        raise InvalidRequest(
            f"{len(rows)} rows, {int(is_unsafe.sum())} unsafe, are too few: give {ROWS_MIN} or more, of both labels.",
            param="file",
            code="invalid_rows",
        )
    read = [lexicon.without_idioms(words_of(row.prompt, classifier.vocabulary)) for row in rows]
    design = design_of([features_of(ReadPrompt.of([word.text for word in words], lexicon.weighed)) for words in read])
    before = fitted_of(classifier)
    unseen = joined(_unseen(design, rows, before, strength=strength)) - classifier.offset
    old = joined(np.stack([head.logits(design) for head in before], axis=1)) - classifier.offset
    harmless = unseen[~is_unsafe].max(axis=1)
    raised = 0.0
    if len(harmless) >= HARMLESS_MIN:
        raised = max(0.0, float(np.quantile(harmless, 1 - fpr_max, method="higher")))
    after = _fit_all(design, rows, before, strength=strength)
    codes, levels = encoded(after)
    found = replace(
        classifier,
        codes=codes,
        levels=levels,
        bias=np.array([head.bias for head in after], dtype=np.float32),
        offset=(classifier.offset + np.float32(raised)).astype(np.float32),
    )
    hits_before, hits_after = old.max(axis=1) > 0, unseen.max(axis=1) > raised
    return Refitted(
        classifier=found,
        rows=len(rows),
        raised=raised,
        fpr_before=_share(hits_before[~is_unsafe]),
        fpr_after=_share(hits_after[~is_unsafe]),
        recall_before=_share(hits_before[is_unsafe]),
        recall_after=_share(hits_after[is_unsafe]),
    )


def fitted_of(classifier: Classifier) -> list[Fitted]:
    """The heads of a classifier as they can be fitted further."""
    weights = classifier.weights(np.arange(FEATURES, dtype=np.int64)).astype(np.float64)
    return [Fitted(weights=weights[:, at], bias=float(classifier.bias[at])) for at in range(len(HEADS))]


def category_of(row: LabelledPrompt) -> str | None:
    """The head that an unsafe row is of: its category, or what its category ends with."""
    if not row.is_unsafe:
        return None
    return next((head.value for head in LEARNT if row.category.endswith(head.value)), None)


def _fit_all(
    design: Design, rows: Sequence[LabelledPrompt], prior: Sequence[Fitted], *, strength: float
) -> list[Fitted]:
    learner = Learner(design)
    is_unsafe = np.array([row.is_unsafe for row in rows])
    heads: list[Fitted] = []
    for name, head in zip(HEADS, prior, strict=True):
        is_harm = is_unsafe if name == "any" else np.array([category_of(row) == name for row in rows])
        weight = np.where(is_unsafe & ~is_harm, OTHER_HARM, 1.0)
        heads.append(learner.fit(is_harm, weight, strength=strength, prior=head))
    return heads


def _unseen(
    design: Design, rows: Sequence[LabelledPrompt], prior: Sequence[Fitted], *, strength: float
) -> NDArray[np.float64]:
    """(rows, heads): logits of each row by weights that were fitted without it."""
    logits = np.zeros((len(rows), len(HEADS)))
    fold = np.arange(len(rows)) % FOLDS
    for part in range(FOLDS):
        seen, left = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        heads = _fit_all(design.of(seen), [rows[at] for at in seen.tolist()], prior, strength=strength)
        logits[left] = np.stack([head.logits(design.of(left)) for head in heads], axis=1)
    return logits


def _share(hits: NDArray[np.bool_]) -> float | None:
    return float(hits.mean()) if len(hits) else None
