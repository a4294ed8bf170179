"""Train the prompt filter that ships: `python -m training.train_prompt_filter --rows FILE.jsonl`.

Weights come from our own sentences and from licensed rows. Thresholds and calibration come from scores that each row
was given by weights which had not seen it (`FOLDS` folds; our own sentences are in every training part and never
scored). Same rows, same seed, same weights. Three minutes on one core, 2 GB.
"""

import argparse
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heliograph.moderation.classifier import HEADS, LEARNT, Classifier, Threshold, joined, lend
from heliograph.moderation.disguise import Vocabulary, words_of
from heliograph.moderation.features import ReadPrompt, features_of
from heliograph.moderation.fit import Design, Fitted, Learner, design_of, encoded
from heliograph.moderation.terms import Lexicon, known_terms
from heliograph.moderation.weights_file import write_weights
from training.prompt_rows import LICENSED, OURS, Row, fragments, our_rows, read_rows, vocabulary_of

ROOT = Path(__file__).parent.parent
TERMS = ROOT / "src" / "heliograph" / "data" / "prompt_terms.toml"
WEIGHTS = ROOT / "src" / "heliograph" / "data" / "prompt_filter.npz"
FOLDS = 3
SEED = 7
BUDGETS = {"natural_user": 0.0095, "benign": 0.009, "overt": 0.019, "traps": 0.042}
"""Shares of harmless rows of each kind that may be flagged; the thresholds are the lowest that keep all of them."""

BLOCK_BUDGETS = {"natural_user": 0.004, "benign": 0.004, "overt": 0.01, "traps": 0.025}
"""The same for blocking: nobody likes to be refused for nothing."""

GOALS: dict[str, tuple[Callable[[Row], bool], float, float]] = {
    "sexual": (lambda row: row.tier == "core" and row.harm == "sexual", 0.94, 6.0),
    "violence": (lambda row: row.tier == "core" and row.harm == "violence", 0.9, 3.0),
    "self-harm": (lambda row: row.tier == "core" and row.harm == "self_harm", 0.8, 1.0),
    "obfuscated": (lambda row: row.tier == "obfuscated", 0.87, 1.0),
    "policy": (lambda row: row.tier == "policy", 0.7, 0.5),
}
"""What is to be found: which rows, from which recall on more is worth little, and what it is worth until then."""

SCORES_MIN = Threshold(flag=0.2, block=0.4)
"""Lower scores flag and block nothing, whatever the search says: of some categories there are few rows."""

