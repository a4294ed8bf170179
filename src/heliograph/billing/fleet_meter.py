"""The fleet's meter: every microsecond of every GPU has exactly one owner, and the sum of all is the bill.

It watches the same events and commands as everybody else and keeps, for each GPU, what it does now. In order of
precedence a GPU belongs to

    the attempt that holds it      posted by `ledger.record_cost` when the attempt ends
    `gpu_stopping`                 a worker that is still busy with what was called off
    `gpu_load`                     a model being loaded
    `gpu_idle`                     a model that is loaded and has nothing to do
    `gpu_empty`                    nothing

Workers on one GPU take turns, so no two attempts ever hold it at once. `settle` posts what has come together since the
last time: the bill (`provider` to `fleet`) and the owners (`fleet` to `gpu_cost`). What is left on `fleet` afterwards
is the time of the attempts that still run, so at rest it is zero. `closing_of` makes it zero after a process that was
killed.

Money is rounded on running totals, never on their parts: the bill of a GPU is its price times all its time, rounded
once, and what was posted before is taken off. So parts cannot drift away from the whole. Attempts are rounded one by
one; the difference, at most half a micro-dollar each, is posted as `rounding`, and more than that is a bug.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import count

from heliograph.billing.ledger import check
from heliograph.billing.meter import gpu_cost_micros
from heliograph.billing.prices import PriceBook, gpu_label
from heliograph.domain.billing_records import NO_JOB, NO_TENANT, Account, LedgerLine
from heliograph.domain.commands import Command, Dispatch, RecordJob
from heliograph.domain.events import (
    ClockTicked,
    Event,
    GpuArrived,
    GpuGone,
    ImagesReady,
    ReplicaRequested,
    RunAborted,
    RunFailed,
    RunPaused,
    StepDone,
    SubmissionAbandoned,
    WorkerLost,
    WorkerReady,
)
from heliograph.domain.ids import GpuId, JobId, ModelId, WorkerId
from heliograph.domain.job import Attempt
from heliograph.domain.money import Micros
from heliograph.domain.views import Gpu

BILL = "gpu_hours"
STOPPING, LOAD, IDLE, EMPTY = "gpu_stopping", "gpu_load", "gpu_idle", "gpu_empty"
ROUNDING, CLOCK_STEP = "rounding", "clock_step"
CLOCK_ERROR_US_MAX = 100
"""An attempt and the meter may differ by so much in its length: both round to microseconds, once or once per GPU. More
is a clock that was set while it ran, and is written down as that."""
UNMETERED = "gpu_unmetered"
"""What the ledger of a server that was killed had bought and not yet given an owner."""

_HOUR_US = Decimal(3_600_000_000)

_Run = tuple[JobId, int]
_Part = tuple[str, ModelId | None]


@dataclass(slots=True)
class _Worker:
    """One worker. `is_over`: the attempt it is busy with has ended, and it has not noticed yet. `held_us` is the
    GPU-time of the attempt that it runs.
    """

    model_id: ModelId
    gpu_ids: tuple[GpuId, ...]
    is_ready: bool = False
    run: _Run | None = None
    is_over: bool = False
    held_us: int = 0


@dataclass(slots=True)
class _Metered:
    """One GPU. Its time is accounted for until `since_us`."""

    label: str
    since_us: int
    workers: list[_Worker] = field(default_factory=list[_Worker])


@dataclass(slots=True)
class _Total:
    """Time that came together, in microseconds, and what was posted of it: of the time, and in micro-dollars."""

    time_us: int = 0
    posted_us: int = 0
    posted: int = 0

    def rest(self, hour_micros: Micros) -> tuple[int, int]:
        """What is to be posted now, in micro-dollars and microseconds; it counts as posted."""
        total = int((Decimal(self.time_us) * hour_micros / _HOUR_US).to_integral_value(rounding=ROUND_HALF_EVEN))
        rest, rest_us = total - self.posted, self.time_us - self.posted_us
        if rest:
            self.posted, self.posted_us = total, self.time_us
        return rest, rest_us


@dataclass(slots=True)
class _Kind:
    """All GPUs with one label. `attempts` is what attempts cost since the last settlement, `ended` their number."""

    bill: _Total = field(default_factory=_Total)
    held: _Total = field(default_factory=_Total)
    parts: dict[_Part, _Total] = field(default_factory=dict[_Part, _Total])
    attempts: int = 0
    ended: int = 0

    def add(self, component: str, model_id: ModelId | None, time_us: int) -> None:
        """So much time belongs to this."""
        part = self.parts.get((component, model_id))
        if part is None:
            part = self.parts[component, model_id] = _Total()
        part.time_us += time_us


@dataclass(frozen=True, slots=True)
class _Move:
    source: Account
    target: Account
    component: str
    model_id: ModelId | None
    label: str
    amount: int
    quantity: int


class FleetMeter:
    """Owns the account of every GPU. `gpus` are there since `now_s`."""

    def __init__(self, gpus: Iterable[Gpu], prices: PriceBook, *, now_s: float) -> None:
        self._prices = prices
        self._gpus: dict[GpuId, _Metered] = {}
        self._workers: dict[WorkerId, _Worker] = {}
        self._runs: dict[_Run, _Worker] = {}
        self._kinds: dict[str, _Kind] = {}
        for gpu in gpus:
            self._add(gpu, now_s)

    def note(self, event: Event, commands: Sequence[Command], *, now_s: float) -> None:
        """Fold in a fact and what the scheduler decided because of it."""
        if isinstance(event, StepDone | ClockTicked) and not commands:
            return
        for command in commands:
            if isinstance(command, RecordJob) and command.ended_attempt is not None and command.ended_attempt.gpu_s:
                self._end(command.ended_attempt, now_s)
        self._fold(event, now_s)
        for command in commands:
            if isinstance(command, Dispatch):
                self._begin(command, now_s)

    def settle(self, *, posting_id: str, now_s: float) -> tuple[LedgerLine, ...]:
        """The posting of everything since the last settlement; empty for nothing.

        Asserts that the time of the attempts that were posted is the time they held their GPUs.
        """
        self._turn(self._gpus, now_s)
        held_us: Counter[str] = Counter()
        for worker in self._workers.values():
            if worker.gpu_ids:
                held_us[self._gpus[worker.gpu_ids[0]].label] += worker.held_us
        moves: list[_Move] = []
        for label, kind in self._kinds.items():
            hour_micros = self._prices.of_label(label)
            bill, bill_us = kind.bill.rest(hour_micros)
            moves.append(_Move(Account.PROVIDER, Account.FLEET, BILL, None, label, bill, bill_us))
            kind.held.time_us = held_us[label]
            rest = bill - kind.held.rest(hour_micros)[0] - kind.attempts
            for (component, model_id), part in kind.parts.items():
                amount, part_us = part.rest(hour_micros)
                rest -= amount
                moves.append(_Move(Account.FLEET, Account.GPU_COST, component, model_id, label, amount, part_us))
            assert abs(rest) <= 2 + len(kind.parts) + kind.ended, f"{label}: {rest} micro-dollars have no owner"
            moves.append(_Move(Account.FLEET, Account.GPU_COST, ROUNDING, None, label, rest, 0))
            kind.attempts = kind.ended = 0
        lines = tuple(_lines(moves, posting_id, now_s))
        check(lines)
        return lines

    # --- what happens ------------------------------------------------------------------------------------------------

    def _fold(self, event: Event, now_s: float) -> None:
        match event:
            case ReplicaRequested(worker_id=worker_id):
                gpu_ids = (event.gpu_id, *event.more_gpu_ids)
                if worker_id not in self._workers and all(gpu_id in self._gpus for gpu_id in gpu_ids):
                    self._turn(gpu_ids, now_s)
                    worker = self._workers[worker_id] = _Worker(model_id=event.model_id, gpu_ids=gpu_ids)
                    for gpu_id in gpu_ids:
                        self._gpus[gpu_id].workers.append(worker)
            case WorkerReady(worker_id=worker_id):
                worker = self._workers.get(worker_id)
                if worker is not None:
                    self._turn(worker.gpu_ids, now_s)
                    worker.is_ready = True
            case WorkerLost(worker_id=worker_id):
                worker = self._workers.pop(worker_id, None)
                if worker is not None:
                    self._let_go(worker, now_s)
                    for gpu_id in worker.gpu_ids:
                        self._gpus[gpu_id].workers.remove(worker)
            case (
                ImagesReady(job_id=job_id, attempt=attempt)
                | RunFailed(job_id=job_id, attempt=attempt)
                | RunAborted(job_id=job_id, attempt=attempt)
                | RunPaused(job_id=job_id, attempt=attempt)
            ):
                worker = self._runs.get((job_id, attempt))
                if worker is not None:
                    self._let_go(worker, now_s)
            case SubmissionAbandoned(job_id=job_id):
                for run in [run for run in self._runs if run[0] == job_id]:
                    self._let_go(self._runs[run], now_s)
            case GpuArrived(gpu=gpu):
                if gpu.gpu_id not in self._gpus:
                    self._add(gpu, now_s)
            case GpuGone(gpu_id=gpu_id):
                self._remove(gpu_id, now_s)
            case _:
                pass

    def _add(self, gpu: Gpu, now_s: float) -> None:
        label = gpu_label(gpu.gpu_class, gpu.market.value, gpu.zone)
        self._prices.of_label(label)
        self._gpus[gpu.gpu_id] = _Metered(label=label, since_us=_micros(now_s))
        self._kinds.setdefault(label, _Kind())

    def _remove(self, gpu_id: GpuId, now_s: float) -> None:
        """The GPU went, and every worker that held it has nothing more to do; their loss is noticed later."""
        metered = self._gpus.get(gpu_id)
        if metered is None:
            return
        self._turn((gpu_id,), now_s)
        for worker in metered.workers:
            self._let_go(worker, now_s)
            worker.gpu_ids = tuple(other for other in worker.gpu_ids if other != gpu_id)
        del self._gpus[gpu_id]

    def _begin(self, command: Dispatch, now_s: float) -> None:
        worker = self._workers.get(command.worker_id)
        if worker is not None and worker.gpu_ids:
            self._turn(worker.gpu_ids, now_s)
            worker.run, worker.is_over, worker.held_us = (command.order.job_id, command.order.attempt), False, 0
            self._runs[worker.run] = worker

    def _end(self, attempt: Attempt, now_s: float) -> None:
        """The attempt is posted, so its time has an owner; its worker may not know yet that it is over."""
        worker = self._runs.get((attempt.job_id, attempt.number))
        assert worker is not None, f"job {attempt.job_id}: attempt {attempt.number} ran on no worker that is known"
        self._turn(worker.gpu_ids, now_s)
        kind = self._kinds[gpu_label(attempt.gpu_class, attempt.market, attempt.zone)]
        error_us = worker.held_us - _micros(attempt.gpu_s)
        if abs(error_us) > CLOCK_ERROR_US_MAX:
            kind.add(CLOCK_STEP, worker.model_id, error_us)
        worker.is_over, worker.held_us = True, 0
        kind.attempts += gpu_cost_micros(attempt, self._prices)
        kind.ended += 1

    def _let_go(self, worker: _Worker, now_s: float) -> None:
        """The worker is free; what it ran for an attempt that nobody ended has no other owner."""
        self._turn(worker.gpu_ids, now_s)
        if worker.run is None:
            return
        if worker.held_us:
            self._kinds[self._gpus[worker.gpu_ids[0]].label].add(STOPPING, worker.model_id, worker.held_us)
        del self._runs[worker.run]
        worker.run, worker.held_us = None, 0

    def _turn(self, gpu_ids: Iterable[GpuId], now_s: float) -> None:
        """Account for the GPUs' time until now."""
        now_us = _micros(now_s)
        for gpu_id in gpu_ids:
            metered = self._gpus[gpu_id]
            passed_us, metered.since_us = now_us - metered.since_us, now_us
            if passed_us <= 0:  # a clock that was set back takes nothing away
                continue
            kind = self._kinds[metered.label]
            kind.bill.time_us += passed_us
            running = next((worker for worker in metered.workers if worker.run is not None), None)
            if running is not None and not running.is_over:
                running.held_us += passed_us
            else:
                kind.add(*_owner(metered.workers), passed_us)


