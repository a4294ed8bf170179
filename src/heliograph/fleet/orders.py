"""The fleet plan under an operator's orders: what is halted is out of its sight, pins and caps are part of its policy.

A halted pool's GPUs are not there for the plan, nor are the workers on them: nothing is loaded on them, nothing is
unloaded for being idle, and models whose work waits get replicas elsewhere. A halted model is not loaded, and its
waiting jobs do not keep its workers from making room for others. Unloading what is drained is the scheduler's, which
knows when a worker is free.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from heliograph.domain.commands import FleetCommand
from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.orders import Orders
from heliograph.domain.views import FleetView, QueueView
from heliograph.fleet.demand import Demand
from heliograph.fleet.plan import FleetPolicy, plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the plan is shown."""

    fleet: FleetView
    queue: QueueView
    cards: Mapping[ModelId, ModelCard]
    policy: FleetPolicy


def plan_under_orders(
    fleet: FleetView,
    queue: QueueView,
    cards: Mapping[ModelId, ModelCard],
    policy: FleetPolicy,
    orders: Orders,
    *,
    now_s: float,
    demand: Demand | None = None,
) -> list[FleetCommand]:
    """What to load and unload now, as `plan` has it, under these orders."""
    sight = under_orders(fleet, queue, cards, policy, orders, now_s=now_s)
    return plan(sight.fleet, sight.queue, sight.cards, sight.policy, now_s=now_s, demand=demand)


def under_orders(
    fleet: FleetView,
    queue: QueueView,
    cards: Mapping[ModelId, ModelCard],
    policy: FleetPolicy,
    orders: Orders,
    *,
    now_s: float,
) -> Sight:
    """What the plan may see of all this; without orders everything as it is."""
    if orders == _NONE:
        return Sight(fleet=fleet, queue=queue, cards=cards, policy=policy)
    if orders.halts:
        fleet = _without_halted_pools(fleet, orders)
        halted = {model_id for model_id in (*queue.models, *cards) if orders.halt_of(model_id) is not None}
        idle = {model_id: replace(queue.of(model_id), pending=0, pending_s=0.0) for model_id in halted}
        queue = QueueView(models={**queue.models, **{key: idle[key] for key in queue.models if key in halted}})
        cards = {model_id: card for model_id, card in cards.items() if model_id not in halted}
    return Sight(fleet=fleet, queue=queue, cards=cards, policy=with_orders(policy, orders, now_s=now_s))


def with_orders(policy: FleetPolicy, orders: Orders, *, now_s: float) -> FleetPolicy:
    """The policy with the operator's pins and caps, and with what is to be loaded now."""
    wanted = tuple(model_id for model_id, until_s in orders.wanted.items() if now_s < until_s)
    return replace(
        policy,
        always_warm=tuple(dict.fromkeys((*policy.always_warm, *orders.pins, *wanted))),
        replicas_max={**policy.replicas_max, **orders.caps},
        wanted=wanted,
    )


def _without_halted_pools(fleet: FleetView, orders: Orders) -> FleetView:
    gpus = tuple(gpu for gpu in fleet.gpus if not orders.halts_pool(gpu.gpu_class))
    there = {gpu.gpu_id for gpu in gpus}
    return replace(fleet, gpus=gpus, replicas=tuple(each for each in fleet.replicas if there.issuperset(each.gpu_ids)))


_NONE = Orders()
