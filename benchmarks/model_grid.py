"""A sheet of pictures, each with its prompt, seed and steps below, so that anyone can draw the same."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw
from training.exported import Pixels

PROMPTS = (
    "mountains at sunset",
    "a red boat on the sea at sunset",
    "a lighthouse at night",
    "hot air balloon over green hills",
    "a castle in the forest, pixel art",
    "watercolor of a lone tree in a meadow",
    "a windmill in the snow",
    "city skyline at night with a full moon",
    "line art of a cottage in the mountains",
    "a white sailboat in the fog",
    "desert dunes at noon",
    "misty pine forest at dawn",
    "the ocean under a starry sky",
    "retro game art of a blue house by a lake",
    "a fairy tale castle at golden hour, aquarelle",
    "ink drawing of a ship",
    "a farmhouse in winter, falling snow",
    "two red balloons above a city",
    "a yellow castle in the desert",
    "a green boat at dawn",
    "old mill, dunes, evening",
    "a cat on a surfboard",
    "my grandmother's cottage, cozy, 4k, masterpiece",
    "night",
)
"""From plain to odd; what is drawn where no file is given."""

_CAPTION_PX = 58
_MARGIN_PX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One cell: pixels (height, width, 3) uint8 and what made them."""

    prompt: str
    seed: int
    steps: int
    pixels: Pixels


def write_grid(drawings: Sequence[Drawing], path: Path, columns: int = 6) -> None:
    """Save the drawings, all of one size, as one PNG."""
    height, width = drawings[0].pixels.shape[:2]
    cell = (max(width, 128) + 2 * _MARGIN_PX, height + _MARGIN_PX + _CAPTION_PX)
    columns = min(columns, len(drawings))
    sheet = Image.new("RGB", (columns * cell[0], -(-len(drawings) // columns) * cell[1]), "white")
    pen = ImageDraw.Draw(sheet)
    for number, drawing in enumerate(drawings):
        left, top = number % columns * cell[0] + _MARGIN_PX, number // columns * cell[1] + _MARGIN_PX
        sheet.paste(Image.fromarray(drawing.pixels), (left, top))
        lines = textwrap.wrap(drawing.prompt, cell[0] // 6)[:3]
        caption = "\n".join([*lines, f"seed {drawing.seed}, {drawing.steps} steps"])
        pen.multiline_text((left, top + height + 2), caption, "black", spacing=1, font_size=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
