"""Loaders for request traces: text in, rows out. Rows are never shipped; `docs/reference/scenarios.md` says where from.

    gentd26    CSV with gmt_create, groupId, num_images_per_prompt, num_inference_steps, checkpoint_model_version_id:
               alibaba/clusterdata, cluster-trace-v2026-GenAI
    diffserve  lines `milliseconds,content id`: qizhengyang98/DiffServe
    azure-llm  CSV with TIMESTAMP: Azure/AzurePublicDataset, 2023
    hetu       lines `Request(request_id=0, timestamp=0.0, height=256, width=256, ...)`: PKU-DAIR/Hetu-DiT
    recorded   CSV that `heliograph export-trace` writes

Every loader gives rows in order of time, seconds from the first row on; what a trace does not say is None.
"""

import csv
import io
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from heliograph.domain.tiers import Tier
from heliograph.simulation.scenario import WorkloadKind
from heliograph.simulation.toml_fields import wrong

RECORDED_COLUMNS = (
    "at_s",
    "model",
    "width_px",
    "height_px",
    "steps",
    "images",
    "tier",
    "tenant",
    "end_user",
    "deadline_s",
    "cancelled_after_s",
)


class Seen(NamedTuple):
    """One request of a trace. `size` in pixels (width, height), `deadline_s` after submission."""

    at_s: float
    model: str | None = None
    size: tuple[int, int] | None = None
    steps: int | None = None
    images: int | None = None
    tier: Tier | None = None
    tenant: str | None = None
    user: str | None = None
    deadline_s: float | None = None
    cancelled_after_s: float | None = None


class Wish(NamedTuple):
    """One line of a file of parameters (krea): what somebody asked for, without a time."""

    size: tuple[int, int]
    steps: int | None
    images: int | None


def read_trace(kind: WorkloadKind, text: str, *, origin: str) -> list[Seen]:
    """The rows of a trace. Raises `InvalidRequest` naming the file when it is not of that kind."""
    try:
        match kind:
            case WorkloadKind.GENTD26:
                rows = _gentd26(text)
            case WorkloadKind.DIFFSERVE:
                rows = _diffserve(text)
            case WorkloadKind.AZURE_LLM:
                rows = _azure(text)
            case WorkloadKind.HETU:
                rows = _hetu(text)
            case WorkloadKind.RECORDED:
                rows = _recorded(text)
            case WorkloadKind.SYNTHETIC:
                rows = list[Seen]()
        ordered = sorted(rows, key=lambda row: row.at_s)
    except (KeyError, ValueError, IndexError) as error:
        raise wrong(origin, "", f"is not a {kind.value} trace: {error!r}") from error
    if not ordered:
        raise wrong(origin, "", "has no rows")
    first_s = ordered[0].at_s
    return [row._replace(at_s=row.at_s - first_s) for row in ordered]


def read_wishes(text: str, *, origin: str) -> tuple[Wish, ...]:
    """A file of parameters, with the columns width_px, height_px, steps and images; blanks are unknown."""
    try:
        wishes = tuple(
            Wish(
                size=(int(row["width_px"]), int(row["height_px"])),
                steps=_maybe_int(row["steps"]),
                images=_maybe_int(row["images"]),
            )
            for row in csv.DictReader(io.StringIO(text))
            if row["width_px"] and row["height_px"]
        )
    except (KeyError, ValueError) as error:
        raise wrong(origin, "", f"is not a file of parameters: {error!r}") from error
    if not wishes:
        raise wrong(origin, "", "has no rows")
    return wishes


def _gentd26(text: str) -> Iterable[Seen]:
    for row in csv.DictReader(io.StringIO(text)):
        yield Seen(
            at_s=_utc_s(row["gmt_create"]),
            model=row["checkpoint_model_version_id"] or None,
            steps=_maybe_int(row["num_inference_steps"]),
            images=_maybe_int(row["num_images_per_prompt"]),
            user=row["groupId"] or None,
        )


def _diffserve(text: str) -> Iterable[Seen]:
    for line in text.splitlines():
        if line.strip():
            yield Seen(at_s=float(line.split(",")[0]) / 1_000)


def _azure(text: str) -> Iterable[Seen]:
    for row in csv.DictReader(io.StringIO(text)):
        yield Seen(at_s=_utc_s(row["TIMESTAMP"]))


_HETU = re.compile(r"timestamp=([\d.]+), height=(\d+), width=(\d+),.*num_inference_steps=(\d+)\)")


def _hetu(text: str) -> Iterable[Seen]:
    for line in text.splitlines():
        found = _HETU.search(line)
        if found is not None:
            size = (int(found[3]), int(found[2]))
            yield Seen(at_s=float(found[1]), size=size, steps=int(found[4]), images=1)


def _recorded(text: str) -> Iterable[Seen]:
    for row in csv.DictReader(io.StringIO(text)):
        yield Seen(
            at_s=float(row["at_s"]),
            model=row["model"],
            size=(int(row["width_px"]), int(row["height_px"])),
            steps=int(row["steps"]),
            images=int(row["images"]),
            tier=Tier(row["tier"]),
            tenant=row["tenant"],
            user=row["end_user"] or None,
            deadline_s=float(row["deadline_s"]) if row["deadline_s"] else None,
            cancelled_after_s=float(row["cancelled_after_s"]) if row["cancelled_after_s"] else None,
        )


def _utc_s(stamp: str) -> float:
    """Seconds since the epoch; fractions of any length (the Azure trace has seven digits)."""
    whole, _, fraction = stamp.partition(".")
    moment = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return moment.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


def _maybe_int(cell: str) -> int | None:
    return int(float(cell)) if cell else None
