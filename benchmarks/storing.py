"""What our picture store costs beside the bare library: put and get of 300 KB objects on a small S3 server.

    python -m benchmarks.storing [--quick] [--json OUT]

Both talk to the same server (LocalBucket, on this machine), turn by turn. Ours also names each object by its SHA-256,
stores it only if it is not there, and compares what it reads with the digest.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import obstore
from obstore.store import from_url
from tests.object_servers import LocalBucket

from benchmarks.report import Bar, Figure, median, run_alone
from heliograph.delivery.object_store import open_object_store

SIZE_BYTES = 300_000


async def _rounds(server: LocalBucket, count: int) -> tuple[list[float], list[float]]:
    """Seconds of each put and get: through our store, and through the bare library."""
    ours = open_object_store(f"{server.url}/ours", server.all_options, timeout_s=30)
    config, client = cast(Any, dict(server.all_options)), cast(Any, {"allow_http": True})
    bare = from_url(f"{server.url}/bare", config=config, client_options=client)
    ours_s: list[float] = []
    bare_s: list[float] = []
    for number in range(count + 3):
        data = os.urandom(SIZE_BYTES)
        began_s = time.perf_counter()
        name = await ours.put(data, suffix="png")
        assert await ours.read(name) == data
        between_s = time.perf_counter()
        await obstore.put_async(bare, f"{number:06d}", data)
        assert bytes(await (await obstore.get_async(bare, f"{number:06d}")).bytes_async()) == data
        ours_s.append(between_s - began_s)
        bare_s.append(time.perf_counter() - between_s)
    return ours_s[3:], bare_s[3:]


def measure(is_quick: bool) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        server = LocalBucket(Path(folder))
        server.start()
        try:
            ours_s, bare_s = asyncio.run(_rounds(server, 50 if is_quick else 500))
        finally:
            server.kill()
    value, baseline = 1000 * median(ours_s), 1000 * median(bare_s)
    yield Figure(name="put + get of 300 KB", value=value, unit="ms", baseline=baseline, baseline_name="bare obstore")
    yield Figure(name="its ratio", value=value / baseline, unit="times", bar=Bar(limit=1.15))


if __name__ == "__main__":
    run_alone("storing", __doc__, measure)
