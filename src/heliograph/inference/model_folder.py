"""The folder of a built-in model: model.json names its kind, its parts and the checksum of every file.

A part may be a file of a sibling folder ("../helio-base/decoder.onnx"), so that models share networks; nothing else
outside the folder is ever opened. `training/README.md` describes the graphs themselves.
"""

import hashlib
import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, cast

from heliograph.domain.errors import EngineError, EngineErrorKind

DESCRIPTION = "model.json"


class ModelKind(StrEnum):
    """What a built-in model does."""

    TEXT_TO_IMAGE = "text_to_image"
    TEXT_TO_VIDEO = "text_to_video"
    UPSCALER = "upscaler"
    DUAL_ENCODER = "dual_encoder"


_TEXT_ROLES = ("vocabulary", "merges", "known_words")
_IMAGE_ROLES = ("text_encoder", "transformer", "decoder", *_TEXT_ROLES)
ROLES: Mapping[ModelKind, tuple[str, ...]] = {
    ModelKind.TEXT_TO_IMAGE: _IMAGE_ROLES,
    ModelKind.TEXT_TO_VIDEO: (*_IMAGE_ROLES, "motion"),
    ModelKind.UPSCALER: ("upscaler",),
    ModelKind.DUAL_ENCODER: ("image_tower", "text_tower", "encoder", *_TEXT_ROLES),
}
"""The parts a model of each kind has to have; it may have more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """What model.json says of a folder. `parts` are paths by role, `facts` the whole of model.json."""

    path: Path
    kind: ModelKind
    revision: str
    parts: Mapping[str, Path]
    facts: Mapping[str, Any]

    def part(self, role: str) -> Path:
        """The file that plays `role`, one of `ROLES` for this kind."""
        return self.parts[role]

    def count(self, name: str) -> int:
        """A whole number of model.json. Raises `EngineError(BAD_WEIGHTS)`."""
        value = self.facts.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name)
        return value

    def number(self, name: str) -> float:
        """A number of model.json. Raises `EngineError(BAD_WEIGHTS)`."""
        value = self.facts.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(name)
        return float(value)

    def _wrong(self, name: str) -> EngineError:
        return bad_weights(f"{name} of {self.path / DESCRIPTION} is missing or no number")


def read_folder(path: Path) -> ModelFolder:
    """The folder with every file checked that model.json lists, shared ones too. Raises `EngineError(BAD_WEIGHTS)`."""
    folder = describe_folder(path)
    try:
        damaged = [name for name, entry in folder.facts["files"].items() if not _is_as_listed(path / name, entry)]
    except OSError as error:
        raise _incomplete(path, error) from error
    if damaged:
        raise bad_weights(f"{', '.join(damaged)} in {path} differ from {DESCRIPTION}")
    return folder


def describe_folder(path: Path) -> ModelFolder:
    """The folder as model.json describes it, its files not looked at. Raises `EngineError(BAD_WEIGHTS)`."""
    try:
        facts = cast("dict[str, Any]", json.loads((path / DESCRIPTION).read_text(encoding="utf-8")))
        parts: dict[str, str] = {role: str(name) for role, name in facts["parts"].items()}
        kind, revision = ModelKind(facts["kind"]), str(facts["revision"])
        files = {name for name, entry in facts["files"].items() if (int(entry["bytes"]), str(entry["sha256"]))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _incomplete(path, error) from error
    _check_names(path, kind, parts, files)
    return ModelFolder(
        path=path,
        kind=kind,
        revision=revision,
        parts={role: path / name for role, name in parts.items()},
        facts=facts,
    )


def _incomplete(path: Path, error: Exception) -> EngineError:
    return bad_weights(f"the weights in {path} are incomplete ({type(error).__name__})")


def bad_weights(problem: str) -> EngineError:
    """The error for weights that are not what they should be."""
    return EngineError(EngineErrorKind.BAD_WEIGHTS, f"{problem}; install the weights again")


def _check_names(path: Path, kind: ModelKind, parts: Mapping[str, str], files: Set[str]) -> None:
    strays = sorted(name for name in {*parts.values(), *files} if not _stays_among_weights(name))
    if strays:
        raise bad_weights(f"{', '.join(strays)} in {path} leads out of the weights")
    missing = [role for role in ROLES[kind] if role not in parts]
    if missing:
        raise bad_weights(f"the {kind.value} model in {path} has no {', '.join(missing)}")
    unlisted = sorted(set(parts.values()) - files)
    if unlisted:
        raise bad_weights(f"{', '.join(unlisted)} of {path} has no checksum in {DESCRIPTION}")


def _stays_among_weights(name: str) -> bool:
    """A file of the folder, or of one beside it: `name` or `../folder/name`, and nothing that climbs further."""
    parts = PurePosixPath(name).parts
    is_plain = str(PurePosixPath(name)) == name and not {"\\", "\0"} & set(name)
    is_near = len(parts) == 1 or (len(parts) == 3 and parts[0] == "..")
    return is_plain and is_near and not {"..", ".", "/"} & set(parts[-2:])


def _is_as_listed(file: Path, entry: Mapping[str, Any]) -> bool:
    if file.stat().st_size != entry["bytes"]:
        return False
    return hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]
