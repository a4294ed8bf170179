"""Weighted priority with ageing, as one number that never changes while a job waits.

The textbook score `w_tier + w_age * wait - w_cost * cost` grows at the same rate for everybody, so the *order* of two
waiting jobs never changes: it is the order of `arrival - head start + cost`, the virtual arrival time. A fixed key
means that a sorted queue never has to be re-sorted, and that nobody starves: a job is overtaken only by jobs that
arrive less than `head start + cost` seconds after it.
"""

from heliograph.domain.job import Job
from heliograph.scheduling.policy import SchedulerPolicy


def virtual_arrival(job: Job, *, estimate_s: float, policy: SchedulerPolicy) -> tuple[float, int]:
    """The job's place in line, smallest first: virtual arrival time in seconds, then order of submission."""
    head_start_s = policy.tier_head_start_s.get(job.tier, 0.0)
    return (job.created_at_s - head_start_s + policy.cost_weight * estimate_s, job.sequence)
