"""Who is turned away, with the reason and when to try again: better said at once than after a long wait for nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from heliograph.domain.errors import InvalidRequest, Overloaded
from heliograph.domain.job import Job
from heliograph.domain.request import GenerationRequest
from heliograph.scheduling.census import Count
from heliograph.scheduling.policy import SchedulerPolicy

RETRY_AFTER_S_MIN, RETRY_AFTER_S_MAX = 1.0, 120.0
"""Bounds of the hint to a refused caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What awaits a newcomer, in seconds.

    `backlog_s` is the model's work divided by its workers. `wait_s` is until the job would begin, `earliest_start_s`
    until it could begin if nobody gave way to anybody cheaper. `shortest_run_s` is the least it needs from then on;
    None where durations are guesses, so that nobody is refused for them.
    """

    backlog_s: float
    wait_s: float = 0.0
    earliest_start_s: float = 0.0
    shortest_run_s: float | None = None


def refusal(
    job: Job, *, pending: Count, forecast: Callable[[], Forecast], policy: SchedulerPolicy, now_s: float
) -> Overloaded | None:
    """The bound that the new job would exceed, or None. Full queues come before long waits.

    `forecast` is asked only where the answer depends on it.
    """
    of_tenant = pending.by_tenant[job.tenant_id]
    of_user = pending.of_user(job.tenant_id, job.end_user)
    if pending.total >= policy.pending_max:
        message = f"{pending.total} jobs are waiting already; try again later"
        return _full(message, code="queue_full", forecast=forecast())
    if of_tenant >= policy.pending_max_per_tenant:
        message = f"you have {of_tenant} jobs waiting already; wait for some to finish"
        return _full(message, code="tenant_queue_full", forecast=forecast())
    if of_user >= policy.pending_max_per_user:
        message = f"the end user {job.end_user!r} has {of_user} jobs waiting already; wait for some to finish"
        return _full(message, code="user_queue_full", forecast=forecast())
    wait_s_max = policy.wait_s_max.get(job.tier)
    if job.deadline_at_s is None and wait_s_max is None:
        return None
    return _too_late(job, forecast(), wait_s_max=wait_s_max, now_s=now_s)


def too_large(request: GenerationRequest) -> InvalidRequest:
    """The refusal of a request that no GPU here has the memory for."""
    what = "size" if request.frames == 1 else "frames"
    smaller = "a smaller size" if request.frames == 1 else "fewer frames or a smaller size"
    return InvalidRequest(
        f"{what}: {request.model_id} ran out of memory again and again with pictures like this one; choose {smaller}.",
        code="too_large_for_memory",
        param=what,
    )


def _too_late(job: Job, forecast: Forecast, *, wait_s_max: float | None, now_s: float) -> Overloaded | None:
    if forecast.shortest_run_s is None:
        return None
    needed_s = forecast.earliest_start_s + forecast.shortest_run_s
    if job.deadline_at_s is not None and now_s + needed_s > job.deadline_at_s:
        left_s = max(job.deadline_at_s - now_s, 0.0)
        message = f"the job needs at least {needed_s:.1f} s from now, its deadline is in {left_s:.1f} s"
        return _overloaded(message, code="deadline_unreachable", retry_after_s=forecast.earliest_start_s)
    if wait_s_max is not None and forecast.wait_s > wait_s_max:
        message = f"a job of the tier {job.tier} would wait {forecast.wait_s:.0f} s now; the limit is {wait_s_max:g} s"
        return _overloaded(message, code="wait_too_long", retry_after_s=forecast.wait_s - wait_s_max)
    return None


def _full(message: str, *, code: str, forecast: Forecast) -> Overloaded:
    return _overloaded(message, code=code, retry_after_s=forecast.backlog_s / 10)


def _overloaded(message: str, *, code: str, retry_after_s: float) -> Overloaded:
    return Overloaded(message, code=code, retry_after_s=min(max(retry_after_s, RETRY_AFTER_S_MIN), RETRY_AFTER_S_MAX))
