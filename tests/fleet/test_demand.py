"""What is likely to be asked for: who stays, who changes, who is new; and the bounds of what is remembered."""

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.ids import ModelId
from heliograph.fleet.demand import BREAK_S, DAY_S, FADES_S, KINDS, WEIGHTS, Demand

PAINTER, SKETCHER, SCULPTOR = ModelId("painter"), ModelId("sketcher"), ModelId("sculptor")
MODELS = (PAINTER, SKETCHER, SCULPTOR)


def demand_after(*requests: tuple[float, ModelId, str | None]) -> Demand:
    demand = Demand()
    for at_s, model_id, user in requests:
        demand.note(model_id, user, at_s)
    return demand


def test_nobody_asks_for_what_nobody_ever_asked_for() -> None:
    demand = demand_after((0.0, PAINTER, "ann"))
    assert demand.rate(SKETCHER, 1.0) == 0.0
    assert demand.signals(SKETCHER, 1.0) is None
    assert demand.outlook(SKETCHER, 1.0).new == 0.0
    assert demand.models() == (PAINTER,)


def test_every_signal_has_a_weight() -> None:
    signals = demand_after((0.0, PAINTER, "ann")).signals(PAINTER, 1.0)
    assert signals is not None
    assert len(signals) == len(WEIGHTS)


@given(idle_s=st.floats(0.0, 20_000.0), later_s=st.floats(10.0, 20_000.0))
def test_the_longer_nobody_asks_the_less_likely_is_the_next_request(idle_s: float, later_s: float) -> None:
    demand = demand_after((0.0, PAINTER, "ann"))
    soon, late = demand.rate(PAINTER, idle_s), demand.rate(PAINTER, idle_s + later_s)
    assert 0.0 < late < soon < 1 / 30.0


def test_the_rate_is_the_sum_of_who_stays_who_changes_and_who_is_new() -> None:
    demand = demand_after((0.0, PAINTER, "ann"), (5.0, SKETCHER, "bob"), (9.0, PAINTER, "bob"))
    outlook = demand.outlook(PAINTER, 20.0)
    assert min(outlook.staying, outlook.new) > 0.0
    assert outlook.staying + outlook.changing + outlook.new == pytest.approx(demand.rate(PAINTER, 20.0))


@pytest.mark.parametrize(
    ("more", "less"),
    [
        pytest.param([(float(number), "ann") for number in range(20)], [(19.0, "ann")], id="a long sitting"),
        pytest.param([(0.0, "ann"), (19.0, "bob")], [(19.0, "ann")], id="two people"),
        pytest.param([(19.0, "ann")], [(-60.0, "ann")], id="later"),
        pytest.param([(19.0, "ann")], [], id="somebody at all"),
    ],
)
def test_who_is_likely_to_stay(more: list[tuple[float, str]], less: list[tuple[float, str]]) -> None:
    staying = [
        demand_after((0.0, PAINTER, "zoe"), *((9_000.0 + at_s, PAINTER, user) for at_s, user in requests))
        .outlook(PAINTER, 9_030.0)
        .staying
        for requests in (more, less)
    ]
    assert staying[0] > 1.2 * staying[1]


def test_who_asked_for_several_pictures_takes_longer_to_ask_again() -> None:
    one, several = Demand(), Demand()
    one.note(PAINTER, "ann", 0.0)
    several.note(PAINTER, "ann", 0.0, images=4)
    soon, late = ([demand.outlook(PAINTER, at_s).staying for demand in (one, several)] for at_s in (30.0, 400.0))
    assert soon[0] > soon[1]
    assert late[0] < late[1]


def test_who_goes_on_to_another_model_no_longer_stays_and_may_come_back() -> None:
    earlier = [(number * 10.0, PAINTER if number % 2 else SKETCHER, "zoe") for number in range(10)]
    stays = demand_after(*earlier, (200.0, PAINTER, "ann"), (260.0, SKETCHER, "bob")).outlook(PAINTER, 290.0)
    leaves = demand_after(*earlier, (200.0, PAINTER, "ann"), (260.0, SKETCHER, "ann")).outlook(PAINTER, 290.0)
    assert leaves.staying < stays.staying / 2
    assert leaves.changing > stays.changing


def test_who_changes_often_is_expected_to_change_again_and_to_what_people_change_to() -> None:
    hopper = [(10.0 * number, MODELS[number % 2], "ann") for number in range(10)]
    sticker = [(10.0 * number, SKETCHER, "ann") for number in range(10)]
    scout = [(-40.0, SCULPTOR, "zoe"), (-30.0, PAINTER, "zoe"), (-20.0, SCULPTOR, "zoe")]
    to_painter = [demand_after(*scout, *before).outlook(PAINTER, 95.0).changing for before in (hopper, sticker)]
    assert to_painter[0] > 2 * to_painter[1]
    demand = demand_after(*scout, *hopper, (100.0, SCULPTOR, "bob"))
    assert demand.outlook(PAINTER, 105.0).changing > 2 * demand.outlook(SCULPTOR, 105.0).changing


