"""Draw a captioned grid of sample pictures. `python -m training.sample --work DIR [--output FILE]`."""

from __future__ import annotations

import textwrap
from pathlib import Path

from PIL import Image, ImageDraw

from training.captions import EVALUATION_PROMPTS
from training.models import DEFAULT_GUIDANCE, DEFAULT_STEPS, load_models
from training.progress import stage_parser

_COLUMNS = 6
_CELL_PX = (170, 204)


def write_grid(
    work: Path, output: Path, steps: int = DEFAULT_STEPS, guidance: float = DEFAULT_GUIDANCE, first_seed: int = 0
) -> None:
    """One picture per evaluation prompt, its prompt below; prompt number k is drawn with seed first_seed + k."""
    models = load_models(work)
    rows = -(-len(EVALUATION_PROMPTS) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _CELL_PX[0], rows * _CELL_PX[1]), "white")
    pen = ImageDraw.Draw(sheet)
    for k, (prompt, size_name) in enumerate(EVALUATION_PROMPTS):
        latents = models.sample_latents([prompt], [first_seed + k], size_name, steps, guidance)
        picture = Image.fromarray(models.decode(latents)[0].numpy())
        left, top = k % _COLUMNS * _CELL_PX[0], k // _COLUMNS * _CELL_PX[1]
        sheet.paste(picture, (left + (_CELL_PX[0] - picture.width) // 2, top + 4))
        pen.multiline_text((left + 4, top + 166), textwrap.fill(prompt, 28), "black", spacing=1, font_size=10)
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(output)


def main() -> None:
    """Sample from the newest checkpoints."""
    parser = stage_parser(__doc__)
    parser.add_argument("--output", type=Path, help="default: WORK/sample_grid.png")
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--guidance", type=float, default=DEFAULT_GUIDANCE)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    output = options.output or options.work / "sample_grid.png"
    write_grid(options.work, output, options.steps, options.guidance, options.first_seed)


if __name__ == "__main__":
    main()
