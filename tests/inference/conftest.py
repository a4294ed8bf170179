from pathlib import Path

import pytest

from tests.inference import tiny_models


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights with the models of `tiny_models`; not to be written to."""
    root = tmp_path_factory.mktemp("weights")
    tiny_models.write_models(root)
    return root
