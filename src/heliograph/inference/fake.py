"""An engine without a model: deterministic gradients at any speed, and every way of failing, on order.

A fault is written `KIND@WHEN` or `KIND@WHEN#ATTEMPT`, for example `crash@3#1`: the first attempt at each job kills the
process in step 3, the second succeeds. `WHEN` is a step number, `load`, or `end` (after the last step).
"""

import hashlib
import json
import math
import os
import re
import signal
import time
from collections.abc import Generator
from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.run import RunOrder
from heliograph.inference.engine import EngineImages, EngineStep, is_preview_due


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
    NAN = "nan"
    BAD_INPUT = "bad_input"
    BAD_WEIGHTS = "bad_weights"
    BUG = "bug"
    """An exception that no engine should raise; its text quotes the prompt."""
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
    """How fast the engine is and what goes wrong. Times in seconds; `step_s` is per step, whatever the batch."""

    load_s: float = 0.0
    step_s: float = 0.0
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
    """Makes the same gradient for the same prompt, seed and size, after as many steps as were ordered."""

    def __init__(self, options: FakeOptions) -> None:
        self._options = options

    def load(self) -> None:
        """Wait as long as the options say."""
        time.sleep(self._options.load_s)
        self._suffer("load", attempt=None, prompt="")

    def generate(self, order: RunOrder) -> Generator[EngineStep | EngineImages]:
        """The gradient, fading in from grey in the previews."""
        pictures = np.stack([_gradient(order, seed) for seed in order.seeds])
        for step in range(1, order.steps + 1):
            time.sleep(self._options.step_s)
            self._suffer(str(step), attempt=order.attempt, prompt=order.prompt)
            previews = _faded(pictures, step / order.steps) if is_preview_due(order, step) else None
            yield EngineStep(step=step, steps=order.steps, previews=previews)
        is_blank = FaultKind.BLANK in self._suffer("end", attempt=order.attempt, prompt=order.prompt)
        yield EngineImages(pixels=np.zeros_like(pictures) if is_blank else pictures)

    def _suffer(self, when: str, *, attempt: int | None, prompt: str) -> list[FaultKind]:
        """Let the faults of this moment happen; returns those that were survived."""
        faults = self._options.faults
        due = [fault.kind for fault in faults if fault.when == when and fault.attempt in (None, attempt)]
        for kind in due:
            _happen(kind, prompt)
        return due


def _happen(kind: FaultKind, prompt: str) -> None:
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
        case FaultKind.OUT_OF_MEMORY:
            raise MemoryError
        case FaultKind.NAN | FaultKind.BAD_INPUT | FaultKind.BAD_WEIGHTS:
            raise EngineError(EngineErrorKind(kind.value), f"the fake engine was told to fail with {kind.value}")
        case FaultKind.BUG:
            raise RuntimeError(f"cannot draw {prompt!r}")
        case FaultKind.BLANK:
            pass


def _gradient(order: RunOrder, seed: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8: two colours drawn from the prompt, blended in a direction drawn from the seed."""
    colours = np.frombuffer(hashlib.sha256(order.prompt.encode(errors="replace")).digest()[:6], np.uint8).reshape(2, 3)
    angle = seed * 2.399963  # radians; the golden angle keeps neighbouring seeds far apart
    x = np.linspace(-0.5, 0.5, order.width_px, dtype=np.float32) * math.cos(angle)
    y = np.linspace(-0.5, 0.5, order.height_px, dtype=np.float32) * math.sin(angle)
    share = np.arange(256)[:, None] / 255
    shades = (colours[0] * (1 - share) + colours[1] * share).astype(np.uint8)
    return shades[(np.clip(0.5 + y[:, None] + x[None, :], 0, 1) * 255).astype(np.uint8)]


def _faded(pictures: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    return (128 + (pictures - np.float32(128)) * np.float32(strength)).astype(np.uint8)
