"""From raw pixels to the files of a finished picture: judged, enlarged, encoded, hashed, in processes of their own.

This is CPU work that would hold up the server's loop, so a few child processes do it. Each is a fresh interpreter that
imports NumPy, Pillow and the stages joined here, and nothing of the server; the models that help it are loaded when a
picture needs them. Parent and child share one socket:
the child serves until its end closes, so it also ends when the parent is killed with SIGKILL. Ctrl-C does not reach it:
it has a session of its own. The standard library's process pools would import the server's main module into every child
and would outlive a killed parent.

A child that dies or hangs costs only time: it is replaced, and the picture it held is tried again.
"""

import asyncio
import contextlib
import hashlib
import os
import pickle
import signal
import socket
import struct
import sys
import time
import traceback
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ParamSpec, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from heliograph.delivery import perceptual_hash, pillow, thumbhash
from heliograph.delivery.parameters import PictureParameters
from heliograph.delivery.provenance import SOFTWARE, Imprint, Stamp, imprint
from heliograph.delivery.signing import FileSigner, SigningFailed, SigningIdentity
from heliograph.delivery.upscaling import UpscaleMethod, plan_upscale
from heliograph.delivery.variants import Encoding, FilmEncoding, VariantPlan, plan_variants, size_within
from heliograph.delivery.verification import Inspection
from heliograph.domain.errors import HeliographError, Unavailable
from heliograph.domain.pictures import Alignment, Decision, ParametersMode, RawImage, Safety, Technical, Verdict
from heliograph.domain.request import GenerationRequest, OutputFormat
from heliograph.postprocess_tools import SAFETY_JUDGE, Tools
from heliograph.quality.damage import damage
from heliograph.quality.duplicates import repeated
from heliograph.quality.facts import image_facts, worst_of
from heliograph.quality.gates import GatePolicy, flagged, judge
from heliograph.quality.history import Baseline
from heliograph.quality.safety import UNJUDGED, UNSAFE, SafetyLimits
from heliograph.quality.signals import signals
from heliograph.variant_making import MadeVariant, VariantTask, make_variants

