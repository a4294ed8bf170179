"""What the SQLite store promises beyond the contract: group commit, durability, and living through a bad disk."""

import asyncio
import random
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from heliograph.domain.errors import Unavailable
from heliograph.domain.ids import TenantId
from heliograph.storage.group_commit import WAITING_MAX
from heliograph.storage.sql_store import SqlStore
from heliograph.storage.sqlite import SqliteDatabase, SqliteStore
from heliograph.storage.sqlite_connection import connect, medium_failures_as_unavailable
from heliograph.storage.store import PutJob, PutRefusal
from tests.storage.stored_samples import a_job, a_refusal

ADA = TenantId("ada")


@pytest.fixture
async def store(database: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(database)
    yield store
    await store.close()


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
"""2 is FULL: synced at every commit."""


def test_every_commit_is_synced(database: Path) -> None:
    with closing(connect(database)) as connection:
        settings = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}
    assert settings == PRAGMAS


async def test_concurrent_callers_share_transactions(store: SqliteStore) -> None:
    async with asyncio.TaskGroup() as tasks:
        for sequence in range(1, 201):
            tasks.create_task(store.commit([PutJob(job=a_job(sequence))]))
    assert await store.last_sequence() == 200
    assert store.transaction_count <= 20


async def test_more_callers_than_may_wait_are_served_in_turn(store: SqliteStore) -> None:
    count = WAITING_MAX + 100
    writes = [[PutRefusal(refusal=a_refusal(str(index)))] for index in range(count)]
    await asyncio.gather(*map(store.commit, writes))
    assert store.transaction_count >= 2


async def test_a_cancelled_caller_harms_nobody(store: SqliteStore) -> None:
    gone = asyncio.create_task(store.commit([PutJob(job=a_job(1))]))
    stays = asyncio.create_task(store.commit([PutJob(job=a_job(2))]))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await store.last_sequence() == 2


async def test_what_cannot_be_bound_fails_its_caller_alone(store: SqliteStore) -> None:
    too_large = PutJob(job=a_job(2**63))
    results = await asyncio.gather(
        store.commit([too_large]), store.commit([PutJob(job=a_job(1))]), return_exceptions=True
    )
    assert [type(result) for result in results] == [OverflowError, type(None)]
    assert await store.last_sequence() == 1


async def test_everything_is_there_after_reopening(database: Path) -> None:
    first = await SqliteStore.open(database)
    commits = asyncio.gather(*(first.commit([PutJob(job=a_job(sequence))]) for sequence in range(1, 101)))
    await asyncio.sleep(0)
    await first.close()  # finishes what is under way
    await commits
    second = await SqliteStore.open(database)
    assert len(await second.open_jobs()) == 100
    await second.close()


async def test_a_second_store_on_the_file_takes_turns(store: SqliteStore, database: Path) -> None:
    other = await SqliteStore.open(database)
    await asyncio.gather(*((store, other)[n % 2].commit([PutJob(job=a_job(n))]) for n in range(1, 21)))
    await other.close()
    assert len(await store.open_jobs()) == 20


async def test_a_closed_store_says_so(database: Path) -> None:
    store = await SqliteStore.open(database)
    await store.close()
    await store.close()
    with pytest.raises(Unavailable, match="shutting down"):
        await store.commit([PutJob(job=a_job(1))])
    with pytest.raises(Unavailable, match="shutting down"):
        await store.last_sequence()


