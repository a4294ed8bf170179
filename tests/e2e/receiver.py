"""A webhook receiver as a process of its own: `python -m tests.e2e.receiver PORT FILE`.

What it is sent is appended to FILE, one JSON object a line, before it answers 204; kill it and start it again as you
like. `Receiver` is the handle for tests.
"""

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    file: Path

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            return  # the sender died in the middle of it
        line = json.dumps({"path": self.path, "headers": dict(self.headers), "body": body.decode()}) + "\n"
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Receiver:
    """The process, and what it has heard; made with a free port, which it keeps over restarts."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def start(self) -> "Receiver":
        command = [sys.executable, "-m", "tests.e2e.receiver", str(self.port), str(self.file)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        return self

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def heard(self) -> list[dict[str, Any]]:
        """Every delivery so far, in order of arrival; one that was cut off by a kill is left out."""
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().split("\n")[:-1]]

    def by_job(self) -> dict[str, list[tuple[str, str]]]:
        """For each job the (webhook-id, type) it was told of, repetitions included."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for delivery in self.heard():
            event = json.loads(delivery["body"])
            headers = {name.lower(): value for name, value in delivery["headers"].items()}
            found[event["data"]["id"]].append((headers["webhook-id"], event["type"]))
        return found


def main(port: str, file: str) -> None:
    _Handler.file = Path(file)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), _Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
