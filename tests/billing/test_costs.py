"""The ledger as a table: it adds up to the bill, whatever it is cut by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.billing.costs import By, CostShare, cost_report, running_words
from heliograph.domain.billing_records import NO_TENANT, Account, LedgerTotal
from heliograph.domain.ids import ModelId, TenantId
from heliograph.domain.money import Micros
from heliograph.domain.tiers import Tier


def total(
    account: Account,
    component: str,
    amount: int,
    *,
    tenant: str = "",
    model: str | None = None,
    tier: Tier | None = None,
    quantity: int = 0,
) -> LedgerTotal:
    return LedgerTotal(
        account=account,
        component=component,
        tenant_id=TenantId(tenant) if tenant else NO_TENANT,
        model_id=None if model is None else ModelId(model),
        tier=tier,
        gpu="H100",
        amount_micros=Micros(amount),
        quantity=quantity,
        lines=1,
    )


def bought(component: str, amount: int, **of: object) -> list[LedgerTotal]:
    """GPU time bought and used for something."""
    return [
        total(Account.PROVIDER, "gpu_hours", -amount),
        total(Account.GPU_COST, component, amount, **of),  # pyright: ignore[reportArgumentType]
    ]


TOTALS = [
    *bought("gpu_run", 600, tenant="acme", model="sdxl", tier=Tier.PRO),
    *bought("gpu_run", 300, tenant="zoo", model="flux", tier=Tier.FREE),
    *bought("gpu_idle", 50, model="sdxl"),
    *bought("gpu_empty", 40),
    total(Account.PROVIDER, "gpu_hours", -7),
    total(Account.FLEET, "gpu_hours", 7),
    total(Account.PROVIDER, "storage", -10, tenant="acme"),
    total(Account.SERVICE_COST, "storage", 10, tenant="acme"),
    total(Account.PROVIDER, "queue_cpu", -1),
    total(Account.SERVICE_COST, "queue_cpu", 1),
    total(Account.TENANT, "image_generation", -900, tenant="acme", model="sdxl", tier=Tier.PRO, quantity=4),
    total(Account.REVENUE, "image_generation", 900, tenant="acme", model="sdxl", tier=Tier.PRO, quantity=4),
    total(Account.TENANT, "refund", 200, tenant="acme", model="sdxl", tier=Tier.PRO),
    total(Account.REVENUE, "refund", -200, tenant="acme", model="sdxl", tier=Tier.PRO),
]


@pytest.mark.parametrize("by", By)
def test_rows_parts_and_shares_each_add_up_to_the_bill(by: By) -> None:
    found = cost_report(TOTALS, by=by, since_s=0.0, until_s=1.0)
    assert found.bill == 1008
    assert found.bill == found.used + found.running
    assert sum(row.cost for row in found.rows) == found.used
    assert sum(found.components.values()) == sum(found.shares.values()) == found.used


def test_by_model_what_belongs_to_nobody_is_handed_out_in_proportion() -> None:
    found = cost_report(TOTALS, by=By.MODEL, since_s=0.0, until_s=1.0)
    sdxl, flux = found.rows
    assert (sdxl.key, sdxl.direct, sdxl.shared, sdxl.pictures, sdxl.revenue) == ("sdxl", 650, 35, 4, 700)
    assert (flux.key, flux.direct, flux.shared, flux.pictures, flux.revenue) == ("flux", 300, 16, 0, 0)
    assert sdxl.parts == {"gpu_idle": 50, "gpu_run": 600}


def test_waste_and_shares_say_for_what() -> None:
    found = cost_report(TOTALS, by=By.COMPONENT, since_s=0.0, until_s=1.0)
    assert found.waste == {"gpu_idle": 50, "gpu_empty": 40}
    assert found.shares == {
        CostShare.GPU: 990,
        CostShare.STORAGE_CDN: 10,
        CostShare.QUEUE: 1,
        CostShare.SAFETY: 0,
        CostShare.API: 0,
    }
    assert found.per_picture_usd(found.bill) == pytest.approx(1008 / 4 / 1e6)


@pytest.mark.parametrize("by", By)
def test_a_month_without_data_is_all_zeros(by: By) -> None:
    found = cost_report([], by=by, since_s=0.0, until_s=1.0)
    assert (found.bill, found.used, found.pictures, found.rows, found.waste) == (0, 0, 0, (), {})
    assert found.per_picture_usd(found.bill) is None


def test_idle_gpus_alone_are_shown_as_nobodys() -> None:
    found = cost_report(bought("gpu_empty", 9), by=By.MODEL, since_s=0.0, until_s=1.0)
    assert [(row.key, row.direct, row.shared) for row in found.rows] == [("(no model)", 9, 0)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["gpu_run", "gpu_idle", "gpu_load"]),
            st.integers(0, 10**12),
            st.sampled_from([None, "a", "b", "c"]),
            st.sampled_from(["", "acme", "zoo"]),
            st.sampled_from([None, *Tier]),
        ),
        max_size=12,
    ),
    st.sampled_from(By),
)
def test_no_micro_dollar_is_lost_however_it_is_cut(
    parts: list[tuple[str, int, str | None, str, Tier | None]], by: By
) -> None:
    totals = [
        each
        for component, amount, model, tenant, tier in parts
        for each in bought(component, amount, model=model, tenant=tenant, tier=tier)
    ]
    found = cost_report(totals, by=by, since_s=0.0, until_s=1.0)
    assert sum(row.cost for row in found.rows) == found.used == found.bill == sum(part[1] for part in parts)
    assert all(row.shared >= 0 for row in found.rows)


def test_what_the_bill_does_not_have_yet_is_said_either_way() -> None:
    ahead = cost_report([total(Account.FLEET, "gpu_hours", 7)], by=By.MODEL, since_s=0.0, until_s=1.0)
    behind = cost_report([total(Account.FLEET, "gpu_hours", -7)], by=By.MODEL, since_s=0.0, until_s=1.0)
    assert running_words(ahead) == "$0.000007 of it belongs to runs that have not ended"
    assert running_words(behind) == "$0.000007 of what ended lately is not on the bill yet"
