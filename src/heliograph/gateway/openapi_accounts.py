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

_AMOUNTS = {"type": "object", "additionalProperties": {"type": "integer"}}
_USD = {"type": ["number", "null"]}

COSTS_EXAMPLE: dict[str, Any] = {
    "object": "costs",
    "since_s": 0.0,
    "until_s": 1790000000.0,
    "by": "model",
    "pictures": 2,
    "bill_micros": 30,
    "used_micros": 30,
    "running_micros": 0,
    "difference_micros": 0,
    "revenue_micros": 24,
    "usd_per_picture": 0.000015,
    "rows": [
        {
            "key": "helio-base",
            "pictures": 2,
            "cost_micros": 30,
            "direct_micros": 25,
            "shared_micros": 5,
            "revenue_micros": 24,
            "usd_per_picture": 0.000015,
            "parts_micros": {"gpu_load": 1, "gpu_run": 24},
        }
    ],
    "components_micros": {"api_cpu": 5, "gpu_load": 1, "gpu_run": 24},
    "shares": {
        "gpu": {"micros": 25, "share": 0.8333, "usd_per_picture": 0.0000125},
        "api_serving": {"micros": 5, "share": 0.1667, "usd_per_picture": 0.0000025},
    },
    "waste_micros": {"gpu_load": 1},
}

COSTS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": list(COSTS_EXAMPLE),
    "properties": {
        "object": {"const": "costs"},
        "since_s": {"type": "number"},
        "until_s": {"type": "number"},
        "by": {"enum": ["model", "tenant", "tier", "component"]},
        "pictures": {"type": "integer"},
        "bill_micros": _MICROS | {"description": "What is owed for machines, storage and people."},
        "used_micros": _MICROS | {"description": "What of it has an owner."},
        "running_micros": _MICROS | {"description": "What belongs to runs that had not ended."},
        "difference_micros": {"const": 0},
        "revenue_micros": _MICROS,
        "usd_per_picture": _USD,
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "required": list(COSTS_EXAMPLE["rows"][0]),
                "properties": {
                    "key": _TEXT,
                    "pictures": {"type": "integer"},
                    "cost_micros": _MICROS,
                    "direct_micros": _MICROS,
                    "shared_micros": _MICROS,
                    "revenue_micros": _MICROS,
                    "usd_per_picture": _USD,
                    "parts_micros": _AMOUNTS,
                },
            },
        },
        "components_micros": _AMOUNTS,
        "shares": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["micros", "share", "usd_per_picture"],
                "properties": {"micros": _MICROS, "share": _USD, "usd_per_picture": _USD},
            },
        },
        "waste_micros": _AMOUNTS,
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
