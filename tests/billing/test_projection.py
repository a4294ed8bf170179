"""A month at another volume: every number that goes in is named and can be replaced."""

from dataclasses import replace

import pytest

from heliograph.billing.costs import CostShare
from heliograph.billing.projection import ASSUMED, PUBLISHED, Assumption, Origin, assumptions, project
from heliograph.domain.errors import InvalidRequest

PRICES = [
    Assumption(name=name, value=value, unit="USD", origin=Origin.PRICE, why="")
    for name, value in (
        ("core_usd_per_hour", 0.05),
        ("storage_usd_per_gb_month", 0.02),
        ("egress_usd_per_gb", 0.1),
        ("reviewer_usd_per_hour", 18.0),
    )
]


def test_each_part_is_worked_out_as_the_module_says() -> None:
    inputs = assumptions(
        PRICES,
        {
            "stored_mb": 2.0,
            "delivered_mb": 1.0,
            "days_kept": 100.0,
            "request_usd_per_1000": 0.01,
            "queue_cpu_s": 0.001,
            "api_cpu_s": 3.6,
            "safety_cpu_s": 0.0,
            "review_share": 0.01,
            "review_s": 10.0,
            "core_use": 0.5,
            "standby_cores_queue": 2.0,
            "standby_cores_api": 1.0,
        },
    )
    month = 24_000 * 730 / 24
    found = project(24_000.0, inputs, gpu_usd_per_month=1_000.0, fleet="one GPU")
    assert found.usd[CostShare.GPU] == 1_000.0
    assert found.usd[CostShare.STORAGE_CDN] == pytest.approx(
        24_000 * 100 * 0.002 * 0.02 + month * 0.001 * 0.1 + month / 1000 * 0.01
    )
    assert found.usd[CostShare.QUEUE] == pytest.approx(2.0 * 0.05 * 730)  # used: 0.56 cores; two stand by
    assert found.usd[CostShare.API] == pytest.approx(month * 3.6 / 3600 / 0.5 * 0.05)
    assert found.usd[CostShare.SAFETY] == pytest.approx(month * 0.01 * 10 / 3600 * 18)
    assert found.usd_per_picture == pytest.approx(found.total_usd / month)
    assert sum(found.share(part) for part in CostShare) == pytest.approx(1.0)
    assert found.published is None


def test_published_shares_stand_beside_the_volumes_they_were_published_for() -> None:
    for volume, shares in PUBLISHED.items():
        assert sum(shares.values()) == pytest.approx(1.0)
        found = project(volume, assumptions(PRICES, {}), gpu_usd_per_month=1.0, fleet="")
        assert found.published == shares


def test_what_was_measured_replaces_what_was_assumed_and_what_was_said_replaces_both() -> None:
    measured = replace(ASSUMED["stored_mb"], value=0.5, origin=Origin.MEASURED)
    assert assumptions([measured], {})["stored_mb"] == measured
    said = assumptions([measured], {"stored_mb": 3.0})["stored_mb"]
    assert (said.value, said.origin) == (3.0, Origin.GIVEN)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"stored_gb": 1.0}, "stored_gb"),
        ({"stored_mb": -1.0}, "stored_mb"),
        ({"stored_mb": float("nan")}, "stored_mb"),
        ({"core_use": 0.0}, "core_use"),
    ],
)
def test_a_wrong_assumption_is_named(given: dict[str, float], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        assumptions(PRICES, given)
