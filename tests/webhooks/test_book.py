"""From a job's moves to the messages about them."""

from dataclasses import replace
from itertools import pairwise

import pytest

from heliograph.domain.commands import RecordJob
from heliograph.domain.job import Failure, Job, JobState
from heliograph.domain.webhooks import JOB_EVENTS, PREDICTION_EVENTS, JobWebhook, WebhookEvent
from heliograph.webhooks import EndpointBook, as_of
from heliograph.webhooks.book import target_of
from tests.builders import a_job, an_attempt
from tests.storage.stored_samples import an_endpoint

EVERYTHING = (*JOB_EVENTS, *PREDICTION_EVENTS)
HOOK = JobWebhook(url="https://example.com/hook", events=EVERYTHING)

SMOOTH = ("pending", "dispatched", "running", "post_processing", "completed")
BUMPY = ("pending", "dispatched", "running", "pending", "dispatched", "running", "post_processing", "pending",
         "dispatched", "running", "post_processing", "completed")  # fmt: skip


def life(*states: str, **job: object) -> list[Job]:
    """The job after each of its moves, one second apart."""
    moved = a_job(**{"webhook": HOOK, "timeline": (), **job})  # pyright: ignore[reportArgumentType]
    moved = replace(moved, timeline=a_job().timeline[:1])
    lives = [moved]
    for at_s, (_, state) in enumerate(pairwise(states), start=1):
        failure = Failure(code="x", message="It broke.") if state in ("failed", "expired", "cancelled") else None
        attempt = moved.attempt + (state == "dispatched")
        moved = replace(moved.moved(JobState(state), now_s=float(at_s), failure=failure), attempt=attempt)
        lives.append(moved)
    return lives


def news(lives: list[Job], book: EndpointBook | None = None) -> list[str]:
    book = book or EndpointBook()
    return [message.event.value for job in lives for message in book.messages(RecordJob(job=job, cause="x"))]


@pytest.mark.parametrize("states", [SMOOTH, BUMPY])
def test_each_event_happens_once_however_often_the_job_is_tried(states: tuple[str, ...]) -> None:
    assert news(life(*states)) == [
        "job.submitted",
        "job.started",
        "start",
        "logs",
        "job.completed",
        "output",
        "completed",
    ]


@pytest.mark.parametrize("ending", ["failed", "cancelled", "expired"])
@pytest.mark.parametrize("way", [("pending",), ("pending", "dispatched"), SMOOTH[:-1]])
def test_every_other_ending_is_told_too(way: tuple[str, ...], ending: str) -> None:
    assert news(life(*way, ending))[-2:] == [f"job.{ending}", "completed"]


def test_only_what_somebody_wants_to_hear_becomes_a_message() -> None:
    hers = replace(an_endpoint("we_1", tenant="acme"), disabled_at_s=None)
    book = EndpointBook(
        [
            hers,
            replace(an_endpoint("we_2", tenant="acme"), disabled_at_s=5.0),
            replace(an_endpoint("we_3", tenant="bob"), disabled_at_s=None),
        ]
    )
    lives = life(*SMOOTH, tenant="acme", webhook=None)
    assert news(lives, book) == ["job.completed"]
    book.put(replace(hers, events=JOB_EVENTS))
    assert news(lives, book) == ["job.submitted", "job.started", "job.completed"]
    book.drop(hers)
    assert news(lives, book) == []
    assert book.get(hers.tenant_id, "we_1") is None


def test_a_message_keeps_its_ids_and_an_event_is_the_same_for_every_target() -> None:
    endpoint = replace(an_endpoint("we_1", tenant="acme"), disabled_at_s=None)
    book = EndpointBook([endpoint])
    record = RecordJob(job=life(*SMOOTH, tenant="acme")[-1], cause="completed")
    first, again = book.messages(record), book.messages(record)
    assert first == again
    to_endpoint, to_job = (message for message in first if message.event is WebhookEvent.JOB_COMPLETED)
    assert to_endpoint.event_id == to_job.event_id
    assert to_endpoint.message_id != to_job.message_id
    assert (to_endpoint.target, to_job.target) == ("we_1", "https://example.com")
    assert to_endpoint.at_s == to_endpoint.next_at_s == record.job.timeline[-1].at_s
    assert len({message.event_id for message in first}) == len({message.event for message in first})


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://Example.com", "https://example.com"),
        ("https://example.com:8443/a?b=https://c", "https://example.com:8443"),
        ("http://[fd00::1]:80?x", "http://[fd00::1]:80"),
    ],
)
def test_what_goes_to_one_server_is_one_target(url: str, target: str) -> None:
    assert target_of(url) == target


@pytest.mark.parametrize("states", [SMOOTH, BUMPY, (*BUMPY[:-1], "failed"), ("pending", "expired")])
def test_an_event_is_told_with_the_job_as_it_was(states: tuple[str, ...]) -> None:
    lives = life(*states)
    book = EndpointBook()
    for then in lives:
        for message in book.messages(RecordJob(job=then, cause="x")):
            if message.event is not WebhookEvent.PREDICTION_OUTPUT:
                assert as_of(lives[-1], message.event) == then, message.event


def test_the_output_of_a_prediction_comes_before_its_end() -> None:
    lives = life(*SMOOTH)
    assert as_of(lives[-1], WebhookEvent.PREDICTION_OUTPUT) == lives[-2]


def test_the_operator_hears_of_every_charge_and_of_nothing_else() -> None:
    book = EndpointBook()
    book.put(replace(an_endpoint("we_usage", tenant=""), events=(WebhookEvent.USAGE_RECORDED,), disabled_at_s=None))
    *moves, done = life(*SMOOTH, webhook=None)
    assert [message for job in moves for message in book.messages(RecordJob(job=job, cause="x"))] == []
    charged = RecordJob(job=done, cause="completed", charged_attempt=an_attempt())
    (message,) = book.messages(charged)
    assert (message.event, message.target, message.tenant_id) == (WebhookEvent.USAGE_RECORDED, "we_usage", "")
    assert book.messages(charged) == (message,), "a move that is recorded again adds nothing"
    assert book.messages(RecordJob(job=done, cause="completed")) == ()
