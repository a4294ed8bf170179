"""What is stored against what is named: pictures that are missing or damaged, and files that nothing names.

It walks the 256 folders of pictures, whatever medium they are on, beside a running server or without one. An output is
written down after its files are there and deleted before they are, so at no moment is a named file rightly missing;
a file that nothing names may be on its way to be named, or waits for housekeeping.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from heliograph.delivery.blobs import BlobStore
from heliograph.domain.errors import NotFound, Unavailable
from heliograph.housekeeping import FOLDERS, drop_unused_files
from heliograph.storage.store import Store

READS_AT_ONCE = 8


@dataclass(slots=True, kw_only=True)
class Inventory:
    """Counts, and the names of what is not as it should be. `objects` lie there, `named` are named by an output."""

    objects: int = 0
    named: int = 0
    bytes: int | None = None
    missing: list[str] = field(default_factory=list[str])
    damaged: list[str] = field(default_factory=list[str])
    unused: int = 0
    deleted: int = 0

    @property
    def is_sound(self) -> bool:
        """Every picture that is named is there, and whole as far as it was looked at."""
        return not self.missing and not self.damaged


async def take_inventory(
    store: Store,
    media: Sequence[BlobStore],
    *,
    reads: bool = False,
    deletes_before_s: float | None = None,
    on_folder: Callable[[int], object] = lambda _folder: None,
) -> Inventory:
    """Compare every medium with the store; with `reads` every file is read and compared with its digest, too.

    With `deletes_before_s`, files that nothing names and nobody put since that time are deleted. `on_folder` hears of
    each folder that is done.
    """
    found = Inventory(bytes=0 if reads else None)
    for folder in range(FOLDERS):
        digits = f"{folder:02x}"
        named = await store.named_blobs(digits)
        there: set[str] = set()
        for medium in media:
            names = await medium.names(digits)
            there.update(names)
            found.objects += len(names)
            if reads:
                await _read_all(medium, names, found)
            if deletes_before_s is not None:
                found.deleted += await drop_unused_files(
                    store, medium, folder=folder, before_s=deletes_before_s, pause_s=0.0
                )
        # What was named before we looked and is not there now, unless its output went meanwhile.
        gone = named - there
        still_named = await store.held_blobs(sorted(gone)) if gone else frozenset[str]()
        found.named += len(named)
        found.missing += sorted(still_named)
        found.unused += len(there - named)
        on_folder(folder)
    return found


async def _read_all(medium: BlobStore, names: Sequence[str], found: Inventory) -> None:
    async for name, data in _contents(medium, names):
        if data is None or hashlib.sha256(data).hexdigest() != name[:64]:
            found.damaged.append(name)
        else:
            assert found.bytes is not None, "bytes are counted when files are read"
            found.bytes += len(data)


async def _contents(medium: BlobStore, names: Sequence[str]) -> AsyncIterator[tuple[str, bytes | None]]:
    """Each file with its bytes, a few read at once; None for one that cannot be given whole."""
    for first in range(0, len(names), READS_AT_ONCE):
        some = names[first : first + READS_AT_ONCE]
        for name, result in zip(some, await asyncio.gather(*(_content(medium, name) for name in some)), strict=True):
            if not isinstance(result, NotFound):  # deleted since it was listed
                yield name, result


async def _content(medium: BlobStore, name: str) -> bytes | NotFound | None:
    try:
        return await medium.read(name)
    except NotFound as gone:
        return gone
    except Unavailable as error:
        if error.code == "storage_damaged":
            return None
        raise
