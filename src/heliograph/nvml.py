"""How this machine's NVIDIA GPUs are: utilisation, memory, temperature, as the driver's library tells.

Where there is no such library, no driver or no GPU, there is nothing to tell, and that is no fault. A GPU that falls
off the bus is left out until it is back.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from heliograph.monitoring import GpuReading


class Nvml:
    """Reads through `library`, NVIDIA's own `pynvml`; `None` stands for one that is not installed."""

    def __init__(self, library: ModuleType | Any | None) -> None:  # noqa: ANN401 - untyped, and replaced in tests
        self._library: Any = library
        self._is_there = False
        if library is None:
            return
        try:
            self._library.nvmlInit()
            self._is_there = True
        except self._library.NVMLError:
            pass  # no driver, or no GPU

    def read(self) -> tuple[GpuReading, ...]:
        """Every GPU that answers; may block for some milliseconds."""
        if not self._is_there:
            return ()
        try:
            count = int(self._library.nvmlDeviceGetCount())
        except self._library.NVMLError:
            return ()
        return tuple(found for index in range(count) if (found := self._read(index)) is not None)

    def _read(self, index: int) -> GpuReading | None:
        library = self._library
        try:
            handle = library.nvmlDeviceGetHandleByIndex(index)
            memory = library.nvmlDeviceGetMemoryInfo(handle)
        except library.NVMLError:
            return None
        rates = self._asked(lambda: library.nvmlDeviceGetUtilizationRates(handle).gpu)
        return GpuReading(
            name=str(index),
            utilisation=None if rates is None else rates / 100,
            memory_used_bytes=int(memory.used),
            memory_total_bytes=int(memory.total),
            temperature_c=self._asked(lambda: library.nvmlDeviceGetTemperature(handle, 0)),
        )

    def _asked(self, ask: Callable[[], Any]) -> float | None:
        try:
            return float(ask())
        except self._library.NVMLError:
            return None
