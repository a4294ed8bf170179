"""One server per data directory, and how others find it.

The server holds an exclusive `flock` on the file `lock` in the directory, and writes there who it is. The kernel
releases the lock when the process dies, however it dies, so there is no stale lock to clean up; what is written in the
file counts only while somebody holds it.

A lock belongs to the open file, which a forked child shares: child processes must be spawned (as `subprocess` and the
"spawn" and "forkserver" ways of `multiprocessing` do), or an orphan keeps the directory locked.
"""

import fcntl
import json
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from heliograph.domain.errors import Unavailable

_LOCK_NAME = "lock"

_RECORD_BYTES = 512
"""The record is padded to this, so that a new one overwrites the old one in a single write."""

_PAUSES_S = (0.02, 0.08)
"""Pauses between tries to lock. `holder` locks a dead server's file for a moment, which must not stop a new server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that holds a data directory. `url` is None until it listens; both are None while it starts."""

    pid: int | None
    url: str | None


class DataDirLock:
    """This process holds the data directory, until `release` or its end. Made by `acquire`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, data_dir: Path) -> "DataDirLock":
        """Lock `data_dir`, which is created (readable by its owner only) if need be.

        Raises `Unavailable` when another process holds it, saying which, or when it cannot be written to.
        """
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(data_dir / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with ExitStack() as on_failure:
                on_failure.callback(os.close, descriptor)
                if _wait_for_lock(descriptor):
                    lock = cls(descriptor)
                    lock.publish(None)
                    on_failure.pop_all()
                    return lock
                other = _read(descriptor)
        except OSError as error:
            raise Unavailable(
                f"The data directory {data_dir} cannot be used: {error.strerror}. Make it writable or choose another.",
                code="data_dir_unusable",
            ) from error
        raise Unavailable(
            f"The data directory {data_dir} is in use by another Heliograph (process {other.pid or 'unknown'}, "
            f"{other.url or 'not listening yet'}). Use that one, stop it, or choose another data directory.",
            code="data_dir_locked",
        )

    def publish(self, url: str | None) -> None:
        """Tell `holder` where this server listens."""
        assert self._descriptor is not None, "the data directory is already released"
        record = json.dumps({"pid": os.getpid(), "url": url}) + "\n"
        os.pwrite(self._descriptor, record.encode().ljust(_RECORD_BYTES), 0)

    def release(self) -> None:
        """Let the next server in; a second call changes nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> "DataDirLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def holder(data_dir: Path) -> Holder | None:
    """Who holds `data_dir` now, or None when nobody does (or it is not there)."""
    try:
        descriptor = os.open(data_dir / _LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _try_lock(descriptor) else _read(descriptor)
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int) -> bool:
    for pause_s in _PAUSES_S:
        if _try_lock(descriptor):
            return True
        time.sleep(pause_s)
    return _try_lock(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> Holder:
    try:
        record: dict[str, Any] = json.loads(os.pread(descriptor, 2 * _RECORD_BYTES, 0))
    except ValueError:  # the holder has the lock and is about to write
        return Holder(pid=None, url=None)
    return Holder(pid=record.get("pid"), url=record.get("url"))
