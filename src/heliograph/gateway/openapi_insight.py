"""The machine-readable description of what tells an operator how things are; `openapi.py` makes routes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.monitoring import Dimension, Stage

_Schema = dict[str, Any]
_TEXT: _Schema = {"type": "string"}
_NUMBER: _Schema = {"type": "number"}
_COUNT: _Schema = {"type": "integer", "minimum": 0}
_MAYBE_NUMBER: _Schema = {"type": ["number", "null"]}
_MAYBE_TEXT: _Schema = {"type": ["string", "null"]}
WINDOWS = {"5m": 300.0, "1h": 3_600.0, "24h": 86_400.0}


def _object(properties: Mapping[str, _Schema]) -> _Schema:
    return {"type": "object", "required": list(properties), "properties": dict(properties)}


def _list(kind: _Schema) -> _Schema:
    return {"type": "array", "items": kind}


def _query(name: str, schema: _Schema, description: str) -> _Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One `GET` route: what it answers, an example, and the errors it knows besides those of the operator's key."""

    summary: str
    path: str
    description: str
    schema_name: str
    schema: _Schema
    example: _Schema
    parameters: tuple[_Schema, ...] = ()
    errors: tuple[str, ...] = ()


_QUANTILES = _object({"count": _COUNT, "p50": _NUMBER, "p95": _NUMBER, "p99": _NUMBER, "max": _NUMBER})
_STAGE_NAMES = [stage.value for stage in Stage]

