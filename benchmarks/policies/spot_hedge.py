"""SpotHedge and its request-rate autoscaler, re-implemented from the paper and code of SkyServe, and two plain buyers.

The autoscaler wants `ceil(requests per second / qps_per_gpu)` GPUs over a window of a minute, and follows once that has
been more (`up_s`) or less (`down_s`) than its target for long enough, and at once from none. On top of that target:

    on_demand   buys it on demand
    spot_only   buys it on spot, wherever there is some, and has nothing while there is none
    spothedge   buys it on spot plus `spare`, covers on demand what of it is not ready, and gives that back once it is.
                Zones are active or preempted: the next GPU comes from the cheapest active zone, one without a GPU of
                ours first. A zone that took a GPU back or refused one is preempted until one becomes ready there; with
                fewer than two active zones all are active again.

They decide at every call, which is more often than the 20 seconds of the original. What is on its way cannot be called
off; a GPU is returned when it is idle.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from heliograph.domain.commands import BuyGpu, CapacityCommand, ReleaseGpu
from heliograph.domain.ids import GpuId
from heliograph.domain.views import Market
from heliograph.fleet.capacity import Offer
from heliograph.simulation.decider import Holdings


class Buying(StrEnum):
    """What the target is bought as."""

    ON_DEMAND = "on_demand"
    SPOT_ONLY = "spot_only"
    SPOTHEDGE = "spothedge"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyerPolicy:
    """Of the autoscaler and of SpotHedge; delays are those of SkyServe. `gpus_min` GPUs are held at least."""

    gpu_class: str
    qps_per_gpu: float
    buying: Buying = Buying.SPOTHEDGE
    spare: int = 1
    gpus_min: int = 1
    gpus_max: int = 64
    window_s: float = 60.0
    up_s: float = 300.0
    down_s: float = 1_200.0


class Buyer:
    """One autoscaler with what it remembers. It is told of every request, and of the fleet at every call."""

    def __init__(self, policy: BuyerPolicy, offers: Sequence[Offer]) -> None:
        self._policy = policy
        own = [offer for offer in offers if offer.gpu_class == policy.gpu_class]
        self._spot = sorted((o.micros_per_hour, o.zone) for o in own if o.market is Market.SPOT)
        self._on_demand = sorted((o.micros_per_hour, o.zone) for o in own if o.market is Market.ON_DEMAND)
        self._asked_s: deque[float] = deque()
        self.target = policy.gpus_min
        self._more_since_s: float | None = None
        self._less_since_s: float | None = None
        self._preempted: set[str] = set()
        self._ready: frozenset[GpuId] = frozenset()
        self._taken_back: dict[str, int] = {}
        self._refused_at_s: dict[str, float] = {}

    def note(self, now_s: float) -> None:
        """A request has come."""
        self._asked_s.append(now_s)

    def trade(
        self, holdings: Holdings, *, ready: frozenset[GpuId], idle: frozenset[GpuId], now_s: float
    ) -> list[CapacityCommand]:
        """What to buy and return. `ready` GPUs serve, `idle` ones have no work."""
        self._follow(now_s)
        self._learn(holdings, ready)
        policy, buying = self._policy, self._policy.buying
        owned = Counter(gpu.market for gpu in holdings.gpus) + Counter(gpu.market for gpu in holdings.arriving)
        spot = 0 if buying is Buying.ON_DEMAND else self.target
        on_demand = self.target - spot
        if buying is Buying.SPOTHEDGE:
            spot += policy.spare
            ready_spot = sum(gpu.market is Market.SPOT for gpu in holdings.gpus if gpu.gpu_id in ready)
            on_demand = min(max(spot - ready_spot, 0), self.target)
        commands: list[CapacityCommand] = []
        zones = [gpu.zone for gpu in (*holdings.gpus, *holdings.arriving) if gpu.market is Market.SPOT]
        for _ in range(spot - owned[Market.SPOT]):
            zone = self._next_zone(zones)
            zones.append(zone)
            commands.append(self._buy(Market.SPOT, zone))
        commands += [self._buy(Market.ON_DEMAND, self._on_demand[0][1])] * (on_demand - owned[Market.ON_DEMAND])
        for market, wanted in ((Market.SPOT, spot), (Market.ON_DEMAND, on_demand)):
            spare = [gpu for gpu in holdings.gpus if gpu.market is market and gpu.gpu_id in idle]
            spare.sort(key=lambda gpu: gpu.gpu_id in ready)
            for gpu in spare[: max(owned[market] - wanted, 0)]:
                commands.append(ReleaseGpu(gpu_id=gpu.gpu_id, why=f"more than {wanted} of {market}"))
        return commands

    def _buy(self, market: Market, zone: str) -> BuyGpu:
        return BuyGpu(gpu_class=self._policy.gpu_class, market=market, zone=zone, why=f"a target of {self.target}")

    def _follow(self, now_s: float) -> None:
        """Move the target once the rate has asked for another one for long enough."""
        policy = self._policy
        while self._asked_s and self._asked_s[0] < now_s - policy.window_s:
            self._asked_s.popleft()
        wanted = ceil(len(self._asked_s) / policy.window_s / policy.qps_per_gpu)
        wanted = min(max(wanted, policy.gpus_min), policy.gpus_max)
        more, less = self._more_since_s, self._less_since_s
        self._more_since_s = (now_s if more is None else more) if wanted > self.target else None
        self._less_since_s = (now_s if less is None else less) if wanted < self.target else None
        has_been_more = self._more_since_s is not None and now_s - self._more_since_s >= policy.up_s
        has_been_less = self._less_since_s is not None and now_s - self._less_since_s >= policy.down_s
        if has_been_more or has_been_less or not self.target:
            self.target = wanted
            self._more_since_s = self._less_since_s = None

    def _learn(self, holdings: Holdings, ready: frozenset[GpuId]) -> None:
        """Which zones are preempted, from what has happened since the last call."""
        for zone, number in holdings.taken_back.items():
            if number > self._taken_back.get(zone, 0):
                self._preempt(zone)
        for zone, at_s in holdings.refused_at_s.items():
            if at_s != self._refused_at_s.get(zone):
                self._preempt(zone)
        self._preempted -= {gpu.zone for gpu in holdings.gpus if gpu.gpu_id in ready - self._ready}
        self._ready = ready
        self._taken_back, self._refused_at_s = dict(holdings.taken_back), dict(holdings.refused_at_s)

    def _preempt(self, zone: str) -> None:
        self._preempted.add(zone)
        if sum(each not in self._preempted for _, each in self._spot) < 2:
            self._preempted.clear()

    def _next_zone(self, used: Sequence[str]) -> str:
        active = [zone for _, zone in self._spot if zone not in self._preempted]
        return next((zone for zone in active if zone not in used), active[0])
