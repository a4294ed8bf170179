"""What kind of failure a library means by what it raised.

Libraries report the same misfortune in many ways, and some only in the text of a general exception: PyTorch raises a
`RuntimeError` when the CPU's allocator gives up, ONNX Runtime a `Fail`. So the names of the types are looked at first,
then their texts, along the chain of causes. A text is never passed on: it may quote a prompt or a path.

What each kind leads to is the scheduler's business; `docs/reference/errors.md` has the table.
"""

import re
from collections.abc import Iterator, Mapping

from heliograph.domain.errors import EngineError, EngineErrorKind

_CAUSES_MAX = 8

_BY_TYPE: Mapping[str, EngineErrorKind] = {
    "MemoryError": EngineErrorKind.OUT_OF_MEMORY,
    "OutOfMemoryError": EngineErrorKind.OUT_OF_MEMORY,  # torch's, and torch.cuda's of old
    "AcceleratorError": EngineErrorKind.DEVICE_LOST,  # torch's for a device whose context is broken
    "SafetensorError": EngineErrorKind.BAD_WEIGHTS,
    "InvalidProtobuf": EngineErrorKind.BAD_WEIGHTS,
    "UnpicklingError": EngineErrorKind.BAD_WEIGHTS,
    "TimeoutError": EngineErrorKind.TIMEOUT,
    "FloatingPointError": EngineErrorKind.NAN,
}

_BY_TEXT: tuple[tuple[re.Pattern[str], EngineErrorKind], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (
            r"out of memory|can't allocate memory|cannot allocate memory|failed to allocate|bad_?alloc|"
            r"std::bad_alloc|(cublas|cudnn|cusolver)_status_alloc_failed|memory ?allocation|not enough memory|"
            r"insufficient (device )?memory|outofmemoryerror|allocation on device",
            EngineErrorKind.OUT_OF_MEMORY,
        ),
        (
            r"(cuda|hip|xpu|nccl|cudnn|cublas)( runtime)? error|cudaerror\w+|device-side assert|"
            r"illegal memory access|unspecified launch failure|gpu is lost|fallen off the bus|"
            r"no cuda-capable device|uncorrectable ecc|driver shutting down|device (is )?unavailable|"
            r"(cublas|cudnn)_status_(not_initialized|execution_failed|internal_error)",
            EngineErrorKind.DEVICE_LOST,
        ),
        (
            r"protobuf parsing failed|invalid[ _]protobuf|invalidheader|headertoolarge|metadataincompletebuffer|"
            r"error\(s\) in loading state_dict|size mismatch for|safetensors|checksum|corrupt",
            EngineErrorKind.BAD_WEIGHTS,
        ),
        (
            r"unexpected keyword argument|is not supported|not implemented for|unsupported (parameter|option|dtype)",
            EngineErrorKind.UNSUPPORTED_PARAMETER,
        ),
        (r"contains? nan|nan or inf|not a number|non-finite", EngineErrorKind.NAN),
    )
)
"""The first that fits decides: a CUDA error that is about memory is about memory."""


def kind_of(error: BaseException) -> EngineErrorKind:
    """How inference failed. What nobody recognises is `INTERNAL`: a bug, of ours or of a library."""
    for each in _chain(error):
        if isinstance(each, EngineError):
            return each.kind
        for base in type(each).__mro__:
            if base.__name__ in _BY_TYPE:
                return _BY_TYPE[base.__name__]
        text = str(each)
        for pattern, kind in _BY_TEXT:
            if pattern.search(text):
                return kind
    return EngineErrorKind.INTERNAL


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was raised from; one that was only raised while another was handled stands for itself."""
    each: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if each is None:
            return
        yield each
        each = each.__cause__
