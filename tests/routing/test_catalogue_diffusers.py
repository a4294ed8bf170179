"""The table `diffusers` of a model: what is read, and what cannot work is refused when the catalogue is."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.ids import ModelId
from heliograph.domain.pipeline_options import (
    PIPELINES,
    SCHEDULERS,
    Device,
    Dtype,
    Offload,
    PipelineOptions,
    options_from,
    schedulers_of,
)
from heliograph.routing.catalogue import merge, parse_catalogue

MODEL = """
[models.mine]
name = "Mine"
family = "sdxl"
tasks = ["t2i"]
prompt_dialect = "clip_tags"
supports_negative_prompt = true
sizes = { default = "1024x1024", multiple = 8, side_min = 512, side_max = 2048, pixels_max = 1572864 }
steps = { min = 1, max = 60, draft = 15, standard = 30, high = 45 }
"""


def options(table: str, *, engine: str = 'engine = "diffusers"', more: str = "") -> PipelineOptions | None:
    text = f"{MODEL}{engine}\n{more}\n[models.mine.diffusers]\n{table}"
    return merge(parse_catalogue(text, origin="models.toml")).cards[ModelId("mine")].pipeline


def test_everything_that_may_be_said() -> None:
    found = options(
        """
        pipeline = "StableDiffusionXLPipeline"
        folder = "/models/sdxl"
        variant = "fp16"
        dtype = "float16"
        device = "cuda"
        offload = "model"
        tiling = true
        attention = "flash"
        compile = true
        quantisation = "torchao_int8"
        quantised = ["unet"]
        scheduler = "dpm++-2m-karras"
        token_limit = 77
        preview_decoder = "/models/taesdxl"
        """
    )
    assert found is not None
    assert (found.folder, found.dtype, found.device, found.offload) == (
        "/models/sdxl",
        Dtype.FLOAT16,
        Device.CUDA,
        Offload.MODEL,
    )
    assert found.is_tiled
    assert found.is_compiled


def test_a_repository_needs_a_pinned_revision() -> None:
    revision = "a" * 40
    table = f'pipeline = "FluxPipeline"\nrevision = "{revision}"'
    found = options(table, more='repository = "someone/flux"')
    assert found is not None
    assert (found.folder, found.revision) == (None, revision)
    with pytest.raises(InvalidRequest, match="needs folder, or revision"):
        options(table)


@pytest.mark.parametrize(
    ("table", "param", "problem"),
    [
        ('folder = "/m"', "pipeline", "is missing"),
        ('pipeline = "os.system"\nfolder = "/m"', "pipeline", "must be a class of diffusers"),
        ('pipeline = "FluxPipeline"\nfolder = "m"', "folder", "must be an absolute path"),
        ('pipeline = "FluxPipeline"\nrevision = "main"', "revision", "40 hexadecimal digits"),
        ('pipeline = "FluxPipeline"\nfolder = "/m"\nscheduler = "ddim"', "scheduler", "predict noise; FluxPipeline"),
        ('pipeline = "FluxPipeline"\nfolder = "/m"\nscheduler = "flow-heun"', "scheduler", "noise levels"),
        ('pipeline = "WanPipeline"\nfolder = "/m"\nscheduler = "flow-lcm"', "scheduler", "no seed decides"),
        ('pipeline = "WanPipeline"\nfolder = "/m"\nscheduler = "best"', "scheduler", "is not known"),
        ('pipeline = "OtherPipeline"\nfolder = "/m"\nscheduler = "ddim"', "scheduler", "always runs with its own"),
        ('pipeline = "FluxPipeline"\nfolder = "/m"\nquantised = ["unet"]', "quantised", "does not say how"),
        ('pipeline = "FluxPipeline"\nfolder = "/m"\ndevice = "cpu"\noffload = "model"', "offload", "is for GPUs"),
        ('pipeline = "FluxPipeline"\nfolder = "/m"\ndevice = "cpu"\ndtype = "float16"', "dtype", "on a CPU"),
        ('pipeline = "FluxPipeline"\nfolder = "/m"\nspeed = 9', "speed", "is not known"),
    ],
)
def test_what_cannot_work_is_refused_by_name(table: str, param: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as caught:
        options(table)
    assert caught.value.param == f"models.mine.diffusers.{param}"


def test_the_table_belongs_to_its_engine() -> None:
    with pytest.raises(InvalidRequest, match="is for models with engine"):
        options('pipeline = "FluxPipeline"\nfolder = "/m"', engine="")
    text = f'{MODEL}engine = "diffusers"'
    with pytest.raises(InvalidRequest, match="the diffusers engine needs this table"):
        merge(parse_catalogue(text, origin="models.toml"))


def test_every_known_pipeline_has_schedulers_and_no_name_leads_nowhere() -> None:
    for name, facts in PIPELINES.items():
        assert len(schedulers_of(name)) >= 2
        assert set(facts.without) <= set(SCHEDULERS)


def test_options_survive_json() -> None:
    sent: dict[str, Any] = asdict(
        PipelineOptions(
            pipeline="FluxPipeline",
            folder="/m",
            device=Device.CUDA,
            quantised=("transformer",),
        )
    )
    again = options_from(json.loads(json.dumps(sent)))
    assert again == options_from(sent)
    assert (again.quantised, again.device) == (("transformer",), Device.CUDA)
