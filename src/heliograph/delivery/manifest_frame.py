"""The bytes of a signed file that its signature does not cover, held against the one form they can have.

A C2PA manifest signs every byte of a file but its own, and of its own every byte that says something. What is left is
frame: lengths and labels of boxes, room that was kept free, the container's words around the manifest. Readers step
over most of it, so a thousand bytes of a file could be changed and it would still be called valid. Here each of them
is looked at: the boxes must nest without a gap, labels and types be the known ones, free room be zeros. Together with
a reader that checks the hashes and the signature nothing in a file can change unseen.

Boxes: length 4, type 4, content. A superbox `jumb` begins with its description `jumd`: type 16, flags 1, label up to a
zero, and, with a flag, a box of salt.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_UUID_TAIL = bytes.fromhex("00110010800000aa00389b71")
_HAS_LABEL, _HAS_SALT = 0x03, 0x13
_TYPE_OF_LABEL = {
    b"c2pa": b"c2pa",
    b"c2pa.assertions": b"c2as",
    b"c2pa.claim": b"c2cl",
    b"c2pa.claim.v2": b"c2cl",
    b"c2pa.signature": b"c2cs",
    b"c2pa.credentials": b"c2vc",
    b"c2pa.databoxes": b"c2db",
}
_MANIFEST_TYPES = (b"c2ma", b"c2um", b"c2cm")
_BMFF_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_FILM_BRANDS = b"isom\0\0\x02\0isomiso2avc1mp41"
"""What the first box of our films lists."""

_DEPTH_MAX = 8
_JPEG_JUMBF = b"JP\x02\x11"
_GIF_C2PA = b"\x21\xff\x0bC2PA_GIF\x01\x00\x00"
_AVIF_BRANDS = {0: b"avifmif1miafMA1B", 1: b"avifmif1miafMA1A"}
"""What a still's first box lists, by the profile its codec configuration states: 4:2:0 or 4:4:4 colour."""


class _Fault(Exception):
    """Something is not of the one form; the text says what."""


def frame_fault(data: bytes, mime_type: str) -> str | None:
    """What in the frame of a signed file is not as it was written, or None. For files that this program signed."""
    try:
        store = _store_in(data, mime_type)
        _check_store(store)
    except _Fault as fault:
        return str(fault)
    except (struct.error, IndexError):
        return "a length points beyond the end of the file"
    return None


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise _Fault(what)


# --- the container ---------------------------------------------------------------------------------------------------


def _store_in(data: bytes, mime_type: str) -> bytes:
    """The manifest store as it lies in the container, whose own words around it are checked."""
    match mime_type:
        case "image/jpeg":
            return _in_jpeg(data)
        case "image/png":
            return _in_png(data)
        case "image/webp":
            return _in_webp(data)
        case "image/avif" | "video/mp4":
            return _in_bmff(data, is_film=mime_type == "video/mp4")
        case "image/gif":
            return _in_gif(data)
        case _:
            raise _Fault(f"files of type {mime_type} are not looked at")


def _in_jpeg(data: bytes) -> bytes:
    parts: list[bytes] = []
    at = 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        segment = data[at + 4 : at + 2 + length]
        if marker == 0xEB:
            number = len(parts) + 1
            _require(segment[:8] == _JPEG_JUMBF + struct.pack(">I", number), "a JPEG segment of the manifest")
            _require(number == 1 or segment[8:16] == parts[0][:8], "a JPEG segment's repeated length")
            parts.append(segment[8:] if number == 1 else segment[16:])
        at += 2 + length
    return b"".join(parts)


def _in_png(data: bytes) -> bytes:
    found = b""
    at = 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        if kind == b"caBX":
            _require(not found, "a PNG with two manifests")
            found = content
        checksum = int.from_bytes(data[at + 8 + length : at + 12 + length])
        _require(checksum == zlib.crc32(content, zlib.crc32(kind)), "the checksum of a PNG chunk")
        at += 12 + length
    return found


def _in_webp(data: bytes) -> bytes:
    found = b""
    at = 12
    while at < len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"C2PA":
            _require(not found, "a WebP file with two manifests")
            found = data[at + 8 : at + 8 + length]
            _require(not any(data[at + 8 + length : at + 8 + length + length % 2]), "the WebP chunk's filling")
        at += 8 + length + length % 2
    _require(at == len(data), "the length of the last WebP chunk")
    return found


