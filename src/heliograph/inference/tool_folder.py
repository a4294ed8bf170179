"""The folder of a built-in tool: what its model.json says, with every file checked, and its graphs opened.

A tool is a model that serves another stage rather than a request: the upscaler, the dual encoder. Its folder has the
form of every built-in model's: `kind` says what it is, `parts` names a file for each role, and `files` has the SHA-256
of each of them. A part may lie in the folder of another built-in model, so that what two share is shipped once.

A tool runs on one thread beside an encoder that needs the memory, too: its sessions keep no arena, so what a large
picture took is given back.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as native  # pyright: ignore

from heliograph.domain.errors import EngineError, EngineErrorKind

_FAILURES = cast("tuple[type[Exception], ...]", (native.Fail, native.RuntimeException, native.InvalidArgument))


class _Session(Protocol):
    """What is used of `onnxruntime.InferenceSession`, which comes without types."""

    def run(self, output_names: None, input_feed: Mapping[str, NDArray[Any]], /) -> list[NDArray[Any]]: ...


class Graph:
    """A graph of one output on one thread."""

    def __init__(self, file: Path) -> None:
        options = cast("Any", onnxruntime.SessionOptions())  # pyright: ignore
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._session = cast("_Session", session)

    def run(self, **inputs: NDArray[Any]) -> NDArray[Any]:
        """The output for these inputs. Raises `EngineError`."""
        try:
            (output,) = self._session.run(None, inputs)
        except _FAILURES as error:
            kind = EngineErrorKind.OUT_OF_MEMORY if "alloc" in str(error) else EngineErrorKind.CRASH
            raise EngineError(kind, f"a tool's graph failed: {type(error).__name__}") from error
        return output


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFolder:
    """`facts` is model.json as it is; `parts` has the checked file of each role."""

    path: Path
    facts: Mapping[str, Any]
    parts: Mapping[str, Path]

    def graph(self, role: str) -> Graph:
        """The graph of that role, opened for one thread."""
        return Graph(self.parts[role])


def read_tool_folder(path: Path, *, kind: str, roles: frozenset[str]) -> ToolFolder:
    """The folder of a tool of that kind with a file for each of `roles`; raises `EngineError(BAD_WEIGHTS)`."""
    family = path.parent.resolve()
    try:
        facts: dict[str, Any] = json.loads((path / "model.json").read_text(encoding="utf-8"))
        named: dict[str, str] = facts["parts"]
        checksums: dict[str, str] = {name: entry["sha256"] for name, entry in facts["files"].items()}
        parts = {role: (path / named[role]).resolve() for role in roles}
        damaged = [
            named[role]
            for role, file in parts.items()
            if not file.is_relative_to(family) or _sha256(file) != checksums[named[role]]
        ]
        is_kind = facts["kind"] == kind
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"the weights in {path} are incomplete ({type(error).__name__}); install them again"
        raise EngineError(EngineErrorKind.BAD_WEIGHTS, message) from error
    if damaged:
        message = f"{', '.join(sorted(damaged))} in {path} differ from model.json; install the weights again"
        raise EngineError(EngineErrorKind.BAD_WEIGHTS, message)
    if not is_kind:
        raise EngineError(EngineErrorKind.BAD_WEIGHTS, f"{path} holds a {facts['kind']}, not a {kind}")
    return ToolFolder(path=path, facts=facts, parts=parts)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
