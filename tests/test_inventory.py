"""Missing, damaged and unused files are found, on every medium, and a sound installation is told to be sound."""

import asyncio
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from heliograph.cli import cli
from heliograph.delivery.disk import DiskBlobStore
from heliograph.delivery.sealed import SealedBlobStore, TenantKeys
from heliograph.domain.ids import TenantId
from heliograph.domain.job import JobState
from heliograph.inventory import take_inventory
from heliograph.storage.memory import MemoryStore
from heliograph.storage.sqlite import SqliteStore
from heliograph.storage.store import PutJob, PutOutput, Store
from tests.storage.stored_samples import a_job, an_output


async def filled(store: Store, blobs: DiskBlobStore, *, count: int = 5) -> list[str]:
    """Names of pictures that outputs name, each with one thumbnail; half of them encrypted."""
    sealed = SealedBlobStore(blobs, TenantKeys(master=bytes(32)))
    job = a_job(1, state=JobState.COMPLETED)
    await store.commit([PutJob(job=job)])
    names: list[str] = []
    for index in range(count):
        medium = sealed if index % 2 else blobs
        data, small = os.urandom(500), os.urandom(50)
        name = await medium.put(data, suffix="png", owner=TenantId("ada"))
        thumbnail = await medium.put(small, suffix="webp", owner=TenantId("ada"))
        output = replace(an_output(job, index=index), blob=name, thumbnail_blob=thumbnail)
        await store.commit([PutOutput(output=output)])
        names += [name, thumbnail]
    return names


async def test_a_sound_store_is_sound(tmp_path: Path) -> None:
    store, blobs = MemoryStore(), DiskBlobStore(tmp_path)
    await filled(store, blobs)
    stray = await blobs.put(b"stray", suffix="png")
    found = await take_inventory(store, [blobs], reads=True)
    assert (found.is_sound, found.objects, found.named, found.unused) == (True, 11, 10, 1)
    assert found.bytes is not None
    assert found.bytes > 5 * 550
    found = await take_inventory(store, [blobs], deletes_before_s=time.time() + 60)
    assert (found.deleted, found.bytes, await blobs.size(stray)) == (1, None, None)
    await blobs.close()


async def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    store, blobs = MemoryStore(), DiskBlobStore(tmp_path)
    names = await filled(store, blobs)
    blobs.path(names[0]).unlink()
    for name in names[1:4]:  # a thumbnail, an encrypted picture, an encrypted thumbnail
        path = blobs.path(name)
        path.write_bytes(path.read_bytes()[:-1])
    found = await take_inventory(store, [blobs], reads=True)
    assert not found.is_sound
    assert found.missing == [names[0]]
    assert sorted(found.damaged) == sorted(names[1:4])
    assert (await take_inventory(store, [blobs])).damaged == [], "nothing was read"
    await blobs.close()


async def test_a_file_that_moved_to_another_medium_is_not_missing(tmp_path: Path) -> None:
    store, hot, cool = MemoryStore(), DiskBlobStore(tmp_path / "hot"), DiskBlobStore(tmp_path / "cool")
    names = await filled(store, hot)
    cool.path(names[0]).write_bytes(hot.path(names[0]).read_bytes())
    hot.path(names[0]).unlink()
    found = await take_inventory(store, [hot, cool], reads=True)
    assert (found.is_sound, found.objects) == (True, 10)
    await hot.close()
    await cool.close()


@pytest.mark.parametrize("harm", [False, True])
def test_the_command_says_so_with_its_exit_code(tmp_path: Path, harm: bool) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()

    async def made() -> list[str]:
        store, blobs = await SqliteStore.open(data_dir / "heliograph.sqlite"), DiskBlobStore(data_dir / "blobs")
        names = await filled(store, blobs)
        await store.close()
        await blobs.close()
        return names

    names = asyncio.run(made())
    if harm:
        (data_dir / "blobs" / names[2][:2] / names[2]).write_bytes(b"")
    done = CliRunner().invoke(cli, ["storage", "check", "--read", "--json", "--data-dir", str(data_dir)])
    told = json.loads(done.stdout)
    assert done.exit_code == (3 if harm else 0)
    assert told["sound"] is not harm
    assert told["damaged"] == ([names[2]] if harm else [])
    assert told["named"] == 10
    text = CliRunner().invoke(cli, ["storage", "check", "--data-dir", str(data_dir)])
    assert (text.exit_code, "10 of them named by pictures" in text.stdout) == (0, True), "not read, nothing noticed"


def test_where_there_is_nothing_the_command_says_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["storage", "check", "--data-dir", str(tmp_path)])
    assert (done.exit_code, "nothing to check" in done.stderr) == (2, True)
