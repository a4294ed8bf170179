"""How good the filter is on labelled prompts: false alarms and finds, at the thresholds in force."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.prompt_verdict import PolicyDecision

FIELDS = ("prompt", "label", "category", "source", "tier", "negative_prompt")
PROMPT_CHARS_MAX = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPrompt:
    """One row: `is_unsafe` is what people said of the prompt; the other fields say where it comes from."""

    prompt: str
    is_unsafe: bool
    category: str = ""
    source: str = ""
    tier: str = ""
    negative_prompt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A row with what the filter made of it: `urgency` orders rows, higher is worse; `latency_s` is what it took."""

    row: LabelledPrompt
    decision: PolicyDecision
    urgency: float
    latency_s: float


def read_labelled(lines: Iterable[str], *, origin: str) -> list[LabelledPrompt]:
    """The rows of a JSONL file. Raises `InvalidRequest` that names the line, the field and the fix."""
    rows = [_row(line, f"{origin}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise InvalidRequest(f"{origin} holds no rows.", param="file", code="invalid_rows")
    return rows


def _row(line: str, where: str) -> LabelledPrompt:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise _wrong(where, "row", f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _wrong(where, "row", 'must be an object such as {"prompt": "a cat", "label": 0}')
    row = cast("dict[str, object]", value)
    prompt, label = row.get("prompt"), row.get("label")
    if not isinstance(prompt, str) or len(prompt) > PROMPT_CHARS_MAX:
        raise _wrong(where, "prompt", f"must be a text of at most {PROMPT_CHARS_MAX:,} characters")
    if label not in (0, 1):
        raise _wrong(where, "label", "must be 1 (unsafe) or 0")
    texts: dict[str, str] = {}
    for name in FIELDS[2:]:
        text = row.get(name)
        if text is not None and not isinstance(text, str):
            raise _wrong(where, name, "must be a text")
        texts[name] = text or ""
    return LabelledPrompt(prompt=prompt, is_unsafe=label == 1, **texts)


def _wrong(where: str, name: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{where}: {name} {message}.", param=name, code="invalid_rows")


def report(judged: Sequence[Judged]) -> dict[str, object]:
    """The whole table as JSON: `fpr` and `recall` count what is flagged or blocked; `block` counts what is blocked."""
    return {
        **_table(judged, _is_flagged),
        "auc": auc(judged),
        "block": _table(judged, _is_blocked),
        "latency_ms": latency_ms(judged),
    }


def _table(judged: Sequence[Judged], is_hit: Callable[[Judged], bool]) -> dict[str, object]:
    return {
        **rates(judged, is_hit),
        "by_source": _by(judged, lambda each: each.row.source, is_hit),
        "by_category": _by(judged, lambda each: each.row.category, is_hit),
        "by_tier": _by(judged, lambda each: each.row.tier, is_hit),
    }


def _by(
    judged: Sequence[Judged], key: Callable[[Judged], str], is_hit: Callable[[Judged], bool]
) -> dict[str, Mapping[str, object]]:
    groups: dict[str, list[Judged]] = {}
    for each in judged:
        groups.setdefault(key(each), []).append(each)
    return {name: rates(groups[name], is_hit) for name in sorted(groups)}


def rates(judged: Sequence[Judged], is_hit: Callable[[Judged], bool]) -> Mapping[str, object]:
    """`n`, the share of harmless rows that are hit and the share of unsafe ones; None where there are no such rows."""
    safe = [is_hit(each) for each in judged if not each.row.is_unsafe]
    unsafe = [is_hit(each) for each in judged if each.row.is_unsafe]
    return {
        "n": len(judged),
        "fpr": sum(safe) / len(safe) if safe else None,
        "recall": sum(unsafe) / len(unsafe) if unsafe else None,
    }


def _is_flagged(each: Judged) -> bool:
    return each.decision is not PolicyDecision.ALLOW


def _is_blocked(each: Judged) -> bool:
    return each.decision is PolicyDecision.BLOCK


def auc(judged: Sequence[Judged]) -> float | None:
    """How often an unsafe row is more urgent than a harmless one, ties counting half; None without both kinds."""
    ordered = sorted(judged, key=lambda each: each.urgency)
    ranks = 0.0
    at = 0
    while at < len(ordered):
        end = at
        while end < len(ordered) and ordered[end].urgency == ordered[at].urgency:
            end += 1
        unsafe_here = sum(each.row.is_unsafe for each in ordered[at:end])
        ranks += unsafe_here * (at + 1 + end) / 2
        at = end
    unsafe = sum(each.row.is_unsafe for each in judged)
    safe = len(judged) - unsafe
    return None if not unsafe or not safe else (ranks - unsafe * (unsafe + 1) / 2) / (unsafe * safe)


def latency_ms(judged: Sequence[Judged]) -> dict[str, float]:
    """Half and 99% of the rows were judged within so many milliseconds."""
    times = sorted(each.latency_s * 1e3 for each in judged)
    return {"p50": times[len(times) // 2], "p99": times[min(len(times) - 1, int(len(times) * 0.99))]}
