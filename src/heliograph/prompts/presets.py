"""Style presets: a name the user picks and the words it adds to the prompt. `data/presets.toml` ships some."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.model_card import ModelCard

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_KEYS = ("prompt", "negative_prompt", "families", "except_families")


@dataclass(frozen=True, slots=True, kw_only=True)
class StylePreset:
    """`prompt` holds `{prompt}` once, where the user's text goes; `negative_prompt` is added where the model has one.

    The preset suits the model families in `families`, or with `families` empty all but `except_families`.
    """

    name: str
    prompt: str
    negative_prompt: str = ""
    families: frozenset[str] = frozenset()
    except_families: frozenset[str] = frozenset()

    def suits(self, card: ModelCard) -> bool:
        """The preset is offered for this model."""
        return card.family in self.families if self.families else card.family not in self.except_families


def styles_for(card: ModelCard, presets: Mapping[str, StylePreset]) -> tuple[str, ...]:
    """Names of the presets that suit a model, in the order of the file."""
    return tuple(preset.name for preset in presets.values() if preset.suits(card))


def parse_presets(text: str, *, origin: str) -> Mapping[str, StylePreset]:
    """The presets of one TOML file by name; `origin` names the file in errors.

    An operator's file adds to the shipped presets and replaces those of the same name: `{**shipped, **own}`.
    """
    try:
        document: Mapping[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid(origin, None, f"is not valid TOML: {error}") from error
    for key in document:
        if key != "styles":
            raise _invalid(origin, key, "is not known; presets are tables [styles.NAME]")
    styles = _table(document.get("styles", {}), origin=origin, param="styles")
    return {name: _preset(name, value, origin=origin) for name, value in styles.items()}


def _preset(name: str, value: object, *, origin: str) -> StylePreset:
    param = f"styles.{name}"
    if not _NAME.fullmatch(name):
        raise _invalid(origin, param, "must be named in lower-case letters, digits and hyphens, like line-art")
    table = _table(value, origin=origin, param=param)
    for key in table:
        if key not in _KEYS:
            raise _invalid(origin, f"{param}.{key}", f"is not known; a preset has {', '.join(_KEYS)}")
    prompt = _text(table.get("prompt"), origin=origin, param=f"{param}.prompt")
    if prompt.count("{prompt}") != 1:
        raise _invalid(origin, f"{param}.prompt", "must contain {prompt} once, where the user's text goes")
    negative_prompt = table.get("negative_prompt", "")
    families = _names(table.get("families", []), origin=origin, param=f"{param}.families")
    except_families = _names(table.get("except_families", []), origin=origin, param=f"{param}.except_families")
    if families and except_families:
        raise _invalid(origin, f"{param}.except_families", "contradicts families; keep one of the two")
    return StylePreset(
        name=name,
        prompt=prompt,
        negative_prompt=_text(negative_prompt, origin=origin, param=f"{param}.negative_prompt"),
        families=families,
        except_families=except_families,
    )


def _table(value: object, *, origin: str, param: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _invalid(origin, param, "must be a table")
    return cast(Mapping[str, object], value)  # TOML keys are always strings


def _text(value: object, *, origin: str, param: str) -> str:
    if not isinstance(value, str):
        raise _invalid(origin, param, "must be a string")
    return value


def _names(value: object, *, origin: str, param: str) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in cast(list[object], value)):
        raise _invalid(origin, param, "must be a list of model families")
    return frozenset(cast(list[str], value))


def _invalid(origin: str, param: str | None, problem: str) -> InvalidRequest:
    subject = f"{origin}: {param}" if param else origin
    return InvalidRequest(f"{subject} {problem}.", param=param, code="invalid_presets")
