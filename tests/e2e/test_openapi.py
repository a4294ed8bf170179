"""The OpenAPI document against a real server: whatever it allows, no call fails inside, no answer is undocumented."""

import json
import os
import subprocess
import sys

import pytest

from tests.e2e.conftest import StartServer

pytestmark = pytest.mark.e2e

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
"""Not `positive_data_acceptance`: an unknown model or a size that a model lacks cannot be told from a schema. Not the
checks of authentication: pictures may be fetched with a signed link instead of a key."""


def test_the_document_tells_the_truth(start_server: StartServer) -> None:
    server = start_server(env={"HELIOGRAPH_QUEUE__PENDING_MAX": "100000"})
    made = subprocess.run(
        [sys.executable, "-m", "heliograph", "keys", "create", "--tenant", "acme", "--name", "tests", "--json",
         "--data-dir", str(server.data_dir)],
        env=server.env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    key = json.loads(made.stdout)["secret"]
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--checks", ",".join(CHECKS),
        "--header", f"Authorization: Bearer {key}", "--exclude-path-regex", "/events$", "--phases", "coverage,fuzzing",
        "--max-examples", os.environ.get("SCHEMA_EXAMPLES", "8"), "--seed", "7", "--request-timeout", "30",
        "--no-color", "--generation-database", "none",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=server.data_dir.parent)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "Tested: " in done.stdout
