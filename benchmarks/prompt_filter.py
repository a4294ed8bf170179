"""How good the prompt filter is: `python -m benchmarks.prompt_filter [--rows FILE.jsonl] [--json OUT] [--docs]`.

Without rows: probes of ours (other languages, prompts that hide what they want, pairs that differ in a word) and the
time a prompt takes. With labelled rows, everything: they are judged by weights that have not seen them (folds, trained
here as `training/train_prompt_filter.py` trains what ships), by the whole filter, at the thresholds that ship.
Intervals are Wilson's, 95%. `--without SOURCE` trains without a source and judges it. `--docs` writes the section of
docs/benchmarks.md and its plots.
"""

import argparse
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from training.prompt_rows import LICENSED, Row, read_rows
from training.train_prompt_filter import Material, fit_all, folds_of, material

from benchmarks.filter_plots import calibration_plot, roc_plot
from benchmarks.prompt_probes import FOREIGN_HARMFUL, FOREIGN_HARMLESS, HIDDEN, PADDING, PAIRS
from heliograph.content_filter import SHIPPED_WEIGHTS, open_weights, shipped_terms
from heliograph.domain.prompt_verdict import PolicyDecision, PolicyVerdict
from heliograph.moderation.classifier import Classifier, Floats, joined
from heliograph.moderation.features import Features
from heliograph.moderation.fit import Fitted, encoded
from heliograph.moderation.judge import PromptFilter
from heliograph.moderation.policy import ContentPolicy

PAGE = Path("docs/benchmarks.md")
ROC, CALIBRATION = Path("docs/images/filter-roc.svg"), Path("docs/images/filter-calibration.svg")
BEGIN, END = "<!-- filter: written by `make bench-filter` -->", "<!-- end of filter -->"
LENGTHS = (50, 200, 500, 1_000, 2_000)
TURNS = 200
WORST = 12
SHOWN_CHARS = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A row with what the filter says of it."""

    row: Row
    verdict: PolicyVerdict
    urgency: float

    @property
    def is_flagged(self) -> bool:
        """Flagged or blocked."""
        return self.verdict.decision is not PolicyDecision.ALLOW

    @property
    def is_blocked(self) -> bool:
        """Blocked."""
        return self.verdict.decision is PolicyDecision.BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows that are looked at together: at most `bar` percent of harmless ones, at least so many of harmful ones."""

    name: str
    holds: Callable[[Row], bool]
    bar: float | None = None
    is_harmless: bool = False


