import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.prompt_verdict import PolicyDecision
from heliograph.moderation.evaluation import Judged, LabelledPrompt, auc, read_labelled, report


def a_judged(label: int, decision: str, urgency: float, *, source: str = "a", latency_s: float = 0.001) -> Judged:
    return Judged(
        row=LabelledPrompt(prompt="x", is_unsafe=label == 1, source=source, category="c", tier="t"),
        decision=PolicyDecision(decision),
        urgency=urgency,
        latency_s=latency_s,
    )


ROWS = [
    a_judged(0, "allow", -3.0),
    a_judged(0, "flag", 0.5),
    a_judged(0, "allow", -2.0, source="b", latency_s=0.004),
    a_judged(1, "block", 4.0),
    a_judged(1, "flag", 0.5, source="b"),
    a_judged(1, "allow", -2.5, source="b"),
]


def test_the_report_counts_flags_and_blocks_apart() -> None:
    found = report(ROWS)
    assert (found["n"], found["fpr"], found["recall"]) == (6, 1 / 3, 2 / 3)
    block = found["block"]
    assert isinstance(block, dict)
    assert (block["fpr"], block["recall"]) == (0.0, 1 / 3)
    assert found["by_source"] == {
        "a": {"n": 3, "fpr": 0.5, "recall": 1.0},
        "b": {"n": 3, "fpr": 0.0, "recall": 0.5},
    }
    assert found["latency_ms"] == {"p50": 1.0, "p99": 4.0}
    assert set(found) == {"n", "fpr", "recall", "auc", "by_source", "by_category", "by_tier", "block", "latency_ms"}


def test_auc_counts_pairs_and_ties_by_half() -> None:
    assert auc(ROWS) == pytest.approx((3 + 2.5 + 1) / 9)
    assert auc(ROWS[:3]) is None


def test_rows_without_a_kind_have_no_rate() -> None:
    found = report(ROWS[:3])
    assert (found["recall"], found["auc"]) == (None, None)


def test_rows_are_read_with_what_may_be_left_out() -> None:
    rows = read_labelled(
        ['{"prompt": "a cat", "label": 0}', "", '{"prompt": "b", "label": 1, "tier": "core"}'], origin="f"
    )
    assert [(row.is_unsafe, row.tier, row.source) for row in rows] == [(False, "", ""), (True, "core", "")]


@pytest.mark.parametrize(
    ("line", "param"),
    [
        ("{", "row"),
        ("[]", "row"),
        ('{"label": 1}', "prompt"),
        ('{"prompt": 3, "label": 1}', "prompt"),
        ('{"prompt": "a", "label": 2}', "label"),
        ('{"prompt": "a"}', "label"),
        ('{"prompt": "a", "label": 1, "tier": 4}', "tier"),
    ],
)
def test_a_bad_row_is_named_with_its_line(line: str, param: str) -> None:
    with pytest.raises(InvalidRequest, match=r"rows\.jsonl, line 2") as caught:
        read_labelled(['{"prompt": "a", "label": 0}', line], origin="rows.jsonl")
    assert caught.value.param == param


def test_a_file_without_rows_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no rows"):
        read_labelled(["", " "], origin="rows.jsonl")
