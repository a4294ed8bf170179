"""What the PostgreSQL store promises beyond the contract, on a real server: cut off, frozen, killed, its disk full."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from heliograph.domain.errors import InvalidRequest, Superseded, Unavailable
from heliograph.domain.ids import TenantId
from heliograph.storage import postgres_connection, queries
from heliograph.storage.postgres import PostgresStore, spelled
from heliograph.storage.postgres_connection import checked_url, spoken
from heliograph.storage.schema import REVISIONS
from heliograph.storage.store import PutJob, PutRefusal
from tests.postgres import PostgresServer
from tests.storage.stored_samples import a_job, a_posting, a_refusal

ADA = TenantId("ada")


@pytest.fixture
async def store(postgres_database: str) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(postgres_database, claims=True)
    yield store
    await store.close()


@pytest.fixture(scope="module")
def lone_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def own_server(lone_server: PostgresServer) -> Iterator[PostgresServer]:
    """A server that may be mistreated; it is well again for the next test."""
    yield lone_server
    lone_server.revive()


def database_of(url: str) -> str:
    return url.split("?")[0].rpartition("/")[2]


async def put(store: PostgresStore, *sequences: int) -> None:
    await store.commit([PutJob(job=a_job(sequence)) for sequence in sequences])


async def sequences(store: PostgresStore) -> list[int]:
    return [job.sequence for job in await store.open_jobs()]


# --- opening ---------------------------------------------------------------------------------------------------------


async def test_an_empty_database_gets_its_tables_and_then_is_left_alone(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    tables = "SELECT oid::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    first = await PostgresStore.open(postgres_url, claims=True)
    await put(first, 1)
    await first.close()
    name = database_of(postgres_url)
    before = postgres_server.execute(name, tables)
    second = await PostgresStore.open(postgres_url, claims=False)
    assert await sequences(second) == [1]
    await second.close()
    assert postgres_server.execute(name, tables) == before
    assert postgres_server.execute(name, "SELECT version_num FROM alembic_version") == [(REVISIONS[-1],)]


async def test_a_newer_database_is_refused(postgres_url: str, postgres_server: PostgresServer) -> None:
    await (await PostgresStore.open(postgres_url, claims=True)).close()
    postgres_server.execute(database_of(postgres_url), "UPDATE alembic_version SET version_num = '9999'")
    for claims in (True, False):
        with pytest.raises(Unavailable, match="schema 9999") as refused:
            await PostgresStore.open(postgres_url, claims=claims)
        assert refused.value.code == "database_too_new"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("?host=", "?host=/nowhere"), "it does not answer: see that it runs"),
        (("/test_", "/no_such_"), 'database "no_such_.*" does not exist'),
        (("heliograph@", "nobody-known:s3cret@"), "it refuses the session"),
    ],
)
async def test_what_cannot_be_reached_says_what_to_look_at(
    postgres_url: str, change: tuple[str, str], said: str
) -> None:
    with pytest.raises(Unavailable, match=said) as refused:
        await PostgresStore.open(postgres_url.replace(*change), claims=True)
    assert refused.value.code == "store_unavailable"
    assert "s3cret" not in refused.value.message


def test_a_string_that_names_no_database_is_the_callers_fault_and_not_repeated() -> None:
    with pytest.raises(InvalidRequest, match="store") as refused:
        checked_url("postgresql://user:s3cret@host?no_such_parameter=1")
    assert "s3cret" not in refused.value.message


def test_messages_name_the_database_without_secrets() -> None:
    assert spoken("postgresql://ada:s3cret@db.example:6432/pictures") == "pictures at db.example:6432"
    assert spoken("dbname=pictures password=s3cret") == "pictures at localhost"


def test_what_the_operator_says_comes_before_what_we_would_say() -> None:
    assert "connect_timeout=60" in checked_url("postgresql://host/name?connect_timeout=60")
    assert "connect_timeout=5" in checked_url("postgresql://host/name")


def test_queries_are_spelled_for_the_driver() -> None:
    everything = {name: sql for name, sql in vars(queries).items() if name.isupper()}
    assert spelled("SELECT :a, :b_2 FROM t") == b"SELECT %(a)s, %(b_2)s FROM t"
    assert [name for name, sql in everything.items() if "%" in sql or "::" in sql] == []


# --- writing ---------------------------------------------------------------------------------------------------------


async def test_concurrent_callers_share_transactions(store: PostgresStore) -> None:
    async with asyncio.TaskGroup() as tasks:
        for sequence in range(1, 201):
            tasks.create_task(put(store, sequence))
    assert await store.last_sequence() == 200
    assert store.transaction_count <= 20


async def test_what_cannot_be_sent_fails_its_caller_alone(store: PostgresStore) -> None:
    too_large = PutJob(job=a_job(2**63))
    no_text = PutRefusal(refusal=a_refusal(category="\x00"))
    results = await asyncio.gather(
        store.commit([too_large]), put(store, 1), store.commit([no_text]), put(store, 2), return_exceptions=True
    )
    assert [result is None for result in results] == [False, True, False, True]
    assert not any(isinstance(result, Unavailable) for result in results)
    assert await sequences(store) == [1, 2]


async def test_commits_wait_for_the_disk_whatever_the_default_is(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    postgres_server.execute("postgres", f"ALTER DATABASE {database_of(postgres_url)} SET synchronous_commit = off")
    store = await PostgresStore.open(postgres_url, claims=True)
    shown = await asyncio.to_thread(
        store._database.commit,  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        [[("SELECT 1 / (CASE current_setting('synchronous_commit') WHEN 'on' THEN 1 ELSE 0 END)", {})]],
    )
    await store.close()
    assert shown == [None]


@pytest.mark.parametrize("change", ["UPDATE ledger_lines SET amount_micros = 0", "DELETE FROM ledger_lines"])
async def test_the_ledger_cannot_be_rewritten(
    store: PostgresStore, postgres_database: str, postgres_server: PostgresServer, change: str
) -> None:
    await store.commit([PutJob(job=a_job(1)), a_posting(a_job(1), "p1", 5)])
    with pytest.raises(Exception, match="append only"):
        postgres_server.execute(database_of(postgres_database), change)


# --- one server at a time --------------------------------------------------------------------------------------------


async def test_a_second_server_is_told_about_the_first_and_other_programs_are_let_in(
    store: PostgresStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.storage.postgres.CLAIM_S_MAX", 0.2)
    with pytest.raises(Unavailable, match=r"by another Heliograph: heliograph on .*, process") as refused:
        await PostgresStore.open(postgres_database, claims=True)
    assert refused.value.code == "store_locked"
    other = await PostgresStore.open(postgres_database, claims=False)
    await other.commit([PutRefusal(refusal=a_refusal())])
    await other.close()
    assert len(await store.refusals(ADA, limit=9)) == 1


async def test_the_next_server_waits_a_moment_for_the_one_that_ends(postgres_database: str) -> None:
    first = await PostgresStore.open(postgres_database, claims=True)
    second = asyncio.create_task(PostgresStore.open(postgres_database, claims=True))
    await asyncio.sleep(0.2)
    await first.close()
    await (await second).close()


CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database()
"""


