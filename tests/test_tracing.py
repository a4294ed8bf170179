"""Which trace a job belongs to."""

import pytest

from heliograph.domain.ids import JobId
from heliograph.domain.job import JobState
from heliograph.tracing import JOBS_MAX, Call, Trace, TraceBook, current_call, derived_id, parent_of
from tests.builders import a_job
from tests.monitoring.lives import moved

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CAT = JobId("cat")


@pytest.mark.parametrize(
    ("header", "parent"),
    [
        (f"00-{TRACE}-{SPAN}-01", (TRACE, SPAN)),
        (f"  00-{TRACE}-{SPAN}-00 ", (TRACE, SPAN)),
        (f"01-{TRACE}-{SPAN}-01-what-the-future-brings", (TRACE, SPAN)),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-01\r\nX: y", None),
        ("", None),
        ("00-٤-٤-01", None),
    ],
)
def test_only_a_well_formed_header_counts(header: str, parent: tuple[str, str] | None) -> None:
    assert parent_of(header) == parent


def noted(book: TraceBook, call: Call | None, job_id: JobId = CAT) -> None:
    token = current_call.set(call)
    book.note(job_id)
    current_call.reset(token)


def test_a_job_belongs_to_the_trace_of_its_call() -> None:
    book = TraceBook()
    noted(book, Call(request_id="req_1", parent=(TRACE, SPAN)))
    assert book.of(CAT) == Trace(trace_id=TRACE, parent_id=SPAN, request_id="req_1")


def test_else_its_trace_follows_from_its_id() -> None:
    book = TraceBook()
    noted(book, None)
    assert book.of(CAT) == Trace(trace_id=derived_id("cat", 32))
    noted(book, Call(request_id="req_1"))
    assert book.of(CAT) == Trace(trace_id=derived_id("cat", 32), request_id="req_1")


def test_the_book_forgets_jobs_that_ended_and_is_bounded() -> None:
    book = TraceBook()
    for number in range(JOBS_MAX + 1):
        noted(book, Call(request_id="req_1", parent=(TRACE, SPAN)), JobId(f"job{number}"))
    assert book.of(JobId("job0")).request_id is None
    assert book.of(JobId("job1")).request_id == "req_1"
    book.hear(moved(a_job("job1", state=JobState.COMPLETED), JobState.POST_PROCESSING))
    assert book.of(JobId("job1")).request_id is None
