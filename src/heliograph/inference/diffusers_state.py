"""Where a diffusers run stands, as arrays and JSON: latents, what the scheduler remembers, the state of every seed.

A scheduler is an object that carries its memory in its attributes: numbers, tensors, lists of tensors. What is the
very object that was there before the first step is configuration (noise levels, tables), and whoever resumes makes it
again; the rest is written down. Tensors that hold a row for each picture are told apart, so that the pictures of one
job can be cut out of a run that makes those of several.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch

from heliograph.inference.checkpoint import Array, Checkpoint, bad_checkpoint

LATENTS = "latents"
GENERATORS = "generators"

_NUMPY = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": np.uint16,
    "int64": np.int64,
    "int32": np.int32,
    "uint8": np.uint8,
}
_PLAIN = (type(None), bool, int, float, str)


def baseline_of(scheduler: Any) -> Mapping[str, object]:
    """What the scheduler holds before the first step."""
    return dict(_attributes(scheduler))


def captured(
    *,
    step: int,
    fingerprint: str,
    latents: Any,
    scheduler: Any,
    baseline: Mapping[str, object],
    generators: Sequence[Any],
    pictures: slice,
) -> Checkpoint:
    """Where the run stands after `step` steps, as far as it is about these `pictures`; everything is copied.

    `pictures` are rows of the batch. Raises `TypeError` for memory of a scheduler that cannot be written down.
    """
    writer = _Writer(batch=len(generators), pictures=pictures)
    writer.add(LATENTS, latents)
    states = [generator.get_state().numpy() for generator in generators[pictures]]
    writer.arrays[GENERATORS] = np.stack(states)
    memory: dict[str, object] = {}
    for name, value in _attributes(scheduler).items():
        if _may_have_grown(value) or value is not baseline.get(name, _MISSING):
            memory[name] = writer.written(name, value)
    state: dict[str, object] = {"dtypes": writer.dtypes, "orders": writer.orders, "scheduler": memory}
    return Checkpoint(step=step, fingerprint=fingerprint, arrays=writer.arrays, state=json.dumps(state))


class Restored:
    """What a checkpoint of this engine holds, as tensors on `device`. Raises `EngineError(BAD_CHECKPOINT)`."""

    def __init__(self, checkpoint: Checkpoint, *, fingerprint: str, device: Any) -> None:
        if checkpoint.fingerprint != fingerprint:
            raise bad_checkpoint("it belongs to another order or another revision of the model")
        try:
            state = cast("dict[str, Any]", json.loads(checkpoint.state or "{}"))
            self._dtypes = cast("dict[str, str]", state["dtypes"])
            self._orders = cast("dict[str, list[int]]", state["orders"])
            self._memory = cast("dict[str, Any]", state["scheduler"])
            self._generators = checkpoint.arrays[GENERATORS]
            self._tensors = {name: self._tensor(array, name) for name, array in checkpoint.arrays.items()}
            self.latents = self._tensors[LATENTS].to(device)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            found = ", ".join(sorted(checkpoint.arrays)) or "nothing"
            raise bad_checkpoint(f"it holds {found}, which is not the state of a diffusers run") from error
        self.step = checkpoint.step
        self._device = device

    def give_to(self, scheduler: Any, generators: Sequence[Any]) -> None:
        """Let both be as they were."""
        try:
            if len(self._generators) != len(generators):
                raise ValueError("other pictures")
            for name, value in self._memory.items():
                setattr(scheduler, name, self._read(value))
            for generator, state in zip(generators, self._generators, strict=True):
                generator.set_state(torch.from_numpy(state.copy()))
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise bad_checkpoint("it holds a state that this scheduler cannot take up") from error

    def _tensor(self, array: Array, name: str) -> Any:
        tensor = torch.from_numpy(array.copy())
        if name == GENERATORS:
            return tensor
        dtype = self._dtypes[name]
        if _NUMPY[dtype] is not array.dtype.type:
            raise TypeError(f"{name} is no {dtype}")
        tensor = tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor
        order = self._orders[name]
        if sorted(order) != list(range(tensor.ndim)):
            raise ValueError(f"{name} has other dimensions")
        return tensor.clone().permute([order.index(dimension) for dimension in range(tensor.ndim)])

    def _read(self, value: Any) -> Any:
        match value:
            case {"tensor": str(name), "on_host": bool(on_host)}:
                tensor = self._tensors[name]
                return tensor if on_host else tensor.to(self._device)
            case {"list": items}:
                return [self._read(item) for item in items]
            case {"plain": plain}:
                return plain
            case _:
                raise ValueError("a value of no kind")


def _attributes(scheduler: Any) -> dict[str, object]:
    return cast("dict[str, object]", vars(scheduler))


def _may_have_grown(value: object) -> bool:
    """Lists are added to in place."""
    return isinstance(value, list)


class _Missing:
    """Stands for an attribute that was not there."""


_MISSING = _Missing()


class _Writer:
    """Collects arrays; values become JSON that refers to them."""

    def __init__(self, *, batch: int, pictures: slice) -> None:
        self.arrays: dict[str, Array] = {}
        self.dtypes: dict[str, str] = {}
        self.orders: dict[str, list[int]] = {}
        self._batch = batch
        self._pictures = pictures

    def add(self, name: str, tensor: Any) -> None:
        rows = tensor[self._pictures] if tensor.ndim and tensor.shape[0] == self._batch else tensor
        dtype = str(rows.dtype).removeprefix("torch.")
        # The order in memory is kept, too: kernels sum up in another order for another one.
        order = sorted(range(rows.ndim), key=lambda dimension: -rows.stride(dimension))
        copied = rows.detach().to("cpu", copy=True).permute(order).contiguous()
        self.dtypes[name], self.orders[name] = dtype, order
        self.arrays[name] = (copied.view(torch.uint16) if dtype == "bfloat16" else copied).numpy()
        if dtype not in _NUMPY:
            raise TypeError(f"a scheduler keeps {dtype}, which cannot be written down")

    def written(self, name: str, value: object) -> object:
        if isinstance(value, torch.Tensor):
            tensor: Any = value
            self.add(name, tensor)
            return {"tensor": name, "on_host": tensor.device.type == "cpu"}
        if isinstance(value, list | tuple):
            items = cast("Sequence[object]", value)
            return {"list": [self.written(f"{name}.{index}", item) for index, item in enumerate(items)]}
        if isinstance(value, np.generic):
            return {"plain": cast("object", value.item())}
        if isinstance(value, _PLAIN):
            return {"plain": value}
        raise TypeError(f"a scheduler keeps {type(value).__name__} in {name}, which cannot be written down")
