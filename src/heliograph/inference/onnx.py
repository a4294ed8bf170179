"""The built-in models on ONNX Runtime, on one CPU core each: stills and clips from the folders below weights/.

Nothing here depends on what else is in the batch or on how often a run was interrupted: noise is drawn per seed,
networks run on one thread, and a state is all that its next step needs. So a picture's bytes depend on its order alone.
"""

import hashlib
from collections.abc import Generator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.making import EngineFacts
from heliograph.domain.model_card import EngineKind
from heliograph.domain.run import RunOrder
from heliograph.inference import sampler
from heliograph.inference.checkpoint import Array, Checkpoint, fingerprint, usable_arrays
from heliograph.inference.engine import EngineImages, EngineStep, is_preview_due
from heliograph.inference.facts import processor, versions
from heliograph.inference.model_folder import ModelFolder, ModelKind, bad_weights, read_folder
from heliograph.inference.onnx_clips import ClipModel
from heliograph.inference.onnx_images import State, StillModel

_WARM_UP_PX = 64


class _Run(Protocol):
    """One order on its way: `StillRun` or `ClipRun`. Steps count from 1; a state is never written to."""

    @property
    def steps(self) -> int: ...

    def start(self) -> State: ...

    def shapes(self, step: int) -> Mapping[str, tuple[int, ...]]: ...

    def advance(self, state: State, step: int) -> tuple[State, sampler.Latents]: ...

    def decode(self, latents: sampler.Latents) -> NDArray[np.uint8]: ...

    def finish(self, state: State) -> NDArray[np.uint8]: ...


class OnnxEngine:
    """One built-in model from the folder `weights`."""

    can_resume = True

    def __init__(self, weights: Path) -> None:
        self._weights = weights

    def load(self) -> None:
        """Check every file against model.json, open the sessions, run once. Raises `EngineError(BAD_WEIGHTS)`."""
        folder = read_folder(self._weights)
        self._revision = folder.revision
        self._model = _open_model(folder)
        self._digest = _digest_of(folder)
        for _ in self.generate(_warm_up(self._model.frames)):
            pass

    @property
    def facts(self) -> EngineFacts:
        """See `Engine`."""
        return EngineFacts(
            engine=EngineKind.ONNX.value,
            revision=self._revision,
            weights_sha256=self._digest,
            libraries=versions(("numpy", "onnxruntime")),
            device=processor(),
            dtype="float32",
            scheduler="euler",
        )

    def generate(self, order: RunOrder, resume: Checkpoint | None = None) -> Generator[EngineStep | EngineImages]:
        """Euler steps from noise to picture; see `Engine`."""
        run: _Run = self._model.begin(order)
        identity = fingerprint(order, revision=self._revision)
        done, state = 0, run.start()
        if resume is not None:
            shapes = run.shapes(resume.step)
            arrays = usable_arrays(resume, fingerprint=identity, steps=run.steps, shapes=shapes)
            done, state = resume.step, cast(State, arrays)
        for step in range(done + 1, run.steps + 1):
            state, promised = run.advance(state, step)
            previews = run.decode(promised) if is_preview_due(order, step, run.steps) else None
            checkpoint = partial(_checkpoint, step, identity, state)
            yield EngineStep(step=step, steps=run.steps, previews=previews, checkpoint=checkpoint)
        yield EngineImages(pixels=run.finish(state))


def _open_model(folder: ModelFolder) -> StillModel | ClipModel:
    match folder.kind:
        case ModelKind.TEXT_TO_IMAGE:
            return StillModel(folder)
        case ModelKind.TEXT_TO_VIDEO:
            return ClipModel(folder)
        case ModelKind.UPSCALER | ModelKind.DUAL_ENCODER:
            raise bad_weights(f"{folder.path} holds a {folder.kind.value}, which is a tool and takes no orders")


def _digest_of(folder: ModelFolder) -> str:
    """SHA-256 hex over the names and checksums of all its files, which were checked when it was read."""
    files = sorted((name, str(entry["sha256"])) for name, entry in folder.facts["files"].items())
    return hashlib.sha256(repr(files).encode()).hexdigest()


def _checkpoint(step: int, identity: str, state: State) -> Checkpoint:
    return Checkpoint(step=step, fingerprint=identity, arrays=cast("Mapping[str, Array]", state))


def _warm_up(frames: int) -> RunOrder:
    return RunOrder(
        job_id=JobId("warm-up"),
        attempt=0,
        model_id=ModelId("warm-up"),
        prompt="a boat on the sea",
        negative_prompt="",
        width_px=_WARM_UP_PX,
        height_px=_WARM_UP_PX,
        steps=1,
        guidance=2.0,
        seeds=(0,),
        preview_every=1,
        frames=frames,
    )
