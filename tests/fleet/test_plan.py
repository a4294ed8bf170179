"""The fleet plan, rule by rule, and what holds for every plan."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.commands import FleetCommand, StartReplica, StopReplica
from heliograph.domain.ids import ModelId, WorkerId
from heliograph.domain.views import FleetView, ModelQueue, QueueView, ReplicaState, ReplicaView
from heliograph.fleet.plan import LOAD_PAUSE_S_MAX, FleetPolicy, fits, plan
from tests.builders import EMPTY_QUEUE, a_card, a_fleet, a_gpu, a_queue, a_replica, in_words

BUSY, LOADING, READY, STOPPING = ReplicaState.BUSY, ReplicaState.LOADING, ReplicaState.READY, ReplicaState.STOPPING
CARDS = {card.model_id: card for card in (a_card("a"), a_card("b"), a_card("c"), a_card("big", vram_bytes=20_000))}


def a_line(pending: int = 1, *, pending_s: float = 5.0, since_s: float = 0.0, replicas: int = 0) -> ModelQueue:
    """Somebody waits, since time 0; a load costs 10 s."""
    return ModelQueue(pending=pending, pending_s=pending_s, waiting_since_s=since_s, replicas=replicas, load_s=10.0)


def planned(
    fleet: FleetView, queue: QueueView = EMPTY_QUEUE, *, now_s: float = 0.0, warm: Sequence[str] = ()
) -> list[str]:
    policy = FleetPolicy(always_warm=tuple(ModelId(model) for model in warm), idle_ttl_s=900.0, patience_s=15.0)
    return in_words(list(plan(fleet, queue, CARDS, policy, now_s=now_s)))


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


def test_room_is_made_for_one_model_at_a_time() -> None:
    fleet = a_fleet(a_replica("w0", model="c"), a_replica("w1", model="c"), gpus=2)
    assert planned(fleet, a_queue(a=a_line(), b=a_line(since_s=1.0))) == ["stop w0"]
    stopping = a_fleet(a_replica("w0", model="c", state=STOPPING), a_replica("w1", model="c"), gpus=2)
    assert planned(stopping, a_queue(a=a_line(), b=a_line(since_s=1.0))) == []


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


def test_a_long_line_takes_no_gpu_from_others() -> None:
    fleet = a_fleet(a_replica("w0", model="a", state=BUSY), a_replica("w1", model="b"), gpus=2)
    assert planned(fleet, a_queue(a=a_line(99, pending_s=999.0, replicas=1)), now_s=99.0) == []


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


def carried_out(fleet: FleetView, commands: Sequence[FleetCommand], *, now_s: float) -> FleetView:
    """The fleet while the commands are under way; every rule of capacity is checked."""
    gpus = {gpu.gpu_id: gpu for gpu in fleet.gpus}
    replicas = {replica.gpu_id: replica for replica in fleet.replicas}
    for command in commands:
        match command:
            case StartReplica(gpu_id=gpu_id, model_id=model_id):
                assert gpu_id not in replicas, "one replica per GPU"
                assert fits(CARDS[model_id], gpus[gpu_id]), "a model is only loaded where it fits"
                worker_id = WorkerId(f"new_{gpu_id}")
                replicas[gpu_id] = ReplicaView(
                    worker_id=worker_id, gpu_id=gpu_id, model_id=model_id, state=LOADING, since_s=now_s
                )
            case StopReplica(worker_id=worker_id):
                (replica,) = [one for one in replicas.values() if one.worker_id == worker_id]
                assert replica.state in (READY, BUSY), "only what has loaded is unloaded, and only once"
                replicas[replica.gpu_id] = replace(replica, state=STOPPING, since_s=now_s)
    return replace(fleet, replicas=tuple(replicas.values()))


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
    held=st.lists(st.none() | replicas, max_size=4),
    open_work=queues,
    warm=st.sets(models).map(sorted),
)
def test_any_plan_keeps_to_the_capacity_and_comes_to_rest(
    sizes: list[int],
    held: list[tuple[str, ReplicaState, float] | None],
    open_work: dict[str, ModelQueue],
    warm: list[str],
) -> None:
    """Capacity is never exceeded, and asked again and again while nothing changes it soon wants nothing more."""
    gpus = [a_gpu(f"gpu{index}", memory_bytes=size) for index, size in enumerate(sizes)]
    views = [
        a_replica(f"w{index}", model=one[0], state=one[1], since_s=one[2])
        for index, one in enumerate(held[: len(gpus)])
        if one is not None and fits(CARDS[ModelId(one[0])], gpus[index])
    ]
    fleet, now_s = a_fleet(*views, gpus=gpus), 2_000.0
    policy = FleetPolicy(always_warm=tuple(ModelId(model) for model in warm))
    work = a_queue(**open_work)
    for _ in range(2 * len(gpus) + 1):
        commands = plan(fleet, counted(work, fleet), CARDS, policy, now_s=now_s)
        fleet = carried_out(fleet, commands, now_s=now_s)
        if not commands:
            return
    raise AssertionError("asked again and again, the plan always wants something else")
