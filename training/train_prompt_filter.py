"""Train the prompt filter that ships: `python -m training.train_prompt_filter --rows FILE.jsonl`.

Weights come from our own sentences and from licensed rows. Thresholds and calibration come from scores that each row
was given by weights which had not seen it (`FOLDS` folds; our own sentences are in every training part and never
scored). Same rows, same seed, same weights. Three minutes on one core, 2 GB.
"""

import argparse
import time
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heliograph.moderation.classifier import HEADS, LEARNT, Classifier, Threshold, lend
from heliograph.moderation.disguise import words_of
from heliograph.moderation.features import features_of
from heliograph.moderation.fit import Design, Fitted, design_of, fit_head
from heliograph.moderation.terms import known_terms
from heliograph.moderation.weights_file import encoded, write_weights
from training.prompt_rows import LICENSED, OURS, Row, our_rows, read_rows, vocabulary_of

ROOT = Path(__file__).parent.parent
TERMS = ROOT / "src" / "heliograph" / "data" / "prompt_terms.toml"
WEIGHTS = ROOT / "src" / "heliograph" / "data" / "prompt_filter.npz"
FOLDS = 3
SEED = 7
BUDGETS = {"natural_user": 0.0085, "benign": 0.0085, "overt": 0.0175, "traps": 0.042}
"""Shares of harmless rows of each kind that may be flagged; the thresholds are the lowest that keep all of them."""

BLOCK_BUDGETS = {"natural_user": 0.004, "benign": 0.004, "overt": 0.01, "traps": 0.025}
"""The same for blocking: nobody likes to be refused for nothing."""

OTHER_HARM = 0.3
CHAT = 0.3


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
    heads: list[Fitted] = []
    for head in HEADS:
        is_harm = np.array([bool(row.label) if head == "any" else row.harm == head for row in rows])
        heads.append(fit_head(design, is_harm, importance(rows, head) * chosen))
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
    harm = [
        at
        for at, row in enumerate(rows)
        if row.source != OURS and row.label and row.tier in ("core", "obfuscated", "policy")
    ]
    worth = np.array(
        [
            (0.5 if rows[at].tier == "policy" else 1.0)
            * {"sexual": 3.0, "self_harm": 10.0}.get(rows[at].harm or "", 1.0)
            for at in harm
        ]
    )
    luck = np.random.default_rng(SEED)

    def found(offsets: NDArray[np.float64]) -> tuple[float, float]:
        threshold = shift_within(logits - offsets, groups, BUDGETS)
        return float(worth[((logits[harm] - offsets).max(axis=1) > threshold)].sum()), threshold

    best = np.zeros(logits.shape[1])
    most, threshold = found(best)
    step = 1.5
    for turn in range(500):
        tried = best + luck.normal(0, step, len(best)) * (luck.random(len(best)) < 0.5)
        worth_found, at = found(tried)
        if worth_found > most:
            best, most, threshold = tried, worth_found, at
        elif turn % 60 == 59:
            step *= 0.75
    return best + threshold


def calibration(margins: NDArray[np.float64], is_harm: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and shift that make a logistic curve of margins fit (Platt), by Newton's method."""
    slope, shift = 1.0, 0.0
    target = np.where(is_harm, 1 - 1 / (is_harm.sum() + 2), 1 / ((~is_harm).sum() + 2))
    for _ in range(60):
        p = 1 / (1 + np.exp(-(slope * margins + shift)))
        gradient = np.array([(p - target) @ margins, (p - target).sum()])
        curve = p * (1 - p)
        hessian = np.array([[curve @ margins**2, curve @ margins], [curve @ margins, curve.sum()]]) + 1e-6 * np.eye(2)
        change = np.linalg.solve(hessian, gradient)
        slope, shift = slope - change[0], shift - change[1]
    assert slope > 0, "a higher margin must mean a higher score"
    return float(slope), float(shift)


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
    lexicon = known_terms(tomllib.loads(TERMS.read_text(encoding="utf-8")))
    terms = lexicon.weighed
    rows = read_rows(options.rows) + our_rows(SEED)
    vocabulary = vocabulary_of(rows, terms)
    read = (lexicon.without_idioms(words_of(row.prompt, vocabulary)) for row in rows)
    design = design_of([features_of([word.text for word in words], terms) for words in read])
    print(f"{len(rows)} rows, {len(design.places)} features, {time.perf_counter() - began:.0f} s", flush=True)

    may_train = np.array([row.is_licensed or row.source == OURS for row in rows])
    is_ours = np.array([row.source == OURS for row in rows])
    fold = np.random.default_rng(SEED).integers(0, FOLDS, len(rows))
    logits = np.zeros((len(rows), len(HEADS)))
    for part in range(FOLDS):
        heads = fit_all(design, rows, may_train & ((fold != part) | is_ours))
        scored = np.flatnonzero((fold == part) & ~is_ours)
        for at, head in enumerate(heads):
            logits[scored, at] = head.logits(design.of(scored))
        print(f"fold {part} after {time.perf_counter() - began:.0f} s", flush=True)
    real = np.flatnonzero(~is_ours)
    real_rows = [rows[at] for at in real]
    logits = logits[real]
    offsets = offsets_of(logits, real_rows)
    margins = logits - offsets
    further = max(0.0, shift_within(margins, groups_of(real_rows), BLOCK_BUDGETS))
    report((margins > 0).any(axis=1), real_rows, "flag")
    report((margins > further).any(axis=1), real_rows, "block")

    lent = lend(margins.astype(np.float32)).astype(np.float64)
    slopes: list[float] = []
    shifts: list[float] = []
    for at, category in enumerate(LEARNT):
        seen = np.array([not row.label or row.harm == category.value for row in real_rows])
        harm = np.array([bool(row.label) for row in real_rows])
        slope, shift = calibration(lent[seen, at], harm[seen])
        slopes.append(slope)
        shifts.append(shift)
    sigmoid = lambda value: float(1 / (1 + np.exp(-value)))  # noqa: E731
    thresholds = {
        category: Threshold(flag=sigmoid(shifts[at]), block=sigmoid(slopes[at] * further + shifts[at]))
        for at, category in enumerate(LEARNT)
    }
    print({category.value: (round(each.flag, 3), round(each.block, 3)) for category, each in thresholds.items()})

    heads = fit_all(design, rows, may_train)
    codes, levels = encoded(heads)
    classifier = Classifier(
        codes=codes,
        levels=levels,
        bias=np.array([head.bias for head in heads], dtype=np.float32),
        offset=offsets.astype(np.float32),
        slope=np.array(slopes, dtype=np.float32),
        shift=np.array(shifts, dtype=np.float32),
        thresholds=thresholds,
        vocabulary=vocabulary,
    )
    trained_on = Counter(row.source for row in rows if row.is_licensed or row.source == OURS)
    about = {"rows": dict(trained_on), "licences": LICENSED, "seed": SEED}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_weights(options.output, classifier, about=about)
    if options.scores is not None:
        np.savez(options.scores, margins=margins, further=further)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.2f} MB, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
