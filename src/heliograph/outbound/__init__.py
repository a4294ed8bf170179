"""Calls to addresses that users name: checked, pinned, bounded. Nothing else may fetch what a user points at."""

from heliograph.outbound.guard import Destination, OutboundPolicy, checked_url, parsed_networks
from heliograph.outbound.reply import Outbound, Reply

__all__ = ["Destination", "Outbound", "OutboundPolicy", "Reply", "checked_url", "parsed_networks"]
