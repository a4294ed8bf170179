"""One run through a diffusers pipeline: counted, watched and, where a checkpoint says so, taken up in the middle.

Pipelines are called as they are. For the time of one call, `scheduler.step` is wrapped on the instance; the callback
that every pipeline has tells when a step is over.

How a run is taken up. A pipeline cannot be told to begin at step 5: it derives its time steps, noise and masks from the
beginning. So it does begin there, but the steps that are done cost nothing: their networks answer with zeros and their
scheduler leaves everything alone, until at the last of them the saved latents are handed out and the scheduler and the
generators are put into the state they had. From there on nothing distinguishes the run from one that was never
interrupted, whichever way the pipeline counts its steps.
"""

import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.inference.checkpoint import Checkpoint, bad_checkpoint
from heliograph.inference.diffusers_state import Restored, baseline_of, captured

_DENOISERS = ("unet", "transformer", "transformer_2", "controlnet")
"""Parts of pipelines that are called at each step."""


class Course:
    """The run of one order. `clean_wanted` tells whether a preview will be made of a step, counted from 1.

    `on_step` is called behind each step with its number, how many there are, and the latents that the step promises
    where they were wanted. In between, `checkpoint` tells where the run stands.
    """

    def __init__(
        self,
        pipe: Any,
        *,
        generators: Sequence[Any],
        fingerprint: str,
        resume: Checkpoint | None,
        clean_wanted: Callable[[int, int], bool],
        on_step: Callable[[int, int, Any], None],
    ) -> None:
        self._pipe = pipe
        self._scheduler = pipe.scheduler
        self._generators = generators
        self._fingerprint = fingerprint
        self._clean_wanted = clean_wanted
        self._on_step = on_step
        self._restored: Restored | None = None
        if resume is not None:
            self._restored = Restored(resume, fingerprint=fingerprint, device=pipe._execution_device)
        self._baseline: Mapping[str, object] = {}
        self._latents: Any = None
        self._clean: Any = None
        self._stepped = 0
        self._done = 0
        self._waking: Callable[[], None] | None = None

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """The pipeline's output. Raises `EngineError(BAD_CHECKPOINT)` for a step that the run does not have."""
        with ExitStack() as stack:
            stack.enter_context(_replaced(self._scheduler, "step", self._wrapped_step()))
            if self._restored is not None:
                asleep = stack.enter_context(ExitStack())
                for module in _denoisers(self._pipe):
                    asleep.enter_context(_asleep(module))
                self._waking = asleep.close
            return self._pipe(callback_on_step_end=self._step_ended, generator=list(self._generators), **arguments)

    def checkpoint(self, pictures: slice, fingerprint: str) -> Checkpoint:
        """Where the run stands, as far as it is about these pictures of the batch."""
        return captured(
            step=self._done,
            fingerprint=fingerprint,
            latents=self._latents,
            scheduler=self._scheduler,
            baseline=self._baseline,
            generators=self._generators,
            pictures=pictures,
        )

    @property
    def _steps(self) -> int:
        """How many steps this run has, known once it has begun."""
        return int(self._pipe.num_timesteps)

    def _wrapped_step(self) -> Callable[..., Any]:
        step = self._scheduler.step

        @functools.wraps(step)  # pipelines look at its signature
        def wrapped(model_output: Any, timestep: Any, sample: Any, *more: Any, **named: Any) -> Any:
            if self._stepped == 0:
                self._baseline = baseline_of(self._scheduler)
                self._check_resume(sample)
            self._stepped += 1
            if self._restored is not None and self._stepped <= self._restored.step:
                return _StepOutput([self._skipped(self._restored, sample)])
            self._clean = None
            if self._clean_wanted(self._stepped, self._steps):
                self._clean = predicted_clean(self._scheduler, model_output, timestep, sample)
            return step(model_output, timestep, sample, *more, **named)

        return wrapped

    def _check_resume(self, sample: Any) -> None:
        restored = self._restored
        if restored is None:
            return
        if not 0 < restored.step <= self._steps:
            raise bad_checkpoint(f"it was taken after step {restored.step} of {self._steps}")
        if restored.latents.shape != sample.shape:
            raise bad_checkpoint(f"it holds latents of {tuple(restored.latents.shape)}, not {tuple(sample.shape)}")

    def _skipped(self, restored: Restored, sample: Any) -> Any:
        """The latents behind a step that is done."""
        if self._stepped < restored.step:
            return sample
        assert self._waking is not None, "networks are put to sleep before they are woken"
        self._waking()
        restored.give_to(self._scheduler, self._generators)
        return restored.latents

    def _step_ended(self, pipe: Any, index: int, timestep: Any, state: dict[str, Any]) -> dict[str, Any]:
        del pipe, timestep
        self._done = index + 1
        if self._restored is not None and self._done <= self._restored.step:
            return state
        self._latents = state["latents"]
        if not bool(torch.isfinite(self._latents).all()):
            raise EngineError(EngineErrorKind.NAN, f"the latents are not numbers after step {self._done}")
        self._on_step(self._done, self._steps, self._clean)
        return state


