"""How many GPUs to own, of which kind and where: demand and offers in, purchases and returns out.

Theory of operation. `need` is the *offered load* (GPUs that what is being asked for keeps busy, a fading mean of the
work submitted per second), plus room to breathe: `headroom` times its square root, as queues need, or what clears the
backlog within `drain_s` if that is more. Where the caller does not count what is asked for, what runs stands for it.

The *base* is reserved: the n-th reserved GPU pays when the need reaches n for a larger share of the time than its price
is of the burst price, so the base is read off the distribution of the need. What goes beyond the base is *burst*: what
may run on spot goes there, what may not (latency-sensitive tiers) on demand. On-demand GPUs also stand in for spot that
is not there: at once where no zone has any or one has just refused, after `spot_patience_s` where one was asked and
nothing came. They need not be as many as spot GPUs would be (`on_demand_headroom`), and go as soon as spot GPUs with a
model loaded are there.

Spot is spread over zones: cheapest first, where price counts what a loss costs (the zone's loss rate times the time to
load a replacement), and every GPU already in a zone makes it dearer by `spread`. A zone that refused or took back a GPU
rests for `zone_rest_s`.

Hysteresis: more is bought once the need has exceeded what there is for `up_s`, at once when it does by half; GPUs are
returned once there was less need for `down_s`, and only idle ones, the dearest first, the reserved ones never. When
nothing is left to do and no request is expected within `quiet_s` (without a forecast: none has come for so long),
everything that is not reserved goes. Nothing is bought beyond `gpus_max` or the budget per hour.

With no offers there is nothing to buy: on a machine of one's own this decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil, exp, sqrt

from heliograph.domain.commands import BuyGpu, CapacityCommand, ReleaseGpu
from heliograph.domain.ids import GpuId
from heliograph.domain.money import Micros
from heliograph.domain.views import Gpu, Market

HOUR_S = 3_600.0
LOSSES_PER_HOUR_PRIOR, PRIOR_HOURS = 0.1, 4.0
"""What is thought of a zone before anything is known of it, and for how many GPU-hours of experience that stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """GPUs one can have: a class, a market and a zone at a price per hour."""

    gpu_class: str
    market: Market
    zone: str
    micros_per_hour: Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Arriving:
    """A GPU that was asked for and has not come yet."""

    market: Market
    zone: str
    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityView:
    """What there is: GPUs that are here to stay for now (none with a notice), idle ones, and those on their way.

    `empty` GPUs hold no loaded model and serve nobody yet. `taken_back` counts, by zone, the spot GPUs lost so far;
    `refused_at_s` is when a zone last refused one.
    """

    gpus: tuple[Gpu, ...]
    idle: frozenset[GpuId] = frozenset()
    empty: frozenset[GpuId] = frozenset()
    arriving: tuple[Arriving, ...] = ()
    taken_back: Mapping[str, int] = field(default_factory=dict[str, int])
    refused_at_s: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityDemand:
    """Work in GPUs and GPU-seconds: what runs, what waits, and the part of both that may not run on spot.

    `asked_s` counts the GPU-seconds of all work ever submitted; None where nobody counts. `rate` is the chance per
    second that anything is asked for now; None without a forecast.
    """

    running: float = 0.0
    pending_s: float = 0.0
    off_spot_running: float = 0.0
    off_spot_pending_s: float = 0.0
    asked_s: float | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityPolicy:
    """Bounds and times in seconds. `base` fixes the reserved GPUs; None reads them off the demand after `learn_s`.

    `headroom` and `on_demand_headroom` are GPUs beyond the offered load per square root of it, the one for all GPUs
    together, the other where they are on demand for want of spot; below 0 where most requests may wait. The offered
    load is a mean that fades with `rate_s`; `rush_s` is that of a second, nervous one that counts where it is
    `rush_factor` times as high. Without work nothing is held unless a request is expected within `quiet_s`.
    `memory_s` is how far back the distribution of the need reaches. `micros_per_hour_max` is the budget, None:
    none. `spot_spare` is the share of spot GPUs bought on top, for those that will be taken back.
    """

    gpu_class: str
    base: int | None = None
    gpus_max: int = 64
    micros_per_hour_max: Micros | None = None
    headroom: float = 0.5
    on_demand_headroom: float = 0.3
    rate_s: float = 900.0
    rush_s: float = 180.0
    rush_factor: float = 1.4
    drain_s: float = 60.0
    up_s: float = 30.0
    down_s: float = 600.0
    quiet_s: float = 600.0
    spot_patience_s: float = 180.0
    spot_spare: float = 0.0
    spread: float = 0.1
    zone_rest_s: float = 120.0
    load_s: float = 120.0
    memory_s: float = 7 * 86_400.0
    learn_s: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityState:
    """What is remembered from call to call, in seconds. `need_s[n]` is how long, fading, at least n + 1 were needed.

    `offered` and `rush` are the two means of the offered load in GPUs.
    """

    began_at_s: float | None = None
    at_s: float = 0.0
    asked_s: float | None = None
    asked_at_s: float = 0.0
    offered: float = 0.0
    rush: float = 0.0
    need: int = 0
    need_s: tuple[float, ...] = ()
    watched_s: float = 0.0
    short_since_s: float | None = None
    ample_since_s: float | None = None
    here_since_s: Mapping[GpuId, float] = field(default_factory=dict[GpuId, float])
    spot_hours: Mapping[str, float] = field(default_factory=dict[str, float])
    taken_back: Mapping[str, int] = field(default_factory=dict[str, int])
    taken_back_at_s: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """GPUs that are needed: in all, when they are on demand for want of spot, and of all those that may not be spot."""

    gpus: int
    on_demand: int
    firm: int


