"""Workers as child processes of this machine, one loaded model each, at the end of a socket pair.

A model whose card says where its weights come from has them fetched and checked first (`weights_cache.py`); only then
does its process start.

Each worker has two tasks here. Its *listener* turns frames into events, awaiting `emit` for each: a slow listener slows
the worker down through the full socket and loses nothing. Its *keeper* looks at the process a few times a second,
kills what `judge` condemns, and when the process has ended emits the one `WorkerLost`, after everything the worker had
still said.

What a worker hands over of its run is kept in a folder (`checkpoint_folder.py`) before anybody is told of it, and goes
with the order to whoever takes the run up.

A worker is stopped by half-closing its socket; if that does not help within `stop_grace_s`, by SIGKILL. Workers run in
sessions of their own, so that Ctrl-C in a terminal reaches the server alone, and end with the socket when the server
is killed.
"""

import asyncio
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from heliograph.domain.errors import EngineErrorKind, HeliographError, NotFound
from heliograph.domain.events import (
    CheckpointKept,
    Event,
    ImagesReady,
    LossReason,
    RunAborted,
    RunFailed,
    RunPaused,
    RunStarted,
    StepDone,
    WeightsProgressed,
    WorkerLost,
    WorkerReady,
)
from heliograph.domain.ids import JobId, WorkerId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.run import RunOrder
from heliograph.domain.views import Gpu
from heliograph.domain.weights import Fetching, WeightsSource
from heliograph.fleet.checkpoint_folder import CheckpointFolder
from heliograph.fleet.driver import EmitEvent, FleetDriver, ReadInput, no_inputs, with_files
from heliograph.fleet.watchdog import LocalLimits, Phase, Vitals, is_ping_due, judge
from heliograph.fleet.weights_cache import WeightsCache, WeightsUnavailable
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
    RunWaits,
    ToWorker,
    WireError,
    decode,
    encode,
    lengths,
)

WorkerCommand = Callable[[ModelCard], Sequence[str]]
"""The command line of a worker for a model. The driver appends `--fd N`, the number of the inherited socket."""

