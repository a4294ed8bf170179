"""Pictures between the stages: raw pixels from an engine, facts and a verdict about them, and what was delivered."""

from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.ids import JobId, OutputId, TenantId
from heliograph.domain.making import Making
from heliograph.domain.request import OutputFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class RawImage:
    """Pixels as an engine made them: `rgb` holds frames x height x width x 3 bytes, row by row, sRGB."""

    width_px: int
    height_px: int
    seed: int
    rgb: bytes
    frames: int = 1


class Decision(StrEnum):
    """What a quality gate asks for, from harmless to severe."""

    ACCEPT = "accept"
    FLAG = "flag"
    REGENERATE = "regenerate"
    BLOCK = "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A gate's decision with its reasons: short stable codes such as `blank` or `wrong_size`.

    `safety` is there when the picture was rejected for what it shows.
    """

    decision: Decision
    reasons: tuple[str, ...] = ()
    safety: "Safety | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """How well a picture fits its prompt: `score` from 0 to 1, and the prompt's phrases it does not seem to show."""

    score: float
    missing: tuple[str, ...] = ()


class ParametersMode(StrEnum):
    """How much of what made a picture is written into its file."""

    FULL = "full"
    """Everything that makes it again, the prompts included."""
    MINIMAL = "minimal"
    """Model, seed, size and settings, and no words of the user."""
    NONE = "none"
    """Only that a machine made it, and by which software."""

    @property
    def has_prompts(self) -> bool:
        """The file holds words of the user."""
        return self is ParametersMode.FULL

    def at_most(self, other: "ParametersMode") -> "ParametersMode":
        """The one of the two that says less."""
        order = list(ParametersMode)
        return max(self, other, key=order.index)


class FileFormat(StrEnum):
    """Kinds of files that pictures are delivered in; those one may ask for are in `OutputFormat`."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    AVIF = "avif"
    GIF = "gif"
    MP4 = "mp4"
    WEBM = "webm"

    @property
    def mime_type(self) -> str:
        """For example `image/png`."""
        return f"{'video' if self in (FileFormat.MP4, FileFormat.WEBM) else 'image'}/{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The same picture once more, in another format or size, made from the same pixels.

    `name` tells the variants of a picture apart: its format for one of full size, `thumbnail-512` for one whose longer
    side is 512, `poster` and `preview` of a clip, `shared` for the original without the prompts.
    """

    output_id: OutputId
    job_id: JobId
    name: str
    blob: str
    file_format: FileFormat
    width_px: int
    height_px: int
    size_bytes: int
    created_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Technical:
    """How broken a picture looks beside its model's own ones: the logarithm of the odds, and the least that is flagged.

    `kind` is the way in which it looks broken, such as `blurred`; None where it does not.
    """

    score: float
    limit: float
    kind: str | None


class Availability(StrEnum):
    """Who may have a stored picture: its tenant, only reviewers for now, or nobody but them any more."""

    DELIVERED = "delivered"
    HELD = "held"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class Safety:
    """How sure the classifier `judge` is, 0 to 1, that a picture is not safe for work, and what follows from it."""

    score: float
    decision: Decision
    judge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One delivered picture, or a clip of `frames` frames that plays for `duration_s` (None for a still).

    `blob` and `thumbnail_blob` are names in the blob store, made from the content's SHA-256 and the format's suffix.
    `sha256` is the hex digest of the delivered file. `thumbhash` is the base64 ThumbHash (about 32 characters).
    `alignment` is None where nothing judged whether the picture fits its prompt, `technical` where it is not known yet
    what is usual for its model, `safety` where nothing judged whether it is safe. `pixels_sha256` is the hex digest of
    the RGB bytes of every frame before they were encoded: equal for equal pictures, while signed files differ each
    time. `perceptual_hash` is 16 hex digits that survive resizing and recompression. Both are None for pictures of
    releases that kept none. `parameters` says what the file holds of the request. `variants` are kept apart and join
    when an output is read; more of them may come after the job has completed. `thumbnail_bytes` is 0 for pictures of
    releases that did not count them.
    """

    output_id: OutputId
    job_id: JobId
    tenant_id: TenantId
    index: int
    blob: str
    sha256: str
    size_bytes: int
    output_format: OutputFormat
    width_px: int
    height_px: int
    seed: int
    thumbnail_blob: str
    thumbhash: str
    verdict: Verdict
    created_at_s: float
    frames: int = 1
    duration_s: float | None = None
    alignment: Alignment | None = None
    technical: Technical | None = None
    safety: Safety | None = None
    availability: Availability = Availability.DELIVERED
    pixels_sha256: str | None = None
    perceptual_hash: str | None = None
    parameters: ParametersMode = ParametersMode.FULL
    is_signed: bool = False
    variants: tuple[Variant, ...] = ()
    making: Making | None = None
    thumbnail_bytes: int = 0

    @property
    def blobs(self) -> tuple[str, ...]:
        """The names of all its files."""
        return (self.blob, self.thumbnail_blob, *(variant.blob for variant in self.variants))
