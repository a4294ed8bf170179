"""Torch networks to ONNX files with small weights.

Weights are stored as float16 and cast to float32 inside the graph: half the size, and arithmetic that gives the same
bits whatever else is in the batch. Stored as 8-bit integers they are a quarter of the size.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.progress import write_whole

Store = Callable[[onnx.ModelProto], onnx.ModelProto]
"""How the weights of an exported network are stored."""

_OPSET = 20
_SMALLEST_STORED_AS_HALF = 64
_BATCH_MAX = 256
_INTEGER_MAX = 127


def export_network(
    network: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    grid: int,
    store: Store | None = None,
) -> None:
    """Trace a network and write it, weights by `store` (default: `store_as_half`).

    grid: the first input's height and width are dynamic multiples of this many; 0 if it has none.
    """
    shapes: list[dict[int, Any]] = [{0: torch.export.Dim("batch", min=1, max=_BATCH_MAX)} for _ in example]
    if grid:
        rows, columns = torch.export.Dim("rows", min=2, max=256), torch.export.Dim("columns", min=2, max=256)
        first_axis = 1 if example[0].dtype == torch.uint8 else 2
        shapes[0] |= {first_axis: grid * rows, first_axis + 1: grid * columns}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            example,
            input_names=list(inputs),
            output_names=[f"{name}_out" for name in outputs],
            dynamo=True,
            dynamic_shapes=tuple(shapes),
            opset_version=_OPSET,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    model = _with_outputs((store or store_as_half)(program.model_proto), outputs)
    onnx.checker.check_model(model)
    write_whole(path, lambda file: file.write(model.SerializeToString()) and None)


def store_as_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace float32 weights by float16 ones, each followed by a Cast back to float32."""
    casts = [node for weight in model.graph.initializer if _is_large(weight) for node in _to_half(weight)]
    return _with_first_nodes(model, casts)


def store_as_integers(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace matrices and kernels by 8-bit integers with a scale per row, everything else by float16.

    A quarter of the size for an error that does not show; arithmetic stays float32.
    """
    added: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []
    for weight in model.graph.initializer:
        if _is_large(weight):
            nodes += _to_integers(weight, added) if len(weight.dims) > 1 else _to_half(weight)
    model.graph.initializer.extend(added)
    return _with_first_nodes(model, nodes)


def store_part_as_integers(model: onnx.ModelProto, prefix: str) -> onnx.ModelProto:
    """Kernels whose names begin with `prefix` as 8-bit integers, everything else as float16."""
    added: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []
    for weight in model.graph.initializer:
        if _is_large(weight):
            is_kernel = weight.name.startswith(prefix) and len(weight.dims) > 1
            nodes += _to_integers(weight, added) if is_kernel else _to_half(weight)
    model.graph.initializer.extend(added)
    return _with_first_nodes(model, nodes)


def _is_large(weight: onnx.TensorProto) -> bool:
    return weight.data_type == TensorProto.FLOAT and int(np.prod(weight.dims)) >= _SMALLEST_STORED_AS_HALF


def store_unchanged(model: onnx.ModelProto) -> onnx.ModelProto:
    """Leave float32 weights as they are, for tools that want them so."""
    return _with_first_nodes(model, [])


def _to_half(weight: onnx.TensorProto) -> list[onnx.NodeProto]:
    name, values = weight.name, numpy_helper.to_array(weight)
    weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
    return [helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT)]


def _to_integers(weight: onnx.TensorProto, added: list[onnx.TensorProto]) -> list[onnx.NodeProto]:
    name, values = weight.name, numpy_helper.to_array(weight)
    largest = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    scale = (np.maximum(largest, 1e-8) / _INTEGER_MAX).astype(np.float32)
    weight.CopyFrom(numpy_helper.from_array(np.rint(values / scale).astype(np.int8), f"{name}_int8"))
    added.append(numpy_helper.from_array(np.asarray(scale), f"{name}_scale"))
    return [
        helper.make_node("Cast", [f"{name}_int8"], [f"{name}_whole"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}_whole", f"{name}_scale"], [name]),
    ]


def _with_outputs(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """Rename NAME_out to NAME, which the exporter may have used for a value inside the graph."""
    renamed = {name: f"{name}_inside" for name in outputs} | {f"{name}_out": name for name in outputs}
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    for value in model.graph.output:
        value.name = renamed[value.name]
    return model


def _with_first_nodes(model: onnx.ModelProto, first: list[onnx.NodeProto]) -> onnx.ModelProto:
    """The model with these nodes in front, without what only a debugger would read."""
    graph = model.graph
    nodes = [*first, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.value_info[:]
    del graph.metadata_props[:]
    return model
