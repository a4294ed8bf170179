"""Checkpoints as bytes: they come back as they were, others can read them, and nothing else is taken for one."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.inference.checkpoint import ARRAYS_MAX, Checkpoint

LATENTS = np.random.default_rng(1).standard_normal((2, 8, 4, 6)).astype(np.float32)
CHECKPOINT = Checkpoint(
    step=3,
    fingerprint="f" * 64,
    arrays={
        "motion": LATENTS[None] * 2,
        "latents": LATENTS,
        "counts": np.arange(5),
        "few": np.arange(3, dtype=np.int32),
    },
)


def test_it_comes_back_bit_for_bit() -> None:
    again = Checkpoint.from_bytes(CHECKPOINT.to_bytes())
    assert (again.step, again.fingerprint) == (3, "f" * 64)
    assert set(again.arrays) == set(CHECKPOINT.arrays)
    for name, array in CHECKPOINT.arrays.items():
        assert again.arrays[name].dtype == array.dtype
        assert np.array_equal(again.arrays[name], array)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.0, 1e-45])
def test_every_float_survives(value: float) -> None:
    odd = np.full((3,), value, np.float32)
    again = Checkpoint.from_bytes(Checkpoint(step=1, fingerprint="", arrays={"odd": odd}).to_bytes())
    assert again.arrays["odd"].tobytes() == odd.tobytes()


def test_arrays_that_are_not_contiguous_or_of_the_other_byte_order_are_written_in_order() -> None:
    arrays = {"turned": LATENTS.T, "big": LATENTS.astype(">f4")}
    again = Checkpoint.from_bytes(Checkpoint(step=1, fingerprint="", arrays=arrays).to_bytes())
    assert np.array_equal(again.arrays["turned"], LATENTS.T)
    assert np.array_equal(again.arrays["big"], LATENTS)


def test_it_has_the_form_of_a_safetensors_file() -> None:
    """As the format's specification words it: length, JSON header, arrays without gaps from the end of the header."""
    data = CHECKPOINT.to_bytes()
    (header_bytes,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + header_bytes])
    assert header.pop("__metadata__") == {"step": "3", "fingerprint": "f" * 64}
    start, end = header["latents"]["data_offsets"]
    body = data[8 + header_bytes :]
    assert header["latents"] == {"dtype": "F32", "shape": [2, 8, 4, 6], "data_offsets": [start, end]}
    assert body[start:end] == LATENTS.tobytes()
    assert max(offset for entry in header.values() for offset in entry["data_offsets"]) == len(body)
    assert (8 + header_bytes) % 8 == 0


def refused(data: bytes) -> None:
    with pytest.raises(EngineError, match="cannot be used") as caught:
        Checkpoint.from_bytes(data)
    assert caught.value.kind is EngineErrorKind.BAD_CHECKPOINT


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize("cut", [0, 7, 8, 40, -1])
def test_a_cut_or_lengthened_file_is_refused(cut: int) -> None:
    data = CHECKPOINT.to_bytes()
    refused(data[:cut])
    refused(data + b"x")


def with_header(**changes: object) -> bytes:
    """A file of one array whose header says something else."""
    data = Checkpoint(step=1, fingerprint="", arrays={"a": np.zeros(4, np.float32)}).to_bytes()
    (header_bytes,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + header_bytes])
    header["a"] |= changes
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + header_bytes :]


def test_the_header_that_is_changed_below_is_fine_by_itself() -> None:
    assert Checkpoint.from_bytes(with_header()).step == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "F64"},
        {"dtype": ["F32"]},
        {"shape": [5]},
        {"shape": [-2, -2]},
        {"shape": [2**40, 2**40]},
        {"shape": "4"},
        {"data_offsets": [4, 20]},
        {"data_offsets": [0, 12]},
        {"data_offsets": []},
        {"data_offsets": None},
    ],
    ids=str,
)
def test_a_header_that_lies_is_refused(changes: dict[str, object]) -> None:
    refused(with_header(**changes))


def test_a_length_beyond_the_limit_is_refused_before_anything_is_read() -> None:
    refused(struct.pack("<Q", 2**63) + b"{}")


def test_a_header_nested_beyond_reason_is_refused() -> None:
    text = b"[" * 60_000
    refused(struct.pack("<Q", len(text)) + text)


def test_more_arrays_than_the_limit_are_our_bug() -> None:
    arrays = {str(number): np.zeros(1, np.float32) for number in range(ARRAYS_MAX + 1)}
    with pytest.raises(AssertionError, match="65 arrays"):
        Checkpoint(step=1, fingerprint="", arrays=arrays).to_bytes()
