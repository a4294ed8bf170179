"""An engine without a model: deterministic gradients at any speed, and every way of failing, on order.

A fault is written `KIND@WHEN` or `KIND@WHEN#ATTEMPT`, for example `crash@3#1`: the first attempt at each job kills the
process in step 3, the second succeeds. `WHEN` is a step number, `load`, or `end` (after the last step).

With the option `prompted` a prompt may order a fault for its own job: `a boat, fault crash@3#1`.
"""

import hashlib
import json
import math
import os
import re
import signal
import time
from collections.abc import Generator
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.making import EngineFacts
from heliograph.domain.model_card import EngineKind
from heliograph.domain.run import RunOrder
from heliograph.inference.checkpoint import Checkpoint, fingerprint, usable_arrays
from heliograph.inference.engine import EngineImages, EngineStep, is_preview_due
from heliograph.inference.input_pictures import Pictures, composed, read_pictures

_REVISION = "fake"
_DIRECTIONS = "directions"
_GOLDEN_ANGLE = 2.399963
"""Radians; it keeps the directions of neighbouring seeds far apart."""
_TURN = 0.05
"""Radians that a gradient turns in a run."""
_ORDERED = re.compile(r"\bfault ([a-z_]+@(?:[0-9]+|end)(?:#[0-9]+)?)")


