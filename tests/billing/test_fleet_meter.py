"""The meter of GPU time: who owns which second, and that nothing is left over."""

from collections import Counter
from collections.abc import Sequence

import pytest

from heliograph.billing.fleet_meter import FleetMeter, closing_of
from heliograph.billing.ledger import check, record_cost
from heliograph.billing.prices import PriceBook, gpu_label
from heliograph.billing.usage_meter import UsageMeter
from heliograph.domain.billing_records import Account, Component, LedgerLine
from heliograph.domain.commands import Command, Dispatch, RecordJob
from heliograph.domain.events import (
    ClockTicked,
    Event,
    GpuArrived,
    GpuGone,
    LossReason,
    ReplicaRequested,
    RunAborted,
    SubmissionAbandoned,
    WorkerLost,
    WorkerReady,
)
from heliograph.domain.ids import GpuId, JobId, ModelId, TenantId, WorkerId
from heliograph.domain.job import AttemptOutcome, JobState
from heliograph.domain.money import Micros
from heliograph.domain.views import Gpu, Market
from heliograph.scheduling.scheduler import run_order
from tests.builders import a_job, an_attempt

BOOK = PriceBook(gpu_hour_micros={"cpu": Micros(3_600_000), "cpu:spot": Micros(360_000)})
"""A dollar per thousand seconds: a second costs 1,000 micro-dollars, on spot 100."""

W = WorkerId("w")


def gpu(name: str = "g", *, market: Market = Market.RESERVED, zone: str = "") -> Gpu:
    return Gpu(gpu_id=GpuId(name), gpu_class="cpu", memory_bytes=1, market=market, zone=zone)


def requested(*more: str, worker: str = "w", on: str = "g", model: str = "flux") -> ReplicaRequested:
    return ReplicaRequested(
        worker_id=WorkerId(worker),
        gpu_id=GpuId(on),
        model_id=ModelId(model),
        more_gpu_ids=tuple(map(GpuId, more)),
    )


def ready(worker: str = "w") -> WorkerReady:
    return WorkerReady(worker_id=WorkerId(worker), load_s=1.0, memory_bytes=1)


def dispatched() -> Dispatch:
    job = a_job(state=JobState.DISPATCHED, attempt=1)
    return Dispatch(worker_id=W, order=run_order(job, preview_every=0, checkpoint=None, steps_done=0))


def ended(gpu_s: float, *, outcome: AttemptOutcome = AttemptOutcome.SUCCEEDED) -> RecordJob:
    attempt = an_attempt(gpu_s=gpu_s, outcome=outcome)
    return RecordJob(job=a_job(state=JobState.PENDING, attempt=1), cause="test", ended_attempt=attempt)


Step = tuple[float, Event, Sequence[Command]]


def played(steps: Sequence[Step], *gpus: Gpu, until_s: float, since_s: float = 0.0) -> Counter[str]:
    """What each component costs after the steps, in micro-dollars, attempts included; the fleet must be settled."""
    meter = FleetMeter(gpus or [gpu()], BOOK, now_s=since_s)
    lines: list[LedgerLine] = []
    for number, (at_s, event, commands) in enumerate(steps):
        meter.note(event, commands, now_s=at_s)
        for command in commands:
            if isinstance(command, RecordJob) and command.ended_attempt is not None:
                lines += record_cost(command.ended_attempt, command.job, BOOK)
        lines += meter.settle(posting_id=f"p{number}", now_s=at_s)
    lines += meter.settle(posting_id="last", now_s=until_s)
    check([line for line in lines if not line.posting_id.startswith("cat")])
    balance: Counter[Account] = Counter()
    costs: Counter[str] = Counter()
    for line in lines:
        balance[line.account] += line.amount_micros
        if line.account is Account.GPU_COST:
            costs[line.component] += line.amount_micros
    assert balance[Account.FLEET] == 0, "GPU time without an owner"
    assert -balance[Account.PROVIDER] == costs.total()
    return Counter({component: amount for component, amount in costs.items() if amount})


LIFE: list[Step] = [
    (10.0, requested(), []),
    (14.0, ready(), []),
    (20.0, ClockTicked(), [dispatched()]),
]


