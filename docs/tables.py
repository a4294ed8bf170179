"""Tables of the documentation that are made from the code: `python -m docs.tables` writes them into the pages.

A page marks the place with a comment, `<!-- table: NAME -->`, and ends it with `<!-- end -->`. `tests/test_docs.py`
fails while a page says something else than the code.
"""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import get_args

import typer.core
import typer.main
from pydantic import BaseModel

from heliograph.cli import cli
from heliograph.domain import commands, errors, events, lifecycle
from heliograph.domain.job import LEGAL_MOVES, JobState
from heliograph.gateway.errors import STATUS_OF
from heliograph.observability import Metrics
from heliograph.settings import Settings
from heliograph.simulation import incidents
from heliograph.simulation import scenario as scenarios
from heliograph.simulation.hardware import GpuClass

DOCS = Path(__file__).parent
_PLACE = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

_STATES = {
    JobState.PENDING: "Waits, not on a GPU: new, or back in the queue for another attempt.",
    JobState.DISPATCHED: "A worker holds it and has not begun.",
    JobState.RUNNING: "A worker makes its pictures.",
    JobState.POST_PROCESSING: "The pictures left the worker; they are judged, encoded and stored.",
    JobState.COMPLETED: "Delivered and charged.",
    JobState.FAILED: "Given up; its error says why. Nothing is charged.",
    JobState.CANCELLED: "Stopped on request. Nothing is charged.",
    JobState.EXPIRED: "Its deadline passed first. Nothing is charged.",
}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, with columns of equal width so that it reads well as plain text too."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    # The last column holds sentences: padding it would only make every line as long as the longest.
    widths[-1] = len(header[-1])
    lines.insert(1, ["-" * width for width in widths])
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n"
        for line in lines
    )


def state_diagram() -> str:
    """The legal moves of a job, as a Mermaid diagram."""
    moves = [f"    {state} --> {to}\n" for state, targets in LEGAL_MOVES.items() for to in JobState if to in targets]
    endings = [f"    {state} --> [*]\n" for state in JobState if state.is_terminal]
    return "".join(["```mermaid\n", "stateDiagram-v2\n", "    [*] --> pending\n", *moves, *endings, "```\n"])


def state_table() -> str:
    """What each state means and which may follow."""
    return table(
        ("state", "next", "meaning"),
        (
            (
                f"`{state}`",
                ", ".join(f"`{to}`" for to in JobState if to in LEGAL_MOVES[state]) or "none",
                _STATES[state],
            )
            for state in JobState
        ),
    )


def settings_tables() -> str:
    """Every setting by section, with its environment variable."""
    top: list[tuple[str, str, str]] = []
    parts: list[str] = []
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if not (inspect.isclass(kind) and issubclass(kind, BaseModel)):
            # The default names the reader's home folder, so it is told in words.
            top.append((f"`{name}`", f"`HELIOGRAPH_{name.upper()}`", f"{field.description}"))
            continue
        rows = [
            (
                f"`{each}`",
                f"`HELIOGRAPH_{name.upper()}__{each.upper()}`",
                _default(setting.get_default(call_default_factory=True)),
                f"{setting.description}",
            )
            for each, setting in kind.model_fields.items()
        ]
        head = f"### `[{name}]`\n\n{_first_line(kind)}\n\n"
        parts.append(head + table(("setting", "environment variable", "default", "meaning"), rows))
    return "\n".join(("### Top level\n\n" + table(("setting", "environment variable", "meaning"), top), *parts))


def _default(value: object) -> str:
    """A default for the table."""
    return "unset" if value is None else f"`{_toml(value)}`"


def _toml(value: object) -> str:
    """A value as one writes it in TOML."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            pairs = ", ".join(f"{key} = {_toml(each)}" for key, each in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case _:
            return str(value)


def metric_table() -> str:
    """Every metric with the name it has in a scrape."""
    rows: list[tuple[str, str, str, str, str]] = []
    units = ("seconds", "micros", "ratio", "bytes", "celsius")
    for metric in Metrics().families:
        unit = next((unit for unit in units if metric.name.removesuffix("_total").endswith(unit)), "count")
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append((f"`{metric.name}`", metric.kind, unit, labels, metric.text))
    return table(("metric", "type", "unit", "labels", "meaning"), rows)


def _union_table(union: UnionType, header: str) -> str:
    return table(
        (header, "carries", "meaning"),
        (
            (
                f"`{kind.__name__}`",
                ", ".join(f"`{field.name}`" for field in dataclasses.fields(kind)) or "nothing",
                _paragraph(kind),
            )
            for kind in get_args(union)
        ),
    )


def error_tree() -> str:
    """The exceptions by whose fault it is."""
    rows: list[tuple[str, str, str]] = []

    def visit(kind: type[errors.HeliographError], depth: int) -> None:
        name = "&emsp;" * depth + f"`{kind.__name__}`"
        rows.append((name, f"`{kind.default_code}`", _first_line(kind)))
        for child in kind.__subclasses__():
            if child.__module__ == errors.__name__:
                visit(child, depth + 1)

    visit(errors.HeliographError, 0)
    return table(("error", "default code", "meaning"), rows)


def status_table() -> str:
    """The gateway's own table of HTTP statuses."""
    return table(
        ("error", "status", "phrase"),
        ((f"`{kind.__name__}`", f"{status.value}", status.phrase) for kind, status in STATUS_OF.items()),
    )


