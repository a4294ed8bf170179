"""The machine-readable description of `GET /v1/admin/diagnosis`; `openapi.py` puts it among the others."""

from typing import Any

from heliograph.monitoring import Cause
from heliograph.monitoring.diagnosis import Severity

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}

DIAGNOSIS_EXAMPLE: dict[str, Any] = {
    "object": "diagnosis",
    "at": 1790000000.0,
    "observed_s": 1800.0,
    "summary": "h100-3 is slow: runs take 2.1 times as long as the same work does elsewhere.",
    "findings": [
        {
            "cause": "slow_gpu",
            "severity": "ticket",
            "subject": "h100-3",
            "since": 1789999400.0,
            "summary": "h100-3 is slow: runs take 2.1 times as long as the same work does elsewhere.",
            "next_step": "Look at temperature, clocks and power of h100-3 and at other processes on it.",
            "evidence": [{"name": "time relative to usual", "value": 2.1, "unit": ""}],
        }
    ],
}

DIAGNOSIS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["object", "at", "observed_s", "summary", "findings"],
    "properties": {
        "object": {"const": "diagnosis"},
        "at": _NUMBER,
        "observed_s": _NUMBER | {"description": "How much of the last half hour was observed."},
        "summary": _TEXT | {"description": "The first finding, or that all is well, for people."},
        "findings": {
            "type": "array",
            "description": "The likely cause first.",
            "items": {
                "type": "object",
                "required": ["cause", "severity", "subject", "since", "summary", "next_step", "evidence"],
                "properties": {
                    "cause": {"enum": [cause.value for cause in Cause]},
                    "severity": {"enum": [severity.value for severity in Severity]},
                    "subject": {
                        "type": ["string", "null"],
                        "description": "The model, GPU, zone, tenant or part it is about.",
                    },
                    "since": _NUMBER,
                    "summary": _TEXT,
                    "next_step": _TEXT,
                    "evidence": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name", "value", "unit"],
                            "properties": {"name": _TEXT, "value": _NUMBER, "unit": _TEXT},
                        },
                    },
                },
            },
        },
    },
}