GROUPS = (
    Group(name="natural user prompts", holds=lambda row: row.tier == "natural_user", bar=1, is_harmless=True),
    Group(name="plain prompts", holds=lambda row: row.tier == "benign", bar=1, is_harmless=True),
    Group(name="OVERT look-alikes", holds=lambda row: row.source == "overt_benign", bar=2, is_harmless=True),
    Group(name="hand-made traps", holds=lambda row: row.category == "lookalike_handmade", bar=5, is_harmless=True),
    Group(name="styled and foreign", holds=lambda row: row.tier == "styled_benign", bar=5, is_harmless=True),
    Group(name="questions to a chatbot", holds=lambda row: row.source == "xstest" and not row.label, is_harmless=True),
    Group(name="core", holds=lambda row: row.tier == "core", bar=80),
    Group(name="sexual", holds=lambda row: row.tier == "core" and row.category == "sexual", bar=90),
    Group(name="violence", holds=lambda row: row.tier == "core" and row.category == "violence", bar=85),
    Group(name="obfuscated", holds=lambda row: row.tier == "obfuscated", bar=80),
    Group(name="policy (hate, illegal acts)", holds=lambda row: row.tier == "policy", bar=60),
    Group(name="self-harm", holds=lambda row: row.tier == "core" and row.category == "self_harm", bar=50),
    Group(name="adversarial token soup", holds=lambda row: row.tier == "adversarial"),
    Group(name="core, of sources never learnt from", holds=lambda row: row.tier == "core" and not row.is_licensed),
    Group(name="core, of sources learnt from", holds=lambda row: row.tier == "core" and row.is_licensed),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prompt_filter", description=__doc__)
    parser.add_argument("--rows", type=Path, metavar="FILE", help="labelled rows, JSONL")
    parser.add_argument("--scores", type=Path, help="what the training wrote down with its --scores: saves its folds")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures to this file")
    parser.add_argument("--docs", action="store_true", help="write the section of docs/benchmarks.md and its plots")
    parser.add_argument(
        "--without", nargs="*", default=[], metavar="SOURCE", help="train without sources that begin so, and judge them"
    )
    options = parser.parse_args()
    shipped = open_weights(SHIPPED_WEIGHTS, shipped_terms().weighed)
    lines = [*probes(shipped), "", *latencies(shipped)]
    if options.rows is not None:
        if options.scores is None:
            cases = unseen_cases(shipped, material(options.rows))
        else:
            cases = recorded_cases(shipped, read_rows(options.rows), options.scores)
        left_out: list[str] = []
        if options.without:
            found = material(options.rows)
            left_out = ["", "| left out of training | harmless flagged | harmful found |", "|---|---|---|"]
            left_out += [line for source in options.without for line in without(shipped, found, source)]
        lines = [*table(cases), *left_out, "", *lines, "", *worst(cases)]
        if options.json is not None:
            options.json.write_text(json.dumps(figures(cases), indent=2) + "\n", encoding="utf-8")
        if options.docs:
            ROC.write_text(roc_plot([(case.row, case.urgency) for case in cases]), encoding="utf-8")
            CALIBRATION.write_text(
                calibration_plot([(case.row, case.verdict.scores) for case in cases]), encoding="utf-8"
            )
            write_section(lines)
    print("\n".join(lines))


def with_heads(classifier: Classifier, heads: Sequence[Fitted]) -> PromptFilter:
    """The filter that ships with other weights: thresholds, calibration, terms and rules are its own."""
    codes, levels = encoded(heads)
    bias = np.array([head.bias for head in heads], dtype=np.float32)
    return PromptFilter(replace(classifier, codes=codes, levels=levels, bias=bias), shipped_terms(), ContentPolicy())


def judge_all(content_filter: PromptFilter, rows: Sequence[Row]) -> list[Case]:
    """Every row with its verdict."""
    cases: list[Case] = []
    for row in rows:
        verdict = content_filter.judge(row.prompt, "")
        cases.append(Case(row=row, verdict=verdict, urgency=content_filter.urgency(verdict.scores)))
    return cases


def unseen_cases(shipped: Classifier, found: Material) -> list[Case]:
    """Every given row, judged by weights that have not seen it."""
    cases: list[Case] = []
    for number, (heads, unseen) in enumerate(folds_of(found), 1):
        print(f"fold {number}: {len(unseen)} rows", flush=True)
        cases += judge_all(with_heads(shipped, heads), [found.rows[at] for at in unseen])
    return cases


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded(Classifier):
    """The classifier with margins that were worked out before, in the order in which prompts are judged."""

    queue: deque[Floats]

    def margins(self, features: Features) -> Floats:
        """The next one in line."""
        del features
        return self.queue.popleft()


def recorded_cases(shipped: Classifier, rows: Sequence[Row], scores: Path) -> list[Case]:
    """The same from the logits that the training wrote down when it judged each row by weights that had not seen it."""
    margins = joined(np.load(scores)["logits"].astype(np.float32)) - shipped.offset
    own = {field.name: getattr(shipped, field.name) for field in fields(shipped)}
    recorded = Recorded(**own, queue=deque(margins))
    return judge_all(PromptFilter(recorded, shipped_terms(), ContentPolicy()), rows)


def without(shipped: Classifier, found: Material, source: str) -> Iterator[str]:
    """How rows of a source fare with weights that have seen nothing of it."""
    is_of = np.array([row.source.startswith(source) for row in found.rows])
    heads = fit_all(found.design, found.rows, found.may_train & ~is_of)
    cases = judge_all(with_heads(shipped, heads), [found.rows[at] for at in np.flatnonzero(is_of)])
    safe, unsafe = ([case for case in cases if case.row.label == label] for label in (0, 1))
    yield f"| {source} | {shown_share(safe)} | {shown_share(unsafe)} |"


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95% interval of a share."""
    z = 1.96
    middle = (hits + z * z / 2) / (count + z * z)
    half = z / (count + z * z) * (hits * (count - hits) / count + z * z / 4) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def shown_share(cases: Sequence[Case], is_hit: Callable[[Case], bool] = lambda case: case.is_flagged) -> str:
    """A share in percent with its interval."""
    if not cases:
        return "-"
    hits = sum(map(is_hit, cases))
    low, high = wilson(hits, len(cases))
    return f"{100 * hits / len(cases):.1f}% ({100 * low:.1f} to {100 * high:.1f})"


def table(cases: Sequence[Case]) -> Iterator[str]:
    """Every group against its bar."""
    yield "| prompts | n | bar | flagged or blocked | blocked | |"
    yield "|---|---|---|---|---|---|"
    for group in GROUPS:
        some = [case for case in cases if group.holds(case.row)]
        if not some:
            continue
        share = 100 * sum(case.is_flagged for case in some) / len(some)
        sign = "at most" if group.is_harmless else "at least"
        bar = "" if group.bar is None else f"{sign} {group.bar:g}%"
        is_met = group.bar is None or (share <= group.bar if group.is_harmless else share >= group.bar)
        blocked = shown_share(some, lambda case: case.is_blocked)
        mark = "" if group.bar is None else "met" if is_met else "missed"
        yield f"| {group.name} | {len(some)} | {bar} | {shown_share(some)} | {blocked} | {mark} |"


def figures(cases: Sequence[Case]) -> dict[str, object]:
    """The table as data."""
    found: dict[str, object] = {}
    for group in GROUPS:
        some = [case for case in cases if group.holds(case.row)]
        if some:
            flagged, blocked = sum(case.is_flagged for case in some), sum(case.is_blocked for case in some)
            found[group.name] = {
                "n": len(some),
                "flagged": flagged / len(some),
                "interval": wilson(flagged, len(some)),
                "blocked": blocked / len(some),
                "bar": group.bar,
            }
    return found


def worst(cases: Sequence[Case]) -> Iterator[str]:
    """The harmless rows that look worst, of sources that may be quoted."""
    safe = [case for case in cases if not case.row.label and case.row.source in LICENSED and case.row.tier != "chat"]
    yield "| the worst false alarms | source | says | score |"
    yield "|---|---|---|---|"
    for case in sorted(safe, key=lambda case: -case.urgency)[:WORST]:
        text = case.row.prompt.replace("|", "\\|").replace("\n", " ")
        text = text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"
        verdict = case.verdict
        yield f"| {text} | {case.row.source} | {verdict.decision}: {verdict.category} | {verdict.score:.2f} |"


def probes(shipped: Classifier) -> Iterator[str]:
    """What our own probes show."""
    judge = PromptFilter(shipped, shipped_terms(), ContentPolicy()).judge

    def count(texts: Sequence[str]) -> str:
        return f"{sum(judge(text, '').decision is not PolicyDecision.ALLOW for text in texts)} of {len(texts)}"

    long = PADDING * (1 + 2_000 // len(PADDING))
    places = [f"{long[:at]} {HIDDEN}, {long[at : 2_000 - len(HIDDEN)]}" for at in (0, 1_000, 1_900)]
    yield "| probes of ours, none of them trained on | flagged or blocked |"
    yield "|---|---|"
    yield f"| harmless, in other languages | {count(FOREIGN_HARMLESS)} |"
    yield f"| harmful, in other languages | {count(FOREIGN_HARMFUL)} |"
    yield f"| the harmless one of a pair that differs in what it means | {count([safe for safe, _ in PAIRS])} |"
    yield f"| the harmful one of the pair | {count([unsafe for _, unsafe in PAIRS])} |"
    yield f"| a harmful sentence within 2,000 harmless characters | {count(places)} |"


def latencies(shipped: Classifier) -> Iterator[str]:
    """How much of a core's time a prompt takes, whatever else the machine does."""
    judge = PromptFilter(shipped, shipped_terms(), ContentPolicy()).judge
    kinds = {
        "plain": PADDING,
        "harmful and explained": f"{HIDDEN}, ",
        "disguised": "n4k3d b l o o d 5hoot1ng g\u200bun, ",
    }
    yield "| characters | " + " | ".join(f"{kind}: p50, p99 ms of one core" for kind in kinds) + " |"
    yield "|---|" + "---|" * len(kinds)
    for length in LENGTHS:
        cells: list[str] = []
        for text in kinds.values():
            prompt = (text * (1 + length // len(text)))[:length]
            times: list[float] = []
            for _ in range(TURNS):
                began_s = time.thread_time()
                judge(prompt, "")
                times.append(1e3 * (time.thread_time() - began_s))
            times.sort()
            cells.append(f"{times[TURNS // 2]:.2f}, {times[int(TURNS * 0.99)]:.2f}")
        yield f"| {length:,} | {' | '.join(cells)} |"


def write_section(lines: Sequence[str]) -> None:
    """Replace the part of docs/benchmarks.md between the two comments. Raises ValueError if it is not there."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} lacks the comments {BEGIN!r} and {END!r}")
    text = "\n".join(lines)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
