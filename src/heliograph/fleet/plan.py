"""Which model should be where: a snapshot of fleet, queue and demand in, loads and unloads out.

Rules, in order. (1) A model with waiting jobs and no replica gets one: where there is room, else in place of the idle
replicas without waiting work that are worth least, else, once the next in line has waited `patience_s`, in place of the
busiest model's replicas, which finish their runs first. (2) Every always-warm model has a replica while there is room;
for one that is wanted now, idle replicas make room. (3) A model whose backlog per replica exceeds what a load costs
gets another replica where there is room, or in place of idle ones when the waiting it saves exceeds what they are
likely to save; where GPUs may hold several replicas, room for another beside them is taken as long as more jobs wait
than replicas load. A GPU holds a model once. (4) An idle replica goes when it no longer pays (`residency.py`), except
the last one of an always-warm model. (5) A model that is about to be asked for is loaded ahead, where there is room.
(6) A GPU that holds nothing loads another replica of a model whose replicas are all busy, if it is likely to be asked
for again before that is loaded: it is paid for anyway. (7) A replica that a fault took in the middle of a run is loaded
again, as long as it would have been kept: a crash is no reason to serve with fewer.

Room is counted in bytes and in `residents_max` replicas per GPU; a model of unknown size takes a whole GPU. What stops
is room in the making: whoever it was made for claims it, so that nothing is stopped twice for one model. A model with
queued work is never unloaded for being idle. Jobs that may not run on spot need a replica where nobody takes the GPU
back. A model that failed to load is not tried again before 2^failures seconds have passed (`LOAD_PAUSE_S_MAX` at most).
"""

from collections.abc import Iterable, Iterator, Mapping

from heliograph.domain.commands import FleetCommand, StartReplica, StopReplica
from heliograph.domain.ids import GpuId, ModelId, WorkerId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.views import FleetView, Gpu, Market, ModelQueue, QueueView, ReplicaState, ReplicaView, Standing
from heliograph.fleet.demand import Demand
from heliograph.fleet.residency import FleetPolicy, Worth, worth_keeping, worth_loading

__all__ = ["FleetPolicy", "fits", "plan", "standings", "why_resident"]

LOAD_PAUSE_S_MAX = 300.0
LOAD_S_UNKNOWN = 30.0
LIKELY = 0.5
"""Expected requests before a load is done that make the load worth it on a GPU with nothing to do."""


def plan(
    fleet: FleetView,
    queue: QueueView,
    cards: Mapping[ModelId, ModelCard],
    policy: FleetPolicy,
    *,
    now_s: float,
    demand: Demand | None = None,
) -> list[FleetCommand]:
    """What to load and unload now. `cards` are the models this installation can run; others are ignored."""
    return _Planner(fleet, queue, cards, policy, demand, now_s).plan()


def why_resident(
    fleet: FleetView,
    queue: QueueView,
    cards: Mapping[ModelId, ModelCard],
    policy: FleetPolicy,
    *,
    now_s: float,
    demand: Demand | None = None,
) -> dict[WorkerId, str]:
    """For every replica a sentence that tells the operator why it is there."""
    found = standings(fleet, queue, cards, policy, now_s=now_s, demand=demand)
    return {worker_id: standing.why for worker_id, standing in found.items()}


def standings(
    fleet: FleetView,
    queue: QueueView,
    cards: Mapping[ModelId, ModelCard],
    policy: FleetPolicy,
    *,
    now_s: float,
    demand: Demand | None = None,
) -> dict[WorkerId, Standing]:
    """For every replica why it is there, and what that is worth."""
    planner = _Planner(fleet, queue, cards, policy, demand, now_s)
    return {replica.worker_id: planner.standing(replica) for replica in fleet.replicas}


def fits(card: ModelCard, gpu: Gpu) -> bool:
    """The model fits the GPU's memory; a model of unknown size is given the benefit of the doubt."""
    return card.vram_bytes is None or card.vram_bytes <= gpu.memory_bytes


