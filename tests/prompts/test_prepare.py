import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_cards import DISTILLED, ENLARGED, FREE_SIZED, PRESETS, SMALL

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.model_card import FrameRule, ModelCard, SizeRule
from heliograph.domain.request import SEED_MAX, GenerationRequest, OutputFormat, Quality
from heliograph.prompts import RawRequest, prepare
from heliograph.prompts.prepare import PIXELS_MAX
from heliograph.worker_wire import PAYLOAD_BYTES_MAX


def count_words(text: str) -> int:
    return len(text.split())


def prepared(
    card: ModelCard = SMALL,
    *,
    count_tokens: Callable[[str], int] | None = count_words,
    unknown_words: Callable[[str], tuple[str, ...]] | None = None,
    **parameters: Any,
) -> GenerationRequest:
    raw = RawRequest(**{"prompt": "a red boat", **parameters})
    return prepare(
        raw,
        card,
        presets=PRESETS,
        count_tokens=count_tokens,
        draw_seed=lambda: 1234,
        unknown_words=unknown_words,
    )


def changed(request: GenerationRequest) -> dict[str, tuple[str, str]]:
    return {change.parameter: (change.requested, change.used) for change in request.adjustments}


def test_a_bare_prompt_gets_the_cards_defaults_and_lists_the_surprising_ones() -> None:
    request = prepared()
    assert (request.width_px, request.height_px) == (128, 128)
    assert (request.steps, request.guidance, request.image_count) == (8, 3.5, 1)
    assert (request.quality, request.style, request.negative_prompt) == (Quality.STANDARD, None, "")
    assert (request.output_format, request.output_quality) == (OutputFormat.PNG, None)
    assert (request.seed, request.prompt_tokens) == (1234, 3)
    assert changed(request) == {"size": ("unset", "128x128"), "seed": ("unset", "1234")}


def test_what_is_sent_and_legal_is_used_as_it_is() -> None:
    request = prepared(
        negative_prompt="fog",
        size="160x96",
        steps=12,
        guidance_scale=4,
        seed=7,
        n=3,
        output_format="webp",
        output_quality=55,
    )
    assert (request.width_px, request.height_px, request.steps) == (160, 96, 12)
    assert (request.guidance, request.seed, request.image_count) == (4.0, 7, 3)
    assert (request.output_format, request.output_quality) == (OutputFormat.WEBP, 55)
    assert request.negative_prompt == "fog"
    assert request.adjustments == ()


HUGE = 10**5000

