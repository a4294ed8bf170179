"""Pictures in memory: the twin of `disk.py` for tests, demos and the simulator. Unbounded; gone with the process."""

import hashlib
import time

from heliograph.delivery.names import blob_name
from heliograph.domain.errors import NotFound
from heliograph.domain.ids import TenantId


class MemoryBlobStore:
    """A `BlobStore` in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._put_at_s: dict[str, float] = {}

    async def put(self, data: bytes, *, suffix: str, owner: TenantId | None = None) -> str:
        """Store `data` and return its name."""
        name = blob_name(hashlib.sha256(data).hexdigest(), suffix)
        self._blobs[name] = data
        self._put_at_s[name] = time.time()
        return name

    async def size(self, name: str) -> int | None:
        """Number of bytes of the object, or None if there is none of that name."""
        data = self._blobs.get(name)
        return None if data is None else len(data)

    async def read(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `start` (to the end when None). Raises `NotFound` for an unknown name."""
        assert start >= 0, "a range starts at 0 or later"
        data = self._blobs.get(name)
        if data is None:
            raise NotFound("there is no such picture", param="name")
        return data[start:] if length is None else data[start : start + length]

    async def names(self, digits: str) -> tuple[str, ...]:
        """The objects whose names begin with `digits`, two hexadecimal ones."""
        return tuple(name for name in self._blobs if name.startswith(digits))

    async def delete(self, name: str, *, before_s: float) -> bool:
        """Delete an object that was last put before a time. False when there is none, or it was put again since."""
        if name not in self._blobs or self._put_at_s[name] >= before_s:
            return False
        del self._blobs[name], self._put_at_s[name]
        return True

    async def erase(self, name: str, *, unless_put_within_s: float) -> bool:
        """Delete an object however young, unless it was put within so many seconds. True once there is none."""
        if time.time() - self._put_at_s.get(name, 0.0) < unless_put_within_s:
            return False
        self._blobs.pop(name, None)
        self._put_at_s.pop(name, None)
        return True

    async def check(self) -> None:
        """Memory always answers."""

    async def close(self) -> None:
        """Forget everything."""
        self._blobs.clear()
