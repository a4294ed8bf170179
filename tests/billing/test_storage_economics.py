from heliograph.billing.storage_economics import GB, Saving, month_micros, storage_report
from heliograph.domain.ids import TenantId
from heliograph.domain.keeping import Holding, StorageTier
from heliograph.domain.money import Micros
from heliograph.domain.tiers import Tier

HOT, COOL = StorageTier.HOT, StorageTier.COOL
PRICES = {HOT: Micros(23_000), COOL: Micros(10_000)}


def holding(
    tenant: str, gb: float, *, tier: StorageTier = HOT, age: int = 0, is_kept: bool = False, outputs: int = 10
) -> Holding:
    return Holding(
        tenant_id=TenantId(tenant),
        plan=Tier.FREE,
        storage_tier=tier,
        age_days_min=age,
        is_kept=is_kept,
        outputs=outputs,
        size_bytes=int(gb * GB),
    )


def test_places_and_tenants_add_up_to_the_same() -> None:
    report = storage_report(
        [holding("ada", 1), holding("ada", 2, tier=COOL, age=90), holding("bob", 4, is_kept=True, outputs=3)], PRICES
    )
    assert [(place.tier, place.outputs, place.month_micros) for place in report.places[:2]] == [
        (HOT, 13, 115_000),
        (COOL, 10, 20_000),
    ]
    assert report.month_micros == 135_000 == sum(share.month_micros for share in report.tenants)
    assert [(share.tenant_id, share.kept) for share in report.tenants] == [("bob", 3), ("ada", 0)]
    assert (report.outputs, report.size_bytes) == (23, 7 * GB)


def test_savings_leave_what_must_stay_and_what_is_there_already() -> None:
    holdings = [
        holding("ada", 1, age=30),
        holding("ada", 2, age=90),
        holding("ada", 5, age=90, is_kept=True),
        holding("ada", 3, tier=COOL, age=90),
    ]
    savings = {(each.older_than_days, each.to): each for each in storage_report(holdings, PRICES).savings}
    assert savings[90, COOL] == Saving(
        older_than_days=90, to=COOL, outputs=10, size_bytes=2 * GB, month_micros=Micros(2 * 13_000)
    )
    assert savings[30, COOL].month_micros == 3 * 13_000
    assert savings[90, None].month_micros == 2 * 23_000 + 3 * 10_000
    assert (90, StorageTier.ARCHIVE) not in savings, "nobody said its price"


def test_a_place_without_a_price_says_so() -> None:
    places = storage_report([holding("ada", 1, tier=COOL)], {HOT: Micros(23_000)}).places
    assert [place.month_micros for place in places] == [0, None, 0, 0]


def test_micro_dollars_are_rounded_once_to_the_nearest() -> None:
    assert month_micros(0, Micros(23_000)) == 0
    assert month_micros(GB, Micros(23_000)) == 23_000
    assert (month_micros(GB // 2, Micros(1)), month_micros(GB // 2 - 1, Micros(1))) == (1, 0)
