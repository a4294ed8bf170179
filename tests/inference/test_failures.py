"""What libraries say when they fail, as they say it, and what is made of it."""

import pytest

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.inference.failures import kind_of


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


class SafetensorError(Exception):
    """As safetensors names its own."""


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "out_of_memory"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "out_of_memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronous"), "out_of_memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "out_of_memory"),
        (RuntimeError("[ONNXRuntimeError] : 6 : Failed to allocate memory for buffer"), "out_of_memory"),
        (RuntimeError("std::bad_alloc"), "out_of_memory"),
        (RuntimeError("HIP out of memory. Tried to allocate 512.00 MiB"), "out_of_memory"),
        (RuntimeError("torch.OutOfMemoryError: Allocation on device"), "out_of_memory"),
        (OSError(12, "Cannot allocate memory"), "out_of_memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "device_lost"),
        (RuntimeError("CUDA error: device-side assert triggered"), "device_lost"),
        (RuntimeError("CUDA error: unspecified launch failure"), "device_lost"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "device_lost"),
        (RuntimeError("No CUDA-capable device is detected"), "device_lost"),
        (RuntimeError("CUDA failure 101: invalid; cudaErrorInvalidDevice"), "device_lost"),
        (SafetensorError("Error while deserializing header: HeaderTooLarge"), "bad_weights"),
        (RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Protobuf parsing failed."), "bad_weights"),
        (RuntimeError("Error(s) in loading state_dict for UNet: size mismatch for conv_in.weight"), "bad_weights"),
        (TypeError("__call__() got an unexpected keyword argument 'negative_prompt'"), "unsupported_parameter"),
        (FloatingPointError("invalid value encountered in divide"), "nan"),
        (ValueError("latents contain NaN"), "nan"),
        (TimeoutError(), "timeout"),
        (ValueError("a cat without a hat"), "internal"),
        (KeyError("transformer"), "internal"),
        (EngineError(EngineErrorKind.BAD_INPUT, "out of memory lane"), "bad_input"),
        (caused_by(RuntimeError("the pipeline failed"), MemoryError()), "out_of_memory"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{type(value).__name__} {value}"[:60],
)
def test_failures_are_told_apart(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


def test_a_chain_of_causes_ends() -> None:
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert kind_of(first) is EngineErrorKind.INTERNAL