def command_line() -> str:
    """Every command with its arguments and options."""
    return "\n".join(_command_sections(typer.main.get_command(cli), ("heliograph",)))


def _command_sections(command: typer.core.TyperGroup | typer.core.TyperCommand, path: tuple[str, ...]) -> Iterable[str]:
    rows: list[tuple[str, str]] = []
    for param in command.params:
        if param.param_type_name == "argument":
            rows.append((f"`{param.name.upper()}`", param.help or f"The {param.name.replace('_id', '')}'s id."))
            continue
        words = [param.help or ""]
        if param.envvar:
            words.append(f"Also read from `{param.envvar}`.")
        if param.default not in (None, False, "", ()) and param.show_default:
            words.append(f"Default: `{getattr(param.default, 'value', param.default)}`.")
        if param.required:
            words.append("Required.")
        rows.append((f"`{param.opts[0]}`", " ".join(filter(None, words))))
    subcommands = getattr(command, "commands", {})
    head = f"### `{' '.join(path)}`\n\n{(command.help or '').strip()}\n"
    yield f"{head}\n{table(('option', 'meaning'), rows)}" if rows else head
    for name, subcommand in subcommands.items():
        yield from _command_sections(subcommand, (*path, name))


def _first_line(documented: type) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _paragraph(documented: type) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())


_SCENARIO_TABLES: Mapping[str, type] = {
    "top level": scenarios.Scenario,
    "[[fleet]]": scenarios.GpuGroup,
    "[[workload]]": scenarios.Workload,
    "flash, in a workload": scenarios.Flash,
    "[spot.NAME]": scenarios.SpotSource,
    "[checkpoints.NAME]": scenarios.Checkpoints,
    "[gpu_classes.NAME]": GpuClass,
    "[machine]": scenarios.Machine,
    "[faults]": scenarios.Faults,
    "[[incident]]": incidents.Incident,
}


def scenario_fields() -> str:
    """Every field of a scenario with its default; what they mean is in the docstrings of the dataclasses."""
    parts: list[str] = []
    for place, kind in _SCENARIO_TABLES.items():
        rows = [
            (f"`{field.name}`", _field_type(field.type), _field_default(field)) for field in dataclasses.fields(kind)
        ]
        parts.append(f"### {place}\n\n{inspect.getdoc(kind)}\n\n{table(('field', 'type', 'default'), rows)}")
    return "\n".join(parts)


def _field_type(hint: object) -> str:
    """The hint in TOML's words."""
    text = str(getattr(hint, "__name__", hint)) if inspect.isclass(hint) else str(hint)
    text = re.sub(r"[\w.]+\.(\w+)", r"\1", text).replace(" | None", "")
    words = {"str": "string", "int": "whole number", "float": "number", "bool": "true or false"}
    if text.startswith("tuple"):
        return "list of tables"
    return words.get(text, "table" if text.startswith("Mapping") or text in ("Machine", "Faults") else "string")


def _field_default(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return _default(getattr(field.default, "value", field.default))
    if field.default_factory is dataclasses.MISSING:
        return "required"
    made = field.default_factory()
    return _default(made) if isinstance(made, dict) else "see below"


TABLES: Mapping[str, Callable[[], str]] = {
    "state-diagram": state_diagram,
    "states": state_table,
    "settings": settings_tables,
    "metrics": metric_table,
    "lifecycle-events": lambda: _union_table(lifecycle.LifecycleEvent, "event"),
    "scheduler-events": lambda: _union_table(events.Event, "event"),
    "commands": lambda: _union_table(commands.Command, "command"),
    "error-tree": error_tree,
    "http-status": status_table,
    "command-line": command_line,
    "scenario-fields": scenario_fields,
}


def renewed(page: str) -> str:
    """The page with every marked table made anew."""
    return _PLACE.sub(lambda place: place[1] + "\n" + TABLES[place["name"]]() + "\n" + place[3], page)


def names_in(page: str) -> list[str]:
    """The tables that a page shows."""
    return [place["name"] for place in _PLACE.finditer(page)]


def pages() -> list[Path]:
    """Every page of the documentation."""
    return sorted(DOCS.rglob("*.md"))


if __name__ == "__main__":
    for path in pages():
        text = path.read_text(encoding="utf-8")
        if renewed(text) != text:
            path.write_text(renewed(text), encoding="utf-8")
            print(f"wrote {path.relative_to(DOCS.parent)}")
