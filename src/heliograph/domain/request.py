"""What the user asked for, after checking: every field is set, legal for the model, and final."""

from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.ids import ModelId

SEED_MAX = 2**32 - 1
"""Largest seed. 32 bits fit every client's number type and every tool that shows one."""


class OutputFormat(StrEnum):
    """Codec of the delivered picture or clip; a clip in PNG is an animated one (APNG)."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    GIF = "gif"
    """For clips only: 256 colours in all."""
    MP4 = "mp4"
    """For clips only: H.264, which every player plays."""
    WEBM = "webm"
    """For clips only: VP9."""

    @property
    def mime_type(self) -> str:
        """For example `image/png`."""
        return f"{'video' if self in VIDEO_FORMATS else 'image'}/{self.value}"


VIDEO_FORMATS = frozenset({OutputFormat.MP4, OutputFormat.WEBM})
"""Films; an installation can write them with the extra `video`."""
CLIP_FORMATS = VIDEO_FORMATS | {OutputFormat.GIF}
"""What no still is delivered in."""


class Quality(StrEnum):
    """How much work to spend on a picture; a preset maps it to steps."""

    DRAFT = "draft"
    STANDARD = "standard"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """One thing that differs from what the user sent, and why. Nothing is changed without one.

    `requested` and `used` are short renderings for people and logs of numbers or names, never whole prompts.
    """

    parameter: str
    requested: str
    used: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPicture:
    """A picture that came with a request, decoded once, upright and without metadata: the PNG file `blob`.

    `blob` names it in the store of inputs, by the SHA-256 of the file. A mask is grey: what is white is made anew.
    """

    blob: str
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a request starts from besides words: at least one picture, the one that is worked on first.

    `mask` says which part of it is made anew; None: all of it. `strength` (above 0, at most 1) says how far the result
    may leave the picture: 1 keeps nothing of what is made anew; None for a model that only looks at its pictures.
    """

    images: tuple[InputPicture, ...]
    mask: InputPicture | None = None
    strength: float | None = None

    @property
    def blobs(self) -> tuple[str, ...]:
        """The files it needs, the mask's last."""
        files = self.images if self.mask is None else (*self.images, self.mask)
        return tuple(each.blob for each in files)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """A checked request for `image_count` pictures, or clips of `frames` frames each.

    `prompt` is what the model reads, `raw_prompt` what the user typed. Picture i uses seed `(seed + i) mod 2³²`, so any
    one of a batch can be made again alone. `output_quality` is the codec's 1-100 setting, None where it has none. A
    still has one frame and `frames_per_second` None. `width_px` x `height_px` is what is delivered; the model makes it
    `upscale` times smaller. `inputs` are the pictures it starts from, None for one that is made from words alone.
    """

    model_id: ModelId
    prompt: str
    raw_prompt: str
    negative_prompt: str
    width_px: int
    height_px: int
    steps: int
    guidance: float
    seed: int
    image_count: int
    quality: Quality
    style: str | None
    output_format: OutputFormat
    output_quality: int | None
    prompt_tokens: int
    adjustments: tuple[Adjustment, ...]
    frames: int = 1
    frames_per_second: float | None = None
    upscale: int = 1
    inputs: Inputs | None = None

    @property
    def engine_width_px(self) -> int:
        """How wide the model makes it."""
        return self.width_px // self.upscale

    @property
    def engine_height_px(self) -> int:
        """How high the model makes it."""
        return self.height_px // self.upscale

    def seeds(self) -> tuple[int, ...]:
        """One seed per picture, in picture order."""
        return tuple((self.seed + index) % (SEED_MAX + 1) for index in range(self.image_count))
