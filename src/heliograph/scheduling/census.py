"""How many jobs wait and run, in all, by tenant and by end user, and who has reached a bound."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from heliograph.domain.ids import TenantId
from heliograph.domain.job import Job
from heliograph.domain.tiers import Tier
from heliograph.scheduling.fairness import NOBODY_HELD, Held, User
from heliograph.scheduling.policy import SchedulerPolicy

_Name = TypeVar("_Name")


@dataclass(slots=True)
class Count:
    """One number in all, by tenant and by end user; who has none is not listed."""

    total: int = 0
    by_tenant: Counter[TenantId] = field(default_factory=Counter[TenantId])
    by_user: Counter[User] = field(default_factory=Counter[User])

    def change(self, job: Job, by: int) -> None:
        """Add or take away one."""
        self.total += by
        tenant_id, end_user = job.tenant_id, job.end_user
        number = self.by_tenant[tenant_id] + by
        if number:
            self.by_tenant[tenant_id] = number
        else:
            del self.by_tenant[tenant_id]
        if end_user is not None:
            user = (tenant_id, end_user)
            number = self.by_user[user] + by
            if number:
                self.by_user[user] = number
            else:
                del self.by_user[user]

    def of_user(self, tenant_id: TenantId, end_user: str | None) -> int:
        """Jobs of one end user; 0 for jobs that name none."""
        return 0 if end_user is None else self.by_user[(tenant_id, end_user)]


def held_back(running: Count, policy: SchedulerPolicy, *, tiers: Collection[Tier] = ()) -> Held:
    """Who has as many jobs on workers as it may have, and the `tiers` that may not run where somebody is looked for."""
    of_tenant, of_user = policy.running_max_per_tenant, policy.running_max_per_user
    if of_tenant is None and of_user is None and not tiers:
        return NOBODY_HELD
    return Held(
        tiers=tiers,
        tenants=() if of_tenant is None else _full(running.by_tenant, of_tenant),
        users=() if of_user is None else _full(running.by_user, of_user),
    )


def _full(numbers: Mapping[_Name, int], bound: int) -> frozenset[_Name]:
    """There are no more of them than workers, for each of them runs something."""
    return frozenset(name for name, number in numbers.items() if number >= bound)
