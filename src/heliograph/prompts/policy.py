"""The port of the content filter: what a judge of prompts is asked. What it answers is `domain/prompt_verdict.py`."""

from typing import Protocol

from heliograph.domain.prompt_verdict import ALLOWED, PolicyDecision, PolicyVerdict

__all__ = ["AllowAll", "PolicyDecision", "PolicyVerdict", "PromptPolicy"]


class PromptPolicy(Protocol):
    """Judges what the model is about to read."""

    @property
    def appeal(self) -> str:
        """What somebody can do whose prompt was refused wrongly."""
        ...

    def judge(self, prompt: str, negative_prompt: str, *, tenant_id: str | None = None) -> PolicyVerdict:
        """The verdict on a checked prompt and negative prompt. Pure, within a few milliseconds, never raises."""
        ...


class AllowAll:
    """Allows every prompt: for tests, and for whoever drives the system without a filter."""

    appeal = ""

    def judge(self, prompt: str, negative_prompt: str, *, tenant_id: str | None = None) -> PolicyVerdict:
        """Always allow."""
        del prompt, negative_prompt, tenant_id
        return ALLOWED