OTHER_HARM = 0.3
CHAT = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Everything that is learnt from: rows as given, our own and fragments, with their features."""

    rows: list[Row]
    lexicon: Lexicon
    vocabulary: Vocabulary
    design: Design

    @property
    def is_given(self) -> NDArray[np.bool_]:
        """(rows,): it comes from the file, so it may be scored."""
        return np.array([row.source != OURS for row in self.rows])

    @property
    def may_train(self) -> NDArray[np.bool_]:
        """(rows,): its licence allows weights that are given away."""
        return np.array([row.is_licensed or row.source == OURS for row in self.rows])


def material(path: Path) -> Material:
    """The rows of a file with ours."""
    lexicon = known_terms(tomllib.loads(TERMS.read_text(encoding="utf-8")))
    given = read_rows(path)
    rows = given + our_rows(SEED) + fragments(given, SEED)
    vocabulary = vocabulary_of(rows, lexicon.weighed)
    read = (lexicon.without_idioms(words_of(row.prompt, vocabulary)) for row in rows)
    design = design_of([features_of(ReadPrompt.of([word.text for word in words], lexicon.weighed)) for words in read])
    return Material(rows=rows, lexicon=lexicon, vocabulary=vocabulary, design=design)


def folds_of(found: Material) -> Iterator[tuple[list[Fitted], NDArray[np.int64]]]:
    """Heads, and the given rows that they have not seen; every given row is unseen once."""
    fold = np.random.default_rng(SEED).integers(0, FOLDS, len(found.rows))
    for part in range(FOLDS):
        heads = fit_all(found.design, found.rows, found.may_train & ((fold != part) | ~found.is_given))
        yield heads, np.flatnonzero((fold == part) & found.is_given)


def importance(rows: list[Row], head: str) -> NDArray[np.float64]:
    """What each row counts for a head: harm of another kind says little against it, questions to a chatbot less."""
    weights = np.ones(len(rows))
    for at, row in enumerate(rows):
        if row.tier == "chat":
            weights[at] = CHAT if head == "any" else 0.0
        elif head != "any" and row.label and row.harm != head:
            weights[at] = OTHER_HARM
    return weights


def fit_all(design: Design, rows: list[Row], chosen: NDArray[np.bool_]) -> list[Fitted]:
    """Every head, from the chosen rows."""
    at = np.flatnonzero(chosen)
    some = [rows[row] for row in at]
    learner = Learner(design.of(at))
    heads: list[Fitted] = []
    for head in HEADS:
        is_harm = np.array([bool(row.label) if head == "any" else row.harm == head for row in some])
        heads.append(learner.fit(is_harm, importance(some, head)))
    return heads


def groups_of(rows: list[Row]) -> dict[str, NDArray[np.int64]]:
    """The harmless rows that each budget is about."""
    real = [(at, row) for at, row in enumerate(rows) if row.source != OURS and not row.label]
    pick = {
        "natural_user": [at for at, row in real if row.tier == "natural_user"],
        "benign": [at for at, row in real if row.tier == "benign"],
        "overt": [at for at, row in real if row.source == "overt_benign"],
        "traps": [at for at, row in real if row.category == "lookalike_handmade"],
    }
    return {name: np.array(found, dtype=np.int64) for name, found in pick.items() if found}


def shift_within(
    margins: NDArray[np.float64], groups: dict[str, NDArray[np.int64]], budgets: dict[str, float]
) -> float:
    """The lowest threshold on the largest margin that keeps every budget."""
    largest = margins.max(axis=1)
    return max(float(np.quantile(largest[at], 1 - budgets[name])) for name, at in groups.items())


def offsets_of(logits: NDArray[np.float64], rows: list[Row]) -> NDArray[np.float64]:
    """Thresholds of the heads that find most harm within the budgets, by a seeded search."""
    groups = groups_of(rows)
    hits = {
        name: [at for at, row in enumerate(rows) if row.source != OURS and row.label and is_in(row)]
        for name, (is_in, _, _) in GOALS.items()
    }
    luck = np.random.default_rng(SEED)

    def found(offsets: NDArray[np.float64]) -> tuple[float, float]:
        largest = (logits - offsets).max(axis=1)
        threshold = shift_within(logits - offsets, groups, BUDGETS)
        total = 0.0
        for name, (_, goal, worth) in GOALS.items():
            if hits[name]:
                recall = float((largest[hits[name]] > threshold).mean())
                total += worth * min(recall, goal) + 0.05 * recall
        return total, threshold

    best = np.zeros(logits.shape[1])
    most, threshold = found(best)
    step = 1.5
    for turn in range(1_200):
        tried = best + luck.normal(0, step, len(best)) * (luck.random(len(best)) < 0.5)
        worth_found, at = found(tried)
        if worth_found > most:
            best, most, threshold = tried, worth_found, at
        elif turn % 100 == 99:
            step *= 0.8
    return best + threshold


def calibration(margins: NDArray[np.float64], is_harm: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and shift that make a logistic curve of margins fit (Platt), by Newton's method."""
    slope, shift = 1.0, 0.0
    target = np.where(is_harm, 1 - 1 / (is_harm.sum() + 2), 1 / ((~is_harm).sum() + 2))
    for _ in range(200):
        p = 1 / (1 + np.exp(-np.clip(slope * margins + shift, -50, 50)))
        gradient = np.array([(p - target) @ margins, (p - target).sum()])
        curve = np.maximum(p * (1 - p), 1e-6)
        hessian = np.array([[curve @ margins**2, curve @ margins], [curve @ margins, curve.sum()]])
        change = np.linalg.solve(hessian, gradient)
        change *= min(1.0, 0.2 / float(np.abs(change).max()))  # small steps: far away, Newton's overshoot
        slope, shift = slope - change[0], shift - change[1]
    assert slope > 0, "a higher margin must mean a higher score"
    return float(slope), float(shift)


