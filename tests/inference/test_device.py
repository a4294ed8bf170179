"""Caps and peaks: the host's in a process of its own, CUDA's against a stand-in."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from heliograph.inference.device import CudaDevice, HostDevice, open_device

CAPPED = """
from heliograph.inference.device import HostDevice
from pathlib import Path
device = HostDevice()
device.cap(300 << 20)
device.begin_run()
block = bytearray(100 << 20)
peak = device.peak_bytes()
del block
device.begin_run()
assert peak - device.peak_bytes() > 90 << 20, "the mark begins anew with every run"
assert device.held_bytes() <= device.peak_bytes()
try:
    bytearray(400 << 20)
except MemoryError:
    print("refused", Path("/proc/self/oom_score_adj").read_text().strip())
bytearray(100 << 20)
"""


def test_what_goes_beyond_the_cap_is_refused_and_the_process_lives() -> None:
    done = subprocess.run([sys.executable, "-c", CAPPED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split()[0] == "refused"
    assert int(done.stdout.split()[1]) >= 500


class Cuda:
    """Stands in for `torch.cuda`: a card of 80 GB that notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.reserved = 0
        self.highest = 0

    def get_device_properties(self, device: int, /) -> object:
        return SimpleNamespace(total_memory=80 * 10**9)

    def set_per_process_memory_fraction(self, fraction: float, device: int, /) -> None:
        self.calls.append(("fraction", fraction, device))

    def reset_peak_memory_stats(self, device: int, /) -> None:
        self.highest = self.reserved

    def max_memory_reserved(self, device: int, /) -> int:
        return self.highest

    def memory_reserved(self, device: int, /) -> int:
        return self.reserved

    def empty_cache(self) -> None:
        self.calls.append(("empty",))
        self.reserved = 10


@pytest.mark.parametrize(("cap_gb", "fraction"), [(20, 0.25), (80, 1.0), (200, 1.0)])
def test_a_cuda_process_gets_its_share_of_the_card(
    cap_gb: int, fraction: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)
    cuda = Cuda()
    CudaDevice(cuda, 1).cap(cap_gb * 10**9)
    assert cuda.calls == [("fraction", fraction, 1)]


def test_a_cuda_run_is_measured_by_what_others_cannot_have() -> None:
    cuda = Cuda()
    device = CudaDevice(cuda, 0)
    cuda.reserved, cuda.highest = 30, 70
    device.begin_run()
    assert (device.peak_bytes(), device.held_bytes()) == (30, 30)
    cuda.highest = 50
    assert device.peak_bytes() == 50
    device.recover()
    assert device.held_bytes() == 10


def test_devices_are_opened_by_name() -> None:
    assert isinstance(open_device("cpu"), HostDevice)
    with pytest.raises(ValueError, match="write cpu, cuda or cuda:1"):
        open_device("tpu:0")
