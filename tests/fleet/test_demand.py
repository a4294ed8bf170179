"""What is likely to be asked for: the signals one by one, and the bounds of what is remembered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.ids import ModelId
from heliograph.fleet.demand import ATTACHED_MAX, DAY_S, EXPONENTS, Demand

PAINTER, SKETCHER = ModelId("painter"), ModelId("sketcher")
LAST, LATELY, HOURS, ALL_LATELY, ALL_NOW, ATTACHED, EARLIER_DAYS = range(len(EXPONENTS))


def demand_after(*requests: tuple[float, ModelId, str | None]) -> Demand:
    demand = Demand()
    for at_s, model_id, user in requests:
        demand.note(model_id, user, at_s)
    return demand


def signal(demand: Demand, which: int, now_s: float, model_id: ModelId = PAINTER) -> float:
    signals = demand.signals(model_id, now_s)
    assert signals is not None
    return signals[which]


def test_nobody_asks_for_what_nobody_ever_asked_for() -> None:
    demand = demand_after((0.0, PAINTER, "ann"))
    assert demand.rate(SKETCHER, 1.0) == 0.0
    assert demand.signals(SKETCHER, 1.0) is None
    assert demand.models() == (PAINTER,)


@given(idle_s=st.floats(0.0, 20_000.0), later_s=st.floats(10.0, 20_000.0))
def test_the_longer_nobody_asks_the_less_likely_is_the_next_request(idle_s: float, later_s: float) -> None:
    demand = demand_after((0.0, PAINTER, "ann"))
    soon, late = demand.rate(PAINTER, idle_s), demand.rate(PAINTER, idle_s + later_s)
    assert 0.0 < late < soon < 1 / 30.0


def test_a_busy_model_is_more_likely_to_be_asked_for_than_a_quiet_one() -> None:
    often = [(60.0 * minute, PAINTER, f"user{minute}") for minute in range(30)]
    demand = demand_after(*often, (1_740.0, SKETCHER, "zoe"))
    assert demand.rate(PAINTER, 1_800.0) > 2 * demand.rate(SKETCHER, 1_800.0)


def test_a_user_who_went_on_to_another_model_is_no_longer_attached() -> None:
    stays = demand_after((0.0, PAINTER, "ann"), (60.0, SKETCHER, "bob"))
    leaves = demand_after((0.0, PAINTER, "ann"), (60.0, SKETCHER, "ann"))
    assert signal(leaves, ATTACHED, 90.0) < signal(stays, ATTACHED, 90.0)
    assert leaves.rate(PAINTER, 90.0) < stays.rate(PAINTER, 90.0)


def test_requests_of_nobody_in_particular_attach_nobody() -> None:
    assert signal(demand_after((0.0, PAINTER, None)), ATTACHED, 0.0) < signal(
        demand_after((0.0, PAINTER, "ann")), ATTACHED, 0.0
    )


def test_when_everybody_becomes_active_every_model_is_more_likely_to_be_asked_for() -> None:
    quiet = demand_after((0.0, PAINTER, "ann"))
    lively = demand_after((0.0, PAINTER, "ann"), *((500.0 + second, SKETCHER, f"u{second}") for second in range(20)))
    assert lively.rate(PAINTER, 600.0) > quiet.rate(PAINTER, 600.0)


def test_the_same_half_hour_of_earlier_days_counts_and_today_does_not() -> None:
    noon_s = DAY_S / 2
    demand = demand_after(*((day * DAY_S + noon_s, PAINTER, "ann") for day in range(3)), (3 * DAY_S, SKETCHER, "bob"))
    at_noon, at_night = (signal(demand, EARLIER_DAYS, 3 * DAY_S + at_s) for at_s in (noon_s, noon_s + 7_200.0))
    assert at_noon > at_night
    fresh = demand_after((noon_s, PAINTER, "ann"))
    assert signal(fresh, EARLIER_DAYS, noon_s + 1.0) == pytest.approx(at_night)


def test_a_request_changes_the_rate_at_once_although_rates_are_kept_for_a_second() -> None:
    demand = demand_after((0.0, PAINTER, "ann"))
    before = demand.rate(PAINTER, 500.0)
    assert demand.rate(PAINTER, 500.5) == before
    assert demand.rate(PAINTER, 502.0) < before
    demand.note(PAINTER, "ann", 502.1)
    assert demand.rate(PAINTER, 502.2) > before


def test_only_the_latest_attached_users_of_a_model_are_remembered() -> None:
    demand = demand_after(*((float(number), PAINTER, f"user{number}") for number in range(3 * ATTACHED_MAX)))
    assert len(demand._models[PAINTER].attached) == ATTACHED_MAX
    demand.note(SKETCHER, "user0", 1_000.0)  # was forgotten: leaves nobody behind
    assert len(demand._models[PAINTER].attached) == ATTACHED_MAX


def test_a_clock_that_is_set_back_breaks_nothing() -> None:
    demand = demand_after((1_000.0, PAINTER, "ann"), (10.0, PAINTER, "bob"))
    assert 0.0 < demand.rate(PAINTER, 5.0) < 1.0
