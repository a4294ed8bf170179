"""Pictures in an object store (S3 and what speaks like it, Google Cloud Storage, Azure), through obstore.

Theory of operation. One request stores an object, so it is there whole or not at all, and the request carries the
SHA-256 of its body, which the server compares with what arrived. Objects are written once: the request says
`If-None-Match: *`. Where one is there already its size is compared, so that a damaged one is replaced, and one that is
half a day old is written again, byte for byte the same: whoever deletes unused files goes by their age.

What times objects have is the server's clock's business. `check` learns how far it is from ours, and `delete` reckons
with that; without such knowledge nothing is deleted.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import obstore
from obstore import exceptions
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from heliograph.delivery.names import blob_name, is_blob_name, is_sealed
from heliograph.delivery.recent import RecentPuts
from heliograph.domain.errors import InvalidRequest, NotFound, Unavailable
from heliograph.domain.ids import TenantId

RETRY_AFTER_S = 10.0
REFRESHED_AFTER_S = 12 * 3_600.0
"""An object that is stored again after so long is written again, which makes it young."""

CLOCK_OBJECT = ".heliograph/clock"
"""Written now and then to see what time the server takes it to be; its name is none of a picture's."""

CLOCK_EVERY_S = 3_600.0
WHOLE_BYTES_MAX = 1024**2
"""Objects up to this size are compared with their digest whenever they are read whole."""

MIME_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/avif",
    "mp4": "video/mp4",
    "webm": "video/webm",
}

Remote = S3Store | GCSStore | AzureStore


def open_object_store(
    url: str, options: Mapping[str, str], *, timeout_s: float, storage_class: str | None = None
) -> "ObjectBlobStore":
    """The store at `url` (`s3://bucket/prefix`, `gs://…`, `az://…`); `options` are obstore's, credentials included.

    What is not among them is read from the provider's own environment variables. Raises `InvalidRequest` for options
    that nobody knows.
    """
    known = dict(options)
    endpoint = known.get("endpoint", known.get("aws_endpoint", ""))
    client: dict[str, object] = {
        "timeout": timedelta(seconds=timeout_s),
        "connect_timeout": timedelta(seconds=min(timeout_s, 5.0)),
        "user_agent": "Heliograph",
        "allow_http": endpoint.startswith("http://"),
    }
    retry = {"max_retries": 2, "retry_timeout": timedelta(seconds=timeout_s)}
    if url.startswith("s3://"):
        known.setdefault("checksum_algorithm", "sha256")
    try:
        remote = from_url(url, config=cast(Any, known), client_options=cast(Any, client), retry_config=cast(Any, retry))
    except (exceptions.BaseError, ValueError) as error:
        raise InvalidRequest(
            f"setting pictures.url or pictures.options: {_first_line(error)}", param="pictures.url"
        ) from error
    if not isinstance(remote, S3Store | GCSStore | AzureStore):
        raise InvalidRequest(
            f"setting pictures.url: {url} is neither s3://, gs:// nor az://; leave it out to use a local directory",
            param="pictures.url",
        )
    return ObjectBlobStore(remote, url=url, timeout_s=timeout_s, storage_class=storage_class)


