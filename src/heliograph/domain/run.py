"""What a worker is told to do, in terms of the model alone: no tenant, no price, no queue."""

from dataclasses import dataclass

from heliograph.domain.ids import JobId, ModelId


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInputs:
    """Pictures that a run starts from; `domain.request.Inputs` says what they and `strength` mean.

    `images` and `mask` name PNG files in the store of inputs. `files` are their bytes, the mask's last: empty until the
    fleet driver, on its way to the worker, has fetched them.
    """

    images: tuple[str, ...]
    mask: str | None = None
    strength: float | None = None
    files: tuple[bytes, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The files it needs, in the order of `files`."""
        return self.images if self.mask is None else (*self.images, self.mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """One attempt at a job. Picture i is made from `seeds[i]`. A preview comes every `preview_every` steps; 0: none.

    With `frames` above 1 every picture is a clip. With `resume_from`, the checkpoint that an earlier attempt left, the
    first `first_step` steps are done already. With `spares_memory` the engine does with less of it where it can, if
    more slowly: one picture at a time, decoded in parts. The pictures are the same. With `inputs` it starts from
    pictures, and may take fewer steps than were ordered: `strength` times as many, at least one. A worker that makes no
    step for `stall_limit_s` seconds hangs; None: nobody knows yet how long a step of such a run may take.
    """

    job_id: JobId
    attempt: int
    model_id: ModelId
    prompt: str
    negative_prompt: str
    width_px: int
    height_px: int
    steps: int
    guidance: float
    seeds: tuple[int, ...]
    preview_every: int
    frames: int = 1
    resume_from: str | None = None
    first_step: int = 0
    spares_memory: bool = False
    inputs: RunInputs | None = None
    stall_limit_s: float | None = None
