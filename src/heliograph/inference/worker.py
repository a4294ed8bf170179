"""The worker process: one loaded model, orders in on a socket, progress and pictures out.

    python -m heliograph.inference.worker --fd 3 --engine onnx --model-id helio-base --weights PATH

While a run goes on it is handed over as a checkpoint every so many seconds of work, and once more when it is told to
pause. The worker keeps none itself: what it is to go on from comes with the order.

Two threads. The main one loads the engine, then takes one order at a time. The reader keeps an eye on the driver: it
queues orders, marks the run to abort (looked at between steps), answers pings in the middle of a step, too, and ends
the process the moment the stream ends, be it while loading or in the middle of a step. So a worker never outlives
its driver, not even one that was killed. `PR_SET_PDEATHSIG` covers a worker that cannot run its reader: stopped by a
signal, or stuck in native code that holds the interpreter.

Whatever an engine raises becomes a `RunFailed` and the worker lives on. Prompts appear in no argument, message or log
line: of unexpected exceptions only the type and the place are told, since their text may quote anything.
"""

import argparse
import ctypes
import faulthandler
import gc
import io
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.events import ImagesReady, RunAborted, RunFailed, RunStarted, StepDone
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.model_card import EngineKind
from heliograph.domain.pictures import RawImage
from heliograph.domain.run import RunOrder
from heliograph.inference.checkpoint import Checkpoint
from heliograph.inference.device import Device, HostDevice, open_device
from heliograph.inference.engine import Engine, EngineImages, EngineStep, EngineWaits
from heliograph.inference.failures import kind_of
from heliograph.worker_wire import (
    PREFIX_BYTES,
    Abort,
    Checkpointed,
    FromWorker,
    LoadFailed,
    Pause,
    Paused,
    Ping,
    Pong,
    Ready,
    Run,
    RunEvent,
    RunWaits,
    ToWorker,
    WireError,
    decode,
    encode,
    lengths,
)

PREVIEW_JPEG_QUALITY = 75
PEAK_RISE_MIN = 1.02

_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the driver is gone."""
    options = _parse(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the server decides what drains
    faulthandler.enable()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    driver = socket.socket(fileno=options.fd)
    worker = Worker(driver, ModelId(options.model_id), checkpoint_every_s=options.checkpoint_every_s)

    def open_capped() -> Device:
        device = open_device(options.device)
        if options.memory_bytes_max is not None:
            device.cap(options.memory_bytes_max)
        return device

    worker.serve(lambda: _build_engine(options), open_capped)


class Worker:
    """One model at the end of one socket. A run is kept every `checkpoint_every_s` seconds; 0: only when it pauses."""

    def __init__(self, driver: socket.socket, model_id: ModelId, *, checkpoint_every_s: float) -> None:
        self._driver = driver
        self._model_id = model_id
        self._checkpoint_every_s = checkpoint_every_s
        self._inbox: SimpleQueue[Run] = SimpleQueue()
        self._sending = threading.Lock()
        self._device: Device = HostDevice()
        self._abort: tuple[JobId, int] | None = None
        self._pause: tuple[JobId, int] | None = None

    def serve(self, build_engine: Callable[[], Engine], open_device: Callable[[], Device] = HostDevice) -> NoReturn:
        """Load the engine, then work for ever; ends with the process."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        try:
            self._device = open_device()
            engine = build_engine()
            engine.load()
        except Exception as error:  # top of the process: whatever went wrong, the driver is told
            self._send(LoadFailed(kind=kind_of(error), message=_text_of(error)))
            os._exit(1)
        self._send(Ready(memory_bytes=self._device.held_bytes(), can_resume=engine.can_resume, facts=engine.facts))
        while True:
            message = self._inbox.get()
            self._send(self._run(engine, message.order, message.checkpoint))

    def _run(self, engine: Engine, order: RunOrder, checkpoint: bytes) -> RunEvent | Paused:
        """Carry the order out, reporting steps; returns how it ended."""
        self._send(RunStarted(job_id=order.job_id, attempt=order.attempt))
        started_s = time.monotonic()
        held_bytes = self._device.held_bytes()
        self._device.begin_run()
        try:
            resume = Checkpoint.from_bytes(checkpoint) if checkpoint else None
            pixels = self._generate(engine, order, resume)
            if isinstance(pixels, RunAborted | Paused):
                return pixels
            run_s = time.monotonic() - started_s
            images = tuple(_raw_image(picture, seed) for picture, seed in zip(pixels, order.seeds, strict=True))
            return ImagesReady(
                job_id=order.job_id,
                attempt=order.attempt,
                run_s=run_s,
                images=images,
                peak_bytes=self._risen_to(held_bytes),
            )
        except Exception as error:  # top of the worker: whatever went wrong, the scheduler is told
            kind, message = kind_of(error), _text_of(error)
        # Here the error is gone, and with it the frames that held on to what did not fit.
        if kind is EngineErrorKind.OUT_OF_MEMORY:
            gc.collect()
            self._device.recover()
        return RunFailed(job_id=order.job_id, attempt=order.attempt, kind=kind, message=message)

    def _risen_to(self, held_bytes: int) -> int | None:
        """The peak of the run; None where it stayed within what was held before, which says nothing of this run."""
        peak_bytes = self._device.peak_bytes()
        return None if peak_bytes is None or peak_bytes < held_bytes * PEAK_RISE_MIN else peak_bytes

    def _generate(
        self, engine: Engine, order: RunOrder, resume: Checkpoint | None
    ) -> NDArray[np.uint8] | RunAborted | Paused:
        """The finished pictures, or why there are none when told to stop."""
        if order.model_id != self._model_id:
            raise EngineError(EngineErrorKind.BAD_INPUT, f"this worker runs {self._model_id}, not {order.model_id}")
        run = (order.job_id, order.attempt)
        kept_at_s = time.monotonic()
        progress = engine.generate(order, resume)
        try:
            while self._abort != run:
                match next(progress):
                    case EngineImages(pixels=pixels):
                        return pixels
                    case EngineWaits():
                        self._send(RunWaits(job_id=run[0], attempt=run[1]))
                    case EngineStep() as done:
                        self._send(_step_done(order, done))
                        if done.step == done.steps or not engine.can_resume:
                            continue
                        if self._pause == run:
                            kept = done.checkpoint().to_bytes()
                            return Paused(job_id=run[0], attempt=run[1], step=done.step, checkpoint=kept)
                        if 0 < self._checkpoint_every_s <= time.monotonic() - kept_at_s:
                            kept = done.checkpoint().to_bytes()
                            self._send(Checkpointed(job_id=run[0], attempt=run[1], step=done.step, checkpoint=kept))
                            kept_at_s = time.monotonic()
            return RunAborted(job_id=run[0], attempt=run[1])
        finally:
            progress.close()

    def _send(self, message: FromWorker) -> None:
        frame = encode(message)
        with self._sending:
            self._driver.sendall(frame)

    def _read(self) -> NoReturn:
        """The reader thread: obeys until the stream ends, then ends the process."""
        try:
            with self._driver.makefile("rb") as stream:
                while frame := _read_frame(stream):
                    self._obey(decode(*frame))
        except Exception:  # top of the thread: a driver that talks nonsense is as good as gone
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    def _obey(self, message: ToWorker | FromWorker) -> None:
        match message:
            case Run():
                self._inbox.put(message)
            case Ping():
                self._send(Pong())
            case Abort(job_id=job_id, attempt=attempt):
                self._abort = (job_id, attempt)
            case Pause(job_id=job_id, attempt=attempt):
                self._pause = (job_id, attempt)
            case _:
                raise WireError(f"a driver does not send {type(message).__name__}")