class ObjectBlobStore:
    """A `BlobStore` over an object store: `<prefix>/ab/abcd….png`.

    `timeout_s` bounds each call, its retries included. `storage_class` is the provider's name of a cheaper class.
    """

    def __init__(self, remote: Remote, *, url: str, timeout_s: float, storage_class: str | None = None) -> None:
        self._remote = remote
        self._url = url
        self._timeout_s = timeout_s
        self._storage_class = storage_class
        self._recent = RecentPuts()
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        self._ahead_s: float | None = None
        self._clock_read_at_s = 0.0

    async def put(self, data: bytes, *, suffix: str, owner: TenantId | None = None) -> str:
        """Store `data` and return its name once the server has it."""
        digest = await asyncio.to_thread(_sha256, data) if len(data) > WHOLE_BYTES_MAX else _sha256(data)
        name = blob_name(digest, suffix)
        async with self._alone(name), self._medium_errors():
            self._recent.note(name, now_s=time.monotonic())
            try:
                await self._write(name, data, mode="create")
            except exceptions.AlreadyExistsError:
                await self._keep(name, data)
        return name

    async def _write(self, name: str, data: bytes, *, mode: str) -> None:
        suffix = name.rpartition(".")[2]
        media_type = (
            "application/octet-stream" if is_sealed(name) else MIME_TYPES.get(suffix, "application/octet-stream")
        )
        attributes = {"Content-Type": media_type, "Cache-Control": "private, max-age=31536000, immutable"}
        if self._storage_class is not None:
            attributes["Storage-Class"] = self._storage_class
        await obstore.put_async(
            self._remote, _path(name), data, mode=cast(Any, mode), attributes=attributes, use_multipart=False
        )

    async def _keep(self, name: str, data: bytes) -> None:
        """An object of this name is there: see that it is whole and will not be taken for an old one."""
        there = await obstore.head_async(self._remote, _path(name))
        age_s = time.time() + (self._ahead_s or 0.0) - there["last_modified"].timestamp()
        if there["size"] != len(data) or not -REFRESHED_AFTER_S < age_s < REFRESHED_AFTER_S:
            await self._write(name, data, mode="overwrite")

    async def size(self, name: str) -> int | None:
        """Number of bytes of the object, or None if there is none of that name."""
        if not is_blob_name(name):
            return None
        async with self._medium_errors():
            try:
                return (await obstore.head_async(self._remote, _path(name)))["size"]
            except FileNotFoundError:
                return None

    async def read(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `start` (to the end when None). Raises `NotFound` for an unknown name.

        A small object that is read whole is compared with its digest. Raises `Unavailable` for a damaged one.
        """
        assert start >= 0, "a range starts at 0 or later"
        if not is_blob_name(name):
            raise _missing()
        async with self._medium_errors():
            try:
                if start == 0 and length is None:
                    return await self._read_whole(name)
                return await self._read_part(name, start, length)
            except FileNotFoundError as missing:
                raise _missing() from missing

    async def _read_whole(self, name: str) -> bytes:
        answer = await obstore.get_async(self._remote, _path(name))
        data = bytes(await answer.bytes_async())
        if len(data) <= WHOLE_BYTES_MAX and _sha256(data) != name[:64]:
            raise Unavailable(f"the object {name} in {self._url} is damaged", code="storage_damaged")
        return data

    async def _read_part(self, name: str, start: int, length: int | None) -> bytes:
        if length is not None and length > 0:
            with contextlib.suppress(exceptions.GenericError):  # beyond the end, or a server that knows no ranges
                return bytes(await obstore.get_range_async(self._remote, _path(name), start=start, length=length))
        size = (await obstore.head_async(self._remote, _path(name)))["size"]
        end = size if length is None else min(start + length, size)
        if start >= end:
            return b""
        try:
            return bytes(await obstore.get_range_async(self._remote, _path(name), start=start, end=end))
        except exceptions.GenericError:
            return (await self._read_whole(name))[start:end]

    async def names(self, digits: str) -> tuple[str, ...]:
        """The objects whose names begin with `digits`, two hexadecimal ones."""
        assert len(digits) == 2, "objects lie in folders of two digits"
        found: list[str] = []
        async with self._medium_errors():
            pages: AsyncIterator[Sequence[Mapping[str, Any]]] = cast(Any, obstore).list(
                self._remote, prefix=f"{digits}/"
            )
            async for page in pages:
                found += [meta["path"].rpartition("/")[2] for meta in page]
        return tuple(name for name in found if is_blob_name(name))

    async def delete(self, name: str, *, before_s: float) -> bool:
        """Delete an object that was last put before a time. False when there is none, or it was put again since."""
        async with self._alone(name), self._medium_errors():
            if before_s <= time.time() and self._recent.has(name, now_s=time.monotonic()):
                return False
            if self._ahead_s is None:
                await self._read_clock()
            assert self._ahead_s is not None, "the clock was read"
            try:
                there = await obstore.head_async(self._remote, _path(name))
            except FileNotFoundError:
                return False
            if there["last_modified"].timestamp() - self._ahead_s >= before_s:
                return False
            await obstore.delete_async(self._remote, _path(name))
        return True

    async def erase(self, name: str, *, unless_put_within_s: float) -> bool:
        """Delete an object however young, unless it was put within so many seconds. True once there is none."""
        async with self._alone(name), self._medium_errors():
            if self._recent.has(name, now_s=time.monotonic(), within_s=unless_put_within_s):
                return False
            with contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(self._remote, _path(name))
        return True

    async def check(self) -> None:
        """Return when the server answers and takes our key; now and then also see what time it is there."""
        async with self._medium_errors():
            if time.monotonic() - self._clock_read_at_s > CLOCK_EVERY_S or self._ahead_s is None:
                await self._read_clock()
            else:
                await obstore.head_async(self._remote, CLOCK_OBJECT)

    async def _read_clock(self) -> None:
        before_s = time.time()
        await obstore.put_async(self._remote, CLOCK_OBJECT, b"clock", use_multipart=False)
        there = await obstore.head_async(self._remote, CLOCK_OBJECT)
        self._ahead_s = there["last_modified"].timestamp() - before_s
        self._clock_read_at_s = time.monotonic()

    @property
    def clock_ahead_s(self) -> float | None:
        """How far the server's clock is ahead of ours, to about a second; None before the first `check`."""
        return self._ahead_s

    async def signed_url(self, name: str, *, ttl_s: float) -> str:
        """An address of the object that works without a key for so many seconds."""
        assert is_blob_name(name), f"{name!r} is no name"
        return await obstore.sign_async(self._remote, "GET", _path(name), timedelta(seconds=ttl_s))

    async def close(self) -> None:
        """Nothing is under way once the calls have returned."""

    @contextlib.asynccontextmanager
    async def _alone(self, name: str) -> AsyncGenerator[None]:
        """One caller at a time writes or deletes an object, so that none is deleted while it is put again."""
        lock, users = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[name]
            if users == 1:
                del self._locks[name]
            else:
                self._locks[name] = (lock, users - 1)

    @contextlib.asynccontextmanager
    async def _medium_errors(self) -> AsyncGenerator[None]:
        """Say in words of the operator what the server refused, and never wait for it without end."""
        try:
            async with asyncio.timeout(2 * self._timeout_s):
                yield
        except TimeoutError as error:
            message = f"the object store {self._url} does not answer within {2 * self._timeout_s:g} s"
            raise Unavailable(message, code="storage_unavailable", retry_after_s=RETRY_AFTER_S) from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError) as error:
            message = f"the object store {self._url} refuses the key it was given: {_refusal(error)}"
            raise Unavailable(message, code="storage_unavailable", retry_after_s=RETRY_AFTER_S) from error
        except FileNotFoundError as error:
            message = f"the object store {self._url} has no such bucket: {_first_line(error)}"
            raise Unavailable(message, code="storage_unavailable", retry_after_s=RETRY_AFTER_S) from error
        except (exceptions.BaseError, OSError) as error:
            message = f"the object store {self._url} failed: {_first_line(error)}"
            raise Unavailable(message, code="storage_unavailable", retry_after_s=RETRY_AFTER_S) from error


def _path(name: str) -> str:
    return f"{name[:2]}/{name}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _missing() -> NotFound:
    return NotFound("there is no such picture", param="name")


def _refusal(error: Exception) -> str:
    if "RequestTimeTooSkewed" in str(error):
        return "the clocks of this machine and of the store differ too much; set this machine's (NTP)"
    return _first_line(error)


def _first_line(error: Exception) -> str:
    """What the library says, without its debugging output."""
    return str(error).partition("\n")[0].strip()[:300]
