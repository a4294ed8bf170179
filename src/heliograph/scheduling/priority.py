"""A job's place in line: weighted priority with ageing, as numbers that never change while it waits.

The textbook score `w_tier + w_age * wait - w_cost * cost` grows at the same rate for everybody, so the *order* of two
waiting jobs never changes: it is the order of `arrival - head start + cost`, the virtual arrival time. A fixed key
means that a sorted queue never has to be re-sorted, and that nobody starves: within one tenant's end user a job is
overtaken only by jobs that arrive less than `head start + cost` seconds after it. Between tenants and between end users
turns are taken on top of it (`fairness.py`, with its own bound).
"""

from heliograph.domain.job import Job
from heliograph.scheduling.fairness import Place
from heliograph.scheduling.policy import SchedulerPolicy


def place_of(
    job: Job, *, estimate_s: float, policy: SchedulerPolicy, finish_s: float = 0.0, is_known: bool = False
) -> Place:
    """The job as the line sees it. A deadline presses only where `is_known`: a guess says nothing about it."""
    latest_start_s = None
    if is_known and job.deadline_at_s is not None:
        latest_start_s = job.deadline_at_s - estimate_s - finish_s
    return Place(
        job_id=job.job_id,
        tier=job.tier,
        tenant_id=job.tenant_id,
        end_user=job.end_user,
        sequence=job.sequence,
        created_at_s=job.created_at_s,
        offset_s=policy.cost_weight * estimate_s - policy.tier_head_start_s.get(job.tier, 0.0),
        estimate_s=estimate_s,
        latest_start_s=latest_start_s,
        weight=policy.tier_weight.get(job.tier, 1.0),
    )
