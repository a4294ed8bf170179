"""How many jobs a second go through when the engine takes no time, and what a job costs in CPU.

`python -m benchmarks.throughput`. A burst of 200 jobs comes from 32 clients at once, each on a connection of its own;
the clock runs from the first submission to the last `done`, syncs to disk included. Then every picture is fetched and
its hash compared, so that nothing is lost. The same is timed with 8 clients, with one, and with 32 that wait in one
call: `POST /v1/jobs` with `Prefer: wait`, and the call that OpenAI's clients make. Pictures are 128x128 and have one
step. The baseline is a bare FastAPI application on the same machine that takes the same POST and gives it back, asked
by the same client.
"""

import asyncio
import hashlib
import itertools
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Self

from benchmarks.client import Connection, make
from benchmarks.processes import FAKE_MODEL, ROLES, Server, served
from benchmarks.report import Bar, Figure, median, run_alone, with_progress

JOBS = 200
QUICK_JOBS = 64
CLIENTS = 32
ROUNDS = 4
SEEDS = itertools.count(1)

Job = dict[str, Any]
Ask = Callable[[Connection], Awaitable[Job]]


def measure(is_quick: bool) -> Iterable[Figure]:
    count = QUICK_JOBS if is_quick else JOBS
    bar = Bar(limit=150, is_floor=True)
    with _bare_application() as port:
        floor = median([asyncio.run(_burst(port, _echo, clients=CLIENTS, count=1000))[0] for _ in range(3)])
    with served(FAKE_MODEL) as server:
        asyncio.run(_burst(server.port, _make_one, clients=4, count=40))
        bursts = [
            _Burst.of(server, count=count)
            for _ in with_progress(range(1 if is_quick else ROUNDS), f"bursts of {count} jobs")
        ]
        waiting = [asyncio.run(_burst(server.port, _make_waiting, clients=CLIENTS, count=count))[0] for _ in bursts]
        openai = [
            asyncio.run(_burst(server.port, _make_through_openai, clients=CLIENTS, count=count))[0] for _ in bursts
        ]
        fewer = {n: asyncio.run(_burst(server.port, _make_one, clients=n, count=count // 2))[0] for n in (8, 1)}
    rates = [burst.rate for burst in bursts]
    name = f"from {CLIENTS} clients"
    yield Figure(
        name=f"{name}, POST and events",
        value=median(rates),
        unit="jobs/s",
        baseline=floor,
        baseline_name="bare",
        bar=bar,
    )
    yield Figure(name="  the slowest burst", value=min(rates), unit="jobs/s")
    yield Figure(
        name=f"{name}, one POST that waits",
        value=median(waiting),
        unit="jobs/s",
        baseline=floor,
        baseline_name="bare",
        bar=bar,
    )
    yield Figure(
        name=f"{name}, OpenAI's call",
        value=median(openai),
        unit="jobs/s",
        baseline=floor,
        baseline_name="bare",
        bar=bar,
    )
    for clients, rate in fewer.items():
        yield Figure(name=f"from {clients} client{'s' if clients > 1 else ''}", value=rate, unit="jobs/s")
    lost = sum(burst.lost for burst in bursts)
    yield Figure(name="pictures lost or damaged", value=lost, unit=f"of {count * len(bursts)}", bar=Bar(limit=0))
    for role in (*ROLES, "client"):
        yield Figure(name=f"CPU of the {role}", value=median([burst.cpu_ms[role] for burst in bursts]), unit="ms/job")
    tree = median([sum(burst.cpu_ms[role] for role in ROLES) for burst in bursts])
    yield Figure(name="CPU of all but the client", value=tree, unit="ms/job")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Burst:
    """One burst: jobs a second, pictures that did not arrive whole, and CPU milliseconds per job by role."""

    rate: float
    lost: int
    cpu_ms: dict[str, float]

    @classmethod
    def of(cls, server: Server, *, count: int) -> Self:
        before_s = {**server.cpu_s(), "client": time.process_time()}
        rate, jobs = asyncio.run(_burst(server.port, _make_one, clients=CLIENTS, count=count))
        after_s = {**server.cpu_s(), "client": time.process_time()}
        cpu_ms = {role: 1000 * (after_s[role] - before_s[role]) / count for role in before_s}
        return cls(rate=rate, lost=count - asyncio.run(_fetch_all(server.port, jobs)), cpu_ms=cpu_ms)


async def _burst(port: int, ask: Ask, *, clients: int, count: int) -> tuple[float, list[Job]]:
    """Answers a second, and the answers, of `count` exchanges shared by `clients` connections."""
    turns = iter(range(count))
    answers: list[Job] = []

    async def client(connection: Connection) -> None:
        for _ in turns:
            answer = await ask(connection)
            answers.append(answer)

    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(Connection(port)) for _ in range(clients)]
        start_s = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for connection in connections:
                tasks.create_task(client(connection))
        return count / (time.perf_counter() - start_s), answers


def _order() -> dict[str, object]:
    """Every job has a seed of its own, so that no two pictures share a file."""
    return {"prompt": "a lighthouse on a cliff at dusk", "model": "fake", "steps": 1, "seed": next(SEEDS)}


async def _make_one(connection: Connection) -> Job:
    return await make(connection, _order())


async def _make_waiting(connection: Connection) -> Job:
    job = await connection.post("/v1/jobs", _order(), prefer="wait=60")
    if job["status"] != "completed":
        raise RuntimeError(f"a job is {job['status']} after a minute")
    return job


async def _make_through_openai(connection: Connection) -> Job:
    return await connection.post("/v1/images/generations", {**_order(), "response_format": "url"})


async def _echo(connection: Connection) -> Job:
    return await connection.post("/echo", _order())


async def _fetch_all(port: int, jobs: list[Job]) -> int:
    """How many pictures arrive whole."""
    whole = 0
    async with Connection(port) as connection:
        for job in jobs:
            for output in job["outputs"]:
                whole += hashlib.sha256(await connection.get(output["url"])).hexdigest() == output["sha256"]
    return whole


_BARE_APPLICATION = """
import socket, sys
import fastapi, pydantic, uvicorn

class Order(pydantic.BaseModel):
    prompt: str
    model: str
    steps: int
    seed: int

app = fastapi.FastAPI()

@app.post("/echo")
async def echo(order: Order) -> Order:
    return order

listener = socket.socket(fileno=int(sys.argv[1]))
uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listener])
"""


@contextmanager
def _bare_application() -> Generator[int]:
    """The port of a FastAPI application that does nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        descriptor = listener.fileno()
        command = [sys.executable, "-c", _BARE_APPLICATION, str(descriptor)]
        with subprocess.Popen(command, pass_fds=(descriptor,)) as process:
            try:
                yield listener.getsockname()[1]
            finally:
                process.terminate()


if __name__ == "__main__":
    run_alone("throughput", __doc__, measure)
