"""Prompt text: what is refused, what is tidied, and what is left exactly as typed.

Refused: control characters and lone surrogates (they come from broken clients and break logs, files and tokenizers
further down), and more than 30 combining marks on one character, the bound of Unicode's stream-safe text format
(UAX #15, section 13), which also keeps normalising linear. Tidied: Unicode's composed form (NFC), and every run of
white space, tabs and line breaks becomes one space. Everything else stays, emoji with their joiners and right-to-left
text with its marks included.
"""

import re
import unicodedata

from heliograph.domain.errors import InvalidRequest
from heliograph.prompts.values import invalid, shown

CHARACTERS_MAX = 32_000
"""Longest text the API takes, in characters, whatever the model."""

COMBINING_MARKS_MAX = 30

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_INVISIBLE = frozenset({"Cf", "Zs", "Zl", "Zp", "Mn", "Me"})


def clean_text(value: object, *, param: str) -> str:
    """`value` as tidy text, possibly empty; invalid text raises and names the position, counted from 1."""
    if not isinstance(value, str):
        raise invalid(param, f"{param} must be a string, not {shown(value)}.")
    if len(value) > CHARACTERS_MAX:
        raise InvalidRequest(
            f"{param} has {len(value):,} characters; at most {CHARACTERS_MAX:,} are taken. Shorten it.",
            param=param,
            code="prompt_too_long",
        )
    forbidden = _FORBIDDEN.search(value)
    if forbidden is not None:
        character = ord(forbidden[0])
        kind = "half of a surrogate pair" if 0xD800 <= character <= 0xDFFF else "a control character"
        raise invalid(param, f"{param} has {kind} (U+{character:04X}) at position {forbidden.start() + 1}. Remove it.")
    _refuse_stacked_marks(value, param=param)
    return " ".join(unicodedata.normalize("NFC", value).split())


def is_blank(text: str) -> bool:
    """Nothing in it would show: only spaces, joiners, marks and other invisible characters."""
    return all(unicodedata.category(character) in _INVISIBLE for character in text)


def _refuse_stacked_marks(text: str, *, param: str) -> None:
    if text.isascii():
        return
    marks = 0
    for position, character in enumerate(text, start=1):
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > COMBINING_MARKS_MAX:
            raise invalid(
                param,
                f"{param} stacks more than {COMBINING_MARKS_MAX} combining marks on one character, at position "
                f"{position}. Remove some of them.",
            )
