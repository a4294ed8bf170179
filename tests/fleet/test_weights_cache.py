"""Weights: fetched once, whole or not at all, gone on with, shared, and checked by name."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from heliograph.domain.weights import Fetching, WeightsFile, WeightsSource
from heliograph.fleet.weights_cache import WeightsCache, WeightsUnavailable
from tests.fleet.weights_server import WeightsServer
from tests.inference.serving import served

FILES = {"model.json": b"{}", "unet/model.safetensors": os.urandom(3_000_000), "vae/model.safetensors": b"v" * 100_000}


def described(files: dict[str, bytes]) -> tuple[WeightsFile, ...]:
    return tuple(
        WeightsFile(path=path, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for path, content in files.items()
    )


@contextmanager
def a_source(server: WeightsServer) -> Iterator[WeightsSource]:
    with served(server.app()) as url:
        yield WeightsSource(base=f"{url}/hub/", files=described(FILES))


class Cache(WeightsCache):
    """One that tells what it said."""

    def __init__(self, root: Path, *, reserve_bytes: int = 0) -> None:
        self.damaged: list[str] = []
        self.told: list[Fetching] = []
        super().__init__(
            root, user_agent="tests", on_damage=self.damaged.append, reserve_bytes=reserve_bytes, pause_s=0.01
        )

    async def here(self, source: WeightsSource) -> Path:
        async def report(fetching: Fetching) -> None:
            self.told.append(fetching)

        return await self.ensure(source, report)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_they_are_fetched_once_and_shared(tmp_path: Path) -> None:
    server = WeightsServer(FILES)
    with a_source(server) as source:
        cache = Cache(tmp_path)
        folder = await cache.here(source)
        assert contents(folder) == FILES
        assert await cache.here(source) == folder
        other = replace(source, files=source.files[1:])  # another model that shares two of the files
        assert contents(await Cache(tmp_path).here(other)) == dict(list(FILES.items())[1:])
    assert [path for path, _, _ in server.asked] == list(FILES), "each file was asked for once"
    total = sum(map(len, FILES.values()))
    assert [cache.told[0].done_bytes, cache.told[-1].done_bytes] == [0, total]
    assert {told.total_bytes for told in cache.told} == {total}


@pytest.mark.parametrize("has_ranges", [True, False])
async def test_a_download_that_breaks_off_goes_on_where_it_stopped(has_ranges: bool, tmp_path: Path) -> None:
    server = WeightsServer(FILES, cuts=[2, 1_000_000, 500_000], has_ranges=has_ranges)
    server.cuts[0] = 1  # the small file, too
    with a_source(server) as source:
        assert contents(await Cache(tmp_path).here(source)) == FILES
    ranges = [ranged for path, ranged, _ in server.asked if path.startswith("unet")]
    assert ranges[0] is None
    assert ranges[1] is not None
    first = int(ranges[1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < first <= 1_000_000


async def test_it_goes_on_after_the_server_itself_was_killed(tmp_path: Path) -> None:
    server = WeightsServer(FILES)
    with a_source(server) as source:
        part = tmp_path / "files" / f"{source.files[1].sha256}.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(FILES["unet/model.safetensors"][:2_000_000])
        assert contents(await Cache(tmp_path).here(source)) == FILES
    assert ("unet/model.safetensors", "bytes=2000000-", None) in server.asked


async def test_two_servers_of_one_machine_do_not_fetch_twice(tmp_path: Path) -> None:
    server = WeightsServer(FILES)
    with a_source(server) as source:
        folders = await asyncio.gather(*(Cache(tmp_path).here(source) for _ in range(4)))
    assert len(set(folders)) == 1
    assert sorted(path for path, _, _ in server.asked) == sorted(FILES)


async def test_a_damaged_file_is_named_and_fetched_again(tmp_path: Path) -> None:
    server = WeightsServer(FILES)
    with a_source(server) as source:
        cache = Cache(tmp_path)
        folder = await cache.here(source)
        damaged = folder / "unet" / "model.safetensors"
        flip_a_byte(damaged)  # its time of change tells
        assert contents(await cache.here(source)) == FILES
        assert cache.damaged == ["unet/model.safetensors"]

        kept = damaged.stat()
        flip_a_byte(damaged)
        os.utime(damaged, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # a bad disk leaves no time of change
        await cache.here(source)
        assert cache.damaged == ["unet/model.safetensors"], "nobody has noticed yet"
        await cache.distrust(source)  # the engine did
        assert contents(await cache.here(source)) == FILES
        assert cache.damaged == ["unet/model.safetensors"] * 2


def flip_a_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(1_000)
        byte = file.read(1)
        file.seek(1_000)
        file.write(bytes([byte[0] ^ 1]))


async def test_a_source_that_has_something_else_is_told_by_file(tmp_path: Path) -> None:
    server = WeightsServer({**FILES, "vae/model.safetensors": b"w" * 100_000})
    with a_source(server) as source, pytest.raises(WeightsUnavailable, match=r"vae/model\.safetensors from") as caught:
        await Cache(tmp_path).here(source)
    assert caught.value.is_wrong
    assert len([path for path, _, _ in server.asked if path.startswith("vae")]) == 2, (
        "once more, in case it was the way"
    )
    assert not list((tmp_path / "files").glob("*.part"))


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        (WeightsServer({}), "model.json from .*: it answered 404"),
        (WeightsServer(FILES, status=503), "it answered 503"),
        (WeightsServer({**FILES, "model.json": b"longer"}), "more than the 2 bytes"),
        (WeightsServer({**FILES, "model.json": b"{"}), "ended after 1 of 2 bytes"),
    ],
)
async def test_what_cannot_be_had_is_told_after_several_tries(
    server: WeightsServer, problem: str, tmp_path: Path
) -> None:
    with a_source(server) as source, pytest.raises(WeightsUnavailable, match=problem) as caught:
        await Cache(tmp_path).here(source)
    assert not caught.value.is_wrong, "it may be better in a while"
    assert len(server.asked) > 2


async def test_nothing_is_fetched_that_does_not_fit_onto_the_disk(tmp_path: Path) -> None:
    server = WeightsServer(FILES)
    free_bytes = shutil.disk_usage(tmp_path).free
    with (
        a_source(server) as source,
        pytest.raises(WeightsUnavailable, match="GB of weights are missing"),
    ):
        await Cache(tmp_path, reserve_bytes=2 * free_bytes).here(source)
    assert not server.asked


async def test_a_disk_that_fills_up_meanwhile_is_left_as_it_was(tmp_path: Path) -> None:
    server = WeightsServer(FILES)
    with a_source(server) as source:
        cache = Cache(tmp_path)
        (tmp_path / "files").mkdir()
        (tmp_path / "files" / f"{source.files[0].sha256}.part").symlink_to("/dev/full")
        with pytest.raises(WeightsUnavailable, match="is full"):
            await cache.here(source)
    assert not list((tmp_path / "files").glob("*.part"))


async def test_redirects_are_followed_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_KEY", "sesame")
    server = WeightsServer(FILES, redirects=True)
    with a_source(server) as source:
        assert contents(await Cache(tmp_path).here(replace(source, key_env="HUB_KEY"))) == FILES
    assert {key for _, _, key in server.asked} == {"Bearer sesame"}, "the same origin may see it"
    monkeypatch.delenv("HUB_KEY")
    with pytest.raises(WeightsUnavailable, match="HUB_KEY"):
        await Cache(tmp_path / "other").here(replace(source, key_env="HUB_KEY"))


async def test_a_name_leads_nowhere_that_was_not_allowed(tmp_path: Path) -> None:
    with a_source(WeightsServer(FILES)) as source:
        named = replace(source, base=source.base.replace("127.0.0.1", "localhost"))
        with pytest.raises(WeightsUnavailable, match="must begin with https"):
            await Cache(tmp_path).here(named)
        elsewhere = replace(named, networks=("192.0.2.0/24",))
        with pytest.raises(WeightsUnavailable, match="not called"):
            await Cache(tmp_path).here(elsewhere)


async def test_files_of_this_machine_are_used_where_they_lie(tmp_path: Path) -> None:
    base = tmp_path / "mine"
    for path, content in FILES.items():
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_bytes(content)
    source = WeightsSource(base=str(base), files=described(FILES))
    cache = Cache(tmp_path / "cache")
    assert await cache.here(source) == base
    flip_a_byte(base / "unet" / "model.safetensors")
    with pytest.raises(
        WeightsUnavailable, match=r"unet/model\.safetensors in .* is not what the catalogue says"
    ) as caught:
        await cache.here(source)
    assert caught.value.is_wrong
    assert (base / "unet" / "model.safetensors").exists(), "what is not ours is not deleted"
    (base / "model.json").unlink()
    with pytest.raises(WeightsUnavailable, match=r"model\.json in .* is missing"):
        await cache.here(source)
