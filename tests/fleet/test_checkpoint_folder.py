"""What is kept of unfinished runs: on a real disk, within its bounds."""

from pathlib import Path

import pytest

from heliograph.domain.ids import JobId
from heliograph.fleet import checkpoint_folder
from heliograph.fleet.checkpoint_folder import CheckpointFolder

CAT, DOG = JobId("job_cat"), JobId("job_dog")


def a_folder(root: Path, *, bytes_max: int = 100) -> CheckpointFolder:
    return CheckpointFolder(root / "kept", bytes_max=bytes_max)


def files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "kept").iterdir())


async def test_the_newest_of_each_job_is_kept_also_for_the_next_process(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    assert await folder.put(CAT, b"after 3") == await folder.put(CAT, b"after 5") == "job_cat.safetensors"
    await folder.put(DOG, b"after 1")
    for reader in (folder, a_folder(tmp_path)):
        assert [await reader.get(job) for job in (CAT, DOG, JobId("job_cow"))] == [b"after 5", b"after 1", None]
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0, "nobody else may read it"


async def test_what_is_forgotten_is_gone_and_stays_gone(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    await folder.put(CAT, b"after 3")
    for _ in range(2):
        await folder.forget(CAT)
    assert (await folder.get(CAT), files(tmp_path)) == (None, [])


async def test_orphans_and_unfinished_drafts_are_swept_at_start(tmp_path: Path) -> None:
    before = a_folder(tmp_path)
    await before.put(CAT, b"after 3")
    await before.put(DOG, b"after 3")
    (tmp_path / "kept" / "job_cow.draft").write_bytes(b"aft")
    await a_folder(tmp_path).retain({DOG})
    assert files(tmp_path) == ["job_dog.safetensors"]


@pytest.mark.parametrize(
    ("size", "is_kept"),
    [pytest.param(90, True, id="room for it"), pytest.param(91, False, id="a byte too many")],
)
async def test_bytes_are_bounded_over_all_jobs(tmp_path: Path, size: int, is_kept: bool) -> None:
    await a_folder(tmp_path).put(DOG, bytes(10))
    folder = a_folder(tmp_path)
    await folder.put(CAT, b"older")
    assert (await folder.put(CAT, bytes(size)) is not None) == is_kept
    assert await folder.get(CAT) == (bytes(size) if is_kept else b"older")


async def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_folder, "FILES_MAX", 1)
    folder = a_folder(tmp_path)
    assert await folder.put(CAT, b"1")
    assert await folder.put(DOG, b"1") is None
    assert await folder.put(CAT, b"2"), "the job that has a file keeps it"


async def test_a_failing_disk_costs_the_checkpoint_and_not_the_run(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    await folder.put(CAT, b"after 3")
    (tmp_path / "kept" / "job_cat.draft").mkdir()  # no file of that name can be written now, even by root
    assert await folder.put(CAT, b"after 5") is None
    assert await folder.get(CAT) == b"after 3"
    (tmp_path / "kept" / "job_cat.safetensors").unlink()
    assert await folder.get(CAT) is None
    await folder.forget(CAT)
