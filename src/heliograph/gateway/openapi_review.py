"""The machine-readable description of moderation; `openapi.py` puts it among the others."""

from collections.abc import Callable, Mapping
from typing import Any

from heliograph.domain.errors import HeliographError, InvalidRequest, NotFound, Overloaded, PermissionDenied
from heliograph.domain.job import JobState
from heliograph.domain.moderation import CaseDeed, CaseState, CaseSubject
from heliograph.domain.pictures import Availability, Decision

_Schema = dict[str, Any]
_Route = dict[str, Any]

_TEXT: _Schema = {"type": "string"}
_MAYBE: _Schema = {"type": ["string", "null"]}
_NUMBER: _Schema = {"type": "number"}
_SHARE: _Schema = {"type": "number", "minimum": 0, "maximum": 1}
_CASE_ID = "case_01k9x3wh5rt2"
_JOB_ID = "job_01k9x3v7c2m8"
_OUTPUT_ID = "out_01k9x3v9fq4t"

REVIEW_ERRORS: Mapping[str, HeliographError] = {
    "reviewer_only": PermissionDenied("This is for a reviewer's key or the operator's.", code="reviewer_only"),
    "reviewer_key": PermissionDenied("This is a reviewer's key: it opens moderation only.", code="reviewer_key"),
    "no_case": NotFound(f"There is no case {_CASE_ID}.", param="case_id", code="case_not_found"),
    "no_appeal": InvalidRequest(
        f"Nothing was found in job {_JOB_ID}: there is nothing to appeal.", code="nothing_to_appeal"
    ),
    "too_many_appeals": Overloaded(
        "50 appeals of yours wait for an answer. Wait for one of them.", code="too_many_appeals", retry_after_s=600.0
    ),
    "withheld": PermissionDenied(
        "A person decided that this picture is against the content policy.", code="picture_withheld"
    ),
    "held": PermissionDenied("A person looks at this picture before it is delivered.", code="picture_held"),
}


def _object(properties: _Schema, *, optional: tuple[str, ...] = (), is_closed: bool = False) -> _Schema:
    schema: _Schema = {"type": "object", "properties": properties}
    required = [name for name in properties if name not in optional]
    if required:
        schema["required"] = required
    return schema | {"additionalProperties": False} if is_closed else schema


SAFETY_SCHEMA: _Schema = {
    "anyOf": [
        _object({"score": _SHARE, "decision": {"enum": [each.value for each in Decision]}, "judge": _TEXT}),
        {"type": "null"},
    ],
    "description": "How sure a classifier is that the picture is not safe for work; null where none judged it.",
}
AVAILABILITY_SCHEMA: _Schema = {
    "enum": [each.value for each in Availability],
    "description": "held: a person looks at it first; withheld: it was decided against. Both have no url.",
}
_CASE = {
    "id": _TEXT,
    "object": {"const": "moderation_case"},
    "subject": {"enum": [each.value for each in CaseSubject]},
    "state": {"enum": [each.value for each in CaseState]},
    "tenant": _TEXT,
    "job_id": _MAYBE,
    "output_id": _MAYBE,
    "category": _TEXT | {"description": "What the classifier is surest of."},
    "score": _SHARE,
    "findings": {
        "type": "array",
        "items": _object({"category": _TEXT, "score": _SHARE, "evidence": {"type": "array", "items": _TEXT}}),
    },
    "prompt": _MAYBE | {"description": "Null where no text may be kept."},
    "negative_prompt": _TEXT,
    "holding": {"type": "boolean", "description": "Nothing of its job is delivered before a decision."},
    "opened_at": _NUMBER,
    "since": _NUMBER | {"description": "When it came into its state."},
    "label": {
        "anyOf": [
            _object(
                {"prompt": _TEXT, "label": {"enum": [0, 1]}, "category": _TEXT, "source": _TEXT, "tier": _TEXT},
            ),
            {"type": "null"},
        ],
        "description": "The row for `heliograph moderation evaluate` that a decided prompt is.",
    },
}
_FILE = _CASE | {
    "log": {
        "type": "array",
        "items": _object(
            {
                "number": {"type": "integer"},
                "at": _NUMBER,
                "actor": _TEXT,
                "deed": {"enum": [each.value for each in CaseDeed]},
                "reason": _TEXT,
            }
        ),
    },
    "pictures": {
        "type": "array",
        "items": _object(
            {
                "index": {"type": "integer"},
                "url": _TEXT,
                "thumbnail_url": _TEXT,
                "width": {"type": "integer"},
                "height": {"type": "integer"},
                "availability": AVAILABILITY_SCHEMA,
                "safety": SAFETY_SCHEMA,
            }
        ),
    },
    "job": {
        "anyOf": [
            _object(
                {
                    "status": {"enum": [each.value for each in JobState]},
                    "model": _TEXT,
                    "seed": {"type": "integer"},
                    "style": _MAYBE,
                    "created_at": _NUMBER,
                    "error": _MAYBE,
                }
            ),
            {"type": "null"},
        ]
    },
}
_TOLD = ("id", "object", "subject", "state", "job_id", "output_id", "category", "score")
_OWN = {name: _CASE[name] for name in _TOLD} | {
    "opened_at": _NUMBER,
    "since": _NUMBER,
    "appealed": {"type": "boolean"},
    "decision": {
        "anyOf": [
            _object({"deed": {"enum": ["upheld", "overturned", "released"]}, "at": _NUMBER, "reason": _TEXT}),
            {"type": "null"},
        ]
    },
}
_WAITING = _object({"cases": {"type": "integer", "minimum": 0}, "age_s": _NUMBER})
_REASON = {"type": "string", "maxLength": 1000}
_NEEDED = _REASON | {"minLength": 1, "pattern": r"\S"}
_LIST = {"object": {"const": "list"}}