STDERR_BYTES_KEPT = 4096

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""A slot is one core; libraries that start a thread per core would fight over it."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Worker:
    """One child process. `run` is the attempt in hand; `sentence` is why it is being ended, None while it may live.

    `is_handling`: we are busy with a frame, so the worker cannot be heard.
    """

    worker_id: WorkerId
    source: WeightsSource | None
    process: Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    started_s: float
    vitals: Vitals
    run: tuple[JobId, int] | None = None
    was_ready: bool = False
    can_resume: bool = False
    is_handling: bool = False
    sentence: tuple[LossReason, str] | None = None
    listener: asyncio.Task[None] | None = None

    def send(self, message: ToWorker) -> None:
        """Queue a frame. Not drained: at most one run, one abort and one ping are outstanding."""
        self.writer.write(encode(message))

    def hang_up(self, now_s: float) -> None:
        """Tell the worker to end. What it has sent can still be read."""
        self.vitals = Vitals(phase=Phase.STOPPING, heard_s=now_s, alive_s=now_s)
        if not self.writer.is_closing():
            self.writer.write_eof()

    def kill(self) -> None:
        """SIGKILL the worker and whatever it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


class LocalFleet(FleetDriver):
    """Child processes on this machine. Its methods are called from one task.

    A worker that ends before it was ready is reported as `load_failed`, unless it was stopped or held too much memory;
    one that ignores an abort as `silent`. Without `checkpoints` nothing is kept of a run. From the moment `close` is
    called nothing more is emitted: whoever listened is shutting down too, and might never take another event.
    """

    def __init__(
        self,
        *,
        emit: EmitEvent,
        worker_command: WorkerCommand,
        limits: LocalLimits,
        checkpoints: CheckpointFolder | None = None,
        read_input: ReadInput = no_inputs,
        weights: WeightsCache | None = None,
    ) -> None:
        self._weights = weights
        self._preparing: set[WorkerId] = set()
        self._unwanted: set[WorkerId] = set()
        self._emit = emit
        self._read_input = read_input
        self._checkpoints = checkpoints
        self._worker_command = worker_command
        self._limits = limits
        self._workers: dict[WorkerId, _Worker] = {}
        self._keepers: dict[asyncio.Task[None], WorkerId] = {}
        self._is_closed = False

    async def start(self, worker_id: WorkerId, gpu: Gpu, card: ModelCard) -> None:
        """Start a worker for the card. `gpu` is not looked at: all slots of this machine have the same limits."""
        if self._is_closed:
            return
        assert worker_id not in self._workers, f"worker {worker_id} was started twice"
        if card.fetch is not None:
            self._preparing.add(worker_id)
            self._keep(worker_id, self._prepare(worker_id, card, card.fetch))
            return
        started = await self._begin(worker_id, card)
        life = self._live(started) if isinstance(started, _Worker) else self._report(started)
        self._keep(worker_id, life)

    async def _begin(self, worker_id: WorkerId, card: ModelCard) -> _Worker | WorkerLost:
        """Start the process, or say why there is none."""
        try:
            worker = await _spawn(worker_id, self._worker_command(card), source=card.fetch)
        except OSError as error:
            reason, detail = LossReason.LOAD_FAILED, f"the process cannot be started: {error.strerror}"
            return WorkerLost(worker_id=worker_id, reason=reason, detail=detail)
        self._workers[worker_id] = worker
        return worker

    async def _prepare(self, worker_id: WorkerId, card: ModelCard, source: WeightsSource) -> None:
        """Have the weights here, then let the worker live."""

        async def report(fetching: Fetching) -> None:
            await self._report(WeightsProgressed(worker_id=worker_id, fetching=fetching))

        try:
            assert self._weights is not None, f"{card.model_id} has weights to fetch, and nowhere to keep them"
            folder = await self._weights.ensure(source, report)
        except WeightsUnavailable as error:
            reason = LossReason.BAD_WEIGHTS if error.is_wrong else LossReason.LOAD_FAILED
            await self._report(WorkerLost(worker_id=worker_id, reason=reason, detail=str(error)))
            return
        except asyncio.CancelledError:
            if worker_id not in self._unwanted or self._is_closed:
                raise
            await self._report(WorkerLost(worker_id=worker_id, reason=LossReason.STOPPED))
            return
        finally:
            self._preparing.discard(worker_id)
            is_unwanted = worker_id in self._unwanted
            self._unwanted.discard(worker_id)
        started = await self._begin(worker_id, _with_folder(card, folder))
        if isinstance(started, WorkerLost):
            await self._report(started)
            return
        if is_unwanted:
            await self.stop(worker_id)
        await self._live(started)

    async def run(self, worker_id: WorkerId, order: RunOrder) -> None:
        """Hand an idle worker an order, and what is kept of its job where it asks for that."""
        worker = self._workers.get(worker_id)
        if worker is None or worker.vitals.phase is Phase.STOPPING:
            return
        assert worker.vitals.phase is Phase.IDLE, f"worker {worker_id} is {worker.vitals.phase} and cannot run a job"
        worker.run = (order.job_id, order.attempt)
        worker.vitals = replace(worker.vitals, phase=Phase.RUNNING, heard_s=_now_s(), stall_limit_s=order.stall_limit_s)
        kept = None
        if order.resume_from is not None and self._checkpoints is not None:
            kept = await self._checkpoints.get(order.job_id)
        if kept is None:
            order = replace(order, resume_from=None, first_step=0)
        if order.inputs is not None:
            try:
                order = await with_files(order, self._read_input)
            except HeliographError as error:
                await self._fail(worker, order, error)
                return
        if worker.vitals.phase is Phase.RUNNING:
            worker.send(Run(order=order, checkpoint=kept or b""))

    async def _fail(self, worker: _Worker, order: RunOrder, error: HeliographError) -> None:
        """Report a run that cannot begin, because a picture it starts from is not to be had."""
        kind = EngineErrorKind.BAD_INPUT if isinstance(error, NotFound) else EngineErrorKind.INTERNAL
        message = f"a picture that the run starts from cannot be read: {error.message}"
        worker.run = None
        _become_idle(worker)
        failed = RunFailed(job_id=order.job_id, attempt=order.attempt, kind=kind, message=message)
        self._keep(worker.worker_id, self._report(failed))

    async def abort(self, worker_id: WorkerId, job_id: JobId, attempt: int) -> None:
        """Tell the worker to stop the attempt, if it is the one in hand."""
        worker = self._workers.get(worker_id)
        if worker is None or worker.vitals.phase is not Phase.RUNNING or worker.run != (job_id, attempt):
            return
        if worker.vitals.abort_s is None:
            worker.vitals.abort_s = _now_s()
            worker.send(Abort(job_id=job_id, attempt=attempt))

    async def pause(self, worker_id: WorkerId, job_id: JobId, attempt: int) -> None:
        """Tell the worker to stop the attempt and hand it over, if it is the one in hand and can be taken up again."""
        worker = self._workers.get(worker_id)
        if worker is None or not worker.can_resume:
            await self.abort(worker_id, job_id, attempt)
        elif worker.vitals.phase is Phase.RUNNING and worker.run == (job_id, attempt):
            worker.send(Pause(job_id=job_id, attempt=attempt))

    async def forget(self, job_id: JobId) -> None:
        """Drop the job's checkpoint."""
        if self._checkpoints is not None:
            await self._checkpoints.forget(job_id)

    async def retain(self, job_ids: Collection[JobId]) -> None:
        """Drop the checkpoints of all other jobs."""
        if self._checkpoints is not None:
            await self._checkpoints.retain(job_ids)

    async def stop(self, worker_id: WorkerId) -> None:
        """Hang up on the worker."""
        worker = self._workers.get(worker_id)
        if worker is None and worker_id in self._preparing:
            self._unwanted.add(worker_id)
            for keeper in [keeper for keeper, kept_id in self._keepers.items() if kept_id == worker_id]:
                keeper.cancel()
        if worker is None or worker.sentence is not None:
            return
        worker.sentence = (LossReason.STOPPED, "")
        worker.hang_up(_now_s())

    async def close(self) -> None:
        """End every worker; takes at most the stop grace."""
        self._is_closed = True
        keepers = dict(self._keepers)
        for keeper, worker_id in keepers.items():
            worker = self._workers.get(worker_id)
            if worker is None:
                keeper.cancel()  # its process has ended, only the news of it is under way
                continue
            await self.stop(worker_id)
            if worker.listener is not None:
                worker.listener.cancel()
        if keepers:
            await asyncio.wait(keepers)

    def _keep(self, worker_id: WorkerId, life: Coroutine[Any, Any, None]) -> None:
        keeper = asyncio.create_task(life, name=f"keeper of {worker_id}")
        self._keepers[keeper] = worker_id
        keeper.add_done_callback(self._keepers.pop)

    async def _live(self, worker: _Worker) -> None:
        """Look after the process until it has ended, then report the loss."""
        assert worker.process.stderr is not None
        async with asyncio.TaskGroup() as tasks:
            worker.listener = tasks.create_task(self._listen(worker))
            stderr = tasks.create_task(_last_bytes(worker.process.stderr))
            ended = tasks.create_task(worker.process.wait())
            is_suspect = False
            while worker.process.returncode is None:
                await asyncio.wait({ended}, timeout=self._limits.poll_interval_s)
                is_suspect = self._look_after(worker, is_suspect=is_suspect)
            worker.kill()  # children it left behind hold on to its socket and its stderr
        worker.writer.close()
        del self._workers[worker.worker_id]
        loss = _loss(worker, stderr.result())
        if loss.reason is LossReason.BAD_WEIGHTS and await self._distrust(worker):
            loss = replace(loss, reason=LossReason.LOAD_FAILED)  # the next load reads, and mends, what is damaged
        await self._report(loss)

    async def _distrust(self, worker: _Worker) -> bool:
        """Its weights are damaged: have them checked before anybody loads them again. False where they are not ours."""
        if worker.source is None or self._weights is None:
            return False
        await self._weights.distrust(worker.source)
        return not worker.source.is_local

    async def _report(self, event: Event) -> None:
        if not self._is_closed:
            await self._emit(event)

    async def _listen(self, worker: _Worker) -> None:
        """Turn frames into events until the stream ends; a worker that talks nonsense is killed."""
        try:
            while (message := await _receive(worker.reader)) is not None:
                await self._handle(worker, message)
        except WireError as error:
            worker.sentence = worker.sentence or (LossReason.CRASHED, str(error))
            worker.kill()
        if worker.vitals.phase is not Phase.STOPPING:
            worker.hang_up(_now_s())

    async def _handle(self, worker: _Worker, message: ToWorker | FromWorker) -> None:
        """Note what the worker says and hand it on; the time that takes is not held against the worker."""
        before_s = _now_s()
        worker.is_handling = True
        try:
            if isinstance(message, Ready) and self._checkpoints is None:
                message = replace(message, can_resume=False)
            if isinstance(message, RunFailed) and message.kind is EngineErrorKind.BAD_WEIGHTS:
                await self._distrust(worker)
            kept = await self._keep_checkpoint(message)
            event = _note(worker, message, kept)
            if event is not None:
                await self._report(event)
        finally:
            worker.is_handling = False
            passed_s = _now_s() - before_s
            if worker.vitals.abort_s is not None:
                worker.vitals.abort_s += passed_s
            if worker.vitals.phase is not Phase.STOPPING:
                worker.vitals.heard_s += passed_s
                worker.vitals.alive_s += passed_s

    async def _keep_checkpoint(self, message: ToWorker | FromWorker) -> str | None:
        """The name under which the checkpoint in the message was kept; None where there is none, or no room for it."""
        match message:
            case Checkpointed(job_id=job_id, checkpoint=checkpoint) | Paused(job_id=job_id, checkpoint=checkpoint):
                return None if self._checkpoints is None else await self._checkpoints.put(job_id, checkpoint)
            case _:
                return None

    def _look_after(self, worker: _Worker, *, is_suspect: bool) -> bool:
        """Ping or kill the worker where that is due; True when it is to be killed if nothing changes.

        Silence needs two looks because after a pause of our own (Ctrl-Z, a busy loop) its frames lie here unread.
        """
        now_s = _now_s()
        limits, vitals = self._limits, worker.vitals
        resident_bytes = _resident_bytes(worker.process.pid)
        if resident_bytes > limits.memory_bytes_max:
            detail = f"{resident_bytes >> 20} MiB resident, {limits.memory_bytes_max >> 20} MiB allowed"
            worker.sentence = worker.sentence or (LossReason.OUT_OF_MEMORY, detail)
            worker.kill()
        verdict = None if worker.is_handling else judge(vitals, limits, now_s)
        if verdict is not None and is_suspect:
            worker.sentence = worker.sentence or verdict
            worker.kill()
        if is_ping_due(vitals, limits, now_s):
            vitals.ping_s = now_s
            worker.send(Ping())
        return verdict is not None