def plan_capacity(
    view: CapacityView,
    demand: CapacityDemand,
    offers: tuple[Offer, ...],
    policy: CapacityPolicy,
    *,
    now_s: float,
    state: CapacityState,
) -> tuple[list[CapacityCommand], CapacityState]:
    """What to buy and to return now, and what to remember until the next call."""
    if not any(offer.gpu_class == policy.gpu_class for offer in offers):
        return [], state
    state = _with_load(state, demand, policy, now_s)
    need = needed(state, demand, policy, now_s=now_s)
    state = _remembered(state, view, need.gpus, policy, now_s)
    planner = _Planner(view, offers, policy, state, now_s)
    return planner.plan(need), replace(state, **planner.since(need.gpus))


def needed(state: CapacityState, demand: CapacityDemand, policy: CapacityPolicy, *, now_s: float) -> Need:
    """How many GPUs the offered load and the backlog need, with room to breathe; one at least while there is work."""
    load = state.offered if demand.asked_s is not None else demand.running
    if state.rush > policy.rush_factor * load:
        load = state.rush
    has_work = demand.running > 0 or demand.pending_s > 0
    if demand.rate is not None:
        is_quiet = demand.rate * policy.quiet_s < 1.0
    else:
        is_quiet = demand.asked_s is not None and now_s - state.asked_at_s >= policy.quiet_s
    if is_quiet and not has_work:
        load = 0.0

    def gpus(load: float, pending_s: float, headroom: float) -> int:
        room, clearing = headroom * sqrt(load), pending_s / policy.drain_s
        return ceil(load + room + max(clearing - max(room, 0.0), 0.0) - 1e-9)

    total, on_demand = (
        min(max(gpus(load, demand.pending_s, headroom), int(has_work)), policy.gpus_max)
        for headroom in (policy.headroom, policy.on_demand_headroom)
    )
    firm = gpus(demand.off_spot_running, demand.off_spot_pending_s, policy.headroom)
    return Need(gpus=total, on_demand=min(on_demand, total), firm=min(firm, total))


def reserved_base(state: CapacityState, *, reserved: Micros, burst: Micros) -> int:
    """How many reserved GPUs pay: the n-th does if n are needed for a larger share of the time than the price ratio."""
    if not state.watched_s or burst <= 0:
        return 0
    worth = reserved / burst
    return sum(seconds / state.watched_s >= worth for seconds in state.need_s)


def _with_load(state: CapacityState, demand: CapacityDemand, policy: CapacityPolicy, now_s: float) -> CapacityState:
    """The state with what was asked for since the last call: plain means at first, fading ones later."""
    if demand.asked_s is None or state.asked_s is None or state.began_at_s is None:
        return replace(state, asked_s=demand.asked_s, asked_at_s=now_s)
    passed_s, watched_s = now_s - state.at_s, now_s - state.began_at_s
    if passed_s <= 0:
        return state
    watched_s = max(watched_s, passed_s)  # the clock may have been set back to before the beginning
    lately = max(demand.asked_s - state.asked_s, 0.0) / passed_s
    asked_at_s = now_s if lately else state.asked_at_s

    def mean(before: float, tau_s: float) -> float:
        return before + max(1.0 - exp(-passed_s / tau_s), passed_s / watched_s) * (lately - before)

    return replace(
        state,
        asked_s=demand.asked_s,
        asked_at_s=asked_at_s,
        offered=mean(state.offered, policy.rate_s),
        rush=mean(state.rush, policy.rush_s),
    )


