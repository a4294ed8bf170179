"""The port of picture storage: immutable objects named by their content."""

from typing import Protocol


class BlobStore(Protocol):
    """Names look like `<sha256 hex>.<suffix>`. Raises `Unavailable` when the medium fails."""

    async def put(self, data: bytes, *, suffix: str) -> str:
        """Store `data`; returns its name once it survives power loss. Storing it again changes nothing."""
        ...

    async def size(self, name: str) -> int | None:
        """Number of bytes of the object, or None if there is none of that name."""
        ...

    async def read(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `start` (to the end when None). Raises `NotFound` for an unknown name."""
        ...
