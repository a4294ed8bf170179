"""Weights on this machine: fetched once, checked, and shared by every model and worker that uses them.

Theory of operation. A file is kept under its SHA-256 in `files/`, so two models that share one have it once; a model's
folder below `models/` is made of links to them. While a file comes it is `SHA.part`, locked against everybody else on
this machine, and goes on where it stopped, however often the connection or the server ends. Its size and its SHA-256
are checked before it gets its name; what was checked is written down (size, time of change, inode), so that the next
load need not read it all again, and read again once it differs from that or is `distrust`ed. A file that is not what
the catalogue says is named, deleted and fetched anew, once; if the source itself is wrong, that is said.

Files of this machine (`base` is a folder) are checked in the same way and used where they lie.

Bounds: nothing is fetched unless all that is missing fits onto the disk with `RESERVE_BYTES` to spare; a file that ends
too early or a source that is away is asked `TRIES_MAX` times in a row. Nothing is ever evicted: what may go is for the
operator to say.
"""

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.weights import Fetching, WeightsFile, WeightsSource
from heliograph.outbound import Destination, OutboundPolicy, checked_url, parsed_networks
from heliograph.outbound.download import Downloads

TRIES_MAX = 5
PAUSE_S = 1.0
LOCK_POLL_S = 0.2
TELL_EVERY_S = 0.5
CHUNK_BYTES = 1 << 20
RESERVE_BYTES = 256 << 20

Report = Callable[[Fetching], Awaitable[None]]
Damaged = Callable[[str], object]


class WeightsUnavailable(Exception):
    """The weights cannot be had; the text says why, and which file. `is_wrong`: and they will not be any better."""

    def __init__(self, message: str, *, is_wrong: bool = False) -> None:
        super().__init__(message)
        self.is_wrong = is_wrong


class _Digest(Protocol):
    """A hash that is being computed."""

    def update(self, data: bytes, /) -> None:
        """Take more of the content."""
        ...

    def hexdigest(self) -> str:
        """Of what was taken so far."""
        ...


@dataclass(slots=True)
class _Progress:
    """How far one model has come. Bytes of this call are what the speed is taken from."""

    source: WeightsSource
    report: Report
    began_s: float
    done_bytes: int = 0
    fetched_bytes: int = 0
    told_s: float = 0.0

    async def add(self, size_bytes: int, *, fetched: bool) -> None:
        """So many more are here; tell of it, though not every time."""
        self.done_bytes += size_bytes
        self.fetched_bytes += size_bytes if fetched else 0
        now_s = time.monotonic()
        if now_s - self.told_s >= TELL_EVERY_S:
            self.told_s = now_s
            await self.tell(now_s)

    async def tell(self, now_s: float) -> None:
        """Report what is here and when the rest will be."""
        left_bytes = self.source.size_bytes - self.done_bytes
        passed_s = max(now_s - self.began_s, 1e-6)
        left_s = left_bytes * passed_s / self.fetched_bytes if self.fetched_bytes else None
        await self.report(Fetching(done_bytes=self.done_bytes, total_bytes=self.source.size_bytes, left_s=left_s))


