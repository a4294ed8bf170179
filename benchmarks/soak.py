"""Does it stay as it is? Steady load with churn for half an hour: `python -m benchmarks.soak [--minutes 30]`.

A real server with two workers of the fake engine gets jobs at a steady rate from clients that come and go: each job has
a connection of its own, one in ten is cancelled, one in five is followed by an event stream that is hung up half-way,
and every minute a worker is killed. Every ten seconds the server's resident memory and open files are looked at.

Promised: the 99th percentile of latency of the last sixth is within 1.2 of that of the first, and neither memory nor
files of the last sixth are more than 5% above those of the second one. The first sixth is left out there: caches fill.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, quantiles

from benchmarks.client import Connection
from benchmarks.processes import FAKE_MODEL, Process, Server, served

RATE = 15.0
"""Jobs a second."""
SAMPLE_S = 10.0
KILL_S = 60.0
SEEDS = itertools.count(1)


@dataclass(slots=True, kw_only=True)
class Log:
    """What was seen: (seconds from the start, milliseconds) of each job that ran to its end, and (seconds, MB, files)
    of the server."""

    latencies: list[tuple[float, float]] = field(default_factory=list)
    samples: list[tuple[float, float, int]] = field(default_factory=list)
    kills: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Ratios of the last sixth to an earlier one (see the module), and what they are made of."""

    jobs: int
    failed: int
    kills: int
    p99_ms_first: float
    p99_ms_last: float
    p99_ratio: float
    memory_mb_second: float
    memory_mb_last: float
    memory_ratio: float
    files_second: float
    files_last: float


def main() -> None:
    """Run, tell, write; exit code 1 if a promise did not hold or a job failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    engine = {"HELIOGRAPH_FLEET__FAKE_ENGINE_OPTIONS": '{"step_s": 0.01}', "HELIOGRAPH_FLEET__WORKERS": "2"}
    with served({**FAKE_MODEL, **engine}) as server:
        log = asyncio.run(soak(server, options.minutes * 60))
    found = judged(log, options.minutes * 60)
    print(json.dumps(asdict(found)))
    if options.json is not None:
        options.json.write_text(
            json.dumps({**asdict(found), "samples": log.samples}, indent=1) + "\n", encoding="utf-8"
        )
    is_flat = found.p99_ratio <= 1.2 and found.memory_ratio <= 1.05 and found.files_last <= 1.05 * found.files_second
    sys.exit(0 if is_flat and not found.failed else 1)


async def soak(server: Server, duration_s: float) -> Log:
    """Load, churn and samples until the time is up."""
    log, chance, began_s = Log(), random.Random(1), time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_look(server, log, began_s, duration_s))
        tasks.create_task(_kill_workers(server, log, duration_s))
        while (at_s := time.monotonic() - began_s) < duration_s:
            tasks.create_task(_one_job(server, log, at_s, chance.random()))
            await asyncio.sleep(chance.expovariate(RATE))
    return log


async def _one_job(server: Server, log: Log, at_s: float, luck: float) -> None:
    order = {"prompt": "a lighthouse on a cliff at dusk", "model": "fake", "steps": 3, "seed": next(SEEDS)}
    sent_s = time.perf_counter()
    async with Connection(server.port) as connection:
        if luck < 0.1:
            job = await connection.post("/v1/jobs", order)
            await connection.post(f"/v1/jobs/{job['id']}/cancel", {})
        elif luck < 0.3:
            job = await connection.post("/v1/jobs", order)
            async for _ in connection.events(f"/v1/jobs/{job['id']}/events"):
                break
        else:
            job = await connection.post("/v1/jobs", order, prefer="wait=60")
            if job["status"] == "completed":
                log.latencies.append((at_s, (time.perf_counter() - sent_s) * 1000))
            else:
                log.failed.append(job["status"])


async def _look(server: Server, log: Log, began_s: float, duration_s: float) -> None:
    process = Process(pid=server.pid, role="server")
    while (at_s := time.monotonic() - began_s) < duration_s:
        files = process.open_files()
        log.samples.append((at_s, process.resident_mb(), files))
        left = f"{(duration_s - at_s) / 60:.1f} min left"
        print(f"{len(log.latencies)} jobs, {process.resident_mb():.0f} MB, {files} files, {left}", file=sys.stderr)
        await asyncio.sleep(SAMPLE_S)


async def _kill_workers(server: Server, log: Log, duration_s: float) -> None:
    for _ in range(int(duration_s / KILL_S - 0.5)):
        await asyncio.sleep(KILL_S)
        workers = [process.pid for process in server.tree() if process.role == "worker"]
        if workers:
            os.kill(workers[0], signal.SIGKILL)
            log.kills += 1


def judged(log: Log, duration_s: float) -> Found:
    """The sixths of a run against each other."""
    sixth_s = duration_s / 6

    def p99(part: int) -> float:
        return quantiles([ms for at_s, ms in log.latencies if int(at_s / sixth_s) == part], n=100)[98]

    def mean_of(index: int, part: int) -> float:
        return fmean([sample[index] for sample in log.samples if int(sample[0] / sixth_s) == part])

    return Found(
        jobs=len(log.latencies),
        failed=len(log.failed),
        kills=log.kills,
        p99_ms_first=p99(0),
        p99_ms_last=p99(5),
        p99_ratio=p99(5) / p99(0),
        memory_mb_second=mean_of(1, 1),
        memory_mb_last=mean_of(1, 5),
        memory_ratio=mean_of(1, 5) / mean_of(1, 1),
        files_second=mean_of(2, 1),
        files_last=mean_of(2, 5),
    )


if __name__ == "__main__":
    main()
