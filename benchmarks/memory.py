"""How much memory the processes hold after 50 jobs with the built-in model.

`python -m benchmarks.memory`. Resident memory, in 10^6 bytes, of the server, of every worker and of every process that
encodes pictures; pages they share are counted for each. The baseline is a fresh interpreter that has imported the
libraries the process stands on, and nothing else.
"""

import asyncio
from collections.abc import Iterable

from benchmarks.client import Connection, make
from benchmarks.processes import BUILT_IN_MODEL, idle_python, served
from benchmarks.report import Bar, Figure, run_alone, with_progress

JOBS = 50
QUICK_JOBS = 4
CLIENTS = 2

BARS = {"server": Bar(limit=220), "worker": Bar(limit=450), "pool": None}
LIBRARIES = {
    "server": "import fastapi, httpx, numpy, PIL.Image, pydantic_settings, typer, uvicorn",
    "worker": "import numpy, onnxruntime, PIL.Image",
    "pool": "import numpy, PIL.Image",
}


def measure(is_quick: bool) -> Iterable[Figure]:
    jobs = QUICK_JOBS if is_quick else JOBS
    bare_mb: dict[str, float] = {}
    for role, imports in LIBRARIES.items():
        with idle_python(imports) as process:
            bare_mb[role] = process.resident_mb()
    with served() as server:
        for _ in with_progress(range(jobs // CLIENTS), f"{jobs} jobs"):
            asyncio.run(_make_some(server.port))
        for process in sorted(server.tree(), key=lambda process: (list(BARS).index(process.role), process.pid)):
            yield Figure(
                name=process.role,
                value=process.resident_mb(),
                unit="MB",
                baseline=bare_mb[process.role],
                baseline_name="libraries",
                bar=BARS[process.role],
            )
            yield Figure(name="  its peak", value=process.resident_peak_mb(), unit="MB")


async def _make_some(port: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(_make_one(port))


async def _make_one(port: int) -> None:
    async with Connection(port) as connection:
        await make(connection, {"prompt": "a red boat on the sea at sunset", "model": BUILT_IN_MODEL})


if __name__ == "__main__":
    run_alone("memory", __doc__, measure)
