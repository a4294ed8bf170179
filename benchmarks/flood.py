"""Whether memory stays flat when far more is asked for than can be done.

`python -m benchmarks.flood`. A server as shipped with one worker that needs two seconds a job: 48 clients submit as
fast as they can, with prompts of 4,000 characters, while 320 event streams are opened and never read, and a webhook
endpoint where nobody listens hears of every job. First the queue fills up to its bound; then the flood goes on, and
memory is compared between the last two thirds of that part. Every refusal must be a 429 that says when to come back.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from benchmarks.processes import FAKE_MODEL, Server, served
from benchmarks.report import Bar, Figure, percentile_95, run_alone

CLIENTS = 48
STREAMS = 320
STREAMS_PER_JOB = 40
FLOOD_S = 45.0
QUICK_FLOOD_S = 9.0
FILL_S_MAX = 120.0
SAMPLE_S = 0.25
PROMPT = "a red boat on the sea at sunset " * 125
NOBODY = "http://127.0.0.1:9/hook"

ENV = {
    **FAKE_MODEL,
    "HELIOGRAPH_FLEET__WORKERS": "1",
    "HELIOGRAPH_FLEET__FAKE_ENGINE_OPTIONS": '{"step_s": 0.05}',
    "HELIOGRAPH_OUTBOUND__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
}
QUICK_ENV = {"HELIOGRAPH_QUEUE__PENDING_MAX": "500"}


@dataclass(slots=True)
class _Seen:
    """What the clients were answered. `refusal_s` are seconds until a refusal was there; the first says that the queue
    `is_full`."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    without_hint: int = 0
    jobs: list[str] = field(default_factory=list[str])
    refusal_s: list[float] = field(default_factory=list[float])
    is_full: asyncio.Event = field(default_factory=asyncio.Event)


def measure(is_quick: bool) -> Iterable[Figure]:
    with served({**ENV, **(QUICK_ENV if is_quick else {})}) as server:
        before_mb = server.tree()[0].resident_mb()
        seen = _Seen()
        samples = asyncio.run(_flood(server, seen, QUICK_FLOOD_S if is_quick else FLOOD_S))
    third = len(samples) // 3
    first, second = max(samples[third : 2 * third]), max(samples[2 * third :])
    others = sum(count for status, count in seen.statuses.items() if status not in (201, 429))
    yield Figure(name="answers", value=sum(seen.statuses.values()), unit="in all")
    yield Figure(name="  accepted", value=seen.statuses[201], unit="jobs")
    yield Figure(name="  refused with 429", value=seen.statuses[429], unit="calls")
    yield Figure(name="  429 without Retry-After", value=seen.without_hint, unit="calls", bar=Bar(limit=0))
    yield Figure(name="  anything else", value=others, unit="calls", bar=Bar(limit=0))
    yield Figure(name="a refusal takes, 95th percentile", value=1000 * percentile_95(seen.refusal_s), unit="ms")
    yield Figure(name="server with a full queue", value=first, unit="MB", baseline=before_mb, baseline_name="before")
    yield Figure(
        name="and a third of the flood later",
        value=second,
        unit="MB",
        baseline=first,
        baseline_name="the third before",
        bar=Bar(limit=1.05 * first),
    )


async def _flood(server: Server, seen: _Seen, flood_s: float) -> list[float]:
    """Resident megabytes of the server, sampled from when the queue is full."""
    await _post(server.port, "/v1/webhooks/endpoints", {"url": NOBODY})
    over = asyncio.Event()
    samples: list[float] = []
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(_submit_all_the_time(server.port, seen, over))
        async with asyncio.timeout(FILL_S_MAX):
            await seen.is_full.wait()
        for job_id in seen.jobs[: STREAMS // STREAMS_PER_JOB]:
            for _ in range(STREAMS_PER_JOB):
                _reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
                stack.callback(writer.close)
                writer.write(f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        until_s = time.monotonic() + flood_s
        while time.monotonic() < until_s:
            samples.append(server.tree()[0].resident_mb())
            await asyncio.sleep(SAMPLE_S)
        over.set()
    return samples


async def _submit_all_the_time(port: int, seen: _Seen, over: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    request = _request("/v1/jobs", {"prompt": PROMPT, "model": "fake", "steps": 40})
    try:
        while not over.is_set():
            started_s = time.perf_counter()
            status, head, body = await _exchange(reader, writer, request)
            seen.statuses[status] += 1
            if status == 201 and len(seen.jobs) < STREAMS // STREAMS_PER_JOB:
                seen.jobs.append(json.loads(body)["id"])
            if status == 429:
                seen.is_full.set()
                seen.refusal_s.append(time.perf_counter() - started_s)
                seen.without_hint += b"\r\nretry-after: " not in head
                await asyncio.sleep(0.05)  # a client that tries again at once, only not in a closed loop
    finally:
        writer.close()


async def _post(port: int, path: str, body: dict[str, object]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    status, _, answer = await _exchange(reader, writer, _request(path, body))
    writer.close()
    if status != 201:
        raise RuntimeError(f"refused: {answer.decode()}")


def _request(path: str, body: dict[str, object]) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return head.encode() + f"content-length: {len(data)}\r\n\r\n".encode() + data


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bytes, bytes]:
    """Status, head in lower case, and body of the answer."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head[9:12]), head, await reader.readexactly(length)


if __name__ == "__main__":
    run_alone("flood", __doc__, measure)
