"""The fleet plan, rule by rule, and what holds for every plan."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.commands import FleetCommand, StartReplica, StopReplica
from heliograph.domain.ids import GpuId, ModelId, WorkerId
from heliograph.domain.views import FleetView, Gpu, Market, ModelQueue, QueueView, ReplicaState, ReplicaView
from heliograph.fleet.demand import Demand
from heliograph.fleet.plan import LOAD_PAUSE_S_MAX, FleetPolicy, fits, plan, why_resident
from tests.builders import EMPTY_QUEUE, a_card, a_fleet, a_gpu, a_queue, a_replica, in_words

BUSY, LOADING, READY, STOPPING = ReplicaState.BUSY, ReplicaState.LOADING, ReplicaState.READY, ReplicaState.STOPPING
CARDS = {
    card.model_id: card
    for card in (
        a_card("a"),
        a_card("b"),
        a_card("c"),
        a_card("big", vram_bytes=20_000),
        a_card("pair", vram_bytes=5_000, gpus=2),
        a_card("four", vram_bytes=5_000, gpus=4),
    )
}


def a_line(pending: int = 1, *, pending_s: float = 5.0, since_s: float = 0.0, replicas: int = 0) -> ModelQueue:
    """Somebody waits, since time 0; a load costs 10 s."""
    return ModelQueue(pending=pending, pending_s=pending_s, waiting_since_s=since_s, replicas=replicas, load_s=10.0)


def planned(
    fleet: FleetView, queue: QueueView = EMPTY_QUEUE, *, now_s: float = 0.0, warm: Sequence[str] = ()
) -> list[str]:
    policy = FleetPolicy(always_warm=tuple(ModelId(model) for model in warm), idle_ttl_s=900.0, patience_s=15.0)
    return in_words(list(plan(fleet, queue, CARDS, policy, now_s=now_s)))


# --- rule 7: what a fault took in the middle of a run is loaded again ------------------------------------------------


@pytest.mark.parametrize(
    ("fleet", "planned_words"),
    [
        (a_fleet(a_replica("w0", model="a"), gpus=2), ["start a on gpu1"]),
        (a_fleet(a_replica("w0", model="a"), a_replica("w1", model="b", gpu="gpu1"), gpus=2), []),
        (a_fleet(gpus=1), []),
        (replace(a_fleet(gpus=2), resting=(GpuId("gpu1"), GpuId("gpu0"))), []),
    ],
    ids=["its place is free", "its place is taken", "its GPU is gone", "its GPU rests"],
)
def test_a_replica_lost_in_a_run_is_loaded_again(fleet: FleetView, planned_words: list[str]) -> None:
    lost = replace(fleet, bereft={GpuId("gpu1"): ModelId("a")})
    assert planned(lost) == planned_words


def test_a_model_that_cannot_be_run_any_more_is_not_loaded_again() -> None:
    assert planned(replace(a_fleet(gpus=2), bereft={GpuId("gpu1"): ModelId("unknown")})) == []


# --- rule 1: a model that is waited for gets a replica ---------------------------------------------------------------


def test_without_work_nothing_is_loaded() -> None:
    assert planned(a_fleet(gpus=2)) == []


def test_a_model_that_is_waited_for_is_loaded_on_an_empty_gpu() -> None:
    fleet = a_fleet(a_replica("w0", model="b", state=BUSY), gpus=2)
    assert planned(fleet, a_queue(a=a_line())) == ["start a on gpu1"]


@pytest.mark.parametrize("state", [LOADING, READY, BUSY])
def test_a_model_that_has_a_replica_waits_for_it(state: ReplicaState) -> None:
    fleet = a_fleet(a_replica("w0", model="a", state=state), gpus=2)
    assert planned(fleet, a_queue(a=a_line(replicas=1))) == []


def test_a_replica_that_is_stopping_does_not_count() -> None:
    fleet = a_fleet(a_replica("w0", model="a", state=STOPPING), gpus=2)
    assert planned(fleet, a_queue(a=a_line())) == ["start a on gpu1"]


def test_whoever_has_waited_longest_is_served_first() -> None:
    queue = a_queue(a=a_line(since_s=3.0), b=a_line(since_s=1.0), c=a_line(since_s=2.0))
    assert planned(a_fleet(gpus=2), queue) == ["start b on gpu0", "start c on gpu1"]


def test_a_model_goes_only_where_it_fits() -> None:
    small, large = a_gpu("gpu0"), a_gpu("gpu1", memory_bytes=20_000)
    queue = a_queue(big=a_line())
    assert planned(a_fleet(gpus=[small, large]), queue) == ["start big on gpu1"]
    assert planned(a_fleet(gpus=[small]), queue) == []


@pytest.mark.parametrize(("vram_bytes", "is_fit"), [(9_999, True), (10_000, True), (10_001, False), (None, True)])
def test_a_model_fits_up_to_the_last_byte_and_an_unknown_size_is_tried(vram_bytes: int | None, is_fit: bool) -> None:
    assert fits(a_card(vram_bytes=vram_bytes), a_gpu(memory_bytes=10_000)) is is_fit


def test_a_model_this_installation_cannot_run_is_left_alone() -> None:
    assert planned(a_fleet(gpus=1), a_queue(unheard_of=a_line()), warm=["unheard_of"]) == []


def test_an_idle_replica_makes_room_at_once() -> None:
    fleet = a_fleet(a_replica("w0", model="b"))
    assert planned(fleet, a_queue(a=a_line())) == ["stop w0"]


def test_the_replica_idle_for_longest_makes_room_and_always_warm_models_go_last() -> None:
    replicas = [
        a_replica("w0", model="c", since_s=1.0),
        a_replica("w1", model="b", since_s=5.0),
        a_replica("w2", model="b", since_s=4.0),
    ]
    assert planned(a_fleet(*replicas, gpus=3), a_queue(a=a_line()), warm=["c"], now_s=9.0) == ["stop w2"]
    assert planned(a_fleet(replicas[0]), a_queue(a=a_line()), warm=["c"], now_s=9.0) == ["stop w0"]


def test_a_replica_whose_own_jobs_wait_is_not_idle() -> None:
    fleet = a_fleet(a_replica("w0", model="b"))
    assert planned(fleet, a_queue(a=a_line(), b=a_line(replicas=1))) == []


def test_only_a_replica_on_a_gpu_that_holds_the_model_makes_room() -> None:
    gpus = [a_gpu("gpu0"), a_gpu("gpu1", memory_bytes=20_000)]
    fleet = a_fleet(a_replica("w0", model="a"), a_replica("w1", model="b", since_s=5.0), gpus=gpus)
    assert planned(fleet, a_queue(big=a_line()), now_s=9.0) == ["stop w1"]


def test_room_is_made_once_for_each_model() -> None:
    both = a_queue(a=a_line(), b=a_line(since_s=1.0))
    fleet = a_fleet(a_replica("w0", model="c"), a_replica("w1", model="c"), gpus=2)
    assert planned(fleet, both) == ["stop w0", "stop w1"]
    stopping = a_fleet(a_replica("w0", model="c", state=STOPPING), a_replica("w1", model="c"), gpus=2)
    assert planned(stopping, both) == ["stop w1"]
    assert planned(stopping, a_queue(a=a_line())) == []


@pytest.mark.parametrize(("now_s", "commands"), [(14.9, []), (15.0, ["stop w0"])])
def test_a_busy_replica_gives_way_once_patience_is_over(now_s: float, commands: list[str]) -> None:
    fleet = a_fleet(a_replica("w0", model="b", state=BUSY, job="dog"))
    assert planned(fleet, a_queue(a=a_line(), b=a_line(9, replicas=1)), now_s=now_s) == commands


def test_the_model_with_most_replicas_gives_way() -> None:
    replicas = [a_replica(f"w{index}", model=model, state=BUSY) for index, model in enumerate("bcc")]
    queue = a_queue(a=a_line(), b=ModelQueue(replicas=1), c=ModelQueue(replicas=2))
    assert planned(a_fleet(*replicas, gpus=3), queue, now_s=15.0) == ["stop w2"]


def test_a_loading_replica_is_never_evicted() -> None:
    assert planned(a_fleet(a_replica("w0", model="b", state=LOADING)), a_queue(a=a_line()), now_s=999.0) == []


# --- rule 2: always warm ---------------------------------------------------------------------------------------------


def test_always_warm_models_are_loaded_while_there_is_room() -> None:
    assert planned(a_fleet(gpus=2), warm=["a", "b", "c"]) == ["start a on gpu0", "start b on gpu1"]


def test_models_that_are_waited_for_come_before_always_warm_ones() -> None:
    assert planned(a_fleet(gpus=1), a_queue(b=a_line()), warm=["a"]) == ["start b on gpu0"]


def test_an_always_warm_model_evicts_nobody() -> None:
    assert planned(a_fleet(a_replica("w0", model="b")), warm=["a"], now_s=1.0) == []


def test_an_always_warm_model_that_is_waited_for_is_loaded_once() -> None:
    assert planned(a_fleet(gpus=2), a_queue(a=a_line()), warm=["a"]) == ["start a on gpu0"]


# --- rule 3: more replicas for a long line ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pending_s", "replicas", "commands"),
    [
        pytest.param(10.0, 1, [], id="the backlog costs no more than a load"),
        pytest.param(10.1, 1, ["start a on gpu2"], id="a load pays"),
        pytest.param(20.0, 2, [], id="shared by two, it does not"),
    ],
)
def test_a_long_line_gets_another_replica_when_that_pays(pending_s: float, replicas: int, commands: list[str]) -> None:
    fleet = a_fleet(a_replica("w0", model="a", state=BUSY), a_replica("w1", model="a", state=BUSY), gpus=3)
    assert planned(fleet, a_queue(a=a_line(9, pending_s=pending_s, replicas=replicas))) == commands


@pytest.mark.parametrize(
    ("pending", "pending_s", "state", "commands"),
    [
        pytest.param(2, 20.0, READY, [], id="it would save 2 x 5 s, no more than the load"),
        pytest.param(9, 20.0, READY, ["stop w1"], id="it saves more than the load and the other's next load"),
        pytest.param(9, 20.0, BUSY, [], id="what is busy stays"),
    ],
)
def test_a_long_line_takes_the_place_of_an_idle_model_when_that_saves_more_waiting(
    pending: int, pending_s: float, state: ReplicaState, commands: list[str]
) -> None:
    fleet = a_fleet(a_replica("w0", model="a", state=BUSY), a_replica("w1", model="b", state=state), gpus=2)
    queue = a_queue(a=a_line(pending, pending_s=pending_s, replicas=1), b=ModelQueue(load_s=10.0, replicas=1))
    assert planned(fleet, queue, now_s=99.0) == commands


def test_a_long_line_leaves_what_is_always_warm_alone() -> None:
    fleet = a_fleet(a_replica("w0", model="a", state=BUSY), a_replica("w1", model="b"), gpus=2)
    assert planned(fleet, a_queue(a=a_line(99, pending_s=999.0, replicas=1)), warm=["b"], now_s=99.0) == []


# --- rule 4: idle replicas -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("now_s", "commands"), [(899.9, []), (900.0, ["stop w0"])])
def test_an_idle_replica_is_unloaded_after_its_time(now_s: float, commands: list[str]) -> None:
    assert planned(a_fleet(a_replica("w0", model="a")), now_s=now_s) == commands


@pytest.mark.parametrize("state", [LOADING, BUSY, STOPPING])
def test_a_replica_that_is_not_idle_stays(state: ReplicaState) -> None:
    assert planned(a_fleet(a_replica("w0", model="a", state=state)), now_s=9_999.0) == []


def test_the_last_replica_of_an_always_warm_model_stays() -> None:
    fleet = a_fleet(a_replica("w0", model="a"), a_replica("w1", model="a"), gpus=2)
    assert planned(fleet, warm=["a"], now_s=9_999.0) == ["stop w0"]


# --- residency by worth ----------------------------------------------------------------------------------------------


def a_demand(**asked_at_s: Sequence[float]) -> Demand:
    """Requests by model, each of an end user of its own."""
    demand = Demand()
    for at_s, model in sorted((at_s, model) for model, times in asked_at_s.items() for at_s in times):
        demand.note(ModelId(model), f"user of {model} at {at_s}", at_s)
    return demand


def planned_with(
    demand: Demand | None, fleet: FleetView, queue: QueueView = EMPTY_QUEUE, *, now_s: float, **policy: object
) -> list[str]:
    return in_words(list(plan(fleet, queue, CARDS, FleetPolicy(**policy), now_s=now_s, demand=demand)))


def test_an_idle_model_stays_while_its_next_request_is_likely_and_goes_when_it_is_not() -> None:
    fleet = a_fleet(a_replica("w0", model="a", since_s=5.0))
    demand = a_demand(a=[0.0])
    gone_at_s = next(now_s for now_s in range(10, 20_000, 10) if planned_with(demand, fleet, now_s=now_s))
    assert 60 <= gone_at_s <= 3_600
    busier = a_demand(a=[-60.0 * minute for minute in range(20)])
    assert planned_with(busier, fleet, now_s=gone_at_s) == []


def test_a_model_that_is_quick_to_load_stays_a_while_all_the_same_unless_its_room_is_needed() -> None:
    fleet = a_fleet(a_replica("w0", model="a", since_s=5.0))
    idle = replace(a_line(0, replicas=1), waiting_since_s=None, load_s=0.2)
    quick = a_queue(a=idle)
    demand = a_demand(a=[0.0])
    assert planned_with(demand, fleet, quick, now_s=6.0) == ["stop w0"]
    assert planned_with(demand, fleet, quick, now_s=304.0, idle_min_s=300.0) == []
    assert planned_with(demand, fleet, quick, now_s=306.0, idle_min_s=300.0) == ["stop w0"]
    wanted = a_queue(a=idle, b=a_line())
    assert planned_with(demand, fleet, wanted, now_s=6.0, idle_min_s=300.0) == ["stop w0"]


def test_the_time_to_live_grows_with_the_load_the_weight_and_the_worth_of_waiting() -> None:
    def lives_s(load_s: float, **policy: object) -> int:
        fleet = a_fleet(a_replica("w0", model="a", since_s=5.0))
        queue = a_queue(a=ModelQueue(load_s=load_s, replicas=1))
        demand = a_demand(a=[0.0])
        return next(
            now_s for now_s in range(10, 90_000, 10) if planned_with(demand, fleet, queue, now_s=now_s, **policy)
        )

    usual = lives_s(20.0)
    assert lives_s(40.0) > usual
    assert lives_s(20.0, weight={ModelId("a"): 2.0}) == lives_s(40.0)
    assert lives_s(20.0, saved_s_worth=2 * FleetPolicy().saved_s_worth) == lives_s(40.0)


def test_weights_in_the_host_s_memory_make_a_model_cheap_to_let_go() -> None:
    fleet = a_fleet(a_replica("w0", model="a", since_s=5.0), gpus=[a_gpu("gpu0", node="n0")])
    near = replace(fleet, in_host_memory={"n0": frozenset({ModelId("a")})})
    demand = a_demand(a=[0.0])
    gone_at_s = next(now_s for now_s in range(10, 20_000, 10) if planned_with(demand, near, now_s=now_s))
    assert planned_with(demand, fleet, now_s=3.0 * gone_at_s) == [], "a load from disk is worth waiting for longer"


def test_a_model_is_loaded_where_its_weights_lie_in_memory() -> None:
    gpus = [a_gpu("gpu0", node="n0"), a_gpu("gpu1", node="n1")]
    fleet = replace(a_fleet(gpus=gpus), in_host_memory={"n1": frozenset({ModelId("a")})})
    assert planned(fleet, a_queue(a=a_line())) == ["start a on gpu1"]


def test_a_model_that_is_about_to_be_asked_for_is_loaded_ahead_where_there_is_room() -> None:
    demand = a_demand(a=[float(second) for second in range(0, 600, 20)], b=[0.0])
    assert planned_with(demand, a_fleet(gpus=1), now_s=601.0) == ["start a on gpu0"], "what is worth most comes first"
    assert planned_with(demand, a_fleet(a_replica("w0", model="c", state=BUSY)), now_s=601.0) == []
    assert planned_with(demand, a_fleet(gpus=1), now_s=50_000.0) == []


def test_whoever_is_worth_least_makes_room() -> None:
    fleet = a_fleet(a_replica("w0", model="b", since_s=1.0), a_replica("w1", model="c", since_s=9.0), gpus=2)
    demand = a_demand(b=[0.0, 20.0, 40.0], c=[0.0])
    assert planned_with(demand, fleet, a_queue(a=a_line()), now_s=60.0) == ["stop w1"]
    assert planned_with(None, fleet, a_queue(a=a_line()), now_s=60.0) == ["stop w0"], "the longest idle, unforecast"


def test_a_model_has_no_more_replicas_than_the_operator_allows() -> None:
    fleet = a_fleet(a_replica("w0", model="a", state=BUSY), gpus=3)
    queue = a_queue(a=a_line(99, pending_s=999.0, replicas=1))
    assert planned_with(None, fleet, queue, now_s=0.0, replicas_max={ModelId("a"): 1}) == []
    assert planned_with(None, fleet, queue, now_s=0.0, replicas_max={ModelId("a"): 2}) == ["start a on gpu1"]


@pytest.mark.parametrize(("loaded_at_s", "commands"), [(None, ["stop w0"]), (80.0, ["stop w0"]), (80.1, [])])
def test_a_busy_model_gives_way_only_after_serving_twice_as_long_as_the_load(
    loaded_at_s: float | None, commands: list[str]
) -> None:
    fleet = a_fleet(a_replica("w0", model="b", state=BUSY, loaded_at_s=loaded_at_s))
    assert planned(fleet, a_queue(a=a_line(), b=a_line(9, replicas=1)), now_s=100.0) == commands


def test_every_replica_has_its_reason() -> None:
    states = [LOADING, READY, READY, READY, READY]
    models_there = ["a", "b", "c", "a", "a"]
    replicas = [
        a_replica(f"w{index}", model=model, state=state)
        for index, (model, state) in enumerate(zip(models_there, states, strict=True))
    ]
    queue = a_queue(b=a_line(3, replicas=1))
    policy = FleetPolicy(always_warm=(ModelId("c"),))
    reasons = why_resident(a_fleet(*replicas, gpus=5), queue, CARDS, policy, now_s=100.0, demand=a_demand(a=[0.0]))
    assert reasons[WorkerId("w0")] == "it is loading"
    assert reasons[WorkerId("w1")] == "3 jobs wait for it"
    assert reasons[WorkerId("w2")] == "the operator keeps it always warm"
    assert re.fullmatch(
        r"idle for 100 s; a request is expected every \d+ s, and a load of 30\.0 s pays for 100% of a GPU",
        reasons[WorkerId("w3")],
    )
    unforecast = why_resident(a_fleet(*replicas, gpus=5), queue, CARDS, policy, now_s=100.0)
    assert unforecast[WorkerId("w3")] == "stays for another 800 s"


# --- several GPUs for one model --------------------------------------------------------------------------------------


def two_nodes(per_node: int = 2) -> list[Gpu]:
    return [a_gpu(f"gpu{index}", node=f"n{index // per_node}") for index in range(2 * per_node)]


def test_a_model_of_two_gpus_gets_both_at_once_on_one_node() -> None:
    fleet = a_fleet(a_replica("w0", model="a", state=BUSY), gpus=two_nodes())
    assert planned(fleet, a_queue(pair=a_line())) == ["start pair on gpu2 and gpu3"]
    assert planned(a_fleet(gpus=two_nodes(4)), a_queue(four=a_line())) == [
        "start four on gpu0 and gpu1 and gpu2 and gpu3"
    ]


def test_gpus_of_different_nodes_or_of_none_are_no_gang() -> None:
    spread = [a_gpu("gpu0", node="n0"), a_gpu("gpu1", node="n1"), a_gpu("gpu2"), a_gpu("gpu3")]
    assert planned(a_fleet(gpus=spread), a_queue(pair=a_line()), now_s=999.0) == []


def test_a_gang_clears_the_node_where_least_is_lost_and_holds_what_is_free() -> None:
    replicas = [a_replica("w0", model="a", since_s=1.0), a_replica("w2", model="b"), a_replica("w3", model="c")]
    fleet, queue = a_fleet(*replicas, gpus=two_nodes()), a_queue(pair=a_line(), big=a_line(since_s=1.0))
    assert planned(fleet, queue, now_s=9.0) == ["stop w0"], "gpu1 is free already"
    younger = a_queue(pair=a_line(), a=a_line(since_s=2.0), b=a_line(since_s=1.0))
    fleet = a_fleet(a_replica("w0", model="c"), a_replica("w2", model="c", state=BUSY), gpus=two_nodes())
    commands = planned(fleet, younger, now_s=9.0)
    assert commands == ["stop w0", "start b on gpu3"], "the younger get only what the gang leaves"


def test_a_gang_waits_for_busy_gpus_only_after_its_patience() -> None:
    replicas = [a_replica(f"w{index}", model="a", state=BUSY) for index in range(4)]
    fleet = a_fleet(*replicas, gpus=two_nodes())
    queue = a_queue(pair=a_line(), a=a_line(9, replicas=4))
    assert planned(fleet, queue, now_s=14.0) == []
    assert planned(fleet, queue, now_s=15.0) == ["stop w0", "stop w1"]
    half = a_fleet(replace(replicas[0], state=STOPPING), *replicas[1:], gpus=two_nodes())
    assert planned(half, queue, now_s=16.0) == ["stop w1"], "it stays with the node it began with"


def test_an_idle_gang_makes_room_for_a_single_one_and_is_stopped_once() -> None:
    gang = a_replica("w0", model="pair", more_gpus=["gpu1"])
    fleet = a_fleet(gang, gpus=two_nodes()[:2])
    assert planned(fleet, a_queue(a=a_line())) == ["stop w0"]
    assert planned(fleet, a_queue(four=a_line(), a=a_line(since_s=1.0))) == ["stop w0"]


def test_two_gangs_never_hold_halves() -> None:
    """Both want the only node; the older gets it whole and the younger begins once it is gone."""
    queue = a_queue(pair=a_line(since_s=1.0), four=a_line())
    fleet = a_fleet(gpus=two_nodes(4)[:4])
    assert planned(fleet, queue) == ["start four on gpu0 and gpu1 and gpu2 and gpu3"]
    assert planned(fleet, a_queue(pair=a_line(), four=a_line(since_s=1.0))) == ["start pair on gpu0 and gpu1"]


# --- spot ------------------------------------------------------------------------------------------------------------


def test_jobs_that_may_not_run_on_spot_get_a_replica_elsewhere() -> None:
    gpus = [a_gpu("gpu0", market=Market.SPOT), a_gpu("gpu1"), a_gpu("gpu2", market=Market.SPOT)]
    on_spot = a_replica("w0", model="a", state=BUSY)
    anywhere, elsewhere = a_line(replicas=1), replace(a_line(replicas=1), off_spot_pending=1)
    assert planned(a_fleet(on_spot, gpus=gpus), a_queue(a=anywhere)) == []
    assert planned(a_fleet(on_spot, gpus=gpus), a_queue(a=elsewhere)) == ["start a on gpu1"]
    taken = a_fleet(on_spot, a_replica("w1", model="b"), a_replica("w2", model="c", since_s=-9.0), gpus=gpus)
    assert planned(taken, a_queue(a=elsewhere)) == ["stop w1"], "not the one on spot, though it is idle for longer"
    assert planned(a_fleet(on_spot, gpus=[gpus[0], gpus[2]]), a_queue(a=elsewhere)) == []


# --- several models on one GPU ---------------------------------------------------------------------------------------


def test_a_gpu_takes_as_many_models_as_its_bytes_and_the_policy_allow() -> None:
    queue = a_queue(**{model: a_line(since_s=float(number)) for number, model in enumerate("abc")})
    for residents_max, started in ((1, 1), (2, 2), (9, 3)):
        commands = planned_with(None, a_fleet(gpus=1), queue, now_s=0.0, residents_max=residents_max)
        assert len(commands) == started
    small = a_fleet(gpus=[a_gpu("gpu0", memory_bytes=2_500)])
    assert planned_with(None, small, queue, now_s=0.0, residents_max=9) == ["start a on gpu0", "start b on gpu0"]


def test_a_gpu_is_given_no_second_replica_of_a_model() -> None:
    """The two would take turns and gain nothing; a second GPU is another matter."""
    queue = a_queue(a=a_line(50, pending_s=500.0, replicas=1))
    for gpus, expected in ((1, []), (2, ["start a on gpu1"])):
        fleet = a_fleet(a_replica("w0", model="a", state=BUSY), gpus=gpus)
        assert planned_with(None, fleet, queue, now_s=9.0, residents_max=9) == expected


def test_the_tightest_fit_is_taken_so_that_room_is_left_for_large_models() -> None:
    gpus = [a_gpu("gpu0", memory_bytes=40_000), a_gpu("gpu1", memory_bytes=2_000)]
    assert planned_with(None, a_fleet(gpus=gpus), a_queue(a=a_line()), now_s=0.0, residents_max=9) == [
        "start a on gpu1"
    ]


def test_a_gpu_holds_a_model_once_and_others_are_loaded_beside_it_as_long_as_more_jobs_wait() -> None:
    there = [a_replica("w0", gpu="gpu0", model="a", state=BUSY), a_replica("w1", gpu="gpu1", model="b", state=BUSY)]
    queue = a_queue(a=a_line(pending=1, pending_s=1.0, replicas=1))
    assert planned_with(None, a_fleet(*there, gpus=2), queue, now_s=0.0, residents_max=1) == []
    assert planned_with(None, a_fleet(*there, gpus=2), queue, now_s=0.0, residents_max=2) == ["start a on gpu1"]
    loading = a_fleet(*there, a_replica("w2", gpu="gpu1", model="a", state=LOADING), gpus=2)
    assert planned_with(None, loading, queue, now_s=0.0, residents_max=2) == [], "one waits, one loads"
    more = a_queue(a=a_line(pending=9, pending_s=999.0, replicas=2))
    assert planned_with(None, loading, more, now_s=0.0, residents_max=9) == [], "both GPUs hold it"


def test_as_many_idle_models_go_as_a_large_one_needs_and_no_more() -> None:
    gpus = [a_gpu("gpu0", memory_bytes=21_500), a_gpu("gpu1", memory_bytes=20_000)]
    replicas = [
        a_replica("w0", gpu="gpu0", model="a", since_s=3.0),
        a_replica("w1", gpu="gpu0", model="b", since_s=1.0),
        a_replica("w2", gpu="gpu0", model="c", since_s=2.0),
        a_replica("w3", gpu="gpu1", model="c", state=BUSY),
    ]
    fleet = a_fleet(*replicas, gpus=gpus)
    commands = planned_with(None, fleet, a_queue(big=a_line()), now_s=9.0, residents_max=9)
    assert commands == ["stop w1", "stop w2"]
    going = [replace(one, state=STOPPING) if one.worker_id in ("w1", "w2") else one for one in replicas]
    again = a_fleet(*going, gpus=gpus)
    assert planned_with(None, again, a_queue(big=a_line()), now_s=9.0, residents_max=9) == []


def test_what_is_promised_to_a_large_model_is_not_given_to_a_small_one() -> None:
    gpus = [a_gpu("gpu0", memory_bytes=20_500)]
    fleet = a_fleet(
        a_replica("w0", model="a", state=STOPPING), a_replica("w1", gpu="gpu0", model="b", state=STOPPING), gpus=gpus
    )
    demand = a_demand(c=[float(second) for second in range(0, 600, 20)])
    queue = a_queue(big=a_line(since_s=590.0))
    assert planned_with(demand, fleet, queue, now_s=601.0, residents_max=9) == []


# --- loads that fail -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failures", "pause_s"),
    [(0, 0.0), (1, 2.0), (3, 8.0), (9, LOAD_PAUSE_S_MAX), (100_000, LOAD_PAUSE_S_MAX)],
)
def test_after_failed_loads_there_is_a_pause(failures: int, pause_s: float) -> None:
    line = replace(a_line(), load_failures=failures, load_failed_at_s=50.0)
    fleet = a_fleet(gpus=1)
    if pause_s:
        assert planned(fleet, a_queue(a=line), warm=["a"], now_s=50.0 + pause_s - 0.1) == []
    assert planned(fleet, a_queue(a=line), warm=["a"], now_s=50.0 + pause_s) == ["start a on gpu0"]


def test_nobody_is_evicted_for_a_model_that_pauses() -> None:
    line = replace(a_line(), load_failures=2, load_failed_at_s=50.0)
    assert planned(a_fleet(a_replica("w0", model="b")), a_queue(a=line), now_s=51.0) == []


# --- over time, on a tiny model of a fleet ---------------------------------------------------------------------------


def carried_out(
    fleet: FleetView, commands: Sequence[FleetCommand], *, now_s: float, residents_max: int = 1
) -> FleetView:
    """The fleet while the commands are under way; every rule of capacity is checked."""
    gpus = {gpu.gpu_id: gpu for gpu in fleet.gpus}
    replicas = list(fleet.replicas)
    for command in commands:
        match command:
            case StartReplica(gpu_id=gpu_id, model_id=model_id, why=why, more_gpu_ids=more):
                assert why, "every load has its reason"
                worker_id = WorkerId(f"new{len(replicas)}")
                started = a_replica(worker_id, gpu=gpu_id, model=model_id, state=LOADING, since_s=now_s, more_gpus=more)
                replicas.append(started)
                assert len({*started.gpu_ids}) == CARDS[model_id].gpus, "no partial start"
                assert len({gpus[one].node_id for one in started.gpu_ids}) == 1, "all on one node"
                for held_id in started.gpu_ids:
                    there = [one.model_id for one in replicas if held_id in one.gpu_ids]
                    assert len(there) <= residents_max, "no more replicas per GPU than allowed"
                    held_bytes = sum(CARDS[model_id].vram_bytes or 0 for model_id in there)
                    assert held_bytes <= gpus[held_id].memory_bytes, "memory is never promised twice"
            case StopReplica(worker_id=worker_id, reason=reason):
                assert reason, "every unload has its reason"
                (index,) = [index for index, one in enumerate(replicas) if one.worker_id == worker_id]
                assert replicas[index].state in (READY, BUSY), "only what has loaded is unloaded, and only once"
                replicas[index] = replace(replicas[index], state=STOPPING, since_s=now_s)
    return replace(fleet, replicas=tuple(replicas))


def settled(fleet: FleetView) -> FleetView:
    """The fleet after its loads and stops are done."""
    left = [replace(one, state=READY) if one.state is LOADING else one for one in fleet.replicas]
    return replace(fleet, replicas=tuple(one for one in left if one.state is not STOPPING))


def counted(queue: QueueView, fleet: FleetView) -> QueueView:
    """The queue with the replicas that the fleet has for each model."""
    alive = [replica.model_id for replica in fleet.replicas if replica.state is not STOPPING]
    models = {model_id: replace(line, replicas=alive.count(model_id)) for model_id, line in queue.models.items()}
    return QueueView(models=models)


def test_on_one_gpu_no_model_starves() -> None:
    """Two models, both always in demand: the one that waits gets its turn within patience, one run and a load."""
    policy = FleetPolicy(patience_s=15.0)
    fleet = a_fleet(a_replica("w0", model="a", state=BUSY, job="endless"))
    waiting = a_queue(a=a_line(99, replicas=1), b=a_line(since_s=0.0))
    for now_s in (0.0, 14.0):
        assert plan(fleet, counted(waiting, fleet), CARDS, policy, now_s=now_s) == []
    fleet = carried_out(fleet, plan(fleet, counted(waiting, fleet), CARDS, policy, now_s=15.0), now_s=15.0)
    assert [replica.state for replica in fleet.replicas] == [STOPPING]
    assert plan(fleet, counted(waiting, fleet), CARDS, policy, now_s=16.0) == []
    fleet = settled(fleet)
    younger_a = a_queue(a=a_line(99, since_s=10.0), b=a_line(since_s=0.0))
    assert in_words(list(plan(fleet, younger_a, CARDS, policy, now_s=17.0))) == ["start b on gpu0"]


models = st.sampled_from(sorted(CARDS))
replicas = st.tuples(models, st.sampled_from(ReplicaState), st.floats(0.0, 2_000.0))
gpu_sizes = st.lists(st.sampled_from([500, 10_000, 40_000]), min_size=1, max_size=4)
lines = st.builds(a_line, st.integers(0, 5), pending_s=st.floats(0.0, 100.0), since_s=st.floats(0.0, 2_000.0))
queues = st.dictionaries(models, lines, max_size=4)


@given(
    sizes=gpu_sizes,
    held=st.lists(st.tuples(st.integers(0, 3), replicas), max_size=8),
    open_work=queues,
    warm=st.sets(models).map(sorted),
    residents_max=st.integers(1, 3),
    asked_at_s=st.none() | st.dictionaries(models, st.lists(st.floats(0.0, 1_999.0), max_size=5)),
)
def test_any_plan_keeps_to_the_capacity_and_comes_to_rest(
    sizes: list[int],
    held: list[tuple[int, tuple[str, ReplicaState, float]]],
    open_work: dict[str, ModelQueue],
    warm: list[str],
    residents_max: int,
    asked_at_s: dict[str, list[float]] | None,
) -> None:
    """Capacity is never exceeded, queued work keeps its model unless it has to give way, and plans come to rest.

    Asked again and again while nothing changes, the plan soon wants nothing more.
    """
    gpus = [a_gpu(f"gpu{index}", memory_bytes=size, node="n0") for index, size in enumerate(sizes)]
    views: list[ReplicaView] = []
    for index, (place, (model, state, since_s)) in enumerate(held):
        gang = [gpus[(place + number) % len(gpus)] for number in range(CARDS[ModelId(model)].gpus)]
        is_room = len({gpu.gpu_id for gpu in gang}) == len(gang)
        for gpu in gang:
            there = [one.model_id for one in views if gpu.gpu_id in one.gpu_ids]
            held_bytes = sum(CARDS[model_id].vram_bytes or 0 for model_id in (*there, ModelId(model)))
            is_room &= len(there) < residents_max and held_bytes <= gpu.memory_bytes
        if is_room:
            first, *more = [gpu.gpu_id for gpu in gang]
            views.append(a_replica(f"w{index}", gpu=first, model=model, state=state, since_s=since_s, more_gpus=more))
    fleet, now_s = a_fleet(*views, gpus=gpus), 2_000.0
    policy = FleetPolicy(always_warm=tuple(ModelId(model) for model in warm), residents_max=residents_max)
    demand = None if asked_at_s is None else a_demand(**asked_at_s)
    work = a_queue(**open_work)
    for _ in range(2 * residents_max * len(gpus) + 1):
        commands = plan(fleet, counted(work, fleet), CARDS, policy, now_s=now_s, demand=demand)
        stopped = {command.worker_id for command in commands if isinstance(command, StopReplica)}
        for replica in fleet.replicas:
            if replica.worker_id in stopped and replica.state is READY:
                neighbours = [one for one in fleet.replicas if not set(one.gpu_ids).isdisjoint(replica.gpu_ids)]
                waits_for_its_turn = any(one.state is BUSY for one in neighbours)
                is_idle = not work.of(replica.model_id).pending
                assert is_idle or waits_for_its_turn, "a model with queued work is not dropped while idle"
        fleet = carried_out(fleet, commands, now_s=now_s, residents_max=residents_max)
        if not commands:
            return
    raise AssertionError("asked again and again, the plan always wants something else")


# --- turns on a GPU that several models share -------------------------------------------------------------------------


@pytest.mark.parametrize(("now_s", "commands"), [(14.9, []), (15.0, ["stop w1", "stop w0"])])
def test_all_who_share_a_gpu_give_way_to_one_that_needs_the_whole_of_it(now_s: float, commands: list[str]) -> None:
    """Found by a state machine: where all of them always had work, it waited for ever."""
    cards = {
        card.model_id: card
        for card in (a_card("a", vram_bytes=4_000), a_card("b", vram_bytes=4_000), a_card("whole", vram_bytes=10_000))
    }
    fleet = a_fleet(
        a_replica("w0", gpu="gpu0", model="a", state=BUSY),
        a_replica("w1", gpu="gpu0", model="b", state=READY),
    )
    queue = a_queue(a=a_line(replicas=1), b=a_line(replicas=1), whole=a_line())
    policy = FleetPolicy(residents_max=2, patience_s=15.0)
    assert in_words(list(plan(fleet, queue, cards, policy, now_s=now_s))) == commands


def test_models_that_wait_are_looked_at_by_whose_turn_it_is() -> None:
    queue = a_queue(
        a=replace(a_line(since_s=1.0), turn_since_s=9.0),  # its owner was just served, by another model
        b=replace(a_line(since_s=3.0), turn_since_s=3.0),
    )
    assert planned(a_fleet(gpus=1), queue) == ["start b on gpu0"]
