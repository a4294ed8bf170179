"""Model cards and presets for the tests of this folder."""

from dataclasses import replace

from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import GuidanceRule, ModelCard, PromptDialect, SizeRule, StepRule
from heliograph.prompts import StylePreset

SMALL = ModelCard(
    model_id=ModelId("small"),
    name="Small",
    family="helio",
    tasks=frozenset({"t2i"}),
    licence=None,
    engine=None,
    sizes=SizeRule(
        default=(128, 128),
        multiple=8,
        side_min=96,
        side_max=160,
        pixels_max=16384,
        only=((128, 128), (160, 96), (96, 160)),
    ),
    steps=StepRule(minimum=1, maximum=50, draft=4, standard=8, high=20),
    guidance=GuidanceRule(minimum=1.0, maximum=10.0, default=3.5),
    supports_negative_prompt=True,
    prompt_dialect=PromptDialect.NATURAL_LANGUAGE,
    token_limit=32,
)
"""Like the built-in model: a short list of sizes, every knob."""

ENLARGED = replace(SMALL, model_id=ModelId("enlarged"), upscale=(2, 4))
"""Its pictures may be enlarged."""

FREE_SIZED = replace(
    SMALL,
    model_id=ModelId("free-sized"),
    family="sdxl",
    sizes=SizeRule(default=(1024, 1024), multiple=64, side_min=512, side_max=2048, pixels_max=1_572_864),
    token_limit=None,
)
"""Any size within bounds, no token limit."""

DISTILLED = replace(
    FREE_SIZED, model_id=ModelId("distilled"), guidance=None, supports_negative_prompt=False, token_limit=77
)
"""No guidance, no negative prompt."""

PRESETS = {
    preset.name: preset
    for preset in (
        StylePreset(name="watercolor", prompt="{prompt}, watercolor painting"),
        StylePreset(name="photographic", prompt="{prompt}, photograph", except_families=frozenset({"helio"})),
        StylePreset(
            name="toy", prompt="toy of {prompt}", negative_prompt="people", families=frozenset({"helio", "sdxl"})
        ),
    )
}