@pytest.mark.parametrize(
    ("steps", "costs"),
    [
        pytest.param([], {"gpu_empty": 100_000}, id="nothing happens"),
        pytest.param(LIFE[:1], {"gpu_empty": 10_000, "gpu_load": 90_000}, id="it loads for ever"),
        pytest.param(LIFE[:2], {"gpu_empty": 10_000, "gpu_load": 4_000, "gpu_idle": 86_000}, id="it waits"),
        pytest.param(
            [*LIFE, (50.0, RunAborted(job_id=JobId("cat"), attempt=1), [ended(30.0)])],
            {"gpu_empty": 10_000, "gpu_load": 4_000, "gpu_idle": 56_000, "gpu_run": 30_000},
            id="it runs",
        ),
        pytest.param(
            [
                *LIFE,
                (50.0, ClockTicked(), [ended(30.0, outcome=AttemptOutcome.CANCELLED)]),
                (53.0, RunAborted(job_id=JobId("cat"), attempt=1), []),
            ],
            {
                "gpu_empty": 10_000,
                "gpu_load": 4_000,
                "gpu_idle": 53_000,
                "gpu_cancelled": 30_000,
                "gpu_stopping": 3_000,
            },
            id="it stops late",
        ),
        pytest.param(
            [*LIFE, (50.0, WorkerLost(worker_id=W, reason=LossReason.CRASHED), [ended(30.0)])],
            {"gpu_empty": 60_000, "gpu_load": 4_000, "gpu_idle": 6_000, "gpu_run": 30_000},
            id="its worker dies",
        ),
        pytest.param(
            [*LIFE, (20.5, SubmissionAbandoned(job_id=JobId("cat")), [])],
            {"gpu_empty": 10_000, "gpu_load": 4_000, "gpu_idle": 85_500, "gpu_stopping": 500},
            id="its submission is taken back",
        ),
        pytest.param(
            [*LIFE, (50.0, GpuGone(gpu_id=GpuId("g")), [ended(30.0)])],
            {"gpu_empty": 10_000, "gpu_load": 4_000, "gpu_idle": 6_000, "gpu_run": 30_000},
            id="its GPU goes",
        ),
        pytest.param(
            [*LIFE[:2], (15.0, requested(worker="v", model="wan"), []), (25.0, ready("v"), [])],
            {"gpu_empty": 10_000, "gpu_load": 14_000, "gpu_idle": 76_000},
            id="another model loads beside it",
        ),
        pytest.param(
            [*LIFE, (12.0, ClockTicked(), []), (18.0, RunAborted(job_id=JobId("cat"), attempt=1), [ended(0.0)])],
            {"gpu_empty": 10_000, "gpu_load": 4_000, "gpu_idle": 88_000, "gpu_stopping": 6_000},
            id="the clock is set back",
        ),
    ],
)
def test_every_second_has_one_owner(steps: Sequence[Step], costs: dict[str, int]) -> None:
    assert played(steps, until_s=100.0) == costs


def test_a_model_on_two_gpus_owns_both() -> None:
    steps: list[Step] = [
        (0.0, requested("h"), []),
        (5.0, ready(), [dispatched()]),
        (15.0, RunAborted(job_id=JobId("cat"), attempt=1), [ended(20.0)]),
    ]
    assert played(steps, gpu("g"), gpu("h"), until_s=20.0) == {
        "gpu_load": 10_000,
        "gpu_run": 20_000,
        "gpu_idle": 10_000,
    }


def test_spot_has_its_own_price_and_a_gpu_is_billed_from_its_arrival() -> None:
    steps: list[Step] = [(60.0, GpuArrived(gpu=gpu("s", market=Market.SPOT, zone="z")), [])]
    assert played(steps, gpu(), until_s=100.0) == {"gpu_empty": 100_000 + 4_000}


def test_parts_of_micro_dollars_do_not_add_up_to_errors() -> None:
    meter = FleetMeter([gpu()], PriceBook(gpu_hour_micros={"cpu": Micros(50_000)}), now_s=0.0)
    lines: list[LedgerLine] = []
    for second in range(1, 3_601):
        lines += meter.settle(posting_id=f"p{second}", now_s=second * 1.0)
    assert sum(line.amount_micros for line in lines if line.account is Account.GPU_COST) == 50_000
    assert sum(line.quantity for line in lines if line.account is Account.GPU_COST) == 3_600_000_000


def test_a_dead_servers_account_is_closed() -> None:
    bought = closing_of(Micros(700), posting_id="c", now_s=1.0)
    assert [(line.account, line.amount_micros) for line in bought] == [(Account.FLEET, -700), (Account.GPU_COST, 700)]
    owed = closing_of(Micros(-300), posting_id="c", now_s=1.0)
    assert [(line.account, line.amount_micros) for line in owed] == [(Account.PROVIDER, -300), (Account.FLEET, 300)]
    assert closing_of(Micros(0), posting_id="c", now_s=1.0) == ()


@pytest.mark.parametrize(
    ("parts", "label"),
    [
        (("H100", "reserved", ""), "H100"),
        (("H100", "spot", ""), "H100:spot"),
        (("H100", "spot", "us-east-1c"), "H100:spot:us-east-1c"),
        (("H100", "reserved", "us-east-1c"), "H100:reserved:us-east-1c"),
    ],
)
def test_a_price_is_looked_up_from_the_most_exact_to_the_class(parts: tuple[str, str, str], label: str) -> None:
    assert gpu_label(*parts) == label
    book = PriceBook(gpu_hour_micros={"H100": Micros(1)})
    assert book.of_gpu(*parts) == 1
    assert book.overridden(gpu_hour_usd={label: 5.0}).of_gpu(*parts) == 5_000_000


def test_what_is_no_gpu_is_counted_by_owner_and_posted_as_soon_as_it_is_worth_a_micro_dollar() -> None:
    meter = UsageMeter(PriceBook(service_micros={Component.EGRESS: Micros(85_000)}))
    acme = TenantId("acme")
    for _ in range(50):
        meter.add(Component.EGRESS, 100, tenant_id=acme)
    assert meter.settle(posting_id="a", now_s=1.0) == ()  # 5 kB are worth 0.4 micro-dollars
    meter.add(Component.EGRESS, 10**9, tenant_id=acme)
    lines = meter.settle(posting_id="b", now_s=2.0)
    assert [(line.account, line.tenant_id, line.amount_micros, line.quantity) for line in lines] == [
        (Account.PROVIDER, "acme", -85_000, 10**9 + 5_000),
        (Account.SERVICE_COST, "acme", 85_000, 10**9 + 5_000),
    ]
    assert meter.settle(posting_id="c", now_s=3.0) == ()
