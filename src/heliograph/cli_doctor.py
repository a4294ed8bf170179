"""How the command line shows what a server says of itself: findings, latency, the slowest jobs, objectives, orders."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import cast

from rich.console import Group, RenderableType
from rich.table import Table
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


def latency_table(latency: JsonObject) -> RenderableType:
    """One line per group and stage."""
    groups = _rows(latency, "groups")
    if not groups:
        return Text("No job was completed in this time.")
    table = _table(str(latency["by"]), "stage", "jobs", "P50", "P95", "P99", "slowest")
    for group in groups:
        name = str(group["name"])
        for stage, found in cast("dict[str, JsonObject]", group["stages"]).items():
            times = [_seconds(found[column]) for column in ("p50", "p95", "p99", "max")]
            table.add_row(Text(name), stage, str(found["count"]), *times)
            name = ""
    return table


def slowest_text(slowest: JsonObject) -> RenderableType:
    """Each job with the states it passed through, and its stays on workers."""
    jobs = _rows(slowest, "data")
    if not jobs:
        return Text("No job was completed in the last hour.")
    parts: list[RenderableType] = []
    for job in jobs:
        moments = _rows(job, "timeline")
        way = [
            f"{entered['state']} {_seconds(_number(left['at']) - _number(entered['at']))}"
            for entered, left in pairwise(moments)
        ]
        stays = [f"{stay['gpu']} {_seconds(stay['seconds'])} {stay['outcome']}" for stay in _rows(job, "stays")]
        causes = [str(cause) for cause in cast("list[object]", job["causes"])]
        head = f"{_seconds(job['total_s'])}  {job['job_id']}  {job['model']}, {job['tier']}, tenant {job['tenant']}"
        parts.append(Text(head, style="bold"))
        parts.append(Text("  " + " → ".join([*way, str(moments[-1]["state"])])))
        back = f"; went back: {', '.join(causes)}" if causes else ""
        parts.append(Text(f"  on {', '.join(stays) or 'no worker'}{back}", style="dim"))
    return Group(*parts)


def objectives_table(objectives: JsonObject) -> RenderableType:
    """One line per objective."""
    windows = list(cast(JsonObject, _rows(objectives, "data")[0]["burn"]))
    table = _table("objective", "target", "jobs", "bad", "budget left", *(f"burn {each}" for each in windows), "alarm")
    for each in _rows(objectives, "data"):
        left, burn = each["budget_left"], cast(JsonObject, each["burn"])
        table.add_row(
            str(each["name"]),
            f"{_number(each['target']):.2%}",
            str(int(_number(each["good"]) + _number(each["bad"]))),
            str(each["bad"]),
            "" if left is None else f"{_number(left):.0%}",
            *("" if burn[window] is None else f"{_number(burn[window]):.1f}" for window in windows),
            str(each["alarm"] or ""),
        )
    return table


def audit_table(entries: JsonObject) -> RenderableType:
    """One line per order."""
    table = _table("when", "from", "what", "body", "status")
    for entry in _rows(entries, "data"):
        at = datetime.fromtimestamp(_number(entry["at"]), UTC).strftime("%Y-%m-%d %H:%M:%S")
        what = f"{entry['method']} {entry['path']}"
        table.add_row(at, str(entry["from"] or ""), Text(what), Text(json.dumps(entry["body"])), str(entry["status"]))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _rows(found: JsonObject, name: str) -> list[JsonObject]:
    return cast("list[JsonObject]", found[name])


def _number(value: object) -> float:
    return float(str(value))


def _seconds(value: object) -> str:
    seconds = _number(value)
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
