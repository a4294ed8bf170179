"""What it is worth to keep a model loaded, and the sentence that tells an operator why it stays or goes.

A loaded, idle model saves a load (`load_s` seconds of somebody's waiting) with the chance `rate` per second, and holds
`share` of a GPU while it waits for that. It pays while

    rate * load_s * weight * saved_s_worth >= share

where `saved_s_worth` is how many GPU-seconds of idling one saved second of waiting is worth. The time to live follows:
the rate falls with the time since the last request, and the model goes once it has fallen too far. Without a forecast
every model is kept for the fixed `idle_ttl_s`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from heliograph.domain.ids import ModelId
from heliograph.fleet.demand import Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPolicy:
    """Warm tiers, bounds and patience; times in seconds.

    `always_warm` models keep a replica; idle ones make room for those that are `wanted` now. A model has at most
    `replicas_max` replicas (no entry: no bound) and a GPU at most `residents_max`, as far as their bytes allow; with
    more than one they take turns on the GPU.

    `idle_ttl_s` is how long an idle model stays where there is no forecast of the demand. With one it stays while that
    pays: `saved_s_worth` GPU-seconds of idling for one second of waiting saved, times the model's `weight`; and
    at least for `idle_min_s` unless its room is needed: where a GPU is there anyway, unloading early saves nothing. A
    model is loaded ahead of demand when it would pay `prewarm_margin` times over.

    After `patience_s` of waiting a busy model gives way, but not before it has served `turn_loads` times as long as the
    load of the one that waits takes. Loading weights that are in the host's memory takes `host_load_factor` of a load.
    """

    always_warm: tuple[ModelId, ...] = ()
    wanted: tuple[ModelId, ...] = ()
    replicas_max: Mapping[ModelId, int] = field(default_factory=dict[ModelId, int])
    residents_max: int = 1
    idle_ttl_s: float = 900.0
    idle_min_s: float = 0.0
    saved_s_worth: float = 100.0
    weight: Mapping[ModelId, float] = field(default_factory=dict[ModelId, float])
    prewarm_margin: float = 2.0
    patience_s: float = 15.0
    turn_loads: float = 2.0
    host_load_factor: float = 0.2


class Reason(Enum):
    """Why a model stays, goes or comes."""

    WITHIN_TTL = "the fixed time is not over"
    BEYOND_TTL = "the fixed time is over"
    ROOM = "nobody needs its room"
    PAYS = "keeping it pays"
    NO_LONGER_PAYS = "keeping it no longer pays"
    AHEAD = "loading it ahead pays"
    TOO_RARE = "loading it ahead does not pay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What keeping a model loaded is worth: expected seconds of waiting saved per second, against its share of a GPU.

    `rate` is the chance per second that it is asked for, None without a forecast. `limit_s` is the time that the
    reason speaks of: the fixed time to live, or for how long it stays at least.
    """

    rate: float | None
    saved_per_s: float
    share: float
    is_kept: bool
    reason: Reason
    idle_s: float = 0.0
    load_s: float = 0.0
    limit_s: float = 0.0

    @property
    def why(self) -> str:
        """The reason as a sentence for the operator."""
        match self.reason:
            case Reason.WITHIN_TTL:
                return f"stays for another {self.limit_s - self.idle_s:.0f} s"
            case Reason.BEYOND_TTL:
                return f"idle for {self.limit_s:g} s"
            case Reason.ROOM:
                return f"idle for {self.idle_s:.0f} s; nobody needs its room, so it stays {self.limit_s:.0f} s at least"
            case Reason.PAYS | Reason.NO_LONGER_PAYS:
                pays = "pays" if self.reason is Reason.PAYS else "no longer pays"
                return (
                    f"idle for {self.idle_s:.0f} s; a request is expected {_every(self.rate)}, "
                    f"and a load of {self.load_s:.1f} s {pays} for {self.share:.0%} of a GPU"
                )
            case Reason.AHEAD | Reason.TOO_RARE:
                return f"loaded ahead: a request is expected {_every(self.rate)}, and a load takes {self.load_s:.1f} s"


def worth_keeping(
    model_id: ModelId,
    *,
    load_s: float,
    share: float,
    idle_s: float,
    policy: FleetPolicy,
    demand: Demand | None,
    now_s: float,
) -> Worth:
    """Whether the idle model stays; `idle_s` is how long it has been idle."""
    if demand is None:
        is_kept, ttl_s = policy.idle_ttl_s > idle_s, policy.idle_ttl_s
        reason = Reason.WITHIN_TTL if is_kept else Reason.BEYOND_TTL
        return Worth(
            rate=None, saved_per_s=0.0, share=share, is_kept=is_kept, reason=reason, idle_s=idle_s, limit_s=ttl_s
        )
    rate = demand.rate(model_id, now_s)
    saved_per_s = rate * load_s * policy.weight.get(model_id, 1.0)
    is_kept, reason = True, Reason.ROOM
    if idle_s >= policy.idle_min_s:
        is_kept = saved_per_s * policy.saved_s_worth >= share
        reason = Reason.PAYS if is_kept else Reason.NO_LONGER_PAYS
    return Worth(
        rate=rate,
        saved_per_s=saved_per_s,
        share=share,
        is_kept=is_kept,
        reason=reason,
        idle_s=idle_s,
        load_s=load_s,
        limit_s=policy.idle_min_s,
    )


def worth_loading(
    model_id: ModelId, *, load_s: float, share: float, policy: FleetPolicy, demand: Demand, now_s: float
) -> Worth:
    """Whether the model is loaded before anybody asks for it; dearer than keeping, for the load costs GPU time too."""
    rate = demand.rate(model_id, now_s)
    saved_per_s = rate * load_s * policy.weight.get(model_id, 1.0)
    is_kept = saved_per_s * policy.saved_s_worth >= policy.prewarm_margin * share
    reason = Reason.AHEAD if is_kept else Reason.TOO_RARE
    return Worth(rate=rate, saved_per_s=saved_per_s, share=share, is_kept=is_kept, reason=reason, load_s=load_s)


def _every(rate: float | None) -> str:
    return f"every {1.0 / rate:.0f} s" if rate else "never"
