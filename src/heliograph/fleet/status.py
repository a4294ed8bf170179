"""What an operator is shown of the fleet: GPUs, replicas and why they are there, models with their orders."""

from collections.abc import Mapping
from dataclasses import replace

from heliograph.domain.ids import ModelId, WorkerId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.orders import Orders
from heliograph.domain.views import (
    FleetStatus,
    FleetView,
    Gpu,
    GpuStatus,
    ModelQueue,
    ModelStanding,
    QueueView,
    ReplicaState,
    ReplicaStatus,
    ReplicaView,
    Standing,
)
from heliograph.fleet.demand import Demand
from heliograph.fleet.orders import with_orders
from heliograph.fleet.plan import FleetPolicy, standings

HOUR_S = 3_600.0


def fleet_status(
    fleet: FleetView,
    queue: QueueView,
    cards: Mapping[ModelId, ModelCard],
    policy: FleetPolicy,
    orders: Orders,
    *,
    memory_bytes: Mapping[WorkerId, int],
    now_s: float,
    demand: Demand | None = None,
) -> FleetStatus:
    """The fleet now. `memory_bytes` is what each worker that is ready was measured to hold."""
    ordered = with_orders(policy, orders, now_s=now_s)
    found = standings(fleet, queue, cards, ordered, now_s=now_s, demand=demand)
    gpus = {gpu.gpu_id: gpu for gpu in fleet.gpus}
    return FleetStatus(
        gpus=tuple(
            GpuStatus(
                gpu=gpu,
                planned_bytes=sum(_size(each, cards, gpu) for each in fleet.replicas if gpu.gpu_id in each.gpu_ids),
                halt=next((halt for halt in orders.halts if halt.covers(ModelId(""), gpu.gpu_class)), None),
                is_resting=gpu.gpu_id in fleet.resting,
            )
            for gpu in fleet.gpus
        ),
        replicas=tuple(
            ReplicaStatus(
                view=replica,
                standing=_halted(replica, found[replica.worker_id], orders, gpus[replica.gpu_id]),
                memory_bytes=memory_bytes.get(replica.worker_id),
                last_used_s=_last_used_s(replica, now_s),
            )
            for replica in fleet.replicas
        ),
        models=tuple(
            ModelStanding(
                model_id=model_id,
                queue=_with_load(queue.of(model_id), cards.get(model_id)),
                is_pinned=model_id in policy.always_warm or model_id in orders.pins,
                wanted_until_s=orders.wanted.get(model_id) if model_id in ordered.wanted else None,
                replicas_max=ordered.replicas_max.get(model_id),
                halt=orders.halt_of(model_id),
                asked_per_hour=None if demand is None else demand.rate(model_id, now_s) * HOUR_S,
            )
            for model_id in _named(queue, ordered, orders)
        ),
        halts=orders.halts,
    )


def _named(queue: QueueView, ordered: FleetPolicy, orders: Orders) -> list[ModelId]:
    """Models with work or workers first, then those that only an order names."""
    halted = (ModelId(halt.name) for halt in orders.halts if halt.scope.value == "model")
    return list(dict.fromkeys((*queue.models, *ordered.always_warm, *ordered.replicas_max, *halted)))


def _with_load(line: ModelQueue, card: ModelCard | None) -> ModelQueue:
    """The line with the card's load time where none was measured yet."""
    return line if line.load_s or card is None or card.load_s is None else replace(line, load_s=card.load_s)


def _size(replica: ReplicaView, cards: Mapping[ModelId, ModelCard], gpu: Gpu) -> int:
    card = cards.get(replica.model_id)
    return gpu.memory_bytes if card is None or card.vram_bytes is None else card.vram_bytes


def _last_used_s(replica: ReplicaView, now_s: float) -> float | None:
    if replica.state is ReplicaState.BUSY:
        return now_s
    is_fresh = replica.loaded_at_s is None or replica.since_s <= replica.loaded_at_s
    return None if is_fresh else replica.since_s


def _halted(replica: ReplicaView, standing: Standing, orders: Orders, gpu: Gpu) -> Standing:
    """With the halt that stands over it, if there is one, as its reason."""
    halt = orders.halt_of(replica.model_id, gpu.gpu_class)
    if halt is None:
        return standing
    what = {"model": "the model", "pool": f"the pool {halt.name}", "system": "everything"}[halt.scope.value]
    verb = "drained" if halt.is_drain else "paused"
    return Standing(why=f"{what} is {verb} by the operator", share=standing.share)