BAD: list[tuple[dict[str, object], str, str]] = [
    ({"prompt": None}, "prompt", "invalid_prompt"),
    ({"prompt": ""}, "prompt", "invalid_prompt"),
    ({"prompt": " \t\n\u3000 "}, "prompt", "invalid_prompt"),
    ({"prompt": "\u200b\u200d\ufe0f"}, "prompt", "invalid_prompt"),
    ({"prompt": 7}, "prompt", "invalid_prompt"),
    ({"prompt": ["a boat"]}, "prompt", "invalid_prompt"),
    ({"prompt": "x" * 40_000}, "prompt", "prompt_too_long"),
    ({"prompt": "word " * 33}, "prompt", "prompt_too_long"),
    ({"prompt": "a\x00b"}, "prompt", "invalid_prompt"),
    ({"prompt": "a\x1b[31mb"}, "prompt", "invalid_prompt"),
    ({"prompt": "a\x7fb"}, "prompt", "invalid_prompt"),
    ({"prompt": "a\x85b"}, "prompt", "invalid_prompt"),
    ({"prompt": "a\ud83db"}, "prompt", "invalid_prompt"),
    ({"prompt": "a" + "\u0315\u0316" * 16}, "prompt", "invalid_prompt"),
    ({"negative_prompt": 1}, "negative_prompt", "invalid_negative_prompt"),
    ({"negative_prompt": "\x00"}, "negative_prompt", "invalid_negative_prompt"),
    ({"negative_prompt": "word " * 33}, "negative_prompt", "prompt_too_long"),
    ({"size": 0}, "size", "invalid_size"),
    ({"size": -1}, "size", "invalid_size"),
    ({"size": "0x0"}, "size", "invalid_size"),
    ({"size": "-1x-1"}, "size", "invalid_size"),
    ({"size": "513x513"}, "size", "invalid_size"),
    ({"size": "100000x100000"}, "size", "invalid_size"),
    ({"size": "9" * 5000 + "x1"}, "size", "invalid_size"),
    ({"size": "513"}, "size", "invalid_size"),
    ({"size": "big"}, "size", "invalid_size"),
    ({"size": "128X128"}, "size", "invalid_size"),
    ({"size": "128 x 128"}, "size", "invalid_size"),
    ({"size": "128x128\n"}, "size", "invalid_size"),
    ({"size": "١٢٨x١٢٨"}, "size", "invalid_size"),
    ({"size": "128x96"}, "size", "invalid_size"),
    ({"size": "128x128", "aspect_ratio": "1:1"}, "aspect_ratio", "invalid_aspect_ratio"),
    ({"aspect_ratio": "3/2"}, "aspect_ratio", "invalid_aspect_ratio"),
    ({"aspect_ratio": 1.5}, "aspect_ratio", "invalid_aspect_ratio"),
    ({"aspect_ratio": "0:1"}, "aspect_ratio", "invalid_aspect_ratio"),
    ({"aspect_ratio": "1:0.0"}, "aspect_ratio", "invalid_aspect_ratio"),
    ({"aspect_ratio": "4:1"}, "aspect_ratio", "invalid_aspect_ratio"),
    ({"steps": 0}, "steps", "invalid_steps"),
    ({"steps": -8}, "steps", "invalid_steps"),
    ({"steps": 51}, "steps", "invalid_steps"),
    ({"steps": 10_000}, "steps", "invalid_steps"),
    ({"steps": HUGE}, "steps", "invalid_steps"),
    ({"steps": "8"}, "steps", "invalid_steps"),
    ({"steps": 8.5}, "steps", "invalid_steps"),
    ({"steps": math.nan}, "steps", "invalid_steps"),
    ({"steps": True}, "steps", "invalid_steps"),
    ({"n": 0}, "n", "invalid_n"),
    ({"n": 11}, "n", "invalid_n"),
    ({"n": "2"}, "n", "invalid_n"),
    ({"n": True}, "n", "invalid_n"),
    ({"seed": -1}, "seed", "invalid_seed"),
    ({"seed": 2**32}, "seed", "invalid_seed"),
    ({"seed": 2**64}, "seed", "invalid_seed"),
    ({"seed": HUGE}, "seed", "invalid_seed"),
    ({"seed": "abc"}, "seed", "invalid_seed"),
    ({"seed": False}, "seed", "invalid_seed"),
    ({"guidance_scale": 0.5}, "guidance_scale", "invalid_guidance_scale"),
    ({"guidance_scale": 10.01}, "guidance_scale", "invalid_guidance_scale"),
    ({"guidance_scale": math.nan}, "guidance_scale", "invalid_guidance_scale"),
    ({"guidance_scale": math.inf}, "guidance_scale", "invalid_guidance_scale"),
    ({"guidance_scale": HUGE}, "guidance_scale", "invalid_guidance_scale"),
    ({"guidance_scale": "4"}, "guidance_scale", "invalid_guidance_scale"),
    ({"guidance_scale": True}, "guidance_scale", "invalid_guidance_scale"),
    ({"quality": "best"}, "quality", "invalid_quality"),
    ({"quality": "HIGH"}, "quality", "invalid_quality"),
    ({"quality": 1}, "quality", "invalid_quality"),
    ({"style": "cubist"}, "style", "invalid_style"),
    ({"style": ["watercolor"]}, "style", "invalid_style"),
    ({"style": "photographic"}, "style", "unsupported_style"),
    ({"output_format": "gif"}, "output_format", "unsupported_parameter"),
    ({"output_format": "bmp"}, "output_format", "invalid_output_format"),
    ({"frames": 2}, "frames", "unsupported_parameter"),
    ({"frames": 0}, "frames", "invalid_frames"),
    ({"frames": "2"}, "frames", "invalid_frames"),
    ({"frames": True}, "frames", "invalid_frames"),
    ({"frames": HUGE}, "frames", "invalid_frames"),
    ({"output_format": 3}, "output_format", "invalid_output_format"),
    ({"output_format": "jpeg", "output_quality": 0}, "output_quality", "invalid_output_quality"),
    ({"output_format": "jpeg", "output_quality": 101}, "output_quality", "invalid_output_quality"),
    ({"output_quality": 90}, "output_quality", "unsupported_parameter"),
]


