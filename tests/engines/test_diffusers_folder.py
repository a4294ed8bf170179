"""What may be loaded, and what is refused by name before a library sees it."""

import json
import shutil
from pathlib import Path

import pytest

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.inference.diffusers_folder import cached_folder, checked_index, digest_of, files_of
from tests.engines.subjects import an_engine

SD = "StableDiffusionPipeline"


@pytest.fixture
def folder(pipelines: Path, tmp_path: Path) -> Path:
    """A copy of the tiny SD that a test may damage."""
    return Path(shutil.copytree(pipelines / "sd", tmp_path / "sd"))


def refused(folder: Path, *, pipeline: str = SD) -> str:
    with pytest.raises(EngineError) as caught:
        checked_index(folder, pipeline=pipeline)
    assert caught.value.kind is EngineErrorKind.BAD_WEIGHTS
    return caught.value.message


def test_what_is_sound_is_taken(folder: Path) -> None:
    assert checked_index(folder, pipeline=SD)["unet"] == ["diffusers", "UNet2DConditionModel"]


def test_pickles_are_refused_where_there_is_nothing_else(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04")
    checked_index(folder, pipeline=SD)
    weights.unlink()
    assert "unet" in refused(folder)
    assert "diffusion_pytorch_model.bin" in refused(folder)


def test_code_of_a_model_is_refused(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "unet" / "my_unet.py").write_text("raise SystemExit")
    index["unet"] = ["my_unet", "MyUnet"]
    (folder / "model_index.json").write_text(json.dumps(index))
    assert "code of its own (my_unet.py)" in refused(folder)


def test_a_class_of_another_library_is_refused(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["shutil", "rmtree"]
    (folder / "model_index.json").write_text(json.dumps(index))
    assert "unet" in refused(folder)
    assert "shutil.rmtree" in refused(folder)


def test_another_pipeline_than_the_catalogue_names_is_refused(folder: Path) -> None:
    assert "holds a StableDiffusionPipeline, not the FluxPipeline" in refused(folder, pipeline="FluxPipeline")


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"_class_name": ["module", "Class"]}'])
def test_what_is_no_model_is_refused(folder: Path, text: str | None) -> None:
    (folder / "model_index.json").unlink()
    if text is not None:
        (folder / "model_index.json").write_text(text)
    refused(folder)


def test_a_part_that_is_missing_is_told_when_it_is_loaded(folder: Path) -> None:
    (folder / "vae" / "config.json").unlink()
    engine = an_engine(folder.parent, "sd")
    with pytest.raises(EngineError, match="cannot be loaded") as caught:
        engine.load()
    assert caught.value.kind is EngineErrorKind.BAD_WEIGHTS


def test_weights_that_were_cut_off_are_told_when_they_are_loaded(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(EngineError) as caught:
        an_engine(folder.parent, "sd").load()
    assert caught.value.kind is EngineErrorKind.BAD_WEIGHTS


def test_the_digest_tells_models_apart(folder: Path) -> None:
    before = digest_of(files_of(folder), root=folder)
    assert digest_of(files_of(folder), root=folder) == before
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.012", "0.013"))
    assert digest_of(files_of(folder), root=folder) != before


def test_what_is_not_on_this_machine_is_not_fetched() -> None:
    with pytest.raises(EngineError, match="hf download someone/something --revision") as caught:
        cached_folder("someone/something", "0" * 40)
    assert caught.value.kind is EngineErrorKind.BAD_WEIGHTS
