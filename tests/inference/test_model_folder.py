"""Folders of weights: what is checked before anything is loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.inference.model_folder import ModelKind, describe_folder, read_folder
from heliograph.inference.onnx import OnnxEngine


@pytest.fixture
def weights(tiny: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(tiny, tmp_path / "weights"))


def edited(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    description = folder / "model.json"
    facts = json.loads(description.read_text())
    edit(facts)
    description.write_text(json.dumps(facts))


def refused(folder: Path, match: str) -> None:
    with pytest.raises(EngineError, match=match) as caught:
        read_folder(folder)
    assert caught.value.kind is EngineErrorKind.BAD_WEIGHTS


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tiny", ModelKind.TEXT_TO_IMAGE),
        ("tiny-turbo", ModelKind.TEXT_TO_IMAGE),
        ("tiny-motion", ModelKind.TEXT_TO_VIDEO),
        ("tiny-upscale", ModelKind.UPSCALER),
    ],
)
def test_kind_and_parts_are_those_of_the_description(tiny: Path, name: str, kind: ModelKind) -> None:
    folder = read_folder(tiny / name)
    assert folder.kind is kind
    assert all(part.is_file() for part in folder.parts.values())
    assert folder == describe_folder(tiny / name)


def test_a_part_may_be_a_file_of_a_folder_beside_it(tiny: Path) -> None:
    shared = read_folder(tiny / "tiny-motion").part("decoder")
    assert shared.samefile(tiny / "tiny" / "decoder.onnx")


@pytest.mark.parametrize("name", ["decoder.onnx", "vocab.json"])
def test_a_damaged_shared_file_is_noticed_by_every_model_that_uses_it(weights: Path, name: str) -> None:
    file = weights / "tiny" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    for model in ("tiny", "tiny-turbo", "tiny-motion"):
        refused(weights / model, name)
    read_folder(weights / "tiny-upscale")


def test_a_file_of_another_length_is_noticed(weights: Path) -> None:
    with (weights / "tiny" / "decoder.onnx").open("ab") as file:
        file.write(b"x")
    refused(weights / "tiny", r"decoder\.onnx")


def test_a_folder_whose_neighbour_is_gone_is_incomplete(weights: Path) -> None:
    shutil.rmtree(weights / "tiny")
    refused(weights / "tiny-turbo", "FileNotFoundError")


@pytest.mark.parametrize(
    "name",
    [
        "../../secrets.onnx",
        "../../weights/tiny/decoder.onnx",
        "/etc/passwd",
        "../../../etc/passwd",
        "..",
        "../tiny",
        "../tiny/..",
        "../../x",
        "tiny/../../x",
        "sub/decoder.onnx",
        "./decoder.onnx",
        "..\\tiny\\decoder.onnx",
        "../tiny//decoder.onnx",
        "",
    ],
)
@pytest.mark.parametrize("place", ["parts", "files"])
def test_a_name_that_leads_out_of_the_weights_is_refused_before_it_is_opened(
    weights: Path, name: str, place: str
) -> None:
    def edit(facts: dict[str, Any]) -> None:
        entry = facts["files"]["decoder.onnx"]
        if place == "parts":
            facts["parts"]["decoder"] = name
        facts["files"][name] = entry

    edited(weights / "tiny", edit)
    refused(weights / "tiny", "leads out of the weights")


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda facts: facts.update(kind="text_to_music"), "incomplete"),
        (lambda facts: facts.pop("kind"), "incomplete"),
        (lambda facts: facts.pop("revision"), "incomplete"),
        (lambda facts: facts.update(parts=[]), "incomplete"),
        (lambda facts: facts["parts"].pop("decoder"), "has no decoder"),
        (lambda facts: facts.update(kind="text_to_video"), "has no motion"),
        (lambda facts: facts["files"].pop("decoder.onnx"), "has no checksum"),
        (lambda facts: facts["files"]["decoder.onnx"].pop("sha256"), "incomplete"),
        (lambda facts: facts["files"]["decoder.onnx"].update(bytes=1), r"decoder\.onnx in .* differ"),
    ],
)
def test_a_description_that_lacks_something_is_refused(
    weights: Path, edit: Callable[[dict[str, Any]], object], match: str
) -> None:
    edited(weights / "tiny", edit)
    refused(weights / "tiny", match)


@pytest.mark.parametrize("value", [None, "12", 1.5, True])
def test_a_fact_that_is_no_whole_number_is_refused_when_it_is_needed(weights: Path, value: object) -> None:
    edited(weights / "tiny-motion", lambda facts: facts.update(frames=value))
    with pytest.raises(EngineError, match=r"frames of .* is missing or no number"):
        OnnxEngine(weights / "tiny-motion").load()


def test_a_tool_takes_no_orders(tiny: Path) -> None:
    with pytest.raises(EngineError, match="a tool") as caught:
        OnnxEngine(tiny / "tiny-upscale").load()
    assert caught.value.kind is EngineErrorKind.BAD_WEIGHTS
