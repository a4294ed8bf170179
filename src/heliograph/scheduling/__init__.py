"""Admission, priority, dispatch, retry: events in, commands out."""

from heliograph.scheduling.policy import SchedulerPolicy
from heliograph.scheduling.profiles import Profiles
from heliograph.scheduling.scheduler import Scheduler

__all__ = ["Profiles", "Scheduler", "SchedulerPolicy"]
