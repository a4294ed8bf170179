"""Metering, prices and the ledger."""

from heliograph.billing.ledger import charge, check, record_cost
from heliograph.billing.prices import PriceBook

__all__ = ["PriceBook", "charge", "check", "record_cost"]