def _with_folder(card: ModelCard, folder: Path) -> ModelCard:
    """The card of a model whose weights lie there."""
    if card.pipeline is not None:
        return replace(card, pipeline=replace(card.pipeline, folder=str(folder)))
    return replace(card, weights=str(folder))


async def _spawn(worker_id: WorkerId, command: Sequence[str], *, source: WeightsSource | None) -> _Worker:
    """Start the process and connect to it; raises OSError."""
    started_s = _now_s()
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command,
                "--fd",
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
                env={**os.environ, **_ONE_THREAD},
                start_new_session=True,
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours)
    except BaseException:
        ours.close()
        raise
    vitals = Vitals(heard_s=started_s, alive_s=started_s)
    return _Worker(
        worker_id=worker_id,
        source=source,
        process=process,
        reader=reader,
        writer=writer,
        started_s=started_s,
        vitals=vitals,
    )


async def _receive(reader: asyncio.StreamReader) -> ToWorker | FromWorker | None:
    """The next message, or None when the stream has ended; raises WireError."""
    try:
        header_bytes, payload_bytes = lengths(await reader.readexactly(PREFIX_BYTES))
        header = await reader.readexactly(header_bytes)
        return decode(header, await reader.readexactly(payload_bytes))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _note(worker: _Worker, message: ToWorker | FromWorker, kept: str | None) -> Event | None:
    """Update what is known of the worker; returns the event to hand on, if the message is one.

    `kept` is the name of the checkpoint that came with the message, None when it was not kept.
    """
    vitals = worker.vitals
    vitals.ping_s, vitals.alive_s = None, _now_s()
    match message:
        case Ready(memory_bytes=memory_bytes, can_resume=can_resume, facts=facts):
            worker.was_ready = True
            worker.can_resume = can_resume
            _become_idle(worker)
            load_s = _now_s() - worker.started_s
            return WorkerReady(
                worker_id=worker.worker_id,
                load_s=load_s,
                memory_bytes=memory_bytes,
                can_resume=can_resume,
                facts=facts,
            )
        case LoadFailed(kind=kind, message=text):
            worker.sentence = worker.sentence or (_LOAD_FAILURES.get(kind, LossReason.LOAD_FAILED), f"{kind}: {text}")
            return None
        case Pong():
            return None
        case RunStarted() | StepDone():
            vitals.heard_s = _now_s()
            return message
        case RunWaits():
            vitals.heard_s = _now_s()
            return None
        case Checkpointed(job_id=job_id, attempt=attempt, step=step):
            vitals.heard_s = _now_s()
            if kept is None:
                return None
            return CheckpointKept(job_id=job_id, attempt=attempt, step=step, checkpoint=kept)
        case Paused(job_id=job_id, attempt=attempt, step=step):
            worker.run = None
            _become_idle(worker)
            if kept is None:
                return RunAborted(job_id=job_id, attempt=attempt)
            return RunPaused(job_id=job_id, attempt=attempt, step=step, checkpoint=kept)
        case ImagesReady() | RunFailed() | RunAborted():
            worker.run = None
            _become_idle(worker)
            return message
        case Run() | Abort() | Pause() | Ping():
            raise WireError(f"a worker does not send {type(message).__name__}")


