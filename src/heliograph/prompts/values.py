"""Reading single untrusted values: a number in range, one of a few words, or an `InvalidRequest` that names the fix.

Strict on purpose. `"8"` is not a number and `true` is not 1: guessing what a client meant hides its bug until the day
the guess is wrong. `8.0` is a whole number, because JSON does not tell it from `8`. Errors carry the code
`invalid_<parameter>`.
"""

import math
from collections.abc import Iterable

from heliograph.domain.errors import InvalidRequest

_SHOWN_MAX = 40
_INT_BITS_SHOWN_MAX = 128


def whole_number(value: object, *, param: str, minimum: int, maximum: int, of: str = "") -> int:
    """`value` as an integer from `minimum` to `maximum`. `of` says whose range it is, for example ` for sdxl-base`."""
    allowed = f"a whole number from {minimum} to {maximum}{of}" if minimum < maximum else f"{minimum}{of}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        raise invalid(param, f"{param} must be {allowed}, not {shown(value)}.{_number_hint(value)}")
    return value


def number(value: object, *, param: str, minimum: float, maximum: float, of: str = "") -> float:
    """`value` as a finite float from `minimum` to `maximum`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value <= maximum:
        allowed = f"a number from {minimum:g} to {maximum:g}{of}"
        raise invalid(param, f"{param} must be {allowed}, not {shown(value)}.{_number_hint(value)}")
    return float(value)


def choice(value: object, *, param: str, choices: Iterable[str]) -> str:
    """`value` as one of `choices`, exactly as spelled there."""
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        raise invalid(param, f"{param} must be one of {', '.join(known)}, not {shown(value)}.")
    return value


def invalid(param: str, message: str) -> InvalidRequest:
    """The error for a malformed or out-of-range parameter."""
    return InvalidRequest(message, param=param, code=f"invalid_{param}")


def shown(value: object) -> str:
    """An untrusted value in an error message: short, printable, and cheap to make however large the value is."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > _INT_BITS_SHOWN_MAX:
            return "a number of more than 38 digits"
        case int() | float():
            return str(value)
        case str() if len(value) > _SHOWN_MAX:
            return repr(value[:_SHOWN_MAX]) + "…"
        case str():
            return repr(value)
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


def _number_hint(value: object) -> str:
    if not isinstance(value, str):
        return ""
    try:
        is_number = math.isfinite(float(value))
    except ValueError:
        return ""
    return " Send a number, without quotes." if is_number else ""
