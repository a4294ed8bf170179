"""What an operator is shown of the fleet."""

from heliograph.domain.ids import ModelId, WorkerId
from heliograph.domain.orders import Halt, Orders, Scope
from heliograph.domain.views import FleetStatus, ModelQueue, ReplicaState
from heliograph.fleet.demand import Demand
from heliograph.fleet.plan import FleetPolicy
from heliograph.fleet.status import fleet_status
from tests.builders import a_card, a_fleet, a_gpu, a_queue, a_replica

CARDS = {card.model_id: card for card in (a_card("a", load_s=4.0), a_card("b", vram_bytes=9_000), a_card("c"))}
GPUS = [a_gpu("gpu0", gpu_class="h100"), a_gpu("gpu1")]


def shown(orders: Orders, demand: Demand | None = None) -> FleetStatus:
    fleet = a_fleet(
        a_replica("w0", model="a", since_s=60.0, loaded_at_s=10.0),
        a_replica("w1", model="b", state=ReplicaState.BUSY, job="cat", since_s=90.0, loaded_at_s=20.0),
        gpus=GPUS,
    )
    queue = a_queue(a=ModelQueue(replicas=1), b=ModelQueue(pending=2, replicas=1, load_s=7.0))
    policy = FleetPolicy(replicas_max={ModelId("b"): 3})
    held = {WorkerId("w1"): 8_765}
    return fleet_status(fleet, queue, CARDS, policy, orders, memory_bytes=held, now_s=100.0, demand=demand)


def test_each_replica_says_why_it_is_there_what_it_holds_and_when_it_worked_last() -> None:
    idle, busy = shown(Orders()).replicas
    assert (idle.standing.why, idle.memory_bytes, idle.last_used_s) == ("stays for another 860 s", None, 60.0)
    assert (busy.standing.why, busy.memory_bytes, busy.last_used_s) == ("it is busy", 8_765, 100.0)


def test_with_a_forecast_an_idle_replica_says_what_it_saves() -> None:
    demand = Demand()
    for at_s in (0.0, 30.0, 60.0):
        demand.note(ModelId("a"), "ann", at_s)
    idle, busy = shown(Orders(), demand).replicas
    assert idle.standing.saved_per_s is not None
    assert 0 < idle.standing.saved_per_s < 4.0
    assert busy.standing.saved_per_s is None
    assert (shown(Orders(), demand).models[0].asked_per_hour or 0.0) > 0.0


def test_gpus_say_how_much_of_them_is_promised_and_what_stands_over_them() -> None:
    halt = Halt(scope=Scope.POOL, name="h100")
    first, second = shown(Orders(halts=(halt,))).gpus
    assert (first.planned_bytes, first.halt) == (1_000, halt)
    assert (second.planned_bytes, second.halt) == (9_000, None)
    assert shown(Orders(halts=(halt,))).replicas[0].standing.why == "the pool h100 is paused by the operator"


def test_models_come_with_their_orders_and_their_load_times() -> None:
    orders = Orders(
        halts=(Halt(scope=Scope.MODEL, name="c", is_drain=True),),
        pins=(ModelId("a"),),
        wanted={ModelId("c"): 200.0, ModelId("b"): 50.0},
    )
    models = {model.model_id: model for model in shown(orders).models}
    assert (models["a"].is_pinned, models["a"].queue.load_s) == (True, 4.0), "measured by nobody yet: as the card says"
    assert (models["b"].replicas_max, models["b"].queue.load_s, models["b"].wanted_until_s) == (3, 7.0, None)
    assert (models["c"].wanted_until_s, models["c"].halt) == (200.0, orders.halts[0])