@contextmanager
def files_limited_to(size_bytes: int) -> Generator[None]:
    """Nothing in this process can make a file grow beyond `size_bytes`: writes fail as they do on a bad disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_reported_and_the_store_recovers_by_itself(store: SqliteStore, database: Path) -> None:
    await store.commit([PutJob(job=a_job(1))])
    log = database.with_name(database.name + "-wal")
    with files_limited_to(log.stat().st_size + 20_000):
        large = [PutJob(job=a_job(sequence, prompt="x" * 30_000)) for sequence in (2, 3)]
        results = await asyncio.gather(
            store.commit(large), store.commit([PutJob(job=a_job(4))]), return_exceptions=True
        )
        for result in results:
            assert isinstance(result, Unavailable)
            assert str(database) in result.message
            assert "free space" in result.message
        assert [job.sequence for job in await store.open_jobs()] == [1]
    await store.commit(large)
    assert [job.sequence for job in await store.open_jobs()] == [1, 2, 3]


async def test_a_database_that_may_not_grow_recovers_when_it_may(database: Path) -> None:
    writing = connect(database)
    store = SqlStore(SqliteDatabase(database, writing=writing, reading=connect(database)))
    writing.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size instead
    with pytest.raises(Unavailable, match="free some space"):
        await store.commit([PutJob(job=a_job(1)), PutJob(job=a_job(2, prompt="x" * 30_000))])
    writing.execute("PRAGMA max_page_count = 1000000")
    await store.commit([PutJob(job=a_job(3))])
    assert [job.job_id for job in await store.open_jobs()] == ["job-3"]
    await store.close()


async def test_an_unforeseen_error_is_told_and_does_not_stop_the_next_transaction(database: Path) -> None:
    def no_commit(action: int, operation: str | None, *_: object) -> int:
        is_commit = action == sqlite3.SQLITE_TRANSACTION and operation == "COMMIT"
        return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK

    writing = connect(database)
    store = SqlStore(SqliteDatabase(database, writing=writing, reading=connect(database)))
    writing.set_authorizer(no_commit)
    with pytest.raises(RuntimeError, match="not authorized"):
        await store.commit([PutJob(job=a_job(1))])
    writing.set_authorizer(None)
    await store.commit([PutJob(job=a_job(2))])
    assert [job.job_id for job in await store.open_jobs()] == ["job-2"]
    await store.close()


def fill(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1")
    connection.execute("CREATE TABLE more (text)")


def write_where_only_reading_is_allowed(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = 1")
    connection.execute("DELETE FROM jobs")


def meet_a_lock(connection: sqlite3.Connection) -> None:
    path = connection.execute("PRAGMA database_list").fetchone()["file"]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("BEGIN IMMEDIATE")


@pytest.mark.parametrize(
    ("provoke", "advice"),
    [
        (fill, "free some space"),
        (write_where_only_reading_is_allowed, "make the file and its folder writable"),
        (meet_a_lock, "end that process"),
    ],
)
def test_failures_of_the_medium_say_what_to_do(
    database: Path, provoke: Callable[[sqlite3.Connection], None], advice: str
) -> None:
    with (
        closing(connect(database)) as connection,
        pytest.raises(Unavailable, match=advice),
        medium_failures_as_unavailable(database),
    ):
        provoke(connection)


def test_a_wrong_statement_is_a_bug_and_stays_one(database: Path) -> None:
    with (
        closing(connect(database)) as connection,
        pytest.raises(sqlite3.OperationalError, match="no such table"),
        medium_failures_as_unavailable(database),
    ):
        connection.execute("SELECT * FROM nonsense")


async def test_what_is_no_database_or_has_no_folder_is_not_opened(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"this is a text file, not a database " * 100)
    with pytest.raises(Unavailable, match="not a database"):
        await SqliteStore.open(garbage)
    assert garbage.read_bytes().startswith(b"this is a text file")
    with pytest.raises(Unavailable, match="folder must exist"):
        await SqliteStore.open(tmp_path / "missing" / "heliograph.db")


COMMIT_FOREVER = """
import asyncio, itertools, os, sys
from pathlib import Path
from tests.storage.stored_samples import a_job, a_posting, an_output
from heliograph.storage.group_commit import WAITING_MAX
from heliograph.storage.sqlite import SqliteDatabase, SqliteStore
from heliograph.storage.sql_store import SqlStore
from heliograph.storage.store import PutJob, PutOutput

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    sequences = itertools.count(1)
    async def caller():
        for sequence in sequences:
            job = a_job(sequence)
            await store.commit([PutJob(job=job), PutOutput(output=an_output(job)), a_posting(job, job.job_id, 7)])
            os.write(1, f"{job.job_id}\\n".encode())
    await asyncio.gather(*(caller() for _ in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_acknowledged_is_lost_to_kill_9(database: Path, seed: int) -> None:
    acknowledged_before_kill = random.Random(seed).randrange(1, 400)
    with subprocess.Popen(
        [sys.executable, "-c", COMMIT_FOREVER, str(database)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline() for _ in range(acknowledged_before_kill)]
        child.kill()
        acknowledged += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL

    store = await SqliteStore.open(database)
    kept = {stored.job.job_id: stored for stored in await store.jobs(ADA, limit=1_000_000)}
    await store.close()
    assert {line.decode().strip() for line in acknowledged} <= kept.keys()
    assert all(len(stored.outputs) == 1 and stored.cost_micros == 7 for stored in kept.values())
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("SELECT SUM(amount_micros) FROM ledger_lines").fetchone() == (0,)
