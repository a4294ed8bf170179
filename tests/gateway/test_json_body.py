import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.gateway.json_body import DEPTH_MAX, parse_json

BROKEN = [
    (b"", "empty"),
    (b" \n", "empty"),
    (b'{"prompt": "a cat"', "line 1, column 19"),
    (b'{\n "n": 1,\n "n" 2}', "line 3, column 6"),
    (b"{'prompt': 'a cat'}", "column 2"),
    (b'{"n": NaN}', "NaN"),
    (b'{"n": -Infinity}', "-Infinity"),
    (b'{"n": 1e999}', "1e999"),
    (b'{"n": ' + b"9" * 5000 + b"}", "thousands of digits"),
    (b'{"n": 1, "n": 2}', "'n' is in the body twice"),
    (b'{"a": {"b": 1, "b": 1}}', "'b' is in the body twice"),
    (b'{"prompt": "\xff"}', "not UTF-8"),
    (b'{"prompt": "\\ud800"}', "surrogate"),
    (b'["a cat"]', "JSON object"),
    (b'"a cat"', "JSON object"),
    (b"null", "JSON object"),
    (b"[" * 100_000, "levels deep"),
    (b'{"a":' * 100_000, "levels deep"),
    (b'{"a":' + b"[" * DEPTH_MAX + b"]" * DEPTH_MAX + b"}", "levels deep"),
]


@pytest.mark.parametrize(("body", "says"), BROKEN)
def test_a_broken_body_is_refused_with_its_fault(body: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        parse_json(body)


def test_a_body_is_read_as_it_is() -> None:
    fields = parse_json(
        '{"prompt": "כלב 🐕 \\ud83d\\udc15", "n": 2, "seed": null, "guidance_scale": 3.5}'.encode()
    ).fields
    assert fields == {"prompt": "כלב 🐕 🐕", "n": 2, "seed": None, "guidance_scale": 3.5}


def test_as_deep_as_allowed_is_fine() -> None:
    depth = DEPTH_MAX - 1
    assert parse_json(b'{"a":' + b"[" * depth + b"]" * depth + b"}").fields


def test_equal_bodies_have_equal_fingerprints() -> None:
    first = parse_json(b'{"prompt": "a cat", "n": 1}').fingerprint
    assert parse_json(b'{ "n":1,\n"prompt":"a\\u0020cat"}').fingerprint == first
    assert parse_json(b'{"prompt": "a cat", "n": 2}').fingerprint != first
    assert len(first) == 64
