"""Where a request can run: card, fleet and queue in, a route with its expected wait out, or none with alternatives.

There are five answers. *Run*: a worker is free. *Wait*: so long, with an interval that holds in four of five cases.
*Buy*: too long, but a GPU that is bought now would be there in time. *Alternatives*: not this model (not in time, or
not at all), but these, closest first, each with its own wait. *Impossible*: nothing here can do it, said at once.

An explicit model is never silently replaced: when it cannot run here, or not in time, the answer is `NoRoute` with the
closest models that can, unless the request said that it `may_substitute`; then the route names what it stands in for.
Without an explicit model the one that delivers first is taken, ties in the catalogue's order. What the operator has
halted is neither chosen nor offered; a request that names it waits, unless it is being drained.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import Catalogue, EngineKind, ModelCard
from heliograph.domain.orders import Orders
from heliograph.domain.views import Alternative, FleetView, Interval, Market, QueueView, ReplicaState

LOAD_FAILURES_MAX = 3
DRAINED_RETRY_S = 60.0
"""Nobody knows how long the operator needs; this is when it is worth asking again."""
WAIT_S_UNKNOWN = 60.0


class Answer(StrEnum):
    """What the router says, from best to worst."""

    RUN = "run"
    WAIT = "wait"
    BUY = "buy"
    ALTERNATIVES = "alternatives"
    IMPOSSIBLE = "impossible"


def _unknown(card: ModelCard) -> float | None:
    del card
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What a request asks for besides a model, and what the router may count on. Times in seconds from now.

    `deadline_s` is when it must be delivered, `wait_s_max` how long it may wait for a worker. `is_off_spot`: it may not
    run on spot GPUs. `delivery_s` estimates the time from the beginning of a run to delivery, None where unknown.
    `capacity_s` is how long a GPU that is bought now takes to come, None where none can be had. `is_for_any`: it asked
    for whatever does the task, models included that otherwise have to be named.
    """

    deadline_s: float | None = None
    wait_s_max: float | None = None
    may_substitute: bool = False
    is_off_spot: bool = False
    is_for_any: bool = False
    orders: Orders = field(default_factory=Orders)
    delivery_s: Callable[[ModelCard], float | None] = _unknown
    capacity_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The model to run, the expected seconds until a worker begins, and the alias it was asked by.

    `eta` is when it delivers, None where durations are unknown. `stands_in_for` is the model that was asked for when
    the request allowed another. `offers` are closest first, when there is a reason to look at them.
    """

    card: ModelCard
    wait_s: float
    alias: str | None
    answer: Answer = Answer.WAIT
    eta: Interval | None = None
    stands_in_for: ModelId | None = None
    offers: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRoute:
    """Nothing here can serve the request. `reason` is a sentence; `alternatives` can run here, closest first.

    `offers` are the same with the time at which each would deliver. `retry_after_s` is when the same request may have
    better luck, None where waiting does not help.
    """

    code: str
    reason: str
    alternatives: tuple[ModelId, ...]
    offers: tuple[Alternative, ...] = field(default=())
    retry_after_s: float | None = None

    @property
    def answer(self) -> Answer:
        """Something else, or nothing at all."""
        return Answer.ALTERNATIVES if self.alternatives else Answer.IMPOSSIBLE


def route(
    name: str | None,
    *,
    task: str,
    catalogue: Catalogue,
    engines: frozenset[EngineKind],
    fleet: FleetView,
    queue: QueueView,
    wants: Wants | None = None,
) -> Route | NoRoute:
    """The route for a request that names a model (or None) and needs `task`."""
    router = _Router(wants or Wants(), fleet, queue)

    def candidates() -> list[ModelCard]:
        """Looked for only where the answer names them: most requests run on the model they ask for."""
        able = (card for card in catalogue.runnable(engines) if task in card.tasks and not router.is_halted(card))
        return [card for card in able if router.why_not(card, engines) is None]

    if name is None:
        found = candidates()
        unasked = [card for card in found if not card.is_by_name_only] or (found if router.wants.is_for_any else [])
        if not unasked:
            reason = f"No model here can do {task}."
            return router.no_route(code="model_unavailable", reason=reason, others=found)
        first = min(unasked, key=router.delivers_s)
        return router.in_time(first, None, lambda: [other for other in unasked if other is not first])
    card = catalogue.resolve(name)
    if card is None:
        reason = f"There is no model called {name!r}."
        return router.no_route(code="model_not_found", reason=reason, others=candidates())
    alias = name if name != card.model_id else None

    def others() -> list[ModelCard]:
        return [other for other in _closest(card, candidates()) if other is not card]

    problem = router.why_not(card, engines)
    if problem is None and task not in card.tasks:
        problem = f"{card.model_id} does not do {task}; it does {', '.join(sorted(card.tasks))}."
    if problem is not None:
        able = others()
        if router.wants.may_substitute and able:
            return router.routed(able[0], alias, stands_in_for=card)
        return router.no_route(code="model_unavailable", reason=problem, others=able)
    if router.is_drained(card):
        able = others()
        if router.wants.may_substitute and able:
            return router.routed(able[0], alias, stands_in_for=card)
        reason = f"The operator has taken {card.model_id} out of service for now."
        return router.no_route(code="model_drained", reason=reason, others=able, retry_after_s=DRAINED_RETRY_S)
    return router.in_time(card, alias, others)


class _Router:
    """What the answers are worked out from."""

    def __init__(self, wants: Wants, fleet: FleetView, queue: QueueView) -> None:
        self.wants = wants
        self._queue = queue
        self._all = fleet
        self._fleet = fleet if not wants.is_off_spot else _without_spot(fleet)

    def why_not(self, card: ModelCard, engines: frozenset[EngineKind]) -> str | None:
        """Why the request cannot run the model here, as a sentence; None when it can."""
        problem = why_not(card, engines=engines, fleet=self._fleet, queue=self._queue)
        if problem is None or not self.wants.is_off_spot:
            return problem
        if why_not(card, engines=engines, fleet=self._all, queue=self._queue) is not None:
            return problem
        return f"{card.model_id} fits only spot GPUs here, and jobs of this tier do not run on those."

    def is_halted(self, card: ModelCard) -> bool:
        """The operator has it paused or drained."""
        return self.wants.orders.halt_of(card.model_id) is not None

    def is_drained(self, card: ModelCard) -> bool:
        """The operator has it taken out of service: nobody is let in."""
        halt = self.wants.orders.halt_of(card.model_id)
        return halt is not None and halt.is_drain

    def in_time(self, card: ModelCard, alias: str | None, others: Callable[[], list[ModelCard]]) -> Route | NoRoute:
        """The model that was asked for, if it is in time; else what can be done about it."""
        found = self.routed(card, alias)
        if self._is_in_time(found):
            return found
        timely = [other for other in others() if self._is_in_time(self.routed(other, None))]
        if self._buying_helps(card, found):
            return self.routed(card, alias, answer=Answer.BUY, offers=timely)
        if self.wants.may_substitute and timely:
            return self.routed(timely[0], alias, stands_in_for=card)
        if self.wants.deadline_s is not None and self._is_late(found.eta):
            assert found.eta is not None
            reason = (
                f"{card.model_id} would deliver in {found.eta.low_s:.0f} to {found.eta.high_s:.0f} s, "
                f"the deadline is in {self.wants.deadline_s:g} s."
            )
            late_s = min(found.eta.low_s - self.wants.deadline_s, found.wait_s)
            return self.no_route(code="deadline_unreachable", reason=reason, others=timely, retry_after_s=late_s)
        assert self.wants.wait_s_max is not None
        limit_s = self.wants.wait_s_max
        reason = f"{card.model_id} would begin in {found.wait_s:.0f} s, the request waits {limit_s:g} s at most."
        too_long_s = found.wait_s - self.wants.wait_s_max
        return self.no_route(code="wait_too_long", reason=reason, others=timely, retry_after_s=too_long_s)

    def routed(
        self,
        card: ModelCard,
        alias: str | None,
        *,
        answer: Answer | None = None,
        stands_in_for: ModelCard | None = None,
        offers: list[ModelCard] | None = None,
    ) -> Route:
        """The route to a card that can run here."""
        return Route(
            card=card,
            wait_s=self._wait_s(card),
            alias=alias,
            answer=answer or (Answer.RUN if self._is_free(card) else Answer.WAIT),
            eta=self._eta(card),
            stands_in_for=None if stands_in_for is None else stands_in_for.model_id,
            offers=self._offers(offers or []),
        )

    def no_route(
        self, *, code: str, reason: str, others: list[ModelCard], retry_after_s: float | None = None
    ) -> NoRoute:
        """Not this one, but these."""
        return NoRoute(
            code=code,
            reason=reason,
            alternatives=tuple(other.model_id for other in others),
            offers=self._offers(others),
            retry_after_s=retry_after_s,
        )

    def delivers_s(self, card: ModelCard) -> float:
        """When the model would deliver; only until when it would begin where the rest is unknown."""
        eta = self._eta(card)
        return self._wait_s(card) if eta is None else eta.expected_s

    def _eta(self, card: ModelCard) -> Interval | None:
        delivery_s = self.wants.delivery_s(card)
        if delivery_s is None:
            return None
        trust, eta_s = self._queue.of(card.model_id).trust, self._wait_s(card) + delivery_s
        return Interval(low_s=eta_s * trust.low_s, expected_s=eta_s * trust.expected_s, high_s=eta_s * trust.high_s)

    def _wait_s(self, card: ModelCard) -> float:
        return expected_wait_s(card, fleet=self._fleet, queue=self._queue)

    def _offers(self, cards: list[ModelCard]) -> tuple[Alternative, ...]:
        return tuple(Alternative(model_id=card.model_id, eta=self._eta(card)) for card in cards)

    def _is_free(self, card: ModelCard) -> bool:
        """A worker would begin at once."""
        is_idle = any(
            replica.model_id == card.model_id and replica.state is ReplicaState.READY
            for replica in self._fleet.replicas
        )
        return is_idle and not self._queue.of(card.model_id).pending

    def _is_in_time(self, found: Route) -> bool:
        wait_s_max = self.wants.wait_s_max
        return not self._is_late(found.eta) and (wait_s_max is None or found.wait_s <= wait_s_max)

    def _is_late(self, eta: Interval | None) -> bool:
        """Even with luck it would be delivered after the deadline."""
        return eta is not None and self.wants.deadline_s is not None and eta.low_s > self.wants.deadline_s

    def _buying_helps(self, card: ModelCard, found: Route) -> bool:
        """A GPU that is bought now, loads the model and begins would be in time, and earlier than waiting."""
        if self.wants.capacity_s is None:
            return False
        begins_s = self.wants.capacity_s + (self._queue.of(card.model_id).load_s or card.load_s or WAIT_S_UNKNOWN)
        delivery_s = self.wants.delivery_s(card) or 0.0
        is_in_time = self.wants.deadline_s is None or begins_s + delivery_s <= self.wants.deadline_s
        is_soon = self.wants.wait_s_max is None or begins_s <= self.wants.wait_s_max
        return is_in_time and is_soon and begins_s < found.wait_s


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
    if card.gpus > 1 and _largest_gang(card, fleet) < card.gpus:
        return f"{card.model_id} needs {card.gpus} GPUs of one node; no node here has so many that are large enough."
    if queue.of(card.model_id).load_failures >= LOAD_FAILURES_MAX and not _is_loaded(card, fleet):
        return (
            f"{card.model_id} could not be loaded {LOAD_FAILURES_MAX} times in a row; the operator has to look at it."
        )
    return None


def _largest_gang(card: ModelCard, fleet: FleetView) -> int:
    """The most GPUs of one node that can hold their part of the model."""
    nodes = Counter(gpu.node_id for gpu in fleet.gpus if gpu.node_id and (card.vram_bytes or 0) <= gpu.memory_bytes)
    return max(nodes.values(), default=0)


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


def _without_spot(fleet: FleetView) -> FleetView:
    gpus = tuple(gpu for gpu in fleet.gpus if gpu.market is not Market.SPOT)
    there = {gpu.gpu_id for gpu in gpus}
    return FleetView(gpus=gpus, replicas=tuple(one for one in fleet.replicas if one.gpu_id in there))


def _closest(card: ModelCard, candidates: list[ModelCard]) -> list[ModelCard]:
    """The card's own alternatives that can run, then the family, then the rest."""
    order: Mapping[ModelId, int] = {model_id: rank for rank, model_id in enumerate(card.alternatives)}

    def distance(other: ModelCard) -> tuple[int, bool]:
        return (order.get(other.model_id, len(order)), other.family != card.family)

    return sorted(candidates, key=distance)
