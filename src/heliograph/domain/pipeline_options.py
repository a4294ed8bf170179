"""How a diffusers pipeline is loaded and run: what an operator may say of it in the catalogue, and what fits together.

Which scheduler goes with which pipeline is known before anything is loaded: a pipeline was trained to predict either
noise or a flow, and some hand their own noise levels to the scheduler, which not every scheduler takes. `refusal` tells
what does not work, and why, so that a catalogue that cannot work is refused when it is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Dtype(StrEnum):
    """In which numbers the networks compute. `auto`: bfloat16 on a GPU, float32 on a CPU."""

    AUTO = "auto"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class Device(StrEnum):
    """Where they compute. `auto`: on the GPU where there is one."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Offload(StrEnum):
    """What waits in the host's memory while it is not needed; the later, the less memory of the GPU and the slower."""

    NONE = "none"
    MODEL = "model"
    GROUP = "group"
    SEQUENTIAL = "sequential"


class Quantisation(StrEnum):
    """Fewer bits for each weight; on a GPU only."""

    BITSANDBYTES_8BIT = "bitsandbytes_8bit"
    BITSANDBYTES_4BIT = "bitsandbytes_4bit"
    TORCHAO_INT8 = "torchao_int8"
    TORCHAO_FLOAT8 = "torchao_float8"


class Prediction(StrEnum):
    """What a pipeline's network was trained to predict, and a scheduler expects."""

    NOISE = "noise"
    FLOW = "flow"


class Layout(StrEnum):
    """How a pipeline arranges its latents between steps; b pictures, c channels, f frames, h rows, w columns."""

    STILL = "b c h w"
    CLIP = "b c f h w"
    PACKED = "b (h/2 w/2) (c 2 2)"
    TOKENS = "b (f h w) c"


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFacts:
    """What is known of a pipeline class. It hands noise levels of its own to schedulers, which those of `without`
    do not take. `siblings` are the classes that make pictures from pictures with the same networks, by task.
    """

    prediction: Prediction
    layout: Layout
    without: tuple[str, ...] = ()
    siblings: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerFacts:
    """A scheduler by one of the names that people know: a diffusers class with `config` laid over the model's own.

    `is_resumable`: all that it carries from step to step can be written down. Not so where it draws noise from a
    generator that pipelines do not hand it: then not even the same seed gives the same picture twice.
    """

    class_name: str
    prediction: Prediction
    config: Mapping[str, object] = field(default_factory=dict[str, object])
    is_resumable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """One diffusers model. `folder` is where it lies; without one it is the card's `repository` at `revision`.

    `pipeline` is a class of diffusers. With one that `PIPELINES` does not know, its own scheduler is used and its runs
    cannot be taken up again. `attention` is a backend of diffusers. `quantised` are the parts that `quantisation` is
    for. `token_limit` is how much of a prompt a long text encoder reads. `variant` is part of the weights' file names.
    `preview_decoder` is the folder of an AutoencoderTiny that draws previews; without one a linear map is fitted.
    """

    pipeline: str
    folder: str | None = None
    revision: str | None = None
    variant: str | None = None
    dtype: Dtype = Dtype.AUTO
    device: Device = Device.AUTO
    offload: Offload = Offload.NONE
    is_tiled: bool = False
    attention: str | None = None
    is_compiled: bool = False
    quantisation: Quantisation | None = None
    quantised: tuple[str, ...] = ()
    scheduler: str | None = None
    token_limit: int | None = None
    preview_decoder: str | None = None


def options_from(fields: Mapping[str, Any]) -> PipelineOptions:
    """The options that `dataclasses.asdict` took apart, through JSON for example."""
    quantisation = fields["quantisation"]
    given: dict[str, Any] = {
        "dtype": Dtype(fields["dtype"]),
        "device": Device(fields["device"]),
        "offload": Offload(fields["offload"]),
        "quantisation": None if quantisation is None else Quantisation(quantisation),
        "quantised": tuple(fields["quantised"]),
    }
    return PipelineOptions(**{**fields, **given})


def refusal(options: PipelineOptions) -> tuple[str, str] | None:
    """The option that cannot be had and why, in words that complete "OPTION ..."; None when all fit together."""
    if options.scheduler is not None:
        reason = scheduler_refusal(options.pipeline, options.scheduler)
        if reason is not None:
            return "scheduler", reason
    if options.quantised and options.quantisation is None:
        return "quantised", "names parts, but quantisation does not say how; add it"
    if options.device is not Device.CPU:
        return None
    if options.offload is not Offload.NONE:
        return "offload", "is for GPUs; leave it out where device is cpu"
    if options.quantisation is not None:
        return "quantisation", "is for GPUs; leave it out where device is cpu"
    if options.dtype is Dtype.FLOAT16:
        return "dtype", "float16 cannot be computed on a CPU; use float32 or bfloat16"
    return None


def scheduler_refusal(pipeline: str, scheduler: str) -> str | None:
    """Why this pipeline does not run with this scheduler, in words that complete "scheduler ..."; None when it does."""
    facts, chosen = PIPELINES.get(pipeline), SCHEDULERS.get(scheduler)
    if chosen is None:
        return f"is not known; known are {', '.join(SCHEDULERS)}"
    if facts is None:
        return f"cannot be chosen for {pipeline}, which always runs with its own; leave it out"
    offered = ", ".join(schedulers_of(pipeline))
    if facts.prediction is not chosen.prediction:
        return f"{scheduler} is for models that predict {chosen.prediction}; {pipeline} takes {offered}"
    if scheduler in facts.without:
        return f"{scheduler} does not take the noise levels that {pipeline} gives it; it takes {offered}"
    if not chosen.is_resumable:
        return (
            f"{scheduler} draws noise that no seed decides, so a run could not be repeated or resumed; take {offered}"
        )
    return None


