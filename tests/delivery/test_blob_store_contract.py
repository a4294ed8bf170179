"""What every blob store promises, run against each of them."""

import asyncio
import hashlib
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from heliograph.delivery.blobs import BlobStore
from heliograph.delivery.disk import DiskBlobStore
from heliograph.delivery.memory import MemoryBlobStore
from heliograph.delivery.names import is_sealed
from heliograph.delivery.object_store import open_object_store
from heliograph.delivery.sealed import SealedBlobStore, TenantKeys
from heliograph.domain.errors import NotFound
from heliograph.domain.ids import TenantId
from tests.object_servers import LocalBucket, ObjectServer, Rclone

DATA = b"0123456789" * 1000
UNKNOWN = f"{'0' * 64}.png"
BAD_NAMES = [
    "",
    "x",
    "../../etc/passwd",
    f"../{UNKNOWN}",
    f"/{UNKNOWN}",
    f"{UNKNOWN}/..",
    f"{UNKNOWN}\0",
    f"{UNKNOWN}\n",
    "0" * 64,
    f"{'0' * 64}.",
    f"{'0' * 64}.PNG",
    f"{'0' * 64}.p/g",
    f"{'0' * 64}.toolongsuffix",
    f"{'A' * 64}.png",
    f"{'٣' * 64}.png",
]


ADA = TenantId("ada")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], ObjectServer]]:
    """Object servers by name, started when they are first needed."""
    started: dict[str, ObjectServer] = {}

    def server(name: str) -> ObjectServer:
        if name not in started:
            kind = {"localbucket": LocalBucket, "rclone": Rclone}[name]
            started[name] = kind(tmp_path_factory.mktemp(name)).start()
        return started[name]

    yield server
    for each in started.values():
        each.kill()


@pytest.fixture(params=["disk", "memory", "localbucket", "rclone", "sealed-disk", "sealed-localbucket"])
async def store(request, tmp_path, servers):
    medium = request.param.removeprefix("sealed-")
    match medium:
        case "disk":
            store = DiskBlobStore(tmp_path / "blobs")
        case "memory":
            store = MemoryBlobStore()
        case _:
            # A prefix of its own for each test, so that none sees what another stored.
            server = servers(medium)
            url = f"{server.url}/{uuid.uuid4().hex}"
            store = open_object_store(url, server.all_options, timeout_s=20)
    yield SealedBlobStore(store, TenantKeys(master=bytes(32))) if medium != request.param else store
    await store.close()


async def test_what_was_put_is_read_again(store: BlobStore) -> None:
    name = await store.put(DATA, suffix="png", owner=ADA)
    assert is_sealed(name) or name == f"{hashlib.sha256(DATA).hexdigest()}.png"
    assert await store.size(name) == len(DATA)
    assert await store.read(name) == DATA


async def test_the_same_content_has_one_name_and_another_suffix_another(store: BlobStore) -> None:
    assert await store.put(DATA, suffix="png", owner=ADA) == await store.put(DATA, suffix="png", owner=ADA)
    assert await store.put(DATA, suffix="webp", owner=ADA) != await store.put(DATA, suffix="png", owner=ADA)


async def test_an_empty_object_is_an_object(store: BlobStore) -> None:
    name = await store.put(b"", suffix="png", owner=ADA)
    assert (await store.size(name), await store.read(name)) == (0, b"")


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, None, DATA),
        (9995, None, DATA[9995:]),
        (3, 4, b"3456"),
        (9998, 100, b"89"),
        (0, 0, b""),
        (10_000, None, b""),
        (20_000, 5, b""),
    ],
)
async def test_a_range_is_cut_at_the_end(store: BlobStore, start: int, length: int | None, expected: bytes) -> None:
    name = await store.put(DATA, suffix="png", owner=ADA)
    assert await store.read(name, start=start, length=length) == expected


@pytest.mark.parametrize("name", [UNKNOWN, *BAD_NAMES])
async def test_an_unknown_or_impossible_name_is_not_found(store: BlobStore, name: str) -> None:
    assert await store.size(name) is None
    with pytest.raises(NotFound):
        await store.read(name)


@pytest.mark.parametrize("suffix", ["", "PNG", "../x", "p/g", "png ", "toolongsuffix"])
async def test_a_suffix_that_is_none_is_our_bug(store: BlobStore, suffix: str) -> None:
    with pytest.raises(AssertionError, match="is no suffix"):
        await store.put(DATA, suffix=suffix, owner=ADA)


async def test_many_puts_at_once_all_arrive(store: BlobStore) -> None:
    objects = [bytes([number % 7]) * 500 for number in range(40)]
    names = await asyncio.gather(*(store.put(data, suffix="png", owner=ADA) for data in objects))
    assert [await store.read(name) for name in names] == objects
    assert len(set(names)) == 7


async def test_names_are_listed_by_their_first_digits(store: BlobStore) -> None:
    names = {await store.put(bytes([number]), suffix="png", owner=ADA) for number in range(40)}
    by_digits = {name: await store.names(name[:2]) for name in names}
    assert all(name in listed for name, listed in by_digits.items())
    assert {name for listed in by_digits.values() for name in listed} == names


async def test_what_is_larger_than_every_buffer_comes_back_whole_and_in_parts(store: BlobStore) -> None:
    data = bytes(range(251)) * 9_000
    name = await store.put(data, suffix="png", owner=ADA)
    assert await store.read(name) == data
    assert await store.read(name, start=65_530, length=20) == data[65_530:65_550]
    assert await store.read(name, start=1_000_000, length=300_000) == data[1_000_000:1_300_000]


async def test_a_medium_that_is_there_says_so(store: BlobStore) -> None:
    await store.check()


async def test_only_what_was_not_put_lately_is_deleted(store: BlobStore) -> None:
    name = await store.put(DATA, suffix="png", owner=ADA)
    assert not await store.delete(name, before_s=time.time() - 60)
    assert await store.read(name) == DATA
    assert await store.delete(name, before_s=time.time() + 60)
    assert await store.size(name) is None
    assert not await store.delete(name, before_s=time.time() + 60)
    assert await store.put(DATA, suffix="png", owner=ADA) == name
    assert await store.read(name) == DATA


async def test_what_is_erased_is_gone_however_young_unless_it_was_just_put(store: BlobStore) -> None:
    name, other = await store.put(DATA, suffix="png", owner=ADA), await store.put(b"other", suffix="png", owner=ADA)
    assert not await store.erase(name, unless_put_within_s=60.0)
    assert await store.read(name) == DATA
    assert await store.erase(name, unless_put_within_s=0.0)
    assert await store.size(name) is None
    with pytest.raises(NotFound):
        await store.read(name)
    assert await store.erase(name, unless_put_within_s=0.0), "it is not there, and that is what was asked for"
    assert await store.read(other) == b"other"
    assert await store.put(DATA, suffix="png", owner=ADA) == name
    assert await store.read(name) == DATA
