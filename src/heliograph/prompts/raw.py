"""A request as it arrived: nothing in it can be trusted yet."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRequest:
    """The parameters of `POST /v1/jobs` by their names there, unchecked.

    JSON may hold anything, so every value is an `object`; None means that it was not sent. The HTTP façades and the
    command line fill this in without looking at the values, so that `prepare` is the one place that checks them.
    """

    prompt: object = None
    model: object = None
    negative_prompt: object = None
    size: object = None
    aspect_ratio: object = None
    upscale: object = None
    steps: object = None
    guidance_scale: object = None
    seed: object = None
    n: object = None
    frames: object = None
    seconds: object = None
    quality: object = None
    style: object = None
    output_format: object = None
    output_quality: object = None
    prompt_syntax: object = None
    on_unsupported: object = None
    on_overflow: object = None