def predicted_clean(scheduler: Any, model_output: Any, timestep: Any, sample: Any) -> Any:
    """What the step promises: latents without noise, from those with noise and what the network says of them.

    Asked before the scheduler takes the step. None for predictions that are not known here.
    """
    config = scheduler.config
    kind = config.get("prediction_type", "flow_prediction")
    if kind == "flow_prediction":
        sigma = timestep / config.num_train_timesteps
        return sample.float() - sigma * model_output.float()
    # Some schedulers keep latents larger than their networks read them; scaled they are all alike.
    noisy = scheduler.scale_model_input(sample, timestep).float()
    alpha, sigma = _alpha_sigma(scheduler, timestep)
    match kind:
        case "epsilon":
            return (noisy - sigma * model_output.float()) / alpha
        case "v_prediction":
            return alpha * noisy - sigma * model_output.float()
        case "sample":
            return model_output.float()
        case _:
            return None


def _alpha_sigma(scheduler: Any, timestep: Any) -> tuple[Any, Any]:
    """Shares of picture and of noise in what the network reads; their squares add up to 1."""
    sigmas, index = getattr(scheduler, "sigmas", None), getattr(scheduler, "step_index", None)
    if sigmas is not None and index is not None:
        ratio = sigmas[index].float()
        alpha = (1 + ratio**2) ** -0.5
        return alpha, alpha * ratio
    kept = scheduler.alphas_cumprod[int(timestep)].float()
    return kept**0.5, (1 - kept) ** 0.5


class _StepOutput(tuple[Any, ...]):
    """What a scheduler's step gives: `[0]` and `.prev_sample` are the same."""

    __slots__ = ()

    @property
    def prev_sample(self) -> Any:
        return self[0]


class _NetworkOutput(tuple[Any, ...]):
    """What a network gives: `[0]` and `.sample` are the same."""

    __slots__ = ()

    @property
    def sample(self) -> Any:
        return self[0]


def _denoisers(pipe: Any) -> list[Any]:
    parts = (getattr(pipe, name, None) for name in _DENOISERS)
    return [part for part in parts if isinstance(part, torch.nn.Module)]


@contextmanager
def _asleep(module: Any) -> Generator[None]:
    """The network answers with zeros, at once and whoever has wrapped it."""
    channels = module.config.get("out_channels")

    def forward(*inputs: Any, **named: Any) -> Any:
        noisy = inputs[0] if inputs else named["sample" if "sample" in named else "hidden_states"]
        shape = list(noisy.shape)
        if channels is not None and len(shape) > len("bsc"):
            shape[1] = channels
        return _NetworkOutput([noisy.new_zeros(shape)])

    with _replaced(module, "forward", forward), _replaced(module, "_compiled_call_impl", None):
        yield


@contextmanager
def rows_apart(pipe: Any) -> Generator[None]:
    """The networks take one row of their batch at a time: slower, and in less memory."""
    with ExitStack() as stack:
        for module in _denoisers(pipe):
            forward = functools.partial(_by_rows, module.forward)
            stack.enter_context(_replaced(module, "forward", functools.wraps(module.forward)(forward)))
        yield


def _by_rows(forward: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
    noisy = inputs[0] if inputs else named["sample" if "sample" in named else "hidden_states"]
    rows = len(noisy)
    if rows == 1:
        return forward(*inputs, **named)
    outputs: list[Any] = []
    for row in range(rows):
        cut = functools.partial(_cut, row=row, rows=rows)
        few = {name: value if name.endswith("_ids") else cut(value) for name, value in named.items()}
        text = named.get("encoder_hidden_states")
        if text is not None and len(text) > rows:  # of a clip, a row for each frame of each row
            few["encoder_hidden_states"] = text.chunk(rows)[row]
        outputs.append(forward(*map(cut, inputs), **few)[0])
    return _NetworkOutput([torch.cat(outputs)])


def _cut(value: Any, *, row: int, rows: int) -> Any:
    """One row of whatever holds a row for each of the batch's."""
    if isinstance(value, torch.Tensor):
        tensor: Any = value
        return tensor[row : row + 1] if tensor.ndim and tensor.shape[0] == rows else tensor
    if isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        return {name: _cut(item, row=row, rows=rows) for name, item in named.items()}
    return value


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Generator[None]:
    """The attribute of this one object is another, for a while."""
    own = cast("dict[str, object]", vars(owner))
    had, before = name in own, own.get(name)
    own[name] = value
    try:
        yield
    finally:
        if had:
            own[name] = before
        else:
            own.pop(name, None)
