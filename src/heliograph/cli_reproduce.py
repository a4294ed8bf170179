"""What `heliograph reproduce` asks the server, and how it shows the answer."""

import asyncio
from pathlib import Path
from typing import cast

from rich.console import RenderableType
from rich.text import Text

from heliograph.client import Client, JsonObject
from heliograph.domain.errors import HeliographError, InvalidRequest

EXIT_CODES = {"identical": 0, "visually_identical": 4, "different": 5}
FILE_BYTES_MAX = 32 * 1024**2

_SENTENCES = {
    "identical": ("Identical: every pixel is the same.", "green"),
    "visually_identical": ("Visually identical: the pixels differ, and nobody sees it.", "yellow"),
    "different": ("Different: this is another picture.", "bold red"),
}


async def reproduced(client: Client, what: str) -> JsonObject:
    """Make the pictures of a job, or of the job that a file comes from, again; the verdict with both jobs' ids."""
    job_id = await _job_of_file(client, Path(what)) if await asyncio.to_thread(Path(what).is_file) else what
    again = str((await client.reproduce(job_id))["id"])
    ended: JsonObject = {}
    async for event in client.events(again):
        if event.name == "done":
            ended = event.data
    if ended.get("status") != "completed":
        error = cast("JsonObject", ended.get("error") or {})
        raise HeliographError(f"Job {again} made no pictures: {error.get('message', 'it was interrupted')}")
    return {"job": job_id, "again": again, **await client.reproduction(again)}


async def _job_of_file(client: Client, file: Path) -> str:
    if (await asyncio.to_thread(file.stat)).st_size > FILE_BYTES_MAX:
        raise InvalidRequest(f"{file} is too large to be sent; name its job instead.", param="what")
    found = await client.verify(await asyncio.to_thread(file.read_bytes))
    delivered = cast("JsonObject | None", found.get("delivered"))
    if delivered is None:
        raise InvalidRequest(
            f"{file} is no file that this installation delivered, as it was delivered. Name its job instead.",
            param="what",
        )
    return str(delivered["job"])


def reproduction_text(found: JsonObject) -> RenderableType:
    """The verdict, the distance and what changed."""
    sentence, style = _SENTENCES[str(found["verdict"])]
    lines = [Text(sentence, style=style)]
    pictures = cast("list[JsonObject]", found["pictures"])
    lines += [
        Text(f"  picture {int(str(each['index'])) + 1}: {each['verdict']}, distance {each['distance']}")
        for each in pictures
        if len(pictures) > 1 or each["verdict"] != "identical"
    ]
    for change in cast("list[JsonObject]", found["changed"]):
        lines.append(Text(f"  {change['component']}: {change['before'] or 'none'} -> {change['now'] or 'none'}"))
    if not found["recorded"]:
        lines.append(Text("  It was not kept how they were made first, so no change can be named.", style="dim"))
    elif found["verdict"] != "identical" and not found["changed"]:
        lines.append(Text("  Engine, weights, versions, device and batch are the same as then."))
    return Text("\n").join(lines)
