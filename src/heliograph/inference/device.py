"""What a worker may take of the machine and what it took: the seam in front of everything that needs a GPU for that.

`HostDevice` is a CPU slot. The kernel refuses what goes beyond the cap (`RLIMIT_DATA`: private writable memory), so an
allocation fails inside the engine, as a `MemoryError` or a library's own, and the worker lives on; what the kernel does
not count is caught by the driver, which looks at the resident memory. Should the machine itself run out, the kernel
takes a worker before the server.

`CudaDevice` is one card. PyTorch's allocator refuses what goes beyond the fraction that was reserved for this process.
No machine of this project's tests has such a card: the tests drive this class with a stand-in for `torch.cuda`.
"""

import importlib
import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import Protocol

OOM_SCORE = 500
"""By how much of a thousandth of the machine's memory a worker looks larger to the kernel than it is."""


class Device(Protocol):
    """Where a worker's model lives. Bytes are bytes of that device's memory."""

    def cap(self, bytes_max: int) -> None:
        """From now on this process gets no more than so much."""
        ...

    def begin_run(self) -> None:
        """What `peak_bytes` tells is counted from here."""
        ...

    def peak_bytes(self) -> int | None:
        """The most that was held since `begin_run`, the model included; None where that cannot be told."""
        ...

    def held_bytes(self) -> int:
        """What is held now."""
        ...

    def recover(self) -> None:
        """Give back what is only kept for later, after a run that ran out."""
        ...


class HostDevice:
    """A slot of this machine's memory."""

    def cap(self, bytes_max: int) -> None:
        """See `Device`. A cap below what is held already lets nothing more be taken."""
        resource.setrlimit(resource.RLIMIT_DATA, (bytes_max, bytes_max))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))

    def begin_run(self) -> None:
        """See `Device`."""
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the kernel forgets the highest mark

    def peak_bytes(self) -> int | None:
        """See `Device`."""
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return None

    def held_bytes(self) -> int:
        """See `Device`."""
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def recover(self) -> None:
        """Nothing is kept that another process could use."""


class CardProperties(Protocol):
    """What is used of a card's properties."""

    @property
    def total_memory(self) -> int:
        """Bytes."""
        ...


class CudaLibrary(Protocol):
    """What is used of `torch.cuda`."""

    def get_device_properties(self, device: int, /) -> CardProperties:
        """What the card is."""
        ...

    def set_per_process_memory_fraction(self, fraction: float, device: int, /) -> None:
        """Refuse this process more than the fraction (0 to 1) of the card."""
        ...

    def reset_peak_memory_stats(self, device: int, /) -> None:
        """Forget the highest mark."""
        ...

    def max_memory_reserved(self, device: int, /) -> int:
        """The highest mark of what the allocator holds, in bytes."""
        ...

    def memory_reserved(self, device: int, /) -> int:
        """What it holds now, in bytes."""
        ...

    def empty_cache(self) -> None:
        """Give back what is free in it."""
        ...


class CudaDevice:
    """One CUDA card, seen through `torch.cuda`, which is handed in so that nothing here needs PyTorch."""

    def __init__(self, cuda: CudaLibrary, index: int) -> None:
        self._cuda = cuda
        self._index = index

    def cap(self, bytes_max: int) -> None:
        """See `Device`. The card's total is the bound where the cap is higher."""
        total_bytes = self._cuda.get_device_properties(self._index).total_memory
        self._cuda.set_per_process_memory_fraction(min(bytes_max / total_bytes, 1.0), self._index)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def begin_run(self) -> None:
        """See `Device`."""
        self._cuda.reset_peak_memory_stats(self._index)

    def peak_bytes(self) -> int | None:
        """See `Device`: what the allocator reserved, which is what other processes on the card cannot have."""
        return self._cuda.max_memory_reserved(self._index)

    def held_bytes(self) -> int:
        """See `Device`."""
        return self._cuda.memory_reserved(self._index)

    def recover(self) -> None:
        """Give cached blocks back, so that the next run meets no fragments of this one."""
        self._cuda.empty_cache()


def open_device(name: str) -> Device:
    """The device called `cpu`, `cuda` or `cuda:N`. Raises `ValueError` for others, `ImportError` without PyTorch."""
    kind, _, index = name.partition(":")
    if name == "cpu":
        return HostDevice()
    if kind == "cuda" and (index.isdecimal() or not index):
        return CudaDevice(importlib.import_module("torch").cuda, int(index or 0))
    raise ValueError(f"{name!r} is not a device; write cpu, cuda or cuda:1")
