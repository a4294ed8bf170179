"""Servers that end with their test."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.server import FAKE, Server

StartServer = Callable[..., Server]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers of the fake model; `fake` is its options as JSON, `env` more settings."""
    servers: list[Server] = []

    def start(
        *, fake: str = "{}", env: Mapping[str, str] | None = None, data_dir: Path | None = None, wait: bool = True
    ) -> Server:
        more = {**FAKE, "HELIOGRAPH_FLEET__FAKE_ENGINE_OPTIONS": fake, "HELIOGRAPH_FLEET__WORKERS": "1", **(env or {})}
        server = Server(data_dir or tmp_path / "data", more)
        servers.append(server)
        return server.start(wait=wait)

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def built_in_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server of the built-in model for a whole module."""
    server = Server(tmp_path_factory.mktemp("served") / "data").start()
    yield server
    server.stop()
