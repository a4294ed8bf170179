"""The machine-readable description of accounts, prices, credits and refunds; `openapi.py` puts it among the others."""

from typing import Any

_TEXT = {"type": "string"}
_MICROS = {"type": "integer", "description": "Micro-dollars."}
_COUNT = {"type": "integer", "minimum": 0}

ACCOUNT_EXAMPLE: dict[str, Any] = {
    "object": "account",
    "tenant": "acme",
    "plan": {
        "name": "starter",
        "pictures_per_month": 1000,
        "soft_limit_micros": 15_000_000,
        "hard_limit_micros": 20_000_000,
        "prepaid": False,
    },
    "month": "2026-11",
    "resets_at": 1796083200.0,
    "charged_micros": 4_210_000,
    "held_micros": 12_000,
    "pictures": 310,
    "pictures_held": 2,
    "pictures_left": 688,
    "micros_left": 15_778_000,
    "balance_micros": -4_210_000,
    "past_soft_limit": False,
}

ACCOUNT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": list(ACCOUNT_EXAMPLE),
    "properties": {
        "object": {"const": "account"},
        "tenant": _TEXT,
        "plan": {
            "type": "object",
            "required": list(ACCOUNT_EXAMPLE["plan"]),
            "properties": {
                "name": _TEXT,
                "pictures_per_month": {"type": ["integer", "null"]},
                "soft_limit_micros": {"type": ["integer", "null"]},
                "hard_limit_micros": {"type": ["integer", "null"]},
                "prepaid": {"type": "boolean"},
            },
        },
        "month": _TEXT,
        "resets_at": {"type": "number", "description": "When the month's figures start anew, seconds since the epoch."},
        "charged_micros": _MICROS,
        "held_micros": _MICROS | {"description": "What open jobs are expected to cost."},
        "pictures": {"type": "integer"},
        "pictures_held": _COUNT,
        "pictures_left": {"type": ["integer", "null"]},
        "micros_left": {"type": ["integer", "null"]},
        "balance_micros": _MICROS | {"description": "Credit less charges of all time."},
        "past_soft_limit": {"type": "boolean"},
    },
}

PRICE_EXAMPLE: dict[str, Any] = {
    "object": "price",
    "model": "helio-base",
    "images": 1,
    "expected_micros": 12,
    "low_micros": 12,
    "high_micros": 12,
    "may_order": True,
    "why_not": None,
}

PRICE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": list(PRICE_EXAMPLE),
    "properties": {
        "object": {"const": "price"},
        "model": _TEXT,
        "images": _COUNT,
        "expected_micros": _MICROS | {"description": "The mean over the GPUs it may run on."},
        "low_micros": _MICROS,
        "high_micros": _MICROS,
        "may_order": {"type": "boolean", "description": "Whether the account covers it now."},
        "why_not": {"type": ["string", "null"]},
    },
}

ACCOUNTS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {
        "object": {"const": "list"},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/Account"}},
    },
}

CREDIT_EXAMPLE: dict[str, Any] = {"id": "invoice-2026-11-17", "micros": 25_000_000}

CREDIT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "micros"],
    "additionalProperties": False,
    "properties": {
        "id": {
            "type": "string",
            "minLength": 1,
            "maxLength": 128,
            "pattern": "^[A-Za-z0-9._-]+$",
            "description": "Names the credit: the same id is posted once.",
        },
        "micros": {
            "type": "integer",
            "minimum": -1_000_000_000_000,
            "maximum": 1_000_000_000_000,
            "description": "Micro-dollars, not 0; negative ones are taken back.",
        },
    },
}

POSTED_EXAMPLE: dict[str, Any] = {"object": "posting", "micros": 25_000_000, "account": ACCOUNT_EXAMPLE}

POSTED_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": list(POSTED_EXAMPLE),
    "properties": {
        "object": {"const": "posting"},
        "micros": _MICROS | {"description": "What was posted; 0 where it had been posted before."},
        "account": {"$ref": "#/components/schemas/Account"},
    },
}
