"""The port of picture storage: immutable objects named by their content."""

from typing import Protocol

from heliograph.domain.ids import TenantId


class BlobStore(Protocol):
    """Names look like `<sha256 hex>.<suffix>`. Raises `Unavailable` when the medium fails."""

    async def put(self, data: bytes, *, suffix: str, owner: TenantId | None = None) -> str:
        """Store `data`; returns its name once it survives power loss. Storing it again changes nothing.

        `owner` is the tenant whose picture it is, None where it is nobody's; a store that encrypts uses its key.
        """
        ...

    async def size(self, name: str) -> int | None:
        """Number of bytes of the object, or None if there is none of that name."""
        ...

    async def read(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `start` (to the end when None). Raises `NotFound` for an unknown name."""
        ...

    async def names(self, digits: str) -> tuple[str, ...]:
        """The objects whose names begin with `digits`, two hexadecimal ones."""
        ...

    async def delete(self, name: str, *, before_s: float) -> bool:
        """Delete an object that was last put before a time, in seconds since the epoch, even if it was there already.

        False when there is none, or it was put again since.
        """
        ...

    async def erase(self, name: str, *, unless_put_within_s: float) -> bool:
        """Delete an object however young it is, unless this process put it within so many seconds.

        True once there is none of that name, also when there never was.
        """
        ...

    async def check(self) -> None:
        """Return when the medium answers. Raises `Unavailable` that says why it does not."""
        ...
