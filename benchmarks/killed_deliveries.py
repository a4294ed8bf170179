"""Pictures that are being delivered while the server is killed again and again: what is left of them.

    python -m benchmarks.killed_deliveries [--quick] [--json OUT]

A real server with the fake engine, SQLite and a directory. Jobs are submitted all the time, and the server gets SIGKILL
at random moments and is started again. At the end every acknowledged job must be completed with every file it names,
whole; nothing may be half written; and files that nothing names must go with one sweep.
"""

import asyncio
import hashlib
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.e2e.server import FAKE, Server

from benchmarks.report import Bar, Figure, run_alone
from heliograph.app import open_store
from heliograph.delivery.disk import DiskBlobStore
from heliograph.inventory import Inventory, take_inventory
from heliograph.settings import Settings

SEED = 8
ENDS_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Counts: `half` are unfinished files, `wrong` pictures whose bytes are not what the job says, `swept` files that
    nothing named and one sweep took away, `orphans` those that were still there after it."""

    deliveries: int
    kills: int
    lost: int
    half: int
    missing: int
    damaged: int
    wrong: int
    swept: int
    orphans: int


def deliver_under_kills(folder: Path, *, deliveries: int, kills: int, seed: int = SEED) -> Outcome:
    """Submit so many jobs while the server is killed so often, wait for all of them, and look at what lies there."""
    chance = random.Random(seed)
    server = Server(folder / "data", {**FAKE, "HELIOGRAPH_QUEUE__ATTEMPTS_MAX": "50"}).start()
    acknowledged: list[str] = []
    kill_after = sorted(chance.sample(range(1, deliveries), kills))
    try:
        while len(acknowledged) < deliveries:
            if kill_after and len(acknowledged) >= kill_after[0]:
                kill_after.pop(0)
                time.sleep(chance.uniform(0.0, 0.25))  # somewhere between the last step and the commit
                server.kill()
                server.start(wait=False)
            try:
                answer = server.http.post("/v1/jobs", json={"prompt": f"boat {len(acknowledged)}", "model": "fake"})
            except httpx.TransportError:
                continue
            if answer.status_code == 201:
                acknowledged.append(answer.json()["id"])
        jobs = [server.finished(job_id, within_s=ENDS_WITHIN_S) for job_id in acknowledged]
        outputs = [output for job in jobs for output in job["outputs"]]
        digests = [hashlib.sha256(server.http.get(each["url"]).content).hexdigest() for each in outputs]
    finally:
        server.stop()
    blobs = server.data_dir / "blobs"
    found, after = asyncio.run(_inventories(server.data_dir))
    return Outcome(
        deliveries=deliveries,
        kills=kills,
        lost=sum(job["status"] != "completed" or not job["outputs"] for job in jobs),
        half=len(list(blobs.glob("*/.*"))),
        missing=len(found.missing),
        damaged=len(found.damaged),
        wrong=sum(digest != output["sha256"] for digest, output in zip(digests, outputs, strict=True)),
        swept=found.deleted,
        orphans=after.unused,
    )


async def _inventories(data_dir: Path) -> tuple[Inventory, Inventory]:
    """Before and after a sweep of everything that nothing names; nobody delivers any more."""
    async with AsyncExitStack() as stack:
        store = await open_store(Settings(data_dir=data_dir), claims=False)
        stack.push_async_callback(store.close)
        blobs = DiskBlobStore(data_dir / "blobs")
        stack.push_async_callback(blobs.close)
        soon_s = time.time() + 3_600
        found = await take_inventory(store, [blobs], reads=True, deletes_before_s=soon_s)
        return found, await take_inventory(store, [blobs], reads=True)


def measure(is_quick: bool) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        outcome = deliver_under_kills(Path(folder), deliveries=40 if is_quick else 500, kills=3 if is_quick else 25)
    none = Bar(limit=0)
    yield Figure(name="deliveries", value=outcome.deliveries, unit="jobs")
    yield Figure(name="kill -9 of the server", value=outcome.kills, unit="times")
    yield Figure(name="acknowledged jobs without their picture", value=outcome.lost, unit="jobs", bar=none)
    yield Figure(name="half objects", value=outcome.half, unit="files", bar=none)
    yield Figure(name="files that are named and missing", value=outcome.missing, unit="files", bar=none)
    yield Figure(name="files that are not what their name says", value=outcome.damaged, unit="files", bar=none)
    yield Figure(name="pictures that are not what their job says", value=outcome.wrong, unit="pictures", bar=none)
    yield Figure(name="files of killed deliveries, swept", value=outcome.swept, unit="files")
    yield Figure(name="orphans after the sweep", value=outcome.orphans, unit="files", bar=none)


if __name__ == "__main__":
    run_alone("killed_deliveries", __doc__, measure)
