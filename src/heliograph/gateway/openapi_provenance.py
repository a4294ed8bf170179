"""The machine-readable description of `gateway/provenance.py`."""

from typing import Any

from heliograph.delivery.verification import Integrity, Trust
from heliograph.domain.errors import InvalidRequest
from heliograph.gateway import openapi

_EXAMPLE: dict[str, Any] = {
    "object": "verification",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "bytes": 20733,
    "mime_type": "image/png",
    "integrity": "intact",
    "reasons": [],
    "machine_made": True,
    "signature": {
        "trust": "installation",
        "signer": "Heliograph local signer",
        "issued_by": "Heliograph installation 5f2c9a10 (self-made, on no trust list)",
        "algorithm": "Ed25519",
        "generator": "Heliograph/0.1.0",
        "made_by": "helio-base",
        "made_at": "2026-11-25T04:38:00Z",
        "source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    },
    "claims": {
        "source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
        "software": "heliograph 0.1.0",
        "parameters": "Steps: 8, CFG scale: 3.5, Seed: 7, Size: 128x128, Model: helio-base, Version: heliograph 0.1.0",
    },
    "delivered": {"output": "out_01k9x3v9fq4t", "job": "job_01k9x3v7c2m8", "bits_apart": 0},
    "lookalikes": [],
}

_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_LOOKALIKE: dict[str, Any] = {
    "type": "object",
    "required": ["output", "job", "bits_apart"],
    "properties": {"output": {"type": "string"}, "job": {"type": "string"}, "bits_apart": {"type": "integer"}},
}


def _texts(*names: str) -> dict[str, Any]:
    return {"type": ["object", "null"], "required": list(names), "properties": dict.fromkeys(names, _TEXT)}


_SIGNATURE = _texts(*_EXAMPLE["signature"])
_SIGNATURE["properties"] |= {"trust": {"enum": [*(each.value for each in Trust), None]}}

SCHEMAS: dict[str, Any] = {
    "Verification": {
        "type": "object",
        "required": list(_EXAMPLE),
        "properties": {
            "object": {"const": "verification"},
            "sha256": {"type": "string"},
            "bytes": {"type": "integer", "minimum": 0},
            "mime_type": _TEXT | {"description": "Null: no kind of picture that can be read."},
            "integrity": {"enum": [each.value for each in Integrity]},
            "reasons": {"type": "array", "items": {"type": "string"}, "description": "Why it counts as changed."},
            "machine_made": {"type": ["boolean", "null"], "description": "Null: nothing says so."},
            "signature": _SIGNATURE,
            "claims": _texts(*_EXAMPLE["claims"]) | {"description": "What the file states; anybody can write that."},
            "delivered": {"anyOf": [_LOOKALIKE, {"type": "null"}], "description": "The caller's very file."},
            "lookalikes": {"type": "array", "items": _LOOKALIKE},
        },
    }
}

_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}, "example": "(bytes)"}

VERIFY: dict[str, Any] = {
    "summary": "Ask where a file comes from",
    "description": "The body is the file itself. Says who signed it, what made it, and whether a byte changed since.",
    "responses": {
        200: openapi.json_answer("Verification", _EXAMPLE, "What could be found out."),
        **openapi.error_answers(
            "/v1/provenance/verify",
            InvalidRequest("The body is empty. Send the picture's file.", param="body", code="empty_file"),
            *openapi.known_errors("unauthenticated", "too_slow", "too_large", "not_json", "overloaded", "unavailable"),
        ),
    },
    "openapi_extra": {
        "requestBody": {"required": True, "content": {"application/octet-stream": _BINARY, "image/*": _BINARY}}
    },
}
