"""Golden pictures of a model: made, kept in a folder, made again and held against those that are kept.

A folder holds `set.json` (prompts, seeds, how well each picture fits, what they were made with) and a PNG for each.
"""

import asyncio
import html
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from heliograph.client import Client, JsonObject
from heliograph.comparison import files_alike
from heliograph.domain.errors import HeliographError, InvalidRequest, NotFound
from heliograph.domain.request import OutputFormat
from heliograph.quality.golden import Drift, DriftDecision, GoldenPair, drift

SET = "set.json"
PROMPTS_MAX = 100

Made = tuple[JsonObject, bytes]
"""An output as the API tells of it, and its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The verdict, the pairs behind it with both files, and what the pictures are made with now and were not then."""

    found: Drift
    pairs: tuple[tuple[GoldenPair, bytes, bytes], ...]
    changed: tuple[tuple[str, str, str], ...]


async def record(client: Client, model: str, prompts: Sequence[str], folder: Path) -> None:
    """Make the golden pictures of a model and keep them, instead of those that were kept."""
    if not 1 <= len(prompts) <= PROMPTS_MAX:
        raise InvalidRequest(f"There must be 1 to {PROMPTS_MAX} prompts, not {len(prompts)}.", param="prompts")
    made = [await _made(client, model, prompt, seed) for seed, prompt in enumerate(prompts, start=1)]
    rows = [
        {"prompt": prompt, "seed": seed, "alignment": output.get("alignment")}
        for seed, (prompt, (output, _)) in enumerate(zip(prompts, made, strict=True), start=1)
    ]
    kept = {"model": model, "made_with": made[0][0].get("made_with"), "pictures": rows}
    await asyncio.to_thread(_keep, folder, kept, [data for _, data in made])


async def check(client: Client, model: str, folder: Path) -> Check:
    """Make the pictures of a kept set again with `model`, which may be another than the one that made them."""
    kept = await asyncio.to_thread(_read, folder)
    pairs: list[tuple[GoldenPair, bytes, bytes]] = []
    made_with: object = None
    for row in cast("list[JsonObject]", kept["pictures"]):
        prompt, seed = str(row["prompt"]), int(str(row["seed"]))
        output, now = await _made(client, model, prompt, seed)
        made_with = made_with or output.get("made_with")
        before = await asyncio.to_thread(_picture(folder, seed).read_bytes)
        _, distance = await asyncio.to_thread(files_alike, before, now, OutputFormat.PNG)
        pair = GoldenPair(
            prompt=prompt,
            seed=seed,
            distance=distance,
            alignment_before=_number(row["alignment"]),
            alignment_after=_number(output.get("alignment")),
        )
        pairs.append((pair, before, now))
    return Check(
        found=drift([pair for pair, _, _ in pairs]), pairs=tuple(pairs), changed=_changed(kept["made_with"], made_with)
    )


def report(model: str, checked: Check) -> str:
    """An HTML page with the pictures side by side, those that differ most first. It needs no other file."""
    rows = "".join(
        f"<tr><td>{_image(before)}</td><td>{_image(now)}</td><td>{html.escape(pair.prompt)}<br>"
        f"<small>seed {pair.seed}, distance {pair.distance:.4f}{_alignments(pair)}</small></td></tr>"
        for pair, before, now in sorted(checked.pairs, key=lambda each: -each[0].distance)
    )
    changes = "".join(
        f"<li>{html.escape(name)}: {html.escape(before or 'none')} → {html.escape(now or 'none')}</li>"
        for name, before, now in checked.changed
    )
    found = checked.found
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Golden pictures</title>"
        "<style>body{font:16px/1.4 system-ui;margin:2rem;max-width:60rem}td{padding:.4rem;vertical-align:top}"
        "img{width:256px;height:auto}h1 b{text-transform:uppercase}</style>"
        f"<h1>{html.escape(model)}: <b>{found.decision.value}</b></h1>"
        f"<p>{found.changed} of {found.pictures} golden pictures look different; the mean distance is "
        f"{found.distance_mean:.4f}, the worst {found.distance_worst:.4f}.</p><ul>{changes}</ul>"
        f"<table><tr><th>then<th>now<th></tr>{rows}</table></html>"
    )


def summary(model: str, checked: Check) -> JsonObject:
    """What `heliograph golden check --json` prints."""
    found = checked.found
    return {
        "model": model,
        "decision": found.decision.value,
        "pictures": found.pictures,
        "changed_pictures": found.changed,
        "distance_mean": found.distance_mean,
        "distance_worst": found.distance_worst,
        "alignment_drop": found.alignment_drop,
        "changed": [{"component": name, "before": before, "now": now} for name, before, now in checked.changed],
    }


EXIT_CODES = {DriftDecision.SAME: 0, DriftDecision.CHANGED: 4, DriftDecision.WORSE: 5}


async def _made(client: Client, model: str, prompt: str, seed: int) -> Made:
    job = await client.submit({"model": model, "prompt": prompt, "seed": seed, "output_format": "png"})
    ended: JsonObject = {}
    async for event in client.events(str(job["id"])):
        if event.name == "done":
            ended = event.data
    if ended.get("status") != "completed":
        error = cast("JsonObject", ended.get("error") or {})
        raise HeliographError(f"{model} made no picture of {prompt!r}: {error.get('message', 'it was interrupted')}")
    (output,) = cast("list[JsonObject]", ended["outputs"])
    return output, await client.download(str(output["url"]))


def _keep(folder: Path, kept: JsonObject, pictures: Sequence[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, data in enumerate(pictures, start=1):
        _picture(folder, seed).write_bytes(data)
    # Last: a set without it is none, and a set with it is whole.
    (folder / SET).write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")


def _read(folder: Path) -> JsonObject:
    try:
        return cast(JsonObject, json.loads((folder / SET).read_text(encoding="utf-8")))
    except OSError as error:
        raise NotFound(
            f"There are no golden pictures in {folder}; `heliograph golden record` makes them.", param="model"
        ) from error
    except ValueError as error:
        raise InvalidRequest(f"{folder / SET} is damaged; record the set again.", param="model") from error


def _picture(folder: Path, seed: int) -> Path:
    return folder / f"{seed:03d}.png"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _changed(before: object, now: object) -> tuple[tuple[str, str, str], ...]:
    if not isinstance(before, dict) or not isinstance(now, dict):
        return ()
    then, present = cast("dict[str, str]", before), cast("dict[str, str]", now)
    pairs = ((name, then.get(name, ""), present.get(name, "")) for name in sorted({*then, *present}))
    return tuple((name, earlier, later) for name, earlier, later in pairs if earlier != later)


def _image(data: bytes) -> str:
    return f'<img alt="" src="data:image/png;base64,{b64encode(data).decode("ascii")}">'


def _alignments(pair: GoldenPair) -> str:
    if pair.alignment_before is None or pair.alignment_after is None:
        return ""
    return f", fit {pair.alignment_before:.2f} → {pair.alignment_after:.2f}"
