import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.gateway.openai_request import ImageOrder, PartialImages, in_openai_words, read_order


def order(**fields: object) -> ImageOrder:
    return read_order({"prompt": "a cat"} | fields)


def test_parameters_of_the_same_name_pass_unchanged() -> None:
    raw = order(model="gpt-image-1", n=2, size="auto", output_format="webp", seed=1, steps="x", aspect_ratio="3:2").raw
    assert (raw.prompt, raw.model, raw.n, raw.size) == ("a cat", "gpt-image-1", 2, "auto")
    assert (raw.output_format, raw.seed, raw.steps, raw.aspect_ratio) == ("webp", 1, "x", "3:2")


@pytest.mark.parametrize(
    ("sent", "used"),
    [
        (None, None),
        ("auto", None),
        ("low", "draft"),
        ("medium", "standard"),
        ("standard", "standard"),
        ("high", "high"),
        ("hd", "high"),
        ("draft", "draft"),
    ],
)
def test_quality_in_our_words(sent: str | None, used: str | None) -> None:
    translated = order(quality=sent)
    assert translated.raw.quality == used
    assert translated.adjustments == ()


@pytest.mark.parametrize(
    ("fields", "parameter", "used"),
    [
        ({"quality": "xhigh"}, "quality", "high"),
        ({"quality": "max"}, "quality", "high"),
        ({"style": "vivid"}, "style", "none"),
        ({"style": "natural"}, "style", "none"),
        ({"output_compression": 0, "output_format": "jpeg"}, "output_compression", "1"),
    ],
)
def test_what_is_not_quite_as_asked_is_listed(fields: dict[str, object], parameter: str, used: str) -> None:
    (change,) = order(**fields).adjustments
    assert (change.parameter, change.requested, change.used) == (parameter, str(fields[parameter]), used)


@pytest.mark.parametrize(("output_format", "quality"), [(None, None), ("png", None), ("jpeg", 100)])
def test_the_default_compression_may_be_sent_with_any_format(output_format: str | None, quality: int | None) -> None:
    translated = order(output_compression=100, output_format=output_format)
    assert translated.raw.output_quality == quality
    assert translated.adjustments == ()


def test_a_style_of_ours_is_passed_on() -> None:
    assert order(style="watercolor").raw.style == "watercolor"
    assert order(style="vivid").raw.style is None


def test_the_end_user_is_known_by_both_names() -> None:
    assert order(user="ann").end_user == "ann"
    assert order(user="ann", safety_identifier="ben").end_user == "ben"
    assert order(user="").end_user is None


@pytest.mark.parametrize(
    "fields",
    [
        {"moderation": "low"},
        {"moderation": "auto"},
        {"background": "opaque"},
        {"background": "auto"},
        {"response_format": "b64_json"},
        {"partial_images": 0},
        {"stream": True, "partial_images": 3, "response_format": "b64_json"},
        {"stream": None, "background": None, "style": None},
    ],
)
def test_harmless_parameters_are_accepted(fields: dict[str, object]) -> None:
    assert order(**fields).adjustments == ()


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"background": "transparent"}, "background", "unsupported_parameter"),
        ({"background": "blue"}, "background", "invalid_background"),
        ({"quality": "best"}, "quality", "invalid_quality"),
        ({"quality": 3}, "quality", "invalid_quality"),
        ({"moderation": "none"}, "moderation", "invalid_moderation"),
        ({"response_format": "path"}, "response_format", "invalid_response_format"),
        ({"stream": True, "response_format": "url"}, "response_format", "invalid_response_format"),
        ({"stream": "yes"}, "stream", "invalid_stream"),
        ({"stream": True, "partial_images": 4}, "partial_images", "invalid_partial_images"),
        ({"stream": True, "partial_images": "1"}, "partial_images", "invalid_partial_images"),
        ({"partial_images": 1}, "partial_images", "invalid_partial_images"),
        ({"output_compression": 101}, "output_compression", "invalid_output_compression"),
        ({"user": 7}, "user", "invalid_user"),
        ({"user": "x" * 257}, "user", "invalid_user"),
        ({"safety_identifier": "a\nb"}, "safety_identifier", "invalid_safety_identifier"),
        ({"input_fidelity": "high"}, "input_fidelity", "unsupported_parameter"),
        ({"step": 8}, "step", "unsupported_parameter"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(fields: dict[str, object], param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        order(**fields)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_errors_name_the_parameter_as_the_client_knows_it() -> None:
    inner = InvalidRequest("output_quality is for jpeg.", param="output_quality", code="invalid_output_quality")
    error = in_openai_words(inner)
    assert (error.message, error.param, error.code) == (
        "output_compression is for jpeg.",
        "output_compression",
        "invalid_output_compression",
    )


@pytest.mark.parametrize(
    ("count", "steps", "expected"),
    [
        (0, 8, []),
        (1, 8, [4]),
        (2, 9, [3, 6]),
        (3, 8, [2, 4, 6]),
        (3, 3, [1, 2]),
        (3, 1, []),
    ],
)
def test_partial_images_are_spread_over_the_run(count: int, steps: int, expected: list[int]) -> None:
    partials = PartialImages(count)
    taken = [(s, partials.take(picture=0, step=s, steps=steps)) for s in range(1, steps + 1)]
    assert [step for step, number in taken if number is not None] == expected
    assert [number for _, number in taken if number is not None] == list(range(len(expected)))


def test_a_second_attempt_sends_nothing_again() -> None:
    partials = PartialImages(2)
    first = [partials.take(picture=0, step=step, steps=6) for step in (1, 2, 3)]
    second = [partials.take(picture=0, step=step, steps=6) for step in (1, 2, 3, 4, 5, 6)]
    assert first == [None, 0, None]
    assert second == [None, None, None, 1, None, None]


def test_each_picture_of_a_batch_has_its_own() -> None:
    partials = PartialImages(1)
    assert [partials.take(picture=index, step=2, steps=4) for index in (0, 1)] == [0, 0]
