"""What an operator ordered: what is halted, which models stay loaded, and how many replicas a model may have."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from heliograph.domain.ids import ModelId


class Scope(StrEnum):
    """What a halt is about."""

    MODEL = "model"
    POOL = "pool"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Nothing new is dispatched to a model, to a pool (every GPU of a class) or to the whole system.

    `name` is the model or the GPU class, empty for the system. A run stops at its next step where its worker can take
    it up again, unless `lets_finish`; others finish. With `is_drain` the workers are unloaded as soon as they are free
    and nothing is loaded; without, they stay as they are.
    """

    scope: Scope
    name: str = ""
    lets_finish: bool = False
    is_drain: bool = False

    @property
    def target(self) -> tuple[Scope, str]:
        """One halt at most for each of these."""
        return (self.scope, self.name)

    def covers(self, model_id: ModelId, gpu_class: str | None) -> bool:
        """It is about this model on a GPU of this class; None: about the model wherever it runs."""
        match self.scope:
            case Scope.SYSTEM:
                return True
            case Scope.MODEL:
                return self.name == model_id
            case Scope.POOL:
                return self.name == gpu_class


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """All orders in force, in the order in which they were given.

    `pins` are models that keep a replica while there is room, beyond those of the settings; `caps` the most replicas of
    a model (0: none), over those of the settings. `wanted` are models to be loaded now, idle ones making room, each
    until a time in seconds since the epoch up to which it then stays.
    """

    halts: tuple[Halt, ...] = ()
    pins: tuple[ModelId, ...] = ()
    caps: Mapping[ModelId, int] = field(default_factory=dict[ModelId, int])
    wanted: Mapping[ModelId, float] = field(default_factory=dict[ModelId, float])

    def halt_of(self, model_id: ModelId, gpu_class: str | None = None) -> Halt | None:
        """What stands in the way of the model (on GPUs of this class); a drain before a pause."""
        found = [halt for halt in self.halts if halt.covers(model_id, gpu_class)]
        return min(found, key=lambda halt: not halt.is_drain, default=None)

    def with_halt(self, halt: Halt) -> "Orders":
        """These and that halt, in place of an earlier one of the same target."""
        return replace(self.without_halt(halt.target), halts=(*self.without_halt(halt.target).halts, halt))

    def without_halt(self, target: tuple[Scope, str]) -> "Orders":
        """These without the halt of that target, if there is one."""
        return replace(self, halts=tuple(halt for halt in self.halts if halt.target != target))

    def with_pin(self, model_id: ModelId, is_pinned: bool) -> "Orders":
        """These with the model pinned, or not."""
        others = tuple(each for each in self.pins if each != model_id)
        return replace(self, pins=(*others, model_id) if is_pinned else others)

    def with_cap(self, model_id: ModelId, replicas_max: int | None) -> "Orders":
        """These with another bound on the model's replicas; None: that of the settings."""
        others = {each: number for each, number in self.caps.items() if each != model_id}
        return replace(self, caps=others if replicas_max is None else {**others, model_id: replicas_max})

    def with_wanted(self, model_id: ModelId, until_s: float, *, now_s: float) -> "Orders":
        """These with the model to be loaded now and kept until then; what is over is forgotten."""
        others = {each: end_s for each, end_s in self.wanted.items() if each != model_id and end_s > now_s}
        return replace(self, wanted={**others, model_id: until_s})

    def halts_pool(self, gpu_class: str) -> bool:
        """Nothing is dispatched to GPUs of this class."""
        return any(halt.scope is Scope.POOL and halt.name == gpu_class for halt in self.halts)
