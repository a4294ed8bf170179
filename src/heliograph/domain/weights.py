"""Weights that are fetched before a model is loaded: which files, from where, and how far that has come."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFile:
    """One file: where it lies below the model's folder, how long it is, and its SHA-256 in hexadecimal."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSource:
    """Where a model's files come from: `base` is a folder of this machine or an address below which they are.

    `networks` are where the address may lead besides public ones. `key_env` names the environment variable that holds
    the key.
    """

    base: str
    files: tuple[WeightsFile, ...]
    networks: tuple[str, ...] = ()
    key_env: str | None = None

    @property
    def is_local(self) -> bool:
        """The files are on this machine already and are used where they lie."""
        return self.base.startswith("/")

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """So much of a model's weights is here and known to be whole; the rest is expected in `left_s` seconds."""

    done_bytes: int
    total_bytes: int
    left_s: float | None
