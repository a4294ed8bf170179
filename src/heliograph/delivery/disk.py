"""Pictures in a local directory: `<root>/ab/abcd….png`, each written once and named by its SHA-256.

A blob appears under its name whole or not at all, and `put` returns once it survives power loss: write beside the
target, fsync the file, rename, fsync the folder. The 256 folders are made at start, so no write has a new folder to
make durable. A handful of threads write at once, because concurrent fsyncs share one commit of the file system's
journal.
"""

import asyncio
import contextlib
import errno
import hashlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from heliograph.delivery.names import blob_name, is_blob_name
from heliograph.delivery.recent import RecentPuts
from heliograph.domain.errors import NotFound, Unavailable
from heliograph.domain.ids import TenantId

THREADS = 8
_TEMPORARY_SUFFIX = ".tmp"
_ABANDONED_AFTER_S = 600.0
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_T = TypeVar("_T")


class DiskBlobStore:
    """A `BlobStore` below `root`, which is made if it is missing. Raises `Unavailable` where `root` cannot be written.

    Temporary files that a killed process left behind are removed at start, once no living process can still be writing
    them (10 minutes). Call `close` to let go of the threads.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = itertools.count()
        self._choosing = threading.Lock()
        self._recent = RecentPuts()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        with _medium_errors(root):
            for number in range(256):
                (root / f"{number:02x}").mkdir(parents=True, exist_ok=True)
            _fsync_folder(root)
            self._sweep()

    async def put(self, data: bytes, *, suffix: str, owner: TenantId | None = None) -> str:
        """Store `data` and return its name once it survives power loss."""
        return await self._run(lambda: self._put(data, suffix))

    async def size(self, name: str) -> int | None:
        """Number of bytes of the object, or None if there is none of that name."""
        return await self._run(lambda: self._size(name))

    async def read(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `start` (to the end when None). Raises `NotFound` for an unknown name."""
        assert start >= 0, "a range starts at 0 or later"
        return await self._run(lambda: self._read(name, start, length))

    async def names(self, digits: str) -> tuple[str, ...]:
        """The objects whose names begin with `digits`, two hexadecimal ones."""
        return await self._run(lambda: self._names(digits))

    async def delete(self, name: str, *, before_s: float) -> bool:
        """Delete an object that was last put before a time. False when there is none, or it was put again since."""
        return await self._run(lambda: self._delete(name, before_s))

    async def erase(self, name: str, *, unless_put_within_s: float) -> bool:
        """Delete an object however young, unless it was put within so many seconds. True once there is none."""
        return await self._run(lambda: self._erase(name, unless_put_within_s))

    async def check(self) -> None:
        """Return when the folders are there."""
        await self._run(self._is_there)

    def path(self, name: str) -> Path:
        """Where the object of that name is, or would be. Raises `NotFound` for what cannot be a name."""
        if not is_blob_name(name):
            raise NotFound("there is no such picture", param="name")
        return self._root / name[:2] / name

    async def close(self) -> None:
        """Finish the writes under way and end the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _put(self, data: bytes, suffix: str) -> str:
        name = blob_name(hashlib.sha256(data).hexdigest(), suffix)
        target = self.path(name)
        with _medium_errors(self._root):
            with self._choosing:  # so that `delete` sees either no file or that it was just put
                self._recent.note(name, now_s=time.monotonic())
                is_there = target.exists()
                if is_there:
                    os.utime(target)
            if not is_there:
                self._write(data, target)
            # Also for a blob that was there: another thread may have renamed it a moment ago and not synced yet.
            _fsync_folder(target.parent)
        return name

    def _write(self, data: bytes, target: Path) -> None:
        temporary = target.parent / f".{os.getpid()}-{next(self._numbers)}{_TEMPORARY_SUFFIX}"
        try:
            with open(temporary, "xb", buffering=0) as file:  # noqa: PTH123 - no second layer around a single write
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _size(self, name: str) -> int | None:
        if not is_blob_name(name):
            return None
        with _medium_errors(self._root):
            try:
                return self.path(name).stat().st_size
            except FileNotFoundError:
                return None

    def _read(self, name: str, start: int, length: int | None) -> bytes:
        path = self.path(name)
        with _medium_errors(self._root):
            try:
                with path.open("rb") as file:
                    file.seek(start)
                    return file.read(-1 if length is None else length)
            except FileNotFoundError as missing:
                raise NotFound("there is no such picture", param="name") from missing

    def _names(self, digits: str) -> tuple[str, ...]:
        assert len(digits) == 2, "objects lie in folders of two digits"
        with _medium_errors(self._root):
            return tuple(path.name for path in (self._root / digits).iterdir() if is_blob_name(path.name))

    def _delete(self, name: str, before_s: float) -> bool:
        path = self.path(name)
        with _medium_errors(self._root), self._choosing:
            try:
                # Both: the wall clock may have been set since the file was written.
                if path.stat().st_mtime >= before_s or self._is_recent(name, before_s):
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    def _erase(self, name: str, unless_put_within_s: float) -> bool:
        path = self.path(name)
        with _medium_errors(self._root):
            with self._choosing:
                if self._recent.has(name, now_s=time.monotonic(), within_s=unless_put_within_s):
                    return False
                path.unlink(missing_ok=True)
            _fsync_folder(path.parent)
        return True

    def _is_recent(self, name: str, before_s: float) -> bool:
        """It was put a moment ago, and what is asked for is a deletion of old files."""
        return before_s <= time.time() and self._recent.has(name, now_s=time.monotonic())

    def _is_there(self) -> None:
        with _medium_errors(self._root):
            (self._root / "00").stat()

    def _sweep(self) -> None:
        oldest_kept_s = time.time() - _ABANDONED_AFTER_S
        for path in self._root.glob(f"*/.*{_TEMPORARY_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):  # another process sweeps, too
                if path.stat().st_mtime < oldest_kept_s or not _writer_lives(path):
                    path.unlink()


def _writer_lives(temporary: Path) -> bool:
    """A process with the number in the file's name runs on this machine: its writer, or another one by now."""
    number = temporary.name.lstrip(".").partition("-")[0]
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _medium_errors(root: Path) -> Generator[None, None, None]:
    """Say in words of the operator what the file system refused."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = f"the disk or quota below {root} is full ({error.strerror}); free some space"
            raise Unavailable(message, code="storage_full", retry_after_s=30) from error
        message = f"the picture store {root} failed: {error.strerror}"
        raise Unavailable(message, code="storage_unavailable", retry_after_s=10) from error


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
