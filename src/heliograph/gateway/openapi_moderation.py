"""What the OpenAPI document says about moderation."""

from typing import Any

from heliograph.domain.prompt_verdict import Category

_TEXTS = {"type": "array", "items": {"type": "string"}}

MODERATION_DETAILS: dict[str, Any] = {
    "type": "object",
    "description": "Why the content policy refuses it, and what to do about that.",
    "properties": {
        "moderation_stage": {"enum": ["input"]},
        "categories": {"type": "array", "items": {"enum": [category.value for category in Category]}},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "span": {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {
                        "start": {"type": "integer"},
                        "end": {"type": "integer"},
                        "text": {"type": "string"},
                    },
                },
                {"type": "null"},
            ]
        },
        "evidence": _TEXTS,
        "refusal_id": {"type": "string"},
        "appeal": {"type": "string"},
    },
}
