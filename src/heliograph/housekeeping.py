"""Deletes what is older than the operator wants to keep: ended jobs, then the files that nothing names any more.

Jobs go in small batches, so that the store's writer is never held up, and the ledger stays. Files go by a walk through
the 256 folders of pictures, one every few minutes and all of them in a day. A file is deleted when no output names it
and nobody put it there within a day: an output may be about to name it (the same content is one file), and a file that
was left behind by a crash goes the same way.
"""

import asyncio
from collections.abc import Callable

import structlog

from heliograph.delivery.blobs import BlobStore
from heliograph.domain.errors import Unavailable
from heliograph.domain.ids import JobId
from heliograph.domain.keeping import Deletion, DeletionReason
from heliograph.storage.keeping import EraseOutput
from heliograph.storage.store import DropJob, Store, Write

FOLDERS = 256
PASS_S = 86_400.0 / FOLDERS
"""One folder of pictures, and every job that has become too old, in such a time."""

FILE_AGE_S_MIN = 86_400.0
JOBS_AT_ONCE = 100
NAMES_AT_ONCE = 500
PAUSE_S = 0.2
"""Between two batches, for others."""

_log = structlog.get_logger()


async def keep_house(store: Store, blobs: BlobStore, *, keep_jobs_s: float, clock: Callable[[], float]) -> None:
    """Do so for ever. While a part is missing the work waits for the next pass."""
    while True:
        try:
            jobs = await drop_old_jobs(store, before_s=clock() - keep_jobs_s, now_s=clock())
            folder = int(clock() / PASS_S) % FOLDERS
            files = await drop_unused_files(store, blobs, folder=folder, before_s=clock() - FILE_AGE_S_MIN)
        except Unavailable as error:
            _log.warning("housekeeping waits", reason=error.message)
        else:
            if jobs or files:
                _log.info("housekeeping", jobs_deleted=jobs, files_deleted=files)
        await asyncio.sleep(PASS_S)


async def drop_old_jobs(store: Store, *, before_s: float, now_s: float) -> int:
    """Delete the jobs that ended before a time, in seconds since the epoch, and return how many.

    Each of their pictures leaves the record of its deletion; `keeper.py` sees to the files.
    """
    count = 0
    while True:
        job_ids = await store.ended_jobs(before_s=before_s, limit=JOBS_AT_ONCE)
        await store.commit([write for job_id in job_ids for write in await _end_of_job(store, job_id, now_s)])
        count += len(job_ids)
        if len(job_ids) < JOBS_AT_ONCE:
            return count
        await asyncio.sleep(PAUSE_S)


async def _end_of_job(store: Store, job_id: JobId, now_s: float) -> list[Write]:
    stored = await store.job(job_id)
    outputs = () if stored is None else stored.outputs
    erased = [EraseOutput(deletion=Deletion.of(each, DeletionReason.RETENTION, at_s=now_s)) for each in outputs]
    return [*erased, DropJob(job_id=job_id)]


async def drop_unused_files(
    store: Store, blobs: BlobStore, *, folder: int, before_s: float, pause_s: float = PAUSE_S
) -> int:
    """Delete the files of a folder (0 to 255) that no output names and nobody put since; return how many."""
    names = await blobs.names(f"{folder:02x}")
    count = 0
    for first in range(0, len(names), NAMES_AT_ONCE):
        some = names[first : first + NAMES_AT_ONCE]
        held = await store.held_blobs(some)
        for name in some:
            if name not in held:
                count += await blobs.delete(name, before_s=before_s)
        await asyncio.sleep(pause_s)
    return count
