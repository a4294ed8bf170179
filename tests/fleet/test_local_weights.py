"""A fleet whose workers' weights have to be fetched first: told of, called off, and not loaded where they are wrong."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from heliograph.domain.events import LossReason, WeightsProgressed, WorkerLost, WorkerReady
from heliograph.domain.ids import WorkerId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.weights import WeightsSource
from heliograph.fleet.local import LocalFleet
from heliograph.fleet.weights_cache import WeightsCache
from tests.builders import a_card, a_gpu
from tests.fleet.test_local import LIMITS, Listener, children
from tests.fleet.test_weights_cache import FILES, described
from tests.fleet.weights_server import WeightsServer
from tests.inference.serving import served

WORKER = WorkerId("w0")


@asynccontextmanager
async def a_fleet(
    server: WeightsServer, root: Path, *, faults: tuple[str, ...] = ()
) -> AsyncIterator[tuple[LocalFleet, Listener, ModelCard, list[str]]]:
    """A fleet, who hears of it, the card of a model on the server, and the folders that workers were given."""
    listener, folders, damaged = Listener(), list[str](), list[str]()

    def command(card: ModelCard) -> list[str]:
        folders.append(str(card.weights))
        options = json.dumps({"faults": faults if len(folders) == 1 else ()})
        return [
            *(sys.executable, "-m", "heliograph.inference.worker", "--model-id", card.model_id),
            *("--engine", "fake", "--fake-options", options),
        ]

    cache = WeightsCache(root, user_agent="tests", on_damage=damaged.append, reserve_bytes=0, pause_s=0.01)
    fleet = LocalFleet(emit=listener.emit, worker_command=command, limits=LIMITS, weights=cache)
    with served(server.app()) as url:
        source = WeightsSource(base=f"{url}/hub", files=described(FILES))
        try:
            yield fleet, listener, replace(a_card("painter"), fetch=source), folders
        finally:
            await fleet.close()
            assert children() == []


async def test_a_worker_starts_once_its_weights_are_here(tmp_path: Path) -> None:
    async with a_fleet(WeightsServer(FILES), tmp_path) as (fleet, listener, card, folders):
        await fleet.start(WORKER, a_gpu(), card)
        await listener.until(WorkerReady)
    told = [event.fetching for event in listener.events if isinstance(event, WeightsProgressed)]
    assert told[-1].done_bytes == told[-1].total_bytes == sum(map(len, FILES.values()))
    (folder,) = folders
    assert (Path(folder) / "unet" / "model.safetensors").read_bytes() == FILES["unet/model.safetensors"]


async def test_weights_that_cannot_be_had_are_a_failed_load_that_names_the_file(tmp_path: Path) -> None:
    async with a_fleet(WeightsServer({}), tmp_path) as (fleet, listener, card, folders):
        await fleet.start(WORKER, a_gpu(), card)
        lost = await listener.until(WorkerLost)
    assert (lost.reason, folders) == (LossReason.LOAD_FAILED, [])
    assert lost.detail.startswith("model.json from http://127.0.0.1")


async def test_weights_that_are_others_than_the_catalogue_says_are_never_loaded(tmp_path: Path) -> None:
    server = WeightsServer({**FILES, "model.json": b"[]"})
    async with a_fleet(server, tmp_path) as (fleet, listener, card, folders):
        await fleet.start(WORKER, a_gpu(), card)
        lost = await listener.until(WorkerLost)
    assert (lost.reason, folders) == (LossReason.BAD_WEIGHTS, [])


async def test_a_fetch_is_called_off_with_its_worker(tmp_path: Path) -> None:
    async with a_fleet(WeightsServer(FILES, status=503), tmp_path) as (fleet, listener, card, folders):
        await fleet.start(WORKER, a_gpu(), card)
        await listener.until(WeightsProgressed)
        await fleet.stop(WORKER)
        lost = await listener.until(WorkerLost)
        assert (lost.reason, folders) == (LossReason.STOPPED, [])
        await fleet.start(WorkerId("w1"), a_gpu(), card)  # which goes with the fleet


async def test_what_an_engine_finds_damaged_is_fetched_again(tmp_path: Path) -> None:
    server = WeightsServer(FILES)
    async with a_fleet(server, tmp_path, faults=("bad_weights@load",)) as (fleet, listener, card, folders):
        await fleet.start(WORKER, a_gpu(), card)
        lost = await listener.until(WorkerLost)
        assert lost.reason is LossReason.LOAD_FAILED, "another load may mend it"
        damaged = Path(folders[0]) / "vae" / "model.safetensors"
        stamp = damaged.stat()
        with damaged.open("r+b") as file:
            file.write(b"x")
        os.utime(damaged, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        await fleet.start(WorkerId("w1"), a_gpu(), card)
        await listener.until(WorkerReady)
        assert damaged.read_bytes() == FILES["vae/model.safetensors"]
    assert [path for path, _, _ in server.asked].count("vae/model.safetensors") == 2
