"""Pipelines of the diffusers library as engines: Stable Diffusion, SDXL, SD3, Flux, Wan, LTX, AnimateDiff and others.

Any pipeline class can be named; what is known of one (`domain/pipeline_options.py`) adds previews, the choice of a
scheduler and runs that can be taken up again. Weights are safetensors files of this machine, no code of a model is run.

The same order gives the same pixels on the same device, interrupted or not. A batch of another size may differ in the
last bits of the networks' floating point numbers, because libraries pick other kernels for it: pictures then differ by
one level in a few thousand values, which nobody sees. Noise itself is drawn per picture, on the CPU, so that a seed
means the same on every GPU.
"""

import importlib
import inspect
import json
import math
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.making import EngineFacts
from heliograph.domain.model_card import EngineKind
from heliograph.domain.pipeline_options import (
    PIPELINES,
    SCHEDULERS,
    PipelineOptions,
    options_from,
    refusal,
)
from heliograph.domain.run import RunOrder
from heliograph.inference.checkpoint import Checkpoint, fingerprint
from heliograph.inference.diffusers_course import Course, rows_apart
from heliograph.inference.diffusers_device import chosen_device, dtype_on, loading_arguments, placed
from heliograph.inference.diffusers_folder import cached_folder, checked_index, digest_of, files_of
from heliograph.inference.diffusers_previews import Decode, as_stills, drawn, fitted_map, tiny_decoder
from heliograph.inference.engine import EngineImages, EngineStep, is_preview_due
from heliograph.inference.facts import processor, versions
from heliograph.inference.input_pictures import Pictures, composed, read_pictures
from heliograph.inference.step_thread import Emit, StepThread

Item = EngineStep | EngineImages

