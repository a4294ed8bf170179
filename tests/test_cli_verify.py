"""`heliograph verify FILE`: where a file comes from, without a server."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from heliograph.cli import cli
from heliograph.delivery import pillow
from heliograph.delivery.provenance import Imprint
from tests.delivery.signed import ENCODINGS, a_signer, signed, unsigned


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["verify", *map(str, arguments)])


@pytest.mark.parametrize("kind", ENCODINGS)
def test_a_file_of_this_installation_is_told_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"picture.{kind}"
    path.write_bytes(signed(kind, a_signer(tmp_path)))
    said = run(path, "--data-dir", tmp_path)
    assert said.exit_code == 0, said.output
    assert "intact" in said.stdout
    assert "helio-base" in said.stdout
    assert "this installation signed it" in said.stdout
    found = json.loads(run(path, "--data-dir", tmp_path, "--json").stdout)
    assert (found["integrity"], found["machine_made"]) == ("intact", True)
    assert found["signature"]["trust"] == "installation"
    assert kind == "mp4" or "Seed: 7" in found["claims"]["parameters"]


def test_a_changed_byte_and_a_missing_signature_end_with_one(tmp_path: Path) -> None:
    data = bytearray(signed("jpeg", a_signer(tmp_path)))
    data[-20] ^= 1
    (tmp_path / "changed.jpg").write_bytes(data)
    (tmp_path / "unsigned.jpg").write_bytes(unsigned("jpeg"))
    changed, plain = (run(tmp_path / name, "--data-dir", tmp_path) for name in ("changed.jpg", "unsigned.jpg"))
    assert (changed.exit_code, plain.exit_code) == (1, 1)
    assert "CHANGED" in changed.stdout
    assert "not signed" in plain.stdout


def test_a_strangers_text_cannot_command_the_terminal(tmp_path: Path) -> None:
    hostile = Imprint(xmp="<x/>", parameters="\x1b]0;owned\x07 [red]Steps[/red]: 8\x9b31m")
    picture = pillow.image_of(np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "hostile.png").write_bytes(pillow.encode(picture, ENCODINGS["png"], hostile))
    said = run(tmp_path / "hostile.png", "--data-dir", tmp_path)
    assert "[red]Steps[/red]: 8" in said.stdout
    assert not {"\x1b", "\x07", "\x9b"} & set(said.stdout)


def test_mistakes_are_messages(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("not a picture")
    for name, words in {"text.txt": "no picture that can be read", "nowhere.png": "Cannot read"}.items():
        said = run(tmp_path / name, "--data-dir", tmp_path)
        assert said.exit_code == 2
        assert words in said.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.txt"], "looking makes no certificate"
