"""Whose fault it is. Expected outcomes are values (`NoRoute`, `Verdict`); these are for everything else.

    HeliographError
    ├── CallerError             the caller can mend it; the message says how
    │   ├── InvalidRequest      a field is wrong, unknown or unsupported
    │   │   └── PromptRefused   the content policy is against it
    │   ├── AuthenticationError no key, or one we do not know
    │   ├── PermissionDenied    a known key that may not do this
    │   ├── NotFound            no such job, output or model (or not this tenant's)
    │   └── Conflict            the request contradicts an earlier one
    └── WorldError              nobody's request is wrong
        ├── Overloaded          a bound is reached; retry after a while
        ├── Unavailable         a part we need is missing: disk full, store gone, shutting down
        ├── Superseded          another server has taken over: this one must end
        ├── Timeout             the answer did not come within the caller's limit
        └── EngineError         inference failed; says whether trying again can help

`code` is stable and machine-readable, `param` names the offending field, `message` says what to change.
"""

from enum import StrEnum

from heliograph.domain.prompt_verdict import PolicyVerdict
from heliograph.domain.views import Alternative


class HeliographError(Exception):
    """Root of the tree. `code` never changes once published; `message` may be reworded."""

    # Models that could do it instead, closest first, where the error is about one.
    alternatives: tuple[Alternative, ...] = ()

    default_code = "internal_error"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.param = param


class CallerError(HeliographError):
    """The caller can mend it."""

    default_code = "invalid_request"


class InvalidRequest(CallerError):
    """A field is missing, malformed, out of range, unknown, or not supported by the chosen model."""


class PromptRefused(InvalidRequest):
    """The content policy is against the prompt; `refusal_id` names the record, `appeal` says what to do about it."""

    default_code = "moderation_blocked"

    def __init__(self, verdict: PolicyVerdict, *, refusal_id: str, appeal: str) -> None:
        category = verdict.category or "other"
        super().__init__(
            f"The content policy refuses this prompt. safety_violations=[{category}] {appeal} (refusal {refusal_id})",
            param="prompt",
        )
        self.verdict = verdict
        self.refusal_id = refusal_id
        self.appeal = appeal


class AuthenticationError(CallerError):
    """No API key was sent, or the one sent is unknown or revoked."""

    default_code = "invalid_api_key"


class PermissionDenied(CallerError):
    """The key is known and may not do this."""

    default_code = "permission_denied"


class NotFound(CallerError):
    """There is no such thing, or it belongs to another tenant: the two are not told apart."""

    default_code = "not_found"


class Conflict(CallerError):
    """The request contradicts an earlier one, for example an `Idempotency-Key` used with another body."""

    default_code = "conflict"


class WorldError(HeliographError):
    """Nobody's request is wrong. `retry_after_s` is a hint in seconds, or None when a retry cannot help."""

    default_code = "unavailable"

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, code=code, param=param)
        self.retry_after_s = retry_after_s


class Overloaded(WorldError):
    """A stated bound is reached: queue, tenant limit, event inbox."""

    default_code = "queue_full"


class Unavailable(WorldError):
    """A part we need is missing right now: the disk is full, the store is gone, the server is shutting down."""


class Superseded(WorldError):
    """Another server has taken over what this one held, so this one's memory is out of date and it must end."""

    default_code = "superseded"


class Timeout(WorldError):
    """The result did not arrive within the caller's limit; the job goes on and `job_id` says which it is."""

    default_code = "wait_timeout"

    def __init__(self, message: str, *, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class EngineErrorKind(StrEnum):
    """How inference failed. Told apart because each deserves another answer."""

    OUT_OF_MEMORY = "out_of_memory"
    NAN = "nan"
    TIMEOUT = "timeout"
    CRASH = "crash"
    BAD_WEIGHTS = "bad_weights"
    BAD_INPUT = "bad_input"
    BAD_CHECKPOINT = "bad_checkpoint"
    DEVICE_LOST = "device_lost"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    INTERNAL = "internal"


RETRYABLE_ENGINE_ERRORS = frozenset(
    {
        EngineErrorKind.OUT_OF_MEMORY,
        EngineErrorKind.NAN,
        EngineErrorKind.TIMEOUT,
        EngineErrorKind.CRASH,
        EngineErrorKind.BAD_WEIGHTS,
        EngineErrorKind.BAD_CHECKPOINT,
        EngineErrorKind.DEVICE_LOST,
        EngineErrorKind.INTERNAL,
    }
)


class EngineError(WorldError):
    """Inference failed inside an engine; `kind` tells how and `retryable` whether another attempt can help."""

    default_code = "engine_error"

    def __init__(self, kind: EngineErrorKind, message: str) -> None:
        super().__init__(message, code=f"engine_{kind.value}")
        self.kind = kind
        self.retryable = kind in RETRYABLE_ENGINE_ERRORS
