"""Brings pictures in: fetched where they are named by address, read in a process of their own, stored for the workers.

A picture is stored under the SHA-256 of what was made of it, in a store of its own that is not the one of delivered
pictures, and stays while an open job needs it, and for `keep_s` seconds after it was last given. An upload's id names
that file and is signed for one tenant: the id of another tenant's upload says nothing here, not even that it exists.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import struct
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import ParamSpec, Protocol, TypeVar
from weakref import WeakValueDictionary

import structlog

from heliograph.delivery.blobs import BlobStore
from heliograph.delivery.names import blob_name, is_sealed
from heliograph.delivery.pillow_intake import read_notes, read_picture
from heliograph.domain.accounts import Caller
from heliograph.domain.errors import InvalidRequest, NotFound, Overloaded, Unavailable
from heliograph.domain.held import refuse_held
from heliograph.domain.ids import OutputId, TenantId
from heliograph.domain.intake import (
    GivenInputs,
    GivenPicture,
    IntakeLimits,
    PictureRole,
    PictureSource,
    TakenInputs,
    UnreadablePicture,
    UploadedPicture,
)
from heliograph.domain.request import Adjustment, InputPicture
from heliograph.outbound import Outbound, OutboundPolicy, checked_url
from heliograph.storage.store import Store

REQUEST_BYTES_MAX = 128 * 1024**2
"""Stored bytes of all pictures of one request: what fits one message to a worker, beside what else is in it."""

HELD_MAX = 4
"""Pictures that are read at once; more wait."""

FETCHES_MAX, FETCHES_MAX_PER_TENANT = 16, 4
"""Pictures that are fetched at once; more wait. Each may hold a file of the largest size in memory."""

FOLDERS = 256
SWEEP_S = 60.0
"""Between two folders of pictures that are looked through for what nobody needs any more."""

MOMENTS = 100
RETRY_AFTER_S_MAX = 120.0
"""Official clients give up on longer ones."""

_ID = "in_"
_SEALED, _MASK = 1, 2
_MAC_BYTES = 12
_ID_BYTES = 1 + 32 + _MAC_BYTES
_PNG_SIZE = struct.Struct("!8x4x4sII")
_P = ParamSpec("_P")
_T = TypeVar("_T")
_log = structlog.get_logger()


class Processes(Protocol):
    """Where pictures from outside are read: `PostProcessPool`."""

    async def call(self, function: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T | None:
        """What the function gives, or None when the process did not survive it."""
        ...


class RecentBytes:
    """How much each tenant has brought in lately. It is forgotten with the process, and counts the same file again."""

    def __init__(self, *, bytes_max: int, window_s: float) -> None:
        self._bytes_max = bytes_max
        self._window_s = window_s
        self._taken: dict[TenantId, deque[tuple[float, int]]] = {}
        self._sums: Counter[TenantId] = Counter()

    def take(self, tenant_id: TenantId, size_bytes: int, *, now_s: float) -> float | None:
        """Count a file; or in how many seconds there is room for it, when there is none now."""
        taken = self._taken.setdefault(tenant_id, deque())
        while taken and taken[0][0] <= now_s - self._window_s:
            self._sums[tenant_id] -= taken.popleft()[1]
        if self._sums[tenant_id] + size_bytes > self._bytes_max:
            if not taken:
                del self._taken[tenant_id]
            return self._window_s if not taken else taken[0][0] + self._window_s - now_s
        if taken and now_s - taken[-1][0] < self._window_s / MOMENTS:
            then_s, before = taken.pop()  # few entries, however many files: each as if it came with the first of them
            taken.append((then_s, before + size_bytes))
        else:
            taken.append((now_s, size_bytes))
        self._sums[tenant_id] += size_bytes
        return None


class PictureIntake:
    """Pictures of requests, within `limits`. `secret` signs the ids of uploads."""

    def __init__(
        self,
        *,
        processes: Processes,
        blobs: BlobStore,
        store: Store,
        delivered: BlobStore,
        outbound: Outbound,
        policy: OutboundPolicy,
        limits: IntakeLimits,
        fetch_timeout_s: float,
        keep_s: float,
        tenant_bytes_max: int,
        secret: bytes,
        clock: Callable[[], float],
    ) -> None:
        self._processes = processes
        self._blobs = blobs
        self._store = store
        self._delivered = delivered
        self._outbound = outbound
        self._policy = policy
        self._limits = limits
        self._fetch_timeout_s = fetch_timeout_s
        self._keep_s = keep_s
        self._secret = secret
        self._clock = clock
        self._turns = asyncio.Semaphore(HELD_MAX)
        self._fetching = asyncio.Semaphore(FETCHES_MAX)
        self._fetching_of: WeakValueDictionary[TenantId, asyncio.Semaphore] = WeakValueDictionary()
        self._stored_of = RecentBytes(bytes_max=tenant_bytes_max, window_s=keep_s)

    async def take(self, given: GivenInputs, *, caller: Caller) -> TakenInputs:
        """The pictures, read and stored. Raises `InvalidRequest` that names the one that is wrong."""
        changes: list[Adjustment] = []
        images = [await self._taken(each, PictureRole.IMAGE, caller, changes) for each in given.images]
        first, mask = images[0], None
        size_bytes = sum(each[2] for each in images)
        if given.mask is not None:
            mask = await self._taken(given.mask, PictureRole.MASK, caller, changes)
            size_bytes += mask[2]
            if mask[1] != first[1] and _size_of(mask[0]) != _size_of(first[0]):
                raise InvalidRequest(
                    f"The mask has {mask[1][0]} x {mask[1][1]} pixels and the picture {first[1][0]} x {first[1][1]}: "
                    "make them the same size.",
                    param=given.mask.param,
                    code="invalid_mask",
                )
        if size_bytes > REQUEST_BYTES_MAX:
            raise InvalidRequest(
                f"The pictures have {size_bytes:,} bytes as they are kept, and {REQUEST_BYTES_MAX:,} are the most of "
                "one request. Send fewer or smaller ones.",
                param=given.images[0].param,
                code="picture_too_large",
            )
        return TakenInputs(
            images=tuple(picture for picture, _, _ in images),
            mask=None if mask is None else mask[0],
            strength=given.strength,
            prefix=given.prefix,
            is_wish=given.is_wish,
            changes=tuple(changes),
        )

    async def upload(self, data: bytes, *, role: PictureRole, param: str, caller: Caller) -> UploadedPicture:
        """A picture stored for a later request. Raises `InvalidRequest` for one that cannot be read."""
        changes: list[Adjustment] = []
        async with self._turns:
            picture, _, size_bytes = await self._stored(data, role, param, caller, changes)
        return UploadedPicture(
            upload_id=self._id_of(picture.blob, role, caller.tenant_id),
            role=role,
            width_px=picture.width_px,
            height_px=picture.height_px,
            size_bytes=size_bytes,
            kept_until_s=self._clock() + self._keep_s,
            changes=tuple(changes),
        )

    async def notes(self, data: bytes, *, param: str) -> Mapping[str, str]:
        """The texts that are written into a picture. Raises `InvalidRequest` for what is none."""
        async with self._turns:
            notes = await self._processes.call(read_notes, data, limits=self._limits)
        if notes is None:
            problem = "cannot be read: it takes too long, or breaks what reads it"
            notes = UnreadablePicture(problem=problem, code="invalid_picture")
        if isinstance(notes, UnreadablePicture):
            raise InvalidRequest(f"The file of {param} {notes.problem}.", param=param, code=notes.code)
        return notes

    async def read(self, name: str) -> bytes:
        """The file of a stored picture. Raises `NotFound` when it is gone, `Unavailable` when it cannot be read."""
        return await self._blobs.read(name)

    async def _taken(
        self, given: GivenPicture, role: PictureRole, caller: Caller, changes: list[Adjustment]
    ) -> tuple[InputPicture, tuple[int, int], int]:
        """The stored picture, the size that it came with, and the bytes of its file."""

        async def stored(data: bytes) -> tuple[InputPicture, tuple[int, int], int]:
            async with self._turns:
                return await self._stored(data, role, given.param, caller, changes)

        match given.source:
            case PictureSource.BYTES:
                return await stored(given.data)
            case PictureSource.URL:
                async with self._fetch_turn(caller.tenant_id):
                    return await stored(await self._fetched(given))
            case PictureSource.OUTPUT:
                async with self._fetch_turn(caller.tenant_id):
                    return await stored(await self._output(given, caller))
            case PictureSource.UPLOAD:
                async with self._turns:
                    picture, size_bytes = await self._uploaded(given, role, caller.tenant_id)
                    return picture, _size_of(picture), size_bytes

    @asynccontextmanager
    async def _fetch_turn(self, tenant_id: TenantId) -> AsyncGenerator[None]:
        """Until a picture is stored that has to be brought here first. Slow ones of one tenant hold up no other."""
        own = self._fetching_of.get(tenant_id)
        if own is None:
            own = self._fetching_of[tenant_id] = asyncio.Semaphore(FETCHES_MAX_PER_TENANT)
        async with own, self._fetching:
            yield

    async def _stored(
        self, data: bytes, role: PictureRole, param: str, caller: Caller, changes: list[Adjustment]
    ) -> tuple[InputPicture, tuple[int, int], int]:
        """The stored picture, the size that it came with, and the bytes of its file."""
        read = await self._processes.call(read_picture, data, role=role, param=param, limits=self._limits)
        if read is None:
            problem = "cannot be read: it takes too long, or breaks what reads it"
            read = UnreadablePicture(problem=problem, code="invalid_picture")
        if isinstance(read, UnreadablePicture):
            raise InvalidRequest(f"The file of {param} {read.problem}.", param=param, code=read.code)
        retry_after_s = self._stored_of.take(caller.tenant_id, len(read.png), now_s=self._clock())
        if retry_after_s is not None:
            raise Overloaded(
                f"Your pictures of the last {self._keep_s / 3600:.0f} hours take as much room as they may. Name "
                "uploads again instead of sending them anew, or wait.",
                param=param,
                code="too_many_pictures",
                retry_after_s=min(retry_after_s, RETRY_AFTER_S_MAX),
            )
        blob = await self._blobs.put(read.png, suffix="png", owner=caller.tenant_id)
        changes += read.changes
        picture = InputPicture(blob=blob, width_px=read.width_px, height_px=read.height_px)
        return picture, read.came_px, len(read.png)

    async def _fetched(self, given: GivenPicture) -> bytes:
        destination = checked_url(given.value, self._policy, param=given.param)
        reply = await self._outbound.call(
            destination,
            method="GET",
            headers={"Accept": "image/*"},
            timeout_s=self._fetch_timeout_s,
            bytes_max=self._limits.bytes_max + 1,
        )
        if reply.status != 200:
            problem = reply.reason if reply.status is None else f"the answer was {reply.status}; a link must be direct"
            raise InvalidRequest(
                f"The picture of {given.param} was not fetched: {problem}.",
                param=given.param,
                code="picture_not_fetched",
            )
        return reply.body

    async def _output(self, given: GivenPicture, caller: Caller) -> bytes:
        output = await self._store.output(OutputId(given.value))
        if output is None or output.tenant_id != caller.tenant_id:
            raise NotFound(f"There is no output {given.value[:60]}.", param=given.param, code="output_not_found")
        refuse_held(output)
        if output.size_bytes > self._limits.bytes_max:
            raise InvalidRequest(
                f"The file of {given.param} has {output.size_bytes:,} bytes, and {self._limits.bytes_max:,} are the "
                "most.",
                param=given.param,
                code="picture_too_large",
            )
        return await self._delivered.read(output.blob)

    async def _uploaded(self, given: GivenPicture, role: PictureRole, tenant_id: TenantId) -> tuple[InputPicture, int]:
        """The picture of an upload, kept from now on as if it were new, and the bytes of its file."""
        blob, uploaded_as = self._blob_of(given, tenant_id)
        if uploaded_as is not role:
            raise InvalidRequest(
                f"{given.param} names an upload made as {uploaded_as.value}. Upload it with purpose {role.value}.",
                param=given.param,
                code="invalid_inputs",
            )
        try:
            png = await self._blobs.read(blob)
        except NotFound as error:
            raise _no_upload(given) from error
        again = await self._blobs.put(png, suffix="png", owner=tenant_id)
        _, width_px, height_px = _PNG_SIZE.unpack_from(png)
        return InputPicture(blob=again, width_px=width_px, height_px=height_px), len(png)

    def _id_of(self, blob: str, role: PictureRole, tenant_id: TenantId) -> str:
        flags = (_SEALED if is_sealed(blob) else 0) | (_MASK if role is PictureRole.MASK else 0)
        named = bytes([flags]) + bytes.fromhex(blob[:64])
        return _ID + base64.urlsafe_b64encode(named + self._mac(named, tenant_id)).decode()

    def _blob_of(self, given: GivenPicture, tenant_id: TenantId) -> tuple[str, PictureRole]:
        try:
            data = base64.b64decode(given.value.removeprefix(_ID), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _no_upload(given) from error
        named, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        if len(data) != _ID_BYTES or not hmac.compare_digest(mac, self._mac(named, tenant_id)):
            raise _no_upload(given)
        role = PictureRole.MASK if named[0] & _MASK else PictureRole.IMAGE
        return blob_name(named[1:].hex(), "e.png" if named[0] & _SEALED else "png"), role

    def _mac(self, named: bytes, tenant_id: TenantId) -> bytes:
        return hmac.digest(self._secret, tenant_id.encode() + b"\0" + named, hashlib.sha256)[:_MAC_BYTES]


def _size_of(picture: InputPicture) -> tuple[int, int]:
    return picture.width_px, picture.height_px


def _no_upload(given: GivenPicture) -> NotFound:
    return NotFound(
        f"{given.param} names no upload of yours, or one that is not kept any more. Upload the picture again.",
        param=given.param,
        code="upload_not_found",
    )


async def drop_unused_inputs(
    blobs: BlobStore, held: Callable[[], Collection[str]], *, folder: int, before_s: float
) -> int:
    """Delete the pictures of a folder (0 to 255) that no open job needs and nobody gave since; return how many."""
    names = await blobs.names(f"{folder:02x}")
    needed = frozenset(held()) if names else frozenset[str]()
    return sum([await blobs.delete(name, before_s=before_s) for name in names if name not in needed])


async def keep_intake_tidy(
    blobs: BlobStore, held: Callable[[], Collection[str]], *, keep_s: float, clock: Callable[[], float]
) -> None:
    """Do so for ever, one folder a minute. While the medium is away the work waits."""
    while True:
        try:
            folder = int(clock() / SWEEP_S) % FOLDERS
            dropped = await drop_unused_inputs(blobs, held, folder=folder, before_s=clock() - keep_s)
        except Unavailable as error:
            _log.warning("old inputs stay for now", reason=error.message)
        else:
            if dropped:
                _log.info("old inputs deleted", files_deleted=dropped)
        await asyncio.sleep(SWEEP_S)