class FaultKind(StrEnum):
    """What goes wrong."""

    CRASH = "crash"
    """The process kills itself, as a segmentation fault or the kernel's out-of-memory killer would end it."""
    EXIT = "exit"
    """The process ends with code 3 and a line on stderr."""
    HANG = "hang"
    """Nothing happens any more, and nobody asks whether to stop."""
    HOG = "hog"
    """Memory grows by 8 MiB every 10 ms, up to 4 GiB."""
    OUT_OF_MEMORY = "out_of_memory"
    HUNGRY = "hungry"
    """Out of memory, unless the order says to spare it."""
    NAN = "nan"
    BAD_INPUT = "bad_input"
    BAD_WEIGHTS = "bad_weights"
    BUG = "bug"
    """An exception that no engine should raise; its text quotes the prompt."""
    DEVICE_LOST = "device_lost"
    """What a library raises when the GPU's driver is gone."""
    UNSUPPORTED = "unsupported"
    SLOW = "slow"
    """The step takes `slow_s` seconds longer, and the run goes on."""
    BLANK = "blank"
    """The pictures come out black. Only at `end`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`kind` happens at `when` (a step number, `load` or `end`); in every attempt, or only in the one given."""

    kind: FaultKind
    when: str
    attempt: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """The fault written as the module describes; raises ValueError."""
        match = re.fullmatch(r"(?P<kind>\w+)@(?P<when>\d+|load|end)(#(?P<attempt>\d+))?", text)
        if match is None:
            raise ValueError(f"{text!r} is not a fault; write KIND@WHEN or KIND@WHEN#ATTEMPT, for example crash@3#1")
        attempt = match["attempt"]
        return cls(kind=FaultKind(match["kind"]), when=match["when"], attempt=int(attempt) if attempt else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeOptions:
    """How fast the engine is and what goes wrong. Times in seconds; `step_s` is per step, whatever the batch.

    `noise`: stills are noise, another for each seed, which no format can shrink. `prompted`: prompts may order faults.
    `pixel_bytes`: memory a run takes for each pixel that is worked on at once, all frames and pictures counted.
    """

    load_s: float = 0.0
    step_s: float = 0.0
    noise: bool = False
    can_resume: bool = True
    slow_s: float = 1.0
    prompted: bool = False
    pixel_bytes: int = 0
    faults: tuple[Fault, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "FakeOptions":
        """Options from a JSON object such as `{"step_s": 0.05, "faults": ["crash@3#1"]}`; raises ValueError."""
        values = json.loads(text)
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"the fake engine has no option {', '.join(sorted(unknown))}")
        values["faults"] = tuple(Fault.parse(fault) for fault in values.get("faults", ()))
        return cls(**values)


class FakeEngine:
    """Makes the same gradient for the same prompt, seed and size, after as many steps as were ordered.

    What is carried from step to step is the direction of each gradient, which every step turns a little further.
    """

    def __init__(self, options: FakeOptions) -> None:
        self._options = options

    @property
    def can_resume(self) -> bool:
        """As the options say."""
        return self._options.can_resume

    @property
    def facts(self) -> EngineFacts:
        """See `Engine`."""
        return EngineFacts(engine=EngineKind.FAKE.value, revision=_REVISION)

    def load(self) -> None:
        """Wait as long as the options say."""
        time.sleep(self._options.load_s)
        self._suffer("load")

    def generate(self, order: RunOrder, resume: Checkpoint | None = None) -> Generator[EngineStep | EngineImages]:
        """The gradient, fading in from grey in the previews; in a clip it wanders."""
        identity = fingerprint(order, revision=_REVISION)
        given = read_pictures(order)
        taken = _taken(order, self._options.pixel_bytes)
        done, directions = 0, np.array(order.seeds, np.float32) * _GOLDEN_ANGLE
        if resume is not None:
            shapes = {_DIRECTIONS: directions.shape}
            arrays = usable_arrays(resume, fingerprint=identity, steps=order.steps, shapes=shapes)
            done, directions = resume.step, arrays[_DIRECTIONS].astype(np.float32)
        for step in range(done + 1, order.steps + 1):
            time.sleep(self._options.step_s)
            self._suffer(str(step), order)
            directions = directions + np.float32(_TURN / order.steps)
            previews = None
            if is_preview_due(order, step, order.steps):
                previews = _faded(_pictures(replace(order, frames=1), directions)[:, 0], step / order.steps)
            checkpoint = partial(Checkpoint, step=step, fingerprint=identity, arrays={_DIRECTIONS: directions})
            yield EngineStep(step=step, steps=order.steps, previews=previews, checkpoint=checkpoint)
        pictures = _noise(order) if self._options.noise else _pictures(order, directions)
        if given is not None:
            pictures = _from_pictures(pictures, given, order)
        del taken
        is_blank = FaultKind.BLANK in self._suffer("end", order)
        yield EngineImages(pixels=np.zeros_like(pictures) if is_blank else pictures)

    def _suffer(self, when: str, order: RunOrder | None = None) -> list[FaultKind]:
        """Let the faults of this moment happen; returns those that were survived."""
        attempt = None if order is None else order.attempt
        faults = self._options.faults
        if order is not None and self._options.prompted:
            faults = (*faults, *(Fault.parse(text) for text in _ORDERED.findall(order.prompt)))
        due = [fault.kind for fault in faults if fault.when == when and fault.attempt in (None, attempt)]
        if order is not None and order.spares_memory:
            due = [kind for kind in due if kind is not FaultKind.HUNGRY]
        for kind in due:
            _happen(kind, "" if order is None else order.prompt, slow_s=self._options.slow_s)
        return due


def _happen(kind: FaultKind, prompt: str, *, slow_s: float) -> None:
    match kind:
        case FaultKind.CRASH:
            os.kill(os.getpid(), signal.SIGKILL)
        case FaultKind.EXIT:
            os.write(2, b"the fake engine was told to exit\n")
            os._exit(3)
        case FaultKind.HANG:
            while True:
                time.sleep(3600)
        case FaultKind.HOG:
            hoard: list[NDArray[np.uint8]] = []
            for _ in range(512):
                hoard.append(np.ones(8 << 20, np.uint8))
                time.sleep(0.01)
        case FaultKind.OUT_OF_MEMORY | FaultKind.HUNGRY:
            raise MemoryError
        case FaultKind.NAN | FaultKind.BAD_INPUT | FaultKind.BAD_WEIGHTS:
            raise EngineError(EngineErrorKind(kind.value), f"the fake engine was told to fail with {kind.value}")
        case FaultKind.DEVICE_LOST:
            raise RuntimeError("CUDA error: unspecified launch failure")
        case FaultKind.UNSUPPORTED:
            raise EngineError(EngineErrorKind.UNSUPPORTED_PARAMETER, "guidance: this engine has no such parameter")
        case FaultKind.SLOW:
            time.sleep(slow_s)
        case FaultKind.BUG:
            raise RuntimeError(f"cannot draw {prompt!r}")
        case FaultKind.BLANK:
            pass


def _taken(order: RunOrder, pixel_bytes: int) -> NDArray[np.uint8]:
    """Memory as a model would take it; raises MemoryError where that is more than there is."""
    pictures = 1 if order.spares_memory else len(order.seeds)
    return np.ones(order.width_px * order.height_px * order.frames * pictures * pixel_bytes, np.uint8)


def _pictures(order: RunOrder, directions: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(pictures, frames, height, width, 3) uint8."""
    phases = [frame / order.frames for frame in range(order.frames)]
    return np.stack([[_gradient(order, float(direction), phase) for phase in phases] for direction in directions])


def _noise(order: RunOrder) -> NDArray[np.uint8]:
    """(pictures, 1, height, width, 3) uint8: the same noise, shifted by the seed, because that costs no time."""
    shape = (1, order.height_px, order.width_px, 3)
    noise = _some_noise(math.prod(shape))
    return np.stack([np.roll(noise, seed % noise.size).reshape(shape) for seed in order.seeds])


@cache
def _some_noise(size: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, size, np.uint8)


def _gradient(order: RunOrder, direction: float, phase: float) -> NDArray[np.uint8]:
    """(height, width, 3) uint8: two colours drawn from the prompt, blended along `direction` (radians).

    `phase` (0-1) is how far a clip has come: the gradient is pushed aside by as much of half its length.
    """
    colours = np.frombuffer(hashlib.sha256(order.prompt.encode(errors="replace")).digest()[:6], np.uint8).reshape(2, 3)
    x = np.linspace(-0.5, 0.5, order.width_px, dtype=np.float32) * math.cos(direction)
    y = np.linspace(-0.5, 0.5, order.height_px, dtype=np.float32) * math.sin(direction)
    share = np.arange(256)[:, None] / 255
    shades = (colours[0] * (1 - share) + colours[1] * share).astype(np.uint8)
    place = 0.5 + 0.5 * phase + y[:, None] + x[None, :]
    return shades[(np.clip(place, 0, 1) * 255).astype(np.uint8)]


def _from_pictures(pictures: NDArray[np.uint8], given: Pictures, order: RunOrder) -> NDArray[np.uint8]:
    """The gradients laid over the picture that was given, as thick as the strength says, where the mask says."""
    strength = np.float32(0.5 if order.inputs is None or order.inputs.strength is None else order.inputs.strength)
    mixed = (given.images[0] * (1 - strength) + pictures * strength).round().astype(np.uint8)
    return composed(mixed, given)


def _faded(pictures: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    return (128 + (pictures - np.float32(128)) * np.float32(strength)).astype(np.uint8)
