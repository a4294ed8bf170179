"""Webhooks: which messages follow from a job's move, how they are signed, and when one is tried again."""

from heliograph.webhooks.book import EndpointBook
from heliograph.webhooks.retries import AfterTry, RetryPolicy, after_try
from heliograph.webhooks.signature import Signer
from heliograph.webhooks.snapshot import as_of

__all__ = ["AfterTry", "EndpointBook", "RetryPolicy", "Signer", "after_try", "as_of"]
