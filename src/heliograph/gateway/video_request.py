"""OpenAI's video parameters in Heliograph's words. Pure: a body in, a raw request out."""

from collections.abc import Mapping
from dataclasses import dataclass

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.job import Job
from heliograph.gateway.form_body import typed
from heliograph.gateway.submissions import end_user, refuse_unknown
from heliograph.prompts.raw import RawRequest
from heliograph.prompts.sizes import size_text

REFERENCE = "input_reference"
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
    """What a call of `POST /v1/videos` wants."""

    raw: RawRequest
    end_user: str | None


def read_video(fields: Mapping[str, object], *, files: tuple[str, ...], default_format: str) -> VideoOrder:
    """The order in a body with `files` in these fields. Raises `InvalidRequest` for what cannot be honoured.

    `seconds` and the other numbers may be text, as OpenAI's clients and forms have them.
    """
    for name in (*fields, *files):
        if name.partition("[")[0] == REFERENCE and fields.get(name, name) is not None:
            raise InvalidRequest(
                f"{REFERENCE} is not supported: no video model here begins with a picture. Leave it out.",
                param=REFERENCE,
                code="unsupported_parameter",
            )
    refuse_unknown((*fields, *files), VIDEO_FIELDS)
    values = typed(fields, numbers=_NUMBERS)
    return VideoOrder(
        raw=RawRequest(
            **{name: values.get(name) for name in _RAW_FIELDS if name != "output_format"},
            output_format=default_format if values.get("output_format") is None else values["output_format"],
        ),
        end_user=end_user(values.get("user"), param="user"),
    )


def remix(job: Job, prompt: object) -> RawRequest:
    """The request of `job` again, seed included, with another prompt."""
    request = job.request
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
