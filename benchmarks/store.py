"""How fast the store commits: `python -m benchmarks.store [commits] [folder for SQLite, or PostgreSQL URL]`.

Every commit is one job with its idempotency record, synced to disk. With group commit concurrent callers share a sync;
the baseline lets in one caller at a time, so that every commit is a transaction of its own. All of it runs on one disk
in one go: read the ratio, because the absolute numbers are the disk's.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from heliograph.app import open_store
from heliograph.domain.ids import JobId, ModelId, TenantId
from heliograph.domain.job import Job, JobState, Moment
from heliograph.domain.request import GenerationRequest, OutputFormat, Quality
from heliograph.domain.tiers import Tier
from heliograph.settings import Settings, StoreSettings
from heliograph.storage.sql_store import SqlStore
from heliograph.storage.store import IdempotencyRecord, PutIdempotency, PutJob, Write

CALLERS = 64

Commit = Callable[[Sequence[Write]], Awaitable[None]]


def a_submission(sequence: int) -> list[Write]:
    prompt = "a lighthouse on a cliff at dusk, oil on canvas, warm light, long shadows, birds over the sea"
    request = GenerationRequest(
        model_id=ModelId("heliograph-tiny"),
        prompt=prompt,
        raw_prompt=prompt,
        negative_prompt="",
        width_px=256,
        height_px=256,
        steps=20,
        guidance=3.5,
        seed=sequence,
        image_count=1,
        quality=Quality.STANDARD,
        style=None,
        output_format=OutputFormat.PNG,
        output_quality=None,
        prompt_tokens=21,
        adjustments=(),
    )
    job = Job(
        job_id=JobId(f"job_{sequence:012}"),
        tenant_id=TenantId(f"tenant_{sequence % 7}"),
        end_user=None,
        tier=Tier.STANDARD,
        request=request,
        sequence=sequence,
        created_at_s=1.7e9 + sequence,
        deadline_at_s=None,
        timeline=(Moment(state=JobState.PENDING, at_s=1.7e9 + sequence),),
    )
    record = IdempotencyRecord(
        tenant_id=job.tenant_id,
        route="/v1/jobs",
        key=f"key-{sequence}",
        fingerprint="0" * 64,
        job_id=job.job_id,
        created_at_s=job.created_at_s,
    )
    return [PutJob(job=job), PutIdempotency(record=record)]


async def commits_per_s(commit: Commit, *, callers: int, submissions: Sequence[list[Write]]) -> float:
    waiting = iter(submissions)

    async def call() -> None:
        for writes in waiting:
            await commit(writes)

    start_s = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(callers):
            tasks.create_task(call())
    return len(submissions) / (time.perf_counter() - start_s)


async def measure(commit_count: int, settings: Settings) -> None:
    store = await open_store(settings, claims=True)
    assert isinstance(store, SqlStore)
    one_at_a_time = asyncio.Lock()

    async def commit_alone(writes: Sequence[Write]) -> None:
        async with one_at_a_time:
            await store.commit(writes)

    sequence = 0
    rates: dict[str, float] = {}
    for name, commit, callers, count in (
        ("group commit,  1 caller", store.commit, 1, commit_count // 10),
        (f"each alone,   {CALLERS} callers", commit_alone, CALLERS, commit_count // 10),
        (f"group commit, {CALLERS} callers", store.commit, CALLERS, commit_count),
    ):
        submissions = [a_submission(sequence + index) for index in range(1, count + 1)]
        sequence += count
        transactions, cpu_s = store.transaction_count, time.process_time()
        rates[name] = await commits_per_s(commit, callers=callers, submissions=submissions)
        transactions, cpu_s = store.transaction_count - transactions, time.process_time() - cpu_s
        print(
            f"{name}: {rates[name]:7.0f} commits/s, {count / transactions:5.1f} per transaction, "
            f"{1000 * cpu_s / count:.3f} ms CPU each"
        )
    await store.close()
    _, alone, grouped = rates.values()
    print(f"group commit is {grouped / alone:.1f} times as fast as committing each alone, at {CALLERS} callers")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    count = int(arguments[0]) if arguments else 10_000
    place = arguments[1] if len(arguments) > 1 else None
    url = place if place is not None and place.startswith("postgres") else None
    with tempfile.TemporaryDirectory(dir=place if url is None else None) as temporary:
        chosen = Settings(data_dir=Path(temporary), store=StoreSettings.model_validate({"url": url}))
        asyncio.run(measure(count, chosen))
