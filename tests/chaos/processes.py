"""The processes of a run: the server on a port that stays the same, and what belongs to it."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.e2e.server import is_alive

MARK = "CHAOS_RUN"
"""An environment variable that every process of a run inherits, so that orphans can be found."""


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def marked(run: str) -> Iterator[int]:
    """Living processes whose environment carries the mark of the run."""
    needle = f"{MARK}={run}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended meanwhile, or is not ours
        if needle in environment and is_alive(int(folder.name)):
            yield int(folder.name)


class ChaosServer:
    """`heliograph serve`, started again on the same port as often as it is killed. Its log goes through a pipe into
    `log`, so that a full disk does not silence it."""

    def __init__(self, data_dir: Path, log: Path, *, run: str, env: Mapping[str, str]) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {**os.environ, "HELIOGRAPH_LOG__JSON_LINES": "true", **env, MARK: run}
        self.run = run
        self.log = log
        self.starts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start it, without waiting until it serves."""
        command = [sys.executable, "-m", "heliograph", "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "--data-dir", str(self.data_dir)],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.starts += 1
        self._reader = threading.Thread(target=self._copy_log, args=(self.process,), daemon=True)
        self._reader.start()

    def _copy_log(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        with self.log.open("ab") as log, process.stderr:
            for line in process.stderr:
                log.write(line)

    def has_ended(self) -> bool:
        """It is not running, whoever ended it."""
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """SIGKILL to the server alone: what it started has to notice."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, *, within_s: float = 40) -> int:
        """SIGTERM, and its exit code; SIGKILL if it does not end."""
        assert self.process is not None
        self.process.terminate()
        try:
            code = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if self._reader is not None:
            self._reader.join()
        return code

    def children(self, name: str) -> list[int]:
        """Processes of this run whose command line has `name`, oldest first."""
        found: list[int] = []
        for pid in marked(self.run):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_text()
            except OSError:
                continue
            if name in command:
                found.append(pid)
        return sorted(found)

    def workers(self) -> list[int]:
        """Processes that hold a model."""
        return self.children("heliograph.inference.worker")

    def postprocessors(self) -> list[int]:
        """Processes that encode pictures."""
        return self.children("heliograph.postprocess")

    def fill_disk(self) -> list[int]:
        """From now on no file that these processes write gets longer; says which they are.

        RLIMIT_FSIZE stands in for a full disk, because it needs no rights: writes fail with EFBIG, as with a quota.
        """
        full = [pid for pid in marked(self.run) if pid != os.getpid()]
        for pid in full:
            _limit_file_size(pid, 0)
        return full

    def free_disk(self, full: list[int]) -> None:
        """There is room again for those that still live."""
        for pid in full:
            _limit_file_size(pid, resource.RLIM_INFINITY)


class ReceiverProcess:
    """The receiver of webhooks, on a port that stays the same."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "webhooks.jsonl"
        self._secrets = folder / "secrets.json"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def knows(self, secrets: Mapping[str, str]) -> None:
        """The secret of each tenant's endpoint."""
        self._secrets.write_text(json.dumps(dict(secrets)))

    def start(self) -> None:
        """Start it, without waiting until it listens."""
        command = [sys.executable, "-m", "tests.chaos.receiver", str(self._port), str(self._file), str(self._secrets)]
        self._process = subprocess.Popen(command)

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def heard(self) -> list[dict[str, Any]]:
        """Everything it acknowledged, in the order in which it did; a line that a kill cut short is none."""
        text = self._file.read_text() if self._file.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def _limit_file_size(pid: int, limit: int) -> None:
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard))
    except (ProcessLookupError, PermissionError):
        pass  # it has ended, and its number may be another's


def send(pid: int, number: signal.Signals) -> bool:
    """Whether the signal found a process."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def gone_within(run: str, seconds: float) -> list[int]:
    """Processes of the run that are left after that time."""
    deadline_s = time.monotonic() + seconds
    while left := [pid for pid in marked(run) if pid != os.getpid()]:
        if time.monotonic() > deadline_s:
            return left
        time.sleep(0.05)
    return []
