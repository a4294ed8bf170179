"""Pictures encrypted with a key of their tenant, over any other blob store.

    object  = header | chunk 0 | chunk 1 | …
    header  = "HGSEAL1\\n" | key id (8 bytes) | salt (32) | length of the tenant's name (2) | the tenant's name
    chunk i = AES-256-GCM of the next 64 KiB (less in the last), with its tag of 16 bytes

The key of an object is drawn from the tenant's key and the salt, and the salt from the tenant's key and the content. So
the same picture of one tenant is the same object, stored once, while nobody without the key can tell whether two
tenants have the same picture or whether a tenant has a picture they know. A key encrypts one content only, so the
nonces, which count the chunks and mark the last one, never come twice. Chunks that are changed, swapped, cut off or
moved from another object are noticed; a part of a picture is read without the rest.

Names are made from the encrypted bytes: backups and sweepers check objects without keys. Whoever destroys a tenant's
key has destroyed every picture of the tenant, in backups too.
"""

import asyncio
import hashlib
import hmac
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from heliograph.delivery.blobs import BlobStore
from heliograph.delivery.names import SEALED, is_sealed
from heliograph.domain.errors import NotFound, Unavailable
from heliograph.domain.ids import TenantId

MAGIC = b"HGSEAL1\n"
_FIXED = struct.Struct(f"!{len(MAGIC)}s8s32sH")
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
_SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
_HEADER_READ_BYTES = 512
OWNER_BYTES_MAX = _HEADER_READ_BYTES - _FIXED.size
HEADERS_KEPT = 4_096
KEY_BYTES = 32


class TenantKeys:
    """The keys: `own` are those that tenants brought, the others are drawn from `master`.

    Without `encrypts_all` only the pictures of tenants with a key of their own are encrypted from now on; what was
    encrypted before can still be read.
    """

    def __init__(
        self, *, master: bytes | None, own: Mapping[TenantId, bytes] | None = None, encrypts_all: bool = True
    ) -> None:
        assert master is None or len(master) == KEY_BYTES, "the master key has 32 bytes"
        self._master = master
        self._encrypts_all = encrypts_all
        self._own = dict(own or {})

    def current(self, owner: TenantId) -> bytes | None:
        """The key to encrypt with, None where the tenant's pictures are not encrypted."""
        return self._own.get(owner) or (self._drawn(owner) if self._encrypts_all else None)

    def find(self, owner: TenantId, key_id: bytes) -> bytes | None:
        """The tenant's key of that id: the one of now, or the one from before the tenant brought its own."""
        for key in (self._own.get(owner), self._drawn(owner)):
            if key is not None and hmac.compare_digest(key_id_of(key), key_id):
                return key
        return None

    def _drawn(self, owner: TenantId) -> bytes | None:
        return None if self._master is None else _derived(self._master, b"tenant key", owner.encode())


