from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.engines.tiny_pipelines import write_pipelines


def pytest_configure(config: pytest.Config) -> None:
    """Schedulers of diffusers give tensors to numpy in a way that numpy is about to change."""
    for start in ("__array__ implementation", "__array_wrap__ must accept"):
        config.addinivalue_line("filterwarnings", f"ignore:{start}:DeprecationWarning")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """As a worker has it; two threads on two cores only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every pipeline of `tiny_pipelines`; not to be written to."""
    root = tmp_path_factory.mktemp("pipelines")
    write_pipelines(root)
    return root
