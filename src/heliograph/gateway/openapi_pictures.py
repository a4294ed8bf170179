"""The machine-readable description of what takes pictures; `openapi.py` puts it among the rest."""

from typing import Any

from heliograph.domain.intake import PictureRole
from heliograph.prompts.importing import Tool

_TEXT = {"type": "string"}
_FILE = {"type": "string", "format": "binary"}

UPLOAD_ID = "in_AO4bX0mZ6cW4n2kq9c1Vt8yZr5u7x3pLs0dGfHjK1a2s3d4f5g6h7j8k9l0q"

INPUTS_EXAMPLE: dict[str, Any] = {"image": UPLOAD_ID, "mask": None, "strength": 0.75}

INPUTS_SCHEMA: dict[str, Any] = {
    "type": ["object", "null"],
    "description": "Pictures to start from. Each is an id of `POST /v1/inputs`, an output's id, an https:// address or "
    "a data: URL in base64.",
    "required": ["image"],
    "additionalProperties": False,
    "properties": {
        "image": {
            "anyOf": [
                _TEXT | {"pattern": "^(in_|out_|https://|data:)"},
                {"type": "array", "items": _TEXT | {"pattern": "^(in_|out_|https://|data:)"}, "minItems": 1},
            ]
        },
        "mask": {"type": ["string", "null"], "description": "White, or transparent, where the picture is made anew."},
        "strength": {
            "type": ["number", "null"],
            "minimum": 0.01,
            "maximum": 1,
            "description": "How far the result may leave the picture; 1 keeps nothing of it.",
        },
    },
}

MADE_FROM_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {
            "type": "object",
            "required": ["images", "has_mask", "strength"],
            "properties": {
                "images": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["width", "height"],
                        "properties": {"width": {"type": "integer"}, "height": {"type": "integer"}},
                    },
                },
                "has_mask": {"type": "boolean"},
                "strength": {"type": ["number", "null"]},
            },
        },
        {"type": "null"},
    ],
    "description": "The pictures it starts from; null for one that is made from words alone.",
}

UPLOAD_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": _FILE | {"description": "A picture in PNG, JPEG, WebP, AVIF or GIF."},
        "purpose": {"enum": [each.value for each in PictureRole], "default": "image"},
    },
}

UPLOADED_EXAMPLE: dict[str, Any] = {
    "id": UPLOAD_ID,
    "object": "input",
    "purpose": "image",
    "width": 1024,
    "height": 768,
    "bytes": 841_022,
    "kept_until": 1790086400.0,
    "adjustments": [
        {
            "parameter": "file",
            "requested": "partly transparent",
            "used": "opaque",
            "reason": "The models read opaque pictures: what is transparent was laid on white.",
        }
    ],
}

EDITS_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["prompt", "image"],
    "properties": {
        "prompt": _TEXT | {"minLength": 1, "description": "What the result should show."},
        "image": _FILE | {"description": "The picture; several are sent as `image[]`, for models that take several."},
        "mask": _FILE | {"description": "Transparent, or white, where the picture is made anew."},
        "model": _TEXT,
        "n": {"type": "integer", "minimum": 1, "maximum": 10},
        "size": _TEXT | {"description": "`WIDTHxHEIGHT` in pixels; by default the closest to the picture's shape."},
        "strength": {"type": "number", "minimum": 0.01, "maximum": 1},
        "input_fidelity": {"enum": ["low", "high"], "description": "high: nearer to the picture (strength 0.5)."},
    },
    "description": "And every other field of `/v1/images/generations`.",
}

EDITS_JSON: dict[str, Any] = {
    "type": "object",
    "required": ["prompt", "images"],
    "properties": {
        "prompt": _TEXT | {"minLength": 1},
        "images": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "properties": {"image_url": _TEXT, "file_id": _TEXT}},
        },
        "mask": {"type": "object", "properties": {"image_url": _TEXT, "file_id": _TEXT}},
        "model": _TEXT,
    },
    "description": "And every other field of `/v1/images/generations`, `strength` and `input_fidelity`.",
}

IMPORT_FORM: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "file": _FILE | {"description": "The picture."},
        "text": _TEXT | {"description": "Or the text that a tool put on the clipboard."},
        "model": _TEXT | {"description": "Fit the settings to this model where the one they name is not here."},
    },
}

IMPORT_JSON: dict[str, Any] = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {"text": _TEXT, "model": _TEXT | {"type": ["string", "null"]}},
}

IMPORTED_EXAMPLE: dict[str, Any] = {
    "object": "import",
    "source": "a1111",
    "model": "helio-base",
    "found_model": "dreamshaper_8",
    "settings": {
        "prompt": "a red boat on the sea, sunset",
        "negative_prompt": "blurry",
        "size": "160x96",
        "steps": 25,
        "guidance_scale": 7,
        "seed": 1234,
        "prompt_syntax": "a1111",
        "model": "helio-base",
    },
    "left_out": [{"name": "Sampler", "value": "DPM++ 2M Karras"}],
    "adjustments": [
        {
            "parameter": "size",
            "requested": "768x512",
            "used": "160x96",
            "reason": "The closest size of helio-base.",
        }
    ],
}

IMPORTED_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": list(IMPORTED_EXAMPLE),
    "properties": {
        "object": {"const": "import"},
        "source": {"enum": [tool.value for tool in Tool]},
        "model": {"type": ["string", "null"], "description": "The model they were fitted to."},
        "found_model": {"type": ["string", "null"], "description": "As the tool called it."},
        "settings": {"type": "object", "description": "Fields of `POST /v1/jobs`."},
        "left_out": {
            "type": "array",
            "description": "Settings that no job has a field for.",
            "items": {
                "type": "object",
                "required": ["name", "value"],
                "properties": {"name": _TEXT, "value": _TEXT},
            },
        },
        "adjustments": {"type": "array", "items": {"type": "object"}},
    },
}
