"""The ledger: which posting follows from an ended attempt, and which from a completed job.

Two postings, because they are two facts at two times. When an attempt ends, the GPU-seconds it held are spent, whatever
became of it: `record_cost` moves them from `fleet` to `gpu_cost`. When a job completes, its tenant owes for the one
attempt that made the pictures: `charge` moves that from `tenant` to `revenue`.

So attempts that failed, were lost, were cancelled, or whose pictures a quality gate turned down cost the operator and
never the tenant. That holds for jobs the user cancelled after they began, too: in this release a tenant pays for
pictures, not for trying.

`{job_id}:{attempt}:cost` and `{job_id}:charge` name the postings; the store takes each name once, so a repeated event,
or a job that completes again after a restart, posts nothing twice. A cost of zero is not written.

What GPUs cost while no attempt holds them is posted by `fleet_meter`, and everything else by `usage_meter`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from heliograph.billing.meter import gpu_cost_micros, tenant_price_micros
from heliograph.billing.prices import PriceBook, gpu_label
from heliograph.domain.billing_records import NO_JOB, Account, LedgerLine
from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.job import Attempt, AttemptOutcome, Job, JobState
from heliograph.domain.money import Micros

_COST_COMPONENT: Mapping[AttemptOutcome, str] = {
    AttemptOutcome.SUCCEEDED: "gpu_run",
    AttemptOutcome.ENGINE_FAILED: "gpu_retry",
    AttemptOutcome.WORKER_LOST: "gpu_lost",
    AttemptOutcome.SERVER_LOST: "gpu_lost",
    AttemptOutcome.PAUSED: "gpu_run",
    AttemptOutcome.CANCELLED: "gpu_cancelled",
    AttemptOutcome.EXPIRED: "gpu_cancelled",
}
ATTEMPT_COMPONENTS = frozenset(_COST_COMPONENT.values())
CHARGE_COMPONENT = "image_generation"
REFUND_COMPONENT = "refund"
CREDIT_COMPONENT = "credit"


def record_cost(attempt: Attempt, job: Job, prices: PriceBook) -> tuple[LedgerLine, ...]:
    """What an attempt that ended, in whatever way, cost the operator. Empty when it held no GPU."""
    assert attempt.job_id == job.job_id, f"attempt of {attempt.job_id} posted to {job.job_id}"
    return _posting(
        job,
        posting_id=f"{job.job_id}:{attempt.number}:cost",
        source=Account.FLEET,
        target=Account.GPU_COST,
        component=_COST_COMPONENT[attempt.outcome],
        amount_micros=gpu_cost_micros(attempt, prices),
        at_s=attempt.ended_at_s,
        gpu=gpu_label(attempt.gpu_class, attempt.market, attempt.zone),
        quantity=round(attempt.gpu_s * 1e6),
    )


def charge(attempt: Attempt, job: Job, prices: PriceBook) -> tuple[LedgerLine, ...]:
    """What a completed job's tenant pays for the attempt that made its pictures, of which there are `quantity`.

    It is posted even where that is nothing: the ledger is what knows for ever how many pictures were delivered.
    """
    assert job.state is JobState.COMPLETED, f"job {job.job_id} is {job.state}; only completed jobs are charged"
    assert (attempt.job_id, attempt.number) == (job.job_id, job.attempt), f"job {job.job_id}: not its last attempt"
    assert attempt.outcome is AttemptOutcome.SUCCEEDED, f"job {job.job_id}: its last attempt {attempt.outcome}"
    return _posting(
        job,
        posting_id=charge_id(job.job_id),
        source=Account.TENANT,
        target=Account.REVENUE,
        component=CHARGE_COMPONENT,
        amount_micros=tenant_price_micros(attempt, job.tier, prices),
        at_s=job.timeline[-1].at_s,
        quantity=job.request.image_count,
        posts_zero=True,
    )


def charge_id(job_id: JobId) -> str:
    """Names the posting that charges a job."""
    return f"{job_id}:charge"


def refund(job: Job, charged: Micros, *, at_s: float) -> tuple[LedgerLine, ...]:
    """Gives the tenant back what the job was charged; once, however often it is asked for. Empty for nothing."""
    assert charged >= 0, f"job {job.job_id}: {charged} micro-dollars cannot be refunded"
    return _posting(
        job,
        posting_id=f"{job.job_id}:refund",
        source=Account.REVENUE,
        target=Account.TENANT,
        component=REFUND_COMPONENT,
        amount_micros=charged,
        at_s=at_s,
    )


def credit(tenant_id: TenantId, amount_micros: Micros, *, posting_id: str, at_s: float) -> tuple[LedgerLine, ...]:
    """What the tenant paid in advance, or was given; negative: taken back. `posting_id` makes it happen once."""
    assert amount_micros != 0, f"posting {posting_id}: a credit of nothing"
    lines = tuple(
        LedgerLine(
            posting_id=posting_id,
            line=number,
            job_id=NO_JOB,
            tenant_id=tenant_id,
            account=account,
            component=CREDIT_COMPONENT,
            amount_micros=Micros(amount),
            at_s=at_s,
        )
        for number, (account, amount) in enumerate(
            ((Account.PAYMENTS, -amount_micros), (Account.TENANT, amount_micros))
        )
    )
    check(lines)
    return lines


def check(lines: Iterable[LedgerLine]) -> None:
    """Assert that every posting of one job sums to zero, belongs to it, and numbers its lines 0, 1, ..."""
    postings: defaultdict[str, list[LedgerLine]] = defaultdict(list)
    for line in lines:
        postings[line.posting_id].append(line)
    for posting_id, members in postings.items():
        total = sum(line.amount_micros for line in members)
        assert total == 0, f"posting {posting_id} sums to {total} micro-dollars"
        owners = {(line.job_id, line.tenant_id) for line in members}
        assert len(owners) == 1, f"posting {posting_id} mixes jobs or tenants: {sorted(owners)}"
        numbers = sorted(line.line for line in members)
        assert numbers == list(range(len(members))), f"posting {posting_id} has lines {numbers}"


def _posting(
    job: Job,
    *,
    posting_id: str,
    source: Account,
    target: Account,
    component: str,
    amount_micros: Micros,
    at_s: float,
    gpu: str = "",
    quantity: int = 0,
    posts_zero: bool = False,
) -> tuple[LedgerLine, ...]:
    if amount_micros == 0 and not posts_zero:
        return ()
    lines = tuple(
        LedgerLine(
            posting_id=posting_id,
            line=number,
            job_id=job.job_id,
            tenant_id=job.tenant_id,
            account=account,
            component=component,
            amount_micros=Micros(amount),
            at_s=at_s,
            model_id=job.request.model_id,
            tier=job.tier,
            gpu=gpu,
            quantity=quantity,
        )
        for number, (account, amount) in enumerate(((source, -amount_micros), (target, amount_micros)))
    )
    check(lines)
    return lines