ANSWERED: Mapping[str, Answered] = {
    "audit": Answered(
        summary="What operators ordered",
        path="/v1/admin/audit",
        description="Every call with the operator's key that may have changed something, the newest first.",
        schema_name="AuditLog",
        schema=_object(
            {
                "object": {"const": "list"},
                "data": _list(
                    _object(
                        {
                            "at": _NUMBER,
                            "request_id": _TEXT,
                            "from": _MAYBE_TEXT,
                            "method": _TEXT,
                            "path": _TEXT,
                            "body": {"description": "As it was sent, without what is secret."},
                            "status": {"type": "integer"},
                        }
                    )
                ),
            }
        ),
        example={
            "object": "list",
            "data": [
                {
                    "at": 1790000000.0,
                    "request_id": "req_01k9x3v7c0aa",
                    "from": "127.0.0.1",
                    "method": "POST",
                    "path": "/v1/admin/pause",
                    "body": {"model": "sdxl-base"},
                    "status": 200,
                }
            ],
        },
        parameters=(
            _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "Entries at most."),
        ),
        errors=("invalid", "unavailable"),
    ),
    "latency": Answered(
        summary="How long people wait",
        path="/v1/admin/latency",
        description="Quantiles of completed jobs in seconds, from end to end and by stage, within 1% of exact. "
        "Tenants and regions are told apart for the last hour.",
        schema_name="Latency",
        schema=_object(
            {
                "object": {"const": "latency"},
                "by": {"enum": [dimension.value for dimension in Dimension]},
                "window_s": _NUMBER,
                "groups": _list(
                    _object(
                        {
                            "name": _TEXT,
                            "stages": {
                                "type": "object",
                                "propertyNames": {"enum": _STAGE_NAMES},
                                "additionalProperties": _QUANTILES,
                            },
                        }
                    )
                ),
                "history": _list(
                    _object(
                        {"at": _NUMBER, "count": _COUNT, "p50": _NUMBER, "p95": _NUMBER, "p99": _NUMBER, "max": _NUMBER}
                    )
                ),
            }
        ),
        example={
            "object": "latency",
            "by": "model",
            "window_s": 3600.0,
            "groups": [
                {
                    "name": "helio-base",
                    "stages": {
                        "total": {"count": 812, "p50": 0.21, "p95": 0.48, "p99": 0.93, "max": 2.4},
                        "queue": {"count": 812, "p50": 0.02, "p95": 0.24, "p99": 0.7, "max": 2.1},
                    },
                }
            ],
            "history": [{"at": 1789999800.0, "count": 68, "p50": 0.2, "p95": 0.46, "p99": 0.9, "max": 1.8}],
        },
        parameters=(
            _query("by", {"enum": [dimension.value for dimension in Dimension], "default": "all"}, "Tell apart by."),
            _query("window", {"enum": list(WINDOWS), "default": "1h"}, "Up to now."),
        ),
        errors=("invalid",),
    ),
    "slowest": Answered(
        summary="The slowest jobs of the last hour",
        path="/v1/admin/slowest",
        description="Each with its whole timeline: every state it entered, every stay on a worker, why it went back.",
        schema_name="SlowestJobs",
        schema=_object(
            {
                "object": {"const": "list"},
                "data": _list(
                    _object(
                        {
                            "job_id": _TEXT,
                            "model": _TEXT,
                            "tier": _TEXT,
                            "tenant": _TEXT,
                            "region": _TEXT,
                            "total_s": _NUMBER,
                            "finished_at": _NUMBER,
                            "stages": {"type": "object", "additionalProperties": _NUMBER},
                            "timeline": _list(_object({"state": _TEXT, "at": _NUMBER})),
                            "stays": _list(
                                _object({"worker": _TEXT, "gpu": _TEXT, "seconds": _NUMBER, "outcome": _TEXT})
                            ),
                            "causes": _list(_TEXT),
                        }
                    )
                ),
            }
        ),
        example={
            "object": "list",
            "data": [
                {
                    "job_id": "job_01k9x3v7c0aa",
                    "model": "helio-base",
                    "tier": "standard",
                    "tenant": "acme",
                    "region": "",
                    "total_s": 31.2,
                    "finished_at": 1790000031.2,
                    "stages": {"total": 31.2, "queue": 30.9, "inference": 0.2},
                    "timeline": [{"state": "pending", "at": 1790000000.0}],
                    "stays": [{"worker": "worker_1", "gpu": "cpu-0", "seconds": 0.2, "outcome": "succeeded"}],
                    "causes": [],
                }
            ],
        },
        parameters=(
            _query("limit", {"type": "integer", "minimum": 1, "maximum": 200, "default": 20}, "Jobs at most."),
        ),
        errors=("invalid",),
    ),
    "objectives": Answered(
        summary="Service level objectives and their error budgets",
        path="/v1/admin/objectives",
        description="How each stands over thirty days, what is left of its error budget, and how fast it burns.",
        schema_name="Objectives",
        schema=_object(
            {
                "object": {"const": "objectives"},
                "data": _list(
                    _object(
                        {
                            "name": _TEXT,
                            "kind": {"enum": ["availability", "latency"]},
                            "target": _NUMBER,
                            "threshold_s": _MAYBE_NUMBER,
                            "tier": _MAYBE_TEXT,
                            "model": _MAYBE_TEXT,
                            "good": _COUNT,
                            "bad": _COUNT,
                            "budget_left": _MAYBE_NUMBER,
                            "burn": {"type": "object", "additionalProperties": _MAYBE_NUMBER},
                            "alarm": {"enum": ["page", "ticket", None]},
                        }
                    )
                ),
            }
        ),
        example={
            "object": "objectives",
            "data": [
                {
                    "name": "completed",
                    "kind": "availability",
                    "target": 0.995,
                    "threshold_s": None,
                    "tier": None,
                    "model": None,
                    "good": 99_800,
                    "bad": 200,
                    "budget_left": 0.6,
                    "burn": {"5m": 0.4, "30m": 0.4, "1h": 0.3, "6h": 0.4, "3d": 0.5},
                    "alarm": None,
                }
            ],
        },
    ),
    "health": Answered(
        summary="The machines and what happened in the last five minutes",
        path="/v1/admin/health",
        description="GPUs as the driver tells of them, queues with the age of the next in line, and counts by name.",
        schema_name="FleetHealth",
        schema=_object(
            {
                "object": {"const": "health"},
                "at": _NUMBER,
                "seconds": _NUMBER,
                "gpus": _list(
                    _object(
                        {
                            "name": _TEXT,
                            "utilization": _MAYBE_NUMBER,
                            "memory_used_bytes": _COUNT,
                            "memory_total_bytes": _COUNT,
                            "temperature_c": _MAYBE_NUMBER,
                        }
                    )
                ),
                "queues": _list(
                    _object(
                        {
                            "model": _TEXT,
                            "pending": _COUNT,
                            "pending_s": _NUMBER,
                            "oldest_s": _NUMBER,
                            "replicas": _COUNT,
                            "load_s": _NUMBER,
                        }
                    )
                ),
                "counts": _list(_object({"what": _TEXT, "of": _TEXT, "count": _NUMBER})),
            }
        ),
        example={
            "object": "health",
            "at": 1790000000.0,
            "seconds": 300.0,
            "gpus": [
                {
                    "name": "0",
                    "utilization": 0.97,
                    "memory_used_bytes": 60_000_000_000,
                    "memory_total_bytes": 85_000_000_000,
                    "temperature_c": 64.0,
                }
            ],
            "queues": [
                {
                    "model": "sdxl-base",
                    "pending": 12,
                    "pending_s": 40.1,
                    "oldest_s": 3.2,
                    "replicas": 2,
                    "load_s": 21.0,
                }
            ],
            "counts": [{"what": "load_done", "of": "sdxl-base", "count": 2}],
        },
    ),
    "quality": Answered(
        summary="Are the pictures still good",
        path="/v1/admin/quality",
        description="Alignment with the prompts, gates, repeated prompts and downloads by revision of each model, the "
        "latest first; `held` says that a roll-out of the revision should go no further.",
        schema_name="Quality",
        schema=_object(
            {
                "object": {"const": "quality"},
                "data": _list(
                    _object(
                        {
                            "model": _TEXT,
                            "revision": _TEXT,
                            "is_current": {"type": "boolean"},
                            "jobs": _COUNT,
                            "pictures": _COUNT,
                            "flagged": _COUNT,
                            "rejected": _COUNT,
                            "user_retries": _COUNT,
                            "downloads": _COUNT,
                            "alignment": _object(
                                {
                                    "count": _COUNT,
                                    "mean": _MAYBE_NUMBER,
                                    "deviation": _MAYBE_NUMBER,
                                    "p10": _MAYBE_NUMBER,
                                    "p50": _MAYBE_NUMBER,
                                    "p90": _MAYBE_NUMBER,
                                }
                            ),
                            "days": _list(_object({"day": _COUNT, "count": _COUNT, "mean": _NUMBER})),
                            "baseline": {
                                "anyOf": [
                                    _object({"mean": _NUMBER, "deviation": _NUMBER, "count": _COUNT}),
                                    {"type": "null"},
                                ]
                            },
                            "changed_at": _MAYBE_NUMBER,
                            "held": {"type": "boolean"},
                            "why": _MAYBE_TEXT,
                        }
                    )
                ),
            }
        ),
        example={
            "object": "quality",
            "data": [
                {
                    "model": "helio-base",
                    "revision": "c0ffee",
                    "is_current": True,
                    "jobs": 900,
                    "pictures": 1200,
                    "flagged": 3,
                    "rejected": 5,
                    "user_retries": 41,
                    "downloads": 640,
                    "alignment": {
                        "count": 1200,
                        "mean": 0.81,
                        "deviation": 0.11,
                        "p10": 0.66,
                        "p50": 0.83,
                        "p90": 0.93,
                    },
                    "days": [{"day": 20717, "count": 1200, "mean": 0.81}],
                    "baseline": {"mean": 0.82, "deviation": 0.1, "count": 5000},
                    "changed_at": None,
                    "held": False,
                    "why": None,
                }
            ],
        },
    ),
}
