"""A database as each earlier schema left it, with rows, is brought to today's in either database and loses nothing."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from heliograph.domain.ids import JobId, MessageId, TenantId
from heliograph.storage.postgres import PostgresStore, spelled
from heliograph.storage.schema import REVISIONS, migrate, migrate_sqlite
from heliograph.storage.sqlite import SqliteStore
from heliograph.storage.store import PutOutput, PutWebhookMessage
from tests.postgres import PostgresServer
from tests.storage.stored_samples import a_message, an_output

ADA = TenantId("ada")
OLDER = REVISIONS[:-1]

Rows = list[tuple[str, dict[str, Any]]]

REQUEST = {
    "prompt": "a mill",
    "width_px": 128,
    "height_px": 96,
    "steps": 8,
    "guidance": 3.5,
    "seed": 7,
    "image_count": 1,
}
JOB: dict[str, Any] = {
    "sequence": 1,
    "job_id": "job-1",
    "tenant_id": "ada",
    "tier": "pro",
    "model_id": "painter",
    "state": "completed",
    "attempt": 1,
    "created_at_s": 1.5,
    "finished_at_s": 2.5,
    "data": json.dumps({"timeline": [["pending", 1.5], ["completed", 2.5]], "request": REQUEST}),
}
OPEN_JOB = {**JOB, "sequence": 2, "job_id": "job-2", "state": "pending", "attempt": 0, "finished_at_s": None}
ATTEMPT: dict[str, Any] = {
    "job_id": "job-1",
    "number": 1,
    "worker_id": "w",
    "gpu_id": "gpu",
    "gpu_class": "cpu",
    "model_id": "painter",
    "dispatched_at_s": 1.6,
    "ended_at_s": 2.4,
    "gpu_s": 0.8,
    "outcome": "succeeded",
}
PICTURE = {
    "blob": "aa.png",
    "sha256": "aa",
    "size_bytes": 9,
    "output_format": "png",
    "width_px": 128,
    "height_px": 96,
    "seed": 7,
    "thumbnail_blob": "bb.webp",
    "verdict": {"decision": "accept", "reasons": []},
}
OUTPUT: dict[str, Any] = {
    "output_id": "out-1",
    "job_id": "job-1",
    "tenant_id": "ada",
    "position": 0,
    "created_at_s": 2.5,
    "data": json.dumps(PICTURE),
}


def a_line(number: int, account: str, amount_micros: int) -> dict[str, Any]:
    return {
        "posting_id": "p1",
        "line": number,
        "job_id": "job-1",
        "tenant_id": "ada",
        "account": account,
        "component": "gpu_run",
        "amount_micros": amount_micros,
        "at_s": 2.5,
    }


KEY: dict[str, Any] = {
    "key_id": "k",
    "secret_sha256": "s",
    "hint": "hg_a",
    "tenant_id": "ada",
    "tier": "pro",
    "name": "",
    "created_at_s": 1.0,
    "revoked_at_s": None,
}
MESSAGE: dict[str, Any] = {
    "message_id": "m1",
    "event_id": "e1",
    "tenant_id": "ada",
    "job_id": "job-1",
    "target": "we_1",
    "event": "job.completed",
    "at_s": 2.5,
    "state": "waiting",
    "tries": 0,
    "failures": 0,
    "next_at_s": 2.5,
    "ended_at_s": None,
    "last_error": None,
}


def rows_of(revision: str) -> Rows:
    """What a release with that schema may have left behind."""
    rows: Rows = [("jobs", JOB), ("jobs", OPEN_JOB), ("attempts", ATTEMPT), ("api_keys", KEY)]
    rows += [("ledger_lines", a_line(0, "tenant", -700)), ("ledger_lines", a_line(1, "revenue", 700))]
    alignment: dict[str, Any] = {} if revision < "0002" else {"alignment": 0.75}
    files: dict[str, Any] = {} if revision < "0004" else {"blob": "aa.png", "thumbnail_blob": "bb.webp"}
    rows.append(("outputs", OUTPUT | alignment | files))
    if revision >= "0003":
        rows.append(("webhook_messages", MESSAGE))
    return rows


def insert(table: str, row: dict[str, Any]) -> str:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})"


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where an empty database is: a file, or an address."""
    return tmp_path / "old.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def leave_behind(place: Path | str, revision: str) -> None:
    """Make the database of an earlier release, with rows."""
    if isinstance(place, Path):
        migrate_sqlite(place, revision=revision)
        with closing(sqlite3.connect(place)) as connection, connection:
            for table, row in rows_of(revision):
                connection.execute(insert(table, row), row)
    else:
        migrate("postgresql+psycopg", lambda: psycopg.connect(place), begin=(), revision=revision)
        with psycopg.connect(place) as connection:
            for table, row in rows_of(revision):
                connection.execute(spelled(insert(table, row)), row)


