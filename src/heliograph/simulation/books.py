"""The simulator's own books: who asked, what became of it, and what it cost. They must agree with the scheduler's.

Jobs that have ended are forgotten, so the books take memory for open jobs only. What is asserted on each record: the
move is legal, nothing is recorded of a job that has ended or never was, every attempt is metered once, and a completed
job is charged once. With `exact` the postings are made by the billing code and must sum to zero; without, the same
amounts come from its metering alone, which is what a million jobs can afford.
"""

from collections import Counter
from dataclasses import dataclass

from heliograph.billing import ledger
from heliograph.billing.fleet_meter import BILL
from heliograph.billing.meter import gpu_cost_micros, tenant_price_micros
from heliograph.billing.prices import PriceBook
from heliograph.domain.billing_records import Account, LedgerLine
from heliograph.domain.commands import RecordJob
from heliograph.domain.ids import JobId
from heliograph.domain.job import LEGAL_MOVES, AttemptOutcome, Job, JobState
from heliograph.domain.money import Micros
from heliograph.domain.tiers import Tier
from heliograph.domain.views import Interval


@dataclass(slots=True)
class Asked:
    """One request on its way. `job` is its last recorded state, None until it was recorded.

    `target_s` is when it is due, counted from `at_s`; `alone_s` is how long it would take on an idle, warm fleet. Times
    are seconds of the simulation's own clock, which never jumps.
    """

    at_s: float
    kind: str
    tier: Tier
    tenant: str
    images: int
    target_s: float | None
    alone_s: float
    is_cold: bool
    job: Job | None = None
    metered: int = 0
    eta: Interval | None = None


class Books:
    """Open requests by job id, and counts of everything that ended."""

    def __init__(self, prices: PriceBook, *, exact: bool) -> None:
        self.open: dict[JobId, Asked] = {}
        self.submitted = 0
        self.refused: Counter[str] = Counter()
        self.ended: Counter[JobState] = Counter()
        self.attempts: Counter[AttemptOutcome] = Counter()
        self.cost_micros = 0
        self.charged_micros = 0
        self.components: Counter[tuple[Account, str]] = Counter()
        """Micro-dollars posted, by account and component; empty without `exact`."""
        self._balance: Counter[Account] = Counter()
        self._prices = prices
        self._exact = exact

    def submit(self, job_id: JobId, asked: Asked) -> None:
        """A request reached the scheduler."""
        assert job_id not in self.open, f"job {job_id} was submitted twice"
        self.submitted += 1
        self.open[job_id] = asked

    def refuse(self, job_id: JobId, code: str) -> Asked:
        """The scheduler did not take it."""
        asked = self.open.pop(job_id)
        assert asked.job is None, f"job {job_id} was recorded and then refused"
        self.refused[code] += 1
        return asked

    def save(self, job: Job) -> None:
        """What is known of an open job grew; its state is the same."""
        asked = self.open.get(job.job_id)
        if asked is not None and asked.job is not None:
            assert asked.job.state is job.state, f"job {job.job_id} moves without a record"
            asked.job = job

    def record(self, record: RecordJob) -> Asked:
        """Note a job's new state; gives what is known of the request."""
        job = record.job
        asked = self.open.get(job.job_id)
        assert asked is not None, f"job {job.job_id} is {job.state}, but has ended or never was"
        if asked.job is None:
            assert job.state is JobState.PENDING, f"job {job.job_id} begins as {job.state}"
        else:
            assert job.state in LEGAL_MOVES[asked.job.state], f"job {job.job_id}: {asked.job.state} -> {job.state}"
        asked.job = job
        if record.ended_attempt is not None:
            attempt = record.ended_attempt
            assert attempt.number > asked.metered, f"job {job.job_id}: attempt {attempt.number} was metered twice"
            asked.metered = attempt.number
            self.attempts[attempt.outcome] += 1
            if attempt.outcome is not AttemptOutcome.SERVER_LOST:
                self.cost_micros += gpu_cost_micros(attempt, self._prices)
            if self._exact:
                self.post(ledger.record_cost(attempt, job, self._prices))
        if record.charged_attempt is not None:
            assert job.state is JobState.COMPLETED, f"job {job.job_id} is charged while {job.state}"
            self.charged_micros += tenant_price_micros(record.charged_attempt, job.tier, self._prices)
            if self._exact:
                self.post(ledger.charge(record.charged_attempt, job, self._prices))
        if job.state.is_terminal:
            del self.open[job.job_id]
            self.ended[job.state] += 1
        return asked

    def post(self, lines: tuple[LedgerLine, ...]) -> None:
        """A posting reached the ledger."""
        ledger.check(lines)
        for line in lines:
            self._balance[line.account] += line.amount_micros
            self.components[line.account, line.component] += line.amount_micros

    def balance(self, account: Account) -> Micros:
        """What is on the account."""
        return Micros(self._balance[account])

    def check(self) -> None:
        """Assert that nobody is lost and that the ledger is what the attempts make it."""
        assert self.submitted == self.refused.total() + self.ended.total() + len(self.open), "a request is lost"
        if self._exact:
            assert self._balance.total() == 0, f"the ledger is off by {self._balance.total()} micro-dollars"
            bill, bought = self.components[Account.FLEET, BILL], -self._balance[Account.PROVIDER]
            assert bill == bought, f"{bought} micro-dollars are owed for GPUs and {bill} were bought"
            attempts = sum(self.components[Account.GPU_COST, component] for component in ledger.ATTEMPT_COMPONENTS)
            assert attempts == self.cost_micros, "ledger and attempts disagree on cost"
            assert self._balance[Account.REVENUE] == self.charged_micros, "the ledger and the charges disagree"