def test_newcomers_are_expected_where_newcomers_begin() -> None:
    demand = demand_after(*((10.0 * number, MODELS[number % 4 == 0], f"user{number}") for number in range(40)))
    assert demand.outlook(PAINTER, 2_000.0).new > 2 * demand.outlook(SKETCHER, 2_000.0).new


def test_who_comes_back_after_a_break_is_new() -> None:
    back_after_s = [
        demand_after((0.0, PAINTER, "ann"), (away_s, PAINTER, "ann")).outlook(PAINTER, away_s).new
        for away_s in (BREAK_S - 1.0, BREAK_S + 1.0)
    ]
    assert back_after_s[1] > 1.5 * back_after_s[0]


def test_newcomers_of_the_same_half_hour_of_earlier_days_count_and_those_of_today_do_not() -> None:
    noon_s = DAY_S / 2
    demand = demand_after(*((day * DAY_S + noon_s, PAINTER, "ann") for day in range(3)), (3 * DAY_S, SKETCHER, "bob"))
    signals = [demand.signals(PAINTER, 3 * DAY_S + at_s) for at_s in (noon_s, noon_s + 7_200.0)]
    assert [found is not None and found[-1] > 0.0 for found in signals] == [True, False]
    today = demand_after((noon_s, PAINTER, "ann")).signals(PAINTER, noon_s + 1.0)
    assert today is not None
    assert today[-1] == 0.0


def test_a_request_of_nobody_in_particular_counts_as_a_newcomers() -> None:
    known, unknown = (demand_after((0.0, PAINTER, user), (60.0, PAINTER, user)) for user in ("ann", None))
    assert unknown.outlook(PAINTER, 90.0).new > known.outlook(PAINTER, 90.0).new


def test_a_request_changes_the_rate_at_once_although_rates_are_kept_for_a_second() -> None:
    demand = demand_after((0.0, PAINTER, "ann"))
    before = demand.rate(PAINTER, 500.0)
    assert demand.rate(PAINTER, 500.5) == before
    assert demand.rate(PAINTER, 502.0) < before
    demand.note(PAINTER, "ann", 502.1)
    assert demand.rate(PAINTER, 502.2) > before


REQUESTS = st.lists(
    st.tuples(
        st.floats(0.0, 300.0), st.sampled_from(MODELS), st.sampled_from(("ann", "bob", "cid")), st.integers(1, 2)
    ),
    max_size=40,
)


@given(steps=REQUESTS, later_s=st.floats(0.0, 600.0))
def test_the_sums_are_what_adding_up_everybody_would_give(
    steps: list[tuple[float, ModelId, str, int]], later_s: float
) -> None:
    demand, now_s = Demand(), 0.0
    for wait_s, model_id, user, images in steps:
        now_s += wait_s
        demand.note(model_id, user, now_s, images=images)
    now_s += later_s
    people = demand._users.values()
    for model_id in demand.models():
        signals = demand.signals(model_id, now_s)
        assert signals is not None
        assert min(signals) >= 0.0
        for number, tau_s in enumerate(FADES_S):
            faded = [(user, exp((user.at_s - now_s) / tau_s)) for user in people if user.model_id == model_id]
            for kind in range(KINDS):
                there = sum(user.loyalty * share for user, share in faded if user.kind == kind)
                assert signals[number * KINDS + kind] == pytest.approx(there, abs=1e-9)
            there = sum(user.restlessness * share for user, share in faded)
            assert demand._models[model_id].changes[number].at(now_s) == pytest.approx(there, abs=1e-9)


def test_only_the_latest_people_are_remembered_and_the_forgotten_are_new() -> None:
    demand = Demand(users_max=3)
    for number in range(10):
        demand.note(PAINTER, f"user{number}", float(number))
    assert len(demand._users) == 3
    remembered, forgotten = demand.outlook(PAINTER, 20.0).new, demand.outlook(PAINTER, 20.0).new
    demand.note(PAINTER, "user9", 20.0)
    remembered = demand.outlook(PAINTER, 20.0).new - remembered
    demand.note(PAINTER, "user0", 20.0)
    forgotten = demand.outlook(PAINTER, 20.0).new - forgotten
    assert (remembered, forgotten > 0.0) == (0.0, True)


def test_a_clock_that_is_set_back_breaks_nothing() -> None:
    demand = demand_after((1_000.0, PAINTER, "ann"), (10.0, PAINTER, "bob"), (5.0, SKETCHER, "ann"))
    assert 0.0 < demand.rate(PAINTER, 5.0) < 1.0
