"""The machine-readable description of `/v1/videos`; `openapi.py` puts it among the others."""

from typing import Any

from heliograph.domain.request import CLIP_FORMATS, SEED_MAX, OutputFormat, Quality

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 1}

VIDEO_ID = "job_01k9x3v7c2m8"

VIDEO_EXAMPLE: dict[str, Any] = {
    "id": VIDEO_ID,
    "object": "video",
    "model": "helio-motion",
    "status": "in_progress",
    "progress": 37,
    "created_at": 1790000000,
    "completed_at": None,
    "expires_at": None,
    "prompt": "a red boat on the sea at sunset",
    "size": "128x128",
    "seconds": "1.5",
    "remixed_from_video_id": None,
    "error": None,
    "queue_position": None,
    "eta_seconds": 0.4,
    "heliograph": {
        "job_id": VIDEO_ID,
        "seed": 7,
        "frames": 12,
        "step": 3,
        "steps": 8,
        "output_format": "mp4",
        "adjustments": [
            {
                "parameter": "size",
                "requested": "unset",
                "used": "128x128",
                "reason": "The model's default.",
            }
        ],
        "cost_micros": 0,
    },
}

VIDEO_LIST_EXAMPLE: dict[str, Any] = {
    "object": "list",
    "data": [VIDEO_EXAMPLE],
    "first_id": VIDEO_ID,
    "last_id": VIDEO_ID,
    "has_more": False,
}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"type": [schema["type"], "null"]}


def _all_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_CLIP_FORMATS = sorted({OutputFormat.WEBP, OutputFormat.PNG, *CLIP_FORMATS})

_PARAMETERS: dict[str, Any] = {
    "prompt": {"type": "string", "minLength": 1, "description": "What the video should show."},
    "model": _nullable(_TEXT) | {"description": "A model of `GET /v1/models` that makes clips; chosen when left out."},
    "seconds": {
        "type": ["string", "number", "null"],
        "description": "How long it plays, as text or number; the model says which lengths it makes.",
    },
    "frames": _nullable(_COUNT) | {"description": "The same as a number of frames."},
    "size": _nullable(_TEXT) | {"pattern": "^(auto|[0-9]+x[0-9]+)$", "description": "`WIDTHxHEIGHT` in pixels."},
    "seed": {"type": ["integer", "null"], "minimum": 0, "maximum": SEED_MAX},
    "steps": _nullable(_COUNT),
    "guidance_scale": {"type": ["number", "null"], "minimum": 0},
    "negative_prompt": _nullable(_TEXT),
    "quality": {"enum": [*(each.value for each in Quality), None]},
    "style": _nullable(_TEXT),
    "upscale": {"enum": [1, 2, 4, None]},
    "output_format": {
        "enum": [*(each.value for each in _CLIP_FORMATS), None],
        "description": "By default mp4; webp where the installation writes no films.",
    },
    "output_quality": _nullable(_COUNT) | {"maximum": 100, "description": "For mp4, webm and webp."},
    "user": _nullable(_TEXT) | {"maxLength": 256},
}

_REFERENCE = {
    "anyOf": [
        _TEXT,
        {
            "type": "object",
            "properties": {"image_url": _TEXT, "file_id": _TEXT},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
        {"type": "null"},
    ],
    "description": "The picture to begin with, for models that can: an address, `data:`, `in_…` or `out_…`.",
}

VIDEO_SCHEMAS: dict[str, Any] = {
    "VideoRequest": {
        "type": "object",
        "required": ["prompt"],
        "properties": _PARAMETERS | {"input_reference": _REFERENCE},
        "additionalProperties": False,
    },
    "VideoForm": {
        "type": "object",
        "required": ["prompt"],
        "properties": dict.fromkeys(_PARAMETERS, _TEXT)
        | {
            "prompt": {"type": "string", "minLength": 1},
            "input_reference": {"type": "string", "format": "binary"},
        },
        "description": "The parameters of `VideoRequest` as text.",
    },
    "RemixRequest": {
        "type": "object",
        "required": ["prompt"],
        "properties": {"prompt": {"type": "string", "minLength": 1}},
        "additionalProperties": False,
    },
    "Video": _all_of(
        {
            "id": _TEXT,
            "object": {"const": "video"},
            "model": _TEXT,
            "status": {"enum": ["queued", "in_progress", "completed", "failed"]},
            "progress": {"type": "integer", "minimum": 0, "maximum": 100},
            "created_at": {"type": "integer"},
            "completed_at": _nullable({"type": "integer"}),
            "expires_at": {"type": "null"},
            "prompt": _TEXT,
            "size": _TEXT,
            "seconds": _TEXT,
            "remixed_from_video_id": _nullable(_TEXT),
            "error": {"anyOf": [_all_of({"code": _TEXT, "message": _TEXT}), {"type": "null"}]},
            "queue_position": _nullable(_COUNT),
            "eta_seconds": _nullable(_NUMBER),
            "heliograph": {"type": "object", "required": ["job_id"], "properties": {"job_id": _TEXT}},
        }
    ),
    "VideoList": _all_of(
        {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Video"}},
            "first_id": _nullable(_TEXT),
            "last_id": _nullable(_TEXT),
            "has_more": {"type": "boolean"},
        }
    ),
    "VideoDeleted": _all_of({"id": _TEXT, "object": {"const": "video.deleted"}, "deleted": {"const": True}}),
}
