import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.storage.postgres import PostgresDatabase
from heliograph.storage.schema import ensure_sqlite_schema
from tests.postgres import PostgresServer


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of the current schema; copy it, because migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "empty.db"
    ensure_sqlite_schema(path)
    return path


@pytest.fixture
def database(migrated_database: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated_database, tmp_path / "heliograph.db"))


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> str:
    """The name of a database of the current schema."""
    name = postgres_server.fresh_database()
    PostgresDatabase.open(postgres_server.url(name), claims=False).close()
    return name


@pytest.fixture
def postgres_database(postgres_server: PostgresServer, migrated_postgres: str) -> Iterator[str]:
    """The address of a database of the current schema without rows: emptied after each test, the quicker way."""
    yield postgres_server.url(migrated_postgres)
    tables = (
        "SELECT string_agg(relname, ', ') FROM pg_stat_user_tables "
        "WHERE relname NOT IN ('alembic_version', 'writer_epoch')"
    )
    ((names,),) = postgres_server.execute(migrated_postgres, tables)
    postgres_server.execute(migrated_postgres, f"TRUNCATE {names} RESTART IDENTITY")
