"""Request bodies of forms (`multipart/form-data`): text fields and files, read once, whole and strictly.

How large a body may be was decided before it got here (`middleware.BodyLimit`), so everything is kept in memory. All
values of a form are text; `typed` turns those that a JSON body has as numbers and truths into what they mean there, so
that the same checks judge both.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from heliograph.domain.errors import InvalidRequest
from heliograph.gateway.errors import ProtocolError
from heliograph.gateway.json_body import read_body

FORM = "multipart/form-data"
PARTS_MAX = 128
"""Fields and files of one form."""
FIELD_NAME_CHARS_MAX = 100
_WHOLE = re.compile(r"-?[0-9]{1,30}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{0,30})?(?:[eE][-+]?[0-9]{1,2})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormFile:
    """A file as it was sent in `field`. `name` and `media_type` are the client's words and prove nothing."""

    field: str
    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FormBody:
    """The text fields by name and the files in order of arrival; equal forms have equal fingerprints (SHA-256 hex)."""

    fields: Mapping[str, object]
    files: tuple[FormFile, ...]
    fingerprint: str

    def files_of(self, *names: str) -> tuple[FormFile, ...]:
        """The files of the fields of these names."""
        return tuple(file for file in self.files if file.field in names)


def is_form(request: Request) -> bool:
    """The body says that it is a form."""
    return _media_type(request) == FORM


async def read_form(request: Request) -> FormBody:
    """The request's form. Raises `ProtocolError` (415, 413, 408) and `InvalidRequest`."""
    if not is_form(request):
        raise ProtocolError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The body must be a form with `Content-Type: {FORM}`, not {_media_type(request) or 'unlabelled'!r}.",
            code="unsupported_media_type",
        )
    return parse_form(await read_body(request), request.headers["content-type"])


def parse_form(body: bytes, content_type: str) -> FormBody:
    """The form in `body`; `content_type` is the header's value and names the boundary. Raises `InvalidRequest`."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise _invalid("The Content-Type of the form names no boundary.")
    gathered = _Gathering()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": gathered.begin,
                "on_header_field": gathered.header_name,
                "on_header_value": gathered.header_value,
                "on_header_end": gathered.header_end,
                "on_headers_finished": gathered.headers_finished,
                "on_part_data": gathered.data,
                "on_part_end": gathered.end,
                "on_end": gathered.finish,
            },
        )
        parser.write(body)
        parser.finalize()
    except (MultipartParseError, ValueError, UnicodeError) as error:
        raise _invalid(f"The form cannot be read: {error}.") from error
    if not gathered.is_whole:
        raise _invalid("The form breaks off: its closing boundary is missing.")
    return FormBody(fields=gathered.fields, files=tuple(gathered.files), fingerprint=_fingerprint(gathered))


def typed(fields: Mapping[str, object], *, numbers: Collection[str], flags: Collection[str] = ()) -> dict[str, object]:
    """`fields` with numbers and truths where the named ones hold them; other text stays, for the check to refuse.

    A field that is empty was not filled in: it is left out.
    """
    return {name: _typed(name, value, numbers, flags) for name, value in fields.items() if value != ""}


def _typed(name: str, value: object, numbers: Collection[str], flags: Collection[str]) -> object:
    if not isinstance(value, str):
        return value
    if name in flags and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if name in numbers and _WHOLE.fullmatch(value):
        return int(value)
    if name in numbers and _DECIMAL.fullmatch(value):
        return float(value)
    return value


class _Gathering:
    """What the parser has found so far."""

    def __init__(self) -> None:
        self.fields: dict[str, object] = {}
        self.files: list[FormFile] = []
        self.is_whole = False
        self._parts = 0
        self._headers: dict[str, bytes] = {}
        self._header_name = self._header_value = b""
        self._field = self._file_name = ""
        self._is_file = False
        self._data = bytearray()

    def begin(self) -> None:
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise _invalid(f"The form has more than {PARTS_MAX} fields.")
        self._headers, self._data = {}, bytearray()
        self._header_name = self._header_value = b""

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._header_name.decode("ascii", "replace").lower()] = self._header_value
        self._header_name = self._header_value = b""

    def headers_finished(self) -> None:
        kind, options = parse_options_header(self._headers.get("content-disposition", b""))
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or not field or len(field) > FIELD_NAME_CHARS_MAX or not field.isprintable():
            raise _invalid(f"A part of the form has no name of 1 to {FIELD_NAME_CHARS_MAX} printable characters.")
        encoding = self._headers.get("content-transfer-encoding", b"binary").strip().lower()
        if encoding not in (b"binary", b"7bit", b"8bit"):
            raise _invalid("A part of the form has a Content-Transfer-Encoding. Send it as it is.", param=field)
        self._field = field
        self._is_file = b"filename" in options
        self._file_name = options.get(b"filename", b"").decode("utf-8", "replace")

    def data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def end(self) -> None:
        if self._is_file:
            media_type = self._headers.get("content-type", b"").decode("ascii", "replace").strip().lower()
            self.files.append(
                FormFile(field=self._field, name=self._file_name, media_type=media_type, data=bytes(self._data))
            )
            return
        if self._field in self.fields:
            raise InvalidRequest(
                f"{self._field!r} is in the form twice. Send it once.", param=self._field, code="duplicate_field"
            )
        try:
            self.fields[self._field] = self._data.decode()
        except UnicodeDecodeError as error:
            message = f"{self._field} is neither text in UTF-8 nor a file with a name."
            raise _invalid(message, param=self._field) from error

    def finish(self) -> None:
        self.is_whole = True


def _fingerprint(gathered: _Gathering) -> str:
    """Of names and contents, each behind its length; the boundary and the files' names say nothing."""
    digest = hashlib.sha256()
    texts = sorted((name, str(value).encode()) for name, value in gathered.fields.items())
    for name, data in (*texts, *((file.field, file.data) for file in gathered.files)):
        for part in (name.encode(), data):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _invalid(message: str, *, param: str | None = None) -> InvalidRequest:
    return InvalidRequest(message, param=param, code="invalid_form")
