"""Where a run stands after a step: enough to go on from there, in this process or in another.

As bytes a checkpoint is a file in the safetensors format, which other tools read too: the length of a JSON header as
eight little-endian bytes, the header, the arrays one after another. The header names each array with its type, shape
and place; its `__metadata__` carries the step and the fingerprint of what is being made. Nothing in it can run code on
the reading side, and every length is checked before it is used.
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.run import RunOrder

BYTES_MAX = 1 << 28
ARRAYS_MAX = 16
_HEADER_BYTES_MAX = 1 << 16
_LENGTH = struct.Struct("<Q")
_TYPES = {"F32": "<f4", "I32": "<i4", "I64": "<i8"}
_NAMES = {numpy_name: name for name, numpy_name in _TYPES.items()}

Array = NDArray[np.float32 | np.int32 | np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """`step` steps are done and `arrays` is all that the next one needs; at most 16 arrays and 256 MiB.

    `fingerprint` says what is being made, so that a run never goes on from another run's checkpoint.
    """

    step: int
    fingerprint: str
    arrays: Mapping[str, Array]

    def to_bytes(self) -> bytes:
        """The checkpoint as a safetensors file."""
        metadata = {"step": str(self.step), "fingerprint": self.fingerprint}
        header: dict[str, object] = {"__metadata__": metadata}
        parts: list[bytes] = []
        end = 0
        for name, array in sorted(self.arrays.items()):
            start, end = end, end + array.nbytes
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            header[name] = {
                "dtype": _NAMES[little.dtype.str],
                "shape": list(array.shape),
                "data_offsets": [start, end],
            }
            parts.append(little.tobytes())
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # arrays begin at a multiple of eight
        assert len(self.arrays) <= ARRAYS_MAX, f"a checkpoint of {len(self.arrays)} arrays"
        assert len(text) <= _HEADER_BYTES_MAX, f"a checkpoint header of {len(text)} bytes"
        assert end <= BYTES_MAX, f"a checkpoint of {end} bytes"
        return b"".join((_LENGTH.pack(len(text)), text, *parts))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """What `to_bytes` wrote. Raises `EngineError(BAD_CHECKPOINT)` for anything else."""
        try:
            return _read(data)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
            raise bad_checkpoint(f"it is damaged ({type(error).__name__})") from error


def bad_checkpoint(reason: str) -> EngineError:
    """The error for a checkpoint that cannot be used: the run has to start again."""
    return EngineError(EngineErrorKind.BAD_CHECKPOINT, f"the checkpoint cannot be used: {reason}")


def fingerprint(order: RunOrder, *, revision: str) -> str:
    """SHA-256 hex of everything that makes the pictures: the order without its attempt, and the model's revision."""
    made_of = (
        revision,
        order.model_id,
        order.prompt,
        order.negative_prompt,
        order.width_px,
        order.height_px,
        order.frames,
        order.steps,
        order.guidance,
        order.seeds,
        *([] if order.inputs is None else [order.inputs.names, order.inputs.mask, order.inputs.strength]),
    )
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


def usable_arrays(
    checkpoint: Checkpoint, *, fingerprint: str, steps: int, shapes: Mapping[str, tuple[int, ...]]
) -> Mapping[str, Array]:
    """The arrays of a checkpoint that belongs to this run: float32 of these `shapes`. Raises `EngineError`."""
    if checkpoint.fingerprint != fingerprint:
        raise bad_checkpoint("it belongs to another order or another revision of the model")
    if not 0 < checkpoint.step <= steps:
        raise bad_checkpoint(f"it was taken after step {checkpoint.step} of {steps}")
    found = {name: (array.dtype.name, array.shape) for name, array in checkpoint.arrays.items()}
    wanted = {name: ("float32", shape) for name, shape in shapes.items()}
    if found != wanted:
        raise bad_checkpoint(f"it holds {found}, not {wanted}")
    return checkpoint.arrays


def _read(data: bytes) -> Checkpoint:
    (header_bytes,) = _LENGTH.unpack_from(data)
    start = _LENGTH.size + header_bytes
    if header_bytes > _HEADER_BYTES_MAX or not start <= len(data) <= start + BYTES_MAX:
        raise ValueError("a length is beyond the limit")
    header: dict[str, Any] = json.loads(data[_LENGTH.size : start])
    metadata = header.pop("__metadata__")
    if len(header) > ARRAYS_MAX:
        raise ValueError("too many arrays")
    arrays: dict[str, Array] = {}
    at = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype = np.dtype(_TYPES[entry["dtype"]])
        shape: list[int] = entry["shape"]
        size = math.prod(shape) * dtype.itemsize
        if entry["data_offsets"] != [at, at + size] or min(shape, default=0) < 0:
            raise ValueError("arrays overlap, leave gaps or have another size")
        arrays[name] = np.frombuffer(data, dtype, math.prod(shape), start + at).reshape(shape)
        at += size
    if start + at != len(data):
        raise ValueError("the arrays do not fill the file")
    return Checkpoint(step=int(metadata["step"]), fingerprint=str(metadata["fingerprint"]), arrays=arrays)
