"""Settings every test shares, and a real PostgreSQL for those that ask for it."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from tests.postgres import PostgresServer

collect_ignore = ["engines"]
"""They need torch: `make test-engines`, in an environment of its own."""

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def logging_of_each_test_its_own() -> Iterator[None]:
    """The command line writes its log to a stream that is closed with it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests; whoever stops it starts it again."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database of the test's own."""
    name = postgres_server.fresh_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)
