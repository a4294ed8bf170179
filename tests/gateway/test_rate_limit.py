"""Token buckets, as a table of calls and times."""

import pytest

from heliograph.domain.ids import TenantId
from heliograph.gateway.rate_limit import SWEEP_EVERY, RateLimiter, RatePolicy, rate_headers, refusal

ANN, BOB = TenantId("ann"), TenantId("bob")
TEN = RatePolicy(name="requests", quota=10)


def test_a_quota_may_be_spent_at_once_and_comes_back_evenly() -> None:
    limiter = RateLimiter()
    burst = [limiter.take(ANN, TEN, now_s=100.0) for _ in range(11)]
    assert [each.remaining for each in burst] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert [each.retry_after_s for each in burst] == [None] * 10 + [pytest.approx(6.0)]
    assert burst[0].full_in_s == pytest.approx(6.0)
    assert limiter.take(ANN, TEN, now_s=105.9).retry_after_s == pytest.approx(0.1)
    assert limiter.take(ANN, TEN, now_s=106.1).retry_after_s is None
    assert limiter.take(ANN, TEN, now_s=106.2).retry_after_s is not None
    later = limiter.take(ANN, TEN, now_s=10_000.0)
    assert (later.remaining, later.retry_after_s) == (9, None)


def test_over_a_long_time_nobody_gets_more_than_the_quota() -> None:
    limiter = RateLimiter()
    taken = sum(limiter.take(ANN, TEN, now_s=step * 0.1).retry_after_s is None for step in range(6_000))
    assert 100 <= taken <= 110, "ten a minute for ten minutes, and the first burst"


def test_tenants_and_policies_do_not_share_a_bucket() -> None:
    limiter = RateLimiter()
    one = RatePolicy(name="submissions", quota=1)
    assert limiter.take(ANN, one, now_s=0.0).retry_after_s is None
    assert limiter.take(ANN, one, now_s=0.0).retry_after_s is not None
    assert limiter.take(BOB, one, now_s=0.0).retry_after_s is None
    assert limiter.take(ANN, TEN, now_s=0.0).retry_after_s is None


def test_a_clock_that_stands_still_or_goes_back_gives_nothing_away() -> None:
    limiter = RateLimiter()
    one = RatePolicy(name="requests", quota=1)
    assert limiter.take(ANN, one, now_s=50.0).retry_after_s is None
    assert limiter.take(ANN, one, now_s=10.0).retry_after_s is not None


def test_buckets_that_are_full_again_are_dropped() -> None:
    limiter = RateLimiter()
    for number in range(SWEEP_EVERY - 1):
        limiter.take(TenantId(f"t{number}"), TEN, now_s=0.0)
    limiter.take(ANN, TEN, now_s=61.0)
    assert len(limiter._buckets) == 1  # pyright: ignore[reportPrivateUsage]


def test_headers_tell_every_policy_and_the_nearest_end() -> None:
    limiter = RateLimiter()
    two = RatePolicy(name="submissions", quota=2)
    headers = rate_headers((limiter.take(ANN, TEN, now_s=0.0), limiter.take(ANN, two, now_s=0.0)))
    assert headers == {
        "RateLimit-Policy": '"requests";q=10;w=60, "submissions";q=2;w=60',
        "RateLimit": '"requests";r=9;t=6, "submissions";r=1;t=30',
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "30.000s",
    }
    assert rate_headers(()) == {}


def test_a_refusal_says_when_to_come_back() -> None:
    limiter = RateLimiter()
    one = RatePolicy(name="submissions", quota=1)
    limiter.take(ANN, one, now_s=0.0)
    error = refusal(limiter.take(ANN, one, now_s=12.0))
    assert (error.code, error.retry_after_s) == ("rate_limit_exceeded", pytest.approx(48.0))
    assert "1 submissions in 60 s" in error.message
