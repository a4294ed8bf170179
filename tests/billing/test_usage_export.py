"""Usage as other systems read it."""

from heliograph.billing.usage_export import CSV_COLUMNS, openmeter_event, stripe_event, usage_row
from heliograph.domain.billing_records import Account, LedgerLine
from heliograph.domain.ids import JobId, ModelId, TenantId
from heliograph.domain.money import Micros
from heliograph.domain.tiers import Tier

LINE = LedgerLine(
    posting_id="job_1:charge",
    line=1,
    job_id=JobId("job_1"),
    tenant_id=TenantId("acme"),
    account=Account.REVENUE,
    component="image_generation",
    amount_micros=Micros(1_234_567),
    at_s=1_790_000_000.5,
    model_id=ModelId("sdxl"),
    tier=Tier.PRO,
    quantity=4,
)
AT = "2026-09-21T14:13:20.500Z"


def test_a_row_has_every_column() -> None:
    assert dict(zip(CSV_COLUMNS, usage_row(LINE, at=AT), strict=True)) == {
        "at": AT,
        "posting_id": "job_1:charge",
        "tenant": "acme",
        "job_id": "job_1",
        "model": "sdxl",
        "tier": "pro",
        "component": "image_generation",
        "pictures": "4",
        "micros": "1234567",
        "usd": "1.234567",
    }


def test_events_carry_the_postings_id_so_that_twice_counts_once() -> None:
    event = openmeter_event(LINE, at=AT)
    assert (event["specversion"], event["id"], event["subject"], event["time"]) == ("1.0", "job_1:charge", "acme", AT)
    assert event["data"] == {
        "component": "image_generation",
        "job_id": "job_1",
        "model": "sdxl",
        "tier": "pro",
        "pictures": 4,
        "usd": "1.234567",
    }
    assert stripe_event(LINE) == {
        "event_name": "heliograph_pictures",
        "identifier": "job_1:charge",
        "timestamp": 1_790_000_000,
        "payload": {"stripe_customer_id": "acme", "value": "1234567", "pictures": "4", "model": "sdxl"},
    }
