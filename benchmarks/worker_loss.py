"""How soon a job runs again after SIGKILL of the only worker, which was busy with it.

`python -m benchmarks.worker_loss`. A real server with one worker: before the job can go on, a new process has to start
and to load the model. The clock runs from the signal until the API says that the job is running with its next attempt.
Runs of the fake engine are kept every half second here; the step from which the next attempt went on says what that
saved.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.client import Connection
from benchmarks.processes import BUILT_IN_MODEL, FAKE_MODEL, Server, served
from benchmarks.report import Bar, Figure, median, run_alone, with_progress

RUNNING_AGAIN_S_MAX = 2.0
STEPS_BEFORE = 15
POLL_S = 0.005
GIVE_UP_S = 60.0
ONE_WORKER = {"HELIOGRAPH_FLEET__WORKERS": "1"}
FAKE = {
    **FAKE_MODEL,
    "HELIOGRAPH_FLEET__FAKE_ENGINE_OPTIONS": json.dumps({"step_s": 0.05}),
    "HELIOGRAPH_FLEET__CHECKPOINT_EVERY_S": "0.5",
}

Job = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kill:
    """Seconds until the job ran again, the step before the kill, and the step that the next attempt went on from."""

    again_s: float
    step_before: int
    went_on_from: int


def measure(is_quick: bool) -> Iterable[Figure]:
    rounds = 2 if is_quick else 10
    built_in = {"model": BUILT_IN_MODEL, "steps": 50, "n": 10}
    with served({**FAKE, **ONE_WORKER}) as server:
        kills = [_kill_one(server, {"model": "fake", "steps": 100}) for _ in with_progress(range(rounds), "fake")]
    yield from _figures("fake engine", kills)
    made_twice = sum(kill.step_before - kill.went_on_from for kill in kills) / rounds
    steps_before = sum(kill.step_before for kill in kills) / rounds
    yield Figure(
        name="  steps made twice", value=made_twice, unit="", baseline=steps_before, baseline_name="without checkpoints"
    )
    with served(ONE_WORKER) as server:
        kills = [_kill_one(server, built_in) for _ in with_progress(range(rounds), "built-in model")]
    yield from _figures("built-in model", kills)


def _figures(title: str, kills: list[_Kill]) -> Iterable[Figure]:
    again_s = [kill.again_s for kill in kills]
    yield Figure(name=f"{title}: running again after a kill, median", value=median(again_s), unit="s")
    yield Figure(name="  slowest", value=max(again_s), unit="s", bar=Bar(limit=RUNNING_AGAIN_S_MAX))


def _kill_one(server: Server, body: Mapping[str, object]) -> _Kill:
    return asyncio.run(_killed(server, body))


async def _killed(server: Server, body: Mapping[str, object]) -> _Kill:
    (worker,) = [process for process in server.tree() if process.role == "worker"]
    async with Connection(server.port) as connection:
        job = await connection.post("/v1/jobs", {"prompt": "a boat at dawn", "seed": 7, **body})
        before = await _until(connection, job["id"], lambda now: _step(now) >= STEPS_BEFORE)
        os.kill(worker.pid, signal.SIGKILL)
        killed_s = time.perf_counter()
        again = await _until(connection, job["id"], lambda now: now["attempt"] == 2 and now["status"] == "running")
        again_s = time.perf_counter() - killed_s
        await connection.post(f"/v1/jobs/{job['id']}/cancel", {})
    return _Kill(again_s=again_s, step_before=_step(before), went_on_from=_step(again))


async def _until(connection: Connection, job_id: str, is_so: Callable[[Job], bool]) -> Job:
    """The job once that is so. Raises RuntimeError when it ends before, or after a minute."""
    give_up_s = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up_s:
        now: Job = json.loads(await connection.get(f"/v1/jobs/{job_id}"))
        if is_so(now):
            return now
        if now["status"] in ("completed", "failed"):
            raise RuntimeError(f"the job {now['status']} before it could be killed")
        await asyncio.sleep(POLL_S)
    raise RuntimeError(f"nothing happened to the job for {GIVE_UP_S:g} s")


def _step(job: Job) -> int:
    return 0 if job["progress"] is None else job["progress"]["step"]


if __name__ == "__main__":
    run_alone("worker_loss", __doc__, measure)
