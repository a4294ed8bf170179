"""The scheduler's policy as data, so that a simulation can sweep it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from heliograph.domain.ids import TenantId
from heliograph.domain.tiers import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerPolicy:
    """Weights and bounds.

    `tier_head_start_s` is how many seconds of waiting a tier is ahead, `cost_weight` how many seconds of waiting one
    estimated GPU-second costs, `fairness_price` how many one GPU-second costs that a tenant (or end user) was served
    more than others. `tenant_weight` is what a tenant is due of the whole, 1.0 by default; `tier_weight` what a kept
    deadline is worth when not all can be kept. At most `running_max_per_tenant` and `running_max_per_user` jobs are on
    workers at once (None: no bound); an end user is one of a tenant's, and a job without one counts for its tenant
    only.

    A tier is refused while the expected wait exceeds its `wait_s_max`. A job with a deadline is given up once less than
    `doomed_fraction` of its estimate is left until then. Both count only where durations are known, not guessed.

    Only jobs of `spot_tiers` run on spot GPUs.

    A run makes way for a job that is `preempt_ratio` times shorter than its rest, at most `preemptions_max` times; and
    where both have a deadline, whenever its own allows it and the other's asks for it. To pause and take up again costs
    about `pause_s`.

    A run that takes more than `overdue_factor` times what its model's profile says, and more than `overdue_s_min`, is
    called off and tried again.

    `backoff_s[k]` is the pause after failure k+1 (the last value repeats). `post_processing_max` bounds the finished
    pictures held in memory: beyond it nothing is dispatched. `load_failures_max` loads of a model failing in a row fail
    the jobs that wait for it; after `load_forgiven_s` seconds without another failure it may be tried again.
    """

    tier_head_start_s: Mapping[Tier, float] = field(
        default_factory=lambda: {Tier.FREE: 0.0, Tier.STANDARD: 30.0, Tier.PRO: 120.0}
    )
    tier_weight: Mapping[Tier, float] = field(
        default_factory=lambda: {Tier.FREE: 1.0, Tier.STANDARD: 2.0, Tier.PRO: 4.0}
    )
    tenant_weight: Mapping[TenantId, float] = field(default_factory=dict[TenantId, float])
    cost_weight: float = 1.0
    fairness_price: float = 1.0
    pending_max: int = 10_000
    pending_max_per_tenant: int = 5_000
    pending_max_per_user: int = 5_000
    running_max_per_tenant: int | None = None
    running_max_per_user: int | None = None
    wait_s_max: Mapping[Tier, float] = field(default_factory=dict[Tier, float])
    doomed_fraction: float = 0.75
    spot_tiers: frozenset[Tier] = frozenset({Tier.FREE, Tier.STANDARD})
    preempt_ratio: float = 4.0
    preemptions_max: int = 3
    pause_s: float = 1.0
    overdue_factor: float = 10.0
    overdue_s_min: float = 60.0
    attempts_max: int = 3
    backoff_s: tuple[float, ...] = (0.0, 2.0, 10.0)
    reseeds_max: int = 2
    post_processing_max: int = 64
    load_failures_max: int = 3
    load_forgiven_s: float = 300.0
    preview_every: int = 1

    def backoff_after(self, failures: int) -> float:
        """Seconds to wait after the `failures`-th failure (from 1)."""
        return self.backoff_s[min(failures, len(self.backoff_s)) - 1] if self.backoff_s else 0.0
