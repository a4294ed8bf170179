"""Durable state: jobs, attempts, outputs, ledger, keys and idempotency records, in one transaction."""

from heliograph.storage.store import IdempotencyRecord, Store, StoredJob, Write

__all__ = ["IdempotencyRecord", "Store", "StoredJob", "Write"]
