"""What a person sees in the terminal: phase, steps, ETA and the picture as it forms."""

import base64
import io

import pytest
from PIL import Image
from rich.console import Console

from heliograph.client import StreamEvent
from heliograph.terminal import ProgressView, half_blocks


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def event(name: str, **data: object) -> StreamEvent:
    return StreamEvent(name=name, data=data)


def progress(phase: str, step: int, **more: object) -> StreamEvent:
    return event("progress", phase=phase, step=step, steps=8, fraction=step / 8, **more)


def shown(*events: StreamEvent, is_terminal: bool) -> str:
    output = io.StringIO()
    console = Console(file=output, force_terminal=is_terminal, width=80, color_system="truecolor")
    with ProgressView(console) as view:
        for each in events:
            view.show(each)
    return output.getvalue()


def test_two_pixels_share_a_character_in_their_own_colours() -> None:
    picture = Image.new("RGB", (2, 4))
    picture.putdata([(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9), *[(1, 2, 3)] * 4])
    file = io.BytesIO()
    picture.save(file, "PNG")
    text = half_blocks(file.getvalue(), columns_max=80)
    assert text.plain == "▀▀\n▀▀\n"
    styles = [str(span.style) for span in text.spans]
    assert styles[:2] == ["#ff0000 on #0000ff", "#00ff00 on #090909"]


@pytest.mark.parametrize(("size", "columns", "lines"), [((128, 128), 40, 20), ((160, 96), 40, 12), ((8, 8), 8, 4)])
def test_a_picture_keeps_its_shape(size: tuple[int, int], columns: int, lines: int) -> None:
    rows = half_blocks(jpeg((1, 2, 3), size), columns_max=40).plain.splitlines()
    assert (len(rows[0]), len(rows)) == (columns, lines)


def test_a_terminal_shows_the_bar_and_the_pictures_as_they_form() -> None:
    preview = base64.b64encode(jpeg((200, 10, 10))).decode()
    text = shown(
        progress("waiting", 0, queue_position=3, eta_s=4.2),
        event("preview", index=0, step=1, b64=preview),
        event("preview", index=1, step=1, b64=preview),
        progress("generating", 4, eta_s=0.5),
        is_terminal=True,
    )
    assert "━" in text
    assert "generating" in text
    assert "step 4/8" in text
    assert text.count("▀") >= 2 * 8 * 4, "both pictures are drawn"
    assert "48;2;200;10;10" in text


def test_elsewhere_each_phase_takes_one_line() -> None:
    text = shown(
        progress("waiting", 0, queue_position=3, eta_s=4.2),
        progress("waiting", 0, queue_position=2, eta_s=3.0),
        progress("generating", 1, eta_s=0.9),
        progress("generating", 2, eta_s=0.8),
        event("done", phase="done", progress={"step": 8, "steps": 8, "fraction": 1.0}),
        is_terminal=False,
    )
    assert text.splitlines() == [
        "waiting: number 3 in line, about 4.2 s left",
        "generating: step 1/8, about 0.9 s left",
        "done: step 8/8",
    ]
