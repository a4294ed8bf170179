"""How many jobs wait and run, in all, by tenant and by end user, and who has reached a bound."""

from collections import Counter
from dataclasses import dataclass, field

from heliograph.domain.ids import TenantId
from heliograph.domain.job import Job
from heliograph.scheduling.fairness import Place
from heliograph.scheduling.policy import SchedulerPolicy

User = tuple[TenantId, str]


@dataclass(slots=True)
class Count:
    """One number in all, by tenant and by end user; who has none is not listed."""

    total: int = 0
    by_tenant: Counter[TenantId] = field(default_factory=Counter[TenantId])
    by_user: Counter[User] = field(default_factory=Counter[User])

    def change(self, job: Job, by: int) -> None:
        """Add or take away one."""
        self.total += by
        self.by_tenant[job.tenant_id] += by
        if not self.by_tenant[job.tenant_id]:
            del self.by_tenant[job.tenant_id]
        if job.end_user is not None:
            user = (job.tenant_id, job.end_user)
            self.by_user[user] += by
            if not self.by_user[user]:
                del self.by_user[user]

    def of_user(self, tenant_id: TenantId, end_user: str | None) -> int:
        """Jobs of one end user; 0 for jobs that name none."""
        return 0 if end_user is None else self.by_user[(tenant_id, end_user)]


def is_held(place: Place, running: Count, policy: SchedulerPolicy) -> bool:
    """The job's tenant or end user has as many jobs on workers as it may have."""
    of_tenant, of_user = policy.running_max_per_tenant, policy.running_max_per_user
    if of_tenant is not None and running.by_tenant[place.tenant_id] >= of_tenant:
        return True
    return of_user is not None and running.of_user(place.tenant_id, place.end_user) >= of_user
