"""What the whole pipeline adds to a bare engine call, one job at a time, with every write synced to disk.

`python -m benchmarks.overhead`. The same order goes in turns to an engine in this process and, over HTTP, to a real
server: submitted, followed on the event stream until `done`, over a connection that is kept as clients keep theirs. The
overhead is the difference of the two neighbours; its median and its 95th percentile are told, for the fake engine that
works for 50 ms and for the built-in model. On the way a job is made durable, run by a worker process, judged, encoded,
stored, charged and made durable again, so the disk's own time for a sync, measured alongside, stands beside it. strace,
where it may be used, counts the syncs afterwards.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.client import Connection, make
from benchmarks.processes import BUILT_IN_MODEL, FAKE_MODEL, Server, served
from benchmarks.report import Bar, Figure, median, percentile_95, run_alone, with_progress
from heliograph.app import WEIGHTS_DIR
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.run import RunOrder
from heliograph.inference.engine import Engine
from heliograph.inference.fake import FakeEngine, FakeOptions
from heliograph.inference.onnx import OnnxEngine
from heliograph.storage.sqlite_connection import connect

STEPS = 4
FAKE_STEP_S = 0.0125
PROMPT = "a red boat on the sea at sunset"
WARM_UP = 3
TRACED_JOBS = 20


def measure(is_quick: bool) -> Iterable[Figure]:
    rounds = 8 if is_quick else 60
    fake_env = {**FAKE_MODEL, "HELIOGRAPH_FLEET__FAKE_ENGINE_OPTIONS": json.dumps({"step_s": FAKE_STEP_S})}
    with served(fake_env) as server:
        fake = FakeEngine(FakeOptions(step_s=FAKE_STEP_S))
        yield from _overhead("fake engine, 50 ms", server, fake, "fake", rounds, Bar(limit=25))
        traced = _syncs_per_job(server)
    with served() as server:
        engine = OnnxEngine(WEIGHTS_DIR / BUILT_IN_MODEL)
        yield from _overhead("built-in model", server, engine, BUILT_IN_MODEL, rounds // 2, Bar(limit=25))
    if traced is not None:
        yield Figure(name="syncs of files, folders and log per job", value=traced, unit="")
    yield _synchronous_mode()


def _overhead(title: str, server: Server, engine: Engine, model_id: str, rounds: int, bar: Bar) -> Iterable[Figure]:
    engine.load()
    bare_ms, job_ms, sync_ms = asyncio.run(_neighbours(title, server, engine, model_id, rounds))
    added_ms = [job - bare for job, bare in zip(job_ms, bare_ms, strict=True)]
    bare = median(bare_ms)
    yield Figure(
        name=f"{title}: submit to done", value=median(job_ms), unit="ms", baseline=bare, baseline_name="bare call"
    )
    sync = median(sync_ms)
    yield Figure(
        name="  added, median", value=median(added_ms), unit="ms", baseline=sync, baseline_name="sync", bar=bar
    )
    yield Figure(name="  added, 95th percentile", value=percentile_95(added_ms), unit="ms")


async def _neighbours(
    title: str, server: Server, engine: Engine, model_id: str, rounds: int
) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of the bare calls, of the jobs and of the disk's syncs, taken in turns."""
    bare_ms: list[float] = []
    job_ms: list[float] = []
    sync_ms: list[float] = []
    with TemporaryDirectory(prefix="heliograph-bench-") as folder:
        async with Connection(server.port) as connection:
            for seed in with_progress(range(1, 1 + WARM_UP + rounds), title):
                bare_ms.append(_bare_ms(engine, model_id, seed=seed))
                job_ms.append(await _job_ms(connection, model_id, seed=seed))
                sync_ms.append(_sync_ms(Path(folder) / str(seed)))
    return bare_ms[WARM_UP:], job_ms[WARM_UP:], sync_ms[WARM_UP:]


def _bare_ms(engine: Engine, model_id: str, *, seed: int) -> float:
    order = RunOrder(
        job_id=JobId("bare"),
        attempt=1,
        model_id=ModelId(model_id),
        prompt=PROMPT,
        negative_prompt="",
        width_px=128,
        height_px=128,
        steps=STEPS,
        guidance=3.5,
        seeds=(seed,),
        preview_every=1,
    )
    start_s = time.perf_counter()
    for _ in engine.generate(order):
        pass
    return 1000 * (time.perf_counter() - start_s)


async def _job_ms(connection: Connection, model_id: str, *, seed: int) -> float:
    order = {"prompt": PROMPT, "model": model_id, "size": "128x128", "steps": STEPS, "seed": seed}
    start_s = time.perf_counter()
    await make(connection, order)
    return 1000 * (time.perf_counter() - start_s)


def _sync_ms(path: Path) -> float:
    """What the disk takes to keep one small new file."""
    start_s = time.perf_counter()
    with path.open("wb") as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
    return 1000 * (time.perf_counter() - start_s)


def _syncs_per_job(server: Server) -> float | None:
    """How often the server calls fsync or fdatasync per job, counted by strace; None where it cannot be used."""
    strace = shutil.which("strace")
    if strace is None:
        return None
    command = [strace, "-f", "-c", "-e", "trace=fsync,fdatasync", "-p", str(server.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(0.5)  # it attaches to every thread
        asyncio.run(_make_some(server.port))
        process.send_signal(signal.SIGINT)
        report = process.communicate()[1]
    calls = [int(line.split()[3]) for line in report.splitlines() if re.search(r" f(data)?sync$", line)]
    return sum(calls) / TRACED_JOBS if calls else None


async def _make_some(port: int) -> None:
    async with Connection(port) as connection:
        for seed in range(TRACED_JOBS):
            await _job_ms(connection, "fake", seed=1000 + seed)


def _synchronous_mode() -> Figure:
    """What the store's connections are told: 2 is FULL, a sync before every commit returns."""
    with TemporaryDirectory(prefix="heliograph-bench-") as folder:
        connection = connect(Path(folder) / "empty.sqlite")
        (mode,) = connection.execute("PRAGMA synchronous").fetchone()
        connection.close()
    return Figure(name="SQLite's synchronous mode (2 is FULL)", value=mode, unit="", bar=Bar(limit=2, is_floor=True))


if __name__ == "__main__":
    run_alone("overhead", __doc__, measure)
