"""One server per data directory."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.domain.errors import Unavailable
from heliograph.storage.data_dir import DataDirLock, Holder, holder

HOLD_FOREVER = """
import sys, time
from pathlib import Path
from heliograph.storage.data_dir import DataDirLock
lock = DataDirLock.acquire(Path(sys.argv[1]))
lock.publish("http://127.0.0.1:8000")
print("held", flush=True)
time.sleep(600)
"""


def test_the_holder_is_known_while_it_holds(tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "data"
    assert holder(data_dir) is None
    with DataDirLock.acquire(data_dir) as lock:
        assert holder(data_dir) == Holder(pid=os.getpid(), url=None)
        lock.publish("http://127.0.0.1:8000/a-rather-long-address")
        lock.publish("http://127.0.0.1:8000")
        assert holder(data_dir) == Holder(pid=os.getpid(), url="http://127.0.0.1:8000")
    assert holder(data_dir) is None
    DataDirLock.acquire(data_dir).release()


def test_a_holder_that_has_not_written_yet_is_unknown(tmp_path: Path) -> None:
    with DataDirLock.acquire(tmp_path):
        (tmp_path / "lock").write_bytes(b"")
        assert holder(tmp_path) == Holder(pid=None, url=None)


def test_a_second_server_is_told_about_the_first_until_that_one_dies(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD_FOREVER, str(tmp_path)], stdout=subprocess.PIPE) as first:
        try:
            assert first.stdout is not None
            assert first.stdout.readline() == b"held\n"
            assert holder(tmp_path) == Holder(pid=first.pid, url="http://127.0.0.1:8000")
            with pytest.raises(Unavailable, match=f"process {first.pid}, http://127.0.0.1:8000") as refused:
                DataDirLock.acquire(tmp_path)
            assert refused.value.code == "data_dir_locked"
        finally:
            first.kill()
    assert first.returncode == -signal.SIGKILL
    assert holder(tmp_path) is None
    DataDirLock.acquire(tmp_path).release()


def test_a_directory_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="Make it writable or choose another") as refused:
        DataDirLock.acquire(tmp_path / "file")
    assert refused.value.code == "data_dir_unusable"