class WeightsCache:
    """The folder at `root`. `on_damage` is told the path of every file that turns out to be damaged."""

    def __init__(
        self,
        root: Path,
        *,
        user_agent: str,
        on_damage: Damaged,
        reserve_bytes: int = RESERVE_BYTES,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._root = root
        self._user_agent = user_agent
        self._on_damage = on_damage
        self._reserve_bytes = reserve_bytes
        self._pause_s = pause_s

    async def ensure(self, source: WeightsSource, report: Report) -> Path:
        """The folder with all files of the source, each checked. Raises `WeightsUnavailable`."""
        progress = _Progress(source=source, report=report, began_s=time.monotonic())
        await progress.tell(time.monotonic())
        try:
            if source.is_local:
                await self._check_local(source, progress)
                await progress.tell(time.monotonic())
                return Path(source.base)
            for folder in ("files", "models"):
                (self._root / folder).mkdir(parents=True, exist_ok=True)
            await self._fetch(source, progress)
            folder = await asyncio.to_thread(self._linked, source)
            await progress.tell(time.monotonic())
            return folder
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise WeightsUnavailable(f"the disk of {self._root} is full") from error
            raise WeightsUnavailable(f"the weights cannot be kept in {self._root}: {error}") from error

    async def distrust(self, source: WeightsSource) -> None:
        """Somebody could not use them: every file is read again before it is used."""
        for file in source.files:
            with suppress(OSError):
                self._record(file, self._place(source, file)).unlink(missing_ok=True)

    async def _check_local(self, source: WeightsSource, progress: _Progress) -> None:
        for file in source.files:
            path = Path(source.base) / file.path
            if not await asyncio.to_thread(self._is_whole, file, path):
                what = "is not what the catalogue says" if path.is_file() else "is missing"
                raise WeightsUnavailable(f"{file.path} in {source.base} {what}", is_wrong=True)
            await progress.add(file.size_bytes, fetched=False)

    async def _fetch(self, source: WeightsSource, progress: _Progress) -> None:
        missing: list[WeightsFile] = []
        for file in source.files:
            if await asyncio.to_thread(self._is_whole, file, self._place(source, file)):
                await progress.add(file.size_bytes, fetched=False)
            else:
                missing.append(file)
        if not missing:
            return
        self._refuse_full_disk(missing)
        policy = OutboundPolicy(allowed=parsed_networks((*source.networks, *_address_in(source.base))))
        downloads = Downloads(policy, user_agent=self._user_agent)
        try:
            for file in missing:
                try:
                    destination = checked_url(f"{source.base.rstrip('/')}/{file.path}", policy, param=file.path)
                except InvalidRequest as error:
                    raise WeightsUnavailable(error.message, is_wrong=True) from error
                async with self._locked(file):
                    await self._fetch_one(file, destination, downloads, _headers(source), progress)
        finally:
            await downloads.close()

    def _refuse_full_disk(self, missing: list[WeightsFile]) -> None:
        here = sum(part.stat().st_size for file in missing if (part := self._part(file)).is_file())
        needed_bytes = sum(file.size_bytes for file in missing) - here
        free_bytes = shutil.disk_usage(self._root).free
        if needed_bytes + self._reserve_bytes > free_bytes:
            raise WeightsUnavailable(
                f"the disk of {self._root} is too full: {needed_bytes / 1e9:.2f} GB of weights are missing and "
                f"{free_bytes / 1e9:.2f} GB are free, of which {self._reserve_bytes / 1e9:.2f} GB stay free"
            )

    async def _fetch_one(
        self,
        file: WeightsFile,
        destination: Destination,
        downloads: Downloads,
        headers: dict[str, str],
        progress: _Progress,
    ) -> None:
        """Fetch the file, from where it stopped, unless somebody else has done so while we waited for the lock."""
        path = self._root / "files" / file.sha256
        if await asyncio.to_thread(self._is_whole, file, path):
            await progress.add(file.size_bytes, fetched=False)
            return
        reason = ""
        for attempt in range(TRIES_MAX):
            if attempt:
                await asyncio.sleep(self._pause_s * 2 ** (attempt - 1))
            before_bytes = progress.done_bytes
            try:
                digest = await self._receive(file, destination, downloads, headers, progress)
            except ConnectionError as error:
                progress.done_bytes, reason = before_bytes, str(error)
                continue
            if digest == file.sha256:
                await asyncio.to_thread(self._keep, file, path)
                return
            self._part(file).unlink(missing_ok=True)
            progress.done_bytes = before_bytes
            self._on_damage(file.path)
            if reason == _WRONG:
                break
            reason = _WRONG
        raise WeightsUnavailable(f"{file.path} from {destination.origin}: {reason}", is_wrong=reason == _WRONG)

    async def _receive(
        self,
        file: WeightsFile,
        destination: Destination,
        downloads: Downloads,
        headers: dict[str, str],
        progress: _Progress,
    ) -> str:
        """Read what is missing of the file; its SHA-256. Raises `ConnectionError` where it did not come whole."""
        part = self._part(file)
        here_bytes = part.stat().st_size if part.is_file() else 0
        if here_bytes > file.size_bytes:
            part.unlink()
            here_bytes = 0
        digest = await asyncio.to_thread(_digest_of, part) if here_bytes else hashlib.sha256()
        if here_bytes == file.size_bytes:
            await progress.add(here_bytes, fetched=False)
            return digest.hexdigest()
        try:
            async with downloads.open(destination, headers=headers, first_byte=here_bytes) as answer:
                if answer.status == 200 and here_bytes:
                    digest, here_bytes = hashlib.sha256(), 0  # it cannot begin in the middle
                elif answer.status not in (200, 206):
                    raise ConnectionError(f"it answered {answer.status}")
                await progress.add(here_bytes, fetched=False)
                with part.open("r+b" if here_bytes else "wb") as target:
                    target.seek(here_bytes)
                    async for chunk in answer.chunks:
                        if here_bytes + len(chunk) > file.size_bytes:
                            part.unlink(missing_ok=True)
                            raise ConnectionError(f"it sends more than the {file.size_bytes} bytes of the catalogue")
                        await asyncio.to_thread(_take, target, digest, chunk)
                        here_bytes += len(chunk)
                        await progress.add(len(chunk), fetched=True)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                part.unlink(missing_ok=True)  # whoever else needs the disk should not suffer for it
                raise
            raise ConnectionError(str(error)) from error
        if here_bytes < file.size_bytes:
            raise ConnectionError(f"it ended after {here_bytes} of {file.size_bytes} bytes")
        return digest.hexdigest()

    def _keep(self, file: WeightsFile, path: Path) -> None:
        """The file is whole: make it durable and give it its name."""
        part = self._part(file)
        with part.open("rb") as content:
            os.fsync(content.fileno())
        part.replace(path)
        self._note(file, path)

    def _linked(self, source: WeightsSource) -> Path:
        """The model's folder, of links to the files."""
        manifest = sorted((file.path, file.sha256) for file in source.files)
        folder = self._root / "models" / hashlib.sha256(json.dumps(manifest).encode()).hexdigest()[:32]
        for path, sha256 in manifest:
            link = folder / path
            link.parent.mkdir(parents=True, exist_ok=True)
            target = self._root / "files" / sha256
            if not link.exists() or not link.samefile(target):
                draft = link.with_name(f".{link.name}.{os.getpid()}")
                draft.unlink(missing_ok=True)
                draft.hardlink_to(target)
                draft.replace(link)
        return folder

    def _is_whole(self, file: WeightsFile, path: Path) -> bool:
        """The file is there and what the catalogue says; read only where nobody has read it as it is now."""
        try:
            found = path.stat()
        except FileNotFoundError:
            return False
        if found.st_size == file.size_bytes:
            if self._noted(file, path) == _stamp(found):
                return True
            if _digest_of(path).hexdigest() == file.sha256:
                self._note(file, path)
                return True
        self._on_damage(file.path)
        if path.is_relative_to(self._root):
            path.unlink(missing_ok=True)
        return False

    def _note(self, file: WeightsFile, path: Path) -> None:
        record = self._record(file, path)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(_stamp(path.stat())))

    def _noted(self, file: WeightsFile, path: Path) -> object:
        try:
            return json.loads(self._record(file, path).read_text())
        except (OSError, ValueError):
            return None

    def _record(self, file: WeightsFile, path: Path) -> Path:
        """Where it is written down that this file was checked at this place."""
        place = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        return self._root / "checked" / f"{file.sha256}-{place}.json"

    def _place(self, source: WeightsSource, file: WeightsFile) -> Path:
        return Path(source.base) / file.path if source.is_local else self._root / "files" / file.sha256

    def _part(self, file: WeightsFile) -> Path:
        return self._root / "files" / f"{file.sha256}.part"

    @asynccontextmanager
    async def _locked(self, file: WeightsFile) -> AsyncGenerator[None]:
        """Nobody else on this machine fetches the file meanwhile; a process that ends lets go."""
        lock = os.open(self._root / "files" / f"{file.sha256}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(lock)


_WRONG = "its content is not what the catalogue says (SHA-256)"


def _take(target: BinaryIO, digest: _Digest, chunk: bytes) -> None:
    target.write(chunk)
    digest.update(chunk)


def _digest_of(path: Path) -> _Digest:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest


def _stamp(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def _headers(source: WeightsSource) -> dict[str, str]:
    if source.key_env is None:
        return {}
    key = os.environ.get(source.key_env, "")
    if not key:
        raise WeightsUnavailable(f"the environment variable {source.key_env} (key_env) holds no key", is_wrong=True)
    return {"Authorization": f"Bearer {key}"}


def _address_in(base: str) -> tuple[str, ...]:
    """The address that the operator wrote down as such: it is meant, wherever it leads."""
    host = urlsplit(base).hostname or ""
    try:
        parsed_networks((host,))
    except ValueError:
        return ()
    return (host,)
