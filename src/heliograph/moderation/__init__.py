"""The content filter of prompts: through disguises to scores, by the operator's policy to a verdict."""

from heliograph.moderation.judge import PromptFilter
from heliograph.moderation.policy import ContentPolicy, parse_policy

__all__ = ["ContentPolicy", "PromptFilter", "parse_policy"]
