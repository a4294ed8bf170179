import shutil
from pathlib import Path

import pytest

from heliograph.storage.schema import ensure_sqlite_schema


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of the current schema; copy it, because migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "empty.db"
    ensure_sqlite_schema(path)
    return path


@pytest.fixture
def database(migrated_database: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated_database, tmp_path / "heliograph.db"))