def _remembered(
    state: CapacityState, view: CapacityView, need: int, policy: CapacityPolicy, now_s: float
) -> CapacityState:
    """The state with the time since the last call added: the need of then held until now."""
    passed_s = max(now_s - state.at_s, 0.0) if state.began_at_s is not None else 0.0
    fade = exp(-passed_s / policy.memory_s)
    levels = max(len(state.need_s), state.need)
    need_s = tuple(
        (state.need_s[level] if level < len(state.need_s) else 0.0) * fade + (passed_s if level < state.need else 0.0)
        for level in range(levels)
    )
    spot_hours = dict(state.spot_hours)
    for gpu in view.gpus:
        if gpu.market is Market.SPOT:
            spot_hours[gpu.zone] = spot_hours.get(gpu.zone, 0.0) + passed_s / HOUR_S
    lost = {zone: now_s for zone, number in view.taken_back.items() if number > state.taken_back.get(zone, 0)}
    return replace(
        state,
        began_at_s=now_s if state.began_at_s is None else state.began_at_s,
        at_s=now_s,
        need=need,
        need_s=need_s,
        watched_s=state.watched_s * fade + passed_s,
        here_since_s={gpu.gpu_id: state.here_since_s.get(gpu.gpu_id, now_s) for gpu in view.gpus},
        spot_hours=spot_hours,
        taken_back=dict(view.taken_back),
        taken_back_at_s={**state.taken_back_at_s, **lost},
    )


