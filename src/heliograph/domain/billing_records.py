"""The ledger's line: double entry, append only, integer micro-dollars."""

from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.ids import JobId, ModelId, TenantId
from heliograph.domain.money import Micros
from heliograph.domain.tiers import Tier


class Account(StrEnum):
    """Where money moves from and to. The lines of one posting always sum to zero.

    `provider` is who is owed for machines, storage and people; `fleet` holds GPU time that was bought and has not found
    its owner yet; `gpu_cost` and `service_cost` are what was used; `tenant` is what tenants paid less what they owe,
    `revenue` what they owed, `payments` what they paid or were given.
    """

    PROVIDER = "provider"
    FLEET = "fleet"
    GPU_COST = "gpu_cost"
    SERVICE_COST = "service_cost"
    TENANT = "tenant"
    REVENUE = "revenue"
    PAYMENTS = "payments"


class Component(StrEnum):
    """What is used that is no GPU, and in which unit it is counted."""

    API_CPU = "api_cpu"
    QUEUE_CPU = "queue_cpu"
    SAFETY_CPU = "safety_cpu"
    POSTPROCESS_CPU = "postprocess_cpu"
    STORAGE = "storage"
    EGRESS = "egress"
    MODERATION = "moderation"


NO_JOB = JobId("")
"""A line about no job in particular."""
NO_TENANT = TenantId("")
"""A line about the operator's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """One side of a posting. `posting_id` groups the lines that sum to zero and makes posting twice impossible.

    Positive amounts go to the account, negative ones leave it. `component` says for what, for example `gpu_run`.
    `gpu` is a label of `billing.prices.gpu_label`, empty where no GPU is concerned. `quantity` is how much of it: of
    GPUs and CPUs microseconds, of pictures their number, of traffic bytes, of storage byte-hours, of people's work
    milliseconds.
    """

    posting_id: str
    line: int
    job_id: JobId
    tenant_id: TenantId
    account: Account
    component: str
    amount_micros: Micros
    at_s: float
    model_id: ModelId | None = None
    tier: Tier | None = None
    gpu: str = ""
    quantity: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTotal:
    """The sum of all lines that agree in these, over some time."""

    account: Account
    component: str
    tenant_id: TenantId
    model_id: ModelId | None
    tier: Tier | None
    gpu: str
    amount_micros: Micros
    quantity: int
    lines: int
