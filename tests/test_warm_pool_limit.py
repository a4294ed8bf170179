"""The world whose rates are known has the rates it was given, and the rule that knows them uses them."""

from random import Random

import pytest
from benchmarks.policies.warm_pool import DAY_S, Request, gaps_of
from benchmarks.policies.warm_pool_limit import AGES_S, World, kept_above, limit, lived, measured, true_rates

from heliograph.domain.ids import ModelId
from heliograph.fleet.demand import BREAK_S, SITTINGS, SLOT_S

A, B = ModelId("a"), ModelId("b")
AGES, SIZES, SLOTS = len(AGES_S) - 1, len(SITTINGS) + 1, int(DAY_S / SLOT_S)


def a_world(*, stay: float = 0.0, change: float = 0.0, arrive: float = 0.01) -> World:
    """Two models that are alike; people stay and change at the same rates whenever."""
    return World(
        stay=((stay,) * SIZES,) * AGES,
        change=(change,) * AGES,
        arrive=(arrive,) * SLOTS,
        begun_with={A: 0.5, B: 0.5},
        gone_on_to={A: 0.5, B: 0.5},
    )


def test_rates_are_events_over_the_time_in_which_they_could_have_happened() -> None:
    times = [(0.0, A, "ann"), (10.0, A, "ann"), (55.0, B, "ann"), (20.0, B, "bob")]
    requests = [Request(at_s=at_s, model_id=model_id, user=user, run_s=1.0) for at_s, model_id, user in times]
    world = measured(sorted(requests, key=lambda request: request.at_s), (0.0, DAY_S))
    # Within 30 s of a request: 10 s until ann stays, 30 of 45 s before she changes, 30 s after it, 30 s of bob's.
    assert world.stay[0][0] == pytest.approx(1 / (10.0 + 30.0 + 30.0))
    assert (world.stay[0][1], world.stay[1][0]) == (0.0, 0.0)
    assert world.change[1] == pytest.approx(1 / (15.0 + 30.0 + 30.0))
    assert world.arrive[0] == pytest.approx(2 / SLOT_S)
    assert (world.begun_with, world.gone_on_to) == ({A: 0.5, B: 0.5}, {B: 1.0})


def test_people_stay_and_change_as_often_as_their_rates_say() -> None:
    world = a_world(stay=1 / BREAK_S, change=0.5 / BREAK_S, arrive=0.002)
    found = measured([request for request, _ in lived(world, days=3.0, chance=Random(1))], (0.0, 3 * DAY_S))
    assert found.change[-1] == pytest.approx(0.5 / BREAK_S, rel=0.2)
    assert sum(found.arrive) / SLOTS == pytest.approx(0.002, rel=0.2)
    assert found.stay[-1][0] == pytest.approx(1 / BREAK_S, rel=0.2)


def test_a_model_is_kept_while_its_true_rate_is_above_the_threshold() -> None:
    world = a_world(arrive=0.02)
    lived_through = lived(world, days=0.1, chance=Random(1))
    requests = [request for request, _ in lived_through]
    gaps = gaps_of(requests)
    falls = true_rates(world, lived_through, gaps)
    assert {round(rate, 9) for fall in falls for _, rate in fall} == {0.01}, "nobody stays: half of the newcomers"
    kept, dropped = (kept_above(threshold, falls, gaps, requests[-1].at_s) for threshold in (0.009, 0.011))
    assert sum(spans[0][1] for spans in kept) > 5 * sum(spans[0][1] for spans in dropped)


def test_no_forecast_beats_the_one_that_knows_the_rates_by_more_than_chance() -> None:
    world = a_world(stay=0.8 / BREAK_S, change=0.4 / BREAK_S, arrive=1 / 600.0)
    scores = dict(limit(world, days=0.5, seed=1))
    ttl, bound, best, ours = scores.values()
    assert bound.idle_s < best.idle_s <= ttl.idle_s
    assert best.idle_s < 1.05 * ours.idle_s
