"""What a fleet driver and a worker process say to each other, and how it is framed on a socket.

A frame is an 8-byte prefix (two big-endian 32-bit lengths), a JSON header of the first length and a binary payload of
the second. Pixels and previews travel in the payload as they are; the header says how long each part is. Nothing here
can run code on the receiving side, and both lengths are bounded, so a broken peer costs an error and not the memory.

Driver to worker: `Run`, `Abort`, `Pause`, `Ping`. The end of the stream is the order to stop; it also arrives when the
driver's process is killed, which is why no worker outlives it.

Worker to driver: `Ready` or `LoadFailed` once, `Pong`, and of a run the very events the scheduler reads: `RunStarted`,
`StepDone`, then one of `ImagesReady`, `RunFailed`, `RunAborted`; `RunWaits` says that a run goes on though there is no
step to tell of. What is kept of a run travels as bytes that nobody
here looks into: in `Checkpointed` while it goes on, in `Paused` when it stops for another.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import Any

from heliograph.domain.errors import EngineErrorKind
from heliograph.domain.events import ImagesReady, RunAborted, RunFailed, RunStarted, StepDone
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.making import EngineFacts
from heliograph.domain.pictures import RawImage
from heliograph.domain.run import RunInputs, RunOrder

VERSION = 5
HEADER_BYTES_MAX = 1 << 20
PAYLOAD_BYTES_MAX = (1 << 28) + (1 << 17)
"""A checkpoint with its header is the largest thing there is; pictures that a run starts from are bounded far below."""

_PREFIX = struct.Struct(">II")
PREFIX_BYTES = _PREFIX.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Make these pictures. Sent to an idle worker only. With `checkpoint`, go on from there; empty: from the start.

    The files that the order starts from travel in the payload, too.
    """

    order: RunOrder
    checkpoint: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """Stop this attempt at the next step. Ignored when it is not the one in hand."""

    job_id: JobId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Stop this attempt behind the next step and hand over where it stands. A run past its last step ends instead."""

    job_id: JobId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Answer with `Pong` at once, whatever is being done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The model is loaded; `memory_bytes` are resident. `can_resume`: its runs can be taken up from a checkpoint.

    `facts` say what its pictures are made with.
    """

    memory_bytes: int
    can_resume: bool
    facts: EngineFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailed:
    """The model cannot be loaded; the worker ends."""

    kind: EngineErrorKind
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    """The worker's process is alive and gets time; whether its run makes steps is another matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWaits:
    """The attempt goes on: its engine waits for a server elsewhere, within its own limits."""

    job_id: JobId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpointed:
    """`checkpoint` is where the run stands after `step` steps; it goes on."""

    job_id: JobId
    attempt: int
    step: int
    checkpoint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """The run stopped after `step` steps, because it was told to; `checkpoint` is where it stands."""

    job_id: JobId
    attempt: int
    step: int
    checkpoint: bytes


ToWorker = Run | Abort | Pause | Ping
RunEvent = RunStarted | StepDone | ImagesReady | RunFailed | RunAborted
FromWorker = Ready | LoadFailed | Pong | RunEvent | RunWaits | Checkpointed | Paused


class WireError(Exception):
    """The peer sent something that is not a message of this version."""


def encode(message: ToWorker | FromWorker) -> bytes:
    """The frame of `message`."""
    fields, parts = _take_apart(message)
    fields |= {"version": VERSION, "type": type(message).__name__}
    header = json.dumps(fields, separators=(",", ":")).encode()
    payload_bytes = sum(map(len, parts))
    assert len(header) <= HEADER_BYTES_MAX, f"a {type(message).__name__} header of {len(header)} bytes"
    assert payload_bytes <= PAYLOAD_BYTES_MAX, f"a {type(message).__name__} payload of {payload_bytes} bytes"
    return b"".join((_PREFIX.pack(len(header), payload_bytes), header, *parts))


def lengths(prefix: bytes) -> tuple[int, int]:
    """Header and payload length in bytes, from a frame's first `PREFIX_BYTES`."""
    header_bytes, payload_bytes = _PREFIX.unpack(prefix)
    if header_bytes > HEADER_BYTES_MAX or payload_bytes > PAYLOAD_BYTES_MAX:
        raise WireError(f"a frame of {header_bytes} + {payload_bytes} bytes is beyond the limit")
    return header_bytes, payload_bytes


