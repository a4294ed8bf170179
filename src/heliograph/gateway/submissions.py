"""From a request's body and headers to a `Submission`; values are checked by `prompts.prepare`, names here."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import cast

from starlette.requests import Request

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.ids import JobId
from heliograph.domain.intake import GivenInputs
from heliograph.domain.webhooks import JOB_EVENTS, JobWebhook
from heliograph.gateway.form_body import FormBody
from heliograph.gateway.json_body import JsonBody, read_json
from heliograph.gateway.webhook_desk import WebhookDesk
from heliograph.prompts.given import read_inputs
from heliograph.prompts.raw import RawRequest
from heliograph.service import Submission

RAW_FIELDS = tuple(each.name for each in fields(RawRequest))
JOB_FIELDS = (*RAW_FIELDS, "task", "deadline_s", "wait_s_max", "may_substitute", "user", "webhook", "inputs")
WEBHOOK_FIELDS = ("url", "events")

END_USER_CHARS_MAX = 256

_QUOTED_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"', re.ASCII)
_BARE_KEY = re.compile(r"[!#-~][ -~]{0,254}", re.ASCII)


async def read_submission(request: Request, *, desk: WebhookDesk, pictures_max: int) -> Submission:
    """The body of `POST /v1/jobs`; `desk` knows which webhooks may be called, `pictures_max` bounds its `inputs`."""
    body = await read_json(request)
    refuse_unknown(body.fields, JOB_FIELDS)
    return submission(
        request,
        body,
        raw=RawRequest(**{name: body.fields.get(name) for name in RAW_FIELDS}),
        end_user=end_user(body.fields.get("user"), param="user"),
        deadline_s=body.fields.get("deadline_s"),
        wait_s_max=body.fields.get("wait_s_max"),
        may_substitute=body.fields.get("may_substitute"),
        task=body.fields.get("task"),
        webhook=_webhook(body.fields.get("webhook"), desk),
        inputs=read_inputs(body.fields.get("inputs"), pictures_max=pictures_max),
    )


def _webhook(value: object, desk: WebhookDesk) -> JobWebhook | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidRequest(
            'webhook must be an object such as {"url": "https://example.com/hook"}.',
            param="webhook",
            code="invalid_webhook",
        )
    wanted = cast("dict[str, object]", value)
    refuse_unknown(wanted, WEBHOOK_FIELDS)
    return desk.job_webhook(
        wanted.get("url"), wanted.get("events"), known=JOB_EVENTS, param="webhook.url", events_param="webhook.events"
    )


def submission(
    request: Request,
    body: JsonBody | FormBody,
    *,
    raw: RawRequest,
    end_user: str | None,
    deadline_s: object | None = None,
    wait_s_max: object | None = None,
    may_substitute: object | None = None,
    task: object | None = None,
    webhook: JobWebhook | None = None,
    remixed_from: JobId | None = None,
    inputs: GivenInputs | None = None,
) -> Submission:
    """`raw` with where it came from, and what that is for."""
    return Submission(
        raw=raw,
        deadline_s=deadline_s,
        wait_s_max=wait_s_max,
        may_substitute=may_substitute,
        end_user=end_user,
        route=request.scope["path"],
        idempotency_key=idempotency_key(request.headers.getlist("idempotency-key")),
        fingerprint=body.fingerprint,
        task=task,
        webhook=webhook,
        remixed_from=remixed_from,
        inputs=inputs,
    )


def refuse_unknown(names: Iterable[str], known: tuple[str, ...]) -> None:
    """Raise `InvalidRequest` for the first name that is not known, with the closest one that is."""
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name[:100], known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known are {', '.join(known)}."
            raise InvalidRequest(
                f"Unknown parameter {name[:100]!r}. {hint}", param=name[:100], code="unsupported_parameter"
            )


def end_user(value: object, *, param: str) -> str | None:
    """The caller's own name for the person behind the request."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > END_USER_CHARS_MAX or not value.isprintable():
        raise InvalidRequest(
            f"{param} must be a string of at most {END_USER_CHARS_MAX} printable characters.",
            param=param,
            code=f"invalid_{param}",
        )
    return value


def idempotency_key(headers: Sequence[str]) -> str | None:
    """The key in the header: a quoted string, as the IETF draft has it, or bare, as most clients send it."""
    if not headers:
        return None
    if len(headers) > 1:
        raise InvalidRequest(
            "Send one Idempotency-Key, not several.", param="Idempotency-Key", code="invalid_idempotency_key"
        )
    value = headers[0].strip()
    quoted = _QUOTED_KEY.fullmatch(value)
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if _BARE_KEY.fullmatch(value) is None:
        raise InvalidRequest(
            "Idempotency-Key must be 1 to 255 printable ASCII characters, bare or as a quoted string.",
            param="Idempotency-Key",
            code="invalid_idempotency_key",
        )
    return value


def positive_number(headers: Mapping[str, str], name: str) -> float | None:
    """A header that holds a positive number, or None when it is missing or holds anything else."""
    try:
        number = float(headers.get(name, ""))
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None
