"""The warm-pool benchmark counts what it says it counts; the trace itself is not shipped."""

from pathlib import Path

import pytest
from benchmarks.policies.warm_pool import (
    Request,
    Score,
    clairvoyant,
    compared,
    fixed_ttl,
    gaps_of,
    greedy_dual,
    heliograph,
    read,
    score,
)

from heliograph.domain.ids import ModelId

HEADER = "gmt_create,groupId,exec_time_seconds,checkpoint_model_version_id\n"
ALWAYS = (0.0, 1e9)


def asked(*requests: tuple[float, str]) -> list[Request]:
    """Requests by time and model, each of which runs for 10 s; every model has one user."""
    return [
        Request(at_s=at_s, model_id=ModelId(model), user=f"user of {model}", run_s=10.0) for at_s, model in requests
    ]


def test_a_trace_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(HEADER + "1970-01-01 00:01:00,G1,5.0,M1\n1970-01-01 00:00:30,G0,,M0\n", encoding="utf-8")
    assert read(file) == [
        Request(at_s=30.0, model_id=ModelId("M0"), user="G0", run_s=0.0),
        Request(at_s=60.0, model_id=ModelId("M1"), user="G1", run_s=5.0),
    ]


@pytest.mark.parametrize(
    ("ttl_s", "cold", "idle_s"),
    [
        pytest.param(50.0, 3, 150.0, id="all three runs are followed by an idle TTL"),
        pytest.param(90.0, 2, 90.0 + 90.0 + 90.0, id="the gap of 90 s is bridged"),
        pytest.param(900.0, 1, 90.0 + 890.0 + 900.0, id="both gaps are"),
    ],
)
def test_cold_starts_and_idle_seconds_of_a_fixed_time_to_live(ttl_s: float, cold: int, idle_s: float) -> None:
    requests = asked((0.0, "a"), (100.0, "a"), (1_000.0, "a"))
    gaps = gaps_of(requests)
    assert score(requests, gaps, fixed_ttl(gaps, ttl_s), ALWAYS) == Score(requests=3, cold=cold, idle_s=idle_s)


def test_only_the_window_counts() -> None:
    requests = asked((0.0, "a"), (100.0, "a"), (1_000.0, "a"))
    gaps = gaps_of(requests)
    assert score(requests, gaps, fixed_ttl(gaps, 900.0), (50.0, 200.0)) == Score(requests=1, cold=0, idle_s=50.0 + 90.0)


def test_clairvoyance_has_the_cold_starts_of_the_same_time_to_live_and_idles_least() -> None:
    requests = asked((0.0, "a"), (100.0, "a"), (1_000.0, "a"))
    gaps = gaps_of(requests)
    assert score(requests, gaps, clairvoyant(gaps, 90.0), ALWAYS) == Score(requests=3, cold=2, idle_s=90.0)


def test_greedy_dual_keeps_as_many_models_as_it_has_slots() -> None:
    requests = asked((0.0, "a"), (20.0, "b"), (40.0, "a"), (60.0, "b"))
    gaps = gaps_of(requests)
    assert [score(requests, gaps, greedy_dual(requests, gaps, slots), ALWAYS).cold for slots in (1, 2)] == [4, 2]


def test_what_a_longer_wait_is_worth_trades_idling_for_cold_starts() -> None:
    requests = asked(*((100.0 * number, f"m{number % 3}") for number in range(200)))
    gaps = gaps_of(requests)
    scores = [score(requests, gaps, heliograph(requests, gaps, worth), (0.0, 2e4)) for worth in (1.0, 60.0, 1_000.0)]
    assert scores[0].cold > scores[1].cold >= scores[2].cold
    assert scores[0].idle_s < scores[1].idle_s <= scores[2].idle_s


def test_every_policy_is_compared_on_the_same_requests() -> None:
    requests = asked(*((400.0 * number, f"m{number % 4}") for number in range(100)))
    rows = compared(requests, (10_000.0, 30_000.0))
    assert {found.requests for _, found in rows} == {50}
    assert len({name for name, _ in rows}) == len(rows)
    ttl = dict(rows)["fixed TTL 15 min"]
    assert rows[-1][1].cold <= ttl.cold
