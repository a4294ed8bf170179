"""A backup of either store, taken while it is written to, fills either store again."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from heliograph import app
from heliograph.delivery.disk import DiskBlobStore
from heliograph.domain.errors import InvalidRequest, NotFound, Unavailable
from heliograph.domain.ids import JobId, MessageId, TenantId
from heliograph.domain.job import JobState
from heliograph.settings import Settings, StoreSettings
from heliograph.storage.backup import BLOBS, DATABASE
from heliograph.storage.data_dir import DataDirLock
from heliograph.storage.keeping import EraseOutput, PutRegeneration
from heliograph.storage.schema import migrate_sqlite
from heliograph.storage.store import (
    MoveWebhookMessage,
    PutApiKey,
    PutAttempt,
    PutIdempotency,
    PutJob,
    PutOutput,
    PutRefusal,
    PutVariant,
    PutWebhookEndpoint,
    PutWebhookMessage,
    Store,
    Write,
)
from tests.builders import an_api_key
from tests.postgres import PostgresServer
from tests.storage.stored_samples import (
    a_case,
    a_deletion,
    a_job,
    a_message,
    a_posting,
    a_record,
    a_refusal,
    a_regeneration,
    a_try,
    a_variant,
    an_attempt,
    an_endpoint,
    an_output,
    opened,
)

ADA = TenantId("ada")
DONE, WAITING = a_job(1, state=JobState.COMPLETED, prompt='a "mill" 🐈 \x00'), a_job(2)

EVERYTHING: tuple[Write, ...] = (
    PutJob(job=DONE),
    PutJob(job=WAITING),
    PutAttempt(attempt=an_attempt(DONE)),
    PutOutput(output=an_output(DONE)),
    PutOutput(output=an_output(DONE, 1, alignment=None)),
    PutOutput(output=an_output(DONE, 2)),
    EraseOutput(deletion=a_deletion(an_output(DONE, 2))),
    PutRegeneration(regeneration=a_regeneration(DONE)),
    PutVariant(variant=a_variant(an_output(DONE))),
    a_posting(DONE, "p1", 700),
    PutIdempotency(record=a_record(DONE)),
    PutApiKey(key=an_api_key("k")),
    PutRefusal(refusal=a_refusal()),
    PutWebhookEndpoint(endpoint=an_endpoint()),
    opened(a_case()),
    PutWebhookMessage(message=a_message()),
    MoveWebhookMessage(message=a_message(), tried=a_try()),
)

MadeSettings = Callable[[str, str], Settings]


@pytest.fixture
def made_settings(request: pytest.FixtureRequest, tmp_path: Path) -> MadeSettings:
    """Settings of an installation by name, with its jobs in either kind of store."""

    def make(name: str, kind: str) -> Settings:
        url = None
        if kind == "postgres":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            database = server.fresh_database()
            request.addfinalizer(lambda: server.drop_database(database))
            url = server.url(database)
        (tmp_path / name).mkdir()
        return Settings(data_dir=tmp_path / name, store=StoreSettings.model_validate({"url": url}))

    return make


async def filled(settings: Settings, *writes: Write) -> None:
    store = await app.open_store(settings, claims=True)
    await store.commit(writes)
    await store.close()


async def contents(store: Store) -> list[object]:
    return [
        await store.jobs(ADA, limit=9),
        await store.open_jobs(),
        await store.attempts(DONE.job_id),
        await store.ledger(DONE.job_id),
        await store.idempotency(ADA, "/v1/jobs", "k1"),
        await store.api_keys(),
        await store.refusals(ADA, limit=9),
        await store.webhook_endpoints(),
        await store.webhook_messages(ADA, limit=9),
        await store.webhook_tries(MessageId("m1")),
        await store.keepings(before_s=9e9, limit=9),
        await store.deletions(ADA, limit=9),
        await store.regenerations(an_output(DONE).output_id, limit=9),
        await store.cases_of_job(DONE.job_id),
        await store.case_actions(a_case().case_id),
    ]


@pytest.mark.parametrize("kind_before", ["sqlite", "postgres"])
@pytest.mark.parametrize("kind_after", ["sqlite", "postgres"])
async def test_either_store_is_restored_from_either(
    made_settings: MadeSettings, tmp_path: Path, kind_before: str, kind_after: str
) -> None:
    before, after = made_settings("before", kind_before), made_settings("after", kind_after)
    running = await app.open_store(before, claims=True)  # as a server has it open
    await running.commit(EVERYTHING)
    for name in ("link.key", "webhook.key"):
        (before.data_dir / name).write_bytes(name.encode())
    manifest = await asyncio.to_thread(app.back_up, before, tmp_path / "out", has_pictures=False)
    assert manifest.rows == {
        **dict.fromkeys(manifest.rows, 1),
        **{"jobs": 2, "outputs": 2, "output_keeping": 2, "ledger_lines": 2},
    }
    assert len(manifest.rows) == 16
    assert await asyncio.to_thread(app.restore, after, tmp_path / "out") == (manifest, 0)

    restored = await app.open_store(after, claims=True)
    assert await contents(restored) == await contents(running)
    for name in ("link.key", "webhook.key"):
        assert (after.data_dir / name).read_bytes() == name.encode()
        assert (after.data_dir / name).stat().st_mode & 0o777 == 0o600
    more: tuple[Write, ...] = (a_posting(DONE, "p2", 5), PutWebhookMessage(message=a_message("m2")))
    await restored.commit(more)  # what counts up by itself goes on
    await running.commit(more)
    assert await contents(restored) == await contents(running)
    await restored.close()
    await running.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_backup_under_load_is_one_moment(made_settings: MadeSettings, tmp_path: Path, kind: str) -> None:
    settings = made_settings("busy", kind)
    store = await app.open_store(settings, claims=True)
    is_over = False

    async def write() -> None:
        sequence = 0
        while not is_over:
            sequence += 1
            job = a_job(sequence)
            await store.commit([PutJob(job=job), PutOutput(output=an_output(job)), a_posting(job, job.job_id, 7)])

    writing = asyncio.create_task(write())
    for number in range(3):
        manifest = await asyncio.to_thread(app.back_up, settings, tmp_path / str(number), has_pictures=False)
        assert manifest.rows["jobs"] == manifest.rows["outputs"] == manifest.rows["ledger_lines"] / 2
    is_over = True
    await writing
    assert manifest.rows["jobs"] > 0
    await store.close()


async def a_picture(settings: Settings, content: bytes) -> str:
    blobs = DiskBlobStore(settings.data_dir / BLOBS)
    name = await blobs.put(content, suffix="png")
    await blobs.close()
    return name


async def with_picture(settings: Settings, content: bytes) -> str:
    """One finished job, its only picture of this content; the name of its file."""
    name = await a_picture(settings, content)
    output = replace(an_output(DONE), sha256=name.partition(".")[0], blob=name, thumbnail_blob=name)
    await filled(settings, PutJob(job=DONE), PutOutput(output=output))
    return name


async def test_pictures_are_copied_on_demand_and_checked_on_the_way_back(
    made_settings: MadeSettings, tmp_path: Path
) -> None:
    before, after, spoiled = (made_settings(name, "sqlite") for name in ("before", "after", "spoiled"))
    name = await with_picture(before, b"a picture")
    stray = await a_picture(before, b"of nobody")
    manifest = await asyncio.to_thread(app.back_up, before, tmp_path / "out", has_pictures=True)
    assert (manifest.pictures, manifest.pictures_missing) == (1, 0)
    assert not list((tmp_path / "out").rglob(stray))
    assert app.restore(after, tmp_path / "out") == (manifest, 0)
    assert (after.data_dir / BLOBS / name[:2] / name).read_bytes() == b"a picture"

    (tmp_path / "out" / BLOBS / name[:2] / name).write_bytes(b"a pictura")
    assert app.restore(spoiled, tmp_path / "out") == (manifest, 1)
    assert not (spoiled.data_dir / BLOBS / name[:2] / name).exists()


async def test_a_picture_that_is_not_there_is_counted(made_settings: MadeSettings, tmp_path: Path) -> None:
    settings = made_settings("before", "sqlite")
    name = await with_picture(settings, b"a picture")
    (settings.data_dir / BLOBS / name[:2] / name).unlink()
    manifest = await asyncio.to_thread(app.back_up, settings, tmp_path / "out", has_pictures=True)
    assert (manifest.pictures, manifest.pictures_missing) == (0, 1)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_nothing_is_restored_over_what_is_there(made_settings: MadeSettings, tmp_path: Path, kind: str) -> None:
    settings = made_settings("full", kind)
    await filled(settings, *EVERYTHING)
    await asyncio.to_thread(app.back_up, settings, tmp_path / "out", has_pictures=False)
    with pytest.raises(InvalidRequest, match=r"there already|not empty"):
        await asyncio.to_thread(app.restore, settings, tmp_path / "out")
    with pytest.raises(InvalidRequest, match="out exists"):
        await asyncio.to_thread(app.back_up, settings, tmp_path / "out", has_pictures=False)
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_an_installation_in_use_is_not_restored_into(
    made_settings: MadeSettings, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.storage.postgres.CLAIM_S_MAX", 0.1)
    settings, other = made_settings("before", "sqlite"), made_settings("other", kind)
    await filled(settings, *EVERYTHING)
    await asyncio.to_thread(app.back_up, settings, tmp_path / "out", has_pictures=False)
    running = await app.open_store(other, claims=True)
    with DataDirLock.acquire(other.data_dir if kind == "sqlite" else tmp_path / "elsewhere"):
        with pytest.raises(Unavailable, match="in use by another Heliograph"):
            await asyncio.to_thread(app.restore, other, tmp_path / "out")
        assert await running.last_sequence() == 0
    await running.close()


async def test_another_secret_is_not_overwritten(made_settings: MadeSettings, tmp_path: Path) -> None:
    before, after = made_settings("before", "sqlite"), made_settings("after", "sqlite")
    await filled(before, *EVERYTHING)
    for settings, secret in ((before, b"k" * 32), (after, b"other")):
        (settings.data_dir / "link.key").write_bytes(secret)
    await asyncio.to_thread(app.back_up, before, tmp_path / "out", has_pictures=False)
    with pytest.raises(InvalidRequest, match=r"link\.key is there already"):
        app.restore(after, tmp_path / "out")
    assert not (after.data_dir / DATABASE).exists()


async def test_what_is_no_whole_backup_is_not_restored(made_settings: MadeSettings, tmp_path: Path) -> None:
    before, after = made_settings("before", "sqlite"), made_settings("after", "sqlite")
    await filled(before, *EVERYTHING)
    out = tmp_path / "out"
    await asyncio.to_thread(app.back_up, before, out, has_pictures=False)
    manifest = (out / "manifest.json").read_text()
    for spoiled in ("", "[]", '{"format": 1}', json.dumps({**json.loads(manifest), "format": 2})):
        (out / "manifest.json").write_text(spoiled)
        with pytest.raises(InvalidRequest, match=r"not a backup|format 2"):
            app.restore(after, out)
    (out / "manifest.json").write_text(manifest)
    with (out / DATABASE).open("r+b") as file:
        file.seek(5_000)
        file.write(b"spoiled")
    with pytest.raises(InvalidRequest, match="is damaged"):
        app.restore(after, out)
    assert list(after.data_dir.glob("*.sqlite*")) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_where_nothing_is_nothing_is_backed_up(made_settings: MadeSettings, tmp_path: Path, kind: str) -> None:
    with pytest.raises(NotFound, match="nothing to back up"):
        app.back_up(made_settings("empty", kind), tmp_path / "out", has_pictures=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_backup_leaves_an_older_database_as_it_is_and_is_of_today(
    made_settings: MadeSettings, postgres_server: PostgresServer, tmp_path: Path, kind: str
) -> None:
    old, after = made_settings("old", "sqlite"), made_settings("after", kind)
    database = old.data_dir / DATABASE
    migrate_sqlite(database, revision="0001")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO refusals VALUES ('r1', 'ada', 'prompts', 'violence', 'prompt', 1.0)")
    content = tmp_path / "content"
    shutil.copy(database, content)
    manifest = await asyncio.to_thread(app.back_up, old, tmp_path / "out", has_pictures=False)
    assert manifest.rows["refusals"] == 1
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    await asyncio.to_thread(app.restore, after, tmp_path / "out")
    store = await app.open_store(after, claims=True)
    assert await store.refusals(ADA, limit=9) == (a_refusal(),)
    assert await store.job(JobId("job-1")) is None
    await store.close()


async def test_orders_the_operators_key_and_inputs_are_part_of_it(made_settings: MadeSettings, tmp_path: Path) -> None:
    before, after = made_settings("before", "sqlite"), made_settings("after", "sqlite")
    await filled(before, *EVERYTHING)
    inputs = DiskBlobStore(before.data_dir / "inputs")
    whole, damaged = await inputs.put(b"a sketch", suffix="png"), await inputs.put(b"a mask", suffix="png")
    await inputs.close()
    (before.data_dir / "inputs" / damaged[:2] / damaged).write_bytes(b"spoiled")
    for name in ("operator.key", "orders.json"):
        (before.data_dir / name).write_text(name)
    manifest = await asyncio.to_thread(app.back_up, before, tmp_path / "out", has_pictures=False)
    assert (manifest.pictures, manifest.pictures_missing) == (None, 1)
    assert await asyncio.to_thread(app.restore, after, tmp_path / "out") == (manifest, 0)
    for name in ("operator.key", "orders.json"):
        assert (after.data_dir / name).read_text() == name
    assert (after.data_dir / "inputs" / whole[:2] / whole).read_bytes() == b"a sketch"
    assert not (after.data_dir / "inputs" / damaged[:2] / damaged).exists()
