"""OpenAI's image parameters in Heliograph's words. Pure: a body in, an order out.

Values are checked where they are used; here only those that have no meaning beyond this façade are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.request import Adjustment, Quality
from heliograph.gateway.submissions import end_user, refuse_unknown
from heliograph.prompts.raw import RawRequest
from heliograph.prompts.values import choice, invalid, shown, whole_number

PARTIAL_IMAGES_MAX = 3

OPENAI_FIELDS = (
    "prompt",
    "model",
    "n",
    "size",
    "quality",
    "response_format",
    "output_format",
    "output_compression",
    "stream",
    "partial_images",
    "user",
    "safety_identifier",
    "background",
    "moderation",
    "style",
    "seed",
    "steps",
    "guidance_scale",
    "negative_prompt",
    "aspect_ratio",
    "upscale",
)

_SAME_NAME = (
    "prompt",
    "model",
    "n",
    "size",
    "output_format",
    "seed",
    "steps",
    "guidance_scale",
    "negative_prompt",
    "aspect_ratio",
    "upscale",
)

_QUALITY: Mapping[str, Quality | None] = {
    "auto": None,
    "low": Quality.DRAFT,
    "medium": Quality.STANDARD,
    "high": Quality.HIGH,
    "xhigh": Quality.HIGH,
    "max": Quality.HIGH,
    "standard": Quality.STANDARD,
    "hd": Quality.HIGH,
    "draft": Quality.DRAFT,
}
_ABOVE_HIGH = ("xhigh", "max")
_DALL_E_STYLES = ("vivid", "natural")

QUALITY_IN_OPENAI_WORDS: Mapping[Quality, str] = {
    Quality.DRAFT: "low",
    Quality.STANDARD: "medium",
    Quality.HIGH: "high",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOrder:
    """What a call of `/v1/images/generations` wants. `adjustments` are this façade's own; the job has more."""

    raw: RawRequest
    end_user: str | None
    wants_url: bool
    wants_stream: bool
    partial_images: int
    adjustments: tuple[Adjustment, ...]


def read_order(fields: Mapping[str, object]) -> ImageOrder:
    """The order in a body. Raises `InvalidRequest` for what is unknown or cannot be honoured."""
    refuse_unknown(fields, OPENAI_FIELDS)
    changes: list[Adjustment] = []
    raw = RawRequest(
        **{name: fields.get(name) for name in _SAME_NAME},
        quality=_quality(fields.get("quality"), changes),
        style=_style(fields.get("style"), changes),
        output_quality=_output_quality(fields, changes),
    )
    _refuse_transparency(fields.get("background"))
    _optional_choice(fields.get("moderation"), "moderation", ("auto", "low"))
    wants_stream = _flag(fields.get("stream"), "stream")
    response_format = _optional_choice(fields.get("response_format"), "response_format", ("b64_json", "url"))
    if wants_stream and response_format == "url":
        raise invalid("response_format", "A stream carries b64_json only: leave response_format out.")
    asked = fields.get("partial_images")
    partial_images = (
        0 if asked is None else whole_number(asked, param="partial_images", minimum=0, maximum=PARTIAL_IMAGES_MAX)
    )
    if partial_images and not wants_stream:
        raise invalid("partial_images", "partial_images needs stream: true.")
    safety_identifier = end_user(fields.get("safety_identifier"), param="safety_identifier")
    return ImageOrder(
        raw=raw,
        end_user=safety_identifier or end_user(fields.get("user"), param="user"),
        wants_url=response_format == "url",
        wants_stream=wants_stream,
        partial_images=partial_images,
        adjustments=tuple(changes),
    )


def in_openai_words(error: InvalidRequest) -> InvalidRequest:
    """The error with the parameter named as the caller knows it."""
    if error.param != "output_quality":
        return error
    renamed = "output_compression"
    return InvalidRequest(
        error.message.replace("output_quality", renamed),
        param=renamed,
        code=error.code.replace("output_quality", renamed),
    )


def _quality(value: object, changes: list[Adjustment]) -> str | None:
    if value is None:
        return None
    name = choice(value, param="quality", choices=_QUALITY)
    quality = _QUALITY[name]
    if name in _ABOVE_HIGH:
        changes.append(
            Adjustment(parameter="quality", requested=name, used="high", reason="There is nothing above high.")
        )
    return None if quality is None else quality.value


def _style(value: object, changes: list[Adjustment]) -> object:
    if value not in _DALL_E_STYLES:
        return value
    changes.append(
        Adjustment(
            parameter="style",
            requested=str(value),
            used="none",
            reason="vivid and natural belong to DALL-E 3; the models here have style presets instead.",
        )
    )
    return None


def _output_quality(fields: Mapping[str, object], changes: list[Adjustment]) -> int | None:
    """The codec's quality. 100, the façade's own default, may be sent with PNG, where it means nothing."""
    value = fields.get("output_compression")
    if value is None or (value == 100 and fields.get("output_format") in (None, "png")):
        return None
    compression = whole_number(value, param="output_compression", minimum=0, maximum=100)
    if compression == 0:
        changes.append(
            Adjustment(parameter="output_compression", requested="0", used="1", reason="The codecs start at 1.")
        )
    return max(1, compression)


def _refuse_transparency(value: object) -> None:
    if _optional_choice(value, "background", ("auto", "opaque", "transparent")) == "transparent":
        raise InvalidRequest(
            "background transparent is not supported: the models make opaque pictures. Use auto or opaque.",
            param="background",
            code="unsupported_parameter",
        )


def _flag(value: object, param: str) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise invalid(param, f"{param} must be true or false, not {shown(value)}.")
    return value


def _optional_choice(value: object, param: str, choices: tuple[str, ...]) -> str | None:
    return None if value is None else choice(value, param=param, choices=choices)


class PartialImages:
    """Picks previews so that `count` of each picture are spread evenly over its run.

    The k-th of `count` is the first preview after k/(count + 1) of the steps. A second attempt starts at step one
    again; what was sent is not sent again.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._sent: dict[int, int] = {}

    def take(self, *, picture: int, step: int, steps: int) -> int | None:
        """The number, from 0, that a preview of this picture goes out under; None when it is passed over."""
        sent = self._sent.get(picture, 0)
        if sent == self._count or step >= steps or step * (self._count + 1) < (sent + 1) * steps:
            return None
        self._sent[picture] = sent + 1
        return sent