RETRIES = 2
FRAMES_JUDGED_MAX = 8
"""Frames of a clip, evenly spread, that the safety check looks at."""
_P = ParamSpec("_P")
_T = TypeVar("_T")
_LENGTH = struct.Struct("!i")
PLACEHOLDER_SIDE_PX = 32
"""What a ThumbHash is made from: as large as it is shown, which takes half the time of the largest it could be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedPicture:
    """A picture or clip ready to be stored. `sha256` is the hex digest of `data`.

    `thumbnail` is a WebP file, of a clip's first frame. `duration_s` is how long a clip plays, None for a still.
    `problems` are for the log: tools that should have helped and could not. `signals` are what the model's usual is
    learned from, None of a picture too small for them; `fingerprint` tells whether another picture repeats this one.
    `pixels_sha256` and `perceptual_hash` are of the pixels, before they were encoded. `enlarged` are the RGB bytes
    where they are neither those that came nor in `data` without loss.
    """

    data: bytes
    sha256: str
    output_format: OutputFormat
    width_px: int
    height_px: int
    seed: int
    thumbnail: bytes
    thumbhash: str
    verdict: Verdict
    frames: int = 1
    duration_s: float | None = None
    alignment: Alignment | None = None
    technical: Technical | None = None
    safety: Safety | None = None
    signals: tuple[float, ...] | None = None
    fingerprint: bytes = b""
    problems: tuple[str, ...] = ()
    pixels_sha256: str | None = None
    perceptual_hash: str | None = None
    parameters: ParametersMode = ParametersMode.FULL
    is_signed: bool = False
    enlarged: bytes | None = None


_DELIVERED = (Decision.ACCEPT, Decision.FLAG)


def finish_picture(
    raw: RawImage,
    request: GenerationRequest,
    *,
    reseeds: int,
    policy: GatePolicy,
    tools: Tools,
    alignment_judge: str | None = None,
    baseline: Baseline | None = None,
    safety: SafetyLimits | None = None,
    stamp: Stamp | None = None,
    signer: FileSigner | None = None,
) -> FinishedPicture | Verdict:
    """The files of a picture that passes the gates (accepted or flagged), or the verdict on one that does not.

    `alignment_judge` names the tool that says how well it fits its prompt; None where none is to. `baseline` is what is
    usual for the model, None where it is not known yet. A clip is judged by its first frame; for `safety`, None where
    that is not asked, by the worst of a few. `stamp` says what is written into the files, by default all there is;
    `signer` signs each of them, None leaves them unsigned. Raises `SigningFailed`.
    """
    stamp = stamp or Stamp()
    pixels = np.frombuffer(raw.rgb, np.uint8).reshape(raw.frames, raw.height_px, raw.width_px, 3)
    found = signals(pixels[0])
    looks = None if found is None or baseline is None else damage(found, tools.damage_network(), baseline.usual)
    judged = partial(
        judge,
        worst_of([image_facts(frame) for frame in pixels]),
        expected_width_px=request.engine_width_px,
        expected_height_px=request.engine_height_px,
        reseeds=reseeds,
        policy=policy,
        damage=looks,
    )
    verdict, assessment = judged(), None
    if verdict.decision in _DELIVERED and alignment_judge is not None:
        assessment = tools.assess(pixels[0], request.prompt, judge=alignment_judge)
        if assessment is not None:
            usual_min = None if baseline is None else baseline.alignment_min
            calibrated_min = assessment.low if usual_min is None else min(assessment.low, usual_min)
            verdict = judged(alignment=assessment.alignment.score, calibrated_min=calibrated_min)
    if verdict.decision not in _DELIVERED:
        return verdict
    safe = None if safety is None else _safe(pixels, safety, tools)
    if isinstance(safe, Verdict):
        return safe
    pixels, upscaled_by = _enlarged(pixels, request.upscale, tools)
    if upscaled_by is UpscaleMethod.LANCZOS:
        verdict = flagged(verdict, "lanczos_upscale")
    height_px, width_px = pixels.shape[1:3]
    plan = plan_variants(request, width_px=width_px, height_px=height_px)
    image, *following = map(pillow.image_of, pixels)
    motion = None
    if following:
        assert request.frames_per_second is not None, "a clip has its frames per second"
        motion = pillow.Motion(following=following, frames_per_second=request.frames_per_second)
    parameters = _parameters(raw, request, width_px=width_px, height_px=height_px, upscaled_by=upscaled_by)

    def signed(data: bytes, encoding: Encoding) -> bytes:
        if signer is None or not _can_be_signed(encoding):
            return data
        return signer.sign(data, encoding.mime_type, model=request.model_id, stamp=stamp)

    nothing = imprint(parameters, ParametersMode.NONE, is_edit=stamp.is_edit)
    # Codecs and hashes let other threads run: what is small is done while the picture itself is encoded.
    with ThreadPoolExecutor(max_workers=1) as beside:
        small = beside.submit(_small_things, pixels, plan, nothing)
        written = imprint(parameters, stamp.parameters, is_edit=stamp.is_edit)
        data = signed(_encoded(pixels, image, plan.main, written, motion), plan.main)
        found_small = small.result()
    return FinishedPicture(
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        output_format=request.output_format,
        width_px=width_px,
        height_px=height_px,
        seed=raw.seed,
        thumbnail=signed(found_small.thumbnail, plan.thumbnail),
        thumbhash=found_small.thumbhash,
        verdict=verdict,
        frames=raw.frames,
        duration_s=None if motion is None else raw.frames / motion.frames_per_second,
        alignment=None if assessment is None else assessment.alignment,
        technical=None
        if looks is None
        else Technical(score=looks.score, limit=looks.limit, kind=looks.kind if looks.is_damaged else None),
        safety=safe,
        signals=found,
        fingerprint=found_small.fingerprint,
        problems=tools.take_problems(),
        pixels_sha256=found_small.pixels_sha256,
        perceptual_hash=found_small.perceptual_hash,
        parameters=stamp.parameters,
        is_signed=signer is not None and _can_be_signed(plan.main),
        enlarged=pixels.tobytes() if request.upscale > 1 and request.output_format is not OutputFormat.PNG else None,
    )


def _can_be_signed(encoding: Encoding) -> bool:
    """C2PA knows no WebM; such a film says how it was made, unsigned."""
    return not (isinstance(encoding, FilmEncoding) and encoding.is_webm)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SmallThings:
    """What comes with a picture beside its file; the thumbnail has yet to be signed."""

    thumbnail: bytes
    thumbhash: str
    fingerprint: bytes
    pixels_sha256: str
    perceptual_hash: str


def _small_things(pixels: NDArray[np.uint8], plan: VariantPlan, written: Imprint) -> _SmallThings:
    # Pillow keeps what it is told of an encoding in the picture: another thread needs another one.
    thumbnail = pillow.scaled_down(pillow.image_of(pixels[0]), plan.thumbnail_size_px)
    placeholder = pillow.scaled_down(thumbnail, size_within(*thumbnail.size, PLACEHOLDER_SIDE_PX))
    return _SmallThings(
        thumbnail=pillow.encode(thumbnail, plan.thumbnail, written),
        thumbhash=thumbhash.encode_base64(np.asarray(placeholder)),
        fingerprint=np.asarray(placeholder).tobytes(),
        pixels_sha256=hashlib.sha256(pixels.data if pixels.flags.c_contiguous else pixels.tobytes()).hexdigest(),
        perceptual_hash=perceptual_hash.perceptual_hash(pillow.squeezed(thumbnail, perceptual_hash.SIDE_PX)),
    )


def _encoded(
    pixels: NDArray[np.uint8],
    image: pillow.Image.Image,
    encoding: Encoding,
    written: Imprint,
    motion: pillow.Motion | None,
) -> bytes:
    if not isinstance(encoding, FilmEncoding):
        return pillow.encode(image, encoding, written, motion=motion)
    # Imported here: the library is an extra, and large.
    from heliograph.delivery import pyav

    assert motion is not None, "only clips become films"
    return pyav.encode_film(
        pixels,
        encoding,
        frames_per_second=motion.frames_per_second,
        comment=written.parameters or written.software,
        xmp=written.xmp,
    )


def _safe(frames: NDArray[np.uint8], limits: SafetyLimits, tools: Tools) -> Safety | Verdict | None:
    """How safe `frames` (count, height, width, 3) are, or the verdict that stands in their way; None: nobody knows."""
    every = max(1, -(-len(frames) // FRAMES_JUDGED_MAX))
    scores = [tools.unsafe(frame) for frame in frames[::every]]
    known = [score for score in scores if score is not None]
    if len(known) < len(scores):
        return Verdict(decision=Decision.BLOCK, reasons=(UNJUDGED,)) if limits.is_required else None
    safety = limits.judged(max(known), SAFETY_JUDGE)
    if safety.decision is Decision.BLOCK:
        return Verdict(decision=Decision.BLOCK, reasons=(UNSAFE,), safety=safety)
    return safety


def without_repeats(pictures: Sequence[FinishedPicture]) -> list[FinishedPicture]:
    """The pictures of one batch, those flagged that repeat an earlier one."""
    again = repeated([picture.fingerprint for picture in pictures])
    return [
        replace(picture, verdict=flagged(picture.verdict, "duplicate")) if position in again else picture
        for position, picture in enumerate(pictures)
    ]


def _enlarged(frames: NDArray[np.uint8], factor: int, tools: Tools) -> tuple[NDArray[np.uint8], UpscaleMethod | None]:
    """`frames` (count, height, width, 3) at `factor` times their size, and what made them larger, if anything did."""
    _, height_px, width_px, _ = frames.shape
    plan = plan_upscale(
        made_width_px=width_px,
        made_height_px=height_px,
        factor=factor,
        network_factor=tools.upscaler_factor() if factor > 1 else None,
    )
    if plan is None:
        return frames, None
    if plan.method is UpscaleMethod.NETWORK:
        large = [tools.enlarge(frame, passes=plan.passes) for frame in frames]
        made = [frame for frame in large if frame is not None]
        if len(made) == len(large):
            return np.stack(made), plan.method
    size_px = (plan.width_px, plan.height_px)
    return np.stack([pillow.enlarged(frame, size_px) for frame in frames]), UpscaleMethod.LANCZOS


def _parameters(
    raw: RawImage, request: GenerationRequest, *, width_px: int, height_px: int, upscaled_by: UpscaleMethod | None
) -> PictureParameters:
    return PictureParameters(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        steps=request.steps,
        guidance=request.guidance,
        seed=raw.seed,
        width_px=width_px,
        height_px=height_px,
        model=request.model_id,
        version=SOFTWARE,
        frames=raw.frames,
        upscale=request.upscale,
        upscaler=upscaled_by,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    raw: RawImage
    request: GenerationRequest
    reseeds: int
    policy: GatePolicy
    alignment_judge: str | None
    baseline: Baseline | None
    safety: SafetyLimits | None
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A file that somebody sent, to be looked at."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Further files of a picture, in the order they were ordered."""

    made: tuple[MadeVariant, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unsigned:
    """The key could not be used: the operator's to mend, and worth another try."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Broken:
    """The task raised: our bug, and the same again however often it is tried."""

    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """Other work for a process: a function of a module, with what it is given."""

    function: Callable[..., object]
    arguments: tuple[object, ...]
    named: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Returned:
    """What the function gave."""

    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSetup:
    """What a process needs from the start: folders of tools, judges to load at once, and what to sign with."""

    weights_dir: Path | None = None
    expected_judges: tuple[str, ...] = ()
    identity: SigningIdentity | None = None
    anchors: tuple[Path, ...] = ()
    niceness: int = 0


_Answer = FinishedPicture | Verdict | Inspection | _Files | _Returned | _Broken | _Unsigned
_Work = _Task | _Look | VariantTask | _Call


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    """An answer, and the CPU microseconds that went into it."""

    answer: _Answer
    cpu_us: int


_ChildEnd: TypeAlias = "Connection[_Reply | None, _Work | ChildSetup]"
_CHILD_CODE = "import sys; from heliograph.postprocess import serve; serve(int(sys.argv[1]))"


class PostProcessPool:
    """`finish_picture` in child processes, at most one picture in each at a time; more wait in order of arrival.

    A picture whose process died, or did not answer for `timeout_s`, is tried 2 more times in a new one. Processes start
    when they are first needed; `warm_up` starts them all. `close` ends them. The tools that enlarge and judge pictures
    are folders below `weights_dir`; with None there are none. Files are signed with `identity`; with None they are not.
    A process loads those judges in `expected_judges` as soon as it is ready, while the first picture is still being
    made, and every other tool when a picture needs it.

    `niceness` is what its processes yield to others. A pool of higher niceness does what nobody waits for.
    """

    def __init__(
        self,
        *,
        processes: int = 1,
        policy: GatePolicy,
        weights_dir: Path | None = None,
        expected_judges: Collection[str] = (),
        identity: SigningIdentity | None = None,
        anchors: Sequence[Path] = (),
        niceness: int = 0,
        timeout_s: float = 60.0,
    ) -> None:
        self._policy = policy
        judges = () if weights_dir is None else tuple(sorted(expected_judges))
        setup = ChildSetup(
            weights_dir=weights_dir,
            expected_judges=judges,
            identity=identity,
            anchors=tuple(anchors),
            niceness=niceness,
        )
        self._children = tuple(_Child(timeout_s, setup) for _ in range(processes))
        self._idle: asyncio.Queue[_Child] = asyncio.Queue()
        for child in self._children:
            self._idle.put_nowait(child)
        self._is_closed = False

    async def finish(
        self,
        raw: RawImage,
        request: GenerationRequest,
        *,
        reseeds: int,
        alignment_judge: str | None = None,
        baseline: Baseline | None = None,
        safety: SafetyLimits | None = None,
        stamp: Stamp | None = None,
        spent: Callable[[int], None] | None = None,
    ) -> FinishedPicture | Verdict:
        """The picture's files, or the verdict that stands in their way; see `finish_picture`.

        `spent` hears of the CPU microseconds. Raises `Unavailable` when the pool is closed, its processes keep dying or
        the key cannot be used, and `HeliographError` with code `post_processing_failed` when this picture cannot be
        encoded, which no retry will change.
        """
        task = _Task(
            raw=raw,
            request=request,
            reseeds=reseeds,
            policy=self._policy,
            alignment_judge=alignment_judge,
            baseline=baseline,
            safety=safety,
            stamp=stamp or Stamp(),
        )
        answer = await self._done(task, f"a picture of model {request.model_id} could not be encoded", spent)
        assert isinstance(answer, FinishedPicture | Verdict), "a picture's answer is the picture or why there is none"
        return answer

    async def inspect(self, data: bytes) -> Inspection:
        """What a look at a file finds; whatever is in it, nothing but the process that looks can break.

        Raises `Unavailable` when the pool is closed, or when the file was too much for every process that tried.
        """
        answer = await self._done(_Look(data=data), "a file could not be looked at")
        assert isinstance(answer, Inspection), "a look ends with what was found"
        return answer

    async def variants(
        self, task: VariantTask, *, spent: Callable[[int], None] | None = None
    ) -> tuple[MadeVariant, ...]:
        """Further files of a delivered picture. Raises as `finish` does."""
        answer = await self._done(task, "further files of a picture could not be made", spent)
        assert isinstance(answer, _Files), "what was ordered comes back"
        return answer.made

    async def _done(self, work: _Work, misfortune: str, spent: Callable[[int], None] | None = None) -> _Answer:
        if self._is_closed:
            raise _closed()
        child = await self._idle.get()
        try:
            if self._is_closed:
                raise _closed()
            reply = await _done_by(child, work, misfortune)
            if spent is not None:
                spent(reply.cpu_us)
            return reply.answer
        finally:
            self._idle.put_nowait(child)

    async def call(self, function: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T | None:
        """What a function of a module gives, run in a process; None when that died or hung over it, twice.

        For work on what nobody vouches for: pictures from outside. Raises `Unavailable` when the pool is closed, and
        `HeliographError` when the function raises, which it should not.
        """
        if self._is_closed:
            raise _closed()
        child = await self._idle.get()
        try:
            for _ in range(2):  # the process may have been dead before
                if self._is_closed:
                    raise _closed()
                reply = await child.ask(_Call(function=function, arguments=arguments, named=dict(named)))
                match reply and reply.answer:
                    case _Returned(value=value):
                        return cast(_T, value)
                    case _Broken(traceback=trace):
                        error = HeliographError(f"{function.__name__} failed: {trace.strip().rpartition(chr(10))[2]}")
                        error.add_note(trace)
                        raise error
                    case _:
                        continue
            return None
        finally:
            self._idle.put_nowait(child)

    async def warm_up(self) -> None:
        """Start every process, so that the first picture does not wait for one."""
        try:
            await asyncio.gather(*(child.start() for child in self._children))
        except _DEATHS as error:
            for child in self._children:
                await child.stop(grace_s=0)
            message = "the encoding process does not start; the log has its last words"
            raise Unavailable(message, code="post_processing_unavailable") from error

    async def close(self) -> None:
        """Finish the pictures under way, refuse those that wait, and end the processes."""
        self._is_closed = True
        for _ in self._children:
            child = await self._idle.get()
            await child.stop()


def _closed() -> Unavailable:
    return Unavailable("the server is shutting down; the picture is made again after its restart", code="shutting_down")


async def _done_by(child: "_Child", work: _Work, misfortune: str) -> _Reply:
    for _ in range(1 + RETRIES):
        reply = await child.ask(work)
        if reply is None:
            continue
        match reply.answer:
            case _Broken(traceback=trace):
                last_line = trace.strip().rpartition("\n")[2]
                error = HeliographError(f"{misfortune}: {last_line}", code="post_processing_failed")
                error.add_note(trace)
                raise error
            case _Unsigned(message=message):
                raise Unavailable(message, code=SigningFailed.default_code, retry_after_s=10)
            case _:
                return reply
    raise Unavailable(
        f"{misfortune}: the process died {1 + RETRIES} times over it; see the log, and whether memory is short",
        code="post_processing_unavailable",
        retry_after_s=10,
    )


_DEATHS = (OSError, EOFError)
"""How a process that died or hangs shows: `IncompleteReadError` is an EOFError, `TimeoutError` an OSError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    """A running process and the parent's end of its socket."""

    process: Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class _Child:
    """One process, started anew when it is gone. It is asked one thing at a time.

    Messages are pickles behind their length, four bytes, as `multiprocessing.connection` frames them.
    """

    def __init__(self, timeout_s: float, setup: ChildSetup) -> None:
        self._timeout_s = timeout_s
        self._setup = setup
        self._live: _Live | None = None

    async def start(self) -> None:
        """Start the process unless it runs, and wait until it is ready. Raises `OSError` or `EOFError`."""
        if self._live is not None:
            return
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-c", _CHILD_CODE, str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                stdin=DEVNULL,
                start_new_session=True,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # its matrices are tiny: threads would waste memory
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        self._live = _Live(process=process, reader=reader, writer=writer)
        async with asyncio.timeout(self._timeout_s):
            await _send(writer, self._setup)
            await _receive(reader)

    async def ask(self, task: _Work) -> _Reply | None:
        """The process's answer, or None if it died or hung over it; then it is ended for good."""
        is_answered = False
        try:
            await self.start()
            assert self._live is not None
            async with asyncio.timeout(self._timeout_s):
                await _send(self._live.writer, task)
                answer = await _receive(self._live.reader)
            is_answered = True
            return answer
        except _DEATHS:
            return None
        finally:
            if not is_answered:  # also when the caller left: its answer must not reach the next one
                await self.stop(grace_s=0)

    async def stop(self, *, grace_s: float = 5.0) -> None:
        """End the process: its socket closes, and it is killed if it has not ended by itself after `grace_s`."""
        if self._live is None:
            return
        live, self._live = self._live, None
        live.writer.close()
        try:
            async with asyncio.timeout(grace_s):
                await live.process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                live.process.kill()
            await live.process.wait()


async def _send(writer: asyncio.StreamWriter, task: _Work | ChildSetup) -> None:
    data = pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
    writer.write(_LENGTH.pack(len(data)))
    writer.write(data)
    await writer.drain()


async def _receive(reader: asyncio.StreamReader) -> _Reply | None:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - written by our own child


def serve(descriptor: int) -> None:
    """The child's whole life: say that it is ready, then answer tasks until the parent's end of the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection: _ChildEnd = Connection(descriptor)
    with contextlib.suppress(EOFError, OSError):
        setup = connection.recv()
        assert isinstance(setup, ChildSetup), "the first thing a child is told is what it needs"
        tools = Tools(setup.weights_dir)
        connection.send(None)
        for judge_name in setup.expected_judges:
            tools.expect(judge_name)
        os.nice(setup.niceness)
        desk = _Desk(setup, tools)
        while True:
            work = connection.recv()
            assert not isinstance(work, ChildSetup), "a child is set up once"
            began_s = time.process_time()
            answer = desk.answer(work)
            connection.send(_Reply(answer=answer, cpu_us=round((time.process_time() - began_s) * 1e6)))


class _Desk:
    """What a child works with: its tools, and what it signs and reads with, opened when first needed."""

    def __init__(self, setup: ChildSetup, tools: Tools) -> None:
        self._setup = setup
        self._tools = tools
        self._signer: FileSigner | None = None
        self._inspect: Callable[[bytes], Inspection] | None = None

    def answer(self, work: _Work) -> _Answer:
        """Do the work. Whatever goes wrong is an answer, too."""
        try:
            match work:
                case _Task():
                    return self._finished(work)
                case _Call(function=function, arguments=arguments, named=named):
                    return _Returned(value=function(*arguments, **named))
                case _Look(data=data):
                    self._inspect = self._inspect or self._tools.inspector(self._setup.anchors)
                    return self._inspect(data)
                case VariantTask():
                    return _Files(made=make_variants(work, self._signer_or_none()))
        except SigningFailed as error:
            return _Unsigned(message=error.message)
        except Exception:  # the top of a worker: whatever it is, the parent hears of it
            return _Broken(traceback=traceback.format_exc())

    def _finished(self, task: _Task) -> FinishedPicture | Verdict:
        return finish_picture(
            task.raw,
            task.request,
            reseeds=task.reseeds,
            policy=task.policy,
            tools=self._tools,
            alignment_judge=task.alignment_judge,
            baseline=task.baseline,
            safety=task.safety,
            stamp=task.stamp,
            signer=self._signer_or_none(),
        )

    def _signer_or_none(self) -> FileSigner | None:
        if self._signer is None and self._setup.identity is not None:
            self._signer = self._tools.signer(self._setup.identity)
        return self._signer
