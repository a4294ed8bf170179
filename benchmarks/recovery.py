"""How long a server takes to have its jobs back after a crash: `python -m benchmarks.recovery [jobs] [postgres URL]`.

A database is filled with open jobs (100,000 unless told otherwise; most wait, some have a deadline or a back-off, 64
were on a worker). Then, three times each, the parts are timed by themselves (reading and decoding them, putting them in
line), and a real `heliograph serve` is started with the jobs and without: the difference of its times until it listens
is the recovery, everything included. Beside the time by the clock stands the CPU time, which other work on the machine
disturbs less.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.processes import FAKE_MODEL, Process
from benchmarks.report import median
from benchmarks.store import a_submission
from heliograph.app import open_store
from heliograph.domain.events import ClockTicked, JobRecovered
from heliograph.domain.ids import GpuId, ModelId
from heliograph.domain.job import Job, JobState
from heliograph.domain.tiers import Tier
from heliograph.domain.views import Gpu
from heliograph.scheduling import Profiles, Scheduler, SchedulerPolicy
from heliograph.settings import Settings, StoreSettings
from heliograph.storage.store import PutJob, Store

ON_WORKERS = 64
ROUNDS = 3
BATCH = 5_000


def open_job(sequence: int, now_s: float) -> Job:
    """One of the jobs, by number: all kinds take turns."""
    (put, _) = a_submission(sequence)
    assert isinstance(put, PutJob)
    request = replace(put.job.request, model_id=ModelId("fake"), width_px=256, height_px=256)
    job = replace(
        put.job,
        request=request,
        tier=list(Tier)[sequence % 3],
        deadline_at_s=now_s + 3_600 + sequence if sequence % 10 == 0 else None,
        not_before_s=now_s + 5 if sequence % 50 == 0 else 0.0,
    )
    if sequence <= ON_WORKERS:
        job = job.moved(JobState.DISPATCHED, now_s=now_s, attempt=1).moved(JobState.RUNNING, now_s=now_s)
    return job


async def fill(store: Store, count: int) -> None:
    now_s = time.time()
    for first in range(1, count + 1, BATCH):
        last = min(first + BATCH, count + 1)
        await store.commit([PutJob(job=open_job(sequence, now_s)) for sequence in range(first, last)])


async def parts(settings: Settings) -> tuple[float, float]:
    """CPU seconds to read and decode the open jobs, and to put them in line."""
    store = await open_store(settings, claims=True)
    gc.collect()
    gc.disable()  # as the server does
    begun_s = time.process_time()
    jobs = await store.open_jobs()
    read_s = time.process_time() - begun_s
    scheduler = Scheduler(
        gpus=[Gpu(gpu_id=GpuId("gpu0"), gpu_class="cpu", memory_bytes=1)], policy=SchedulerPolicy(), profiles=Profiles()
    )
    begun_s = time.process_time()
    now_s = time.time()
    for job in jobs:
        scheduler.handle(JobRecovered(job=job), now_s=now_s)
    scheduler.handle(ClockTicked(), now_s=now_s)
    line_s = time.process_time() - begun_s
    gc.enable()
    await store.close()
    return read_s, line_s


def start_s(data_dir: Path, env: dict[str, str]) -> tuple[float, float]:
    """Seconds from its start until a real server listens, by the clock and of CPU; it is killed then."""
    command = [sys.executable, "-m", "heliograph", "serve", "--port", "0", "--data-dir", str(data_dir)]
    busy = {**FAKE_MODEL, "HELIOGRAPH_FLEET__FAKE_ENGINE_OPTIONS": json.dumps({"step_s": 60}), **env}
    begun_s = time.perf_counter()
    with subprocess.Popen(
        command, env={**os.environ, **busy}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        passed_s = time.perf_counter() - begun_s
        cpu_s = Process(pid=server.pid, role="server").cpu_s()
        server.kill()
    assert "serves on" in line, "the server did not start"
    return passed_s, cpu_s


async def prepare(settings: Settings, count: int) -> None:
    store = await open_store(settings, claims=True)
    await fill(store, count)
    await store.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    url = sys.argv[2] if len(sys.argv) > 2 else None
    env = {} if url is None else {"HELIOGRAPH_STORE__URL": url}
    with TemporaryDirectory(prefix="heliograph-bench-") as folder:
        full, empty = Path(folder) / "full", Path(folder) / "empty"
        for data_dir in (full, empty):
            data_dir.mkdir()
        settings = Settings(data_dir=full, store=StoreSettings.model_validate({"url": url}))
        asyncio.run(prepare(settings, count))
        print(f"{count:,} open jobs in {'SQLite' if url is None else 'PostgreSQL'}; median of {ROUNDS}")
        times = [asyncio.run(parts(settings)) for _ in range(ROUNDS)]
        for name, seconds in zip(("read and decode", "put in line"), zip(*times, strict=True), strict=True):
            middle = median(list(seconds))
            print(f"  {name:<28} {middle:5.2f} CPU-s  {1e6 * middle / count:5.1f} µs each")
        starts = [(start_s(empty, {}), start_s(full, env)) for _ in range(ROUNDS)]  # neighbours see the same machine
        for number, unit in enumerate(("s    ", "CPU-s")):
            without = median([none[number] for none, _ in starts])
            with_jobs = median([some[number] for _, some in starts])
            recovery = with_jobs - without
            print(f"  start without, with jobs     {without:5.2f} {with_jobs:5.2f} {unit}  recovery: {recovery:.2f}")


if __name__ == "__main__":
    main()
