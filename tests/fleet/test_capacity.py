"""What to buy and return: the base, the burst, zones, what comes too late, hysteresis and bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.commands import BuyGpu, CapacityCommand, ReleaseGpu
from heliograph.domain.ids import GpuId
from heliograph.domain.money import Micros
from heliograph.domain.views import Gpu, Market
from heliograph.fleet.capacity import (
    Arriving,
    CapacityDemand,
    CapacityPolicy,
    CapacityState,
    CapacityView,
    Offer,
    plan_capacity,
    reserved_base,
)

RESERVED, ON_DEMAND, SPOT = Market.RESERVED, Market.ON_DEMAND, Market.SPOT
USD = 1_000_000


def an_offer(market: Market, zone: str, usd_per_hour: float, *, gpu_class: str = "H100") -> Offer:
    return Offer(gpu_class=gpu_class, market=market, zone=zone, micros_per_hour=Micros(int(usd_per_hour * USD)))


OFFERS = (
    an_offer(RESERVED, "a", 2.5),
    an_offer(ON_DEMAND, "a", 4.0),
    an_offer(SPOT, "a", 0.8),
    an_offer(SPOT, "b", 0.82),
    an_offer(SPOT, "c", 1.6),
)


def gpus(*kinds: tuple[Market, str]) -> tuple[Gpu, ...]:
    return tuple(
        Gpu(gpu_id=GpuId(f"gpu{index}"), gpu_class="H100", memory_bytes=80, market=market, zone=zone)
        for index, (market, zone) in enumerate(kinds)
    )


def a_policy(**fields: object) -> CapacityPolicy:
    exact = {"gpu_class": "H100", "base": 0, "headroom": 0.0, "on_demand_headroom": 0.0, "spot_spare": 0.0}
    return CapacityPolicy(**(exact | fields))


def in_words(commands: Sequence[CapacityCommand]) -> list[str]:
    return [
        f"buy {command.market} in {command.zone}" if isinstance(command, BuyGpu) else f"return {command.gpu_id}"
        for command in commands
    ]


def planned(
    view: CapacityView | None = None,
    demand: CapacityDemand | None = None,
    *,
    policy: CapacityPolicy | None = None,
    state: CapacityState | None = None,
    offers: tuple[Offer, ...] = OFFERS,
    now_s: float = 0.0,
) -> list[str]:
    commands, _ = plan_capacity(
        view or CapacityView(gpus=()),
        demand or CapacityDemand(),
        offers,
        policy or a_policy(),
        now_s=now_s,
        state=state or CapacityState(),
    )
    return in_words(commands)


# --- how many, and of what -------------------------------------------------------------------------------------------


def test_without_offers_or_without_need_nothing_is_bought() -> None:
    demand = CapacityDemand(running=4.0)
    assert planned(demand=demand, offers=()) == []
    assert planned(demand=demand, offers=(an_offer(SPOT, "a", 1.0, gpu_class="L4"),)) == []
    assert planned() == []


@pytest.mark.parametrize(
    ("demand", "commands"),
    [
        pytest.param(CapacityDemand(running=1.0), 1, id="what runs"),
        pytest.param(CapacityDemand(pending_s=120.0), 2, id="what waits, to be done in a minute"),
        pytest.param(CapacityDemand(running=1.5, pending_s=30.0), 2, id="both"),
    ],
)
def test_the_need_is_what_runs_and_what_clears_the_backlog(demand: CapacityDemand, commands: int) -> None:
    assert len(planned(demand=demand)) == commands


def test_burst_goes_to_spot_over_several_zones_and_to_the_cheapest_first() -> None:
    assert planned(demand=CapacityDemand(running=4.0)) == [
        "buy spot in a",
        "buy spot in b",
        "buy spot in a",
        "buy spot in b",
    ]


def test_what_may_not_run_on_spot_goes_on_demand() -> None:
    demand = CapacityDemand(running=3.0, off_spot_running=1.0)
    assert sorted(planned(demand=demand)) == ["buy on_demand in a", "buy spot in a", "buy spot in b"]
    there = CapacityView(gpus=gpus((RESERVED, "a")))
    assert planned(there, demand) == ["buy spot in a", "buy spot in b"], "the reserved one serves it"


def test_without_spot_everything_goes_on_demand() -> None:
    assert planned(demand=CapacityDemand(running=2.0), offers=OFFERS[:2]) == ["buy on_demand in a"] * 2


def test_some_spot_is_bought_to_spare() -> None:
    assert len(planned(demand=CapacityDemand(running=4.0), policy=a_policy(spot_spare=0.25))) == 5


def test_spot_that_does_not_come_is_covered_on_demand() -> None:
    arriving = (Arriving(market=SPOT, zone="a", since_s=0.0), Arriving(market=SPOT, zone="b", since_s=100.0))
    view, demand = CapacityView(gpus=(), arriving=arriving), CapacityDemand(running=2.0)
    assert planned(view, demand, now_s=179.0) == []
    assert planned(view, demand, now_s=180.0) == ["buy on_demand in a"]


def offered(loads: Sequence[tuple[float, float]], **fields: object) -> list[int]:
    """GPUs needed after each stretch of (seconds, GPU-seconds asked for per second), looked at every 15 seconds."""
    state, asked_s, now_s, found = CapacityState(), 0.0, 0.0, list[int]()
    nothing, policy = CapacityView(gpus=()), a_policy(**fields)
    for seconds, load in loads:
        until_s = now_s + seconds
        while now_s < until_s:
            demand = CapacityDemand(asked_s=asked_s)
            _, state = plan_capacity(nothing, demand, OFFERS, policy, now_s=now_s, state=state)
            now_s += 15.0
            asked_s += 15.0 * load
        found.append(state.need)
    return found


@pytest.mark.parametrize(
    ("loads", "needs"),
    [
        pytest.param([(3_600.0, 2.0)], [3], id="the load and half its square root, rounded up"),
        pytest.param([(3_600.0, 2.0), (120.0, 8.0)], [3, 6], id="a rush is followed sooner than the slow mean would"),
        pytest.param([(3_600.0, 2.0), (60.0, 0.0), (900.0, 0.0)], [3, 3, 0], id="none for a while is none at all"),
    ],
)
def test_the_load_that_is_asked_for(loads: list[tuple[float, float]], needs: list[int]) -> None:
    assert offered(loads, headroom=0.5) == needs


@pytest.mark.parametrize(
    ("empty", "since_s", "returned"),
    [
        pytest.param(False, 990.0, True, id="spot serves"),
        pytest.param(True, 990.0, False, id="spot has just come"),
        pytest.param(True, 800.0, True, id="spot has had the time to load"),
    ],
)
def test_what_stood_in_for_spot_goes_once_that_serves(empty: bool, since_s: float, returned: bool) -> None:
    here = gpus((SPOT, "a"), (ON_DEMAND, "a"))
    every = frozenset(gpu.gpu_id for gpu in here)
    view = CapacityView(gpus=here, idle=every, empty=every if empty else frozenset())
    state = CapacityState(began_at_s=0.0, at_s=990.0, here_since_s=dict.fromkeys(every, since_s))
    found = planned(view, CapacityDemand(running=1.0), state=state, now_s=1_000.0)
    assert found == (["return gpu1"] if returned else [])


def test_when_nobody_asks_any_more_everything_goes_at_once_and_work_always_has_a_gpu() -> None:
    here = gpus((SPOT, "a"))
    view = CapacityView(gpus=here, idle=frozenset(gpu.gpu_id for gpu in here))
    state = CapacityState(began_at_s=0.0, at_s=985.0, asked_s=9.0, asked_at_s=500.0, offered=0.5)
    policy = a_policy(quiet_s=500.0)
    assert planned(view, CapacityDemand(asked_s=9.0), policy=policy, state=state, now_s=999.0) == []
    assert planned(view, CapacityDemand(asked_s=9.0), policy=policy, state=state, now_s=1_000.0) == ["return gpu0"]
    expected = CapacityDemand(asked_s=9.0, rate=1 / 400.0)
    assert planned(view, expected, policy=policy, state=state, now_s=1_000.0) == []
    assert planned(view, replace(expected, rate=1 / 600.0), policy=policy, state=state, now_s=600.0) == ["return gpu0"]
    waiting = CapacityDemand(asked_s=9.0, pending_s=1.0, rate=0.0)
    assert planned(view, waiting, policy=policy, state=state, now_s=1_000.0) == []
    assert planned(None, waiting, policy=policy, state=state, now_s=1_000.0) == ["buy spot in a"]


def test_once_a_zone_has_refused_on_demand_stands_in_until_spot_comes() -> None:
    refused = CapacityView(gpus=(), refused_at_s={"a": 990.0})
    demand = CapacityDemand(running=1.0)
    assert planned(refused, demand, now_s=1_000.0) == ["buy spot in b", "buy on_demand in a"]
    coming = replace(refused, arriving=(Arriving(market=SPOT, zone="b", since_s=1_000.0),))
    assert planned(coming, demand, now_s=1_015.0) == []


def test_spot_is_tried_as_long_as_on_demand_stands_in() -> None:
    here = CapacityView(gpus=gpus((ON_DEMAND, "a")))
    assert planned(here, CapacityDemand(running=1.0), now_s=1_000.0) == ["buy spot in a"]
    resting = CapacityView(gpus=gpus((ON_DEMAND, "a")), refused_at_s=dict.fromkeys("abc", 900.0))
    assert planned(resting, CapacityDemand(running=1.0), now_s=1_000.0) == []


@pytest.mark.parametrize(
    ("headroom", "pending_s", "needed"),
    [
        pytest.param(0.5, 0.0, 5, id="room to breathe"),
        pytest.param(0.5, 60.0, 5, id="room clears a backlog"),
        pytest.param(0.5, 120.0, 6, id="a longer one needs more"),
        pytest.param(-0.5, 0.0, 3, id="fewer than are kept busy, where a line may form"),
        pytest.param(-0.5, 120.0, 5, id="and what clears it, once it has formed"),
    ],
)
def test_room_and_backlog(headroom: float, pending_s: float, needed: int) -> None:
    demand = CapacityDemand(running=4.0, pending_s=pending_s)
    assert len(planned(demand=demand, policy=a_policy(headroom=headroom))) == needed


# --- zones -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "zone"),
    [
        pytest.param({}, "a", id="the cheapest"),
        pytest.param({"refused_at_s": {"a": 900.0}}, "b", id="not one that just refused"),
        pytest.param({"refused_at_s": {"a": 99.0}}, "a", id="it has rested"),
        pytest.param({"taken_back": {"a": 1}}, "b", id="not one that just took a GPU back"),
    ],
)
def test_the_zone_of_the_next_spot_gpu(fields: Mapping[str, object], zone: str) -> None:
    view = CapacityView(gpus=(), **fields)
    assert planned(view, CapacityDemand(running=1.0), now_s=1_000.0)[0] == f"buy spot in {zone}"


def test_a_zone_that_loses_gpus_often_is_dearer_than_it_looks() -> None:
    state = CapacityState(taken_back={"a": 40})
    view = CapacityView(gpus=(), taken_back={"a": 40})
    assert planned(view, CapacityDemand(running=1.0), state=state, now_s=9e9) == ["buy spot in b"]


# --- over time -------------------------------------------------------------------------------------------------------


def played(
    needs: Sequence[tuple[float, float]], *, kinds: tuple[tuple[Market, str], ...], policy: CapacityPolicy
) -> list[tuple[float, list[str]]]:
    """Plan at each (time, running) with the same GPUs, all idle; gives what was decided and when."""
    state, found = CapacityState(), list[tuple[float, list[str]]]()
    owned = gpus(*kinds)
    view = CapacityView(gpus=owned, idle=frozenset(gpu.gpu_id for gpu in owned))
    for now_s, running in needs:
        demand = CapacityDemand(running=running)
        commands, state = plan_capacity(view, demand, OFFERS, policy, now_s=now_s, state=state)
        if commands:
            found.append((now_s, in_words(commands)))
    return found


def test_a_little_more_need_has_to_last_before_more_is_bought() -> None:
    kinds = tuple((SPOT, "a") for _ in range(4))
    needs = [(float(second), 5.0) for second in range(0, 60, 10)]
    assert played(needs, kinds=kinds, policy=a_policy())[0] == (30.0, ["buy spot in b"])
    wavering = [(float(second), 5.0 if second % 20 else 4.0) for second in range(0, 200, 10)]
    assert played(wavering, kinds=kinds, policy=a_policy()) == []


def test_half_as_much_again_is_bought_at_once() -> None:
    kinds = tuple((SPOT, "a") for _ in range(4))
    assert played([(0.0, 6.0)], kinds=kinds, policy=a_policy()) == [(0.0, ["buy spot in b", "buy spot in b"])]


def test_gpus_are_returned_after_a_while_the_dearest_first_and_never_the_reserved_ones() -> None:
    kinds = ((RESERVED, "a"), (ON_DEMAND, "a"), (SPOT, "a"), (SPOT, "c"))
    quiet = [(float(second), 1.0) for second in range(0, 700, 100)]
    found = played(quiet, kinds=kinds, policy=a_policy())
    assert found[0] == (600.0, ["return gpu1", "return gpu3", "return gpu2"])
    nothing = [(float(second), 0.0) for second in range(0, 700, 100)]
    assert found == played(nothing, kinds=kinds, policy=a_policy()), "down to the base, and without a base to zero"


def test_busy_gpus_are_not_returned() -> None:
    state = CapacityState(began_at_s=0.0, ample_since_s=0.0)
    view = CapacityView(gpus=gpus((SPOT, "a"), (SPOT, "b")), idle=frozenset({GpuId("gpu1")}))
    assert planned(view, state=state, now_s=600.0) == ["return gpu1"]


# --- the base --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "base"), [(0.9, 1), (0.5, 2), (0.2, 3), (0.05, 4)])
def test_the_base_is_as_large_as_the_need_is_often_enough(ratio: float, base: int) -> None:
    """Needed: one GPU all the time, two 60% of it, three 30%, four 10%."""
    state = CapacityState(watched_s=100.0, need_s=(100.0, 60.0, 30.0, 10.0))
    assert reserved_base(state, reserved=Micros(int(ratio * USD)), burst=Micros(USD)) == base


def test_the_base_is_learned_from_a_day_of_demand() -> None:
    """Two GPUs are needed always and eight for a quarter of the day; only the first two pay at these prices."""
    offers = (an_offer(RESERVED, "a", 2.5), an_offer(ON_DEMAND, "a", 4.0))
    state, policy = CapacityState(), a_policy(base=None)
    bought: list[str] = []
    for hour in range(30):
        running = 8.0 if hour % 4 == 0 else 2.0
        view = CapacityView(gpus=gpus(*[(ON_DEMAND, "a")] * 8))
        demand = CapacityDemand(running=running)
        commands, state = plan_capacity(view, demand, offers, policy, now_s=hour * 3_600.0, state=state)
        bought += [] if hour < 24 else in_words(commands)[:2]
        assert hour >= 24 or "buy reserved in a" not in in_words(commands)
        if bought:
            break
    assert bought == ["buy reserved in a", "buy reserved in a"]


def test_a_base_that_is_stated_is_kept() -> None:
    assert planned(policy=a_policy(base=2)) == ["buy reserved in a", "buy reserved in a"]


# --- bounds ----------------------------------------------------------------------------------------------------------

kinds = st.tuples(st.sampled_from(Market), st.sampled_from("abc"))
demands = st.builds(
    CapacityDemand,
    running=st.floats(0.0, 50.0),
    pending_s=st.floats(0.0, 5_000.0),
    off_spot_running=st.floats(0.0, 10.0),
    off_spot_pending_s=st.floats(0.0, 500.0),
)


@given(
    owned=st.lists(kinds, max_size=6).map(tuple),
    steps=st.lists(st.tuples(st.floats(0.0, 1_000.0), demands), min_size=1, max_size=8),
    gpus_max=st.integers(1, 12),
    budget_usd=st.none() | st.floats(0.0, 30.0),
    base=st.none() | st.integers(0, 4),
)
def test_bounds_and_budget_hold_and_only_idle_gpus_are_returned(
    owned: tuple[tuple[Market, str], ...],
    steps: list[tuple[float, CapacityDemand]],
    gpus_max: int,
    budget_usd: float | None,
    base: int | None,
) -> None:
    budget = None if budget_usd is None else Micros(int(budget_usd * USD))
    policy = a_policy(gpus_max=gpus_max, micros_per_hour_max=budget, base=base)
    price = {(offer.market, offer.zone): offer.micros_per_hour for offer in OFFERS}
    view = CapacityView(gpus=gpus(*owned), idle=frozenset(gpu.gpu_id for gpu in gpus(*owned)[::2]))
    state, now_s = CapacityState(), 0.0
    hourly = sum(price.get(kind, Micros(0)) for kind in owned)
    for passed_s, demand in steps:
        now_s += passed_s
        commands, state = plan_capacity(view, demand, OFFERS, policy, now_s=now_s, state=state)
        bought = [command for command in commands if isinstance(command, BuyGpu)]
        returned = [command for command in commands if isinstance(command, ReleaseGpu)]
        assert not bought or len(owned) + len(bought) <= gpus_max
        spent = sum(price[(command.market, command.zone)] for command in bought)
        assert budget is None or not bought or hourly + spent <= budget
        assert {command.gpu_id for command in returned} <= view.idle
        assert all(command.why for command in commands)


def test_a_clock_that_is_set_back_makes_no_load_out_of_nothing() -> None:
    """Found by a simulated seed: the clock fell behind the beginning, and the offered load below zero."""
    state, view = CapacityState(), CapacityView(gpus=())
    for number, now_s in enumerate((1_000.0, 1_060.0, 900.0, 960.0, 961.0, 2_000.0)):
        demand = CapacityDemand(asked_s=60.0 * number)
        _, state = plan_capacity(view, demand, OFFERS, a_policy(), now_s=now_s, state=state)
        assert 0.0 <= state.offered <= 60.0
        assert 0.0 <= state.rush <= 60.0
