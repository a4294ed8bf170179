"""The command `import`, on files of other tools and on a picture of our own."""

import json
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner

from heliograph.cli import cli

SETTINGS = "a red boat\nNegative prompt: fog\nSteps: 25, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 768x512"


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["import", *arguments])
    return done.exit_code, done.output


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("parameters", SETTINGS)
    path = tmp_path / "boat.png"
    Image.new("RGB", (96, 64)).save(path, pnginfo=notes)
    return path


def test_the_settings_of_a_picture_are_printed_as_json(picture: Path) -> None:
    code, output = run(str(picture), "--model", "helio-base", "--json")
    assert code == 0, output
    body = json.loads(output)
    assert (body["source"], body["model"]) == ("a1111", "helio-base")
    assert (body["settings"]["size"], body["settings"]["steps"]) == ("160x96", 25)
    assert body["left_out"] == [{"name": "Sampler", "value": "Euler"}]


def test_a_text_file_will_do_and_people_get_sentences(tmp_path: Path) -> None:
    path = tmp_path / "settings.txt"
    path.write_text(SETTINGS)
    code, output = run(str(path), "--model", "helio-turbo")
    assert code == 0, output
    assert "Written by a1111, fitted to helio-turbo" in output
    assert "changed negative_prompt: set -> left out" in output
    assert "no request has a field for it: Sampler" in output


@pytest.mark.parametrize(("name", "content"), [("a.png", b"\xff\xd8\xff"), ("a.txt", b"hello"), ("missing", None)])
def test_a_file_without_settings_ends_with_a_sentence(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    code, output = run(str(path))
    assert code != 0
    assert "Traceback" not in output


def test_a_model_nobody_knows_is_said(picture: Path) -> None:
    code, _ = run(str(picture), "--model", "nobody")
    assert code != 0