class _Room:
    """One GPU's memory as it will be after the commands so far. `coming` bytes are held by replicas that stop.

    `models` have a replica there that stays: another of the same would only take turns with it.
    """

    def __init__(self, gpu: Gpu, residents_max: int) -> None:
        self.gpu = gpu
        self.free_bytes = gpu.memory_bytes
        self.coming_bytes = 0
        self.places = residents_max
        self.coming_places = 0
        self.is_busy = False
        self.models: set[ModelId] = set()

    def rest(self) -> None:
        """Nothing new fits here for now."""
        self.free_bytes = -self.gpu.memory_bytes

    def take(self, size: int, *, is_going: bool = False) -> None:
        """A replica of `size` bytes is there, perhaps not for long."""
        self.free_bytes -= size
        self.places -= 1
        if is_going:
            self.coming_bytes += size
            self.coming_places += 1

    def leave(self, size: int) -> None:
        """A replica that was there stops."""
        self.coming_bytes += size
        self.coming_places += 1

    def has(self, size: int) -> bool:
        """A replica of `size` bytes can start now."""
        return self.places > 0 and size <= self.free_bytes

    def will_have(self, size: int, *, more_bytes: int = 0, more_places: int = 0) -> bool:
        """It can start once what stops is gone, and `more` besides."""
        has_place = self.places + self.coming_places + more_places > 0
        return has_place and size <= self.free_bytes + self.coming_bytes + more_bytes

    def claim(self, size: int) -> None:
        """What stops here, and what else it needs of what is free, is promised to a model of `size` bytes."""
        from_coming_bytes = min(size, self.coming_bytes)
        self.coming_bytes -= from_coming_bytes
        self.free_bytes -= size - from_coming_bytes
        if self.coming_places > 0:
            self.coming_places -= 1
        else:
            self.places -= 1