@pytest.mark.parametrize(("parameters", "param", "code"), BAD)
def test_bad_input_is_refused_by_name(parameters: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepared(**parameters)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert len(caught.value.message) < 250
    caught.value.message.encode("utf-8")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"size": "513x513"}, "cannot make 513x513: it makes 128x128, 160x96, 96x160. The closest is 128x128."),
        ({"size": "1920x1080"}, "The closest is 160x96."),
        (
            {"steps": "8"},
            "steps must be a whole number from 1 to 50 for small, not '8'. Send a number, without quotes.",
        ),
        ({"steps": HUGE}, "not a number of more than 38 digits."),
        ({"prompt": "ab\x00"}, "a control character (U+0000) at position 3"),
        ({"prompt": "a\udc00"}, "half of a surrogate pair (U+DC00) at position 2"),
        ({"prompt": "word " * 40}, "40 tokens long, the words of a style included; small reads at most 32"),
        ({"prompt": "x" * 40_000}, "40,000 characters; at most 32,000"),
        ({"style": "photographic"}, "does not suit small; it has watercolor, toy."),
        ({"aspect_ratio": "4:1"}, "its closest size is 160x96."),
    ],
)
def test_errors_say_what_to_do(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepared(**parameters)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("parameters", "param"),
    [({"negative_prompt": "fog"}, "negative_prompt"), ({"guidance_scale": 0}, "guidance_scale")],
)
def test_a_knob_the_model_lacks_is_refused(parameters: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepared(DISTILLED, **parameters)
    assert (caught.value.param, caught.value.code) == (param, "unsupported_parameter")


def test_an_empty_negative_prompt_is_no_negative_prompt() -> None:
    assert prepared(DISTILLED, negative_prompt="").negative_prompt == ""


@pytest.mark.parametrize("prompt", ["a family 👩‍👩‍👧 on a hill", "قارب أحمر \u200fعلى البحر", "סירה אדומה", "café 🌅"])
def test_emoji_and_right_to_left_text_stay_as_typed(prompt: str) -> None:
    request = prepared(prompt=prompt)
    assert request.prompt == request.raw_prompt == prompt
    assert "prompt" not in changed(request)


def test_white_space_is_tidied_and_said_so_and_the_raw_prompt_kept() -> None:
    raw = "  a red\r\nboat\t on\u00a0the  sea, cafe\u0301 "
    request = prepared(prompt=raw)
    assert request.prompt == "a red boat on the sea, café"
    assert request.raw_prompt == raw
    assert changed(request)["prompt"] == (f"{len(raw)} characters", f"{len(request.prompt)} characters")


def test_an_auto_size_is_the_default_and_said_so() -> None:
    assert changed(prepared(size="auto"))["size"] == ("auto", "128x128")


def test_a_multiplication_sign_reads_like_an_x() -> None:
    assert prepared(size="96×160").height_px == 160


@pytest.mark.parametrize(
    ("card", "ratio", "size"),
    [
        (SMALL, "1:1", "128x128"),
        (SMALL, "3:2", "160x96"),
        (SMALL, "16:9", "160x96"),
        (SMALL, "9:16", "96x160"),
        (FREE_SIZED, "1:1", "1024x1024"),
        (FREE_SIZED, "16:9", "1344x768"),
        (FREE_SIZED, "2:3", "832x1280"),
        (FREE_SIZED, "1.91:1", "1472x768"),
        (FREE_SIZED, "4:1", "2048x512"),
    ],
)
def test_an_aspect_ratio_gives_the_closest_legal_size(card: ModelCard, ratio: str, size: str) -> None:
    assert changed(prepared(card, aspect_ratio=ratio))["aspect_ratio"] == (ratio, size)


FREE_AND_ENLARGED = replace(FREE_SIZED, upscale=(2, 4))


@pytest.mark.parametrize(
    ("card", "parameters", "size", "made"),
    [
        (ENLARGED, {}, (128, 128), (128, 128)),
        (ENLARGED, {"size": "128x128"}, (128, 128), (128, 128)),
        (ENLARGED, {"size": "256x256"}, (256, 256), (128, 128)),
        (ENLARGED, {"size": "512x512"}, (512, 512), (128, 128)),
        (ENLARGED, {"size": "320x192"}, (320, 192), (160, 96)),
        (ENLARGED, {"size": "384x640"}, (384, 640), (96, 160)),
        (ENLARGED, {"upscale": 1}, (128, 128), (128, 128)),
        (ENLARGED, {"upscale": 2}, (256, 256), (128, 128)),
        (ENLARGED, {"upscale": 4.0}, (512, 512), (128, 128)),
        (ENLARGED, {"size": "auto", "upscale": 2}, (256, 256), (128, 128)),
        (ENLARGED, {"size": "256x256", "upscale": 2}, (256, 256), (128, 128)),
        (ENLARGED, {"size": "128x128", "upscale": 1}, (128, 128), (128, 128)),
        (ENLARGED, {"aspect_ratio": "16:9"}, (160, 96), (160, 96)),
        (ENLARGED, {"aspect_ratio": "16:9", "upscale": 4}, (640, 384), (160, 96)),
        (SMALL, {"upscale": 1}, (128, 128), (128, 128)),
        (FREE_AND_ENLARGED, {"size": "1024x1024"}, (1024, 1024), (1024, 1024)),
        (FREE_AND_ENLARGED, {"size": "2048x2048"}, (2048, 2048), (1024, 1024)),
        (FREE_AND_ENLARGED, {"size": "4096x4096"}, (4096, 4096), (1024, 1024)),
    ],
)
def test_a_size_that_is_delivered_comes_from_one_that_is_made(
    card: ModelCard, parameters: dict[str, Any], size: tuple[int, int], made: tuple[int, int]
) -> None:
    request = prepared(card, **parameters)
    assert (request.width_px, request.height_px) == size
    assert (request.engine_width_px, request.engine_height_px) == made
    assert request.upscale == size[0] // made[0]
    said = f"Made at {made[0]}x{made[1]}, enlarged {request.upscale}x by helio-upscale."
    assert (said in {change.reason for change in request.adjustments}) == (request.upscale > 1)


@pytest.mark.parametrize(
    ("card", "parameters", "param", "said"),
    [
        (ENLARGED, {"upscale": 3}, "upscale", "upscale must be 1, 2 or 4 for enlarged, not 3."),
        (ENLARGED, {"upscale": 0}, "upscale", "a whole number from 1 to 4"),
        (ENLARGED, {"upscale": 8}, "upscale", "a whole number from 1 to 4"),
        (ENLARGED, {"upscale": "2"}, "upscale", "Send a number, without quotes."),
        (ENLARGED, {"upscale": True}, "upscale", "a whole number"),
        (SMALL, {"upscale": 2}, "upscale", "The pictures of small are not enlarged here. Leave it out."),
        (ENLARGED, {"size": "128x128", "upscale": 2}, "upscale", "For 128x128 enlarged 2 times, send size 256x256."),
        (ENLARGED, {"size": "256x256", "upscale": 4}, "upscale", "256x256 is enlarged 2 times: leave upscale out."),
        (ENLARGED, {"size": "256x256", "upscale": 1}, "upscale", "256x256 is enlarged 2 times: leave upscale out."),
        (ENLARGED, {"size": "256x256", "aspect_ratio": "1:1"}, "aspect_ratio", "exclude each other"),
        (
            ENLARGED,
            {"size": "513x513"},
            "size",
            "it makes 128x128, 160x96, 96x160, which can be enlarged 2 or 4 times. The closest is 512x512.",
        ),
        (ENLARGED, {"size": "1024x1024"}, "size", "The closest is 512x512."),
        (ENLARGED, {"size": "384x384"}, "size", "cannot make 384x384"),
        (SMALL, {"size": "256x256"}, "size", "The closest is 128x128."),
        (FREE_AND_ENLARGED, {"size": "2176x1984"}, "size", "cannot make 2176x1984"),
    ],
)
def test_what_cannot_be_enlarged_is_refused_by_name(
    card: ModelCard, parameters: dict[str, Any], param: str, said: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepared(card, **parameters)
    assert caught.value.param == param
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ("513x513", "each side must be a multiple of 64. The closest is 512x512."),
        ("256x1024", "each side must be from 512 to 2048 pixels."),
        ("2048x2048", "width times height must be at most 1,572,864."),
    ],
)
def test_a_free_size_is_held_against_every_bound(size: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepared(FREE_SIZED, size=size)
    assert problem in caught.value.message


@pytest.mark.parametrize(("quality", "steps"), [("draft", 4), ("standard", 8), ("high", 20)])
def test_quality_chooses_the_steps(quality: str, steps: int) -> None:
    request = prepared(quality=quality, seed=1, size="128x128")
    assert (request.steps, request.quality) == (steps, Quality(quality))
    assert request.adjustments == ()


def test_steps_win_over_quality_and_the_request_says_so() -> None:
    request = prepared(quality="high", steps=6)
    assert request.steps == 6
    assert changed(request)["quality"] == ("high", "6 steps")


def test_a_style_adds_its_words_and_says_so() -> None:
    request = prepared(style="toy", negative_prompt="fog")
    assert request.prompt == "toy of a red boat"
    assert request.negative_prompt == "fog, people"
    assert (request.raw_prompt, request.style) == ("a red boat", "toy")
    assert changed(request)["prompt"] == ("as typed", "toy of {prompt}")
    assert changed(request)["negative_prompt"] == ("as typed", "+ people")


def test_a_style_adds_no_negative_words_where_the_model_has_none() -> None:
    request = prepared(DISTILLED, style="toy")
    assert request.negative_prompt == ""
    assert "negative_prompt" not in changed(request)


def test_the_words_of_a_style_count_as_tokens() -> None:
    assert prepared(prompt="word " * 30).prompt_tokens == 30
    assert prepared(prompt="word " * 30, style="watercolor").prompt_tokens == 32
    with pytest.raises(InvalidRequest, match="reads at most 32"):
        prepared(prompt="word " * 31, style="watercolor")


def test_without_a_tokenizer_the_token_limit_is_not_checked() -> None:
    assert prepared(count_tokens=None, prompt="word " * 100).prompt_tokens == 0


def test_a_negative_prompt_without_effect_is_told() -> None:
    assert changed(prepared(negative_prompt="fog", guidance_scale=1))["negative_prompt"] == ("set", "no effect")
    assert "negative_prompt" not in changed(prepared(negative_prompt="fog", guidance_scale=1.1))


def test_words_the_model_never_saw_are_named_up_to_five() -> None:
    words = ("zebra", "violin", "abacus", "quark", "pasta", "turbine")
    request = prepared(unknown_words=lambda _: words)
    (notice,) = [change for change in request.adjustments if change.parameter == "prompt"]
    assert "'zebra', 'violin', 'abacus', 'quark', 'pasta', …" in notice.reason
    assert "turbine" not in notice.reason
    assert prepared(unknown_words=lambda _: ()).prompt == request.prompt


def test_a_lossy_format_gets_a_quality() -> None:
    assert prepared(output_format="jpeg").output_quality == 90


def test_a_whole_float_is_a_whole_number_as_in_json() -> None:
    assert prepared(steps=8.0).steps == 8


JSON_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 2**32 - 1, 128, 8])
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(st.characters(codec=None), max_size=30)
    | st.sampled_from(
        ["128x128", "96x160", "1024x1024", "512x512", "auto", "3:2", "high", "watercolor", "toy", "jpeg", "a boat"]
    )
)
JSON = st.recursive(
    JSON_SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
FIELDS = [name for name in RawRequest.__slots__ if name != "model"]


@given(
    card=st.sampled_from([SMALL, ENLARGED, FREE_SIZED, DISTILLED]),
    parameters=st.dictionaries(st.sampled_from(FIELDS), JSON),
)
def test_any_json_becomes_a_legal_request_or_a_named_refusal(card: ModelCard, parameters: dict[str, Any]) -> None:
    outcome = prepared_or_refused(card, **parameters)
    if isinstance(outcome, InvalidRequest):
        assert outcome.param in FIELDS
        outcome.message.encode("utf-8")
    else:
        check(outcome, card)


@given(
    card=st.sampled_from([FREE_SIZED, DISTILLED]),
    width=st.integers(1, 400),
    height=st.integers(1, 400),
)
def test_every_aspect_ratio_that_is_taken_is_legal_and_close(card: ModelCard, width: int, height: int) -> None:
    outcome = prepared_or_refused(card, aspect_ratio=f"{width}:{height}")
    if isinstance(outcome, InvalidRequest):
        assert not 2 / 9 < width / height < 4.5
    else:
        check(outcome, card)
        assert abs(math.log(outcome.width_px / outcome.height_px / (width / height))) <= math.log(1.5) + 1e-9


def prepared_or_refused(card: ModelCard, **parameters: Any) -> GenerationRequest | InvalidRequest:
    try:
        return prepared(card, **parameters)
    except InvalidRequest as refusal:
        return refusal


def check(request: GenerationRequest, card: ModelCard) -> None:
    rule, size = card.sizes, (request.engine_width_px, request.engine_height_px)
    assert request.upscale in (1, *card.upscale)
    assert (request.width_px, request.height_px) == (size[0] * request.upscale, size[1] * request.upscale)
    if rule.only:
        assert size in rule.only
    assert all(rule.side_min <= side <= rule.side_max and side % rule.multiple == 0 for side in size)
    assert math.prod(size) <= rule.pixels_max
    assert card.steps.minimum <= request.steps <= card.steps.maximum
    if card.guidance is not None:
        assert card.guidance.minimum <= request.guidance <= card.guidance.maximum
    assert 1 <= request.image_count <= 10
    assert 0 <= request.seed <= SEED_MAX
    assert request.prompt.strip()
    assert "\x00" not in request.prompt
    request.prompt.encode("utf-8")
    assert card.supports_negative_prompt or not request.negative_prompt
    assert card.token_limit is None or request.prompt_tokens <= card.token_limit
    assert (request.output_quality is None) == (request.output_format is OutputFormat.PNG)


# --- clips ----------------------------------------------------------------------------------------------------------

CLIPS = replace(SMALL, frames=FrameRule(minimum=8, maximum=16, default=12, per_second=8.0))


def test_a_clip_has_the_cards_length_and_pace_and_is_a_webp() -> None:
    request = prepared(CLIPS)
    assert (request.frames, request.frames_per_second) == (12, 8.0)
    assert (request.output_format, request.output_quality) == (OutputFormat.WEBP, 90)
    assert "frames" not in changed(request)


def test_a_still_has_one_frame_and_may_say_so() -> None:
    for request in (prepared(), prepared(frames=1)):
        assert (request.frames, request.frames_per_second) == (1, None)


@pytest.mark.parametrize(("output_format", "quality"), [("webp", 90), ("gif", None), ("png", None)])
def test_a_clip_can_be_asked_for_in_every_format_that_moves(output_format: str, quality: int | None) -> None:
    request = prepared(CLIPS, frames=8, output_format=output_format)
    assert (request.frames, request.output_format, request.output_quality) == (8, output_format, quality)


@pytest.mark.parametrize(
    ("parameters", "param", "code", "said"),
    [
        ({"frames": 7}, "frames", "invalid_frames", "from 8 to 16 for small"),
        ({"frames": 17}, "frames", "invalid_frames", "from 8 to 16 for small"),
        ({"frames": 1}, "frames", "invalid_frames", "from 8 to 16 for small"),
        ({"frames": 8.5}, "frames", "invalid_frames", "a whole number"),
        ({"output_format": "jpeg"}, "output_format", "unsupported_parameter", "jpeg holds no clip"),
        ({"output_format": "gif", "output_quality": 90}, "output_quality", "unsupported_parameter", "gif has none"),
    ],
)
def test_what_no_clip_can_have_is_refused_by_name(parameters: dict[str, Any], param: str, code: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        prepared(CLIPS, **parameters)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_a_model_with_one_length_says_which() -> None:
    fixed = replace(CLIPS, frames=FrameRule(minimum=12, maximum=12, default=12, per_second=8.0))
    assert prepared(fixed, frames=12).frames == 12
    with pytest.raises(InvalidRequest, match=r"^frames must be 12 for small, not 9\.$"):
        prepared(fixed, frames=9)


def test_a_still_model_says_what_to_name_instead() -> None:
    with pytest.raises(InvalidRequest, match=r"stills\. Leave frames out, or name a model that makes clips"):
        prepared(frames=12)


LARGE = replace(
    CLIPS,
    sizes=SizeRule(default=(1024, 1024), multiple=64, side_min=256, side_max=4096, pixels_max=4096 * 4096),
    frames=FrameRule(minimum=8, maximum=128, default=12, per_second=24.0),
)


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"n": 10}, "n"),
        ({"frames": 128}, "frames"),
        ({"frames": 77}, "frames"),
        ({"size": "4096x4096"}, "frames"),
    ],
)
def test_a_request_beyond_what_a_worker_can_send_is_refused(parameters: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest, match="pixels in all") as caught:
        prepared(LARGE, **parameters)
    assert (caught.value.param, caught.value.code) == (param, f"invalid_{param}")


