"""When spot GPUs can be had: traces of availability, or a zone that comes and goes at random.

An availability is a list of steps (at_s, share): from `at_s` on, that share (0 to 1) of the group's GPUs can be had.
Origins of the trace formats: skypilot-org/spot-traces (JSON: one value per `gap_seconds`), uclasystem/bamboo (CSV lines
`milliseconds,add|remove,node`, and lines `date, time, size of the cluster`). Rows are never shipped.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import cast

from heliograph.simulation.chance import Chance
from heliograph.simulation.scenario import SpotKind, SpotSource
from heliograph.simulation.toml_fields import wrong

Availability = list[tuple[float, float]]


def availability(
    source: SpotSource, *, duration_s: float, read_text: Callable[[str], str], chance: Chance
) -> Availability:
    """The steps from 0 to `duration_s`, in order, each with another share than the one before."""
    if source.kind is SpotKind.SYNTHETIC:
        steps = _synthetic(source, duration_s, chance)
    else:
        path = source.path or ""
        steps = _repeated(read_availability(source.kind, read_text(path), origin=path), source.offset_s, duration_s)
    kept = steps[:1]
    for before, step in pairwise(steps):
        if step[1] != before[1]:
            kept.append(step)
    return kept


def read_availability(kind: SpotKind, text: str, *, origin: str) -> Availability:
    """A whole trace, from second 0 on; its last step marks its end. `InvalidRequest` when it is not of that kind."""
    try:
        match kind:
            case SpotKind.SKYPILOT:
                steps = _skypilot(text)
            case SpotKind.BAMBOO_EVENTS:
                steps = _bamboo_events(text)
            case SpotKind.BAMBOO_SIZES:
                steps = _bamboo_sizes(text)
            case SpotKind.SYNTHETIC:
                steps = []
    except (KeyError, ValueError, TypeError) as error:
        raise wrong(origin, "", f"is not a {kind.value} trace: {error!r}") from error
    if len(steps) < 2:
        raise wrong(origin, "", "has too few rows")
    return steps


def _skypilot(text: str) -> Availability:
    document = cast(dict[str, object], json.loads(text))
    gap_s = float(cast(dict[str, float], document["metadata"])["gap_seconds"])
    values = cast(list[float], document["data"])
    most = max(max(values), 1)
    # The data set notes preemptions: 1 where the probe was preempted or refused, 0 where a GPU could be had.
    steps = [(index * gap_s, 1.0 - value / most) for index, value in enumerate(values)]
    return [*steps, (len(values) * gap_s, steps[-1][1])]


def _bamboo_events(text: str) -> Availability:
    nodes: set[str] = set()
    sizes: list[tuple[float, int]] = []
    for line in text.splitlines():
        if line.strip():
            at_ms, what, node = line.strip().split(",")
            (nodes.add if what == "add" else nodes.discard)(node)
            sizes.append((float(at_ms) / 1_000, len(nodes)))
    return _as_shares(sizes)


def _bamboo_sizes(text: str) -> Availability:
    sizes: list[tuple[float, int]] = []
    for line in text.splitlines():
        if line.strip():
            day, clock, size = (part.strip() for part in line.split(","))
            moment = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            sizes.append((moment.timestamp(), int(size)))
    return _as_shares(sorted(sizes, key=lambda item: item[0]))


def _as_shares(sizes: list[tuple[float, int]]) -> Availability:
    most = max((size for _, size in sizes), default=1) or 1
    first_s = sizes[0][0] if sizes else 0.0
    return [(at_s - first_s, size / most) for at_s, size in sizes]


def _repeated(trace: Availability, offset_s: float, duration_s: float) -> Availability:
    """The trace from `offset_s` on, again from its beginning when it is over."""
    period_s = max(trace[-1][0], 1.0)
    offset_s %= period_s
    begin = [step for step in trace if step[0] <= offset_s]
    steps: Availability = [(0.0, begin[-1][1] if begin else trace[0][1])]
    lap_s = -offset_s
    while lap_s < duration_s:
        steps += [(lap_s + at_s, share) for at_s, share in trace[:-1] if 0 < lap_s + at_s < duration_s]
        lap_s += period_s
    return steps


def _synthetic(source: SpotSource, duration_s: float, chance: Chance) -> Availability:
    is_up = chance.happens(source.up_s / (source.up_s + source.down_s))
    at_s, steps = 0.0, [(0.0, float(is_up))]
    while True:
        at_s += chance.exponential(source.up_s if is_up else source.down_s)
        if at_s >= duration_s:
            return steps
        is_up = not is_up
        steps.append((at_s, float(is_up)))
