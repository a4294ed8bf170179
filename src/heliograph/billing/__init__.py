"""Metering, prices and the ledger."""