def decode(header: bytes, payload: bytes) -> ToWorker | FromWorker:
    """The message in a frame's header and payload."""
    try:
        fields: dict[str, Any] = json.loads(header)
        if fields.pop("version") != VERSION:
            raise WireError(f"the peer does not speak version {VERSION}")
        return _put_together(fields.pop("type"), fields, payload)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # The error's text may quote the header, and a header may hold a prompt.
        raise WireError(f"the frame is malformed: {type(error).__name__}") from None


def _take_apart(message: ToWorker | FromWorker) -> tuple[dict[str, Any], Sequence[bytes]]:
    match message:
        case Run(order=order, checkpoint=checkpoint):
            files = () if order.inputs is None else order.inputs.files
            fields = asdict(order if order.inputs is None else replace(order, inputs=replace(order.inputs, files=())))
            return fields | {"parts": [len(checkpoint), *map(len, files)]}, (checkpoint, *files)
        case StepDone(job_id=job_id, attempt=attempt, step=step, steps=steps, previews=previews):
            fields = {"job_id": job_id, "attempt": attempt, "step": step, "steps": steps}
            return fields | {"previews": [len(preview) for preview in previews]}, previews
        case ImagesReady(job_id=job_id, attempt=attempt, run_s=run_s, images=images, peak_bytes=peak_bytes):
            shapes = [[image.frames, image.width_px, image.height_px, image.seed] for image in images]
            fields = {"job_id": job_id, "attempt": attempt, "run_s": run_s, "images": shapes, "peak_bytes": peak_bytes}
            return fields, [image.rgb for image in images]
        case (
            Checkpointed(job_id=job_id, attempt=attempt, step=step, checkpoint=checkpoint)
            | Paused(job_id=job_id, attempt=attempt, step=step, checkpoint=checkpoint)
        ):
            return {"job_id": job_id, "attempt": attempt, "step": step}, (checkpoint,)
        case _:
            return asdict(message), ()


def _put_together(kind: str, fields: dict[str, Any], payload: bytes) -> ToWorker | FromWorker:
    match kind:
        case "Run":
            model_id, seeds = ModelId(fields.pop("model_id")), tuple(fields.pop("seeds"))
            checkpoint, *files = _split(payload, fields.pop("parts"))
            inputs = _run_inputs(fields.pop("inputs"), tuple(files))
            order = RunOrder(model_id=model_id, seeds=seeds, inputs=inputs, **fields)
            return Run(order=order, checkpoint=checkpoint)
        case "StepDone":
            return StepDone(previews=tuple(_split(payload, fields.pop("previews"))), **fields)
        case "ImagesReady":
            shapes = fields.pop("images")
            pixels = _split(payload, [frames * width * height * 3 for frames, width, height, _ in shapes])
            images = tuple(
                RawImage(frames=frames, width_px=width, height_px=height, seed=seed, rgb=rgb)
                for (frames, width, height, seed), rgb in zip(shapes, pixels, strict=True)
            )
            return ImagesReady(images=images, **fields)
        case "Ready":
            return Ready(facts=_facts(fields.pop("facts")), **fields)
        case "Checkpointed":
            return Checkpointed(checkpoint=payload, **fields)
        case "Paused":
            return Paused(checkpoint=payload, **fields)
        case "RunFailed":
            return RunFailed(kind=EngineErrorKind(fields.pop("kind")), **fields)
        case "LoadFailed":
            return LoadFailed(kind=EngineErrorKind(fields.pop("kind")), **fields)
        case _:
            return _PLAIN[kind](**fields)


def _facts(fields: dict[str, Any] | None) -> EngineFacts | None:
    if fields is None:
        return None
    libraries = tuple((str(name), str(version)) for name, version in fields.pop("libraries"))
    return EngineFacts(libraries=libraries, **fields)


def _run_inputs(fields: dict[str, Any] | None, files: tuple[bytes, ...]) -> RunInputs | None:
    if fields is None:
        return None
    return RunInputs(images=tuple(fields["images"]), mask=fields["mask"], strength=fields["strength"], files=files)


_PLAIN = {plain.__name__: plain for plain in (Abort, Pause, Ping, Ready, Pong, RunStarted, RunWaits, RunAborted)}


def _split(payload: bytes, part_bytes: Sequence[int]) -> list[bytes]:
    """The payload cut into parts of the given lengths, which must use it up."""
    if sum(part_bytes) != len(payload) or any(length < 0 for length in part_bytes):
        raise WireError(f"a payload of {len(payload)} bytes for parts of {sum(part_bytes)}")
    return [payload[end - length : end] for end, length in zip(accumulate(part_bytes), part_bytes, strict=True)]