_WARM_UP_STEPS = 2
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class DiffusersEngine:
    """One pipeline from `folder`. `warm_up` is an order of its usual size, run once while it is loaded.

    `cache` keeps what was found out about a model for the next worker.
    """

    def __init__(self, folder: Path, options: PipelineOptions, *, warm_up: RunOrder, cache: Path | None = None) -> None:
        self._folder = folder
        self._options = options
        self._warm_up = warm_up
        self._cache = cache
        self._facts = PIPELINES.get(options.pipeline)
        self._siblings: dict[str, Any] = {}
        self._thread: StepThread[Item] = StepThread("pipeline")

    @property
    def can_resume(self) -> bool:
        """For the pipelines whose every scheduler was tried."""
        return self._facts is not None

    @property
    def facts(self) -> EngineFacts:
        """See `Engine`."""
        device = self._pipe._execution_device
        is_cuda = device.type == "cuda"
        return EngineFacts(
            engine=EngineKind.DIFFUSERS.value,
            revision=self._options.revision or "",
            weights_sha256=self._digest,
            libraries=versions(("accelerate", "diffusers", "numpy", "torch", "transformers")),
            device=str(torch.cuda.get_device_name(device)) if is_cuda else processor(),
            dtype=str(self._pipe.dtype).removeprefix("torch."),
            scheduler=type(self._pipe.scheduler).__name__,
        )

    def load(self) -> None:
        """Check what may be loaded, load it, put it on its device, run once. Raises `EngineError(BAD_WEIGHTS)`."""
        refused = refusal(self._options)
        if refused is not None:
            raise EngineError(EngineErrorKind.BAD_WEIGHTS, f"diffusers.{refused[0]} {refused[1]}")
        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        device = chosen_device(self._options, torch)
        index = checked_index(self._folder, pipeline=self._options.pipeline)
        files = files_of(self._folder)
        self._digest = digest_of(files, root=self._folder)
        self._revision = f"{self._digest} {self._options!r}"
        self._pipe = self._opened(index, device)
        self._pipe.set_progress_bar_config(disable=True)
        self._choose_scheduler()
        placed(self._pipe, self._options, device, torch)
        vae_files = [path for path in files if path.parent.name == "vae"]
        self._decode = self._preview_decoder(digest_of(vae_files, root=self._folder))
        for _ in self.generate(replace(self._warm_up, steps=_WARM_UP_STEPS, preview_every=1)):
            pass

    def generate(self, order: RunOrder, resume: Checkpoint | None = None) -> Generator[Item]:
        """The pipeline's own loop, one step for each time it is asked; see `Engine`."""
        return self._thread.run(partial(self._work, order, resume))

    def _opened(self, index: Mapping[str, Any], device: Any) -> Any:
        arguments = loading_arguments(
            self._options, torch=torch, diffusers=diffusers, import_module=importlib.import_module
        )
        if "safety_checker" in index:  # pictures are judged in one place, for all models, and not by blackening them
            arguments |= {"safety_checker": None, "requires_safety_checker": False}
        try:
            return diffusers.DiffusionPipeline.from_pretrained(
                self._folder,
                dtype=dtype_on(self._options, device, torch),
                variant=self._options.variant,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                **arguments,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError) as error:
            if _is_out_of_memory(error):
                raise
            raise EngineError(
                EngineErrorKind.BAD_WEIGHTS, f"{self._folder} cannot be loaded ({type(error).__name__}: {error})"
            ) from error

    def _choose_scheduler(self) -> None:
        if self._options.scheduler is not None:
            chosen = SCHEDULERS[self._options.scheduler]
            kind = getattr(diffusers, chosen.class_name)
            self._pipe.scheduler = kind.from_config(self._pipe.scheduler.config, **chosen.config)

    def _preview_decoder(self, digest: str) -> Decode | None:
        if self._facts is None:
            return None
        if self._options.preview_decoder is not None:
            folder = self._options.preview_decoder
            tiny = diffusers.AutoencoderTiny.from_pretrained(
                folder, dtype=self._pipe.vae.dtype, use_safetensors=True, local_files_only=True
            )
            return tiny_decoder(tiny.to(self._pipe._execution_device))
        return fitted_map(self._pipe.vae, cache=self._cache, digest=digest)

    def _work(self, order: RunOrder, resume: Checkpoint | None, emit: Emit[Item]) -> None:
        """Runs in the thread of the pipeline."""
        try:
            emit(EngineImages(pixels=self._pixels(order, resume, emit)))
        except EngineError:
            raise
        except ValueError as error:
            # Pipelines check their arguments so; the text may quote them.
            raise EngineError(EngineErrorKind.BAD_INPUT, "the pipeline refuses these parameters") from error
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            torch.cuda.empty_cache()
            raise EngineError(EngineErrorKind.OUT_OF_MEMORY, "the pipeline ran out of memory") from error

    def _pixels(self, order: RunOrder, resume: Checkpoint | None, emit: Emit[Item]) -> NDArray[np.uint8]:
        if resume is not None and not self.can_resume:
            raise EngineError(EngineErrorKind.BAD_CHECKPOINT, f"runs of {self._options.pipeline} cannot be taken up")
        identity = fingerprint(order, revision=self._revision)

        def clean_wanted(step: int, steps: int) -> bool:
            return self._decode is not None and is_preview_due(order, step, steps)

        def on_step(step: int, steps: int, clean: Any) -> None:
            previews = None if clean is None else self._preview(clean, order)
            checkpoint = partial(course.checkpoint, slice(None), identity)
            emit(EngineStep(step=step, steps=steps, previews=previews, checkpoint=checkpoint))

        given = read_pictures(order)
        pipe = self._pipe if given is None else self._pipe_from(given)
        course = Course(
            pipe,
            generators=[torch.Generator().manual_seed(seed) for seed in order.seeds],
            fingerprint=identity,
            resume=resume,
            clean_wanted=clean_wanted,
            on_step=on_step,
        )
        with ExitStack() as stack:
            if order.spares_memory:
                stack.enter_context(rows_apart(pipe))
            output = course.call(self._arguments(pipe, order, given))
        return composed(_as_pixels(output, order), given)

    def _pipe_from(self, given: Pictures) -> Any:
        """The pipeline that starts from pictures, with the same networks; made when it is first needed."""
        task = "i2i" if given.mask is None else "inpaint"
        name = self._options.pipeline if self._facts is None else self._facts.siblings.get(task)
        if name is None:
            raise EngineError(EngineErrorKind.BAD_INPUT, f"{self._options.pipeline} cannot do {task}")
        if name == self._options.pipeline:
            return self._pipe
        if name not in self._siblings:
            kind = getattr(diffusers, name)
            wanted = inspect.signature(kind).parameters
            parts = {part: value for part, value in self._pipe.components.items() if part in wanted}
            if "requires_safety_checker" in wanted:
                parts["requires_safety_checker"] = False
            self._siblings[name] = kind(**parts)
            self._siblings[name].set_progress_bar_config(disable=True)
        return self._siblings[name]

    def _arguments(self, pipe: Any, order: RunOrder, given: Pictures | None) -> dict[str, Any]:
        """What the pipeline is called with, as far as it knows these names."""
        known = inspect.signature(pipe.__call__).parameters
        pictures = len(order.seeds)
        wanted: dict[str, Any] = {
            "prompt": [order.prompt] * pictures,
            "width": order.width_px,
            "height": order.height_px,
            "num_frames": order.frames,
            "num_inference_steps": order.steps,
            "guidance_scale": order.guidance,
            "output_type": "np",
        }
        if order.negative_prompt:
            wanted["negative_prompt"] = [order.negative_prompt] * pictures
        if self._options.token_limit is not None:
            wanted["max_sequence_length"] = self._options.token_limit
        if given is not None:
            wanted |= _given_arguments(order, given)
            if "image" not in known:
                raise EngineError(EngineErrorKind.BAD_INPUT, f"{self._options.pipeline} starts from no picture")
        if order.frames > 1 and "num_frames" not in known:
            raise EngineError(EngineErrorKind.BAD_INPUT, f"{self._options.pipeline} makes stills, not clips")
        return {name: value for name, value in wanted.items() if name in known}

    def _preview(self, clean: Any, order: RunOrder) -> NDArray[np.uint8]:
        assert self._facts is not None, "previews are for pipelines whose latents are known"
        assert self._decode is not None, "previews are asked for where there is a decoder"
        ratio = getattr(self._pipe, "vae_temporal_compression_ratio", None) or 1
        stills = as_stills(
            clean,
            self._facts.layout,
            aspect=order.width_px / order.height_px,
            frames=(order.frames - 1) // ratio + 1,
        )
        return drawn(stills, self._decode)


