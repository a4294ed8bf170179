"""What is special about object stores: keys that are refused, servers that are away or silent, clocks that differ."""

import asyncio
import datetime
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.delivery import object_store
from heliograph.delivery.object_store import ObjectBlobStore, open_object_store
from heliograph.domain.errors import InvalidRequest, Unavailable
from tests.object_servers import BUCKET, LocalBucket, ObjectServer, Rclone

DATA = b"0123456789" * 1000


@pytest.fixture(scope="module")
def checking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """A server that checks signatures."""
    server = Rclone(tmp_path_factory.mktemp("rclone")).start()
    yield server
    server.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ObjectServer]:
    server = LocalBucket(tmp_path / "objects").start()
    yield server
    server.kill()


def store_of(server: ObjectServer, url: str | None = None, timeout_s: float = 5.0, **options: str) -> ObjectBlobStore:
    return open_object_store(url or server.url, {**server.all_options, **options}, timeout_s=timeout_s)


async def test_a_link_opens_one_picture_until_it_expires(checking: ObjectServer) -> None:
    store = store_of(checking)
    name = await store.put(DATA, suffix="png")
    other = await store.put(b"of somebody else", suffix="png")
    url = await store.signed_url(name, ttl_s=60)

    def fetch(address: str) -> int:
        try:
            with urllib.request.urlopen(address) as answer:
                assert answer.read() == DATA
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    assert await asyncio.to_thread(fetch, url) == 200
    assert await asyncio.to_thread(fetch, url.replace(name, other)) == 403
    assert await asyncio.to_thread(fetch, url.replace("X-Amz-Expires=60", "X-Amz-Expires=600")) == 403
    past = await store.signed_url(name, ttl_s=1)
    await asyncio.sleep(2.1)
    assert await asyncio.to_thread(fetch, past) in (400, 403)


async def test_a_wrong_key_is_told_and_nothing_is_stored(checking: ObjectServer) -> None:
    store = store_of(checking, secret_access_key="another")
    with pytest.raises(Unavailable, match="refuses the key") as caught:
        await store.put(DATA, suffix="webp")
    assert caught.value.code == "storage_unavailable"
    with pytest.raises(Unavailable):
        await store.check()
    assert not list(checking.folder.glob(f"{BUCKET}/*/*.webp"))


async def test_a_bucket_that_is_not_there_is_named(server: ObjectServer) -> None:
    store = store_of(server, url="s3://nowhere")
    with pytest.raises(Unavailable, match="s3://nowhere has no such bucket"):
        await store.put(DATA, suffix="png")
    with pytest.raises(Unavailable):
        await store.check()


async def test_a_server_that_is_away_or_silent_is_told_in_time_and_works_again_later(server: ObjectServer) -> None:
    store = store_of(server, timeout_s=0.5)
    name = await store.put(DATA, suffix="png")
    server.kill()
    with pytest.raises(Unavailable) as caught:
        await store.check()
    assert caught.value.retry_after_s is not None
    with pytest.raises(Unavailable):
        await store.put(b"new", suffix="png")
    server.start()
    assert await store.read(name) == DATA
    server.freeze()
    began_s = time.monotonic()
    with pytest.raises(Unavailable):
        await store.read(name)
    assert time.monotonic() - began_s < 10
    server.thaw()
    assert await store.read(name) == DATA


async def test_what_is_there_is_not_written_again_unless_it_is_damaged_or_old(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(server)
    await store.check()
    name = await store.put(DATA, suffix="png")
    path = server.folder / BUCKET / name[:2] / name
    first = path.stat().st_mtime_ns
    await store.put(DATA, suffix="png")
    assert path.stat().st_mtime_ns == first
    path.write_bytes(DATA[:100])
    await store.put(DATA, suffix="png")
    assert path.read_bytes() == DATA
    second = path.stat().st_mtime_ns
    monkeypatch.setattr(object_store, "REFRESHED_AFTER_S", -1.0)
    await store.put(DATA, suffix="png")
    assert path.stat().st_mtime_ns > second


async def test_a_damaged_object_is_not_delivered(server: ObjectServer) -> None:
    store = store_of(server)
    name = await store.put(DATA, suffix="png")
    (server.folder / BUCKET / name[:2] / name).write_bytes(DATA[:-1] + b"x")
    with pytest.raises(Unavailable) as caught:
        await store.read(name)
    assert caught.value.code == "storage_damaged"


@pytest.mark.parametrize("ahead_s", [-200_000.0, 0.0, 200_000.0])
async def test_ages_are_reckoned_by_the_servers_clock(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    """The server's clock is days off: neither is a new object taken for old, nor an old one for new."""
    writer = store_of(server)
    new, old = await writer.put(b"new", suffix="png"), await writer.put(b"old", suffix="png")
    ages_s = {new: 10.0, old: 100_000.0, object_store.CLOCK_OBJECT: 0.0}
    real_head = object_store.obstore.head_async

    async def head(remote: object, path: str) -> object:
        meta = await real_head(remote, path)
        age_s = ages_s[path.rpartition("/")[2] if path != object_store.CLOCK_OBJECT else path]
        at_s = time.time() + ahead_s - age_s
        return {**meta, "last_modified": datetime.datetime.fromtimestamp(at_s, datetime.UTC)}

    monkeypatch.setattr(object_store.obstore, "head_async", head)
    store = store_of(server)  # another process, which put none of them
    before_s = time.time() - 86_400
    assert not await store.delete(new, before_s=before_s)
    assert await store.delete(old, before_s=before_s)
    assert store.clock_ahead_s == pytest.approx(ahead_s, abs=5)


async def test_what_this_process_put_within_the_hour_is_no_old_object_whatever_the_clocks_say(
    server: ObjectServer,
) -> None:
    store = store_of(server)
    await store.check()
    store._ahead_s = 10 * 86_400.0
    name = await store.put(DATA, suffix="png")
    assert not await store.delete(name, before_s=time.time() - 86_400)


@pytest.mark.parametrize(
    ("url", "options"),
    [("s3://bucket", {"no_such_option": "x"}), ("ftp://bucket", {}), ("https://example.com/x", {})],
)
def test_settings_that_cannot_be_are_named(url: str, options: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match=r"setting pictures\.(url|options)"):
        open_object_store(url, options, timeout_s=1)


def test_every_provider_has_its_url() -> None:
    key = {"account_name": "a", "account_key": "a2V5"}
    for url, options in (("gs://bucket/p", {"skip_signature": "true"}), ("az://container/p", key), ("s3://b/p", {})):
        open_object_store(url, options, timeout_s=1)
