"""What a month would cost at so many pictures a day, from unit costs and a simulated fleet. Pure.

Every number that goes in is an `Assumption` with its unit and where it comes from: measured in this installation's
ledger, a price, simulated, or assumed. Each can be replaced by name.

The model is linear where things are bought by the unit, and has a floor where machines stand by:

    GPU      GPU-seconds a picture x price, at the use that a simulated fleet reaches at that load
    storage  pictures kept (day rate x days) x MB, plus MB delivered, plus two requests a picture
    queue    the larger of the cores that stand by and the CPU seconds used at `core_use`
    safety   CPU seconds, plus the reviewers' time for the share of pictures a person looks at
    API      as queue, with the CPU of post-processing
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from heliograph.billing.costs import CostShare
from heliograph.domain.errors import InvalidRequest

DAYS_PER_MONTH = 730.0 / 24.0
SECONDS_PER_MONTH = 730.0 * 3600.0
VOLUMES = (10_000.0, 1_000_000.0)

PUBLISHED: Mapping[float, Mapping[CostShare, float]] = MappingProxyType(
    {
        10_000.0: MappingProxyType(dict(zip(CostShare, (0.72, 0.08, 0.05, 0.04, 0.11), strict=True))),
        1_000_000.0: MappingProxyType(dict(zip(CostShare, (0.55, 0.18, 0.07, 0.09, 0.11), strict=True))),
    }
)
"""Shares of the cost at so many pictures a day as an industry write-up of such services gives them, in the order of
`CostShare`. It names no method, so they are something to compare with, not something to match."""


class Origin(StrEnum):
    """Where a number comes from."""

    MEASURED = "measured"
    PRICE = "price"
    SIMULATED = "simulated"
    ASSUMED = "assumed"
    GIVEN = "given"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """One number that goes in. `why` says more about it to a person."""

    name: str
    value: float
    unit: str
    origin: Origin
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A month at `pictures_per_day`, in dollars. `published` is None where there is nothing to compare with."""

    pictures_per_day: float
    usd: Mapping[CostShare, float]
    published: Mapping[CostShare, float] | None
    fleet: str

    @property
    def total_usd(self) -> float:
        """The whole month."""
        return sum(self.usd.values())

    @property
    def usd_per_picture(self) -> float:
        """The whole month over its pictures."""
        return self.total_usd / (self.pictures_per_day * DAYS_PER_MONTH)

    def share(self, part: CostShare) -> float:
        """The part's share of the total, 0 to 1."""
        return self.usd[part] / self.total_usd if self.total_usd else 0.0


ASSUMED: Mapping[str, Assumption] = MappingProxyType(
    {
        each.name: each
        for each in (
            Assumption(
                name="stored_mb",
                value=2.0,
                unit="MB kept per picture",
                origin=Origin.ASSUMED,
                why="a PNG of one megapixel with its variants and thumbnails",
            ),
            Assumption(
                name="delivered_mb",
                value=1.0,
                unit="MB sent per picture",
                origin=Origin.ASSUMED,
                why="a full picture once and a handful of thumbnails",
            ),
            Assumption(
                name="days_kept",
                value=365.0,
                unit="days a picture is kept",
                origin=Origin.ASSUMED,
                why="pictures stay; this is what is stored after one year",
            ),
            Assumption(
                name="request_usd_per_1000",
                value=0.0054,
                unit="USD per 1,000 pictures",
                origin=Origin.PRICE,
                why="one PUT and one GET at Amazon S3's list price of 2026",
            ),
            Assumption(
                name="queue_cpu_s",
                value=0.004,
                unit="CPU-s per picture",
                origin=Origin.ASSUMED,
                why="nothing measured yet",
            ),
            Assumption(
                name="api_cpu_s",
                value=0.02,
                unit="CPU-s per picture",
                origin=Origin.ASSUMED,
                why="API and post-processing; nothing measured yet",
            ),
            Assumption(
                name="safety_cpu_s",
                value=0.05,
                unit="CPU-s per picture",
                origin=Origin.ASSUMED,
                why="prompt filter, picture check and judge; nothing measured yet",
            ),
            Assumption(
                name="review_share",
                value=0.002,
                unit="share of pictures a person looks at",
                origin=Origin.ASSUMED,
                why="two in a thousand",
            ),
            Assumption(
                name="review_s",
                value=15.0,
                unit="seconds per review",
                origin=Origin.ASSUMED,
                why="a glance, a decision, sometimes a reason",
            ),
            Assumption(
                name="core_use",
                value=0.5,
                unit="share of a core that is used",
                origin=Origin.ASSUMED,
                why="half of it is room for bursts",
            ),
            Assumption(
                name="standby_cores_queue",
                value=4.0,
                unit="cores",
                origin=Origin.ASSUMED,
                why="the database and one that takes over",
            ),
            Assumption(
                name="standby_cores_api",
                value=6.0,
                unit="cores",
                origin=Origin.ASSUMED,
                why="two servers and the pool that encodes",
            ),
        )
    }
)
"""What is taken where nothing was measured and nobody said otherwise."""


def assumptions(known: Sequence[Assumption], given: Mapping[str, float]) -> Mapping[str, Assumption]:
    """`known` over `ASSUMED`, and over both what a person said. `InvalidRequest` for a name that is none of them."""
    found = {**ASSUMED, **{each.name: each for each in known}}
    for name, value in given.items():
        if name not in found:
            raise InvalidRequest(
                f"--assume {name}: there is no such assumption; there are {', '.join(sorted(found))}", param="assume"
            )
        if not 0 <= value < float("inf"):
            raise InvalidRequest(f"--assume {name}={value}: needs a finite number from 0 on", param="assume")
        found[name] = replace(found[name], value=value, origin=Origin.GIVEN, why="said on the command line")
    if found["core_use"].value <= 0:
        raise InvalidRequest("--assume core_use=0: needs a share above 0", param="assume")
    return dict(sorted(found.items()))


def project(
    pictures_per_day: float, inputs: Mapping[str, Assumption], *, gpu_usd_per_month: float, fleet: str
) -> Projection:
    """The month. `inputs` are `assumptions`, with the prices `core_usd_per_hour`, `storage_usd_per_gb_month`,
    `egress_usd_per_gb` and `reviewer_usd_per_hour` among them; `fleet` says in words what the GPUs are.
    """

    def of(name: str) -> float:
        return inputs[name].value

    pictures = pictures_per_day * DAYS_PER_MONTH

    def cores_usd(cpu_s: float, standby: float) -> float:
        used = pictures * cpu_s / SECONDS_PER_MONTH / of("core_use")
        return max(used, standby) * of("core_usd_per_hour") * 730.0

    storage = (
        pictures_per_day * of("days_kept") * of("stored_mb") / 1e3 * of("storage_usd_per_gb_month")
        + pictures * of("delivered_mb") / 1e3 * of("egress_usd_per_gb")
        + pictures / 1e3 * of("request_usd_per_1000")
    )
    reviews = pictures * of("review_share") * of("review_s") / 3600.0 * of("reviewer_usd_per_hour")
    usd = {
        CostShare.GPU: gpu_usd_per_month,
        CostShare.STORAGE_CDN: storage,
        CostShare.QUEUE: cores_usd(of("queue_cpu_s"), of("standby_cores_queue")),
        CostShare.SAFETY: cores_usd(of("safety_cpu_s"), 0.0) + reviews,
        CostShare.API: cores_usd(of("api_cpu_s"), of("standby_cores_api")),
    }
    return Projection(
        pictures_per_day=pictures_per_day, usd=usd, published=PUBLISHED.get(pictures_per_day), fleet=fleet
    )