def key_id_of(key: bytes) -> bytes:
    """Eight bytes that tell keys apart and nothing about them."""
    return _derived(key, b"key id", b"")[:8]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """`data` are its bytes as they are stored; `sealed_bytes` the size of the whole object."""

    owner: TenantId
    key_id: bytes
    salt: bytes
    data: bytes
    sealed_bytes: int

    @property
    def chunks(self) -> int:
        return max(1, -(-(self.sealed_bytes - len(self.data)) // _SEALED_CHUNK_BYTES))

    @property
    def plain_bytes(self) -> int:
        return self.sealed_bytes - len(self.data) - self.chunks * TAG_BYTES


class SealedBlobStore:
    """A `BlobStore` over `inner` that encrypts what tenants with a key put, and reads everything.

    Raises `Unavailable` for an object whose key is gone (`tenant_key_missing`) or that was changed (`storage_damaged`).
    """

    def __init__(self, inner: BlobStore, keys: TenantKeys) -> None:
        self._inner = inner
        self._keys = keys
        self._headers: OrderedDict[str, _Header] = OrderedDict()

    async def put(self, data: bytes, *, suffix: str, owner: TenantId | None = None) -> str:
        """Store `data`, encrypted with the owner's key where there is one, and return its name."""
        key = None if owner is None else self._keys.current(owner)
        if key is None:
            return await self._inner.put(data, suffix=suffix, owner=owner)
        assert owner is not None, "a key has an owner"
        sealed = await asyncio.to_thread(seal, data, key=key, owner=owner)
        return await self._inner.put(sealed, suffix=f"{SEALED}.{suffix}", owner=owner)

    async def size(self, name: str) -> int | None:
        """Number of bytes of the picture, or None if there is none of that name."""
        if not is_sealed(name):
            return await self._inner.size(name)
        try:
            return (await self._header(name)).plain_bytes
        except NotFound:
            return None

    async def read(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes of the picture from `start` (to the end when None). Raises `NotFound` for an unknown name."""
        if not is_sealed(name):
            return await self._inner.read(name, start=start, length=length)
        header = await self._header(name)
        end = header.plain_bytes if length is None else min(start + length, header.plain_bytes)
        key = self._keys.find(header.owner, header.key_id)
        if key is None:
            raise Unavailable(
                f"the key that encrypts this picture of tenant {header.owner} is not among the server's keys",
                code="tenant_key_missing",
            )
        if start >= end:
            return b""
        first, last = start // CHUNK_BYTES, (end - 1) // CHUNK_BYTES
        at = len(header.data) + first * _SEALED_CHUNK_BYTES
        sealed = await self._inner.read(name, start=at, length=(last - first + 1) * _SEALED_CHUNK_BYTES)
        plain = await asyncio.to_thread(_opened, sealed, header, key, first, last, name)
        return plain[start - first * CHUNK_BYTES : end - first * CHUNK_BYTES]

    async def _header(self, name: str) -> _Header:
        kept = self._headers.get(name)
        if kept is not None:
            return kept
        size = await self._inner.size(name)
        if size is None:
            raise NotFound("there is no such picture", param="name")
        header = _parsed(await self._inner.read(name, start=0, length=min(size, _HEADER_READ_BYTES)), size, name)
        self._headers[name] = header
        while len(self._headers) > HEADERS_KEPT:
            self._headers.popitem(last=False)
        return header

    async def names(self, digits: str) -> tuple[str, ...]:
        """The objects whose names begin with `digits`, two hexadecimal ones."""
        return await self._inner.names(digits)

    async def delete(self, name: str, *, before_s: float) -> bool:
        """Delete an object that was last put before a time. False when there is none, or it was put again since."""
        self._headers.pop(name, None)
        return await self._inner.delete(name, before_s=before_s)

    async def erase(self, name: str, *, unless_put_within_s: float) -> bool:
        """Delete an object however young, unless it was put within so many seconds. True once there is none."""
        self._headers.pop(name, None)
        return await self._inner.erase(name, unless_put_within_s=unless_put_within_s)

    async def check(self) -> None:
        """Return when the medium answers."""
        await self._inner.check()


def seal(data: bytes, *, key: bytes, owner: TenantId) -> bytes:
    """`data` as a sealed object."""
    name = owner.encode()
    assert len(name) <= OWNER_BYTES_MAX, f"the name of a tenant has at most {OWNER_BYTES_MAX} bytes"
    salt = _derived(key, b"salt", hashlib.sha256(data).digest())
    header = _FIXED.pack(MAGIC, key_id_of(key), salt, len(name)) + name
    cipher = AESGCM(_derived(key, b"object", salt))
    starts = range(0, len(data), CHUNK_BYTES) or (0,)
    view = memoryview(data)
    return header + b"".join(
        cipher.encrypt(
            _nonce(start // CHUNK_BYTES, start + CHUNK_BYTES >= len(data)), view[start : start + CHUNK_BYTES], header
        )
        for start in starts
    )


def _opened(sealed: bytes, header: _Header, key: bytes, first: int, last: int, name: str) -> bytes:
    cipher = AESGCM(_derived(key, b"object", header.salt))
    view = memoryview(sealed)
    plain: list[bytes] = []
    for index in range(first, last + 1):
        at = (index - first) * _SEALED_CHUNK_BYTES
        nonce = _nonce(index, index == header.chunks - 1)
        try:
            plain.append(cipher.decrypt(nonce, view[at : at + _SEALED_CHUNK_BYTES], header.data))
        except InvalidTag as error:
            raise Unavailable(f"the object {name} is damaged", code="storage_damaged") from error
    return b"".join(plain)


def _parsed(data: bytes, sealed_bytes: int, name: str) -> _Header:
    if len(data) < _FIXED.size:
        raise Unavailable(f"the object {name} is damaged", code="storage_damaged")
    magic, key_id, salt, length = _FIXED.unpack_from(data)
    owner = data[_FIXED.size : _FIXED.size + length]
    if magic != MAGIC or len(owner) != length or sealed_bytes < _FIXED.size + length + TAG_BYTES:
        raise Unavailable(f"the object {name} is damaged", code="storage_damaged")
    return _Header(
        owner=TenantId(owner.decode(errors="replace")),
        key_id=key_id,
        salt=salt,
        data=data[: _FIXED.size + length],
        sealed_bytes=sealed_bytes,
    )


def _nonce(index: int, is_last: bool) -> bytes:
    return struct.pack("!?xxxQ", is_last, index)


def _derived(key: bytes, what: bytes, context: bytes) -> bytes:
    """One step of HKDF (RFC 5869) whose input is a uniform key: HMAC over a label and the context."""
    return hmac.digest(key, b"heliograph/" + what + b"\0" + context + b"\x01", hashlib.sha256)