_LOAD_FAILURES = {
    EngineErrorKind.BAD_WEIGHTS: LossReason.BAD_WEIGHTS,
    EngineErrorKind.DEVICE_LOST: LossReason.DEVICE_LOST,
    EngineErrorKind.OUT_OF_MEMORY: LossReason.OUT_OF_MEMORY,
}


def _become_idle(worker: _Worker) -> None:
    if worker.vitals.phase is not Phase.STOPPING:
        worker.vitals = Vitals(phase=Phase.IDLE, heard_s=_now_s(), alive_s=_now_s())


def _loss(worker: _Worker, stderr: bytes) -> WorkerLost:
    """The news of a process that has ended: why, and the last it wrote to stderr unless it was told to end."""
    code = worker.process.returncode
    assert code is not None
    ending = f"killed by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with exit code {code}"
    by_itself = LossReason.CRASHED if worker.was_ready else LossReason.LOAD_FAILED
    reason, detail = worker.sentence or (by_itself, ending)
    last_words = stderr.decode(errors="replace").strip()
    if last_words and reason is not LossReason.STOPPED:
        detail = f"{detail}; stderr: {last_words}"
    return WorkerLost(worker_id=worker.worker_id, reason=reason, detail=detail)


async def _last_bytes(stream: asyncio.StreamReader) -> bytes:
    """Read to the end, so that the writer never blocks, and keep the last `STDERR_BYTES_KEPT`."""
    kept = b""
    while chunk := await stream.read(STDERR_BYTES_KEPT):
        kept = (kept + chunk)[-STDERR_BYTES_KEPT:]
    return kept


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _now_s() -> float:
    return asyncio.get_running_loop().time()
