"""Raw input becomes a checked GenerationRequest, or a clear error."""

from heliograph.prompts.policy import AllowAll, PolicyDecision, PolicyVerdict, PromptPolicy
from heliograph.prompts.prepare import prepare
from heliograph.prompts.presets import StylePreset, parse_presets, styles_for
from heliograph.prompts.raw import RawRequest

__all__ = [
    "AllowAll",
    "PolicyDecision",
    "PolicyVerdict",
    "PromptPolicy",
    "RawRequest",
    "StylePreset",
    "parse_presets",
    "prepare",
    "styles_for",
]
