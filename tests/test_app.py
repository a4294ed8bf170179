"""The wiring's own parts: the clock, the secrets and files it makes, and what it says when something is missing."""

import asyncio
import stat
from pathlib import Path

import pytest

from heliograph import app
from heliograph.domain.accounts import ApiKey
from heliograph.domain.errors import InvalidRequest, Unavailable
from heliograph.gateway.keys import KeyRing
from heliograph.settings import CatalogueSettings, FleetSettings, GatewaySettings, Settings, StoreSettings
from heliograph.storage.memory import MemoryStore
from heliograph.storage.store import PutApiKey
from tests.builders import an_api_key


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_clock_follows_the_wall_forwards_and_never_backwards() -> None:
    wall, monotonic = [1_000.0], [50.0]
    now_s = app.epoch_clock(lambda: wall[0], lambda: monotonic[0])
    assert now_s() == 1_000.0
    wall[0], monotonic[0] = 1_002.0, 52.0
    assert now_s() == 1_002.0
    wall[0], monotonic[0] = 4_603.0, 53.0  # an hour of suspend, which monotonic time does not count
    assert now_s() == 4_603.0
    wall[0], monotonic[0] = 10.0, 54.0  # somebody set the clock back
    assert now_s() == 4_604.0, "time goes on by itself"


def test_a_secret_file_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "link.key"
    secret = app.secret_file(path, loss="all is lost")
    assert len(secret) == app.SECRET_BYTES
    assert app.secret_file(path, loss="all is lost") == secret
    assert mode_of(path) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["link.key"]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_secret_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "link.key"
    path.write_bytes(content)
    with pytest.raises(Unavailable, match=r"is damaged.*all is lost"):
        app.secret_file(path, loss="all is lost")
    assert path.read_bytes() == content, "nothing is replaced behind the operator's back"


async def test_jobs_and_pictures_are_private_in_a_directory_that_is_not(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    data_dir = app.made_data_dir(tmp_path)
    store = await app.open_store(Settings(data_dir=data_dir), claims=True)
    await store.close()
    assert mode_of(data_dir / "heliograph.sqlite") == 0o600
    assert mode_of(data_dir / "blobs") == 0o700


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="file/data"):
        app.made_data_dir(tmp_path / "file" / "data")


async def test_jobs_are_kept_as_long_as_the_keys_that_name_them(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", store=StoreSettings(keep_jobs_s=7_200))
    with pytest.raises(InvalidRequest, match="idempotency_ttl_s"):
        async with app.installation(settings):
            pass
    assert not (tmp_path / "data").exists()


async def test_keys_are_reloaded_although_the_store_fails_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "KEY_RELOAD_S", 0.01)

    class Shaky(MemoryStore):
        failures = 2

        async def api_keys(self) -> tuple[ApiKey, ...]:
            if self.failures:
                self.failures -= 1
                raise Unavailable("the disk is away")
            return await super().api_keys()

    store, keys = Shaky(), KeyRing()
    await store.commit([PutApiKey(key=an_api_key())])
    task = asyncio.create_task(app.reload_keys(store, keys))
    async with asyncio.timeout(5):
        while keys.is_open:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])


def test_a_model_that_cannot_stay_warm_is_named(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, fleet=FleetSettings(always_warm=("sdxl-base",)))

    async def start() -> None:
        async with app.installation(settings):
            pass

    with pytest.raises(InvalidRequest, match="sdxl-base") as caught:
        asyncio.run(start())
    assert caught.value.param == "fleet.always_warm"


def test_the_operators_catalogue_and_aliases_lie_on_top(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[models.helio-base]\nname = "Ours"\n', encoding="utf-8")
    settings = Settings(
        data_dir=tmp_path,
        catalogue=CatalogueSettings(file=own),
        gateway=GatewaySettings(model_aliases={"my-name": "helio-base"}),
    )
    catalogue = app.read_catalogue(settings)
    card = catalogue.resolve("my-name")
    assert card is not None
    assert card.name == "Ours"


def test_a_missing_catalogue_file_is_named(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, catalogue=CatalogueSettings(file=tmp_path / "none.toml"))
    with pytest.raises(InvalidRequest, match=r"none\.toml"):
        app.read_catalogue(settings)
