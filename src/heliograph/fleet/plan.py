"""Which model should be where: a snapshot of fleet and queue in, loads and unloads out.

Rules, in order. (1) A model with waiting jobs and no replica gets one: on an empty GPU, else in place of an idle
replica without waiting work, else, once the next in line has waited `patience_s`, in place of the busiest model's
replica, which finishes its run first. (2) Every always-warm model has a replica while there is an empty GPU. (3) A
model whose backlog per replica exceeds what a load costs gets another replica on an empty GPU. (4) A replica idle for
`idle_ttl_s` is unloaded, except the last one of an always-warm model.

This release keeps one replica per GPU and counts bytes only to decide what fits. A model that failed to load is not
tried again before 2^failures seconds have passed (`LOAD_PAUSE_S_MAX` at most). Always-warm plus TTL is the field's
textbook policy, to be beaten by a later release.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from heliograph.domain.commands import FleetCommand, StartReplica, StopReplica
from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.views import FleetView, Gpu, ModelQueue, QueueView, ReplicaState, ReplicaView

LOAD_PAUSE_S_MAX = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPolicy:
    """Warm tiers and patience, in seconds."""

    always_warm: tuple[ModelId, ...] = ()
    idle_ttl_s: float = 900.0
    patience_s: float = 15.0


def plan(
    fleet: FleetView, queue: QueueView, cards: Mapping[ModelId, ModelCard], policy: FleetPolicy, *, now_s: float
) -> list[FleetCommand]:
    """What to load and unload now. `cards` are the models this installation can run; others are ignored."""
    return _Planner(fleet, queue, cards, policy, now_s).plan()


def fits(card: ModelCard, gpu: Gpu) -> bool:
    """The model fits the GPU's memory; a model of unknown size is given the benefit of the doubt."""
    return card.vram_bytes is None or card.vram_bytes <= gpu.memory_bytes


class _Planner:
    """One call's scratch pad: the GPUs still empty and the replicas still there after the commands so far."""

    def __init__(
        self,
        fleet: FleetView,
        queue: QueueView,
        cards: Mapping[ModelId, ModelCard],
        policy: FleetPolicy,
        now_s: float,
    ) -> None:
        taken = {replica.gpu_id for replica in fleet.replicas}
        self._empty = [gpu for gpu in fleet.gpus if gpu.gpu_id not in taken]
        self._gpus = {gpu.gpu_id: gpu for gpu in fleet.gpus}
        self._replicas = [replica for replica in fleet.replicas if replica.state is not ReplicaState.STOPPING]
        self._is_making_room = len(self._replicas) < len(fleet.replicas)
        self._queue = queue
        self._cards = cards
        self._policy = policy
        self._now_s = now_s
        self._commands: list[FleetCommand] = []

    def plan(self) -> list[FleetCommand]:
        waiting = [
            model_id for model_id, line in self._queue.models.items() if line.pending and model_id in self._cards
        ]
        waiting.sort(key=lambda model_id: self._queue.of(model_id).waiting_since_s or 0.0)
        for model_id in waiting:
            if not self._has_replica(model_id) and not self._start(model_id):
                self._make_room(model_id)
        for model_id in self._policy.always_warm:
            if model_id in self._cards and not self._has_replica(model_id):
                self._start(model_id)
        for model_id in waiting:
            line = self._queue.of(model_id)
            if line.pending_s / max(line.replicas, 1) > line.load_s:
                self._start(model_id)
        self._unload_idle()
        return self._commands

    def _start(self, model_id: ModelId) -> bool:
        """Load the model on the first empty GPU that holds it; True when it is on its way or must pause."""
        line = self._queue.of(model_id)
        if self._is_pausing(line):
            return True
        for gpu in self._empty:
            if fits(self._cards[model_id], gpu):
                self._empty.remove(gpu)
                self._commands.append(StartReplica(gpu_id=gpu.gpu_id, model_id=model_id))
                return True
        return False

    def _make_room(self, model_id: ModelId) -> None:
        """Unload one replica so that the model can be loaded at the next call; one at a time."""
        if self._is_making_room:
            return
        card = self._cards[model_id]
        candidates = [replica for replica in self._replicas if fits(card, self._gpus[replica.gpu_id])]
        idle = [r for r in candidates if r.state is ReplicaState.READY and not self._queue.of(r.model_id).pending]
        if idle:
            self._stop(min(idle, key=self._eviction_order), f"makes room for {model_id}")
            return
        since_s = self._queue.of(model_id).waiting_since_s
        busy = [replica for replica in candidates if replica.state is ReplicaState.BUSY]
        if busy and since_s is not None and self._now_s - since_s >= self._policy.patience_s:
            victim = max(busy, key=lambda replica: (self._queue.of(replica.model_id).replicas, replica.worker_id))
            self._stop(victim, f"gives way to {model_id}, which has waited long enough")

    def _unload_idle(self) -> None:
        for replica in list(self._replicas):
            is_last = sum(other.model_id == replica.model_id for other in self._replicas) == 1
            is_kept = is_last and replica.model_id in self._policy.always_warm
            is_idle = replica.state is ReplicaState.READY and not self._queue.of(replica.model_id).pending
            if is_idle and not is_kept and self._now_s - replica.since_s >= self._policy.idle_ttl_s:
                self._stop(replica, f"idle for {self._policy.idle_ttl_s:g} s")

    def _stop(self, replica: ReplicaView, reason: str) -> None:
        self._replicas.remove(replica)
        self._is_making_room = True
        self._commands.append(StopReplica(worker_id=replica.worker_id, reason=reason))

    def _has_replica(self, model_id: ModelId) -> bool:
        started = [command.model_id for command in self._commands if isinstance(command, StartReplica)]
        return model_id in started or any(replica.model_id == model_id for replica in self._replicas)

    def _is_pausing(self, line: ModelQueue) -> bool:
        if not line.load_failures:
            return False
        pause_s = min(2.0 ** min(line.load_failures, 32), LOAD_PAUSE_S_MAX)  # 2.0 ** 1024 would overflow
        return self._now_s - line.load_failed_at_s < pause_s

    def _eviction_order(self, replica: ReplicaView) -> tuple[bool, float, str]:
        """Models that need not stay first, then the longest idle."""
        return (replica.model_id in self._policy.always_warm, replica.since_s, replica.worker_id)
