"""Small real S3 servers for the tests, on this machine: started, frozen, killed and started again on the same port.

`LocalBucket` honours `If-None-Match` and takes any key; `Rclone` checks signatures and overwrites. Neither does both;
what neither does is tried on Ceph's gateway (`ceph.py`).
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

BUCKET = "pictures"
ACCESS_KEY, SECRET_KEY = "AKIDHELIOGRAPH", "a-secret-of-the-tests"
STARTS_WITHIN_S = 20.0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class ObjectServer:
    """A server of the bucket `pictures` in `folder`."""

    def __init__(self, folder: Path) -> None:
        (folder / BUCKET).mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What `pictures.url` says."""
        return f"s3://{BUCKET}"

    @property
    def options(self) -> dict[str, str]:
        """What `pictures.options` says."""
        return {"endpoint": f"http://127.0.0.1:{self.port}", "region": "us-east-1", "access_key_id": ACCESS_KEY}

    @property
    def secret_options(self) -> dict[str, str]:
        """What `pictures.secret_options` says."""
        return {"secret_access_key": SECRET_KEY}

    @property
    def all_options(self) -> Mapping[str, str]:
        """Both together."""
        return self.options | self.secret_options

    def command(self) -> list[str]:
        """How it is started."""
        raise NotImplementedError

    def start(self) -> "ObjectServer":
        """Return once it listens."""
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                assert time.monotonic() < deadline_s, f"{self.command()[0]} does not listen"
                assert self.process.poll() is None, f"{self.command()} ended"
                time.sleep(0.02)

    def freeze(self) -> None:
        """It takes connections and answers nothing; returns once it has really stopped."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """It goes on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def thaw_and_kill(self) -> None:
        """End it, frozen or not."""
        if self.process is not None:
            self.thaw()
        self.kill()

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class LocalBucket(ObjectServer):
    """LocalBucket: conditional puts as S3 does them; no bulk deletion."""

    @property
    def options(self) -> dict[str, str]:
        return super().options | {"disable_bulk_delete": "true"}

    def command(self) -> list[str]:
        return [str(Path(sys.executable).parent / "localbucket"), "--port", str(self.port), str(self.folder)]


class Rclone(ObjectServer):
    """rclone serve s3: signatures are checked, links expire; puts overwrite, and a part is answered with 200."""

    def command(self) -> list[str]:
        spec = find_spec("rclone_api")
        assert spec is not None, "the development dependencies bring rclone"
        assert spec.origin is not None, "it is a package"
        binary = Path(spec.origin).parent / "bin" / "rclone"
        keys = f"{ACCESS_KEY},{SECRET_KEY}"
        listen = f"127.0.0.1:{self.port}"
        return [
            str(binary),
            "serve",
            "s3",
            "--auth-key",
            keys,
            "--addr",
            listen,
            "--dir-cache-time",
            "0s",
            str(self.folder),
        ]
