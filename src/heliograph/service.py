"""What callers can ask for, whatever protocol they speak: the HTTP façades and the command line both stand on this.

It joins the stages for one request (prepare, route, submit) and answers questions about jobs. Tenants are kept apart
here: a job or picture of another tenant is `NotFound`, exactly like one that never was.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from heliograph.domain.accounts import Caller
from heliograph.domain.ids import JobId, OutputId
from heliograph.domain.pictures import Output
from heliograph.domain.views import JobStatus, ModelStatus
from heliograph.live import Update
from heliograph.prompts.raw import RawRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One request as it arrived: unchecked parameters and where they came from.

    `deadline_s` is unchecked too. `idempotency_key` is the header's value; `fingerprint` the SHA-256 hex of the
    canonical body and `route` the path it was sent to.
    """

    raw: RawRequest
    deadline_s: object | None = None
    end_user: str | None = None
    route: str = "cli"
    idempotency_key: str | None = None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether jobs can be taken now, and what is wrong otherwise, by part."""

    is_ready: bool
    problems: Mapping[str, str]


class Service(Protocol):
    """Raises the errors of `domain.errors`."""

    async def submit(self, submission: Submission, *, caller: Caller) -> JobStatus:
        """A durable job (or the earlier one of the same idempotency key)."""
        ...

    async def status(self, job_id: JobId, *, caller: Caller) -> JobStatus:
        """The job as it is now."""
        ...

    async def jobs(self, *, caller: Caller, limit: int, before: int | None) -> tuple[JobStatus, ...]:
        """The tenant's jobs, newest first, with a sequence below `before`."""
        ...

    async def cancel(self, job_id: JobId, *, caller: Caller) -> JobStatus:
        """The job after cancelling; one that has ended is left as it is."""
        ...

    def watch(self, job_id: JobId, *, caller: Caller) -> AbstractAsyncContextManager[AsyncIterator[Update]]:
        """Updates from now on: first a `StatusUpdate` with the present state; ends after the terminal one."""
        ...

    async def wait(self, job_id: JobId, *, caller: Caller, timeout_s: float) -> JobStatus:
        """The job once it has ended. Raises `Timeout` when that takes longer."""
        ...

    async def output(self, output_id: OutputId, *, caller: Caller | None) -> Output:
        """A delivered picture's record; `caller` is None when a signed link stands in for a key."""
        ...

    async def read_blob(self, name: str, *, start: int, length: int | None) -> bytes:
        """Bytes of a delivered picture or thumbnail."""
        ...

    async def blob_size(self, name: str) -> int:
        """Number of bytes of a delivered picture or thumbnail."""
        ...

    def models(self) -> tuple[ModelStatus, ...]:
        """The catalogue as this installation sees it."""
        ...

    def style_names(self, model_id: str) -> tuple[str, ...]:
        """Names of the style presets that suit a model."""
        ...

    def readiness(self) -> Readiness:
        """Whether jobs can be taken now."""
        ...