def open_engine(folder: Path | None, description: str, *, cache: Path | None) -> DiffusersEngine:
    """The engine that a worker was started for. `description` is JSON with the `options` and what is `usual`.

    Without a `folder` the weights are where the hub's client keeps the `repository` at its revision.
    """
    described: dict[str, Any] = json.loads(description)
    options = options_from(described["options"])
    if folder is None:
        folder = cached_folder(described["repository"], str(options.revision))
    return DiffusersEngine(folder, options, warm_up=warm_up_order(**described["usual"]), cache=cache)


def warm_up_order(*, width_px: int, height_px: int, frames: int, guidance: float) -> RunOrder:
    """An order of this size for `DiffusersEngine`."""
    return RunOrder(
        job_id=JobId("warm-up"),
        attempt=0,
        model_id=ModelId("warm-up"),
        prompt="a boat on the sea",
        negative_prompt="",
        width_px=width_px,
        height_px=height_px,
        steps=_WARM_UP_STEPS,
        guidance=guidance,
        seeds=(0,),
        preview_every=1,
        frames=frames,
    )


def _given_arguments(order: RunOrder, given: Pictures) -> dict[str, Any]:
    """Pictures to start from, in the words of pipelines."""
    pictures = len(order.seeds)
    arguments: dict[str, Any] = {"image": [Image.fromarray(given.images[0])] * pictures}
    if given.mask is not None:
        mask = Image.fromarray((given.mask * 255).astype(np.uint8))
        arguments["mask_image"] = [mask] * pictures
    strength = None if order.inputs is None else order.inputs.strength
    if strength is not None:
        steps = max(1, round(order.steps * strength))
        arguments["strength"] = share_of(steps, order.steps)
    return arguments


def share_of(part: int, whole: int) -> float:
    """A number from 0 to 1 that times `whole` is `part`, to the last bit where there is one.

    Some pipelines cut off behind the decimal point from below and some from above, so a last bit may cost a step.
    """
    share = part / whole
    near = (share, math.nextafter(share, 2), math.nextafter(share, 0))
    return next((each for each in near if whole * each == part), share)


def _as_pixels(output: Any, order: RunOrder) -> NDArray[np.uint8]:
    """(pictures, frames, height, width, 3) of what a pipeline gives, which is from 0 to 1."""
    found = output.images if hasattr(output, "images") else output.frames
    values = np.asarray(found, np.float32)
    if not np.isfinite(values).all():
        raise EngineError(EngineErrorKind.NAN, "the decoded pixels are not numbers")
    pixels = np.round(values * 255).clip(0, 255).astype(np.uint8)
    return pixels if order.frames > 1 else pixels.reshape(len(order.seeds), 1, *pixels.shape[-3:])


def _is_out_of_memory(error: BaseException) -> bool:
    """CUDA has a class for it, the CPU's allocator only a text."""
    is_text = isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
    return is_text or isinstance(error, torch.OutOfMemoryError | MemoryError)
