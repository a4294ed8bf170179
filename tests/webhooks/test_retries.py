from dataclasses import replace

import pytest

from heliograph.domain.ids import MessageId
from heliograph.domain.webhooks import MessageState, WebhookTry
from heliograph.webhooks import RetryPolicy, after_try
from heliograph.webhooks.retries import error_of
from tests.storage.stored_samples import a_message

POLICY = RetryPolicy(delays_s=(5.0, 60.0), jitter=0.1)


def tried(status: int | None, *, number: int = 1) -> WebhookTry:
    error = "no answer" if status is None else error_of(status)
    return WebhookTry(message_id=MessageId("m1"), number=number, at_s=100.0, duration_s=2.0, status=status, error=error)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_a_delivery(status: int) -> None:
    before = replace(a_message(), failures=1, last_error="500")
    after = after_try(before, tried(status, number=2), POLICY, retry_after_s=None, luck=0.5)
    expected = replace(before, state=MessageState.DELIVERED, tries=2, ended_at_s=102.0, last_error=None)
    assert (after.message, after.is_gone) == (expected, False)


@pytest.mark.parametrize("status", [None, 302, 400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize(("failures", "luck", "next_at_s"), [(0, 0.0, 107.0), (0, 1.0, 107.5), (1, 0.5, 165.0)])
def test_anything_else_is_tried_again_later(status: int | None, failures: int, luck: float, next_at_s: float) -> None:
    before = replace(a_message(), failures=failures)
    after = after_try(before, tried(status), POLICY, retry_after_s=None, luck=luck).message
    assert (after.state, after.failures, after.next_at_s) == (MessageState.WAITING, failures + 1, next_at_s)
    assert after.last_error == tried(status).error


def test_after_the_last_delay_the_message_is_given_up() -> None:
    after = after_try(replace(a_message(), failures=2), tried(500), POLICY, retry_after_s=None, luck=0.0)
    assert (after.message.state, after.message.ended_at_s, after.is_gone) == (MessageState.GIVEN_UP, 102.0, False)


def test_410_ends_it_at_once() -> None:
    after = after_try(a_message(), tried(410), POLICY, retry_after_s=None, luck=0.0)
    assert (after.message.state, after.message.last_error, after.is_gone) == (MessageState.GIVEN_UP, "410 Gone", True)


@pytest.mark.parametrize(
    ("status", "retry_after_s", "next_at_s"),
    [(429, 30.0, 132.0), (503, 1.0, 107.0), (503, 9e9, 102.0 + 86_400.0), (500, 30.0, 107.0)],
)
def test_an_overloaded_receiver_may_ask_for_more_time(status: int, retry_after_s: float, next_at_s: float) -> None:
    after = after_try(a_message(), tried(status), POLICY, retry_after_s=retry_after_s, luck=0.0)
    assert after.message.next_at_s == next_at_s


def test_errors_read_well() -> None:
    assert error_of(204) is None
    assert error_of(302) == "302: redirects are not followed"
    assert error_of(503) == "503 Service Unavailable"
    assert error_of(599) == "599"
