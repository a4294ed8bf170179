"""Keep-alive policies of the literature answer as their descriptions say."""

import math
from random import Random

import pytest
from benchmarks.policies.keep_alive import (
    BINS,
    FALLBACK_S,
    FixedTtl,
    GreedyDual,
    HybridHistogram,
    KeepAlive,
    Window,
)
from benchmarks.policies.warm_pool import DAY_S, Request, gaps_of, ttl_over_textbook, with_textbook

from heliograph.domain.ids import ModelId

POPULARITY = (0.307, 0.150, 0.094, 0.079, 0.075, 0.043, 0.036, 0.030, 0.027, 0.027, 0.021)
"""Shares of the models most asked for in gentd26."""

A, B, C = ModelId("a"), ModelId("b"), ModelId("c")


def after_idle_times(keep_alive: KeepAlive, *idle_s: float) -> KeepAlive:
    """The model A has been idle for these times, one after the other, and is idle now."""
    now_s = 0.0
    for each in (0.0, *idle_s):
        now_s += each
        keep_alive.asked(A, now_s)
        now_s += 10.0
        keep_alive.became_idle(A, now_s)
    return keep_alive


@pytest.mark.parametrize(
    ("keep_alive", "idle_s", "window"),
    [
        pytest.param(FixedTtl(300.0), (), Window(to_s=300.0), id="a fixed time"),
        pytest.param(HybridHistogram(), (), Window(to_s=FALLBACK_S), id="nothing is known yet"),
        pytest.param(HybridHistogram(), (90.0,) * 9, Window(to_s=FALLBACK_S), id="nine idle times are too few"),
        pytest.param(HybridHistogram(), (30.0,) * 20, Window(to_s=66.0), id="always in the first minute"),
        pytest.param(HybridHistogram(), (3_610.0,) * 20, Window(from_s=3_240.0, to_s=4_026.0), id="every hour"),
        pytest.param(
            HybridHistogram(), (30.0,) * 10 + (20_000.0,) * 11, Window(to_s=FALLBACK_S), id="most are beyond four hours"
        ),
        pytest.param(
            HybridHistogram(),
            tuple(60.0 * number + 1.0 for number in range(BINS)),
            Window(to_s=FALLBACK_S),
            id="all bins are alike",
        ),
        pytest.param(GreedyDual(), (10.0,), Window(to_s=math.inf), id="until its room is needed"),
    ],
)
def test_when_an_idle_model_is_loaded(keep_alive: KeepAlive, idle_s: tuple[float, ...], window: Window) -> None:
    found = after_idle_times(keep_alive, *idle_s).window(A)
    assert (found.from_s, found.to_s) == pytest.approx((window.from_s, window.to_s))


def test_a_window_holds_from_its_beginning_until_just_before_its_end() -> None:
    assert [Window(from_s=10.0, to_s=20.0).holds(idle_s) for idle_s in (9.9, 10.0, 19.9, 20.0)] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("keep_alive", [FixedTtl(60.0), HybridHistogram()])
def test_the_longest_idle_makes_room(keep_alive: KeepAlive) -> None:
    for now_s, model_id in enumerate((B, A, C)):
        keep_alive.asked(model_id, float(now_s))
        keep_alive.became_idle(model_id, now_s + 0.5)
    assert sorted((A, B, C), key=keep_alive.priority) == [B, A, C]


def test_greedy_dual_gives_up_what_is_rare_cheap_or_large_and_what_was_frequent_long_ago() -> None:
    keep_alive = GreedyDual(cost={A: 20.0, B: 20.0, C: 20.0}, size={A: 1.0, B: 1.0, C: 4.0})
    for model_id in (A, A, B, C):
        keep_alive.asked(model_id, 0.0)
    assert sorted((A, B, C), key=keep_alive.priority) == [C, B, A]
    for _ in range(3):  # the clock rises with everyone who makes room, and A does not take part
        keep_alive.made_room(B)
        keep_alive.asked(B, 1.0)
    assert keep_alive.priority(B) > keep_alive.priority(A)


def test_a_fixed_time_to_live_idles_about_half_as_long_as_the_textbook_policy_where_nights_are_quiet() -> None:
    """As on the real trace: who asks asks again soon, and five models that are asked for by day idle all night."""
    chance, now_s, requests = Random(1), 0.0, list[Request]()
    models = [ModelId(f"m{number}") for number in range(40)]
    weights = [*POPULARITY, *(0.11 / 29 for _ in range(29))]
    while now_s < 3 * DAY_S:
        now_s += chance.expovariate(1 / 150.0)
        if now_s % DAY_S < DAY_S / 3:
            model_id = chance.choices(models, weights)[0]
            times = [now_s + 73.0 * number for number in range(chance.randrange(1, 12))]
            requests += [Request(at_s=at_s, model_id=model_id, user="u", run_s=10.0) for at_s in times]
    requests.sort(key=lambda request: request.at_s)
    rows = with_textbook(requests, gaps_of(requests), (0.0, 3 * DAY_S))
    assert ttl_over_textbook(rows) == pytest.approx(0.5, abs=0.1)
