"""Replicate's inputs in Heliograph's words. Pure: a body in, an order out."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.intake import GivenInputs
from heliograph.gateway.submissions import end_user, refuse_unknown
from heliograph.prompts.given import picture_of
from heliograph.prompts.raw import RawRequest
from heliograph.prompts.values import invalid

PREDICTION_FIELDS = ("version", "input", "webhook", "webhook_events_filter", "stream")

_SAME_NAME = (
    "prompt",
    "negative_prompt",
    "size",
    "aspect_ratio",
    "seed",
    "quality",
    "style",
    "output_quality",
    "upscale",
    "frames",
)
_OTHER_NAMES: Mapping[str, str] = {
    "num_outputs": "n",
    "num_inference_steps": "steps",
    "num_frames": "frames",
    "steps": "steps",
    "guidance": "guidance_scale",
    "guidance_scale": "guidance_scale",
    "output_format": "output_format",
}
_PICTURES = ("image", "mask", "prompt_strength", "strength")
INPUT_FIELDS = tuple(
    dict.fromkeys((*_SAME_NAME, *_OTHER_NAMES, *_PICTURES, "width", "height", "user", "disable_safety_checker"))
)

_DURATION = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s?)?", re.ASCII)
CANCEL_AFTER_S_MIN = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionOrder:
    """What a prediction is to be. `model` is named as Replicate names models; the rest, but for `end_user`, is
    unchecked. `inputs` are the pictures to start from."""

    model: str
    values: Mapping[str, object]
    end_user: str | None
    webhook: object
    events: object
    inputs: GivenInputs | None = None

    def raw(self, model_named: Callable[[str], str]) -> RawRequest:
        """The request; `model_named` gives the catalogue's name of a model."""
        return RawRequest(model=model_named(self.model), **self.values)


def read_prediction(fields: Mapping[str, object], *, model: str | None) -> PredictionOrder:
    """The order in a body; `model` is the path's `owner/name`, None where the body's `version` names the model."""
    refuse_unknown(fields, PREDICTION_FIELDS)
    if fields.get("stream"):
        raise InvalidRequest(
            "stream is for models that write text. Watch the job instead: GET /v1/jobs/{id}/events.",
            param="stream",
            code="unsupported_parameter",
        )
    named = fields.get("version") if model is None else model
    if not isinstance(named, str) or not named:
        raise InvalidRequest(
            "version must name a model: an id of GET /v1/models, or owner/name.",
            param="version",
            code="invalid_version",
        )
    given = fields.get("input")
    if not isinstance(given, dict):
        raise InvalidRequest(
            'input must be an object such as {"prompt": "a red boat"}.', param="input", code="invalid_input"
        )
    wishes = cast("dict[str, object]", given)
    refuse_unknown(wishes, INPUT_FIELDS)
    return PredictionOrder(
        model=named,
        values=_values(wishes),
        end_user=end_user(wishes.get("user"), param="user"),
        webhook=fields.get("webhook"),
        events=fields.get("webhook_events_filter"),
        inputs=_inputs(wishes),
    )


def cancel_after_s(header: str | None) -> float | None:
    """The `Cancel-After` header in seconds: `30s`, `5m`, `1h30m` or plain seconds, at least five."""
    if header is None:
        return None
    found = _DURATION.fullmatch(header.strip())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found is not None else (0, 0, 0)
    total_s = hours * 3600.0 + minutes * 60.0 + seconds
    if total_s < CANCEL_AFTER_S_MIN:
        raise InvalidRequest(
            "Cancel-After must be a duration of at least 5 seconds, such as 90s, 5m or 1h30m.",
            param="Cancel-After",
            code="invalid_cancel_after",
        )
    return total_s


def _inputs(wishes: Mapping[str, object]) -> GivenInputs | None:
    """The pictures to start from, with how far to leave them in either of the two words that models there have."""
    image, mask = wishes.get("image"), wishes.get("mask")
    strengths = [wishes[name] for name in ("prompt_strength", "strength") if wishes.get(name) is not None]
    if image is None:
        if mask is not None or strengths:
            raise invalid("image", "mask and strength need an image to start from.")
        return None
    if len(strengths) > 1:
        raise invalid("strength", "It means the same as prompt_strength; send one of them.")
    return GivenInputs(
        images=(picture_of(image, param="image"),),
        mask=None if mask is None else picture_of(mask, param="mask"),
        strength=strengths[0] if strengths else None,
        prefix="",
    )


def _values(wishes: Mapping[str, object]) -> dict[str, object]:
    """The fields of a `RawRequest`, unchecked."""
    if wishes.get("disable_safety_checker") not in (None, False):
        raise invalid("disable_safety_checker", "The content policy is the operator's and cannot be turned off.")
    values: dict[str, object] = {name: wishes[name] for name in _SAME_NAME if name in wishes}
    for theirs, ours in _OTHER_NAMES.items():
        if theirs in wishes:
            if ours in values:
                raise invalid(theirs, f"It means the same as another field that is there; send one of them ({ours}).")
            values[ours] = wishes[theirs]
    if values.get("output_format") == "jpg":
        values["output_format"] = "jpeg"
    if "width" in wishes or "height" in wishes:
        values["size"] = _size(wishes)
    if "size" in values and "aspect_ratio" in values and values["aspect_ratio"] == "custom":
        del values["aspect_ratio"]  # what several models there want to hear beside width and height
    return values


def _size(wishes: Mapping[str, object]) -> str:
    sides = [wishes.get("width"), wishes.get("height")]
    if "size" in wishes:
        raise invalid("size", "Send size, or width and height, not both.")
    if not all(isinstance(side, int) and not isinstance(side, bool) for side in sides):
        raise invalid("width", "Send width and height together, as whole numbers of pixels.")
    return "x".join(map(str, sides))