async def opened(place: Path | str) -> SqliteStore | PostgresStore:
    return await SqliteStore.open(place) if isinstance(place, Path) else await PostgresStore.open(place, claims=True)


@pytest.mark.parametrize("revision", OLDER)
async def test_every_earlier_schema_is_brought_to_todays_and_keeps_its_rows(place: Path | str, revision: str) -> None:
    leave_behind(place, revision)
    store = await opened(place)
    try:
        stored = await store.job(JobId("job-1"))
        assert stored is not None
        (picture,) = stored.outputs
        assert (stored.job.request.prompt, stored.job.request.upscale) == ("a mill", 1)
        assert (picture.blob, picture.thumbnail_blob, stored.cost_micros) == ("aa.png", "bb.webp", 700)
        assert (None if picture.alignment is None else picture.alignment.score) == (None if revision < "0002" else 0.75)
        assert await store.held_blobs(["aa.png", "bb.webp", "cc.png"]) == {"aa.png", "bb.webp"}
        assert [job.job_id for job in await store.open_jobs()] == ["job-2"]
        attempts = await store.attempts(JobId("job-1"))
        assert [(attempt.gpu_s, attempt.market, attempt.zone) for attempt in attempts] == [(0.8, "reserved", "")]
        totals = await store.ledger_totals(since_s=0.0, until_s=9.0)
        assert {(total.account.value, total.amount_micros) for total in totals} == {("tenant", -700), ("revenue", 700)}
        assert [key.key_id for key in await store.api_keys()] == ["k"]
        assert (await store.webhook_message(MessageId("m1")) is not None) == (revision >= "0003")

        new = an_output(stored.job, 1)
        await store.commit([PutOutput(output=new), PutWebhookMessage(message=a_message("m2"))])
        assert await store.output(new.output_id) == new
        assert (await store.webhook_messages(ADA, limit=1))[0].message_id == "m2"
    finally:
        await store.close()


SHAPE_IN_POSTGRES = """
SELECT 'column', table_name, column_name, data_type || is_nullable || COALESCE(column_default, '')
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'trigger', event_object_table, trigger_name, action_statement FROM information_schema.triggers
ORDER BY 1, 2, 3, 4
"""


async def test_an_upgraded_postgres_has_the_shape_of_a_fresh_one(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    leave_behind(postgres_url, OLDER[0])
    await (await opened(postgres_url)).close()
    fresh = postgres_server.fresh_database()
    await (await opened(postgres_server.url(fresh))).close()
    upgraded = postgres_url.split("?")[0].rpartition("/")[2]
    shapes = [postgres_server.execute(name, SHAPE_IN_POSTGRES) for name in (upgraded, fresh)]
    postgres_server.drop_database(fresh)
    assert len(shapes[0]) > 80
    assert shapes[0] == shapes[1]


def shape_of(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()


def test_an_upgraded_sqlite_has_the_shape_of_a_fresh_one(tmp_path: Path) -> None:
    old, fresh = tmp_path / "old.db", tmp_path / "fresh.db"
    for revision in REVISIONS:
        migrate_sqlite(old, revision=revision)
    migrate_sqlite(fresh)
    assert shape_of(old) == shape_of(fresh)
