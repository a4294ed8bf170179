"""Watching: what lifecycle events add up to, and what is wrong when something is. It decides and does no I/O."""

from heliograph.monitoring.diagnosis import Cause, Finding
from heliograph.monitoring.latency import Dimension, Finished, Group, Latency, Stage
from heliograph.monitoring.monitor import Diagnosis, GpuReading, Monitor
from heliograph.monitoring.objectives import Objective, Objectives, Standing

__all__ = [
    "Cause",
    "Diagnosis",
    "Dimension",
    "Finding",
    "Finished",
    "GpuReading",
    "Group",
    "Latency",
    "Monitor",
    "Objective",
    "Objectives",
    "Stage",
    "Standing",
]