class _Planner:
    """One call's scratch pad: the room and the replicas still there after the commands so far."""

    def __init__(
        self,
        fleet: FleetView,
        queue: QueueView,
        cards: Mapping[ModelId, ModelCard],
        policy: FleetPolicy,
        demand: Demand | None,
        now_s: float,
    ) -> None:
        self._fleet = fleet
        self._queue = queue
        self._cards = cards
        self._policy = policy
        self._demand = demand
        self._now_s = now_s
        self._rooms = {gpu.gpu_id: _Room(gpu, policy.residents_max) for gpu in fleet.gpus}
        self._replicas = [replica for replica in fleet.replicas if replica.state is not ReplicaState.STOPPING]
        self._counts: dict[ModelId, int] = {}
        self._off_spot_counts: dict[ModelId, int] = {}
        self._commands: list[FleetCommand] = []
        self._worths: dict[WorkerId, Worth] = {}
        self._gpu_of_each_size = {gpu.memory_bytes: gpu for gpu in fleet.gpus}.values()
        for gpu_id in fleet.resting:
            if gpu_id in self._rooms:
                self._rooms[gpu_id].rest()
        for replica in fleet.replicas:
            is_going = replica.state is ReplicaState.STOPPING
            for gpu_id in replica.gpu_ids:
                room = self._rooms[gpu_id]
                room.take(self._size(replica.model_id, room.gpu), is_going=is_going)
                room.is_busy |= replica.state is ReplicaState.BUSY
                if not is_going:
                    room.models.add(replica.model_id)
            if not is_going:
                self._count(replica.model_id, self._rooms[replica.gpu_id], 1)

    # --- the rules ---------------------------------------------------------------------------------------------------

    def plan(self) -> list[FleetCommand]:
        waiting = [
            model_id for model_id, line in self._queue.models.items() if line.pending and model_id in self._cards
        ]
        waiting.sort(key=lambda model_id: _turn_since_s(self._queue.of(model_id)))
        for model_id in waiting:
            off_spot = self._queue.of(model_id).off_spot_pending > 0
            there = self._off_spot_counts if off_spot else self._counts
            if not there.get(model_id) and not self._start(model_id, "jobs wait for it", off_spot=off_spot):
                self._make_room(model_id, off_spot=off_spot)
        for model_id in self._policy.always_warm:
            if model_id in self._cards and not self._counts.get(model_id):
                is_wanted = model_id in self._policy.wanted
                is_coming = self._start(model_id, "the operator wants it loaded" if is_wanted else "always warm")
                if is_wanted and not is_coming and not self._claim(model_id):
                    self._evict(model_id, loss_s_max=None, horizon_s=None)
        for model_id in waiting:
            self._add_replica(model_id)
        self._replace_lost()
        self._unload_idle()
        self._load_ahead()
        self._use_empty()
        return self._commands

    def _add_replica(self, model_id: ModelId) -> None:
        """Another replica for a long line, when the load pays."""
        line = self._queue.of(model_id)
        replicas = max(line.replicas, 1)
        is_long = line.pending_s / replicas > line.load_s
        # Beside other replicas a load takes nobody's place: it need not pay for itself.
        is_beside = self._policy.residents_max > 1 and line.pending > self._coming(model_id)
        if not (is_long or is_beside) or self._is_capped(model_id):
            return
        if self._start(model_id, f"{line.pending_s:.0f} s of work wait for {line.replicas} replicas"):
            return
        if not is_long:
            return
        saved_s = line.pending * line.pending_s / (2 * replicas * (replicas + 1)) - line.load_s
        self._swap(model_id, saved_s, horizon_s=line.pending_s / replicas)

    def _replace_lost(self) -> None:
        """Load again what a fault took in the middle of a run, where its place is still free."""
        for gpu_id, model_id in self._fleet.bereft.items():
            room = self._rooms.get(gpu_id)
            if room is None or model_id not in self._cards or model_id in room.models:
                continue
            if not room.has(self._size(model_id, room.gpu)):
                continue
            worth = worth_keeping(
                model_id,
                load_s=self._load_s(model_id),
                share=self._share(model_id, room.gpu),
                idle_s=0.0,
                policy=self._policy,
                demand=self._demand,
                now_s=self._now_s,
            )
            if worth.is_kept:
                self._start(model_id, "a replica of it was lost in the middle of a run")

    def _coming(self, model_id: ModelId) -> int:
        """Replicas of the model that load, or will from now on."""
        serving = (ReplicaState.READY, ReplicaState.BUSY)
        there = sum(replica.model_id == model_id and replica.state in serving for replica in self._replicas)
        return self._counts.get(model_id, 0) - there

    def _unload_idle(self) -> None:
        for replica in list(self._replicas):
            if not self._is_idle(replica) or self._is_last_of_warm(replica):
                continue
            worth = self._worth(replica)
            if not worth.is_kept:
                self._stop(replica, worth.why)

    def _load_ahead(self) -> None:
        """Models that are about to be asked for, the most worthwhile first."""
        if self._demand is None:
            return
        found: list[tuple[float, int, ModelId, str]] = []
        for number, model_id in enumerate(self._demand.models()):
            card = self._cards.get(model_id)
            if card is None or self._counts.get(model_id) or self._queue.of(model_id).pending:
                continue
            share = min((self._share(model_id, gpu) for gpu in self._gpu_of_each_size), default=1.0)
            load_s = self._load_s(model_id)
            if any(self._is_in_host_memory(model_id, room.gpu) for room in self._rooms.values()):
                load_s *= self._policy.host_load_factor  # as for those that are kept, or it would come and go
            worth = worth_loading(
                model_id, load_s=load_s, share=share, policy=self._policy, demand=self._demand, now_s=self._now_s
            )
            if worth.is_kept:
                found.append((-worth.saved_per_s / share, number, model_id, worth.why))
        for _, _, model_id, why in sorted(found):
            self._start(model_id, why)

    def _use_empty(self) -> None:
        """Another replica of models whose replicas are all busy, on GPUs that hold nothing."""
        empty = sum(room.places == self._policy.residents_max for room in self._rooms.values())
        if self._demand is None or not empty:
            return
        free = {replica.model_id for replica in self._replicas if replica.state is not ReplicaState.BUSY}
        full = dict.fromkeys(replica.model_id for replica in self._replicas if replica.model_id not in free)
        for model_id in full:
            card = self._cards.get(model_id)
            if card is None or card.gpus > 1 or self._counts.get(model_id, 0) != self._queue.of(model_id).replicas:
                continue
            is_likely = self._demand.rate(model_id, self._now_s) * self._load_s(model_id) >= LIKELY
            if is_likely and self._start(model_id, "its replicas are busy, and a GPU holds nothing"):
                empty -= 1
            if not empty:
                return

    # --- loading -----------------------------------------------------------------------------------------------------

    def _start(self, model_id: ModelId, why: str, *, off_spot: bool = False) -> bool:
        """Load the model where there is room; True when it is on its way, may not have more, or must pause.

        With `off_spot` only GPUs count that nobody takes back.
        """
        if self._is_pausing(self._queue.of(model_id)) or self._is_capped(model_id):
            return True
        rooms = [
            room
            for room in self._rooms.values()
            if room.places > 0
            and room.has(self._size(model_id, room.gpu))
            and model_id not in room.models
            and not (off_spot and room.gpu.market is Market.SPOT)
        ]
        number = self._cards[model_id].gpus
        nodes = [node for node in self._by_node(rooms).values() if len(node) >= number]
        if not nodes:
            return False
        gangs = [sorted(node, key=lambda room: self._preference(model_id, room))[:number] for node in nodes]
        gang = min(gangs, key=lambda gang: self._preference(model_id, gang[0]))
        for room in gang:
            room.take(self._size(model_id, room.gpu))
            room.models.add(model_id)
        first, *more = [room.gpu.gpu_id for room in gang]
        self._count(model_id, gang[0], 1)
        self._commands.append(StartReplica(gpu_id=first, model_id=model_id, why=why, more_gpu_ids=tuple(more)))
        return True

    def _by_node(self, rooms: Iterable[_Room]) -> dict[str, list[_Room]]:
        """The rooms of each node; a GPU that names no node is one of its own."""
        nodes: dict[str, list[_Room]] = {}
        for room in rooms:
            nodes.setdefault(room.gpu.node_id or f"of {room.gpu.gpu_id}", []).append(room)
        return nodes

    def _preference(self, model_id: ModelId, room: _Room) -> tuple[bool, bool, int]:
        """Weights in the host's memory, then a GPU that has time, then the tightest fit; ties go by the fleet's order.

        Where one replica is all a GPU takes, there is no tight fit to look for.
        """
        leftover = room.free_bytes - self._size(model_id, room.gpu) if self._policy.residents_max > 1 else 0
        return (not self._is_in_host_memory(model_id, room.gpu), room.is_busy, leftover)

    def _make_room(self, model_id: ModelId, *, off_spot: bool) -> None:
        """Unload what is worth least so that the model can be loaded once that is gone."""
        if self._cards[model_id].gpus > 1:
            self._make_room_for_gang(model_id, off_spot=off_spot)
            return
        if self._claim(model_id, off_spot=off_spot):
            return
        if self._evict(model_id, loss_s_max=None, horizon_s=None, off_spot=off_spot):
            return
        since_s = self._queue.of(model_id).waiting_since_s
        if since_s is None or self._now_s - since_s < self._policy.patience_s:
            return
        options = list(self._who_could_give_way(model_id, off_spot=off_spot))
        if options:
            room, victims = max(options, key=self._readiness_to_go)
            for victim in victims:
                self._stop(victim, f"gives way to {model_id}, which has waited long enough")
            room.claim(self._size(model_id, room.gpu))

    def _who_could_give_way(self, model_id: ModelId, *, off_spot: bool) -> Iterator[tuple[_Room, list[ReplicaView]]]:
        """By GPU, the fewest replicas without which the model fits; those with work must have had their turn."""
        by_gpu: dict[GpuId, list[ReplicaView]] = {}
        for replica in self._replicas:
            if self._may_give_way(replica, model_id):
                for gpu_id in replica.gpu_ids:
                    by_gpu.setdefault(gpu_id, []).append(replica)
        for gpu_id, there in by_gpu.items():
            there.sort(key=lambda replica: (not self._is_idle(replica), *self._preference_to_go(replica)))
            for number in range(1, len(there) + 1):
                if self._makes_room(model_id, there[:number], self._rooms[gpu_id], off_spot=off_spot):
                    yield self._rooms[gpu_id], there[:number]
                    break

    def _readiness_to_go(self, option: tuple[_Room, list[ReplicaView]]) -> tuple[int, int, WorkerId]:
        """Few replicas before many; then whoever has most of its kind."""
        victims = option[1]
        replicas = min(self._queue.of(victim.model_id).replicas for victim in victims)
        return (-len(victims), replicas, victims[-1].worker_id)

    def _preference_to_go(self, replica: ReplicaView) -> tuple[int, bool, WorkerId]:
        return (-self._queue.of(replica.model_id).replicas, replica.state is ReplicaState.BUSY, replica.worker_id)

    def _may_give_way(self, replica: ReplicaView, waiting: ModelId) -> bool:
        """It is idle, or has served for long enough: one that works, or whose jobs wait while a neighbour works."""
        if self._is_idle(replica):
            return True
        works = replica.state is ReplicaState.BUSY or any(self._rooms[gpu_id].is_busy for gpu_id in replica.gpu_ids)
        return works and replica.state is not ReplicaState.LOADING and self._has_had_its_turn(replica, waiting)

    def _make_room_for_gang(self, model_id: ModelId, *, off_spot: bool) -> None:
        """Clear as many GPUs of one node as the model needs, where least is lost, and hold them for it.

        All of them are held from the first call on, the free ones too, and loading begins when the last is clear: no
        gang starts in part. Claims live for one call and go by who has waited longest, so that two gangs never hold
        halves of what either needs.
        """
        card, best = self._cards[model_id], None
        rooms = [
            room
            for room in self._rooms.values()
            if fits(card, room.gpu) and not (off_spot and room.gpu.market is Market.SPOT)
        ]
        for node in self._by_node(rooms).values():
            clearings = [clearing for room in node if (clearing := self._clearing(model_id, room)) is not None]
            if len(clearings) >= card.gpus:
                chosen = sorted(clearings, key=lambda clearing: clearing[0])[: card.gpus]
                loss = tuple(sum(losses) for losses in zip(*(clearing[0] for clearing in chosen), strict=True))
                if best is None or loss < best[0]:
                    best = (loss, chosen)
        if best is None:
            return
        for _, room, victims in best[1]:
            for victim in victims:
                if victim in self._replicas:  # one that holds several of these GPUs is stopped once
                    self._stop(victim, f"makes room for {model_id}, which needs {card.gpus} GPUs of a node")
            room.claim(self._size(model_id, room.gpu))

    def _clearing(
        self, model_id: ModelId, room: _Room
    ) -> tuple[tuple[int, int, float], _Room, list[ReplicaView]] | None:
        """What it takes to clear the GPU for the model: busy and always-warm replicas, worth; None: it cannot be."""
        size = self._size(model_id, room.gpu)
        victims: list[ReplicaView] = []
        busy = warm = 0
        saved_per_s = 0.0
        since_s = self._queue.of(model_id).waiting_since_s
        is_patient = since_s is None or self._now_s - since_s < self._policy.patience_s
        there = [replica for replica in self._replicas if room.gpu.gpu_id in replica.gpu_ids]
        there.sort(key=lambda replica: (replica.state is ReplicaState.BUSY, self._eviction_order(replica)))
        for replica in there:
            if self._will_have(room, size, victims):
                break
            is_busy = replica.state is ReplicaState.BUSY
            if not (self._is_idle(replica) if is_patient else self._may_give_way(replica, model_id)):
                continue
            victims.append(replica)
            busy += is_busy
            warm += self._eviction_order(replica)[0]
            saved_per_s += self._eviction_order(replica)[1]
        if not self._will_have(room, size, victims):
            return None
        return (busy, warm, saved_per_s + len(victims)), room, victims

    def _will_have(self, room: _Room, size: int, victims: list[ReplicaView]) -> bool:
        more_bytes = sum(self._size(victim.model_id, room.gpu) for victim in victims)
        return room.will_have(size, more_bytes=more_bytes, more_places=len(victims))

    def _swap(self, model_id: ModelId, saved_s: float, *, horizon_s: float) -> None:
        """Another replica in place of idle ones, when it saves more waiting than they are likely to."""
        if saved_s > 0 and self._cards[model_id].gpus == 1 and not self._claim(model_id):
            self._evict(model_id, loss_s_max=saved_s, horizon_s=horizon_s)

    def _claim(self, model_id: ModelId, *, off_spot: bool = False) -> bool:
        """Room is already being made somewhere: it is this model's now."""
        for room in self._rooms.values():
            is_barred = off_spot and room.gpu.market is Market.SPOT
            if room.coming_places <= 0 or is_barred or model_id in room.models:
                continue
            size = self._size(model_id, room.gpu)
            if fits(self._cards[model_id], room.gpu) and room.will_have(size):
                room.claim(size)
                return True
        return False

    def _evict(
        self, model_id: ModelId, *, loss_s_max: float | None, horizon_s: float | None, off_spot: bool = False
    ) -> bool:
        """Stop the idle replicas of one GPU that are worth least; False when none make room, or for too high a loss."""
        best: tuple[tuple[bool, float, float, str], list[ReplicaView], _Room] | None = None
        by_gpu: dict[GpuId, list[ReplicaView]] = {}
        for replica in self._replicas:
            if self._is_idle(replica):
                for gpu_id in replica.gpu_ids:
                    by_gpu.setdefault(gpu_id, []).append(replica)
        for gpu_id, idle in by_gpu.items():
            room = self._rooms[gpu_id]
            idle.sort(key=self._eviction_order)
            for number in range(1, len(idle) + 1):
                if self._makes_room(model_id, idle[:number], room, off_spot=off_spot):
                    orders = [self._eviction_order(replica) for replica in idle[:number]]
                    total = (any(order[0] for order in orders), sum(order[1] for order in orders), *orders[-1][2:])
                    if best is None or total < best[0]:
                        best = (total, idle[:number], room)
                    break
        if best is None:
            return False
        _, victims, room = best
        if loss_s_max is not None and horizon_s is not None:
            if any(self._is_last_of_warm(victim) for victim in victims):
                return False
            if sum(self._loss_s(victim, horizon_s) for victim in victims) >= loss_s_max:
                return False
        for victim in victims:
            self._stop(victim, f"makes room for {model_id}")
        room.claim(self._size(model_id, room.gpu))
        return True

    def _makes_room(self, model_id: ModelId, victims: list[ReplicaView], room: _Room, *, off_spot: bool) -> bool:
        """With these replicas gone, the model can be loaded on this GPU of theirs, which does not hold it yet."""
        if model_id in room.models or (off_spot and room.gpu.market is Market.SPOT):
            return False
        more_bytes = sum(self._size(victim.model_id, room.gpu) for victim in victims)
        size = self._size(model_id, room.gpu)
        is_fit = fits(self._cards[model_id], room.gpu)
        return is_fit and room.will_have(size, more_bytes=more_bytes, more_places=len(victims))

    def _stop(self, replica: ReplicaView, reason: str) -> None:
        self._replicas.remove(replica)
        self._count(replica.model_id, self._rooms[replica.gpu_id], -1)
        for gpu_id in replica.gpu_ids:
            room = self._rooms[gpu_id]
            room.leave(self._size(replica.model_id, room.gpu))
        self._commands.append(StopReplica(worker_id=replica.worker_id, reason=reason))

    def _count(self, model_id: ModelId, room: _Room, by: int) -> None:
        self._counts[model_id] = self._counts.get(model_id, 0) + by
        if room.gpu.market is not Market.SPOT:
            self._off_spot_counts[model_id] = self._off_spot_counts.get(model_id, 0) + by

    # --- facts -------------------------------------------------------------------------------------------------------

    def standing(self, replica: ReplicaView) -> Standing:
        """Why the replica is there, and what that is worth."""
        gpu = self._rooms[replica.gpu_id].gpu
        saved_per_s = None
        if self._is_idle(replica) and self._demand is not None:
            saved_per_s = self._worth(replica).saved_per_s
        share = self._share(replica.model_id, gpu)
        return Standing(why=self.why(replica), share=share, saved_per_s=saved_per_s)

    def why(self, replica: ReplicaView) -> str:
        """Why the replica is there, as a sentence."""
        line = self._queue.of(replica.model_id)
        if replica.state is not ReplicaState.READY:
            return f"it is {replica.state}"
        if line.pending:
            return f"{line.pending} jobs wait for it"
        if self._is_last_of_warm(replica):
            return "the operator keeps it always warm"
        return self._worth(replica).why

    def _worth(self, replica: ReplicaView) -> Worth:
        """What keeping it is worth now; asked once for every model that needs its room."""
        known = self._worths.get(replica.worker_id)
        if known is not None:
            return known
        gpu = self._rooms[replica.gpu_id].gpu
        worth = worth_keeping(
            replica.model_id,
            load_s=self._reload_s(replica),
            share=self._share(replica.model_id, gpu),
            idle_s=self._now_s - replica.since_s,
            policy=self._policy,
            demand=self._demand,
            now_s=self._now_s,
        )
        self._worths[replica.worker_id] = worth
        return worth

    def _loss_s(self, replica: ReplicaView, horizon_s: float) -> float:
        """Waiting that the idle replica is expected to save within the horizon; a load where nothing is forecast."""
        if self._demand is None:
            return self._reload_s(replica)
        chance = min(self._demand.rate(replica.model_id, self._now_s) * horizon_s, 1.0)
        return chance * self._reload_s(replica) * self._policy.weight.get(replica.model_id, 1.0)

    def _eviction_order(self, replica: ReplicaView) -> tuple[bool, float, float, str]:
        """Models that need not stay first, then those worth least, then the longest idle."""
        is_warm = replica.model_id in self._policy.always_warm
        saved_per_s = 0.0 if self._demand is None else self._worth(replica).saved_per_s
        return (is_warm, saved_per_s, replica.since_s, replica.worker_id)

    def _size(self, model_id: ModelId, gpu: Gpu) -> int:
        """Bytes the model takes on the GPU; all of it when they are unknown, or when it shares with nobody."""
        card = self._cards.get(model_id)
        if card is None or card.vram_bytes is None or self._policy.residents_max == 1:
            return gpu.memory_bytes if card is None or fits(card, gpu) else card.vram_bytes or gpu.memory_bytes
        return card.vram_bytes

    def _share(self, model_id: ModelId, gpu: Gpu) -> float:
        return min(self._size(model_id, gpu) / max(gpu.memory_bytes, 1), 1.0)

    def _load_s(self, model_id: ModelId) -> float:
        return self._queue.of(model_id).load_s or self._cards[model_id].load_s or LOAD_S_UNKNOWN

    def _reload_s(self, replica: ReplicaView) -> float:
        """What it would take to load the replica's model again where it is."""
        load_s = self._queue.of(replica.model_id).load_s
        if not load_s:
            load_s = self._load_s(replica.model_id) if replica.model_id in self._cards else LOAD_S_UNKNOWN
        gpu = self._rooms[replica.gpu_id].gpu
        is_near = self._is_in_host_memory(replica.model_id, gpu)
        return load_s * self._policy.host_load_factor if is_near else load_s

    def _is_in_host_memory(self, model_id: ModelId, gpu: Gpu) -> bool:
        return model_id in self._fleet.in_host_memory.get(gpu.node_id, frozenset())

    def _is_idle(self, replica: ReplicaView) -> bool:
        return replica.state is ReplicaState.READY and not self._queue.of(replica.model_id).pending

    def _is_last_of_warm(self, replica: ReplicaView) -> bool:
        return replica.model_id in self._policy.always_warm and self._counts.get(replica.model_id) == 1

    def _is_capped(self, model_id: ModelId) -> bool:
        return self._counts.get(model_id, 0) >= self._policy.replicas_max.get(model_id, len(self._rooms) + 1)

    def _has_had_its_turn(self, replica: ReplicaView, waiting: ModelId) -> bool:
        """The replica has served for long enough to be worth the load that follows."""
        if replica.loaded_at_s is None:
            return True
        return self._now_s - replica.loaded_at_s >= self._policy.turn_loads * self._load_s(waiting)

    def _is_pausing(self, line: ModelQueue) -> bool:
        if not line.load_failures:
            return False
        pause_s = min(2.0 ** min(line.load_failures, 32), LOAD_PAUSE_S_MAX)  # 2.0 ** 1024 would overflow
        return self._now_s - line.load_failed_at_s < pause_s


def _turn_since_s(line: ModelQueue) -> float:
    """Since when whoever is next in line has been waiting for a turn."""
    since_s = line.waiting_since_s if line.turn_since_s is None else line.turn_since_s
    return since_s or 0.0
