"""OpenAI's video parameters in Heliograph's words. Pure: a body in, a raw request out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.intake import GivenInputs, GivenPicture, PictureSource
from heliograph.domain.job import Job
from heliograph.gateway.form_body import FormFile, typed
from heliograph.gateway.submissions import end_user, refuse_unknown
from heliograph.prompts.given import picture_of
from heliograph.prompts.raw import RawRequest
from heliograph.prompts.sizes import size_text

REFERENCE = "input_reference"
_REFERENCE_FIELDS = ("image_url", "file_id")
_RAW_FIELDS = (
    "prompt",
    "model",
    "size",
    "seconds",
    "frames",
    "seed",
    "steps",
    "guidance_scale",
    "negative_prompt",
    "quality",
    "style",
    "upscale",
    "output_format",
    "output_quality",
)
VIDEO_FIELDS = (*_RAW_FIELDS, "user", REFERENCE)
REMIX_FIELDS = ("prompt",)
_NUMBERS = ("seconds", "frames", "seed", "steps", "guidance_scale", "upscale", "output_quality")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOrder:
    """What a call of `POST /v1/videos` wants. `inputs` is the picture that the video begins with, if there is one."""

    raw: RawRequest
    end_user: str | None
    inputs: GivenInputs | None


def read_video(fields: Mapping[str, object], *, files: Sequence[FormFile], default_format: str) -> VideoOrder:
    """The order in a body with its `files`. Raises `InvalidRequest` for what cannot be honoured.

    `seconds` and the other numbers may be text, as OpenAI's clients and forms have them.
    """
    refuse_unknown((*(name.partition("[")[0] for name in fields), *(file.field for file in files)), VIDEO_FIELDS)
    pictures = [GivenPicture(param=REFERENCE, source=PictureSource.BYTES, data=file.data) for file in files]
    pictures += [picture_of(value, param=REFERENCE) for value in _named_pictures(fields)]
    if len(pictures) > 1:
        raise InvalidRequest(f"{REFERENCE} is one picture.", param=REFERENCE, code=f"invalid_{REFERENCE}")
    values = typed(fields, numbers=_NUMBERS)
    return VideoOrder(
        raw=RawRequest(
            **{name: values.get(name) for name in _RAW_FIELDS if name != "output_format"},
            output_format=default_format if values.get("output_format") is None else values["output_format"],
        ),
        end_user=end_user(values.get("user"), param="user"),
        inputs=GivenInputs(images=tuple(pictures), prefix="") if pictures else None,
    )


def _named_pictures(fields: Mapping[str, object]) -> Iterator[object]:
    """Pictures that are named instead of sent: as nested fields of a form, as an object, or plainly."""
    for name, value in fields.items():
        if name.partition("[")[0] != REFERENCE or value is None:
            continue
        if isinstance(value, dict):
            named = cast("dict[str, object]", value)
            refuse_unknown(named, _REFERENCE_FIELDS)
            yield from (each for each in named.values() if each is not None)
        else:
            yield value


def remix(job: Job, prompt: object) -> RawRequest:
    """The request of `job` again, seed included, with another prompt. Raises `InvalidRequest`."""
    request = job.request
    if request.inputs is not None:
        raise InvalidRequest(
            "A video that begins with a picture cannot be remixed: make a new one with the same input_reference.",
            param="video_id",
            code="unsupported_parameter",
        )
    return RawRequest(
        prompt=prompt,
        model=request.model_id,
        # A style brings its own negative prompt, which is in the request by now.
        negative_prompt=None if request.style is not None else request.negative_prompt or None,
        size=size_text((request.width_px, request.height_px)),
        frames=request.frames,
        steps=request.steps,
        guidance_scale=request.guidance or None,
        seed=request.seed,
        style=request.style,
        output_format=request.output_format.value,
        output_quality=request.output_quality,
    )
