import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.errors import InvalidRequest
from heliograph.gateway.form_body import PARTS_MAX, FormBody, FormFile, parse_form, typed

TYPE = "multipart/form-data; boundary=xx"


def a_part(disposition: str, data: bytes, *headers: str) -> bytes:
    lines = "\r\n".join((f"Content-Disposition: {disposition}", *headers))
    return b"--xx\r\n" + lines.encode() + b"\r\n\r\n" + data + b"\r\n"


def a_form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xx--\r\n"


def sent_by_httpx(data: dict[str, str], files: list[tuple[str, tuple[str, bytes, str]]]) -> FormBody:
    request = httpx.Request("POST", "http://x/", data=data, files=files)
    return parse_form(request.read(), request.headers["content-type"])


def test_what_a_client_sends_is_read_as_it_is() -> None:
    form = sent_by_httpx(
        {"prompt": "כלב 🐕", "n": "2"},
        [("image[]", ("a.png", b"\x89PNG\r\n--\x00", "image/png")), ("image[]", ("b", b"", "image/webp"))],
    )
    assert form.fields == {"prompt": "כלב 🐕", "n": "2"}
    assert form.files_of("image", "image[]") == (
        FormFile(field="image[]", name="a.png", media_type="image/png", data=b"\x89PNG\r\n--\x00"),
        FormFile(field="image[]", name="b", media_type="image/webp", data=b""),
    )
    assert form.files_of("mask") == ()


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text()), st.lists(st.binary(max_size=200), max_size=4))
def test_any_text_and_any_bytes_come_through(data: dict[str, str], files: list[bytes]) -> None:
    encoded = {name: value.encode("utf-8", "replace").decode() for name, value in data.items()}
    form = sent_by_httpx(encoded, [("file", ("f", each, "")) for each in files] or [("x", ("x", b"", ""))])
    assert form.fields == encoded
    assert [file.data for file in form.files_of("file")] == files


BROKEN = [
    (b"", TYPE, "breaks off"),
    (a_part('form-data; name="a"', b"1"), TYPE, "breaks off"),
    (b"no boundary at all", TYPE, "cannot be read"),
    (a_form(a_part('form-data; name="a"', b"1")), "multipart/form-data", "no boundary"),
    (a_form(a_part('form-data; name=""', b"1")), TYPE, "no name"),
    (a_form(a_part('attachment; name="a"', b"1")), TYPE, "no name"),
    (a_form(a_part(f'form-data; name="{"a" * 101}"', b"1")), TYPE, "no name"),
    (a_form(a_part('form-data; name="a"', b"\xff")), TYPE, "neither text"),
    (a_form(a_part('form-data; name="a"', b"1"), a_part('form-data; name="a"', b"2")), TYPE, "twice"),
    (a_form(a_part('form-data; name="a"', b"MQ==", "Content-Transfer-Encoding: base64")), TYPE, "Encoding"),
    (a_form(*(a_part(f'form-data; name="{i}"', b"") for i in range(PARTS_MAX + 1))), TYPE, "more than"),
    (a_form(a_part('form-data; name="a"', b"1", *(f"X-{i}: 1" for i in range(50)))), TYPE, "cannot be read"),
]


@pytest.mark.parametrize(("body", "content_type", "says"), BROKEN)
def test_a_broken_form_is_refused_with_its_fault(body: bytes, content_type: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        parse_form(body, content_type)


@given(st.binary(max_size=300))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes) -> None:
    for body in (noise, b"--xx\r\n" + noise, a_form(a_part('form-data; name="a"', noise))):
        try:
            parse_form(body, TYPE)
        except InvalidRequest:
            continue


def test_equal_forms_have_equal_fingerprints_whatever_their_boundary() -> None:
    file = ("image", ("cat.png", b"123", "image/png"))
    first = sent_by_httpx({"a": "1", "b": "2"}, [file])
    assert sent_by_httpx({"b": "2", "a": "1"}, [("image", ("dog.png", b"123", "image/png"))]).fingerprint == (
        first.fingerprint
    )
    assert sent_by_httpx({"a": "1", "b": "2"}, [("image", ("cat.png", b"124", "image/png"))]).fingerprint != (
        first.fingerprint
    )


@pytest.mark.parametrize(
    ("value", "means"),
    [("2", 2), ("-1", -1), ("3.5", 3.5), ("1e2", 100.0), ("two", "two"), ("nan", "nan"), ("0x10", "0x10")],
)
def test_numbers_in_text_are_numbers(value: str, means: object) -> None:
    assert typed({"n": value, "prompt": value}, numbers=("n",)) == {"n": means, "prompt": value}


def test_truths_in_text_are_truths_and_empty_fields_are_left_out() -> None:
    assert typed({"stream": "True", "x": "", "y": "true"}, numbers=(), flags=("stream",)) == {
        "stream": True,
        "y": "true",
    }
