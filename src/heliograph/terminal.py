"""What a person sees in the terminal while a picture forms: phase, steps, ETA and the picture itself in half blocks."""

import io
from typing import cast

from PIL import Image
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.style import Style
from rich.text import Text

from heliograph.client import JsonObject, StreamEvent, preview_bytes

PREVIEW_COLUMNS_MAX = 56
PHASES = {
    "waiting": "waiting",
    "loading_model": "loading the model",
    "paused": "paused for a short one",
    "retrying": "retrying",
    "generating": "generating",
    "finishing": "finishing",
    "done": "done",
}


class ProgressView:
    """Renders a job's events. Where nobody watches (output is not a terminal) it prints one line per phase instead."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._progress.add_task("starting", total=1.0, detail="")
        self._previews: dict[int, Text] = {}
        self._phase = ""
        self._live = Live(self._render(), console=console, refresh_per_second=12, transient=True)

    def __enter__(self) -> "ProgressView":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, event: StreamEvent) -> None:
        """Take in one event of the job's stream."""
        match event.name:
            case "preview":
                width = max(16, min(PREVIEW_COLUMNS_MAX, self._console.width - 2))
                self._previews[int(str(event.data["index"]))] = half_blocks(preview_bytes(event), columns_max=width)
            case "progress":
                self._show_progress(event.data, event.data)
            case _:
                self._show_progress(event.data, cast(JsonObject, event.data["progress"]))
        self._live.update(self._render())

    def _show_progress(self, state: JsonObject, progress: JsonObject) -> None:
        phase = PHASES.get(str(state["phase"]), str(state["phase"]))
        detail = f"step {progress['step']}/{progress['steps']}"
        if isinstance(retry := state.get("retry"), dict) and state["phase"] == "retrying":
            detail = f"attempt {retry['attempt']} of {retry['of']}"
        if state.get("queue_position") is not None:
            detail = f"number {state['queue_position']} in line"
        if isinstance(state.get("eta_s"), float) and phase != "done":
            detail += f", about {state['eta_s']:.1f} s left"
        self._progress.update(self._task, description=phase, completed=float(str(progress["fraction"])), detail=detail)
        if phase != self._phase and not self._console.is_terminal:
            self._console.print(f"{phase}: {detail}", highlight=False)
        self._phase = phase

    def _render(self) -> RenderableType:
        return Group(*self._previews.values(), self._progress)


def half_blocks(picture: bytes, *, columns_max: int) -> Text:
    """The picture as text: each character shows two pixels, one above the other, in 24-bit colour."""
    with Image.open(io.BytesIO(picture)) as image:
        columns = min(columns_max, image.width)
        rows = max(2, round(image.height * columns / image.width) // 2 * 2)
        pixels = image.convert("RGB").resize((columns, rows), Image.Resampling.LANCZOS).tobytes()
    text = Text(no_wrap=True, end="")
    for row in range(0, rows, 2):
        for column in range(columns):
            upper, lower = ((row + below) * columns + column for below in (0, 1))
            style = Style(color=_rgb(pixels, upper), bgcolor=_rgb(pixels, lower))
            text.append("▀", style)
        text.append("\n")
    return text


def _rgb(pixels: bytes, index: int) -> str:
    red, green, blue = pixels[index * 3 : index * 3 + 3]
    return f"#{red:02x}{green:02x}{blue:02x}"