def _in_bmff(data: bytes, *, is_film: bool) -> bytes:
    found = b""
    at = number = 0
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        box = data[at + 8 : at + length]
        if number == 0:
            profile = data[data.index(b"av1C") + 5] >> 5 if b"av1C" in data else -1
            expected = _FILM_BRANDS if is_film else b"avif\0\0\0\0" + _AVIF_BRANDS.get(profile, b"")
            _require(kind == b"ftyp" and box == expected, "the brands of the file")
        if kind == b"uuid" and not (is_film and box[:16] == _XMP_UUID):
            _require(not found and box[:16] == _BMFF_UUID, "a box of its own type")
            _require(box[16:37] == b"\0\0\0\0manifest\0" + bytes(8), "the head of the manifest's box")
            found = box[37:]
        _require(kind not in (b"free", b"skip") or not any(box), "free room in the file")
        _require(length >= 8, "the length of a box")
        at, number = at + length, number + 1
    _require(at == len(data), "the length of the last box")
    return found


def _in_gif(data: bytes) -> bytes:
    at = data.find(_GIF_C2PA)
    _require(at >= 0, "the GIF block of the manifest")
    at += len(_GIF_C2PA)
    parts: list[bytes] = []
    while data[at]:
        _require(not parts or len(parts[-1]) == 255, "a GIF sub-block that is not full")
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return b"".join(parts)


# --- the manifest store ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Box:
    """A superbox: its label, its 4-letter type, and what it holds."""

    label: bytes
    kind: bytes
    content: bytes


def _check_store(store: bytes) -> None:
    boxes = list(_boxes(store))
    _require(len(boxes) == 1 and boxes[0][0] == b"jumb", "no manifest where one should be")
    root = _described(boxes[0][1])
    _require(root.label == b"c2pa" and root.kind == b"c2pa", "the label of the manifest store")
    for kind, content in _boxes(root.content):
        _require(kind == b"jumb", "a box beside the manifests")
        manifest = _described(content)
        _require(manifest.kind in _MANIFEST_TYPES, "the type of a manifest")
        _check_inside(manifest, depth=1)


def _check_inside(box: _Box, *, depth: int) -> None:
    _require(depth < _DEPTH_MAX, "boxes in boxes without an end")
    for kind, content in _boxes(box.content):
        if kind == b"jumb":
            inner = _described(content)
            expected = _TYPE_OF_LABEL.get(inner.label)
            named = inner.kind in _TYPE_OF_LABEL.values()
            _require(inner.kind == expected if expected or named else True, "the label of a box")
            if inner.kind == b"c2cs":
                ((content_kind, signature),) = tuple(_boxes(inner.content)) or ((b"", b""),)
                _require(content_kind == b"cbor", "the signature's box")
                _check_free_room(signature)
            else:
                _check_inside(inner, depth=depth + 1)


def _described(content: bytes) -> _Box:
    """The superbox with this content."""
    length, kind = struct.unpack_from(">I4s", content)
    _require(kind == b"jumd" and 8 + 17 < length <= len(content), "the description of a box")
    uuid, flags = content[8:24], content[24]
    end = content.index(0, 25, length) if 0 in content[25:length] else length
    _require(end < length and uuid[4:] == _UUID_TAIL and flags in (_HAS_LABEL, _HAS_SALT), "the description of a box")
    salt = content[end + 1 : length]
    if flags == _HAS_SALT:
        ((salt_kind, _),) = tuple(_boxes(salt)) or ((b"", b""),)
        _require(salt_kind == b"c2sh", "the salt of a box")
    else:
        _require(not salt, "the description of a box")
    return _Box(label=content[25:end], kind=uuid[:4], content=content[length:])


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, content) of the boxes that fill `content` to its last byte."""
    at = 0
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        _require(8 <= length <= len(content) - at, "the length of a box")
        yield kind, content[at + 8 : at + length]
        at += length


def _check_free_room(cose: bytes) -> None:
    """The signature (COSE_Sign1): only its unsigned header is frame, which is nothing, or room filled with zeros."""
    _require(cose[:2] == b"\xd2\x84", "the head of the signature")
    start, length = _byte_string(cose, 2)
    at = start + length
    _require(cose[at] in (0xA0, 0xA1), "the unsigned header of the signature")
    if cose[at] == 0xA1:
        _require(cose[at + 1 : at + 5] == b"\x63pad", "the unsigned header of the signature")
        start, length = _byte_string(cose, at + 5)
        _require(not any(cose[start : start + length]), "the free room beside the signature")
        at = start + length - 1
    _require(cose[at + 1] == 0xF6, "the signature's payload")
    start, length = _byte_string(cose, at + 2)
    _require(start + length == len(cose), "the end of the signature")


def _byte_string(cbor: bytes, at: int) -> tuple[int, int]:
    """Where the content of the CBOR byte string at `at` begins, and its length."""
    head = cbor[at]
    _require(head >> 5 == 2 and head & 31 <= 26, "a byte string of the signature")
    if head & 31 < 24:
        return at + 1, head & 31
    size = 1 << (head & 31) - 24
    length = int.from_bytes(cbor[at + 1 : at + 1 + size])
    _require(length >= (24, 256, 65536)[(head & 31) - 24], "a byte string of the signature")
    return at + 1 + size, length
