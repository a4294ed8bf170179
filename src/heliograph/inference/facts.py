"""What an engine on this machine computes with: versions and the processor's name."""

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def versions(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The installed ones of these packages with their versions, in order of name."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return tuple(sorted(found.items()))


def processor() -> str:
    """The processor's name; on two of one name the same code gives the same numbers."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
