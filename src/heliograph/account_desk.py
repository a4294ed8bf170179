"""Where accounts meet the store: opening the book, credits, refunds, and usage for other billing systems."""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass

from heliograph.billing.accounts import AccountBook, Standing
from heliograph.billing.costs import By, CostReport, cost_report
from heliograph.billing.ledger import credit, refund
from heliograph.billing.months import month_of
from heliograph.domain.billing_records import Account, LedgerLine
from heliograph.domain.errors import Conflict, NotFound
from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.lifecycle import JobMoved, LifecycleEvent, SoftLimitPassed
from heliograph.domain.money import Micros
from heliograph.storage.store import PostLedger, Store

PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What a credit or refund did: the amount in micro-dollars, 0 for one that had been posted before."""

    amount: Micros
    standing: Standing


class AccountDesk:
    """The accounts of a running server. `on_event` follows its jobs; `sinks` hear of limits that were passed."""

    def __init__(
        self,
        *,
        store: Store,
        book: AccountBook,
        clock: Callable[[], float],
        sinks: Sequence[Callable[[LifecycleEvent], None]] = (),
    ) -> None:
        self.book = book
        self._store = store
        self._clock = clock
        self._sinks = sinks

    async def open(self) -> None:
        """Read the ledger, where plans bound anybody. Jobs that are open already hold nothing; they count once they are
        charged.
        """
        if self.book.has_plans:
            await self._fill(self.book)

    async def _fill(self, book: AccountBook) -> None:
        now_s = self._clock()
        month = await self._store.ledger_totals(since_s=month_of(now_s).begin_s, until_s=float("inf"))
        ever = await self._store.ledger_totals(since_s=0.0, until_s=float("inf"))
        book.open(month=month, ever=ever, now_s=now_s)

    def on_event(self, event: LifecycleEvent) -> None:
        """A job that ended holds nothing any more, and may have been charged."""
        if not isinstance(event, JobMoved) or not event.record.job.state.is_terminal:
            return
        job, charged = event.record.job, Micros(event.cost_micros)
        self.book.release(job.job_id, job.tenant_id)
        if event.record.charged_attempt is None or not self.book.has_plans:
            return
        pictures = job.request.image_count
        if self.book.charged(job.tenant_id, charged, pictures=pictures, now_s=self._clock()):
            for sink in self._sinks:
                sink(SoftLimitPassed(tenant_id=job.tenant_id))

    async def standing(self, tenant_id: TenantId) -> Standing:
        """The tenant's account now."""
        return (await self._filled()).standing(tenant_id, now_s=self._clock())

    async def standings(self, also: Iterable[TenantId]) -> tuple[Standing, ...]:
        """The accounts of whoever was ever charged or credited or has a plan, and of those named, by name."""
        book = await self._filled()
        tenants = sorted({*book.tenants(), *also})
        return tuple(book.standing(tenant_id, now_s=self._clock()) for tenant_id in tenants)

    async def _filled(self) -> AccountBook:
        """The book; where no plan bounds anybody nobody keeps it, and the ledger is read anew."""
        if self.book.has_plans:
            return self.book
        book = AccountBook()
        await self._fill(book)
        return book

    async def costs(self, by: By, *, since_s: float, until_s: float) -> CostReport:
        """What was spent in that time, by model, tenant, tier or component."""
        totals = await self._store.ledger_totals(since_s=since_s, until_s=until_s)
        return cost_report(totals, by=by, since_s=since_s, until_s=until_s)

    async def credit(self, tenant_id: TenantId, amount: Micros, *, credit_id: str) -> Posted:
        """Post a credit, once for each `credit_id`. Raises `Conflict` when that was used for another amount."""
        posting_id = f"credit:{tenant_id}:{credit_id}"
        earlier = await self._store.posting(posting_id)
        if earlier:
            posted = sum(line.amount_micros for line in earlier if line.account is Account.TENANT)
            if posted != amount:
                raise Conflict(
                    f"Credit {credit_id} was posted before, with another amount; use a new id for a new credit.",
                    code="credit_mismatch",
                    param="id",
                )
            return Posted(amount=Micros(0), standing=await self.standing(tenant_id))
        now_s = self._clock()
        lines = credit(tenant_id, amount, posting_id=posting_id, at_s=now_s)
        await self._store.commit([PostLedger(lines=lines)])
        self.book.credited(tenant_id, amount, now_s=now_s)
        return Posted(amount=amount, standing=await self.standing(tenant_id))

    async def refund(self, job_id: JobId) -> Posted:
        """Give back what a job was charged, once. Raises `NotFound` for a job that there is not."""
        stored = await self._store.job(job_id)
        if stored is None:
            raise NotFound(f"There is no job {job_id}.", param="job_id")
        job = stored.job
        lines = await self._store.ledger(job_id)
        owed = Micros(sum(line.amount_micros for line in lines if line.account is Account.REVENUE))
        if owed > 0:
            now_s = self._clock()
            await self._store.commit([PostLedger(lines=refund(job, owed, at_s=now_s))])
            self.book.charged(job.tenant_id, Micros(-owed), pictures=0, now_s=now_s)
        return Posted(amount=owed, standing=await self.standing(job.tenant_id))


async def usage(store: Store, *, since_s: float, until_s: float) -> AsyncGenerator[LedgerLine]:
    """Every charge and refund of that time, oldest first, as the ledger's lines on `revenue`."""
    after = (since_s, "")
    while True:
        page = await store.revenue_lines(after=after, until_s=until_s, limit=PAGE)
        for line in page:
            yield line
        if len(page) < PAGE:
            return
        after = (page[-1].at_s, page[-1].posting_id)
