"""Statistics on the way, in memory that does not grow with the number of jobs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from heliograph.domain.job import JobState
from heliograph.domain.sketch import Sketch
from heliograph.domain.tiers import Tier
from heliograph.simulation.books import Asked
from heliograph.simulation.report import EtaReport, GroupReport, Quantiles, Series

STAGES = {
    JobState.PENDING: "queue",
    JobState.DISPATCHED: "dispatch",
    JobState.RUNNING: "run",
    JobState.POST_PROCESSING: "finish",
}
CURVE_POINTS = 120


def quantiles(sketch: Sketch) -> Quantiles:
    """The sketch in numbers."""
    return Quantiles(
        count=sketch.count,
        mean=sketch.mean,
        p50=sketch.quantile(0.5),
        p95=sketch.quantile(0.95),
        p99=sketch.quantile(0.99),
        largest=sketch.largest if sketch.count else None,
    )


@dataclass(slots=True)
class _Group:
    target_s: float | None = None
    asked: int = 0
    on_time: int = 0
    late: int = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    latency_s: Sketch = field(default_factory=Sketch)
    wait_s: Sketch = field(default_factory=Sketch)


@dataclass(slots=True)
class _Tenant:
    jobs: int = 0
    speed: float = 0.0


class Measures:
    """Everything that is counted. `end` is told of each request once, when its fate is known."""

    def __init__(self, *, buckets: int, bucket_s: float) -> None:
        self._groups: dict[tuple[Tier, str], _Group] = {}
        self._tenants: dict[str, _Tenant] = {}
        self.stages = {name: Sketch() for name in STAGES.values()}
        self.eta_errors = Sketch()
        self.eta_close = 0
        self.eta_held = 0
        self.cold = 0
        self.started = 0
        self.pictures_on_time = 0
        self.longest_wait_s = 0.0
        self._bucket_s = bucket_s
        self._arrivals = [0] * buckets
        self._on_time = [0] * buckets
        self._depth_sum = [0.0] * buckets
        self._depth_s = [0.0] * buckets
        self._depth_max = [0] * buckets
        self._running_sum = [0.0] * buckets
        self._up_s = [0.0] * buckets
        self._busy_s = [0.0] * buckets
        self._cost_usd = [0.0] * buckets

    def bucket(self, at_s: float) -> int:
        """Which bucket a time falls into; what is after the end falls into the last."""
        return min(int(at_s / self._bucket_s), len(self._arrivals) - 1)

    @property
    def last_bucket(self) -> int:
        """Number of the last bucket."""
        return len(self._arrivals) - 1

    def arrive(self, at_s: float) -> None:
        """Somebody asked."""
        self._arrivals[self.bucket(at_s)] += 1

    def look(self, at_s: float, passed_s: float, *, pending: int, running: int) -> None:
        """How long the line is, and has been for `passed_s` seconds."""
        index = self.bucket(at_s)
        self._depth_s[index] += passed_s
        self._depth_sum[index] += passed_s * pending
        self._running_sum[index] += passed_s * running
        self._depth_max[index] = max(self._depth_max[index], pending)

    def gpu(self, index: int, passed_s: float, *, is_busy: bool, usd: float) -> None:
        """A GPU that was paid for, within one bucket."""
        self._up_s[index] += passed_s
        self._cost_usd[index] += usd
        if is_busy:
            self._busy_s[index] += passed_s

    def late(self, usd: float) -> None:
        """What work after the end cost; it counts for the last bucket."""
        self._cost_usd[-1] += usd

    def complete(self, asked: Asked, at_s: float, stage_s: Mapping[JobState, float]) -> None:
        """A request was delivered."""
        latency_s = at_s - asked.at_s
        wait_s = max(stage_s.get(JobState.PENDING, 0.0), 0.0)
        is_on_time = asked.target_s is None or latency_s <= asked.target_s
        group = self._group_of(asked)
        group.asked += 1
        group.latency_s.add(latency_s)
        group.wait_s.add(wait_s)
        if is_on_time:
            group.on_time += 1
        else:
            group.late += 1
        for state, name in STAGES.items():
            self.stages[name].add(max(stage_s.get(state, 0.0), 0.0))
        self.longest_wait_s = max(self.longest_wait_s, wait_s)
        self.started += 1
        self.cold += asked.is_cold
        if is_on_time:
            self.pictures_on_time += asked.images
            self._on_time[self.bucket(at_s)] += asked.images
        if asked.eta is not None and latency_s > 0:
            error = abs(asked.eta.expected_s - latency_s) / latency_s
            self.eta_held += asked.eta.low_s <= latency_s <= asked.eta.high_s
            self.eta_errors.add(error)
            self.eta_close += error <= 0.2
        tenant = self._tenants.setdefault(asked.tenant, _Tenant())
        tenant.jobs += 1
        tenant.speed += min(asked.alone_s / latency_s, 1.0) if latency_s > 0 else 1.0

    def miss(self, asked: Asked, outcome: str, *, waited_s: float) -> None:
        """A request ended otherwise: `refused`, `failed`, `expired`, `cancelled` (not counted against anybody) or
        `unfinished`."""
        group = self._group_of(asked)
        group.outcomes[outcome] += 1
        if outcome != "cancelled":
            group.asked += 1
        self.longest_wait_s = max(self.longest_wait_s, waited_s)
        if outcome != "cancelled":
            self._tenants.setdefault(asked.tenant, _Tenant()).jobs += 1

    def _group_of(self, asked: Asked) -> _Group:
        group = self._groups.get((asked.tier, asked.kind))
        if group is None:
            group = self._groups[asked.tier, asked.kind] = _Group(target_s=asked.target_s)
        elif group.target_s != asked.target_s:
            group.target_s = None  # each has its own
        return group

    def groups(self) -> tuple[GroupReport, ...]:
        """All together first, then by kind, by tier, and by both, in a fixed order; what would say the same is left
        out."""
        kinds = [kind for kind in ("image", "video") if any(key[1] == kind for key in self._groups)]
        tiers = [tier for tier in reversed(Tier) if any(key[0] is tier for key in self._groups)]
        found = [_group_report("all", "all", self._sum(None, None))]
        if len(kinds) > 1:
            found += [_group_report("all", kind, self._sum(None, kind)) for kind in kinds]
        for tier in tiers:
            found.append(_group_report(tier.value, "all", self._sum(tier, None)))
            if len(kinds) > 1:
                found += [
                    _group_report(tier.value, kind, self._groups[tier, kind])
                    for kind in kinds
                    if (tier, kind) in self._groups
                ]
        return tuple(found)

    def _sum(self, tier: Tier | None, kind: str | None) -> _Group:
        """The groups of this tier (None: any) and kind (None: any) as one; the target is theirs if they share it."""
        members = [g for key, g in self._groups.items() if tier in (None, key[0]) and kind in (None, key[1])]
        targets = {member.target_s for member in members}
        total = _Group(target_s=targets.pop() if len(targets) == 1 else None)
        for member in members:
            total.asked += member.asked
            total.on_time += member.on_time
            total.late += member.late
            total.outcomes.update(member.outcomes)
            total.latency_s.merge(member.latency_s)
            total.wait_s.merge(member.wait_s)
        return total

    def stages_s(self) -> dict[str, Quantiles]:
        """Seconds of completed jobs by stage, and from submission to delivery (`total`)."""
        return {name: quantiles(s) for name, s in self.stages.items()} | {
            "total": quantiles(self._sum(None, None).latency_s)
        }

    def jain(self) -> float | None:
        """Jain's index over tenants of the mean of alone / latency (a request that was missed counts 0)."""
        shares = [tenant.speed / tenant.jobs for tenant in self._tenants.values() if tenant.jobs]
        squares = sum(share * share for share in shares)
        return sum(shares) ** 2 / (len(shares) * squares) if squares > 0 else None

    def eta(self) -> EtaReport:
        """How good the promises were."""
        count = self.eta_errors.count
        return EtaReport(
            count=count,
            median_error=self.eta_errors.quantile(0.5),
            within_20_percent=self.eta_close / count if count else None,
            interval_holds=self.eta_held / count if count else None,
        )

    def curves(self) -> dict[str, tuple[tuple[float, float], ...]]:
        """The cumulative distribution of the latency by tier, at most `CURVE_POINTS` points each."""
        found: dict[str, tuple[tuple[float, float], ...]] = {}
        for tier in reversed(Tier):
            group = self._sum(tier, None)
            if group.latency_s.count:
                points = group.latency_s.curve()
                stride = -(-len(points) // CURVE_POINTS)
                found[tier.value] = (*points[::stride], points[-1])
        return found

    def series(self) -> Series:
        """Everything over time."""
        per_min = 60.0 / self._bucket_s
        cost, costs = 0.0, list[float]()
        for usd in self._cost_usd:
            cost += usd
            costs.append(cost)
        return Series(
            bucket_s=self._bucket_s,
            arrivals_per_min=tuple(count * per_min for count in self._arrivals),
            on_time_per_min=tuple(count * per_min for count in self._on_time),
            queue_depth=_shares(self._depth_sum, self._depth_s),
            queue_depth_max=tuple(self._depth_max),
            running=_shares(self._running_sum, self._depth_s),
            gpus_up=tuple(up_s / self._bucket_s for up_s in self._up_s),
            busy_share=_shares(self._busy_s, self._up_s),
            cost_usd=tuple(costs),
        )


def _shares(parts: list[float], wholes: list[float]) -> tuple[float, ...]:
    return tuple(part / whole if whole > 0 else 0.0 for part, whole in zip(parts, wholes, strict=True))


def _group_report(tier: str, kind: str, group: _Group) -> GroupReport:
    return GroupReport(
        tier=tier,
        kind=kind,
        target_s=group.target_s,
        asked=group.asked,
        on_time=group.on_time,
        late=group.late,
        refused=group.outcomes["refused"],
        failed=group.outcomes["failed"],
        expired=group.outcomes["expired"],
        cancelled=group.outcomes["cancelled"],
        unfinished=group.outcomes["unfinished"],
        attainment=group.on_time / group.asked if group.asked else None,
        latency_s=quantiles(group.latency_s),
        wait_s=quantiles(group.wait_s),
    )
