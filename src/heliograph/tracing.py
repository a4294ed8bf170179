"""Which trace a job belongs to: the caller's, where the call brought one, else one that follows from the job's id.

A call may bring W3C's `traceparent`. The gateway puts it, with the request's id, into a context variable; whoever makes
a job of the call notes it in the `TraceBook`. The book lives in memory: after a restart a job's trace is the one that
follows from its id, which everybody can work out.
"""

import hashlib
import re
from collections import OrderedDict
from contextvars import ContextVar
from dataclasses import dataclass

from heliograph.domain.ids import JobId
from heliograph.domain.lifecycle import JobMoved, LifecycleEvent

JOBS_MAX = 20_000
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """`trace_id` are 32 hexadecimal digits. `parent_id`, 16 of them, is the caller's span, None where there is none;
    `request_id` that of the call the job came with, None where it is not known any more."""

    trace_id: str
    parent_id: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The call that is being answered. `parent` are trace id and span id as its `traceparent` has them."""

    request_id: str
    parent: tuple[str, str] | None = None


current_call: ContextVar[Call | None] = ContextVar("heliograph_call", default=None)


def parent_of(traceparent: str) -> tuple[str, str] | None:
    """Trace id and span id of the header; None for one that is missing, malformed or all zeros."""
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    if found is None or traceparent.startswith("ff"):
        return None
    trace_id, span_id = found.group(1), found.group(2)
    return None if not int(trace_id, 16) or not int(span_id, 16) else (trace_id, span_id)


class TraceBook:
    """Traces of open jobs; beyond `JOBS_MAX` the oldest is forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[JobId, Trace] = OrderedDict()

    def note(self, job_id: JobId) -> None:
        """The job comes with the call that is being answered."""
        call = current_call.get()
        if call is None:
            return
        trace_id, parent_id = call.parent or (derived_id(job_id, 32), None)
        self._known[job_id] = Trace(trace_id=trace_id, parent_id=parent_id, request_id=call.request_id)
        if len(self._known) > JOBS_MAX:
            self._known.popitem(last=False)

    def of(self, job_id: JobId) -> Trace:
        """The job's trace."""
        return self._known.get(job_id) or Trace(trace_id=derived_id(job_id, 32))

    def hear(self, event: LifecycleEvent) -> None:
        """Forget a job that has ended; the last of all sinks, so that those before it could still ask."""
        if isinstance(event, JobMoved) and event.record.job.state.is_terminal:
            self._known.pop(event.record.job.job_id, None)


def derived_id(name: str, digits: int) -> str:
    """Hexadecimal digits that follow from the name."""
    return hashlib.sha256(name.encode()).hexdigest()[:digits]
