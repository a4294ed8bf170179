"""The fleet plan under an operator's orders: halts, pins, caps and what is to be loaded now."""

from collections.abc import Mapping

import pytest

from heliograph.domain.ids import ModelId
from heliograph.domain.orders import Halt, Orders, Scope
from heliograph.domain.views import FleetView, ModelQueue, QueueView, ReplicaState
from heliograph.fleet.orders import plan_under_orders, under_orders, with_orders
from heliograph.fleet.plan import FleetPolicy
from tests.builders import EMPTY_QUEUE, a_card, a_fleet, a_gpu, a_queue, a_replica, in_words

CARDS = {card.model_id: card for card in (a_card("a"), a_card("b"), a_card("c"))}
LINE = ModelQueue(pending=1, pending_s=5.0, waiting_since_s=0.0, load_s=10.0)
A, B = ModelId("a"), ModelId("b")


def planned(
    orders: Orders,
    fleet: FleetView,
    queue: QueueView = EMPTY_QUEUE,
    *,
    now_s: float = 0.0,
    caps: Mapping[ModelId, int] | None = None,
) -> list[str]:
    policy = FleetPolicy(replicas_max=caps or {})
    return in_words(list(plan_under_orders(fleet, queue, CARDS, policy, orders, now_s=now_s)))


def halted(scope: Scope, name: str = "") -> Orders:
    return Orders(halts=(Halt(scope=scope, name=name),))


def test_without_orders_the_plan_sees_everything_as_it_is() -> None:
    fleet, policy = a_fleet(gpus=2), FleetPolicy()
    sight = under_orders(fleet, EMPTY_QUEUE, CARDS, policy, Orders(), now_s=0.0)
    assert (sight.fleet, sight.queue, sight.cards, sight.policy) == (fleet, EMPTY_QUEUE, CARDS, policy)


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        (Orders(), ["start a on gpu0", "start b on gpu1"]),
        (halted(Scope.MODEL, "a"), ["start b on gpu0"]),
        (halted(Scope.POOL, "h100"), ["start a on gpu1"]),
        (halted(Scope.SYSTEM), []),
    ],
)
def test_nothing_halted_is_loaded(orders: Orders, expected: list[str]) -> None:
    fleet = a_fleet(gpus=[a_gpu("gpu0", gpu_class="h100"), a_gpu("gpu1")])
    assert planned(orders, fleet, a_queue(a=LINE, b=LINE)) == expected


def test_the_waiting_jobs_of_a_halted_model_keep_nobody_from_its_gpu() -> None:
    fleet, queue = a_fleet(a_replica("w0", model="a")), a_queue(a=LINE, b=LINE)
    assert planned(Orders(), fleet, queue) == []
    assert planned(halted(Scope.MODEL, "a"), fleet, queue) == ["stop w0"]


def test_workers_on_a_halted_pool_stay_as_they_are() -> None:
    fleet = a_fleet(a_replica("w0", model="a", gpu="gpu0"), gpus=[a_gpu("gpu0", gpu_class="h100")])
    assert planned(Orders(), fleet, now_s=1e6) == ["stop w0"], "idle for too long"
    assert planned(halted(Scope.POOL, "h100"), fleet, now_s=1e6) == []


def test_a_pinned_model_is_loaded_while_there_is_room_and_stays() -> None:
    assert planned(Orders(pins=(A,)), a_fleet(gpus=1)) == ["start a on gpu0"]
    assert planned(Orders(pins=(A,)), a_fleet(a_replica("w0", model="b"))) == []
    assert planned(Orders(pins=(A,)), a_fleet(a_replica("w0", model="a")), now_s=1e6) == []


def test_a_cap_stands_over_that_of_the_settings() -> None:
    queue = a_queue(a=ModelQueue(pending=9, pending_s=900.0, waiting_since_s=0.0, replicas=1, load_s=1.0))
    fleet = a_fleet(a_replica("w0", model="a", state=ReplicaState.BUSY), gpus=2)
    assert planned(Orders(), fleet, queue) == ["start a on gpu1"]
    assert planned(Orders(caps={A: 1}), fleet, queue) == []
    assert planned(Orders(caps={A: 2}), fleet, queue, caps={A: 1}) == ["start a on gpu1"]
    assert planned(Orders(caps={A: 0}), a_fleet(gpus=1), a_queue(a=LINE)) == []


def test_what_is_wanted_now_takes_the_place_of_an_idle_model_and_stays_for_its_time() -> None:
    orders = Orders(wanted={B: 100.0})
    idle, busy = a_fleet(a_replica("w0", model="a")), a_fleet(a_replica("w0", model="a", state=ReplicaState.BUSY))
    assert planned(orders, idle) == ["stop w0"]
    assert planned(orders, busy) == []
    assert planned(orders, a_fleet(a_replica("w0", model="a", state=ReplicaState.STOPPING))) == [], "its room is coming"
    assert planned(orders, a_fleet(gpus=1)) == ["start b on gpu0"]
    there = a_fleet(a_replica("w0", model="b", since_s=-1e6))
    assert planned(orders, there, now_s=99.0) == []
    assert planned(orders, there, now_s=100.0) == ["stop w0"]
    assert with_orders(FleetPolicy(), orders, now_s=100.0).wanted == ()