class _Planner:
    """One call's scratch pad: what is owned by market and zone after the commands so far, and what it costs."""

    def __init__(
        self, view: CapacityView, offers: tuple[Offer, ...], policy: CapacityPolicy, state: CapacityState, now_s: float
    ) -> None:
        self._view = view
        self._policy = policy
        self._state = state
        self._now_s = now_s
        self._offers = [offer for offer in offers if offer.gpu_class == policy.gpu_class]
        self._price = {(offer.market, offer.zone): offer.micros_per_hour for offer in self._offers}
        self._owned = [(gpu.market, gpu.zone) for gpu in view.gpus]
        self._owned += [(gpu.market, gpu.zone) for gpu in view.arriving]
        self._commands: list[CapacityCommand] = []
        self._is_short = False

    def plan(self, need: Need) -> list[CapacityCommand]:
        self._fill_base()
        reserved = self._count(Market.RESERVED)
        burst = max(need.gpus - reserved, 0)
        firm = min(max(need.firm - reserved, 0), burst)
        spot = 0
        if self._has(Market.SPOT):
            spot = ceil((burst - firm) * (1.0 + self._policy.spot_spare) - 1e-9)
        self._is_short = max(spot + firm, burst) > self._in_time()
        may_buy = self._may_buy(need.gpus)
        spot_in_time = self._in_time(Market.SPOT)
        stands_in = self._count(Market.ON_DEMAND) > firm
        if may_buy or stands_in:
            for _ in range(spot - self._count(Market.SPOT)):
                if not self._buy_spot():
                    break
        if not self._is_tight():
            spot_in_time = self._in_time(Market.SPOT)
        on_demand = firm + max(need.on_demand - reserved - firm - spot_in_time, 0)
        if may_buy:
            zone = self._cheapest_zone(Market.ON_DEMAND)
            for _ in range(on_demand - self._count(Market.ON_DEMAND)):
                self._buy(Market.ON_DEMAND, zone, "what may not run on spot, or has none")
        serving = sum(gpu.market is Market.SPOT and self._serves(gpu) for gpu in self._view.gpus)
        may_return = self._may_return(need.gpus)
        if may_return or serving >= spot > 0:
            self._return(Market.ON_DEMAND, self._count(Market.ON_DEMAND) - on_demand)
        if may_return:
            self._return(Market.SPOT, self._count(Market.SPOT) - spot)
        return self._commands

    def since(self, need: int) -> dict[str, float | None]:
        """Since when there has been too little, and too much."""
        owned = len(self._view.gpus) + len(self._view.arriving)
        short = self._state.short_since_s if self._state.short_since_s is not None else self._now_s
        ample = self._state.ample_since_s if self._state.ample_since_s is not None else self._now_s
        return {
            "short_since_s": short if self._is_short else None,
            "ample_since_s": ample if need < owned else None,
        }

    # --- when --------------------------------------------------------------------------------------------------------

    def _may_buy(self, need: int) -> bool:
        since_s = self._state.short_since_s
        has_lasted = self._is_short and since_s is not None and self._now_s - since_s >= self._policy.up_s
        return has_lasted or need >= max(1.5 * self._in_time(), 1)

    def _may_return(self, need: int) -> bool:
        since_s = self._state.ample_since_s
        is_ample = need < len(self._view.gpus) + len(self._view.arriving)
        has_lasted = since_s is not None and self._now_s - since_s >= self._policy.down_s
        is_quiet = not need and self._state.asked_s is not None  # `quiet_s` has passed
        return is_ample and (has_lasted or is_quiet)

    # --- what --------------------------------------------------------------------------------------------------------

    def _fill_base(self) -> None:
        """Reserve what the policy says, or what the demand has taught."""
        base = self._policy.base
        if base is None:
            began_s = self._state.began_at_s
            if began_s is None or self._now_s - began_s < self._policy.learn_s or not self._has(Market.RESERVED):
                return
            reserved = min(self._prices_of(Market.RESERVED))
            burst = min([*self._prices_of(Market.SPOT), *self._prices_of(Market.ON_DEMAND)], default=Micros(0))
            base = reserved_base(self._state, reserved=reserved, burst=burst)
        for _ in range(min(base, self._policy.gpus_max) - self._count(Market.RESERVED)):
            self._buy(
                Market.RESERVED, self._cheapest_zone(Market.RESERVED), f"the base of {base} GPUs is always needed"
            )

    def _buy_spot(self) -> bool:
        zones = [offer.zone for offer in self._offers if offer.market is Market.SPOT]
        awake = [zone for zone in zones if not self._is_resting(zone)]
        zone = min(awake, key=lambda zone: (self._spot_cost(zone), zone), default=None)
        return self._buy(Market.SPOT, zone, "burst beyond the base")

    def _buy(self, market: Market, zone: str | None, why: str) -> bool:
        """False when there is no offer, or it would exceed a bound."""
        if zone is None or len(self._owned) >= self._policy.gpus_max:
            return False
        budget = self._policy.micros_per_hour_max
        if budget is not None and self._hourly() + self._price[(market, zone)] > budget:
            return False
        self._owned.append((market, zone))
        self._commands.append(BuyGpu(gpu_class=self._policy.gpu_class, market=market, zone=zone, why=why))
        return True

    def _return(self, market: Market, number: int) -> None:
        """Give back up to `number` idle GPUs of the market, the dearest zones first."""
        idle = [gpu for gpu in self._view.gpus if gpu.market is market and gpu.gpu_id in self._view.idle]
        idle.sort(key=lambda gpu: (-self._price.get((market, gpu.zone), Micros(0)), gpu.gpu_id))
        for gpu in idle[: max(number, 0)]:
            self._owned.remove((market, gpu.zone))
            why = f"not needed for {self._policy.down_s:g} s"
            self._commands.append(ReleaseGpu(gpu_id=gpu.gpu_id, why=why))

    # --- facts -------------------------------------------------------------------------------------------------------

    def _spot_cost(self, zone: str) -> float:
        """Price per useful hour: with what losses cost, and dearer for every GPU that is there already."""
        price = self._price[(Market.SPOT, zone)]
        lost_share = self._losses_per_hour(zone) * self._policy.load_s / HOUR_S
        return price * (1.0 + lost_share) * (1.0 + self._policy.spread * self._owned.count((Market.SPOT, zone)))

    def _losses_per_hour(self, zone: str) -> float:
        losses = self._view.taken_back.get(zone, 0) + LOSSES_PER_HOUR_PRIOR * PRIOR_HOURS
        return losses / (self._state.spot_hours.get(zone, 0.0) + PRIOR_HOURS)

    def _is_resting(self, zone: str) -> bool:
        last_s = max(
            self._view.refused_at_s.get(zone, float("-inf")), self._state.taken_back_at_s.get(zone, float("-inf"))
        )
        return self._now_s - last_s < self._policy.zone_rest_s

    def _is_tight(self) -> bool:
        """A zone has just refused: what is asked of the others now need not come either."""
        return any(self._now_s - at_s < self._policy.zone_rest_s for at_s in self._view.refused_at_s.values())

    def _serves(self, gpu: Gpu) -> bool:
        """It holds a model, or has had the time to load one had anybody asked."""
        since_s = self._state.here_since_s.get(gpu.gpu_id, self._now_s)
        return gpu.gpu_id not in self._view.empty or self._now_s - since_s >= self._policy.load_s

    def _in_time(self, market: Market | None = None) -> int:
        """GPUs (of the market) that are here or will be in time, those that were just asked for included."""
        late = sum(
            gpu.market is Market.SPOT and self._now_s - gpu.since_s >= self._policy.spot_patience_s
            for gpu in self._view.arriving
        )
        return (len(self._owned) if market is None else self._count(market)) - late

    def _hourly(self) -> int:
        return sum(self._price.get(owned, Micros(0)) for owned in self._owned)

    def _count(self, market: Market) -> int:
        return sum(owned is market for owned, _ in self._owned)

    def _has(self, market: Market) -> bool:
        return any(offer.market is market for offer in self._offers)

    def _prices_of(self, market: Market) -> list[Micros]:
        return [offer.micros_per_hour for offer in self._offers if offer.market is market]

    def _cheapest_zone(self, market: Market) -> str | None:
        offers = [(offer.micros_per_hour, offer.zone) for offer in self._offers if offer.market is market]
        return min(offers)[1] if offers else None
