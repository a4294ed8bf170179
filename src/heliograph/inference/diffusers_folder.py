"""A diffusers model on disk: where it lies, whether it may be loaded, and what distinguishes it from any other.

Only safetensors files are read and no code that comes with a model is run: a pickle or a script of a model is a program
of whoever made it. So what would need either is refused by name, before a library sees it.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import diffusers
from huggingface_hub import snapshot_download

from heliograph.domain.errors import EngineError, EngineErrorKind

INDEX = "model_index.json"
WEIGHTS = ".safetensors"
_UNSAFE = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5"})
_LIBRARIES = frozenset({"diffusers", "transformers"})
_SAMPLE_BYTES = 1 << 20


def cached_folder(repository: str, revision: str) -> Path:
    """Where the hub's client keeps this revision on this machine. Nothing is fetched. Raises `EngineError`."""
    try:
        return Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except (OSError, ValueError) as error:
        raise _bad_weights(
            f"{repository} at {revision} is not on this machine; fetch it with: "
            f"hf download {repository} --revision {revision}"
        ) from error


def checked_index(folder: Path, *, pipeline: str) -> dict[str, Any]:
    """The folder's model_index.json. Raises `EngineError(BAD_WEIGHTS)` for what may not be loaded, naming it."""
    try:
        index = cast("dict[str, Any]", json.loads((folder / INDEX).read_text(encoding="utf-8")))
        found = index["_class_name"]
        parts = {
            name: cast("list[Any]", part)
            for name, part in index.items()
            if not name.startswith("_") and isinstance(part, list)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _bad_weights(f"{folder} holds no diffusers model: its {INDEX} cannot be read") from error
    if found != pipeline:
        raise _bad_weights(f"{folder} holds a {found}, not the {pipeline} that the catalogue names")
    for name, part in parts.items():
        _check_part(folder, name, part)
    return index


def digest_of(paths: Iterable[Path], *, root: Path) -> str:
    """SHA-256 hex that differs where any of the files does, almost surely: small files whole, of weights their header,
    their size and a sample. Whether weights are complete and undamaged is not asked here.
    """
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            size = path.stat().st_size
            total.update(file.read(_SAMPLE_BYTES))
            for place in (size // 2, size - _SAMPLE_BYTES):
                if place > _SAMPLE_BYTES:
                    file.seek(place)
                    total.update(file.read(_SAMPLE_BYTES))
    return total.hexdigest()


def files_of(folder: Path) -> list[Path]:
    """What a pipeline reads of a folder."""
    return [
        path for path in folder.rglob("*") if path.is_file() and path.suffix in (".json", ".txt", ".model", WEIGHTS)
    ]


def _check_part(folder: Path, name: str, part: list[Any]) -> None:
    library, kind = (*part, None, None)[:2]
    if library is None or kind is None:
        return
    path = folder / name
    if (path.with_suffix(".py")).is_file() or (path / f"{library}.py").is_file():
        raise _bad_weights(f"{name} of {folder} comes with code of its own ({library}.py), which is never run")
    if str(library) not in _LIBRARIES and not _is_of_diffusers(str(library)):
        raise _bad_weights(f"{name} of {folder} is a {library}.{kind}, which is no class of diffusers or transformers")
    files = [file for file in path.iterdir() if file.is_file()] if path.is_dir() else []
    unsafe = sorted(file.name for file in files if file.suffix in _UNSAFE)
    if unsafe and not any(file.suffix == WEIGHTS for file in files):
        raise _bad_weights(f"{name} of {folder} has its weights as {unsafe[0]}; only {WEIGHTS} files are loaded")


def _is_of_diffusers(library: str) -> bool:
    """Parts of some pipelines are named by the module of theirs, such as the checker that comes with SD 1.5."""
    return hasattr(diffusers.pipelines, library)


def _bad_weights(problem: str) -> EngineError:
    return EngineError(EngineErrorKind.BAD_WEIGHTS, problem)
