"""Facts about models: what each can do, what it needs, how long it takes. Blank (None) means unknown, never a guess."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.ids import ModelId
from heliograph.domain.pipeline_options import PipelineOptions
from heliograph.domain.remote_options import ComfyOptions, RemoteOptions
from heliograph.domain.weights import WeightsSource

UPSCALER = ModelId("helio-upscale")
"""The built-in tool that enlarges pictures where a card allows it."""


class EngineKind(StrEnum):
    """Which engine runs a model; None in a card means that this release has no engine for it."""

    ONNX = "onnx"
    DIFFUSERS = "diffusers"
    REMOTE_OPENAI = "remote-openai"
    COMFYUI = "comfyui"
    FAKE = "fake"


class PromptDialect(StrEnum):
    """What kind of text the model's encoder wants."""

    CLIP_TAGS = "clip_tags"
    NATURAL_LANGUAGE = "natural_language"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One measured latency: `seconds` for one picture (or clip of `frames`) on `gpu_count` GPUs of class `gpu`."""

    gpu: str
    gpu_count: int
    width_px: int
    height_px: int
    frames: int
    steps: int
    seconds: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRule:
    """Legal picture sizes in pixels.

    With `only` set, exactly those (width, height) pairs are legal. Otherwise any size whose sides are multiples of
    `multiple`, between `side_min` and `side_max`, with at most `pixels_max` pixels in all.
    """

    default: tuple[int, int]
    multiple: int
    side_min: int
    side_max: int
    pixels_max: int
    only: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRule:
    """Legal step counts and the three presets of effort."""

    minimum: int
    maximum: int
    draft: int
    standard: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceRule:
    """Legal classifier-free guidance; None in a card means that the model has no such knob."""

    minimum: float
    maximum: float
    default: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRule:
    """Legal lengths of a clip in frames, shown at `per_second` frames a second; None in a card that makes no clips."""

    minimum: int
    maximum: int
    default: int
    per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a built-in model's own files say of it, measured when they were made.

    `domain` says what it can draw, each of `weaknesses` is a sentence. `adherence` is by attribute the share (0-1) of
    prompts, unseen in training, whose picture shows what was asked for.
    """

    revision: str
    domain: str
    weaknesses: tuple[str, ...]
    adherence: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known of one model. The catalogue file documents the source of every figure.

    `tasks` uses the short names t2i, i2i, inpaint, edit, upscale, t2v, i2v, alignment. Bytes are bytes, seconds are
    seconds. `vram_bytes` is the peak while running the default size, on each of the `gpus` GPUs of one node that it
    needs. `weights` is the folder below the package's `weights/` for a built-in model, `is_installed` whether that is
    there and `measured` what it says. `limits` is one sentence a user should read before choosing the model. A model
    that `is_by_name_only` never stands in for a request that names none. `upscale` lists the factors by which the
    built-in upscaler may enlarge its pictures. `alignment` names the built-in tool that judges whether they fit their
    prompts. `pipeline` is how the diffusers engine loads and runs it, `remote` where it runs when that is not here, and
    `fetch` where its weights come from when they are not part of this installation.
    """

    model_id: ModelId
    name: str
    family: str
    tasks: frozenset[str]
    licence: str | None
    engine: EngineKind | None
    sizes: SizeRule
    steps: StepRule
    guidance: GuidanceRule | None
    supports_negative_prompt: bool
    prompt_dialect: PromptDialect
    token_limit: int | None
    frames: FrameRule | None = None
    parameters_billion: float | None = None
    vram_bytes: int | None = None
    gpus: int = 1
    disk_bytes: int | None = None
    load_s: float | None = None
    timings: tuple[Timing, ...] = ()
    alternatives: tuple[ModelId, ...] = ()
    weights: str | None = None
    repository: str | None = None
    limits: str | None = None
    upscale: tuple[int, ...] = ()
    alignment: str | None = None
    source: str | None = None
    is_by_name_only: bool = False
    is_installed: bool = True
    measured: Measured | None = None
    pipeline: PipelineOptions | None = None
    remote: RemoteOptions | ComfyOptions | None = None
    fetch: WeightsSource | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All cards by id, in the order of the file. `aliases` maps names that existing clients send to model ids."""

    cards: Mapping[ModelId, ModelCard]
    aliases: Mapping[str, ModelId]

    def resolve(self, name: str) -> ModelCard | None:
        """The card called `name`, following one alias, or None."""
        return self.cards.get(self.aliases.get(name, ModelId(name)))

    def runnable(self, engines: Iterable[EngineKind]) -> tuple[ModelCard, ...]:
        """Cards that one of `engines` can run and whose weights are there, in file order."""
        kinds = frozenset(engines)
        return tuple(card for card in self.cards.values() if card.engine in kinds and card.is_installed)
