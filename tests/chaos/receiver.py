"""A receiver of webhooks that remembers what it acknowledged: `python -m tests.chaos.receiver PORT FILE SECRETS`.

Every accepted delivery is a line in FILE, on disk before the 200. A signature that does not fit is told with 400 and
remembered, too. One in twelve deliveries is turned away with 503, so that every run has retries.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

TURNS_AWAY = 12


class Receiver(BaseHTTPRequestHandler):
    """Answers POST on `/TENANT`."""

    protocol_version = "HTTP/1.1"
    lock = Lock()
    count = 0
    secrets: dict[str, str]
    descriptor: int

    def do_POST(self) -> None:
        """Verify, remember, acknowledge."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        tenant = self.path.strip("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            Webhook(self.secrets[tenant]).verify(body, headers)
            is_genuine = True
        except WebhookVerificationError:
            is_genuine = False
        message = json.loads(body)
        line = {
            "tenant": tenant,
            "webhook_id": headers.get("webhook-id"),
            "type": message.get("type"),
            "job_id": message.get("data", {}).get("id"),
            "is_genuine": is_genuine,
        }
        with self.lock:
            type(self).count += 1
            is_turned_away = self.count % TURNS_AWAY == 0
            if not is_turned_away:
                os.write(self.descriptor, json.dumps(line).encode() + b"\n")
                os.fsync(self.descriptor)
        self.send_response(503 if is_turned_away else 200 if is_genuine else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def main(port: str, file: str, secrets: str) -> None:
    """Serve until killed; `secrets` is a JSON file of `{tenant: whsec_...}`."""
    Receiver.secrets = json.loads(Path(secrets).read_text())
    Receiver.descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ThreadingHTTPServer.allow_reuse_address = True
    ThreadingHTTPServer(("127.0.0.1", int(port)), Receiver).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
