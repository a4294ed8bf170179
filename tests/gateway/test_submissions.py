import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.gateway.submissions import JOB_FIELDS, end_user, idempotency_key, positive_number, refuse_unknown


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (None, None),
        ("abc", "abc"),
        (" abc ", "abc"),
        ('"abc"', "abc"),
        (r'"a\"b\\c"', r'a"b\c'),
        ("a key with spaces", "a key with spaces"),
        ("x" * 255, "x" * 255),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_an_idempotency_key_may_be_quoted_or_bare(header: str | None, key: str | None) -> None:
    assert idempotency_key([] if header is None else [header]) == key


@pytest.mark.parametrize("header", ["", '""', '"abc', '"a"b"', "x" * 256, '"' + "x" * 256 + '"', "naïve", "a\tb"])
def test_a_malformed_idempotency_key_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        idempotency_key([header])
    assert caught.value.code == "invalid_idempotency_key"


def test_two_idempotency_keys_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="one Idempotency-Key"):
        idempotency_key(["a", "b"])


def test_an_unknown_field_is_refused_with_the_closest_known_one() -> None:
    with pytest.raises(InvalidRequest, match="Did you mean 'aspect_ratio'") as caught:
        refuse_unknown(["prompt", "aspectratio"], JOB_FIELDS)
    assert (caught.value.param, caught.value.code) == ("aspectratio", "unsupported_parameter")
    with pytest.raises(InvalidRequest, match="Known are prompt, model"):
        refuse_unknown(["zzz" * 1000], JOB_FIELDS)


@pytest.mark.parametrize("value", [7, True, ["ann"], "x" * 257, "a\0b"])
def test_an_end_user_is_a_short_printable_string(value: object) -> None:
    with pytest.raises(InvalidRequest):
        end_user(value, param="user")


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ("600", 600.0),
        ("0.5", 0.5),
        ("0", None),
        ("-1", None),
        ("inf", None),
        ("nan", None),
        ("NOT_GIVEN", None),
        ("", None),
    ],
)
def test_a_header_that_is_no_positive_number_is_ignored(sent: str, number: float | None) -> None:
    assert positive_number({"x-stainless-read-timeout": sent}, "x-stainless-read-timeout") == number
    assert positive_number({}, "x-stainless-read-timeout") is None
