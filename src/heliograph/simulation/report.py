"""What a simulation found, as data: the same seed gives the same report, byte for byte.

Only `decision_us` depends on the machine it ran on; `to_json` leaves it out unless asked.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

from heliograph.domain.errors import InvalidRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Of one quantity: how many values, their mean, P50, P95, P99 and the largest; None where there are none."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    largest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReport:
    """One tier and kind (`image` or `video`); `all` stands for all of them together.

    `on_time` of `asked` requests were delivered within `target_s`; refused, failed, expired and late ones are misses.
    Requests that their user cancelled are not counted. `attainment` and the other shares are 0 to 1.
    """

    tier: str
    kind: str
    target_s: float | None
    asked: int
    on_time: int
    late: int
    refused: int
    failed: int
    expired: int
    cancelled: int
    unfinished: int
    attainment: float | None
    latency_s: Quantiles
    wait_s: Quantiles


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuHours:
    """Where the paid-for GPU-hours went. `lost`: runs that came to nothing; `empty`: no model on the GPU."""

    paid: float
    busy: float
    lost: float
    loading: float
    idle: float
    empty: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EtaReport:
    """How good the promised delivery times were, over a sample of submissions.

    Errors are relative to the true latency; `interval_holds` is how often the truth lay within the stated interval.
    """

    count: int
    median_error: float | None
    within_20_percent: float | None
    interval_holds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Over time, one value per bucket of `bucket_s` seconds. Counts are averages, costs are dollars so far."""

    bucket_s: float
    arrivals_per_min: tuple[float, ...]
    on_time_per_min: tuple[float, ...]
    queue_depth: tuple[float, ...]
    queue_depth_max: tuple[int, ...]
    running: tuple[float, ...]
    gpus_up: tuple[float, ...]
    busy_share: tuple[float, ...]
    cost_usd: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One GPU's time: per bucket what it did most, as `off`, `empty`, `loading:MODEL`, `idle:MODEL` or `busy:MODEL`."""

    gpu: str
    gpu_class: str
    term: str
    zone: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything. Costs are dollars of GPU time, whether used or not, within the scenario's duration."""

    scenario: str
    description: str
    policy: str
    seed: int
    duration_s: float
    gpus: int
    jobs: int
    pictures_on_time: int
    groups: tuple[GroupReport, ...]
    stages_s: Mapping[str, Quantiles]
    cold_start_share: float | None
    loads: int
    replicas_stopped: int
    attempts: Mapping[str, int]
    gpu_hours: GpuHours
    cost_usd: float
    cost_usd_per_1000_on_time: float | None
    metered_usd: float
    charged_usd: float
    goodput_per_hour: float
    refused: Mapping[str, int]
    refused_share: float | None
    longest_wait_s: float
    jain: float | None
    eta: EtaReport
    series: Series
    strips: tuple[Strip, ...]
    latency_curves: Mapping[str, tuple[tuple[float, float], ...]]
    events: int
    decision_us: Quantiles

    @property
    def overall(self) -> GroupReport:
        """All tiers and kinds together."""
        return self.groups[0]

    def group(self, tier: str, kind: str = "all") -> GroupReport:
        """One group. Raises `InvalidRequest` when nobody of it asked for anything."""
        for group in self.groups:
            if (group.tier, group.kind) == (tier, kind):
                return group
        raise InvalidRequest(f"Nobody of tier {tier} asked for {kind}.", param="tier")

    def to_json(self, *, with_decision_time: bool = True) -> str:
        """One JSON object; floats are rounded to nine significant digits, so that it stays readable."""
        document = asdict(self)
        if not with_decision_time:
            del document["decision_us"]
        return json.dumps(_rounded(document), indent=1, ensure_ascii=False)


def _rounded(value: object) -> object:
    match value:
        case float():
            return float(f"{value:.9g}")
        case dict():
            return {key: _rounded(item) for key, item in cast(dict[str, object], value).items()}
        case list() | tuple():
            return [_rounded(item) for item in cast(tuple[object, ...], value)]
        case _:
            return value