def placed(classifier: Classifier, logits: NDArray[np.float64], rows: list[Row]) -> Classifier:
    """The classifier with thresholds and calibration from logits of rows that its kind had not seen."""
    logits = joined(logits)
    offsets = offsets_of(logits, rows)
    margins = logits - offsets
    further = max(0.0, shift_within(margins, groups_of(rows), BLOCK_BUDGETS))
    report((margins > 0).any(axis=1), rows, "flag")
    report((margins > further).any(axis=1), rows, "block")
    lent = lend(margins)
    is_harm = np.array([bool(row.label) for row in rows])
    curves: list[tuple[float, float]] = []
    for at, category in enumerate(LEARNT):
        seen = np.array([not row.label or row.harm == category.value for row in rows])
        curves.append(calibration(lent[seen, at], is_harm[seen]))
    thresholds = {
        category: Threshold(
            flag=max(SCORES_MIN.flag, _sigmoid(shift)), block=max(SCORES_MIN.block, _sigmoid(slope * further + shift))
        )
        for category, (slope, shift) in zip(LEARNT, curves, strict=True)
    }
    print({category.value: (round(each.flag, 3), round(each.block, 3)) for category, each in thresholds.items()})
    slopes, shifts = zip(*curves, strict=True)
    return replace(
        classifier,
        offset=offsets.astype(np.float32),
        slope=np.array(slopes, dtype=np.float32),
        shift=np.array(shifts, dtype=np.float32),
        thresholds=thresholds,
    )


def _sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def report(hit: NDArray[np.bool_], rows: list[Row], name: str) -> None:
    """One line of shares, for whoever watches the training."""

    def percent(**fields: str) -> str:
        at = [
            i
            for i, row in enumerate(rows)
            if row.source != OURS and all(getattr(row, k) == v for k, v in fields.items())
        ]
        return f"{100 * hit[at].mean():.1f}" if at else "-"

    print(
        f"{name}: FPR natural {percent(tier='natural_user')} plain {percent(tier='benign')} overt "
        f"{percent(source='overt_benign')} traps {percent(category='lookalike_handmade')} styled "
        f"{percent(tier='styled_benign')} | recall core {percent(tier='core')} sexual "
        f"{percent(tier='core', category='sexual')} violence {percent(tier='core', category='violence')} self-harm "
        f"{percent(tier='core', category='self_harm')} obfuscated {percent(tier='obfuscated')} policy "
        f"{percent(tier='policy')} adversarial {percent(tier='adversarial')}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, required=True, help="labelled rows; only licensed ones reach the weights")
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    parser.add_argument("--scores", type=Path, help="write the scores of the folds here, for a closer look")
    options = parser.parse_args()
    began = time.perf_counter()
    found = material(options.rows)
    rows, design = found.rows, found.design
    print(f"{len(rows)} rows, {len(design.places)} features, {time.perf_counter() - began:.0f} s", flush=True)
    logits = np.zeros((len(rows), len(HEADS)))
    for heads, unseen in folds_of(found):
        for at, head in enumerate(heads):
            logits[unseen, at] = head.logits(design.of(unseen))
        print(f"a fold, after {time.perf_counter() - began:.0f} s", flush=True)
    real = np.flatnonzero(found.is_given)
    real_rows = [rows[at] for at in real]
    logits = logits[real]
    heads = fit_all(design, rows, found.may_train)
    codes, levels = encoded(heads)
    blank = Classifier(
        codes=codes,
        levels=levels,
        bias=np.array([head.bias for head in heads], dtype=np.float32),
        offset=np.zeros(len(HEADS), dtype=np.float32),
        slope=np.ones(len(LEARNT), dtype=np.float32),
        shift=np.zeros(len(LEARNT), dtype=np.float32),
        thresholds={},
        vocabulary=found.vocabulary,
    )
    classifier = placed(blank, logits, real_rows)
    trained_on = Counter(row.source for row in rows if row.is_licensed or row.source == OURS)
    about = {"rows": dict(trained_on), "licences": LICENSED, "seed": SEED}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_weights(options.output, classifier, about=about)
    if options.scores is not None:
        np.savez(options.scores, logits=logits)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.2f} MB, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
