"""The machine-readable description of a reproduction; `openapi.py` puts it among the others."""

from typing import Any

from heliograph.quality.likeness import Likeness

_TEXT = {"type": "string"}
_DISTANCE = {"type": "number", "minimum": 0, "maximum": 1}
_VERDICT = {"enum": [each.value for each in Likeness]}

REPRODUCTION_EXAMPLE: dict[str, Any] = {
    "object": "reproduction",
    "verdict": "visually_identical",
    "distance": 0.0004,
    "pictures": [{"index": 0, "verdict": "visually_identical", "distance": 0.0004}],
    "changed": [{"component": "library onnxruntime", "before": "1.31.0", "now": "1.32.0"}],
    "recorded": True,
}


def _all_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


REPRODUCTION_SCHEMA: dict[str, Any] = _all_of(
    {
        "object": {"const": "reproduction"},
        "verdict": _VERDICT | {"description": "That of the picture that differs most."},
        "distance": _DISTANCE | {"description": "For an eye: 0 is the same, near 1 another picture."},
        "pictures": {
            "type": "array",
            "items": _all_of({"index": {"type": "integer"}, "verdict": _VERDICT, "distance": _DISTANCE}),
        },
        "changed": {
            "type": "array",
            "items": _all_of({"component": _TEXT, "before": _TEXT, "now": _TEXT}),
            "description": "What the pictures are made with now and were not then.",
        },
        "recorded": {"type": "boolean", "description": "False: it was not kept how they were made first."},
    }
)
