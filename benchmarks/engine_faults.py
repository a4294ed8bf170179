"""What faults in engines do to their jobs, and to the jobs beside them: 500 jobs, one in ten with a fault.

`python -m benchmarks.engine_faults`. A real server with eight worker processes of the fake engine (eight steps of
50 ms). Blocks of jobs arrive at the same moments, in turns without and with faults, so that whatever else the machine
does weighs on both. A fault strikes its job's first attempt, or each one:

    out of memory   half of them by allocating until the kernel refuses, half as a library's own exception
    NaN             the engine says that it made no numbers
    hang            nothing happens any more; found by the limit learned from earlier runs, never under 10 s
    crash           SIGKILL in the middle of a step
    slow step       one step takes 2 s longer and the run goes on

A job ends right when a fault that passes costs it attempts but not its pictures, whose hashes are compared, and when
one that does not pass ends it with the code of that very fault, uncharged. Its neighbours are the jobs without a fault:
timed from the submission over HTTP to `done` on the event stream, next to the same jobs in blocks without faults.
"""

import asyncio
import hashlib
import itertools
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.client import Connection
from benchmarks.processes import FAKE_MODEL, served
from benchmarks.report import Bar, Figure, median, percentile_95, run_alone, with_progress

BLOCKS, BLOCK_JOBS = 10, 50
QUICK_BLOCKS = 1
EVERY_S = 0.25
"""From one job to the next: four jobs a second keep 1.6 of the eight workers busy."""
SETTINGS = {
    **FAKE_MODEL,
    "HELIOGRAPH_FLEET__WORKERS": "8",
    "HELIOGRAPH_FLEET__SLOT_MEMORY_BYTES": str(400 << 20),
    "HELIOGRAPH_FLEET__FAKE_ENGINE_OPTIONS": json.dumps({"step_s": 0.05, "slow_s": 2.0, "prompted": True}),
    "HELIOGRAPH_QUEUE__BACKOFF_S": "[0.0, 1.0]",
}
STEPS = 8
SEEDS = itertools.count(1)

FAULTS: tuple[tuple[str, str | None], ...] = (
    ("out_of_memory@4#1", None),
    ("hog@4#1", None),
    ("nan@4#1", None),
    ("hang@4#1", None),
    ("crash@4#1", None),
    ("slow@4#1", None),
    ("out_of_memory@4", "engine_out_of_memory"),
    ("nan@4", "engine_nan"),
    ("crash@4", "worker_lost"),
    ("slow@4", None),
)
"""Each with the code that its job ends with; None where it has its pictures in the end."""
FAULT_EVERY = 10

Job = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended: seconds from the submission until its end was told, and the fault it carried, if any."""

    latency_s: float
    fault: str | None
    job: Job

    def problem(self) -> str | None:
        """What is wrong with the way it ended; None where it ended right."""
        code = dict(FAULTS).get(self.fault or "")
        if code is None:
            return None if self.job["status"] == "completed" else f"{self.fault}: {self.job['error']}"
        if self.job["status"] != "failed" or self.job["error"]["code"] != code:
            return f"{self.fault}: {self.job['status']}, {self.job['error']}"
        return f"{self.fault}: charged {self.job['cost_micros']}" if self.job["cost_micros"] else None


def measure(is_quick: bool) -> Iterable[Figure]:
    blocks = QUICK_BLOCKS if is_quick else BLOCKS
    clean: list[Outcome] = []
    faulty: list[Outcome] = []
    faults = itertools.cycle(fault for fault, _ in FAULTS)
    with served(SETTINGS) as server:
        asyncio.run(_block(server.port, [None] * 64, every_s=0.0))  # every worker is loaded, and the limits are learned
        for _ in with_progress(range(blocks), f"blocks of {BLOCK_JOBS} jobs"):
            clean += asyncio.run(_block(server.port, [None] * BLOCK_JOBS, every_s=EVERY_S))
            ordered = [next(faults) if place % FAULT_EVERY == FAULT_EVERY // 2 else None for place in range(BLOCK_JOBS)]
            faulty += asyncio.run(_block(server.port, ordered, every_s=EVERY_S))
        lost = asyncio.run(_lost(server.port, [*clean, *faulty]))
    problems = [problem for outcome in faulty if (problem := outcome.problem()) is not None]
    for problem in problems:
        print(problem)
    yield Figure(
        name="jobs with faults among them that ended right",
        value=len(faulty) - len(problems),
        unit=f"of {len(faulty)}",
        bar=Bar(limit=len(faulty), is_floor=True),
    )
    yield Figure(name="pictures lost or damaged", value=lost, unit="", bar=Bar(limit=0))
    neighbours = [outcome.latency_s for outcome in faulty if outcome.fault is None]
    alone = [outcome.latency_s for outcome in clean]
    yield Figure(
        name="latency of their neighbours, median",
        value=median(neighbours),
        unit="s",
        baseline=median(alone),
        baseline_name="no faults",
    )
    p95_s = percentile_95(alone)
    yield Figure(
        name="  95th percentile",
        value=percentile_95(neighbours),
        unit="s",
        baseline=p95_s,
        baseline_name="no faults",
        bar=Bar(limit=round(1.1 * p95_s, 3)),
    )
    yield Figure(name="  slowest", value=max(neighbours), unit="s", baseline=max(alone), baseline_name="no faults")
    for kind in ("out_of_memory", "hog", "nan", "hang", "crash", "slow"):
        struck = [outcome for outcome in faulty if (outcome.fault or "").startswith(f"{kind}@")]
        if struck:
            latency_s = median([outcome.latency_s for outcome in struck])
            yield Figure(name=f"a job with {kind}, of {len(struck)}: median latency", value=latency_s, unit="s")


async def _block(port: int, faults: list[str | None], *, every_s: float) -> list[Outcome]:
    """The outcomes of one job per fault (None: without), submitted `every_s` seconds apart; ends with the last."""
    began_s = time.perf_counter()

    async def one(place: int, fault: str | None) -> Outcome:
        await asyncio.sleep(began_s + place * every_s - time.perf_counter())
        prompt = "a boat at dawn" if fault is None else f"a boat at dawn, fault {fault}"
        order = {"prompt": prompt, "model": "fake", "steps": STEPS, "seed": next(SEEDS)}
        async with Connection(port) as connection:
            submitted_s = time.perf_counter()
            job = await connection.post("/v1/jobs", order)
            done = b"{}"
            async for name, data in connection.events(f"/v1/jobs/{job['id']}/events"):
                done = data if name == b"done" else done
            return Outcome(latency_s=time.perf_counter() - submitted_s, fault=fault, job=json.loads(done))

    async with asyncio.TaskGroup() as tasks:
        jobs = [tasks.create_task(one(place, fault)) for place, fault in enumerate(faults)]
    return [job.result() for job in jobs]


async def _lost(port: int, outcomes: list[Outcome]) -> int:
    """How many pictures of completed jobs do not arrive whole."""
    lost = 0
    async with Connection(port) as connection:
        for output in (output for outcome in outcomes for output in outcome.job["outputs"] or ()):
            lost += hashlib.sha256(await connection.get(output["url"])).hexdigest() != output["sha256"]
    return lost


if __name__ == "__main__":
    run_alone("engine_faults", __doc__, measure)
