"""What operators ordered: one JSON object per line, synced before the order is answered, never changed afterwards."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path

from heliograph.domain.errors import Unavailable

BYTES_MAX = 16 * 1024**2
"""A file that has grown so large is put aside as `.old`, in place of the one before."""
LATEST_BYTES = 1024**2


class AuditLog:
    """Appends to `path`, for this user only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = asyncio.Lock()

    async def append(self, entry: Mapping[str, object]) -> None:
        """Return once the entry survives power loss. Raises `Unavailable` when the disk fails."""
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        async with self._turn:
            try:
                await asyncio.to_thread(self._append, line)
            except OSError as error:
                raise Unavailable(f"The audit log cannot be written: {error.strerror}.", code="audit_failed") from error

    async def latest(self, count: int) -> tuple[Mapping[str, object], ...]:
        """The last `count` entries, the newest first, as far as the last megabyte has them."""
        async with self._turn:
            try:
                return await asyncio.to_thread(self._latest, count)
            except OSError as error:
                raise Unavailable(f"The audit log cannot be read: {error.strerror}.", code="audit_failed") from error

    def _append(self, line: bytes) -> None:
        if self._path.exists() and self._path.stat().st_size + len(line) > BYTES_MAX:
            self._path.replace(self._path.with_suffix(".old"))
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _latest(self, count: int) -> tuple[Mapping[str, object], ...]:
        if not self._path.exists():
            return ()
        with self._path.open("rb") as file:
            file.seek(max(self._path.stat().st_size - LATEST_BYTES, 0))
            lines = file.read().splitlines()
        entries: list[Mapping[str, object]] = []
        for line in reversed(lines):
            try:
                entries.append(json.loads(line))
            except ValueError:  # cut off by the bound, or by a power loss
                continue
            if len(entries) == count:
                break
        return tuple(entries)
