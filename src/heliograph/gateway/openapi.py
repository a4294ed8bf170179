"""The machine-readable description of the API: what each route takes and answers, with an example of everything.

Written by hand rather than derived from models, because the routes read their bodies themselves: values are checked in
`prompts.prepare`, so that every protocol gives the same errors. Examples of errors are made as real errors are.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from heliograph.domain.errors import (
    AuthenticationError,
    Conflict,
    EngineError,
    EngineErrorKind,
    HeliographError,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    Timeout,
    Unavailable,
)
from heliograph.domain.job import JobState
from heliograph.domain.orders import Scope
from heliograph.domain.request import CLIP_FORMATS, SEED_MAX, OutputFormat, Quality
from heliograph.domain.views import Phase
from heliograph.domain.webhooks import JOB_EVENTS, PREDICTION_EVENTS, MessageState, WebhookEvent
from heliograph.gateway.errors import JOB_ID_HEADER, MEDIA_TYPE, ProtocolError, problem
from heliograph.gateway.openapi_accounts import (
    ACCOUNT_EXAMPLE,
    ACCOUNT_SCHEMA,
    ACCOUNTS_SCHEMA,
    COSTS_EXAMPLE,
    COSTS_SCHEMA,
    CREDIT_EXAMPLE,
    CREDIT_SCHEMA,
    POSTED_EXAMPLE,
    POSTED_SCHEMA,
    PRICE_EXAMPLE,
    PRICE_SCHEMA,
)
from heliograph.gateway.openapi_diagnosis import DIAGNOSIS_EXAMPLE, DIAGNOSIS_SCHEMA
from heliograph.gateway.openapi_insight import ANSWERED
from heliograph.gateway.openapi_moderation import MODERATION_DETAILS
from heliograph.gateway.openapi_pictures import (
    EDITS_FORM,
    EDITS_JSON,
    IMPORT_FORM,
    IMPORT_JSON,
    IMPORTED_EXAMPLE,
    IMPORTED_SCHEMA,
    INPUTS_SCHEMA,
    MADE_FROM_SCHEMA,
    UPLOAD_FORM,
    UPLOADED_EXAMPLE,
)
from heliograph.gateway.openapi_reproductions import REPRODUCTION_EXAMPLE, REPRODUCTION_SCHEMA
from heliograph.gateway.openapi_review import (
    AVAILABILITY_SCHEMA,
    REVIEW_ERRORS,
    REVIEW_SCHEMAS,
    SAFETY_SCHEMA,
    review_routes,
)
from heliograph.gateway.openapi_videos import VIDEO_EXAMPLE, VIDEO_ID, VIDEO_LIST_EXAMPLE, VIDEO_SCHEMAS
from heliograph.prompts.tree import Syntax
from heliograph.routing.tasks import OFFERED

_Schema = dict[str, Any]
_Route = dict[str, Any]

_JOB_ID = "job_01k9x3v7c2m8"
_OUTPUT_ID = "out_01k9x3v9fq4t"
_ENDPOINT_ID = "we_01k9x3wd07kq"
_DELIVERY_ID = "dlv_01k9x3wf1n5e"

_ERRORS: Mapping[str, HeliographError] = {
    **REVIEW_ERRORS,
    "invalid": InvalidRequest(
        "steps must be a whole number from 1 to 50 for helio-base, not 0.", param="steps", code="invalid_steps"
    ),
    "unauthenticated": AuthenticationError(
        "The API key is unknown or revoked. `heliograph keys` lists and makes keys."
    ),
    "denied": PermissionDenied(
        "The link has expired or was changed. Get a fresh one from the job it belongs to.", code="link_not_valid"
    ),
    "operator_only": PermissionDenied("This is for the operator's key only.", code="operator_only"),
    "no_model": NotFound("There is no model called 'helio-bass'.", param="model", code="model_not_found"),
    "remote": PermissionDenied("Metrics are for this machine: scrape from there, or through a tunnel."),
    "no_video": NotFound(f"There is no video {_JOB_ID}.", param="video_id", code="video_not_found"),
    "not_completed": Conflict(f"Job {_JOB_ID} has no pictures to make again: it is failed.", code="not_completed"),
    "no_reproduction": Conflict(f"Job {_JOB_ID} is running: there is nothing to compare yet.", code="no_reproduction"),
    "not_ready": Conflict("The video is queued; it has no content.", param="video_id", code="video_not_ready"),
    "missing": NotFound(f"There is no job {_JOB_ID}.", code="job_not_found"),
    "no_endpoint": NotFound(f"There is no webhook endpoint {_ENDPOINT_ID}.", code="endpoint_not_found"),
    "no_delivery": NotFound(f"There is no delivery {_DELIVERY_ID}.", code="delivery_not_found"),
    "bad_url": InvalidRequest("url: must begin with https://.", param="url", code="url_not_allowed"),
    "too_slow": ProtocolError(
        HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive within 30 s.", code="request_timeout"
    ),
    "too_large": ProtocolError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is larger than 1048576 bytes.", code="body_too_large"
    ),
    "not_json": ProtocolError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body must be JSON with `Content-Type: application/json`, not 'text/plain'.",
        code="unsupported_media_type",
    ),
    "not_form": ProtocolError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body must be a form with `Content-Type: multipart/form-data`, not 'text/plain'.",
        code="unsupported_media_type",
    ),
    "beyond": ProtocolError(
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        "The picture has 17700 bytes and the range begins beyond them.",
        code="range_not_satisfiable",
    ),
    "conflict": Conflict(
        "This Idempotency-Key was used with another request body; use a new key for a new request.",
        code="idempotency_mismatch",
        param="Idempotency-Key",
    ),
    "overloaded": Overloaded("10000 jobs are waiting already. Try again later.", retry_after_s=12.0),
    "failed": EngineError(EngineErrorKind.CRASH, "The worker died three times. The job was given up."),
    "unavailable": Unavailable("The disk is full.", code="disk_full", retry_after_s=30.0),
    "overrun": Timeout(
        f"The job is not done after 95 s; it goes on. Ask for it at /v1/jobs/{_JOB_ID}.", job_id=_JOB_ID
    ),
}

_SUBMIT_ERRORS = (
    "invalid",
    "no_model",
    "unauthenticated",
    "too_slow",
    "too_large",
    "not_json",
    "conflict",
    "overloaded",
    "unavailable",
)


def _errors(instance: str, *names: str) -> dict[int | str, _Schema]:
    return error_answers(instance, *known_errors(*names))


def known_errors(*names: str) -> tuple[HeliographError, ...]:
    """Examples of errors that many routes answer with."""
    return tuple(_ERRORS[name] for name in names)


def error_answers(instance: str, *errors: HeliographError) -> dict[int | str, _Schema]:
    """What a route answers when it does not do as it is told; the last of one status is its example."""
    answers: dict[int | str, _Schema] = {}
    for error in errors:
        answer = problem(error, instance=instance, request_id="req_01k9x3v7c0aa")
        content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": answer.body}
        headers = {each: {"schema": {"type": "string"}, "example": value} for each, value in answer.headers.items()}
        answers[answer.status.value] = {
            "description": answer.status.phrase,
            "content": {MEDIA_TYPE: content},
            "headers": headers,
        }
    return answers


def json_answer(schema: str, example: _Schema, description: str, **headers: str) -> _Schema:
    """An answer in JSON; `headers` are named with their examples."""
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}},
        "headers": {name: {"schema": {"type": "string"}, "example": value} for name, value in headers.items()},
    }


_json = json_answer


def _body(schema: str, example: object) -> _Schema:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _form_body(schema: str, example: object, *, json_schema: str | None = None, json_example: object = None) -> _Schema:
    """A body that is a form, or where that is allowed JSON."""
    content = {"multipart/form-data": {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}}
    if json_schema is not None:
        content["application/json"] = {
            "schema": {"$ref": f"#/components/schemas/{json_schema}"},
            "example": json_example,
        }
    return {"requestBody": {"required": True, "content": content}}


def _events(example: str, description: str) -> _Schema:
    return {
        "description": description,
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": example}},
    }


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same body within 24 hours gives the same job, with another body 422.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": '"3f1c9a52-order-17"',
}

_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`wait=N` holds the answer until the job has ended, for at most N seconds.",
    "schema": {"type": "string"},
    "example": "wait=30",
}

_JOB_EXAMPLE: _Schema = {
    "id": _JOB_ID,
    "object": "job",
    "status": "completed",
    "phase": "done",
    "model": "helio-base",
    "created_at": 1790000000.0,
    "started_at": 1790000000.01,
    "completed_at": 1790000000.24,
    "queue_position": None,
    "eta_s": None,
    "eta": None,
    "progress": {"step": 8, "steps": 8, "fraction": 1.0},
    "attempt": 1,
    "retry": None,
    "reseeds": 0,
    "request": {
        "prompt": "a red boat on the sea at sunset",
        "negative_prompt": "",
        "width": 128,
        "height": 128,
        "steps": 8,
        "guidance_scale": 3.5,
        "seed": 7,
        "n": 1,
        "frames": 1,
        "upscale": 1,
        "quality": "standard",
        "style": None,
        "output_format": "png",
        "output_quality": None,
        "inputs": None,
    },
    "adjustments": [
        {"parameter": "size", "requested": "unset", "used": "128x128", "reason": "The default size of helio-base."}
    ],
    "outputs": [
        {
            "id": _OUTPUT_ID,
            "index": 0,
            "url": f"/v1/outputs/{_OUTPUT_ID}",
            "thumbnail_url": f"/v1/outputs/{_OUTPUT_ID}?variant=thumbnail",
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "pixels_sha256": "4f1b2b0b822cd15d6c15b0f00a089f86d081884c7d659a2feaa0c55ad015a3bf",
            "bytes": 17700,
            "format": "png",
            "width": 128,
            "height": 128,
            "seed": 7,
            "thumbhash": "1QcSHQRnh493V4dIh4eXh1h4kJUI",
            "verdict": {"decision": "accept", "reasons": []},
            "availability": "delivered",
            "alignment": 0.93,
            "missing": ["red"],
            "variants": [],
            "srcset": f"/v1/outputs/{_OUTPUT_ID}?format=auto&w=128 128w",
        }
    ],
    "error": None,
    "timings": {"queue_s": 0.01, "dispatch_s": 0.0, "run_s": 0.2, "post_processing_s": 0.02, "total_s": 0.23},
    "cost_micros": 12,
    "urls": {
        "self": f"/v1/jobs/{_JOB_ID}",
        "events": f"/v1/jobs/{_JOB_ID}/events",
        "cancel": f"/v1/jobs/{_JOB_ID}/cancel",
    },
}

_PENDING_EXAMPLE: _Schema = _JOB_EXAMPLE | {
    "status": "pending",
    "phase": "waiting",
    "started_at": None,
    "completed_at": None,
    "queue_position": 3,
    "eta_s": 4.2,
    "eta": {"low_s": 2.6, "expected_s": 4.2, "high_s": 7.1},
    "progress": {"step": 0, "steps": 8, "fraction": 0.0},
    "attempt": 0,
    "outputs": [],
    "timings": {},
    "cost_micros": 0,
}

_CANCELLED_EXAMPLE: _Schema = _PENDING_EXAMPLE | {
    "status": "cancelled",
    "phase": "done",
    "completed_at": 1790000001.5,
    "queue_position": None,
    "eta_s": None,
    "eta": None,
    "error": {"code": "cancelled", "message": "Cancelled on request."},
    "timings": {"queue_s": 1.5, "total_s": 1.5},
}

_MODEL_EXAMPLE: _Schema = {
    "id": "helio-base",
    "object": "model",
    "created": 0,
    "owned_by": "heliograph",
    "name": "Helio base",
    "family": "helio",
    "tasks": ["t2i"],
    "available": True,
    "resident": True,
    "est_seconds": 0.3,
    "sizes": {
        "default": "128x128",
        "multiple": 8,
        "side_min": 96,
        "side_max": 160,
        "pixels_max": 16384,
        "only": ["128x128", "160x96"],
    },
    "upscale": [2, 4],
    "alignment": "helio-clip",
    "steps": {"min": 1, "max": 50, "draft": 4, "standard": 8, "high": 20},
    "guidance": {"min": 1.0, "max": 10.0, "default": 3.5},
    "frames": None,
    "supports_negative_prompt": True,
    "token_limit": 32,
    "styles": ["watercolor", "pixel-art"],
    "licence": "Apache-2.0",
    "limits": "Small pictures of simple scenes.",
    "domain": "Landscapes by time of day and weather.",
    "weaknesses": ["Thin lines break up."],
    "adherence": {"time": 1.0, "object": 0.97},
    "alternatives": [],
    "vram_bytes": 200_000_000,
    "load_s": 0.4,
}

_EVENTS_EXAMPLE = (
    'event: snapshot\ndata: {"id": "job_…", "status": "running", …}\n\n'
    'event: progress\ndata: {"step": 2, "steps": 8, "fraction": 0.25, "eta_s": 0.2, "eta": {…}, "phase": "generating", '
    '"queue_position": null}\n\n'
    'event: preview\ndata: {"index": 0, "step": 2, "mime_type": "image/jpeg", "b64": "/9j/4AAQ…"}\n\n'
    ": keep-alive\n\n"
    'event: done\ndata: {"id": "job_…", "status": "completed", …}\n\n'
)

_IMAGES_EXAMPLE: _Schema = {
    "created": 1790000000,
    "data": [{"seed": 7, "alignment": 0.93, "missing": [], "b64_json": "iVBORw0KGgo…"}],
    "size": "128x128",
    "quality": "medium",
    "background": "opaque",
    "output_format": "png",
    "usage": {
        "input_tokens": 9,
        "input_tokens_details": {"text_tokens": 9, "image_tokens": 0},
        "output_tokens": 0,
        "total_tokens": 9,
    },
    "heliograph": {
        "job_id": _JOB_ID,
        "model": "helio-base",
        "adjustments": [],
        "timings": _JOB_EXAMPLE["timings"],
        "cost_micros": 12,
    },
}

SUBMIT: _Route = {
    "summary": "Submit a job",
    "status_code": 201,
    "responses": {
        201: _json(
            "Job",
            _PENDING_EXAMPLE,
            "The job; it is durable.",
            Location=f"/v1/jobs/{_JOB_ID}",
        ),
        **_errors("/v1/jobs", *_SUBMIT_ERRORS),
    },
    "openapi_extra": {
        **_body("JobRequest", {"prompt": "a red boat on the sea at sunset", "seed": 7}),
        "parameters": [_IDEMPOTENCY_KEY, _PREFER],
    },
}

LIST: _Route = {
    "summary": "List jobs, newest first",
    "responses": {
        200: _json(
            "JobList",
            {"object": "list", "data": [_JOB_EXAMPLE], "has_more": True, "next_before": "41"},
            "A page of jobs.",
        ),
        **_errors("/v1/jobs", "invalid", "unauthenticated", "unavailable"),
    },
}

GET: _Route = {
    "summary": "Look at a job",
    "responses": {
        200: _json("Job", _JOB_EXAMPLE, "The job as it is now."),
        **_errors(f"/v1/jobs/{_JOB_ID}", "unauthenticated", "missing", "unavailable"),
    },
}

CANCEL: _Route = {
    "summary": "Cancel a job",
    "description": "Stops the worker at once. Repeating it, or cancelling a job that has ended, changes nothing.",
    "responses": {
        200: _json(
            "Job",
            _CANCELLED_EXAMPLE,
            "The job afterwards.",
        ),
        **_errors(f"/v1/jobs/{_JOB_ID}/cancel", "unauthenticated", "missing", "unavailable"),
    },
}

EVENTS: _Route = {
    "summary": "Watch a job",
    "description": "`snapshot` first, then `status`, `progress` and `preview` as they happen, `done` last.",
    "responses": {
        200: _events(_EVENTS_EXAMPLE, "Server-sent events."),
        **_errors(f"/v1/jobs/{_JOB_ID}/events", "unauthenticated", "missing", "overloaded", "unavailable"),
    },
}

_PICTURE = {
    media_type: {"schema": {"type": "string", "format": "binary"}, "example": "(bytes)"}
    for media_type in (
        *("image/png", "image/jpeg", "image/webp", "image/avif", "image/gif"),
        *("video/mp4", "video/webm"),
    )
}

OUTPUT: _Route = {
    "summary": "Fetch a picture or clip",
    "description": "With a key, or by the signed link in the job. Honours `Range`, `If-Range` and `If-None-Match`. "
    "`format` and `w` (least width) ask for another file of the same picture; `format=auto` goes by `Accept`.",
    "responses": {
        200: {"description": "The picture.", "content": _PICTURE},
        206: {"description": "The part asked for.", "content": _PICTURE},
        302: {"description": "The object store sends it (`links.presigned`)."},
        304: {"description": "The client's copy is still good."},
        **_errors(
            f"/v1/outputs/{_OUTPUT_ID}",
            "invalid",
            "unauthenticated",
            "denied",
            "missing",
            "beyond",
            "overloaded",
            "unavailable",
        ),
    },
}

MODELS: _Route = {
    "summary": "List models",
    "tags": ["Models"],
    "responses": {
        200: _json("ModelList", {"object": "list", "data": [_MODEL_EXAMPLE]}, "The catalogue."),
        **_errors("/v1/models", "unauthenticated"),
    },
}

HEALTHZ: _Route = {
    "summary": "Alive",
    "tags": ["Operations"],
    "responses": {200: _json("Health", {"status": "ok"}, "The process answers.")},
}

READYZ: _Route = {
    "summary": "Ready to take jobs",
    "tags": ["Operations"],
    "responses": {
        200: _json("Health", {"status": "ready", "problems": {}}, "Jobs are taken."),
        503: _json("Health", {"status": "not_ready", "problems": {"store": "the disk is full"}}, "What is wrong."),
    },
}

METRICS: _Route = {
    "summary": "Prometheus metrics",
    "tags": ["Operations"],
    "responses": {
        200: {
            "description": "Prometheus's text format.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "heliograph_jobs_total 3"}},
        },
        **_errors("/metrics", "remote"),
    },
}

_HALT_EXAMPLE: _Schema = {"scope": "pool", "name": "H100", "action": "pause", "running": "pause"}
_FLEET_EXAMPLE: _Schema = {
    "object": "fleet",
    "gpus": [
        {
            "id": "cpu-0",
            "pool": "cpu",
            "node": "",
            "zone": "",
            "market": "reserved",
            "memory_bytes": 2_000_000_000,
            "planned_bytes": 200_000_000,
            "resting": False,
            "halt": None,
        }
    ],
    "replicas": [
        {
            "id": "worker_01k9x3v7c2m8",
            "model": "helio-base",
            "gpus": ["cpu-0"],
            "state": "ready",
            "since": 1790000000.0,
            "loaded_at": 1789999000.0,
            "last_used_at": 1790000000.0,
            "memory_bytes": 180_000_000,
            "fetching": None,
            "gpu_share": 1.0,
            "job_id": None,
            "saves_s_per_hour": 12.5,
            "why": "idle for 40 s; a request is expected every 90 s, and a load of 0.4 s pays for 10% of a GPU",
        }
    ],
    "models": [
        {
            "model": "helio-base",
            "replicas": 1,
            "pending": 0,
            "pending_s": 0.0,
            "running_s": 0.0,
            "load_s": 0.4,
            "asked_per_hour": 40.0,
            "pinned": True,
            "prewarmed_until": None,
            "replicas_max": None,
            "halt": None,
        }
    ],
    "halts": [_HALT_EXAMPLE],
}


def _operator_route(summary: str, path: str, description: str, *errors: str) -> _Route:
    return {
        "summary": summary,
        "description": description,
        "responses": {
            200: _json("Fleet", _FLEET_EXAMPLE, "The fleet as it is now."),
            **_errors(path, "unauthenticated", "operator_only", *errors),
        },
    }


_ORDER_ERRORS = ("invalid", "no_model", "too_slow", "too_large", "not_json", "unavailable")

FLEET: _Route = _operator_route(
    "Look into the fleet",
    "/v1/admin/fleet",
    "Every GPU, every replica with the reason why it is there, and what was ordered. With the operator's key only.",
)

REVIEW = review_routes(_errors, _json, _body)

DIAGNOSIS: _Route = {
    "summary": "What is wrong, and what to do about it",
    "description": "Findings from the metrics of the last minutes, the likely cause first, each with what it was seen "
    "by. With the operator's key only.",
    "responses": {
        200: _json("Diagnosis", DIAGNOSIS_EXAMPLE, "What is wrong now; no findings when all is well."),
        **_errors("/v1/admin/diagnosis", "unauthenticated", "operator_only"),
    },
}

INSIGHT: dict[str, _Route] = {
    name: {
        "summary": each.summary,
        "description": f"{each.description} With the operator's key only.",
        "responses": {
            200: _json(each.schema_name, each.example, each.summary + "."),
            **_errors(each.path, "unauthenticated", "operator_only", *each.errors),
        },
        "openapi_extra": {"parameters": list(each.parameters)},
    }
    for name, each in ANSWERED.items()
}

ACCOUNT: _Route = {
    "summary": "Your plan, and what is left of it",
    "responses": {
        200: _json("Account", ACCOUNT_EXAMPLE, "The account of the key's tenant."),
        **_errors("/v1/account", "unauthenticated"),
    },
}

PRICE: _Route = {
    "summary": "What a job would cost",
    "description": "Takes what `POST /v1/jobs` takes and makes nothing. The charge is what the run really took.",
    "responses": {
        200: _json("Price", PRICE_EXAMPLE, "The expected charge."),
        **_errors("/v1/prices", *(name for name in _SUBMIT_ERRORS if name != "conflict")),
    },
    "openapi_extra": _body("JobRequest", {"prompt": "a red boat on the sea at sunset"}),
}

ACCOUNTS: _Route = {
    "summary": "Every tenant's account",
    "description": "With the operator's key only.",
    "responses": {
        200: _json("Accounts", {"object": "list", "data": [ACCOUNT_EXAMPLE]}, "The accounts."),
        **_errors("/v1/admin/accounts", "unauthenticated", "operator_only"),
    },
}

COSTS: _Route = {
    "summary": "What pictures cost, and for what",
    "description": "Sums of ledger lines from `since` on and before `until`, seconds since the epoch, by model, "
    "tenant, tier or component. With the operator's key only.",
    "responses": {
        200: _json("Costs", COSTS_EXAMPLE, "The costs."),
        **_errors("/v1/admin/costs", "invalid", "unauthenticated", "operator_only", "unavailable"),
    },
}

CREDIT: _Route = {
    "summary": "Give a tenant credit",
    "description": "Posted once for each `id`. With the operator's key only.",
    "responses": {
        200: _json("Posted", POSTED_EXAMPLE, "The account afterwards."),
        **_errors(
            "/v1/admin/accounts/acme/credits",
            "unauthenticated",
            "operator_only",
            "invalid",
            "too_slow",
            "too_large",
            "not_json",
            "conflict",
            "unavailable",
        ),
    },
    "openapi_extra": _body("CreditRequest", CREDIT_EXAMPLE),
}

REFUND: _Route = {
    "summary": "Give back what a job was charged",
    "description": "Once, however often it is asked for. With the operator's key only.",
    "responses": {
        200: _json("Posted", POSTED_EXAMPLE, "The account afterwards; `micros` is 0 where nothing was owed."),
        **_errors(f"/v1/admin/jobs/{_JOB_ID}/refund", "unauthenticated", "operator_only", "missing", "unavailable"),
    },
}

PAUSE: _Route = {
    **_operator_route(
        "Pause a model, a pool or everything",
        "/v1/admin/pause",
        "Nothing new begins. What runs stops at its next step where its worker can take it up again, unless `running` "
        "is `finish`. Models stay loaded; new jobs are taken and wait.",
        *_ORDER_ERRORS,
    ),
    "openapi_extra": _body("HaltRequest", {"pool": "H100"}),
}

DRAIN: _Route = {
    **_operator_route(
        "Take a model, a pool or everything out of service",
        "/v1/admin/drain",
        "Nothing new begins, what runs finishes (with `running: pause` it stops at its next step) and workers are "
        "unloaded as they become free. New jobs for it are refused (`model_drained`); those of a pool run elsewhere.",
        *_ORDER_ERRORS,
    ),
    "openapi_extra": _body("HaltRequest", {"model": "helio-base", "running": "pause"}),
}

RESUME: _Route = {
    **_operator_route(
        "Resume what was paused or drained",
        "/v1/admin/resume",
        "Ends the halt of the same model, pool or (with an empty object) system. What is not halted stays as it is.",
        *_ORDER_ERRORS,
    ),
    "openapi_extra": _body("ResumeRequest", {"pool": "H100"}),
}

CHANGE_MODEL: _Route = {
    **_operator_route(
        "Pin or cap a model",
        "/v1/admin/models/helio-base",
        "A pinned model keeps a replica while there is room; `replicas_max` bounds its replicas (null: as the settings "
        "have it). What is not named stays as it is.",
        *_ORDER_ERRORS,
    ),
    "openapi_extra": _body("ModelOrder", {"pinned": True, "replicas_max": 2}),
}

PREWARM: _Route = {
    **_operator_route(
        "Load a model ahead",
        "/v1/admin/models/helio-base/prewarm",
        "Loads it now, idle models making room, and keeps it for so many minutes.",
        *_ORDER_ERRORS,
    ),
    "openapi_extra": _body("PrewarmRequest", {"minutes": 30}),
}

UPLOAD: _Route = {
    "summary": "Store a picture to start from",
    "description": "For `inputs` of a job, or `file_id` of an edit. It is read, turned upright, freed of metadata and "
    "kept for a day; an open job keeps what it needs.",
    "status_code": 201,
    "responses": {
        201: _json("Input", UPLOADED_EXAMPLE, "The picture; name it by its id."),
        **_errors(
            "/v1/inputs", "invalid", "unauthenticated", "too_slow", "too_large", "not_form", "overloaded", "unavailable"
        ),
    },
    "openapi_extra": _form_body("InputForm", {"file": "(bytes)", "purpose": "image"}),
}

IMPORT: _Route = {
    "summary": "Read the settings out of a picture",
    "description": "What A1111, ComfyUI, InvokeAI, SwarmUI or Heliograph wrote into a file or onto the clipboard, in "
    "the words of a job. Nothing is stored and nothing made.",
    "responses": {
        200: _json("Imported", IMPORTED_EXAMPLE, "The settings, fitted to a model where one is here."),
        **_errors(
            "/v1/import",
            "invalid",
            "no_model",
            "unauthenticated",
            "too_slow",
            "too_large",
            "not_json",
            "overloaded",
            "unavailable",
        ),
    },
    "openapi_extra": _form_body(
        "ImportForm",
        {"file": "(bytes)"},
        json_schema="ImportRequest",
        json_example={"text": "a red boat\nSteps: 8, CFG scale: 3.5, Seed: 7, Size: 128x128"},
    ),
}

EDITS: _Route = {
    "summary": "Make pictures from pictures, as OpenAI clients ask for them",
    "description": "Without a mask the whole picture is made anew, as near to it as `strength` says; with one, only "
    "what the mask says. Answers and streams like `/v1/images/generations`, with events `image_edit.…`.",
    "responses": {
        200: {
            **_json("Images", _IMAGES_EXAMPLE, "The pictures.", **{JOB_ID_HEADER: _JOB_ID}),
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Images"}, "example": _IMAGES_EXAMPLE},
                "text/event-stream": {
                    "example": 'event: image_edit.partial_image\ndata: {"b64_json": "…", …}\n\n'
                    'event: image_edit.completed\ndata: {"b64_json": "…", …}\n\n',
                },
            },
        },
        **_errors("/v1/images/edits", *_SUBMIT_ERRORS, "failed", "overrun"),
    },
    "openapi_extra": {
        **_form_body(
            "EditForm",
            {"prompt": "the same at night", "image": "(bytes)"},
            json_schema="EditRequest",
            json_example={"prompt": "the same at night", "images": [{"image_url": "https://example.com/boat.jpg"}]},
        ),
        "parameters": [_IDEMPOTENCY_KEY],
    },
}

IMAGES: _Route = {
    "summary": "Make pictures, as OpenAI clients ask for them",
    "description": (
        "Answers when the pictures are there, or with `stream: true` as they form. A client that hangs up cancels its "
        "job, unless it sent an `Idempotency-Key`."
    ),
    "responses": {
        200: {
            **_json("Images", _IMAGES_EXAMPLE, "The pictures.", **{JOB_ID_HEADER: _JOB_ID}),
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Images"}, "example": _IMAGES_EXAMPLE},
                # Without a schema: some tools read one as that of the whole body, others as that of each event.
                "text/event-stream": {
                    "example": 'event: image_generation.partial_image\ndata: {"b64_json": "…", …}\n\n'
                    'event: image_generation.completed\ndata: {"b64_json": "…", …}\n\n',
                },
            },
        },
        **_errors("/v1/images/generations", *_SUBMIT_ERRORS, "failed", "overrun"),
    },
    "openapi_extra": {
        **_body("ImagesRequest", {"prompt": "a red boat on the sea at sunset", "quality": "medium"}),
        "parameters": [_IDEMPOTENCY_KEY],
    },
}


_ENDPOINT_EXAMPLE: _Schema = {
    "id": _ENDPOINT_ID,
    "object": "webhook_endpoint",
    "url": "https://example.com/heliograph",
    "events": [WebhookEvent.JOB_COMPLETED.value, WebhookEvent.JOB_FAILED.value],
    "description": "orders",
    "created_at": 1790000000.0,
    "disabled_at": None,
    "disabled_reason": None,
}

_SECRET_EXAMPLE: _Schema = _ENDPOINT_EXAMPLE | {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}

_DELIVERY_EXAMPLE: _Schema = {
    "id": _DELIVERY_ID,
    "object": "webhook_delivery",
    "event_id": "evt_01k9x3wez2bb",
    "event": WebhookEvent.JOB_COMPLETED.value,
    "job_id": _JOB_ID,
    "target": _ENDPOINT_ID,
    "state": MessageState.WAITING.value,
    "tries": 1,
    "created_at": 1790000000.24,
    "next_try_at": 1790000005.3,
    "ended_at": None,
    "last_error": "503 Service Unavailable",
}

_LOGGED_EXAMPLE: _Schema = _DELIVERY_EXAMPLE | {
    "log": [{"number": 1, "at": 1790000000.25, "duration_s": 0.031, "status": 503, "error": "503 Service Unavailable"}]
}

_BODY_ERRORS = ("unauthenticated", "too_slow", "too_large", "not_json", "unavailable")

_ADD_PATH = "/v1/webhooks/endpoints"
_ENDPOINT_PATH = f"{_ADD_PATH}/{_ENDPOINT_ID}"
_DELIVERY_PATH = f"/v1/webhooks/deliveries/{_DELIVERY_ID}"

ADD_ENDPOINT: _Route = {
    "summary": "Add a webhook endpoint",
    "description": "The answer is the only one, but for that of a rotation, that holds the endpoint's secret.",
    "status_code": 201,
    "responses": {
        201: _json("WebhookEndpointWithSecret", _SECRET_EXAMPLE, "The endpoint with its secret."),
        **_errors(_ADD_PATH, "bad_url", *_BODY_ERRORS),
    },
    "openapi_extra": _body("WebhookEndpointRequest", {"url": "https://example.com/heliograph"}),
}

LIST_ENDPOINTS: _Route = {
    "summary": "List webhook endpoints, oldest first",
    "responses": {
        200: _json("WebhookEndpointList", {"object": "list", "data": [_ENDPOINT_EXAMPLE]}, "All of them."),
        **_errors(_ADD_PATH, "unauthenticated"),
    },
}

GET_ENDPOINT: _Route = {
    "summary": "Look at a webhook endpoint",
    "responses": {
        200: _json("WebhookEndpoint", _ENDPOINT_EXAMPLE, "The endpoint."),
        **_errors(_ENDPOINT_PATH, "unauthenticated", "no_endpoint"),
    },
}

CHANGE_ENDPOINT: _Route = {
    "summary": "Change, disable or enable a webhook endpoint",
    "responses": {
        200: _json("WebhookEndpoint", _ENDPOINT_EXAMPLE, "The endpoint as it is now."),
        **_errors(_ENDPOINT_PATH, "bad_url", "no_endpoint", *_BODY_ERRORS),
    },
    "openapi_extra": _body("WebhookEndpointChange", {"disabled": False}),
}

REMOVE_ENDPOINT: _Route = {
    "summary": "Delete a webhook endpoint",
    "description": "With it goes the log of what was sent there, and what waits to be sent.",
    "responses": {
        200: _json(
            "WebhookEndpointDeleted",
            {"id": _ENDPOINT_ID, "object": "webhook_endpoint.deleted", "deleted": True},
            "It is gone.",
        ),
        **_errors(_ENDPOINT_PATH, "unauthenticated", "no_endpoint", "unavailable"),
    },
}

ROTATE_SECRET: _Route = {
    "summary": "Give a webhook endpoint a new secret",
    "description": "For a day deliveries are signed with the old secret, too.",
    "responses": {
        200: _json("WebhookEndpointWithSecret", _SECRET_EXAMPLE, "The endpoint with its new secret."),
        **_errors(f"{_ENDPOINT_PATH}/rotate", "unauthenticated", "no_endpoint", "unavailable"),
    },
}

REPLAY_ENDPOINT: _Route = {
    "summary": "Send an endpoint everything it was not delivered",
    "responses": {
        200: _json("WebhookEndpoint", _ENDPOINT_EXAMPLE, "Sending begins."),
        **_errors(f"{_ENDPOINT_PATH}/replay", "invalid", "no_endpoint", *_BODY_ERRORS),
    },
    "openapi_extra": _body("WebhookReplayRequest", {"since": 1790000000}),
}

LIST_DELIVERIES: _Route = {
    "summary": "List webhook deliveries, newest first",
    "responses": {
        200: _json(
            "WebhookDeliveryList",
            {"object": "list", "data": [_DELIVERY_EXAMPLE], "has_more": True, "next_before": _DELIVERY_ID},
            "A page of deliveries, without the tries.",
        ),
        **_errors("/v1/webhooks/deliveries", "invalid", "unauthenticated", "no_delivery", "unavailable"),
    },
}

GET_DELIVERY: _Route = {
    "summary": "Look at a webhook delivery and its tries",
    "responses": {
        200: _json("WebhookDeliveryWithLog", _LOGGED_EXAMPLE, "The delivery."),
        **_errors(_DELIVERY_PATH, "unauthenticated", "no_delivery", "unavailable"),
    },
}

REPLAY_DELIVERY: _Route = {
    "summary": "Deliver a webhook again",
    "description": "Whatever became of it before. The event keeps its id.",
    "responses": {
        200: _json("WebhookDeliveryWithLog", _LOGGED_EXAMPLE, "The delivery, due now."),
        **_errors(f"{_DELIVERY_PATH}/replay", "unauthenticated", "no_delivery", "unavailable"),
    },
}

DEFAULT_SECRET: _Route = {
    "summary": "The secret that signs webhooks given with jobs",
    "responses": {
        200: _json("WebhookSecret", {"key": _SECRET_EXAMPLE["secret"]}, "The caller's secret."),
        **_errors("/v1/webhooks/default/secret", "unauthenticated"),
    },
}

_PREDICTION_EXAMPLE: _Schema = {
    "id": _JOB_ID,
    "model": "heliograph/helio-base",
    "version": "helio-base",
    "status": "succeeded",
    "input": {
        "prompt": "a red boat on the sea at sunset",
        "negative_prompt": "",
        "width": 128,
        "height": 128,
        "num_outputs": 1,
        "num_inference_steps": 8,
        "guidance_scale": 3.5,
        "seed": 7,
        "output_format": "png",
    },
    "output": [f"https://example.com/v1/outputs/{_OUTPUT_ID}"],
    "logs": "Using seed: 7\n100%|██████████| 8/8\n",
    "error": None,
    "metrics": {"predict_time": 0.2, "total_time": 0.23},
    "created_at": "2026-09-21T14:13:20.000Z",
    "started_at": "2026-09-21T14:13:20.010Z",
    "completed_at": "2026-09-21T14:13:20.240Z",
    "data_removed": False,
    "source": "api",
    "urls": {
        "get": f"https://example.com/v1/predictions/{_JOB_ID}",
        "cancel": f"https://example.com/v1/predictions/{_JOB_ID}/cancel",
    },
    "heliograph": {
        "job_id": _JOB_ID,
        "adjustments": _JOB_EXAMPLE["adjustments"],
        "cost_micros": 12,
    },
}

_CANCEL_AFTER = {
    "name": "Cancel-After",
    "in": "header",
    "required": False,
    "description": "Cancel the prediction after so long: `90s`, `5m`, `1h30m`, at least 5 seconds.",
    "schema": {"type": "string"},
    "example": "5m",
}


def _predict(path: str, schema: str, example: _Schema) -> _Route:
    return {
        "summary": "Make a prediction, as Replicate's clients ask for it",
        "status_code": 201,
        "responses": {
            201: _json("Prediction", _PREDICTION_EXAMPLE, "The prediction.", **{JOB_ID_HEADER: _JOB_ID}),
            **_errors(path, *_SUBMIT_ERRORS),
        },
        "openapi_extra": {**_body(schema, example), "parameters": [_IDEMPOTENCY_KEY, _PREFER, _CANCEL_AFTER]},
    }


PREDICT = _predict(
    "/v1/predictions", "PredictionRequest", {"version": "helio-base", "input": {"prompt": "a red boat on the sea"}}
)
PREDICT_WITH_MODEL = _predict(
    "/v1/models/heliograph/helio-base/predictions",
    "PredictionOfModelRequest",
    {"input": {"prompt": "a red boat on the sea"}},
)

LIST_PREDICTIONS: _Route = {
    "summary": "List predictions, newest first",
    "responses": {
        200: _json(
            "PredictionList",
            {
                "previous": None,
                "next": "https://example.com/v1/predictions?cursor=41",
                "results": [_PREDICTION_EXAMPLE],
            },
            "A page of predictions: every job of the tenant, however it was submitted.",
        ),
        **_errors("/v1/predictions", "invalid", "unauthenticated", "unavailable"),
    },
}

GET_PREDICTION: _Route = {
    "summary": "Look at a prediction",
    "responses": {
        200: _json("Prediction", _PREDICTION_EXAMPLE, "The prediction as it is now."),
        **_errors(f"/v1/predictions/{_JOB_ID}", "unauthenticated", "missing", "unavailable"),
    },
}

_VERSION_EXAMPLE: _Schema = {
    "id": "helio-base",
    "created_at": "1970-01-01T00:00:00.000Z",
    "cog_version": "0.9.0",
    "openapi_schema": {"openapi": "3.1.0", "components": {"schemas": {"Input": {}, "Output": {}}}},
}

GET_PREDICTION_MODEL: _Route = {
    "summary": "Look at a model, as Replicate's clients ask for it",
    "responses": {
        200: _json(
            "PredictionModel",
            {
                "url": "https://example.com/v1/models/heliograph/helio-base",
                "owner": "heliograph",
                "name": "helio-base",
                "description": "Helio base",
                "visibility": "private",
                "run_count": 0,
                "latest_version": _VERSION_EXAMPLE,
            },
            "The model.",
        ),
        **_errors("/v1/models/heliograph/helio-base", "unauthenticated", "no_model"),
    },
}

GET_PREDICTION_VERSION: _Route = {
    "summary": "Look at a version of a model, as Replicate's clients ask for it",
    "description": "A model of ours has one version; any name of one is taken and given back.",
    "responses": {
        200: _json("PredictionVersion", _VERSION_EXAMPLE, "What the model takes and gives."),
        **_errors("/v1/models/heliograph/helio-base/versions/1", "unauthenticated", "no_model"),
    },
}

CANCEL_PREDICTION: _Route = {
    "summary": "Cancel a prediction",
    "responses": {
        200: _json("Prediction", _PREDICTION_EXAMPLE, "The prediction afterwards."),
        **_errors(f"/v1/predictions/{_JOB_ID}/cancel", "unauthenticated", "missing", "unavailable"),
    },
}


def _object(properties: _Schema, required: tuple[str, ...] | None = None, *, is_closed: bool = False) -> _Schema:
    schema: _Schema = {"type": "object", "properties": properties}
    if required is None:
        required = tuple(properties)
    if required:
        schema["required"] = list(required)
    if is_closed:
        schema["additionalProperties"] = False
    return schema


def _nullable(kind: str) -> _Schema:
    return {"type": [kind, "null"]}


def _or_null(schema: _Schema) -> _Schema:
    return schema | {"type": [schema["type"], "null"]}


def _optional(properties: _Schema, *, but: str) -> _Schema:
    """These, where null is the same as leaving one out, except for `but`."""

    def nullable(schema: _Schema) -> _Schema:
        return schema | {"enum": [*schema["enum"], None]} if "enum" in schema else _or_null(schema)

    return {name: schema if name == but else nullable(schema) for name, schema in properties.items()}


def _like(example: object) -> _Schema:
    """The schema of a value like this one; None stands for anything."""
    match example:
        case None:
            return {}
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case float():
            return {"type": "number"}
        case str():
            return {"type": "string"}
        case dict():
            return _object({name: _like(value) for name, value in cast(_Schema, example).items()})
        case list():
            items = cast("list[object]", example)
            return {"type": "array", "items": _like(items[0]) if items else {}}
        case _:
            raise AssertionError(f"no schema for {type(example)}")


_TEXT: _Schema = {"type": "string"}
_COUNT: _Schema = {"type": "integer", "minimum": 1}
_SHARED_PARAMETERS: _Schema = {
    "prompt": {"type": "string", "minLength": 1, "description": "What the picture should show."},
    "model": _TEXT | {"description": "A model of `GET /v1/models`, or an alias; chosen for you when left out."},
    "negative_prompt": _TEXT | {"description": "What it should not show; for models that support it."},
    "size": _TEXT | {"pattern": "^(auto|[0-9]+x[0-9]+)$", "description": "`WIDTHxHEIGHT` in pixels, or `auto`."},
    "aspect_ratio": _TEXT | {"pattern": "^[0-9]+:[0-9]+$", "description": "Instead of `size`."},
    "upscale": {
        "enum": [1, 2, 4],
        "description": "Enlarge what `aspect_ratio` or the default size says; `size` is already the size delivered.",
    },
    "steps": _COUNT,
    "guidance_scale": {"type": "number", "minimum": 0},
    "seed": {"type": "integer", "minimum": 0, "maximum": SEED_MAX},
    "n": _COUNT | {"maximum": 10, "default": 1},
    "output_format": {"enum": [each.value for each in OutputFormat if each not in CLIP_FORMATS], "default": "png"},
    "style": _TEXT | {"description": "A style preset of the model."},
    "user": _TEXT | {"maxLength": 256, "description": "Your own name for the person behind the request."},
}

_ETA: _Schema = {
    "anyOf": [
        _object({"low_s": {"type": "number"}, "expected_s": {"type": "number"}, "high_s": {"type": "number"}}),
        {"type": "null"},
    ],
    "description": "Seconds until delivery; in four of five cases between low and high. Null when unknown or ended.",
}

_JOB = _like(_JOB_EXAMPLE)
_JOB["properties"] |= {
    "status": {"enum": [each.value for each in JobState]},
    "phase": {"enum": [each.value for each in Phase]},
    "started_at": _nullable("number") | {"description": "When a worker began the current attempt."},
    "completed_at": _nullable("number"),
    "queue_position": _nullable("integer"),
    "eta_s": _nullable("number") | {"description": "Seconds until the pictures are there."},
    "retry": {
        "anyOf": [
            _object({"attempt": _COUNT, "of": _COUNT, "code": _TEXT, "message": _TEXT}),
            {"type": "null"},
        ],
        "description": "After a failed attempt: which one this is, of how many, and why the last one failed.",
    },
    "eta": _ETA,
    "error": {"anyOf": [_object({"code": _TEXT, "message": _TEXT}), {"type": "null"}]},
    "timings": {
        "type": "object",
        "additionalProperties": {"type": "number"},
        "description": "Seconds by stage passed.",
    },
    "cost_micros": {"type": "integer", "description": "Micro-dollars charged so far."},
}

_JOB["properties"]["request"]["properties"]["inputs"] = MADE_FROM_SCHEMA

_FIT: _Schema = {
    "alignment": _nullable("number")
    | {"minimum": 0, "maximum": 1, "description": "How well it fits the prompt; null where nothing judged it."},
    "missing": {
        "type": "array",
        "items": _TEXT,
        "description": "Phrases of the prompt that the picture does not seem to show.",
    },
}

_OUTPUT = _JOB["properties"]["outputs"]["items"]
_OUTPUT["required"] = [name for name in _OUTPUT["required"] if name != "srcset"]  # of stills
_OUTPUT["properties"] |= {
    **_FIT,
    "pixels_sha256": _nullable("string")
    | {"description": "Of the pixels before they were encoded: the same picture made again has the same."},
    "url": _nullable("string") | {"description": "Null while it is not delivered."},
    "thumbnail_url": _nullable("string"),
    "safety": SAFETY_SCHEMA,
    "availability": AVAILABILITY_SCHEMA,
    "technical": {
        "anyOf": [
            _object({"score": {"type": "number"}, "limit": {"type": "number"}, "kind": _nullable("string")}),
            {"type": "null"},
        ],
        "description": "How broken it looks beside its model's own pictures; null where those are not known yet.",
    },
    "made_with": {
        "anyOf": [{"type": "object", "additionalProperties": _TEXT}, {"type": "null"}],
        "description": "Engine, weights, versions, device, batch: what has to be the same to make the same again.",
    },
    "frames": _COUNT | {"description": "Of a clip only."},
    "duration_s": {"type": "number", "description": "How long a clip plays; of a clip only."},
    "poster_url": _TEXT | {"description": "Its first frame; of a clip only."},
    "preview_url": _TEXT | {"description": "A short, small version; of a clip only."},
    "srcset": _TEXT | {"description": "For an `<img>`; of a still only."},
}

_FRAMES = _object({"min": _COUNT, "max": _COUNT, "default": _COUNT, "per_second": {"type": "number"}})

_MODEL = _like(_MODEL_EXAMPLE)
_MODEL["properties"] |= {
    "est_seconds": _nullable("number"),
    "guidance": {"anyOf": [_like(_MODEL_EXAMPLE["guidance"]), {"type": "null"}]},
    "frames": {"anyOf": [_FRAMES, {"type": "null"}], "description": "Of models that make clips."},
    "token_limit": _nullable("integer"),
    "domain": _nullable("string") | {"description": "What a built-in model can draw."},
    "adherence": {
        "type": "object",
        "additionalProperties": {"type": "number"},
        "description": "By attribute, the share of unseen prompts whose picture shows what was asked for.",
    },
    "alignment": _nullable("string") | {"description": "The tool that judges how well pictures fit their prompts."},
    "licence": _nullable("string"),
    "limits": _nullable("string"),
    "vram_bytes": _nullable("integer"),
    "load_s": _nullable("number"),
    "alternatives": {"type": "array", "items": _TEXT},
}

_URL: _Schema = {
    "type": "string",
    "pattern": "^https?://[^/?#\\s]+",
    "maxLength": 2048,
    "description": "An address the server may call: public and https, or in a network the operator allows.",
}


def _events_of(events: tuple[WebhookEvent, ...]) -> _Schema:
    return {
        "type": "array",
        "minItems": 1,
        "items": {"enum": [event.value for event in events]},
        "description": "Which to hear of; all of them by default.",
    }


_WEBHOOK = _object({"url": _URL, "events": _events_of(JOB_EVENTS)}, ("url",), is_closed=True) | {
    "description": "Where news of this job go, besides the endpoints."
}
_DESCRIPTION = _nullable("string") | {"maxLength": 200}

_ENDPOINT = _like(_ENDPOINT_EXAMPLE)
_ENDPOINT["properties"] |= {"disabled_at": _nullable("number"), "disabled_reason": _nullable("string")}
_ENDPOINT_WITH_SECRET = _object(_ENDPOINT["properties"] | {"secret": _TEXT})

_DELIVERY = _like(_DELIVERY_EXAMPLE)
_DELIVERY["properties"] |= {
    "event": {"enum": [event.value for event in WebhookEvent]},
    "target": _TEXT | {"description": "An endpoint's id, or scheme and host of a webhook that came with a job."},
    "state": {"enum": [state.value for state in MessageState]},
    "next_try_at": _nullable("number"),
    "ended_at": _nullable("number"),
    "last_error": _nullable("string"),
}
_DELIVERY_WITH_LOG = _object(
    _DELIVERY["properties"]
    | {
        "log": {
            "type": "array",
            "items": _like(_LOGGED_EXAMPLE["log"][0])
            | {
                "properties": _like(_LOGGED_EXAMPLE["log"][0])["properties"]
                | {"status": _nullable("integer"), "error": _nullable("string")}
            },
        }
    }
)

_PREDICTION = _like(_PREDICTION_EXAMPLE)
_PREDICTION["properties"] |= {
    "status": {"enum": ["starting", "processing", "succeeded", "failed", "canceled"]},
    "output": {"anyOf": [{"type": "array", "items": _TEXT}, {"type": "null"}]},
    "error": _nullable("string"),
    "metrics": {"type": "object", "additionalProperties": {"type": "number"}},
    "started_at": _nullable("string"),
    "completed_at": _nullable("string"),
}

PREDICTION_INPUT = _object(
    {
        "prompt": {"type": "string", "minLength": 1},
        "negative_prompt": _TEXT,
        "width": _COUNT,
        "height": _COUNT,
        "size": _TEXT,
        "aspect_ratio": _TEXT,
        "num_outputs": _COUNT | {"maximum": 10},
        "num_inference_steps": _COUNT,
        "steps": _COUNT,
        "guidance_scale": {"type": "number", "minimum": 0},
        "guidance": {"type": "number", "minimum": 0},
        "seed": {"type": "integer", "minimum": 0, "maximum": SEED_MAX},
        "quality": _TEXT,
        "style": _TEXT,
        "upscale": {"enum": [1, 2, 4]},
        "frames": _COUNT,
        "num_frames": _COUNT,
        "output_format": {"enum": ["png", "jpg", "jpeg", "webp", "gif"]},
        "output_quality": _COUNT | {"maximum": 100},
        "image": _TEXT | {"pattern": "^(https://|data:|in_|out_)", "description": "A picture to start from."},
        "mask": _TEXT | {"pattern": "^(https://|data:|in_|out_)"},
        "prompt_strength": {"type": "number", "minimum": 0.01, "maximum": 1},
        "strength": {"type": "number", "minimum": 0.01, "maximum": 1},
        "user": _TEXT | {"maxLength": 256},
        "disable_safety_checker": {"const": False},
    },
    ("prompt",),
    is_closed=True,
)
_PREDICTION_OPTIONS: _Schema = {
    "input": PREDICTION_INPUT,
    "webhook": _URL,
    "webhook_events_filter": _events_of(PREDICTION_EVENTS),
    "stream": {"const": False},
}

_HALT = _like(_HALT_EXAMPLE)
_HALT["properties"] |= {
    "scope": {"enum": [each.value for each in Scope]},
    "name": _nullable("string") | {"description": "The model or pool; null for the system."},
    "action": {"enum": ["pause", "drain"]},
    "running": {"enum": ["pause", "finish"]},
}
_FLEET = _like(_FLEET_EXAMPLE)
for _part in ("gpus", "models"):
    _FLEET["properties"][_part]["items"]["properties"]["halt"] = {"anyOf": [_HALT, {"type": "null"}]}
_FLEET["properties"]["halts"]["items"] = _HALT
_FLEET["properties"]["replicas"]["items"]["properties"] |= {
    "loaded_at": _nullable("number"),
    "last_used_at": _nullable("number") | {"description": "When its last run ended; now while it has one."},
    "memory_bytes": _nullable("integer") | {"description": "As measured when it was loaded."},
    "fetching": {
        "description": "How far its weights have come, while they are fetched: bytes, and seconds left where known.",
        "type": ["object", "null"],
        "properties": {
            "done_bytes": {"type": "integer"},
            "total_bytes": {"type": "integer"},
            "left_s": _nullable("number"),
        },
        "required": ["done_bytes", "total_bytes", "left_s"],
        "additionalProperties": False,
    },
    "gpu_share": {"type": "number", "description": "How much of a GPU it takes, 0 to 1."},
    "job_id": _nullable("string"),
    "saves_s_per_hour": _nullable("number") | {"description": "Waiting it is expected to save while it is idle."},
    "why": _TEXT | {"description": "Why it is there, for people."},
}
_FLEET["properties"]["models"]["items"]["properties"] |= {
    "asked_per_hour": _nullable("number") | {"description": "How often it is expected to be asked for."},
    "prewarmed_until": _nullable("number"),
    "replicas_max": _nullable("integer"),
}

_SCHEMAS: _Schema = {
    "JobRequest": _object(
        _optional(
            _SHARED_PARAMETERS
            | {
                "quality": {"enum": [each.value for each in Quality], "default": "standard"},
                "frames": _COUNT | {"description": "Length of a clip, for models that make clips."},
                "seconds": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "description": "The same as the time it plays; exclusive with `frames`.",
                },
                "output_format": {
                    "enum": [each.value for each in OutputFormat],
                    "description": "By default png, for a clip webp. gif, mp4 and webm are for clips; jpeg is not.",
                },
                "output_quality": _COUNT | {"maximum": 100, "description": "For jpeg, webp, mp4 and webm."},
                "prompt_syntax": {
                    "enum": [each.value for each in Syntax],
                    "default": "auto",
                    "description": "The notation of the prompt. plain: every character is what it is.",
                },
                "on_unsupported": {
                    "enum": ["refuse", "drop"],
                    "default": "refuse",
                    "description": "What the model cannot do: refuse the request, or leave it out and say so.",
                },
                "on_overflow": {
                    "enum": ["refuse", "shorten"],
                    "default": "refuse",
                    "description": "A prompt that is too long: refuse it, or shorten it and say so.",
                },
                "task": {"enum": list(OFFERED), "description": "Without a model: any model that can do this."},
                "deadline_s": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "description": "Give up after so many seconds.",
                },
                "wait_s_max": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "description": "Refuse at once what would wait for a worker for longer.",
                },
                "may_substitute": {
                    "type": "boolean",
                    "default": False,
                    "description": "Take the closest other model when the named one is not there in time.",
                },
                "webhook": _WEBHOOK,
            },
            but="prompt",
        )
        | {"inputs": INPUTS_SCHEMA},
        ("prompt",),
        is_closed=True,
    ),
    "Job": _JOB,
    "JobList": _object(
        {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Job"}},
            "has_more": {"type": "boolean"},
            "next_before": _nullable("string"),
        }
    ),
    "Model": _MODEL,
    "ModelList": _object(
        {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
        }
    ),
    "ImagesRequest": _object(
        _SHARED_PARAMETERS
        | {
            "quality": {
                "enum": ["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd", "draft"],
                "default": "auto",
            },
            "response_format": {"enum": ["b64_json", "url"], "default": "b64_json"},
            "output_compression": {"type": "integer", "minimum": 0, "maximum": 100},
            "stream": {"type": "boolean", "default": False},
            "partial_images": {"type": "integer", "minimum": 0, "maximum": 3, "default": 0},
            "safety_identifier": _TEXT | {"maxLength": 256, "description": "The newer name of `user`."},
            "background": {"enum": ["auto", "opaque"], "default": "auto"},
            "moderation": {"enum": ["auto", "low"], "default": "auto"},
        },
        ("prompt",),
        is_closed=True,
    ),
    "Images": _like(_IMAGES_EXAMPLE)
    | {"description": "`data` holds `b64_json`, or `url` where `response_format` asked for it."},
    "WebhookEndpointRequest": _object(
        {"url": _URL, "events": _or_null(_events_of(JOB_EVENTS)), "description": _DESCRIPTION}, ("url",), is_closed=True
    ),
    "WebhookEndpointChange": _object(
        {
            "url": _or_null(_URL),
            "events": _or_null(_events_of(JOB_EVENTS)),
            "description": _DESCRIPTION,
            "disabled": {"type": "boolean"},
        },
        (),
        is_closed=True,
    ),
    "WebhookReplayRequest": _object(
        {
            "since": {
                "type": "number",
                "minimum": 0,
                "exclusiveMaximum": 2**53,
                "description": "Events from this time on, in seconds.",
            }
        },
        (),
        is_closed=True,
    ),
    "WebhookEndpoint": _ENDPOINT,
    "WebhookEndpointWithSecret": _ENDPOINT_WITH_SECRET,
    "WebhookEndpointList": _object(
        {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/WebhookEndpoint"}},
        }
    ),
    "WebhookEndpointDeleted": _object({"id": _TEXT, "object": _TEXT, "deleted": {"const": True}}),
    "WebhookDelivery": _DELIVERY,
    "WebhookDeliveryWithLog": _DELIVERY_WITH_LOG,
    "WebhookDeliveryList": _object(
        {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/WebhookDelivery"}},
            "has_more": {"type": "boolean"},
            "next_before": _nullable("string"),
        }
    ),
    "WebhookSecret": _object({"key": _TEXT}),
    "PredictionRequest": _object(
        {"version": _TEXT | {"description": "A model: an id of `GET /v1/models`, or `owner/name`."}}
        | _PREDICTION_OPTIONS,
        ("version", "input"),
        is_closed=True,
    ),
    "PredictionOfModelRequest": _object(_PREDICTION_OPTIONS, ("input",), is_closed=True),
    "Prediction": _PREDICTION,
    "PredictionVersion": _object(
        {"id": _TEXT, "created_at": _TEXT, "cog_version": _TEXT, "openapi_schema": {"type": "object"}}
    ),
    "PredictionModel": _object(
        {
            "url": _TEXT,
            "owner": _TEXT,
            "name": _TEXT,
            "description": _TEXT,
            "visibility": {"enum": ["private"]},
            "run_count": {"type": "integer"},
            "latest_version": {"$ref": "#/components/schemas/PredictionVersion"},
        }
    ),
    "PredictionList": _object(
        {
            "previous": _nullable("string"),
            "next": _nullable("string"),
            "results": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
        }
    ),
    "Fleet": _FLEET,
    "Diagnosis": DIAGNOSIS_SCHEMA,
    **REVIEW_SCHEMAS,
    "ImportForm": IMPORT_FORM,
    "ImportRequest": IMPORT_JSON,
    "Imported": IMPORTED_SCHEMA,
    **{each.schema_name: each.schema for each in ANSWERED.values()},
    "InputForm": UPLOAD_FORM,
    "Input": _like(UPLOADED_EXAMPLE),
    "EditForm": EDITS_FORM,
    "EditRequest": EDITS_JSON,
    "Account": ACCOUNT_SCHEMA,
    "Accounts": ACCOUNTS_SCHEMA,
    "Price": PRICE_SCHEMA,
    "Costs": COSTS_SCHEMA,
    "CreditRequest": CREDIT_SCHEMA,
    "Posted": POSTED_SCHEMA,
    "HaltRequest": _object(
        {"model": _TEXT, "pool": _TEXT, "running": {"enum": ["pause", "finish"]}}, (), is_closed=True
    ),
    "ResumeRequest": _object({"model": _TEXT, "pool": _TEXT}, (), is_closed=True),
    "ModelOrder": _object(
        {"pinned": {"type": "boolean"}, "replicas_max": {"type": ["integer", "null"], "minimum": 0}}, (), is_closed=True
    ),
    "PrewarmRequest": _object({"minutes": _COUNT | {"default": 30}}, (), is_closed=True),
    "Health": _object({"status": _TEXT, "problems": {"type": "object", "additionalProperties": _TEXT}}, ("status",)),
    "Problem": _object(
        {
            "error": _object(
                {
                    "message": _TEXT,
                    "type": _TEXT,
                    "param": _nullable("string"),
                    "code": _TEXT,
                    "job_id": _TEXT | {"description": "Where a job is behind the error."},
                    "alternatives": {
                        "type": "array",
                        "items": _object({"model": _TEXT, "eta": _ETA}),
                        "description": "Models that could do it instead, closest first.",
                    },
                    "moderation_details": MODERATION_DETAILS,
                },
                ("message", "type", "param", "code"),
            ),
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "instance": _TEXT,
            "request_id": _TEXT,
        }
    ),
}

_IMAGE_DATA = _SCHEMAS["Images"]["properties"]["data"]["items"]
_IMAGE_DATA["properties"] |= {"url": _TEXT, "revised_prompt": _TEXT, **_FIT}
_IMAGE_DATA["required"] = ["seed"]

REPRODUCE_ROUTE: _Route = {
    "summary": "Make a job's pictures again",
    "description": "With the same seeds and settings. `GET /v1/jobs/{id}/reproduction` of the new job compares.",
    "status_code": 201,
    "responses": {
        201: json_answer("Job", _PENDING_EXAMPLE, "The new job.", Location=f"/v1/jobs/{_JOB_ID}"),
        **_errors(
            f"/v1/jobs/{_JOB_ID}/reproduce",
            "invalid",
            "unauthenticated",
            "missing",
            "not_completed",
            "overloaded",
            "unavailable",
        ),
    },
}

REPRODUCTION_ROUTE: _Route = {
    "summary": "What came of making pictures again",
    "responses": {
        200: json_answer("Reproduction", REPRODUCTION_EXAMPLE, "The verdict, and which component changed."),
        **_errors(f"/v1/jobs/{_JOB_ID}/reproduction", "unauthenticated", "missing", "no_reproduction", "unavailable"),
    },
}
_SCHEMAS["Reproduction"] = REPRODUCTION_SCHEMA

_VIDEO_PATH = f"/v1/videos/{VIDEO_ID}"
_VIDEO: _Schema = _json("Video", VIDEO_EXAMPLE, "The video as it is now.")

CREATE_VIDEO: _Route = {
    "summary": "Make a video, as OpenAI's clients ask for it",
    "description": "As JSON or as a form, with the same parameters. Ask `GET /v1/videos/{id}` how it goes.",
    "responses": {200: _VIDEO, **_errors("/v1/videos", *_SUBMIT_ERRORS)},
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/VideoRequest"},
                    "example": {"prompt": "a red boat on the sea at sunset", "seconds": "1.5"},
                },
                "multipart/form-data": {
                    "schema": {"$ref": "#/components/schemas/VideoForm"},
                    "example": {"prompt": "a red boat on the sea at sunset", "seconds": "1.5"},
                },
            },
        },
        "parameters": [_IDEMPOTENCY_KEY],
    },
}

LIST_VIDEOS: _Route = {
    "summary": "List videos",
    "responses": {
        200: _json("VideoList", VIDEO_LIST_EXAMPLE, "A page of videos."),
        **_errors("/v1/videos", "invalid", "unauthenticated", "no_video", "unavailable"),
    },
}

GET_VIDEO: _Route = {
    "summary": "Look at a video",
    "responses": {200: _VIDEO, **_errors(_VIDEO_PATH, "unauthenticated", "no_video", "unavailable")},
}

DELETE_VIDEO: _Route = {
    "summary": "Delete a video",
    "description": "One that is being made is stopped first. What it cost stays on the account.",
    "responses": {
        200: _json("VideoDeleted", {"id": VIDEO_ID, "object": "video.deleted", "deleted": True}, "It is gone."),
        **_errors(_VIDEO_PATH, "unauthenticated", "no_video", "unavailable"),
    },
}

VIDEO_CONTENT: _Route = {
    "summary": "Fetch a video, its first frame, or a sheet of its frames",
    "description": "Honours `Range` and `If-None-Match`, for the video and the first frame.",
    "responses": {
        200: {"description": "The file.", "content": _PICTURE},
        206: {"description": "The part asked for.", "content": _PICTURE},
        304: {"description": "The client's copy is still good."},
        **_errors(
            f"{_VIDEO_PATH}/content", "invalid", "unauthenticated", "no_video", "not_ready", "beyond", "unavailable"
        ),
    },
}

REMIX_VIDEO: _Route = {
    "summary": "Make a video again with another prompt",
    "description": "Everything else stays as it was, the seed included.",
    "responses": {200: _VIDEO, **_errors(f"{_VIDEO_PATH}/remix", "no_video", *_SUBMIT_ERRORS)},
    "openapi_extra": {
        **_body("RemixRequest", {"prompt": "the same boat in a storm"}),
        "parameters": [_IDEMPOTENCY_KEY],
    },
}

_SCHEMAS.update(VIDEO_SCHEMAS)

_OPEN_PATHS = ("/healthz", "/readyz", "/metrics")


def describe(app: FastAPI, more_schemas: Mapping[str, _Schema]) -> dict[str, Any]:
    """The OpenAPI document, made once. `more_schemas` are those of routes that are described elsewhere."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes
        )
        document["components"] = {
            "schemas": {**_SCHEMAS, **more_schemas},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key, `hg_…`."}},
        }
        document["security"] = [{"key": []}]
        for path, operations in document["paths"].items():
            for operation in operations.values():
                # FastAPI announces its own 422 for parameters that are wrong; here that is a 400 like every other.
                if MEDIA_TYPE not in operation["responses"].get("422", {}).get("content", {}):
                    operation["responses"].pop("422", None)
                if path in _OPEN_PATHS:
                    operation["security"] = []
        app.openapi_schema = document
    return app.openapi_schema