async def test_a_server_that_was_cut_off_goes_on(
    store: PostgresStore, postgres_database: str, postgres_server: PostgresServer
) -> None:
    await put(store, 1)
    assert await sequences(store) == [1]
    postgres_server.execute(database_of(postgres_database), CUT)
    assert await sequences(store) == [1]
    await put(store, 2)
    assert await sequences(store) == [1, 2]


async def test_a_server_that_was_overtaken_writes_nothing_more(
    store: PostgresStore, postgres_database: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.storage.postgres.CLAIM_S_MAX", 0.2)
    await put(store, 1)
    postgres_server.execute(database_of(postgres_database), CUT)
    other = await PostgresStore.open(postgres_database, claims=True)
    for _ in range(2):  # while the other lives, and when it has gone
        with pytest.raises((Superseded, Unavailable)):
            await put(store, 2)
        await other.close()
    with pytest.raises(Superseded, match="taken over"):
        await put(store, 2)
    check = await PostgresStore.open(postgres_database, claims=False)
    assert await sequences(check) == [1]
    await check.close()


# --- bad luck --------------------------------------------------------------------------------------------------------


async def test_a_server_that_was_killed_is_missed_and_found_again(own_server: PostgresServer) -> None:
    store = await PostgresStore.open(own_server.url(own_server.fresh_database()), claims=True)
    await put(store, 1)
    own_server.kill()
    results = await asyncio.gather(put(store, 2), put(store, 3), store.open_jobs(), return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3
    own_server.start()
    assert await sequences(store) == [1]
    await put(store, 4)
    assert await sequences(store) == [1, 4]
    await store.close()


async def test_a_server_that_does_not_answer_is_given_up_and_found_again(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "STALL_S_MAX", 0.3)
    store = await PostgresStore.open(own_server.url(own_server.fresh_database()) + "&connect_timeout=2", claims=True)
    await put(store, 1)
    assert await sequences(store) == [1]
    own_server.freeze()
    results = await asyncio.gather(put(store, 2), store.open_jobs(), return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 2
    own_server.thaw()
    await put(store, 3)
    assert 3 in await sequences(store)
    await store.close()


def noise(size: int) -> str:
    """Text that cannot be compressed."""
    return random.Random(size).randbytes(size // 2).hex()


async def test_a_full_disk_is_reported_and_the_store_recovers_by_itself(own_server: PostgresServer) -> None:
    """The server's files may not grow beyond the 16 MiB that its log has already: a table that does hits the limit."""
    store = await PostgresStore.open(own_server.url(own_server.fresh_database()), claims=True)
    await put(store, 1)
    pids = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'heliograph%'"
    for (pid,) in own_server.execute("postgres", pids):
        own_server.limit_files(pid, 16 * 2**20)
    large = [PutJob(job=a_job(sequence, prompt=noise(300_000))) for sequence in range(10, 45)]
    with pytest.raises(Unavailable):
        await store.commit(large)
    assert await sequences(store) == [1]
    await put(store, 3)
    for (pid,) in own_server.execute("postgres", pids):
        own_server.limit_files(pid, None)
    await store.commit(large)
    assert await sequences(store) == [1, 3, *range(10, 45)]
    await store.close()


COMMIT_FOREVER = """
import asyncio, itertools, os, sys
from heliograph.storage.postgres import PostgresStore
from heliograph.storage.store import PutJob, PutOutput
from tests.storage.stored_samples import a_job, a_posting, an_output

async def main():
    store = await PostgresStore.open(sys.argv[1], claims=True)
    sequences = itertools.count(1)
    async def caller():
        for sequence in sequences:
            job = a_job(sequence)
            await store.commit([PutJob(job=job), PutOutput(output=an_output(job)), a_posting(job, job.job_id, 7)])
            os.write(1, f"{job.job_id}\\n".encode())
    await asyncio.gather(*(caller() for _ in range(8)))

asyncio.run(main())
"""


async def test_nothing_acknowledged_is_lost_to_kill_9(postgres_database: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", COMMIT_FOREVER, postgres_database], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline() for _ in range(300)]
        child.kill()
        acknowledged += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    store = await PostgresStore.open(postgres_database, claims=True)  # the lock went with the process
    kept = {stored.job.job_id: stored for stored in await store.jobs(ADA, limit=1_000_000)}
    await store.close()
    assert {line.decode().strip() for line in acknowledged} <= kept.keys()
    assert all(len(stored.outputs) == 1 and stored.cost_micros == 7 for stored in kept.values())


async def test_a_closed_store_says_so(postgres_database: str) -> None:
    store = await PostgresStore.open(postgres_database, claims=True)
    await store.close()
    await store.close()
    with pytest.raises(Unavailable, match="shutting down"):
        await put(store, 1)
