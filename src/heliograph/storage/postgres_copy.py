"""A PostgreSQL database out of and into a backup. Its file is SQLite's, so either store can be filled from either."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql

from heliograph.domain.errors import InvalidRequest, NotFound
from heliograph.storage.backup import tables_of
from heliograph.storage.postgres import PostgresDatabase
from heliograph.storage.postgres_connection import checked_url, is_medium_failure, spoken, unavailable
from heliograph.storage.schema import REVISION, is_behind, migrate_sqlite
from heliograph.storage.sqlite_copy import upgraded

ROWS_AT_ONCE = 1_000


def copy_out(url: str, target: Path) -> None:
    """Write one committed state of the database to the new SQLite file `target`, while a server works on it.

    The copy has this release's schema; the database stays as it is. Raises `Unavailable` for one of a newer release.
    """
    target.touch(mode=0o600)
    try:
        with psycopg.connect(checked_url(url)) as source, closing(sqlite3.connect(target)) as copy:
            source.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            source.read_only = True
            migrate_sqlite(target, revision=_revision(source, url))
            for table in tables_of(copy):
                columns = _columns_of(copy, table)
                query = sql.SQL("SELECT {} FROM {}").format(
                    sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table)
                )
                places = ", ".join("?" * len(columns))
                insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 -- their own names
                with source.cursor(name="backup") as rows:
                    rows.itersize = ROWS_AT_ONCE
                    copy.executemany(insert, rows.execute(query))
            copy.commit()
        upgraded(target)
    except psycopg.Error as error:
        if not is_medium_failure(error):
            raise
        raise unavailable(error, spoken(url)) from error


def copy_in(source: Path, url: str, scratch: Path) -> None:
    """Fill the database from a backup's file, all or nothing; `scratch` is a file that may be made for a while.

    Raises `InvalidRequest` when there is anything in it, `Unavailable` while a server works on it.
    """
    scratch.unlink(missing_ok=True)
    database = PostgresDatabase.open(url, claims=True)  # holds the lock, and makes the tables
    try:
        shutil.copyfile(source, scratch)
        upgraded(scratch)
        with closing(sqlite3.connect(scratch)) as copy, psycopg.connect(checked_url(url)) as target:
            for table in tables_of(copy):
                if target.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table))).fetchone():
                    raise InvalidRequest(
                        f"The database {spoken(url)} is not empty: restore into a new one.", param="store.url"
                    )
            for table in tables_of(copy):
                _fill(target, copy, table)
    except psycopg.Error as error:
        if not is_medium_failure(error):
            raise
        raise unavailable(error, spoken(url)) from error
    finally:
        scratch.unlink(missing_ok=True)
        database.close()


def _revision(connection: psycopg.Connection[Any], url: str) -> str:
    is_new = connection.execute("SELECT to_regclass('alembic_version') IS NULL").fetchone()
    if is_new == (True,):
        raise NotFound(f"There is nothing to back up: the database {spoken(url)} has no tables.", param="store.url")
    (revision,) = connection.execute(REVISION).fetchone() or (None,)
    is_behind(revision, database=spoken(url))
    return str(revision)


def _fill(target: psycopg.Connection[Any], copy: sqlite3.Connection, table: str) -> None:
    columns = _columns_of(copy, table)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    rows = copy.execute(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608 -- their own names
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
    with target.cursor() as cursor, cursor.copy(into) as lines:
        for row in rows:
            lines.write_row(row)
    if "entry" in columns:  # counts up by itself: from here on
        count_up = "SELECT setval(pg_get_serial_sequence({}, 'entry'), COALESCE(MAX(entry), 0) + 1, false) FROM {}"
        target.execute(sql.SQL(cast("LiteralString", count_up)).format(sql.Literal(table), sql.Identifier(table)))


def _columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
