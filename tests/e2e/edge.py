"""Debian's nginx with the shipped configuration, between the test and a real server."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import httpx

from tests.object_servers import free_port

SHIPPED = Path(__file__).parents[2] / "deploy" / "edge" / "heliograph-edge.conf"
SECRET = "a-secret-of-the-tests-of-the-edge"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
ALIVE_S = 1
"""How long nginx believes that a picture is there; ten seconds in the shipped file."""


class Edge:
    """One nginx in `folder`; `start` it once the server's port is known."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=20, trust_env=False)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, server_port: int) -> "Edge":
        """Return once it answers."""
        assert NGINX is not None, "nginx is installed"
        shipped = SHIPPED.read_text()
        own = {
            "server 127.0.0.1:8000;": f"server 127.0.0.1:{server_port};",
            "listen 8080;": f"listen 127.0.0.1:{self.port};",
            "change-me-change-me-change-me": SECRET,
            "/var/cache/nginx/": f"{self.folder}/",
            " 10s;": f" {ALIVE_S}s;",
        }
        for what, mine in own.items():
            assert what in shipped, f"{what} is in the shipped file"
            shipped = shipped.replace(what, mine)
        folders = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "\n".join(f"{name}_temp_path {self.folder}/{name};" for name in folders)
        main = self.folder / "nginx.conf"
        user = "user root; " if os.geteuid() == 0 else ""  # else its workers may not look into the test's folder
        main.write_text(
            f"{user}daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log info;\n"
            f"events {{ worker_connections 256; }}\nhttp {{ access_log off;\n{temporary}\n{shipped}\n}}\n"
        )
        command = [NGINX, "-p", str(self.folder), "-e", f"{self.folder}/error.log", "-c", str(main)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline_s = time.monotonic() + 20
        while True:
            try:
                self.http.get("/")
                return self
            except httpx.TransportError:
                log = self.folder / "error.log"
                assert self._process.poll() is None, log.read_text() if log.exists() else "nginx ended"
                assert time.monotonic() < deadline_s, "nginx does not listen"
                time.sleep(0.02)

    def stop(self) -> None:
        """End it with its worker."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None
        self.http.close()
