"""How many jobs a second go through when the engine takes no time, and what a job costs in CPU.

`python -m benchmarks.throughput`. A burst of 200 jobs comes from 1, 8 and 32 clients at once, each on a connection of
its own; the clock runs from the first submission to the last `done`, syncs to disk included. Then every picture is
fetched and its hash compared, so that nothing is lost. Each job has one step: the engine is the fake one, and a step
would only add its preview. The baseline is a bare FastAPI application on the same machine that takes the same POST and
gives it back, asked by the same client.
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
from typing import Any

from benchmarks.client import Connection, make
from benchmarks.processes import FAKE_MODEL, served
from benchmarks.report import Bar, Figure, median, run_alone, with_progress

JOBS = 200
CLIENTS = (1, 8, 32)
SEEDS = itertools.count(1)

Job = dict[str, Any]
Ask = Callable[[Connection], Awaitable[Job]]


def measure(is_quick: bool) -> Iterable[Figure]:
    rounds = 1 if is_quick else 5
    with served(FAKE_MODEL) as server:
        asyncio.run(_burst(server.port, _make_one, clients=4, count=40))
        native: dict[int, list[float]] = {clients: [] for clients in CLIENTS}
        openai: list[float] = []
        cpu_ms: list[dict[str, float]] = []
        delivered = 0
        for _ in with_progress(range(rounds), "bursts"):
            for clients in CLIENTS:
                before_s, client_before_s = server.cpu_s(), time.process_time()
                rate, jobs = asyncio.run(_burst(server.port, _make_one, clients=clients, count=JOBS))
                client_ms = 1000 * (time.process_time() - client_before_s) / JOBS
                native[clients].append(rate)
                if clients == max(CLIENTS):
                    spent = _per_job_ms(before_s, server.cpu_s())
                    cpu_ms.append({**spent, "client": client_ms})
                delivered += asyncio.run(_fetch_all(server.port, jobs))
            rate, jobs = asyncio.run(_burst(server.port, _make_through_openai, clients=max(CLIENTS), count=JOBS))
            openai.append(rate)
    with _bare_application() as port:
        floor = median([asyncio.run(_burst(port, _echo, clients=max(CLIENTS), count=5 * JOBS))[0] for _ in range(3)])
    yield Figure(
        name=f"jobs from {max(CLIENTS)} clients, POST and events",
        value=median(native[max(CLIENTS)]),
        unit="jobs/s",
        baseline=floor,
        baseline_name="bare POST",
        bar=Bar(limit=150, is_floor=True),
    )
    yield Figure(name="  the slowest burst of them", value=min(native[max(CLIENTS)]), unit="jobs/s")
    yield Figure(name=f"jobs from {max(CLIENTS)} clients, OpenAI call", value=median(openai), unit="jobs/s")
    for clients in sorted(CLIENTS, reverse=True)[1:]:
        yield Figure(name=f"jobs from {clients} clients", value=median(native[clients]), unit="jobs/s")
    expected = rounds * len(CLIENTS) * JOBS
    yield Figure(name="pictures lost or damaged", value=expected - delivered, unit=f"of {expected}", bar=Bar(limit=0))
    for role in ("server", "worker", "pool", "client"):
        yield Figure(name=f"CPU of the {role}", value=median([spent[role] for spent in cpu_ms]), unit="ms/job")
    tree = [spent["server"] + spent["worker"] + spent["pool"] for spent in cpu_ms]
    yield Figure(name="CPU of all but the client", value=median(tree), unit="ms/job")


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


def _per_job_ms(before_s: dict[str, float], after_s: dict[str, float]) -> dict[str, float]:
    return {role: 1000 * (after_s[role] - before_s[role]) / JOBS for role in before_s}


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
