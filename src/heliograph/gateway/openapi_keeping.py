"""The machine-readable description of `gateway/keeping.py`."""

from typing import Any

from heliograph.domain.errors import NotFound, PermissionDenied
from heliograph.domain.keeping import DeletionReason, StorageTier
from heliograph.gateway import openapi

_OUTPUT_ID = "out_01k9x3v9fq4t"
_JOB_ID = "job_01k9x3v7c2m8"

_KEEPING: dict[str, Any] = {
    "id": _OUTPUT_ID,
    "object": "keeping",
    "job": _JOB_ID,
    "created_at": 1790000000.0,
    "bytes": 23805,
    "storage_tier": "hot",
    "moved_at": None,
    "starred_at": None,
    "held_at": None,
    "next": {"action": "delete", "at": 1792592000.0},
}
_DELETION: dict[str, Any] = {
    "id": _OUTPUT_ID,
    "object": "output.deleted",
    "deleted": True,
    "deletion": f"del_{_OUTPUT_ID}",
    "job": _JOB_ID,
    "reason": "tenant",
    "at": 1790000600.0,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "bytes": 20733,
    "files": 2,
    "gone_at": 1790000600.1,
}

_TIME = {"type": "number", "description": "Seconds since the epoch."}
_TIME_OR_NULL = {"type": ["number", "null"]}
_TIERS = [each.value for each in StorageTier]


def _object(example: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    assert set(example) == set(properties), "the example has every property"
    return {"type": "object", "required": list(example), "properties": properties}


_DELETION_SCHEMA = _object(
    _DELETION,
    {
        "id": {"type": "string"},
        "object": {"const": "output.deleted"},
        "deleted": {"const": True},
        "deletion": {"type": "string"},
        "job": {"type": "string"},
        "reason": {"enum": [each.value for each in DeletionReason]},
        "at": _TIME,
        "sha256": {"type": "string"},
        "bytes": {"type": "integer", "minimum": 0},
        "files": {"type": "integer", "minimum": 0},
        "gone_at": _TIME_OR_NULL
        | {"description": "When its last file and its last copy in a cache was gone; null while some may be left."},
    },
)

SCHEMAS: dict[str, Any] = {
    "Keeping": _object(
        _KEEPING,
        {
            "id": {"type": "string"},
            "object": {"const": "keeping"},
            "job": {"type": "string"},
            "created_at": _TIME,
            "bytes": {"type": "integer", "minimum": 0},
            "storage_tier": {"enum": _TIERS},
            "moved_at": _TIME_OR_NULL,
            "starred_at": _TIME_OR_NULL,
            "held_at": _TIME_OR_NULL,
            "next": {
                "anyOf": [
                    {
                        "type": "object",
                        "required": ["action", "at"],
                        "properties": {"action": {"enum": ["delete", *_TIERS]}, "at": _TIME},
                    },
                    {"type": "null"},
                ],
                "description": "What retention does to it next; null when it stays as it is.",
            },
        },
    ),
    "Deletion": _DELETION_SCHEMA,
    "DeletionList": {
        "type": "object",
        "required": ["object", "data"],
        "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": _DELETION_SCHEMA}},
    },
}

_MISSING = NotFound(f"There is no picture {_OUTPUT_ID}.", code="output_not_found")
_HELD = PermissionDenied(
    f"The operator keeps {_OUTPUT_ID} for legal reasons; it cannot be deleted.", code="output_held"
)


def _route(
    summary: str,
    description: str,
    path: str,
    answer: dict[str, Any],
    *errors: Any,  # noqa: ANN401 -- whatever error an example is made of
    operator: bool = False,
) -> dict[str, Any]:
    known = openapi.known_errors("unauthenticated", *(("operator_only",) if operator else ()), "unavailable")
    return {
        "summary": summary,
        "description": description + (" With the operator's key only." if operator else ""),
        "responses": {200: answer, **openapi.error_answers(path, *errors, *known)},
    }


_PATH = f"/v1/outputs/{_OUTPUT_ID}"
_ADMIN_PATH = f"/v1/admin/outputs/{_OUTPUT_ID}"
_KEPT = openapi.json_answer("Keeping", _KEEPING, "How the picture is kept now.")
_GONE = openapi.json_answer("Deletion", _DELETION, "The record of its deletion, which stays.")

KEEPING = _route("How a picture is kept", "Where it lies and how long.", f"{_PATH}/keeping", _KEPT, _MISSING)
STAR = _route(
    "Star a picture", "Retention neither deletes it nor turns it into a recipe.", f"{_PATH}/star", _KEPT, _MISSING
)
UNSTAR = _route("Take a star away", "Retention counts again.", f"{_PATH}/star", _KEPT, _MISSING)
DELETE = _route(
    "Delete a picture",
    "At once no link and no key finds it; its files, thumbnails and copies in caches follow within minutes.",
    _PATH,
    _GONE,
    _MISSING,
    _HELD,
)
DELETIONS: dict[str, Any] = {
    "summary": "List deletions",
    "description": "The records of the tenant's deleted pictures, newest first, at most `limit` from before `before`.",
    "responses": {
        200: openapi.json_answer("DeletionList", {"object": "list", "data": [_DELETION]}, "The records."),
        **openapi.error_answers("/v1/deletions", *openapi.known_errors("invalid", "unauthenticated", "unavailable")),
    },
}
HOLD = _route("Put a hold on a picture", "Nobody can delete it.", f"{_ADMIN_PATH}/hold", _KEPT, _MISSING, operator=True)
RELEASE = _route("Take a hold away", "It can be deleted again.", f"{_ADMIN_PATH}/hold", _KEPT, _MISSING, operator=True)
TAKE_DOWN = _route(
    "Delete any tenant's picture",
    "As its tenant would.",
    _ADMIN_PATH,
    _GONE,
    _MISSING,
    _HELD,
    operator=True,
)
