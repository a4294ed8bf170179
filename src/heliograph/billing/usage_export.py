"""Usage as other billing systems read it: rows of CSV, OpenMeter's CloudEvents, Stripe's meter events. Pure.

Each charge or refund is one record with the posting's id, so that whoever reads it twice counts it once. OpenMeter
takes CloudEvents 1.0 (`specversion`, `id`, `source`, `type`, `subject`, `time`, `data`); Stripe's meters take
`event_name`, `identifier`, `timestamp` and a `payload` of strings. Stripe's `stripe_customer_id` is the tenant's name
here: map it to the customer on the way.
"""

from enum import StrEnum

from heliograph.domain.billing_records import LedgerLine
from heliograph.domain.money import MICROS_PER_USD

CSV_COLUMNS = ("at", "posting_id", "tenant", "job_id", "model", "tier", "component", "pictures", "micros", "usd")
EVENT_NAME = "heliograph_pictures"
EVENT_TYPE = "heliograph.pictures"
SOURCE = "heliograph"


class UsageFormat(StrEnum):
    """What an export looks like."""

    CSV = "csv"
    OPENMETER = "openmeter"
    STRIPE = "stripe"


def usage_row(line: LedgerLine, *, at: str) -> tuple[str, ...]:
    """The line as a row of `CSV_COLUMNS`. `at` is its time in ISO 8601. Refunds are negative."""
    return (
        at,
        line.posting_id,
        line.tenant_id,
        line.job_id,
        line.model_id or "",
        "" if line.tier is None else line.tier.value,
        line.component,
        str(line.quantity),
        str(line.amount_micros),
        f"{line.amount_micros / MICROS_PER_USD:.6f}",
    )


def openmeter_event(line: LedgerLine, *, at: str) -> dict[str, object]:
    """The line as a CloudEvent for OpenMeter: meter `data.pictures` or `data.usd` by sum."""
    return {
        "specversion": "1.0",
        "id": line.posting_id,
        "source": SOURCE,
        "type": EVENT_TYPE,
        "subject": line.tenant_id,
        "time": at,
        "data": {
            "component": line.component,
            "job_id": line.job_id,
            "model": line.model_id or "",
            "tier": "" if line.tier is None else line.tier.value,
            "pictures": line.quantity,
            "usd": f"{line.amount_micros / MICROS_PER_USD:.6f}",
        },
    }


def stripe_event(line: LedgerLine) -> dict[str, object]:
    """The line as a meter event for Stripe; its value is micro-dollars, since meters add up whole numbers."""
    return {
        "event_name": EVENT_NAME,
        "identifier": line.posting_id,
        "timestamp": int(line.at_s),
        "payload": {
            "stripe_customer_id": line.tenant_id,
            "value": str(line.amount_micros),
            "pictures": str(line.quantity),
            "model": line.model_id or "",
        },
    }