def _read_frame(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """Header and payload of the next frame, or None at the end of the stream, even within a frame."""
    prefix = stream.read(PREFIX_BYTES)
    if len(prefix) < PREFIX_BYTES:
        return None
    header_bytes, payload_bytes = lengths(prefix)
    header, payload = stream.read(header_bytes), stream.read(payload_bytes)
    return (header, payload) if len(header) + len(payload) == header_bytes + payload_bytes else None


def _build_engine(options: argparse.Namespace) -> Engine:
    """The engine that was asked for. It alone is imported, so that a worker holds no library it does not use."""
    match EngineKind(options.engine):
        case EngineKind.ONNX:
            from heliograph.inference.onnx import OnnxEngine

            return OnnxEngine(options.weights)
        case EngineKind.DIFFUSERS:
            from heliograph.inference.diffusers import open_engine

            return open_engine(options.weights, options.pipeline, cache=options.cache)
        case EngineKind.REMOTE_OPENAI:
            from heliograph.inference.remote import RemoteEngine

            return RemoteEngine.described(options.remote)
        case EngineKind.COMFYUI:
            from heliograph.inference.comfyui import ComfyEngine

            return ComfyEngine.described(options.remote)
        case EngineKind.FAKE:
            from heliograph.inference.fake import FakeEngine, FakeOptions

            return FakeEngine(FakeOptions.parse(options.fake_options))


def _text_of(error: Exception) -> str:
    """A short account for operators that cannot contain a prompt; engines word their own errors with care."""
    if isinstance(error, EngineError):
        return error.message
    innermost_first = reversed(traceback.extract_tb(error.__traceback__)[-3:])
    places = ", called from ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in innermost_first)
    return f"{type(error).__name__} at {places}"


def _step_done(order: RunOrder, done: EngineStep) -> StepDone:
    jpegs = () if done.previews is None else tuple(map(_jpeg, done.previews))
    return StepDone(job_id=order.job_id, attempt=order.attempt, step=done.step, steps=done.steps, previews=jpegs)


def _raw_image(pixels: NDArray[np.uint8], seed: int) -> RawImage:
    frames, height_px, width_px, _ = pixels.shape
    return RawImage(frames=frames, width_px=width_px, height_px=height_px, seed=seed, rgb=pixels.tobytes())


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=PREVIEW_JPEG_QUALITY)
    return buffer.getvalue()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="heliograph.inference.worker", description="One loaded model on a socket.")
    parser.add_argument("--fd", type=int, required=True, help="inherited socket to the driver")
    parser.add_argument("--engine", choices=[kind.value for kind in EngineKind], required=True)
    parser.add_argument("--model-id", required=True, help="the only model whose orders are taken")
    parser.add_argument("--weights", type=Path, help="folder with model.json (onnx) or model_index.json (diffusers)")
    parser.add_argument("--pipeline", default="{}", help="JSON: options of the model and its usual size (diffusers)")
    parser.add_argument("--remote", default="{}", help="JSON: where the model runs (remote-openai, comfyui)")
    parser.add_argument("--cache", type=Path, help="folder for what is found out about a model (diffusers)")
    parser.add_argument(
        "--checkpoint-every-s", type=float, default=0.0, help="seconds of work between checkpoints of a run; 0: none"
    )
    parser.add_argument("--device", default="cpu", help="where the model lives: cpu, cuda or cuda:N")
    parser.add_argument(
        "--memory-bytes-max", type=int, help="memory of the device that this process gets at most; none: no bound"
    )
    parser.add_argument("--fake-options", default="{}", help='JSON such as {"step_s": 0.05, "faults": ["crash@3#1"]}')
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