REVIEW_SCHEMAS: _Schema = {
    "ModerationCase": _object(_FILE),
    "ModerationCases": _object(
        _LIST | {"data": {"type": "array", "items": _object(_CASE)}, "has_more": {"type": "boolean"}}
    ),
    "ModerationBacklog": _object(
        {
            "object": {"const": "moderation_backlog"},
            "waiting": _object({"open": _WAITING, "appealed": _WAITING}),
            "reviewers": {
                "type": "array",
                "items": _object(
                    {"reviewer": _TEXT, "decided": {"type": "object", "additionalProperties": {"type": "integer"}}}
                ),
            },
        }
    ),
    "ModerationDecision": _object(
        {"decision": {"enum": ["uphold", "overturn", "release"]}, "reason": _REASON | {"type": ["string", "null"]}},
        optional=("reason",),
        is_closed=True,
    ),
    "OwnCase": _object(_OWN),
    "OwnCases": _object(_LIST | {"data": {"type": "array", "items": _object(_OWN)}}),
    "JobAppeal": _object({"reason": _NEEDED}, is_closed=True),
    "PromptAppeal": _object(
        {
            "prompt": {"type": "string", "minLength": 1, "maxLength": 20_000, "pattern": r"\S"},
            "negative_prompt": {"type": ["string", "null"], "maxLength": 20_000},
            "reason": _NEEDED,
        },
        optional=("negative_prompt",),
        is_closed=True,
    ),
}

_CASE_EXAMPLE: _Schema = {
    "id": _CASE_ID,
    "object": "moderation_case",
    "subject": "picture",
    "state": "open",
    "tenant": "acme",
    "job_id": _JOB_ID,
    "output_id": _OUTPUT_ID,
    "category": "sexual",
    "score": 0.63,
    "findings": [{"category": "sexual", "score": 0.63, "evidence": []}],
    "prompt": "a swimmer on the beach",
    "negative_prompt": "",
    "holding": True,
    "opened_at": 1790000000.0,
    "since": 1790000000.0,
    "label": None,
}
_FILE_EXAMPLE = _CASE_EXAMPLE | {
    "log": [{"number": 1, "at": 1790000000.0, "actor": "filter", "deed": "opened", "reason": ""}],
    "pictures": [
        {
            "index": 0,
            "url": f"/v1/admin/moderation/cases/{_CASE_ID}/pictures/0",
            "thumbnail_url": f"/v1/admin/moderation/cases/{_CASE_ID}/pictures/0?variant=thumbnail",
            "width": 512,
            "height": 512,
            "availability": "held",
            "safety": {"score": 0.63, "decision": "flag", "judge": "opennsfw"},
        }
    ],
    "job": {
        "status": "completed",
        "model": "helio-base",
        "seed": 7,
        "style": None,
        "created_at": 1789999998.0,
        "error": None,
    },
}
_OWN_EXAMPLE = {name: _CASE_EXAMPLE[name] for name in _OWN if name in _CASE_EXAMPLE} | {
    "state": "appealed",
    "appealed": True,
    "decision": None,
}
_BACKLOG_EXAMPLE: _Schema = {
    "object": "moderation_backlog",
    "waiting": {"open": {"cases": 12, "age_s": 5400.0}, "appealed": {"cases": 1, "age_s": 600.0}},
    "reviewers": [{"reviewer": "key_5f2b7c0a1d9e4411", "decided": {"upheld": 9, "overturned": 31}}],
}