def test_the_largest_request_fits_one_message_of_a_worker() -> None:
    request = prepared(LARGE, frames=76)
    pixels = request.image_count * request.frames * request.width_px * request.height_px
    assert pixels <= PIXELS_MAX
    assert PIXELS_MAX * 3 <= PAYLOAD_BYTES_MAX


def test_a_length_in_seconds_is_the_closest_number_of_frames() -> None:
    for seconds, frames in ((1, 8), (1.5, 12), (2, 16), (2.05, 16), (1.3, 10)):
        assert prepared(CLIPS, seconds=seconds).frames == frames
    assert "seconds" not in changed(prepared(CLIPS, seconds=1.5))
    assert changed(prepared(CLIPS, seconds=1.3))["seconds"] == ("1.3", "1.25")


@pytest.mark.parametrize(
    ("card", "sent", "code", "words"),
    [
        (CLIPS, {"seconds": 3}, "invalid_seconds", "a number from 1 to 2 for small"),
        (CLIPS, {"seconds": 0.5}, "invalid_seconds", "a number from 1 to 2 for small"),
        (CLIPS, {"seconds": "2"}, "invalid_seconds", "a number from 1 to 2"),
        (CLIPS, {"seconds": True}, "invalid_seconds", "a number from 1 to 2"),
        (CLIPS, {"seconds": float("nan")}, "invalid_seconds", "a number from 1 to 2"),
        (CLIPS, {"seconds": 2, "frames": 16}, "invalid_seconds", "exclude each other"),
        (SMALL, {"seconds": 2}, "unsupported_parameter", "makes stills"),
    ],
)
def test_other_lengths_are_refused(card: ModelCard, sent: dict[str, object], code: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        prepared(card, **sent)
    assert (caught.value.param, caught.value.code) == ("seconds", code)


@pytest.mark.parametrize("output_format", ["mp4", "webm", "gif"])
def test_films_are_for_clips(output_format: str) -> None:
    assert prepared(CLIPS, output_format=output_format).output_format == output_format
    with pytest.raises(InvalidRequest, match=f"{output_format} is for clips"):
        prepared(SMALL, output_format=output_format)
