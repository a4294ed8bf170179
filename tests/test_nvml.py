"""Readings of GPUs, with and without a driver. NVIDIA's library is imitated: there is no GPU here."""

from types import SimpleNamespace
from typing import Any

import pytest

from heliograph.monitoring import GpuReading
from heliograph.nvml import Nvml


class LibraryError(Exception):
    pass


def a_library(**changes: Any) -> Any:
    library = SimpleNamespace(
        NVMLError=LibraryError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(used=3, total=8),
        nvmlDeviceGetUtilizationRates=lambda _: SimpleNamespace(gpu=97),
        nvmlDeviceGetTemperature=lambda _handle, _sensor: 64,
    )
    return SimpleNamespace(**{**vars(library), **changes})


def fails(*_arguments: object) -> None:
    raise LibraryError


def falls_off_the_bus(index: int) -> int:
    if index == 0:
        raise LibraryError
    return index


def reading(name: str, **fields: Any) -> GpuReading:
    usual = {"utilisation": 0.97, "memory_used_bytes": 3, "memory_total_bytes": 8, "temperature_c": 64.0}
    return GpuReading(name=name, **{**usual, **fields})


@pytest.mark.parametrize(
    ("library", "found"),
    [
        (None, ()),
        (a_library(nvmlInit=fails), ()),
        (a_library(nvmlDeviceGetCount=fails), ()),
        (a_library(), (reading("0"), reading("1"))),
        (a_library(nvmlDeviceGetHandleByIndex=falls_off_the_bus), (reading("1"),)),
        (
            a_library(
                nvmlDeviceGetCount=lambda: 1, nvmlDeviceGetUtilizationRates=fails, nvmlDeviceGetTemperature=fails
            ),
            (reading("0", utilisation=None, temperature_c=None),),
        ),
    ],
    ids=["not installed", "no driver", "driver gone", "two GPUs", "one fell off the bus", "tells little"],
)
def test_what_answers_is_read(library: Any, found: tuple[GpuReading, ...]) -> None:
    assert Nvml(library).read() == found
