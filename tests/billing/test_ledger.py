"""Which postings follow from which ends."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.billing import PriceBook, charge, check, record_cost
from heliograph.domain.billing_records import Account, LedgerLine
from heliograph.domain.job import AttemptOutcome, Job, JobState
from heliograph.domain.money import Micros
from heliograph.domain.tiers import Tier
from tests import builders
from tests.builders import an_attempt


def a_job(state: JobState = JobState.COMPLETED, *, attempt: int = 1, tier: Tier = Tier.STANDARD) -> Job:
    """Job `cat` on its `attempt`, in `state` since 110 s."""
    return builders.a_job(state=state, attempt=attempt, tier=tier.value, created_at_s=110.0)


BOOK = PriceBook(gpu_hour_micros={"cpu": Micros(3_600_000)}, tier_factor={Tier.PRO: Decimal("1.5")})


def moved(lines: tuple[LedgerLine, ...]) -> list[tuple[str, Account, int]]:
    return [(line.component, line.account, line.amount_micros) for line in lines]


@pytest.mark.parametrize(
    ("outcome", "component"),
    [
        (AttemptOutcome.SUCCEEDED, "gpu_run"),
        (AttemptOutcome.ENGINE_FAILED, "gpu_retry"),
        (AttemptOutcome.WORKER_LOST, "gpu_lost"),
        (AttemptOutcome.SERVER_LOST, "gpu_lost"),
        (AttemptOutcome.CANCELLED, "gpu_cancelled"),
        (AttemptOutcome.EXPIRED, "gpu_cancelled"),
    ],
)
@pytest.mark.parametrize("state", [JobState.PENDING, JobState.POST_PROCESSING, JobState.CANCELLED, JobState.FAILED])
def test_every_ended_attempt_costs_the_operator(outcome: AttemptOutcome, component: str, state: JobState) -> None:
    lines = record_cost(
        an_attempt(gpu_s=2.0, number=3, outcome=outcome, ended_at_s=105.0), a_job(state, attempt=3), BOOK
    )
    assert moved(lines) == [(component, Account.FLEET, -2000), (component, Account.GPU_COST, 2000)]
    assert {(line.posting_id, line.tenant_id, line.at_s) for line in lines} == {("cat:3:cost", "acme", 105.0)}


def test_every_outcome_has_a_component() -> None:
    for outcome in AttemptOutcome:
        assert record_cost(an_attempt(outcome=outcome), a_job(), BOOK)


def test_an_attempt_that_held_no_gpu_posts_nothing() -> None:
    attempt = an_attempt(gpu_s=0.0, gpu_class="unknown", outcome=AttemptOutcome.SERVER_LOST)
    assert record_cost(attempt, a_job(JobState.PENDING), BOOK) == ()


def test_a_completed_job_is_charged_for_its_successful_attempt_at_its_tiers_price() -> None:
    lines = charge(an_attempt(gpu_s=2.0, number=2), a_job(attempt=2, tier=Tier.PRO), BOOK)
    assert moved(lines) == [("image_generation", Account.TENANT, -3000), ("image_generation", Account.REVENUE, 3000)]
    assert {(line.posting_id, line.at_s) for line in lines} == {("cat:charge", 110.0)}


def test_a_free_tier_is_charged_nothing_for_pictures_that_count() -> None:
    book = replace(BOOK, tier_factor={Tier.FREE: Decimal(0)})
    lines = charge(an_attempt(), a_job(tier=Tier.FREE), book)
    assert [(line.amount_micros, line.quantity) for line in lines] == [(0, 1), (0, 1)]


@pytest.mark.parametrize(
    ("attempt", "job"),
    [
        (an_attempt(), a_job(JobState.CANCELLED)),
        (an_attempt(), a_job(JobState.FAILED)),
        (an_attempt(), a_job(JobState.POST_PROCESSING)),
        (an_attempt(outcome=AttemptOutcome.WORKER_LOST), a_job()),
        (an_attempt(number=1), a_job(attempt=2)),
        (an_attempt("other"), a_job()),
    ],
)
def test_nothing_else_can_be_charged(attempt, job) -> None:
    with pytest.raises(AssertionError, match="job cat"):
        charge(attempt, job, BOOK)


def test_a_cost_is_not_posted_to_another_job() -> None:
    with pytest.raises(AssertionError, match="attempt of other"):
        record_cost(an_attempt("other"), a_job(), BOOK)


def test_the_same_fact_makes_the_same_posting() -> None:
    assert charge(an_attempt(), a_job(), BOOK) == charge(an_attempt(), a_job(), BOOK)


ATTEMPTS = st.lists(
    st.tuples(st.floats(0, 1e5), st.sampled_from(AttemptOutcome)).filter(
        lambda a: a[1] is not AttemptOutcome.SUCCEEDED
    ),
    max_size=5,
)


@given(failed=ATTEMPTS, gpu_s=st.floats(0, 1e5), factor=st.decimals(0, 10, places=3), tier=st.sampled_from(Tier))
def test_the_ledger_of_any_life_sums_to_zero_and_charges_the_last_attempt_alone(failed, gpu_s, factor, tier) -> None:
    book = replace(BOOK, tier_factor={tier: factor})
    job = a_job(attempt=len(failed) + 1, tier=tier)
    lines: list[LedgerLine] = []
    for number, (seconds, outcome) in enumerate(failed, start=1):
        lines += record_cost(an_attempt(gpu_s=seconds, number=number, outcome=outcome), job, book)
    last = an_attempt(gpu_s=gpu_s, number=job.attempt)
    lines += [*record_cost(last, job, book), *charge(last, job, book)]

    check(lines)
    totals: Counter[Account] = Counter()
    for line in lines:
        totals[line.account] += line.amount_micros
    assert sum(totals.values()) == 0
    exact_seconds = [Decimal(str(seconds)) for seconds, _ in failed] + [Decimal(str(gpu_s))]
    assert abs(totals[Account.GPU_COST] - sum(exact_seconds) * 1000) <= Decimal("0.5") * len(exact_seconds)
    assert abs(totals[Account.REVENUE] - exact_seconds[-1] * 1000 * factor) <= Decimal("0.5")
    keys = [(line.posting_id, line.line) for line in lines]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"amount_micros": Micros(1)}, "sums to"),
        ({"tenant_id": "other"}, "mixes"),
        ({"line": 5}, "has lines"),
    ],
)
def test_check_finds_a_broken_posting(change, message) -> None:
    first, second = charge(an_attempt(), a_job(), BOOK)
    with pytest.raises(AssertionError, match=message):
        check([first, replace(second, **change)])
