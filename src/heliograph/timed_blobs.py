"""The medium of the pictures with a stopwatch: every put and read becomes a lifecycle event."""

from collections.abc import Callable

from typing_extensions import override

from heliograph.delivery.blobs import BlobStore
from heliograph.domain.errors import Unavailable
from heliograph.domain.ids import TenantId
from heliograph.domain.lifecycle import BlobHandled, LifecycleEvent


class TimedBlobs(BlobStore):
    """`BlobStore` over another one. `clock` in seconds; `publish` is told once per call."""

    def __init__(
        self, blobs: BlobStore, *, clock: Callable[[], float], publish: Callable[[LifecycleEvent], None]
    ) -> None:
        self._blobs = blobs
        self._clock = clock
        self._publish = publish

    @override
    async def put(self, data: bytes, *, suffix: str, owner: TenantId | None = None) -> str:
        """As the medium does, timed."""
        begun_s = self._clock()
        try:
            name = await self._blobs.put(data, suffix=suffix, owner=owner)
        except Unavailable:
            self._publish(BlobHandled(operation="put", duration_s=self._clock() - begun_s, has_failed=True))
            raise
        self._publish(BlobHandled(operation="put", duration_s=self._clock() - begun_s))
        return name

    @override
    async def read(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """As the medium does, timed."""
        begun_s = self._clock()
        try:
            data = await self._blobs.read(name, start=start, length=length)
        except Unavailable:
            self._publish(BlobHandled(operation="read", duration_s=self._clock() - begun_s, has_failed=True))
            raise
        self._publish(BlobHandled(operation="read", duration_s=self._clock() - begun_s))
        return data

    @override
    async def size(self, name: str) -> int | None:
        """As the medium does."""
        return await self._blobs.size(name)

    @override
    async def names(self, digits: str) -> tuple[str, ...]:
        """As the medium does."""
        return await self._blobs.names(digits)

    @override
    async def delete(self, name: str, *, before_s: float) -> bool:
        """As the medium does."""
        return await self._blobs.delete(name, before_s=before_s)

    @override
    async def erase(self, name: str, *, unless_put_within_s: float) -> bool:
        """As the medium does."""
        return await self._blobs.erase(name, unless_put_within_s=unless_put_within_s)

    @override
    async def check(self) -> None:
        """As the medium does."""
        await self._blobs.check()
