"""The peer: FastAPI over SAQ over Valkey that syncs every write, as its documentation shows it. Runs in build/peers.

    uvicorn saq_peer:app                 the HTTP process
    saq saq_peer.settings --workers 2    two workers, one job at a time each

Every result is the same `RESULT_BYTES` of noise. `POST /jobs` answers once the job is on disk; `GET /jobs/{key}/result`
is held until the result is on disk, too: the worker's write is synced before its announcement goes out.
"""

import asyncio
import os
import pickle
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from pydantic import BaseModel
from saq import Queue

RESULT_BYTES = int(os.environ.get("RESULT_BYTES", "204800"))
RESULT = random.Random(0).randbytes(RESULT_BYTES)

queue = Queue.from_url(os.environ["VALKEY_URL"], dump=pickle.dumps, load=pickle.loads)


async def generate(_context: object, *, prompt: str, seed: int, work_s: float) -> bytes:
    """The engine: as idle as ours."""
    del prompt, seed
    if work_s:
        await asyncio.sleep(work_s)
    return RESULT


settings = {"queue": queue, "functions": [generate], "concurrency": 1}


class Order(BaseModel):
    """What a client sends."""

    prompt: str
    seed: int
    work_s: float = 0.0


ended: dict[str, asyncio.Event] = {}


async def listen() -> None:
    """Wake whoever waits for a job that has ended."""
    async with queue.redis.pubsub() as news:
        await news.psubscribe(queue.job_id("*"))
        async for message in news.listen():
            if message["type"] == "pmessage" and message["data"] in (b"complete", b"failed", b"aborted"):
                waiter = ended.get(queue.job_key_from_id(message["channel"].decode()))
                if waiter is not None:
                    waiter.set()


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Listen as long as the application runs."""
    task = asyncio.create_task(listen())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.post("/jobs", status_code=201)
async def submit(order: Order) -> dict[str, str]:
    """Put a job in line."""
    job = await queue.enqueue("generate", timeout=60, retries=3, ttl=600, **order.model_dump())
    assert job is not None
    return {"id": job.key}


@app.get("/jobs/{key}/result")
async def result(key: str) -> Response:
    """Hold until the job has ended; look first, so that one that ended before is not waited for."""
    waiter = ended[key] = asyncio.Event()
    try:
        job = await queue.job(key)
        if job is not None and not job.completed:
            await asyncio.wait_for(waiter.wait(), 60)
            job = await queue.job(key)
    finally:
        del ended[key]
    assert job is not None
    return Response(job.result, media_type="image/jpeg")
