"""Servers as child processes, and what /proc says of their memory and CPU time."""

import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

FAKE_MODEL = {"HELIOGRAPH_FLEET__TESTING_MODELS": "true", "HELIOGRAPH_FLEET__ALWAYS_WARM": '["fake"]'}
"""Settings of a server whose workers hold the fake engine, which works in no time unless told otherwise."""

ROLES: tuple[str, ...] = ("server", "worker", "pool")
BUILT_IN_MODEL = "helio-base"
START_S_MAX = 60.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of the tree; `role` is one of `ROLES`."""

    pid: int
    role: str

    def cpu_s(self) -> float:
        """CPU seconds used so far, in user and kernel, over all threads."""
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS_PER_S

    def resident_mb(self) -> float:
        """Resident memory in 10^6 bytes, pages shared with other processes included."""
        return _status_kib(self.pid, "VmRSS") * 1024 / 1e6

    def resident_peak_mb(self) -> float:
        """The most that was ever resident, in 10^6 bytes."""
        return _status_kib(self.pid, "VmHWM") * 1024 / 1e6

    def open_files(self) -> int:
        """File descriptors in use, sockets and pipes included."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running `heliograph serve` with warm workers."""

    port: int
    pid: int

    def tree(self) -> list[Process]:
        """The server and its children as they are now."""
        found = [Process(pid=self.pid, role="server")]
        children = Path(f"/proc/{self.pid}/task").glob("*/children")  # every thread lists those it started
        for pid in (pid for file in children for pid in file.read_text().split()):
            command = Path(f"/proc/{pid}/cmdline").read_text()
            found.append(Process(pid=int(pid), role="worker" if "inference.worker" in command else "pool"))
        return found

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds used so far, by role."""
        used: dict[str, float] = dict.fromkeys(ROLES, 0.0)
        for process in self.tree():
            used[process.role] += process.cpu_s()
        return used


@contextmanager
def served(env: Mapping[str, str] | None = None) -> Generator[Server]:
    """A real server on a data directory of its own, as an operator starts it, with every always-warm worker ready."""
    with TemporaryDirectory(prefix="heliograph-bench-") as folder:
        command = [sys.executable, "-m", "heliograph", "serve", "--port", "0", "--data-dir", f"{folder}/data"]
        quiet = {"HELIOGRAPH_LOG__LEVEL": "warning"}
        with subprocess.Popen(command, env={**os.environ, **quiet, **(env or {})}, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline().decode()
                if "serves on" not in line:
                    raise RuntimeError("the server did not start; its last words are above")
                port = int(line.split("serves on ")[1].split()[0].rpartition(":")[2])
                _wait_until_warm(port)
                yield Server(port=port, pid=process.pid)
            finally:
                process.terminate()


def _wait_until_warm(port: int) -> None:
    """Return once no worker is loading and at least one is ready."""
    deadline_s = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline_s:
        replicas = [line for line in _metrics(port).splitlines() if line.startswith("heliograph_replicas{")]
        in_state = {state: [line for line in replicas if f'state="{state}"' in line] for state in ("ready", "loading")}
        if _total(in_state["ready"]) and not _total(in_state["loading"]):
            return
        time.sleep(0.1)
    raise RuntimeError(f"no worker was ready within {START_S_MAX:g} s")


def _total(lines: list[str]) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def _metrics(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).raise_for_status().text


@contextmanager
def idle_python(code: str) -> Generator[Process]:
    """A fresh interpreter that has run `code` and then waits: what libraries weigh by themselves."""
    command = [sys.executable, "-c", f"{code}\nimport sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield Process(pid=process.pid, role="baseline")


def _status_kib(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/{pid}/status has no {field}")
