"""A short run of `python -m benchmarks.killed_deliveries`."""

from pathlib import Path

import pytest
from benchmarks.killed_deliveries import deliver_under_kills

pytestmark = pytest.mark.e2e


def test_no_kill_leaves_half_a_picture_or_a_job_without_one(tmp_path: Path) -> None:
    found = deliver_under_kills(tmp_path, deliveries=16, kills=2)
    assert (found.lost, found.half, found.missing, found.damaged, found.wrong, found.orphans) == (0,) * 6
