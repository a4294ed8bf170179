"""What is too old goes, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from heliograph import housekeeping
from heliograph.delivery.disk import DiskBlobStore
from heliograph.delivery.memory import MemoryBlobStore
from heliograph.domain.ids import TenantId
from heliograph.domain.job import Job, JobState, Moment
from heliograph.housekeeping import FOLDERS, drop_old_jobs, drop_unused_files
from heliograph.storage.memory import MemoryStore
from heliograph.storage.sqlite import SqliteStore
from heliograph.storage.store import PutJob, PutOutput, Store
from tests.storage.stored_samples import a_job, a_posting, an_output

FAR_AHEAD_S = 9e9


def ended(sequence: int, at_s: float) -> Job:
    job = a_job(sequence, state=JobState.COMPLETED)
    return replace(job, timeline=(Moment(state=JobState.COMPLETED, at_s=at_s),))


async def left(store: Store) -> list[int]:
    return [stored.job.sequence for stored in await store.jobs(TenantId("ada"), limit=10_000)]


async def test_old_jobs_go_in_batches_and_the_ledger_still_balances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "JOBS_AT_ONCE", 10)
    monkeypatch.setattr(housekeeping, "PAUSE_S", 0.0)
    store = await SqliteStore.open(tmp_path / "heliograph.db")
    jobs = [ended(sequence, at_s=float(sequence)) for sequence in range(1, 36)]
    await store.commit([PutJob(job=job) for job in (*jobs, a_job(99))])
    await store.commit([a_posting(job, job.job_id, 7) for job in jobs])
    assert await drop_old_jobs(store, before_s=31.0, now_s=99.0) == 30
    assert await left(store) == [99, 35, 34, 33, 32, 31]
    assert sum([line.amount_micros for job in jobs for line in await store.ledger(job.job_id)]) == 0
    assert all([len(await store.ledger(job.job_id)) == 2 for job in jobs])
    assert await drop_old_jobs(store, before_s=31.0, now_s=99.0) == 0
    await store.close()


@pytest.mark.parametrize("kind", ["memory", "disk"])
async def test_files_go_once_nothing_names_them(tmp_path: Path, kind: str) -> None:
    store = MemoryStore()
    blobs = MemoryBlobStore() if kind == "memory" else DiskBlobStore(tmp_path / "blobs")
    shared, own, thumbnail, stray = [
        await blobs.put(content, suffix="png") for content in (b"shared", b"own", b"thumbnail", b"stray")
    ]
    old, young = ended(1, at_s=1.0), ended(2, at_s=100.0)
    await store.commit([PutJob(job=old), PutJob(job=young)])
    for job, blob in ((old, own), (old, shared), (young, shared)):
        output = an_output(job, index=int(blob == own))
        await store.commit([PutOutput(output=replace(output, blob=blob, thumbnail_blob=thumbnail))])

    async def sweep(before_s: float) -> int:
        return sum(
            [await drop_unused_files(store, blobs, folder=folder, before_s=before_s) for folder in range(FOLDERS)]
        )

    assert await sweep(before_s=0.0) == 0, "a file of a moment ago may be about to be named"
    assert await sweep(before_s=FAR_AHEAD_S) == 1
    assert await blobs.size(stray) is None
    assert await drop_old_jobs(store, before_s=50.0, now_s=99.0) == 1
    assert [(each.output_id, each.at_s) for each in await store.deletions(TenantId("ada"), limit=9)] == [
        ("job-1-0", 99.0),
        ("job-1-1", 99.0),
    ]
    assert await sweep(before_s=FAR_AHEAD_S) == 1
    assert [await blobs.size(name) is not None for name in (own, shared, thumbnail)] == [False, True, True]
    await blobs.close()
