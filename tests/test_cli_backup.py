"""The commands `backup` and `restore`, as a person types them."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner, Result

from heliograph import app
from heliograph.cli import cli
from heliograph.delivery.disk import DiskBlobStore
from heliograph.domain.job import JobState
from heliograph.settings import Settings
from heliograph.storage.store import PutJob, PutOutput
from tests.storage.stored_samples import a_job, an_output


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def an_installation(data_dir: Path) -> str:
    """One job with one picture; the name of the picture's file."""

    async def fill() -> str:
        app.made_data_dir(data_dir)
        blobs = DiskBlobStore(data_dir / "blobs")
        name = await blobs.put(b"a picture", suffix="png")
        await blobs.close()
        store = await app.open_store(Settings(data_dir=data_dir), claims=True)
        job = a_job(1, state=JobState.COMPLETED)
        await store.commit([PutJob(job=job), PutOutput(output=replace(an_output(job), blob=name, thumbnail_blob=name))])
        await store.close()
        return name

    return asyncio.run(fill())


def test_there_and_back(tmp_path: Path) -> None:
    name = an_installation(tmp_path / "data")
    written = run("backup", tmp_path / "out", "--pictures", "--data-dir", tmp_path / "data")
    assert (written.exit_code, written.stdout) == (0, f"3 rows and 1 picture file(s) are in {tmp_path / 'out'}\n")
    back = run("restore", tmp_path / "out", "--data-dir", tmp_path / "new", "--json")
    assert back.exit_code == 0
    said = json.loads(back.stdout)
    assert (said["rows"]["jobs"], said["pictures"], said["pictures_damaged"]) == (1, 1, 0)
    assert (tmp_path / "new" / "blobs" / name[:2] / name).read_bytes() == b"a picture"


def test_what_is_not_whole_is_told_by_the_exit_code(tmp_path: Path) -> None:
    name = an_installation(tmp_path / "data")
    assert run("backup", tmp_path / "out", "--pictures", "--data-dir", tmp_path / "data").exit_code == 0
    (tmp_path / "out" / "blobs" / name[:2] / name).write_bytes(b"spoiled")
    back = run("restore", tmp_path / "out", "--data-dir", tmp_path / "new")
    assert back.exit_code == 3
    assert "1 damaged picture file(s) in" in back.stderr
    (tmp_path / "data" / "blobs" / name[:2] / name).unlink()
    written = run("backup", tmp_path / "second", "--pictures", "--data-dir", tmp_path / "data", "--json")
    assert written.exit_code == 3
    assert json.loads(written.stdout)["pictures_missing"] == 1
    assert "1 picture file(s) missing" in written.stderr


def test_mistakes_are_messages(tmp_path: Path) -> None:
    an_installation(tmp_path / "data")
    (tmp_path / "out").mkdir()
    there = run("backup", tmp_path / "out", "--data-dir", tmp_path / "data")
    assert (there.exit_code, there.stdout) == (2, "")
    assert "out exists" in there.stderr
    nothing = run("backup", tmp_path / "second", "--data-dir", tmp_path / "nowhere")
    assert nothing.exit_code == 2
    assert "nothing to back up" in nothing.stderr
    no_backup = run("restore", tmp_path / "out", "--data-dir", tmp_path / "new")
    assert no_backup.exit_code == 2
    assert "is not a backup" in no_backup.stderr
