"""The schema that the migrations make, and when they run."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from heliograph.domain.errors import Unavailable
from heliograph.storage import queries, schema
from heliograph.storage.schema import REVISIONS, ensure_sqlite_schema
from heliograph.storage.sqlite_connection import connect
from heliograph.storage.statements import statements_of
from heliograph.storage.store import Write
from tests.storage.stored_samples import a_job, a_posting

QUERIES = {name: sql for name, sql in vars(queries).items() if name.isupper()} | {
    "post_ledger(2)": queries.post_ledger(2)
}


@pytest.fixture
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(database)) as connection:
        yield connection


def schema_of(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()


def test_the_known_revisions_are_the_scripts() -> None:
    scripts = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


def test_a_fresh_database_is_migrated_and_then_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "50%s.db"
    ensure_sqlite_schema(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISIONS[-1],)]
    content = path.read_bytes()
    ensure_sqlite_schema(path)
    assert path.read_bytes() == content


def test_the_migration_tool_is_not_loaded_for_a_current_database(database: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from heliograph.storage.schema import ensure_sqlite_schema;"
        "ensure_sqlite_schema(Path(sys.argv[1]));"
        "print([name for name in ('alembic', 'sqlalchemy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(database)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_newer_database_is_refused_and_untouched(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    content = database.read_bytes()
    with pytest.raises(Unavailable, match="schema 9999") as refused:
        ensure_sqlite_schema(database)
    assert refused.value.code == "database_too_new"
    assert database.read_bytes() == content


def test_a_migration_happens_wholly_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "heliograph.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE refusals (in_the_way)")
    before = schema_of(path)
    with pytest.raises(sqlite3.OperationalError, match="refusals already exists"):
        ensure_sqlite_schema(path)
    assert schema_of(path) == before


def explain(connection: sqlite3.Connection, how: str, name: str) -> list[sqlite3.Row]:
    parameters = dict.fromkeys(re.findall(r":(\w+)", QUERIES[name]), 1)
    return connection.execute(f"{how} {QUERIES[name]}", parameters).fetchall()


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_fits_the_schema(connection: sqlite3.Connection, name: str) -> None:
    assert explain(connection, "EXPLAIN", name)


@pytest.mark.parametrize(
    "name", sorted(QUERIES.keys() - {"API_KEYS", "WEBHOOK_ENDPOINTS", "LEDGER_TOTALS", "DEED_COUNTS"})
)
def test_no_query_walks_or_sorts_a_whole_table(connection: sqlite3.Connection, name: str) -> None:
    steps = [row["detail"] for row in explain(connection, "EXPLAIN QUERY PLAN", name)]
    # What agrees in the index's column may be sorted by the next one: a few rows at a time.
    in_order = [step for step in steps if "FOR RIGHT PART OF ORDER BY" not in step]
    assert [step for step in in_order if step.startswith("USE TEMP B-TREE")] == []
    assert [step for step in steps if step.startswith("SCAN") and step not in CHEAP_SCANS] == []


CHEAP_SCANS = {
    "SCAN idempotency_keys",
    "SCAN refusals",
    "SCAN targets",
    "SCAN posting",
    "SCAN CONSTANT ROW",
    "SCAN 2 CONSTANT ROWS",
}
"""What is forgotten once an hour, and what the query itself made."""


@pytest.mark.parametrize("change", ["UPDATE ledger_lines SET amount_micros = 0", "DELETE FROM ledger_lines"])
def test_the_ledger_cannot_be_rewritten(connection: sqlite3.Connection, change: str) -> None:
    write(connection, a_posting(a_job(1), "p1", 5))
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        connection.execute(change)


def test_a_line_of_a_posting_cannot_be_written_twice(connection: sqlite3.Connection) -> None:
    write(connection, a_posting(a_job(1), "p1", 5))
    again = (
        "INSERT INTO ledger_lines SELECT entry + 9, posting_id, line, job_id, tenant_id, account, component, 7, 1.0, "
        "model_id, tier, gpu, quantity"
    )
    with pytest.raises(sqlite3.IntegrityError, match=r"posting_id, ledger_lines\.line"):
        connection.execute(f"{again} FROM ledger_lines")


def write(connection: sqlite3.Connection, value: Write) -> None:
    for query, parameters in statements_of(value):
        connection.execute(query, parameters)
