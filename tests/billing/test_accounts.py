"""Plans: what is refused before it is made, and what is set aside meanwhile."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.billing.accounts import AccountBook, Plan
from heliograph.billing.months import month_of
from heliograph.billing.prices import PriceBook
from heliograph.billing.quote import FREE_OF_CHARGE, quote
from heliograph.domain.billing_records import Account, LedgerTotal
from heliograph.domain.errors import Overloaded
from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.money import Micros
from heliograph.domain.tiers import Tier

ACME, ZOO = TenantId("acme"), TenantId("zoo")
NOW_S = datetime(2026, 11, 25, 9, tzinfo=UTC).timestamp()
DECEMBER_S = datetime(2026, 12, 1, tzinfo=UTC).timestamp()


def a_book(**plan: object) -> AccountBook:
    return AccountBook({"starter": Plan(name="starter", **plan)}, {ACME: "starter"})  # type: ignore[arg-type]


def hold(book: AccountBook, name: str, price: int = 0, pictures: int = 1, *, now_s: float = NOW_S) -> None:
    book.hold(JobId(name), ACME, price=Micros(price), pictures=pictures, now_s=now_s)


def test_pictures_on_order_count_until_their_job_has_ended() -> None:
    book = a_book(pictures_max=3)
    hold(book, "a", pictures=2)
    with pytest.raises(Overloaded, match=r"3 pictures a month; 0 are made and 2 on order.*2026-12-01") as refused:
        hold(book, "b", pictures=2)
    assert (refused.value.code, refused.value.retry_after_s) == ("insufficient_quota", None)
    book.release(JobId("a"), ACME)  # it failed
    hold(book, "b", pictures=2)
    book.release(JobId("b"), ACME)
    book.charged(ACME, Micros(0), pictures=2, now_s=NOW_S)
    with pytest.raises(Overloaded, match="2 are made and 0 on order"):
        hold(book, "c", pictures=2)
    hold(book, "c", pictures=1)


def test_dollars_are_bounded_by_what_is_charged_and_on_order() -> None:
    book = a_book(hard_micros=Micros(100))
    hold(book, "a", 60)
    with pytest.raises(Overloaded, match="expected to cost"):
        hold(book, "b", 41)
    book.release(JobId("a"), ACME)
    book.charged(ACME, Micros(70), pictures=1, now_s=NOW_S)
    hold(book, "b", 30)
    assert book.standing(ACME, now_s=NOW_S).held == 30


def test_a_prepaid_plan_sells_what_there_is_credit_for() -> None:
    book = a_book(is_prepaid=True)
    with pytest.raises(Overloaded, match="prepaid"):
        hold(book, "a", 0)
    book.credited(ACME, Micros(100), now_s=NOW_S)
    hold(book, "a", 80)
    with pytest.raises(Overloaded, match="prepaid"):
        hold(book, "b", 21)
    book.release(JobId("a"), ACME)
    book.charged(ACME, Micros(90), pictures=1, now_s=NOW_S)
    assert book.standing(ACME, now_s=NOW_S).balance == 10


def test_a_new_month_starts_anew_and_credit_stays() -> None:
    book = a_book(pictures_max=1, hard_micros=Micros(10))
    book.credited(ACME, Micros(50), now_s=NOW_S)
    book.charged(ACME, Micros(10), pictures=1, now_s=DECEMBER_S - 1)
    with pytest.raises(Overloaded):
        hold(book, "a", now_s=DECEMBER_S - 1)
    hold(book, "a", 10, now_s=DECEMBER_S)
    standing = book.standing(ACME, now_s=DECEMBER_S)
    assert (standing.month, standing.charged, standing.pictures, standing.balance) == ("2026-12", 0, 0, 40)


def test_a_clock_that_is_set_back_gives_no_month_back() -> None:
    book = a_book(pictures_max=1)
    book.charged(ACME, Micros(0), pictures=1, now_s=DECEMBER_S)
    with pytest.raises(Overloaded):
        hold(book, "a", now_s=NOW_S)


def test_the_soft_limit_refuses_nothing_and_is_told_once_a_month() -> None:
    book = a_book(soft_micros=Micros(10))
    assert [book.charged(ACME, Micros(6), pictures=1, now_s=NOW_S) for _ in range(3)] == [False, True, False]
    assert book.standing(ACME, now_s=NOW_S).is_past_soft_limit
    hold(book, "a", 1_000_000)
    assert book.charged(ACME, Micros(10), pictures=1, now_s=DECEMBER_S)


def test_others_are_not_bounded_by_it() -> None:
    book = a_book(pictures_max=0)
    book.hold(JobId("a"), ZOO, price=Micros(10**9), pictures=10, now_s=NOW_S)
    with pytest.raises(Overloaded):
        hold(book, "b")


def test_the_book_goes_on_from_the_ledger() -> None:
    def total(account: Account, component: str, amount: int, quantity: int = 0) -> LedgerTotal:
        return LedgerTotal(
            account=account,
            component=component,
            tenant_id=ACME,
            model_id=None,
            tier=None,
            gpu="",
            amount_micros=Micros(amount),
            quantity=quantity,
            lines=1,
        )

    month = [total(Account.REVENUE, "image_generation", 30, 3), total(Account.REVENUE, "refund", -10)]
    ever = [total(Account.TENANT, "image_generation", -80), total(Account.TENANT, "credit", 100)]
    book = a_book(pictures_max=4)
    book.open(month=month, ever=[*ever, *month], now_s=NOW_S)
    standing = book.standing(ACME, now_s=NOW_S)
    assert (standing.charged, standing.pictures, standing.balance) == (20, 3, 20)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.booleans()), max_size=30))
def test_no_order_of_events_sells_more_than_the_plan(orders: list[tuple[int, int, bool]]) -> None:
    book = a_book(pictures_max=10, hard_micros=Micros(100))
    charged = pictures = 0
    for number, (price, count, ends_well) in enumerate(orders):
        try:
            hold(book, str(number), price, count)
        except Overloaded:
            continue
        if ends_well:
            book.release(JobId(str(number)), ACME)
            book.charged(ACME, Micros(price), pictures=count, now_s=NOW_S)
            charged, pictures = charged + price, pictures + count
    assert charged <= 100
    assert pictures <= 10


@pytest.mark.parametrize(
    ("moment", "name", "days"),
    [((2026, 1, 1), "2026-01", 31), ((2028, 2, 29), "2028-02", 29), ((2026, 12, 31), "2026-12", 31)],
)
def test_months_are_the_calendars(moment: tuple[int, int, int], name: str, days: int) -> None:
    month = month_of(datetime(*moment, 23, 59, tzinfo=UTC).timestamp())
    assert (month.name, month.end_s - month.begin_s) == (name, days * 86_400)
    assert month_of(month.end_s).begin_s == month.end_s


def test_a_quote_is_the_mean_of_the_gpus_it_may_run_on() -> None:
    prices = PriceBook(gpu_hour_micros={"a": Micros(3_600_000_000), "b": Micros(1_800_000_000)})
    found = quote([("a", "reserved", "", 0.001), ("b", "spot", "z", 0.001)], Tier.STANDARD, prices)
    assert (found.expected, found.low, found.high) == (750, 500, 1000)
    assert quote([], Tier.STANDARD, prices) == FREE_OF_CHARGE
    dearer = replace(prices, tier_factor={Tier.PRO: 2})  # type: ignore[dict-item]
    assert quote([("a", "reserved", "", 0.001)], Tier.PRO, dearer).expected == 2000