def closing_of(balance: Micros, *, posting_id: str, now_s: float) -> tuple[LedgerLine, ...]:
    """What brings the account `fleet` to zero that an earlier process left at `balance`. Empty where it is zero.

    Above zero is GPU time that was bought and nobody gets any more: the runs that the process took with it. Below zero
    are attempts that were posted after the last bill: the bill for them.
    """
    source, target, component = (
        (Account.FLEET, Account.GPU_COST, UNMETERED) if balance > 0 else (Account.PROVIDER, Account.FLEET, BILL)
    )
    return tuple(_lines([_Move(source, target, component, None, "", abs(balance), 0)], posting_id, now_s))


def _owner(workers: Sequence[_Worker]) -> _Part:
    """Whose the time of a GPU with these workers is that no attempt has."""
    stopping = next((worker for worker in workers if worker.run is not None), None)
    if stopping is not None:
        return STOPPING, stopping.model_id
    loading = next((worker for worker in workers if not worker.is_ready), None)
    if loading is not None:
        return LOAD, loading.model_id
    return (IDLE, workers[-1].model_id) if workers else (EMPTY, None)


def _lines(moves: Iterable[_Move], posting_id: str, now_s: float) -> Iterator[LedgerLine]:
    number = count()
    for move in moves:
        if move.amount:
            for account, sign in ((move.source, -1), (move.target, 1)):
                yield LedgerLine(
                    posting_id=posting_id,
                    line=next(number),
                    job_id=NO_JOB,
                    tenant_id=NO_TENANT,
                    account=account,
                    component=move.component,
                    amount_micros=Micros(sign * move.amount),
                    at_s=now_s,
                    model_id=move.model_id,
                    gpu=move.label,
                    quantity=move.quantity,
                )


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
