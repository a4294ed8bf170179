"""The ledger's line: double entry, append only, integer micro-dollars."""

from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.money import Micros


class Account(StrEnum):
    """Where money moves from and to. The lines of one posting always sum to zero."""

    GPU_COST = "gpu_cost"
    FLEET = "fleet"
    TENANT = "tenant"
    REVENUE = "revenue"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """One side of a posting. `posting_id` groups the lines that sum to zero and makes posting twice impossible.

    Positive amounts go to the account, negative ones leave it. `component` says for what, for example `gpu_run`.
    """

    posting_id: str
    line: int
    job_id: JobId
    tenant_id: TenantId
    account: Account
    component: str
    amount_micros: Micros
    at_s: float
