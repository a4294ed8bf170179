"""Where a request can run: card, fleet and queue in, a route with its expected wait out, or none with alternatives.

An explicit model is never silently replaced: when it cannot run here the answer is `NoRoute` with the closest models
that can. Without an explicit model the one with the shortest expected wait is taken, ties in the catalogue's order.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import Catalogue, EngineKind, ModelCard
from heliograph.domain.views import FleetView, QueueView, ReplicaState

LOAD_FAILURES_MAX = 3
WAIT_S_UNKNOWN = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The model to run, the expected seconds until a worker begins, and the alias it was asked by."""

    card: ModelCard
    wait_s: float
    alias: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRoute:
    """Nothing here can serve the request. `reason` is a sentence; `alternatives` can run here, closest first."""

    code: str
    reason: str
    alternatives: tuple[ModelId, ...]


def route(
    name: str | None,
    *,
    task: str,
    catalogue: Catalogue,
    engines: frozenset[EngineKind],
    fleet: FleetView,
    queue: QueueView,
) -> Route | NoRoute:
    """The route for a request that names a model (or None) and needs `task`."""
    candidates = [
        card
        for card in catalogue.runnable(engines)
        if task in card.tasks and why_not(card, engines=engines, fleet=fleet, queue=queue) is None
    ]
    if name is None:
        unasked = [card for card in candidates if not card.is_by_name_only]
        if not unasked:
            return NoRoute(
                code="model_unavailable", reason=f"No model here can do {task}.", alternatives=_ids(candidates)
            )
        card = min(unasked, key=lambda card: expected_wait_s(card, fleet=fleet, queue=queue))
        return Route(card=card, wait_s=expected_wait_s(card, fleet=fleet, queue=queue), alias=None)
    card = catalogue.resolve(name)
    if card is None:
        reason = f"There is no model called {name!r}."
        return NoRoute(code="model_not_found", reason=reason, alternatives=_ids(candidates))
    problem = why_not(card, engines=engines, fleet=fleet, queue=queue)
    if problem is None and task not in card.tasks:
        problem = f"{card.model_id} does not do {task}; it does {', '.join(sorted(card.tasks))}."
    if problem is not None:
        return NoRoute(code="model_unavailable", reason=problem, alternatives=_closest(card, candidates))
    alias = name if name != card.model_id else None
    return Route(card=card, wait_s=expected_wait_s(card, fleet=fleet, queue=queue), alias=alias)


def why_not(card: ModelCard, *, engines: frozenset[EngineKind], fleet: FleetView, queue: QueueView) -> str | None:
    """Why this installation can never (or not now) run the model, as a sentence; None when it can."""
    if card.engine is None and card.weights is not None:
        return f"{card.model_id} is a tool for finished pictures and takes no prompts."
    if card.engine is None or card.engine not in engines:
        return f"{card.model_id} is in the catalogue, but this installation has no engine for it."
    if not card.is_installed:
        return f"{card.model_id} is in the catalogue, but its weights are not installed here."
    if not any(card.vram_bytes is None or card.vram_bytes <= gpu.memory_bytes for gpu in fleet.gpus):
        largest = max((gpu.memory_bytes for gpu in fleet.gpus), default=0)
        return f"{card.model_id} needs {card.vram_bytes} bytes of memory; the largest GPU here has {largest}."
    if queue.of(card.model_id).load_failures >= LOAD_FAILURES_MAX and not _is_loaded(card, fleet):
        return (
            f"{card.model_id} could not be loaded {LOAD_FAILURES_MAX} times in a row; the operator has to look at it."
        )
    return None


def expected_wait_s(card: ModelCard, *, fleet: FleetView, queue: QueueView) -> float:
    """Seconds until a new job of the model would begin: the backlog shared by its replicas, plus a load."""
    line = queue.of(card.model_id)
    load_s = 0.0 if _is_loaded(card, fleet) else line.load_s or card.load_s or WAIT_S_UNKNOWN
    return (line.pending_s + line.running_s) / max(line.replicas, 1) + load_s


def _is_loaded(card: ModelCard, fleet: FleetView) -> bool:
    return any(
        replica.model_id == card.model_id and replica.state in (ReplicaState.READY, ReplicaState.BUSY)
        for replica in fleet.replicas
    )


def _ids(cards: list[ModelCard]) -> tuple[ModelId, ...]:
    return tuple(card.model_id for card in cards)


def _closest(card: ModelCard, candidates: list[ModelCard]) -> tuple[ModelId, ...]:
    """The card's own alternatives that can run, then the family, then the rest."""
    order: Mapping[ModelId, int] = {model_id: rank for rank, model_id in enumerate(card.alternatives)}

    def distance(other: ModelCard) -> tuple[int, bool]:
        return (order.get(other.model_id, len(order)), other.family != card.family)

    return tuple(other.model_id for other in sorted(candidates, key=distance))
