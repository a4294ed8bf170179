"""How `heliograph doctor` shows what the server says is wrong."""

from typing import cast

from rich.console import Group, RenderableType
from rich.text import Text

from heliograph.client import JsonObject

_STYLES = {"page": "bold red", "ticket": "yellow"}


def diagnosis_text(diagnosis: JsonObject) -> RenderableType:
    """Each finding with its evidence and the next step, the likely cause first; or one sentence when all is well."""
    findings = cast("list[JsonObject]", diagnosis["findings"])
    if not findings:
        return Text(str(diagnosis["summary"]))
    at_s = float(str(diagnosis["at"]))
    parts: list[RenderableType] = []
    for finding in findings:
        if parts:
            parts.append(Text())
        minutes = (at_s - float(str(finding["since"]))) / 60
        parts.append(Text(str(finding["summary"]), style=_STYLES[str(finding["severity"])]))
        parts.append(Text(f"  {finding['cause']}, for {minutes:.0f} min; seen by: {_evidence(finding)}", style="dim"))
        parts.append(Text(f"  Next: {finding['next_step']}"))
    return Group(*parts)


def _evidence(finding: JsonObject) -> str:
    facts = cast("list[JsonObject]", finding["evidence"])
    return ", ".join(f"{fact['name']} {float(str(fact['value'])):.4g} {fact['unit']}".rstrip() for fact in facts)
