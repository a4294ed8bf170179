"""Where pictures are kept, built from the settings: local directory or object store, encrypted or not.

Like `app.py`, whose part it is, it picks technologies; `cli_storage.py` and backups use it, too.
"""

import asyncio
import base64
import binascii
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import structlog

from heliograph.delivery.blobs import BlobStore
from heliograph.delivery.disk import DiskBlobStore
from heliograph.delivery.names import is_sealed
from heliograph.domain.errors import InvalidRequest, Unavailable
from heliograph.domain.ids import TenantId
from heliograph.settings import PictureSettings

WATCHED = "picture store"
"""The part of the system that `watch_pictures` speaks of."""

_log = structlog.get_logger()


class OpenStore(BlobStore, Protocol):
    """A blob store that was opened and has to be closed."""

    async def close(self) -> None:
        """Finish the writes under way."""
        ...


class Presigning(Protocol):
    """A medium that can serve its files itself."""

    async def signed_url(self, name: str, *, ttl_s: float) -> str:
        """An address of the object that works without a key for so many seconds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """`blobs` is what everybody uses; `media` what has to be closed."""

    blobs: BlobStore
    media: tuple[OpenStore, ...]

    async def presign(self, name: str, ttl_s: float) -> str | None:
        """An address of the object store's own that shows a file for so many seconds.

        None for what only this server can show: what lies in a directory, or is encrypted.
        """
        medium = self.media[0]
        if isinstance(medium, DiskBlobStore) or is_sealed(name):
            return None
        return await cast(Presigning, medium).signed_url(name, ttl_s=ttl_s)

    async def close(self) -> None:
        """Let go of every medium."""
        for medium in self.media:
            await medium.close()


def open_pictures(settings: PictureSettings, data_dir: Path, *, master_key: bytes | None) -> Pictures:
    """The store of pictures. `master_key` is what tenants' keys are drawn from, None where nothing is encrypted.

    Raises `InvalidRequest` for settings that cannot work, `Unavailable` where a directory cannot be written or a
    library is not installed.
    """
    medium = open_medium(settings, settings.url, data_dir / "blobs")
    own = {TenantId(name): _key(name, secret.get_secret_value()) for name, secret in settings.tenant_keys.items()}
    if master_key is None and not own:
        return Pictures(blobs=medium, media=(medium,))
    from heliograph.delivery.sealed import SealedBlobStore, TenantKeys

    keys = TenantKeys(master=master_key, own=own, encrypts_all=settings.encrypt)
    return Pictures(blobs=SealedBlobStore(medium, keys), media=(medium,))


def open_inputs(settings: PictureSettings, data_dir: Path, *, master_key: bytes | None) -> Pictures:
    """The store of pictures that requests start from: always in the data directory, encrypted as the others are."""
    return open_pictures(
        settings.model_copy(update={"url": f"file://{data_dir / 'inputs'}"}), data_dir, master_key=master_key
    )


def open_medium(
    settings: PictureSettings, url: str | None, folder: Path, *, storage_class: str | None = None
) -> OpenStore:
    """The object store at `url`, or the directory `folder` where there is none."""
    if url is None or url.startswith("file://"):
        return DiskBlobStore(folder if url is None else Path(url.removeprefix("file://")))
    try:
        from heliograph.delivery.object_store import open_object_store
    except ImportError as error:
        raise Unavailable(
            f"Pictures in an object store need a library that is not installed ({error}): "
            "pip install 'heliograph[object-store]'",
            code="object_store_missing",
            param="pictures.url",
        ) from error
    secrets = {name: secret.get_secret_value() for name, secret in settings.secret_options.items()}
    return open_object_store(
        url, {**settings.options, **secrets}, timeout_s=settings.timeout_s, storage_class=storage_class
    )


def _key(tenant: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise InvalidRequest(
            f"setting pictures.tenant_keys: the key of {tenant} must be 32 bytes in base64 (openssl rand -base64 32)",
            param="pictures.tenant_keys",
        )
    return key


async def watch_pictures(blobs: BlobStore, problems: MutableMapping[str, Unavailable], *, every_s: float) -> None:
    """Ask the medium again and again whether it is there; while it is not, `problems` says so and no job is taken."""
    while True:
        try:
            await blobs.check()
        except Unavailable as error:
            if WATCHED not in problems:
                _log.warning("pictures cannot be stored", reason=error.message)
            problems[WATCHED] = error
        else:
            if problems.pop(WATCHED, None) is not None:
                _log.info("pictures can be stored again")
        await asyncio.sleep(every_s)
