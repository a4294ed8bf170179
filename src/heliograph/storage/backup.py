"""The folder that `heliograph backup` writes: complete or not there, checked when it is read back.

    OUT/manifest.json       what it is, and how many rows of each table it holds
        heliograph.sqlite   the whole database, whichever one it came from
        link.key, ...       the secrets beside the database
        orders.json         what the operator ordered of the fleet
        inputs/ab/abcd….png what requests brought along: an open job begins with it again
        blobs/ab/abcd….png  pictures, where they were asked for

The database comes first and its pictures after it, so each picture that it names was there; pictures are never changed
once written and carry the SHA-256 of their content in their name.
"""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from heliograph.domain.errors import InvalidRequest, Unavailable

FORMAT = 1
DATABASE = "heliograph.sqlite"
MANIFEST = "manifest.json"
BLOBS = "blobs"
KEYS = ("*.key", "signing-*.pem")
"""The secrets in the data directory: what is in the database, or handed out, depends on them."""
ORDERS = "orders.json"
INPUTS = "inputs"

NOT_COPIED = frozenset({"alembic_version", "writer_epoch"})
"""Tables about the database itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself. `pictures` is None where none were asked for.

    `pictures_missing` were named by the database and not there, or damaged; damaged inputs are among them.
    """

    format: int
    heliograph: str
    schema: str
    created_at_s: float
    database_sha256: str
    rows: dict[str, int]
    pictures: int | None
    pictures_missing: int


def write_backup(
    out: Path,
    data_dir: Path,
    copy_database: Callable[[Path], None],
    *,
    has_pictures: bool,
    version: str,
    now_s: float,
) -> Manifest:
    """Make the folder `out` of the state that `copy_database` writes to the file it is given.

    Raises `InvalidRequest` when `out` exists, `Unavailable` when something cannot be read or written; then nothing of
    it is left.
    """
    if out.exists():
        raise InvalidRequest(f"{out} exists; choose another name for the backup.", param="out")
    draft = out.with_name(f".{out.name}.partial-{os.getpid()}")
    with _file_errors("The backup cannot be written"), ExitStack() as on_failure:
        draft.mkdir(parents=True, mode=0o700)
        on_failure.callback(shutil.rmtree, draft, ignore_errors=True)
        copy_database(draft / DATABASE)
        for name in _single_files(data_dir):
            _copy(data_dir / name, draft / name)
        with closing(sqlite3.connect(draft / DATABASE)) as connection:
            found, missing = 0, _copy_all(data_dir / INPUTS, draft / INPUTS)
            if has_pictures:
                for name in _blob_names(connection):
                    is_whole = _copy_blob(data_dir / BLOBS, draft / BLOBS, name)
                    found, missing = found + is_whole, missing + (not is_whole)
            manifest = Manifest(
                format=FORMAT,
                heliograph=version,
                schema=connection.execute("SELECT version_num FROM alembic_version").fetchone()[0],
                created_at_s=now_s,
                database_sha256=_sha256_of(draft / DATABASE),
                rows={table: _count(connection, table) for table in tables_of(connection)},
                pictures=found if has_pictures else None,
                pictures_missing=missing,
            )
        _write_whole(draft / MANIFEST, json.dumps(asdict(manifest), indent=2).encode())
        _sync(draft / DATABASE)
        _sync(draft)
        draft.rename(out)
        _sync(out.parent)
        on_failure.pop_all()
    return manifest


def read_manifest(source: Path) -> Manifest:
    """The manifest of a backup whose database is whole. Raises `InvalidRequest` for anything else."""
    try:
        manifest = Manifest(**json.loads((source / MANIFEST).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise InvalidRequest(
            f"{source} is not a backup that this release can read: {MANIFEST} is missing or of another kind ({error}).",
            param="source",
        ) from error
    if manifest.format != FORMAT:
        raise InvalidRequest(f"{source} has format {manifest.format}; this release reads {FORMAT}.", param="source")
    with _file_errors("The backup cannot be read"):
        if _sha256_of(source / DATABASE) != manifest.database_sha256:
            raise InvalidRequest(
                f"{source / DATABASE} is damaged: it is not the file that was written.", param="source"
            )
    return manifest


def restore_files(source: Path, data_dir: Path, restore_database: Callable[[Path], None]) -> int:
    """Put the pictures back, then the database by `restore_database`, which is given its file, then the single files.

    Returns how many pictures were damaged and left out. Raises `InvalidRequest` for a secret, or orders, that are there
    already and different.
    """
    single = _single_files(source)
    for name in single:
        there = data_dir / name
        if there.exists() and there.read_bytes() != (source / name).read_bytes():
            raise InvalidRequest(f"{there} is there already and another: move it away first.", param="data_dir")
    with _file_errors("The backup cannot be restored"):
        damaged = sum(_copy_all(source / folder, data_dir / folder) for folder in (BLOBS, INPUTS))
        restore_database(source / DATABASE)
        for name in single:
            _copy(source / name, data_dir / name)
    return damaged


def _single_files(folder: Path) -> list[str]:
    """The secrets in the folder, and the operator's orders where there are any."""
    keys = sorted(path.name for pattern in KEYS for path in folder.glob(pattern))
    return [*keys, ORDERS] if (folder / ORDERS).exists() else keys


def _copy_all(source: Path, target: Path) -> int:
    """Copy every picture of a folder; how many are damaged and were left out. One that goes meanwhile is no loss."""
    names = sorted(path.name for path in source.glob("??/*") if not path.name.startswith("."))
    return sum(not _copy_blob(source, target, name) and (source / name[:2] / name).exists() for name in names)


def tables_of(connection: sqlite3.Connection) -> list[str]:
    """The tables to copy, `jobs` first because others refer to it."""
    named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return sorted({name for (name,) in named} - NOT_COPIED, key=lambda name: (name != "jobs", name))


def _count(connection: sqlite3.Connection, table: str) -> int:
    return connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608 -- a table's own name


_BLOBS = """
SELECT blob FROM outputs UNION SELECT thumbnail_blob FROM outputs UNION SELECT blob FROM output_variants
"""


def _blob_names(connection: sqlite3.Connection) -> Iterator[str]:
    for (name,) in connection.execute(_BLOBS):
        if name is not None:
            yield name


def _copy_blob(source: Path, target: Path, name: str) -> bool:
    """Copy one picture unless it is there; False when it is missing or not what its name says."""
    folder = name[:2]
    if (target / folder / name).exists():
        return True
    try:
        data = (source / folder / name).read_bytes()
    except FileNotFoundError:
        return False
    if hashlib.sha256(data).hexdigest() != name.partition(".")[0]:
        return False
    (target / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    _write_whole(target / folder / name, data)
    return True


def _copy(source: Path, target: Path) -> None:
    _write_whole(target, source.read_bytes())


def _write_whole(target: Path, data: bytes) -> None:
    """For this user only, there once it is durable."""
    draft = target.with_name(f".{target.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    draft.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _file_errors(what: str) -> Generator[None]:
    """Say which file it was."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{what}: {error.strerror} ({error.filename}).", code="backup_failed") from error