def review_routes(
    errors: Callable[..., dict[int | str, _Schema]],
    json: Callable[..., _Schema],
    body: Callable[[str, object], _Schema],
) -> Mapping[str, _Route]:
    """Each route's description, made with the ways in which `openapi.py` describes errors, answers and bodies."""
    base, reviewer = "/v1/admin/moderation", ("unauthenticated", "reviewer_only", "unavailable")
    asked = ("unauthenticated", "reviewer_key", "unavailable")
    prompt = {"subject": "prompt", "job_id": None, "output_id": None}
    sent = ("invalid", "too_slow", "too_large", "not_json")
    file = {"schema": {"type": "string", "format": "binary"}, "example": "(bytes)"}
    picture = {f"image/{kind}": file for kind in ("png", "webp", "jpeg", "gif")}
    return {
        "cases": {
            "summary": "List moderation cases",
            "description": "Those that came into their state first are first. With a reviewer's or the operator's key.",
            "responses": {
                200: json(
                    "ModerationCases", {"object": "list", "data": [_CASE_EXAMPLE], "has_more": False}, "One page."
                ),
                **errors(f"{base}/cases", "invalid", *reviewer),
            },
        },
        "case": {
            "summary": "Look at one case",
            "description": "With its log, the pictures that it is about, and what became of its job.",
            "responses": {
                200: json("ModerationCase", _FILE_EXAMPLE, "The case."),
                **errors(f"{base}/cases/{_CASE_ID}", "no_case", *reviewer),
            },
        },
        "decide": {
            "summary": "Decide a case",
            "description": "`uphold`: the finding is right, its pictures are withheld. `overturn`: it is wrong, they "
            "are delivered. `release`: it is right, and they are delivered all the same. The last two need a reason.",
            "responses": {
                200: json("ModerationCase", _FILE_EXAMPLE | {"state": "upheld"}, "The case after it."),
                **errors(f"{base}/cases/{_CASE_ID}/decision", "no_case", *sent, *reviewer),
            },
            "openapi_extra": body("ModerationDecision", {"decision": "overturn", "reason": "a statue"}),
        },
        "picture": {
            "summary": "See a picture of a case",
            "description": "Whoever may have it otherwise; nothing keeps a copy.",
            "responses": {
                200: {"description": "The picture.", "content": picture},
                **errors(f"{base}/cases/{_CASE_ID}/pictures/0", "invalid", "no_case", *reviewer),
            },
        },
        "backlog": {
            "summary": "How much waits, and who decides how much",
            "description": "Waiting cases, how long the first has waited, each reviewer's decisions of the last hour.",
            "responses": {
                200: json("ModerationBacklog", _BACKLOG_EXAMPLE, "As it is now."),
                **errors(f"{base}/backlog", *reviewer),
            },
        },
        "job_moderation": {
            "summary": "What was found in a job, and decided",
            "responses": {
                200: json("OwnCases", {"object": "list", "data": [_OWN_EXAMPLE]}, "Its cases, oldest first."),
                **errors(f"/v1/jobs/{_JOB_ID}/moderation", "missing", *asked),
            },
        },
        "appeal_job": {
            "summary": "Say that a job was fine",
            "description": "Puts what was found in it before a person, once.",
            "responses": {
                201: json("OwnCases", {"object": "list", "data": [_OWN_EXAMPLE]}, "Its cases."),
                **errors(f"/v1/jobs/{_JOB_ID}/appeal", "missing", *asked, *sent, "no_appeal", "too_many_appeals"),
            },
            "openapi_extra": body("JobAppeal", {"reason": "It is a statue in a museum."}),
        },
        "appeal_prompt": {
            "summary": "Say that a refused prompt was fine",
            "description": "Of a refused prompt nothing is kept, so it is sent again here, to be read by a person.",
            "responses": {
                201: json("OwnCase", _OWN_EXAMPLE | prompt, "Its case."),
                **errors("/v1/appeals", *asked, *sent, "no_appeal", "too_many_appeals"),
            },
            "openapi_extra": body("PromptAppeal", {"prompt": "a naked mole rat", "reason": "It is an animal."}),
        },
        "appeal": {
            "summary": "What became of an appeal",
            "responses": {
                200: json("OwnCase", _OWN_EXAMPLE, "The case."),
                **errors(f"/v1/appeals/{_CASE_ID}", "no_case", *asked),
            },
        },
    }
