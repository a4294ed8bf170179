"""The worker process seen from its socket; what a driver makes of it is in tests/fleet/test_local.py."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from heliograph.domain.errors import EngineErrorKind
from heliograph.domain.events import RunFailed, RunStarted
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.run import RunOrder
from heliograph.worker_wire import PREFIX_BYTES, FromWorker, Ping, Pong, Ready, Run, ToWorker, decode, encode, lengths

ORDER = RunOrder(
    job_id=JobId("job_1"),
    attempt=1,
    model_id=ModelId("another"),
    prompt="a boat",
    negative_prompt="",
    width_px=64,
    height_px=64,
    steps=1,
    guidance=1.0,
    seeds=(1,),
    preview_every=0,
)


@contextmanager
def a_worker() -> Iterator[tuple[socket.socket, "subprocess.Popen[bytes]"]]:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "heliograph.inference.worker", "--fd", str(theirs.fileno())]
    command += ["--engine", "fake", "--model-id", "fake"]
    with (
        ours,
        subprocess.Popen(command, pass_fds=(theirs.fileno(),), stderr=subprocess.PIPE) as process,
    ):
        theirs.close()
        ours.settimeout(10)
        yield ours, process
        ours.close()
        process.wait(timeout=5)


def hear(driver: socket.socket) -> ToWorker | FromWorker:
    def read(count: int) -> bytes:
        content = driver.recv(count, socket.MSG_WAITALL)
        assert len(content) == count, "the worker hung up"
        return content

    header_bytes, payload_bytes = lengths(read(PREFIX_BYTES))
    return decode(read(header_bytes), read(payload_bytes) if payload_bytes else b"")


def test_it_says_ready_answers_pings_and_goes_with_its_driver() -> None:
    with a_worker() as (driver, process):
        assert isinstance(hear(driver), Ready)
        driver.sendall(encode(Ping()) + encode(Ping()))
        assert (hear(driver), hear(driver)) == (Pong(), Pong())
    assert process.returncode == 0


def test_an_order_for_another_model_is_refused() -> None:
    with a_worker() as (driver, _):
        hear(driver)
        driver.sendall(encode(Run(order=ORDER)))
        assert isinstance(hear(driver), RunStarted)
        failed = hear(driver)
    assert isinstance(failed, RunFailed)
    assert (failed.kind, failed.message) == (EngineErrorKind.BAD_INPUT, "this worker runs fake, not another")


@pytest.mark.parametrize("said", [b"\xff" * 64, encode(Pong())], ids=["nonsense", "not for workers"])
def test_a_driver_that_talks_nonsense_ends_it(said: bytes) -> None:
    with a_worker() as (driver, process):
        hear(driver)
        driver.sendall(said)
        assert process.wait(timeout=5) == 1
        assert process.stderr is not None
        assert b"WireError" in process.stderr.read()


def test_only_the_libraries_of_its_engine_are_loaded() -> None:
    program = (
        "import sys, heliograph.inference.worker; from heliograph.inference import fake;"
        "print(*{'onnxruntime', 'fastapi', 'pydantic', 'sqlalchemy', 'asyncio'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == ""
