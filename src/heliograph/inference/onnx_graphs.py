"""Networks on ONNX Runtime: opened with one thread, run with its failures told apart.

One thread per session and no spinning: the built-in models are too small to gain from more, a worker owns one core, and
with one thread a picture's bits do not depend on how work was divided.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as native  # pyright: ignore

from heliograph.domain.errors import EngineError, EngineErrorKind

_FAILURES = cast("tuple[type[Exception], ...]", (native.Fail, native.RuntimeException, native.InvalidArgument))


Inputs = Mapping[str, NDArray[Any]]
"""What a network is given: arrays by name, all with the same number of rows."""


class Graph(Protocol):
    """What is used of `onnxruntime.InferenceSession`, which comes without types."""

    def run(self, output_names: None, input_feed: Mapping[str, NDArray[Any]], /) -> list[NDArray[Any]]:
        """The outputs, all of them where no names are given."""
        ...


def open_graph(file: Path, *, keeps_memory: bool = True) -> Graph:
    """The network in `file`. Without `keeps_memory` a run gives back what it took, for a little more time."""
    options = cast("Any", onnxruntime.SessionOptions())  # pyright: ignore
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = keeps_memory
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return cast("Graph", onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]))


def run_rows(graph: Graph, inputs: Inputs) -> list[NDArray[Any]]:
    """All outputs, for one row of the inputs after the other: the memory of one row, and more time."""
    rows = len(next(iter(inputs.values())))
    parts = [run_graph(graph, {name: array[row : row + 1] for name, array in inputs.items()}) for row in range(rows)]
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def run_graph(graph: Graph, inputs: Inputs) -> list[NDArray[Any]]:
    """All outputs. Raises `EngineError`, or `MemoryError`, which the runtime reports as a general failure."""
    try:
        return graph.run(None, inputs)
    except _FAILURES as error:
        if "alloc" in str(error):
            raise MemoryError from error
        message = f"a network failed: {type(error).__name__}"
        raise EngineError(EngineErrorKind.INTERNAL, message) from error
