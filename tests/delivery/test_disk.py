"""The disk store where disks are special: whole files only, full disks, left-over files, names as paths."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heliograph.delivery.disk import DiskBlobStore
from heliograph.domain.errors import NotFound, Unavailable
from tests.delivery.test_blob_store_contract import BAD_NAMES, UNKNOWN


@pytest.fixture
async def store(tmp_path):
    store = DiskBlobStore(tmp_path / "blobs")
    yield store
    await store.close()


def files(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


async def test_a_blob_lies_in_the_folder_of_its_first_digits(store: DiskBlobStore, tmp_path: Path) -> None:
    name = await store.put(b"data", suffix="png")
    assert store.path(name) == tmp_path / "blobs" / name[:2] / name
    assert store.path(name).read_bytes() == b"data"
    assert files(tmp_path) == [name]


async def test_an_existing_blob_is_not_written_again(store: DiskBlobStore) -> None:
    name = await store.put(b"data", suffix="png")
    before = store.path(name).stat()
    await store.put(b"data", suffix="png")
    after = store.path(name).stat()
    assert before.st_ino == after.st_ino


async def test_the_next_process_finds_what_the_last_one_stored(store: DiskBlobStore, tmp_path: Path) -> None:
    name = await store.put(b"data", suffix="png")
    again = DiskBlobStore(tmp_path / "blobs")
    assert await again.read(name) == b"data"
    await again.close()


@pytest.mark.parametrize("name", BAD_NAMES)
def test_no_name_leads_out_of_the_store(store: DiskBlobStore, name: str) -> None:
    with pytest.raises(NotFound):
        store.path(name)


async def test_the_file_is_durable_before_it_has_its_name_and_the_name_before_put_returns(
    store: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        is_folder = Path(f"/proc/self/fd/{descriptor}").resolve().is_dir()
        calls.append("fsync folder" if is_folder else "fsync file")
        real_fsync(descriptor)

    def replace(path: Path, target: Path) -> Path:
        calls.append("rename")
        return real_replace(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    await store.put(b"data", suffix="png")
    assert calls == ["fsync file", "rename", "fsync folder"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOSPC, "storage_full"),
        (errno.EDQUOT, "storage_full"),
        (errno.EIO, "storage_unavailable"),
        (errno.EROFS, "storage_unavailable"),
    ],
)
async def test_a_failing_disk_leaves_no_half_file_and_works_again_later(
    store: DiskBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: str
) -> None:
    def broken_fsync(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken_fsync)
        with pytest.raises(Unavailable, match=os.strerror(code)) as caught:
            await store.put(b"data", suffix="png")
    assert caught.value.code == expected
    assert caught.value.retry_after_s is not None
    assert str(tmp_path) in caught.value.message
    assert files(tmp_path) == []
    assert await store.read(await store.put(b"data", suffix="png")) == b"data"


_LIMITED = """
import asyncio, json, resource, signal, sys
from pathlib import Path
from heliograph.delivery.disk import DiskBlobStore
from heliograph.domain.errors import Unavailable

async def main():
    store = DiskBlobStore(Path(sys.argv[1]))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        await store.put(bytes(1_000_000), suffix="png")
    except Unavailable as error:
        print(json.dumps({"code": error.code, "name": await store.put(bytes(1000), suffix="png")}))
    await store.close()

asyncio.run(main())
"""


def test_a_write_that_the_kernel_cuts_short_leaves_no_half_file(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _LIMITED, str(tmp_path)], capture_output=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    assert told["code"] == "storage_full"
    assert files(tmp_path) == [told["name"]]


@pytest.mark.parametrize("obstacle", ["a file", "below a file"])
def test_a_root_that_cannot_be_is_told_at_start(tmp_path: Path, obstacle: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    root = tmp_path / "file" if obstacle == "a file" else tmp_path / "file" / "blobs"
    with pytest.raises(Unavailable, match=str(root)):
        DiskBlobStore(root)


async def test_a_store_that_lost_its_folder_says_so(store: DiskBlobStore, tmp_path: Path) -> None:
    (tmp_path / "blobs").rename(tmp_path / "gone")
    with pytest.raises(Unavailable):
        await store.put(b"data", suffix="png")
    with pytest.raises(NotFound):
        await store.read(UNKNOWN)


async def test_abandoned_temporary_files_are_swept_at_start_and_fresh_ones_left(tmp_path: Path) -> None:
    await DiskBlobStore(tmp_path).close()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    old, orphan = tmp_path / "ab" / f".{os.getpid()}-0.tmp", tmp_path / "cd" / f".{ended.pid}-0.tmp"
    fresh = tmp_path / "cd" / f".{os.getpid()}-1.tmp"
    for path in (old, orphan, fresh):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    again = DiskBlobStore(tmp_path)
    kept = await again.put(b"data", suffix="png")
    await DiskBlobStore(tmp_path).close()
    await again.close()
    assert files(tmp_path) == sorted([fresh.name, kept])


async def test_what_is_put_again_counts_as_new(store: DiskBlobStore, tmp_path: Path) -> None:
    name = await store.put(b"x", suffix="png")
    long_ago = time.time() - 1_000
    os.utime(store.path(name), (long_ago, long_ago))
    later = DiskBlobStore(tmp_path / "blobs")
    await later.put(b"x", suffix="png")
    assert not await later.delete(name, before_s=time.time() - 500)
    await later.close()
    os.utime(store.path(name), (long_ago, long_ago))
    much_later = DiskBlobStore(tmp_path / "blobs")
    assert await much_later.delete(name, before_s=time.time() - 500)
    await much_later.close()


@pytest.mark.parametrize("jump_s", [-400_000.0, 400_000.0])
async def test_a_clock_that_is_set_makes_no_new_file_an_old_one(store: DiskBlobStore, jump_s: float) -> None:
    """Its time is of another day than the clock; who deletes what is a day old must not take it."""
    name = await store.put(b"x", suffix="png")
    os.utime(store.path(name), (time.time() + jump_s, time.time() + jump_s))
    assert not await store.delete(name, before_s=time.time() - 86_400)
    assert await store.read(name) == b"x"
