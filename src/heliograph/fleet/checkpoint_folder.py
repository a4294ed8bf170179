"""What is kept of unfinished runs: one file per job below a folder, the newest checkpoint of its run.

A file appears under its name whole or not at all and is durable once `put` returns: write beside it, sync, rename. As
the same order gives the same bits at every step, it does not matter which attempt wrote a file last, nor whether the
name in the store is a step behind it. What is in a file is the engine's business; here it is bytes.

Bounds: `bytes_max` in all and `FILES_MAX` files. Beyond them, or when the disk is full, a checkpoint is not kept; the
one before it stays.
"""

import asyncio
import os
import re
from collections.abc import Collection
from pathlib import Path

from heliograph.domain.ids import JobId

FILES_MAX = 1_024
_SUFFIX = ".safetensors"
_DRAFT_SUFFIX = ".draft"
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


class CheckpointFolder:
    """Files below `root`, which is made if it is missing, for this user only. One process writes to it."""

    def __init__(self, root: Path, *, bytes_max: int) -> None:
        self._root = root
        self._bytes_max = bytes_max
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sizes = {JobId(path.stem): path.stat().st_size for path in root.glob(f"*{_SUFFIX}")}

    async def put(self, job_id: JobId, data: bytes) -> str | None:
        """Keep `data` in place of what is kept of the job; returns its name, or None when there is no room for it."""
        assert _JOB_ID.fullmatch(job_id), f"{job_id!r} cannot be the name of a file"
        others = [size for other, size in self._sizes.items() if other != job_id]
        if sum(others) + len(data) > self._bytes_max or len(others) >= FILES_MAX:
            return None
        try:
            await asyncio.to_thread(self._write, job_id, data)
        except OSError:
            return None
        self._sizes[job_id] = len(data)
        return self._path(job_id).name

    async def get(self, job_id: JobId) -> bytes | None:
        """What is kept of the job, or None when nothing is or it cannot be read."""
        if job_id not in self._sizes:
            return None
        try:
            return await asyncio.to_thread(self._path(job_id).read_bytes)
        except OSError:
            return None

    async def forget(self, job_id: JobId) -> None:
        """Drop what is kept of the job; harmless where nothing is."""
        if self._sizes.pop(job_id, None) is not None:
            await asyncio.to_thread(self._path(job_id).unlink, missing_ok=True)

    async def retain(self, job_ids: Collection[JobId]) -> None:
        """Drop what is kept of all other jobs, and what a killed process was about to write."""
        kept = frozenset(job_ids)
        for job_id in tuple(self._sizes):
            if job_id not in kept:
                await self.forget(job_id)
        for draft in self._root.glob(f"*{_DRAFT_SUFFIX}"):
            draft.unlink(missing_ok=True)

    def _path(self, job_id: JobId) -> Path:
        return self._root / f"{job_id}{_SUFFIX}"

    def _write(self, job_id: JobId, data: bytes) -> None:
        path = self._path(job_id)
        draft = path.with_suffix(_DRAFT_SUFFIX)
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
