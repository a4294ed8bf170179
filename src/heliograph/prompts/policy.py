"""The port of the content filter: what a judge of prompts is asked, and what it answers.

The filter itself is not part of this release. `AllowAll` stands in its place and blocks nothing, and says so by its
name; whatever replaces it refuses openly, with a category, never by quietly changing the prompt.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class PolicyDecision(StrEnum):
    """What the content policy asks for. A flagged request runs; a moderation queue to show it in is to come."""

    ALLOW = "allow"
    FLAG = "flag"
    BLOCK = "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVerdict:
    """A decision with its reason.

    `category` is a short stable code, None when nothing was found. `score` is the judge's confidence in the category,
    0 to 1. `evidence` lists the words or rules that decided, for moderators; the caller never sees it.
    """

    decision: PolicyDecision
    category: str | None = None
    score: float = 0.0
    evidence: tuple[str, ...] = ()


class PromptPolicy(Protocol):
    """Judges what the model is about to read."""

    def judge(self, prompt: str, negative_prompt: str) -> PolicyVerdict:
        """The verdict on a checked prompt and negative prompt. Pure, within a few milliseconds, never raises."""
        ...


class AllowAll:
    """Allows every prompt: there is no content filter yet."""

    def judge(self, prompt: str, negative_prompt: str) -> PolicyVerdict:
        """Always allow."""
        del prompt, negative_prompt
        return PolicyVerdict(decision=PolicyDecision.ALLOW)
