"""A real `heliograph serve` as a child process: started, asked over HTTP, signalled, killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx

FAKE = {"HELIOGRAPH_FLEET__TESTING_MODELS": "true", "HELIOGRAPH_FLEET__ALWAYS_WARM": '["fake"]'}
"""The fake engine's model is offered and kept warm; the built-in one stays cold."""

READY_S = 30.0
T = TypeVar("T")


def eventually(look: Callable[[], T], *, within_s: float, what: str) -> T:
    """What `look` finds, looked for again and again; fails naming `what` when it is not there in time."""
    deadline_s = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline_s, f"not within {within_s:g} s: {what}"
        time.sleep(0.02)


class Server:
    """One server on one data directory."""

    def __init__(self, data_dir: Path, env: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.env = {**os.environ, "HELIOGRAPH_LOG__JSON_LINES": "true", **(env or {})}
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.url = ""
        self.process: subprocess.Popen[str] | None = None
        self.http = httpx.Client(timeout=30, trust_env=False)

    def start(self, *arguments: str, wait: bool = True) -> "Server":
        """Start it; with `wait`, return once it takes jobs and has a warm worker."""
        if self.process is not None:
            self._close_pipe()
        command = [sys.executable, "-m", "heliograph", "serve", "--port", "0", "--data-dir", str(self.data_dir)]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*command, *arguments], env=self.env, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "serves on" in line, f"the server did not start: {line!r}\n{self.log.read_text()}"
        self.url = line.split("serves on ")[1].split()[0]
        self.http.base_url = httpx.URL(self.url)
        if wait:
            eventually(self.has_warm_worker, within_s=READY_S, what="a warm worker")
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 30) -> int:
        """Its exit code."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL, as the kernel's out-of-memory killer would."""
        self.signal(signal.SIGKILL)
        self.wait()
        self._close_pipe()

    def stop(self) -> None:
        """End it, whatever state it is in, and let go of its pipes."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGCONT)
                self.process.terminate()
                try:
                    self.process.wait(20)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
            self._close_pipe()
        self.http.close()

    def _close_pipe(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.stdout.close()

    def submit(self, prompt: str = "a red boat", **fields: Any) -> dict[str, Any]:
        """Submit a job; fails when it is refused."""
        answer = self.http.post("/v1/jobs", json={"prompt": prompt, "model": "fake", **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def job(self, job_id: str) -> dict[str, Any]:
        """One job as it is now."""
        return self.http.get(f"/v1/jobs/{job_id}").json()

    def finished(self, job_id: str, *, within_s: float = 30) -> dict[str, Any]:
        """The job once it has ended."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] in ("completed", "failed", "cancelled", "expired") else None

        return eventually(look, within_s=within_s, what=f"the end of {job_id}")

    def reaches(self, job_id: str, status: str, *, within_s: float = 20) -> dict[str, Any]:
        """The job once it is in `status`."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] == status else None

        return eventually(look, within_s=within_s, what=f"{job_id} {status}")

    def some(self, job_ids: list[str], status: str) -> bool:
        """At least one of the jobs is in `status`."""
        return any(self.job(job_id)["status"] == status for job_id in job_ids)

    def has_warm_worker(self) -> bool:
        """A worker has loaded its model."""
        text = self.http.get("/metrics").text
        return any(
            line.startswith("heliograph_replicas{") and 'state="ready"' in line and not line.endswith(" 0.0")
            for line in text.splitlines()
        )

    def lines(self) -> list[dict[str, Any]]:
        """What it logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def worker_pids(self) -> list[int]:
        """Processes that hold a model."""
        return self._children("heliograph.inference.worker")

    def postprocess_pids(self) -> list[int]:
        """Processes that encode pictures."""
        return self._children("heliograph.postprocess")

    def _children(self, name: str) -> list[int]:
        assert self.process is not None
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_text()
            except (OSError, IndexError):
                continue  # it has ended meanwhile
            if parent == self.process.pid and name in command:
                found.append(int(folder.name))
        return sorted(found)


def is_alive(pid: int) -> bool:
    """The process runs and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
