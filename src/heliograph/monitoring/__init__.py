"""Watching: what lifecycle events add up to, and what is wrong when something is. It decides and does no I/O."""

from heliograph.monitoring.diagnosis import Cause, Finding
from heliograph.monitoring.monitor import Diagnosis, Monitor

__all__ = ["Cause", "Diagnosis", "Finding", "Monitor"]
