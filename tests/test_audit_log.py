"""Orders are written down for good, the newest is found first, and the file does not grow for ever."""

import asyncio
from pathlib import Path

import pytest

from heliograph import audit_log
from heliograph.audit_log import AuditLog
from heliograph.domain.errors import Unavailable


async def test_the_newest_comes_first(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    assert await log.latest(5) == ()
    await asyncio.gather(*(log.append({"number": number, "body": "ü\n"}) for number in range(7)))
    assert [entry["number"] for entry in await log.latest(3)] == [6, 5, 4]
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


async def test_an_entry_cut_off_by_a_power_loss_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    await log.append({"number": 1})
    with path.open("a") as file:
        file.write('{"number": 2, "bo\n')
    await log.append({"number": 3})
    assert [entry["number"] for entry in await log.latest(9)] == [3, 1]


async def test_a_large_file_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "BYTES_MAX", 200)
    log = AuditLog(tmp_path / "audit.jsonl")
    for number in range(20):
        await log.append({"number": number, "text": "x" * 30})
    assert {path.name for path in tmp_path.iterdir()} == {"audit.jsonl", "audit.old"}
    assert all(path.stat().st_size <= 200 for path in tmp_path.iterdir())


async def test_a_disk_that_fails_is_said(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "missing" / "audit.jsonl")
    with pytest.raises(Unavailable, match="audit log cannot be written"):
        await log.append({})