def schedulers_of(pipeline: str) -> tuple[str, ...]:
    """The names of the schedulers that a known pipeline runs with."""
    facts = PIPELINES[pipeline]
    return tuple(
        name
        for name, each in SCHEDULERS.items()
        if each.prediction is facts.prediction and each.is_resumable and name not in facts.without
    )


PIPELINES: Mapping[str, PipelineFacts] = {
    "StableDiffusionPipeline": PipelineFacts(
        prediction=Prediction.NOISE,
        layout=Layout.STILL,
        siblings={"i2i": "StableDiffusionImg2ImgPipeline", "inpaint": "StableDiffusionInpaintPipeline"},
    ),
    "StableDiffusionInpaintPipeline": PipelineFacts(
        prediction=Prediction.NOISE, layout=Layout.STILL, siblings={"inpaint": "StableDiffusionInpaintPipeline"}
    ),
    "StableDiffusionXLPipeline": PipelineFacts(
        prediction=Prediction.NOISE,
        layout=Layout.STILL,
        siblings={"i2i": "StableDiffusionXLImg2ImgPipeline", "inpaint": "StableDiffusionXLInpaintPipeline"},
    ),
    "FluxPipeline": PipelineFacts(
        prediction=Prediction.FLOW,
        layout=Layout.PACKED,
        without=("flow-heun",),
        siblings={"i2i": "FluxImg2ImgPipeline", "inpaint": "FluxInpaintPipeline"},
    ),
    "StableDiffusion3Pipeline": PipelineFacts(
        prediction=Prediction.FLOW,
        layout=Layout.STILL,
        siblings={"i2i": "StableDiffusion3Img2ImgPipeline", "inpaint": "StableDiffusion3InpaintPipeline"},
    ),
    "WanPipeline": PipelineFacts(prediction=Prediction.FLOW, layout=Layout.CLIP),
    "LTXPipeline": PipelineFacts(
        prediction=Prediction.FLOW, layout=Layout.TOKENS, without=("flow-heun", "flow-dpm++-2m")
    ),
    "AnimateDiffPipeline": PipelineFacts(prediction=Prediction.NOISE, layout=Layout.CLIP),
}
"""Pipelines whose every scheduler was tried, step by step, by the engine tests."""


def _noise(class_name: str, *, is_resumable: bool = True, **config: object) -> SchedulerFacts:
    return SchedulerFacts(class_name=class_name, prediction=Prediction.NOISE, config=config, is_resumable=is_resumable)


def _flow(class_name: str, *, is_resumable: bool = True, **config: object) -> SchedulerFacts:
    return SchedulerFacts(class_name=class_name, prediction=Prediction.FLOW, config=config, is_resumable=is_resumable)


SCHEDULERS: Mapping[str, SchedulerFacts] = {
    # These two would clip latents to 1 where the model's own configuration does not say otherwise.
    "ddim": _noise("DDIMScheduler", clip_sample=False, set_alpha_to_one=False),
    "ddpm": _noise("DDPMScheduler", clip_sample=False),
    "pndm": _noise("PNDMScheduler", skip_prk_steps=True),
    "euler": _noise("EulerDiscreteScheduler"),
    "euler-karras": _noise("EulerDiscreteScheduler", use_karras_sigmas=True),
    "euler-a": _noise("EulerAncestralDiscreteScheduler"),
    "heun": _noise("HeunDiscreteScheduler"),
    "dpm2": _noise("KDPM2DiscreteScheduler"),
    "dpm2-a": _noise("KDPM2AncestralDiscreteScheduler"),
    "dpm++-2m": _noise("DPMSolverMultistepScheduler"),
    "dpm++-2m-karras": _noise("DPMSolverMultistepScheduler", use_karras_sigmas=True),
    "dpm++-2m-sde": _noise("DPMSolverMultistepScheduler", algorithm_type="sde-dpmsolver++"),
    "dpm++-2m-sde-karras": _noise(
        "DPMSolverMultistepScheduler", algorithm_type="sde-dpmsolver++", use_karras_sigmas=True
    ),
    "dpm++-2s": _noise("DPMSolverSinglestepScheduler"),
    "dpm++-sde": _noise("DPMSolverSDEScheduler", is_resumable=False),
    "deis": _noise("DEISMultistepScheduler"),
    "unipc": _noise("UniPCMultistepScheduler"),
    "lcm": _noise("LCMScheduler"),
    "tcd": _noise("TCDScheduler"),
    "flow-euler": _flow("FlowMatchEulerDiscreteScheduler"),
    "flow-heun": _flow("FlowMatchHeunDiscreteScheduler"),
    "flow-lcm": _flow("FlowMatchLCMScheduler", is_resumable=False),
    "flow-unipc": _flow("UniPCMultistepScheduler", use_flow_sigmas=True, prediction_type="flow_prediction"),
    "flow-dpm++-2m": _flow("DPMSolverMultistepScheduler", use_flow_sigmas=True, prediction_type="flow_prediction"),
}
"""By the names that the interfaces people know have given them."""
