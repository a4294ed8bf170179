"""Stage 11: distil helio-base into helio-turbo, for one to four steps. `python -m training.distil --work DIR`.

First the teacher draws: random captions, guided, eight steps from the noise of a seed. Seed, caption and finished
latents x_0 are kept in WORK/data/pairs (the noise follows from the seed). Then the student, which starts as a copy of
the teacher, learns to point at the end of the way: from the noise x_1 its velocity must be x_1 - x_0, and from where
its own first guess leads, x_t = x_1 - (1 - t) v(x_1), it must be (x_t - x_0) / t. Plain Euler steps without guidance
are then enough, and the second one mends what the first one got wrong. The text encoder stays the teacher's.

Both halves continue where they stopped. Pairs belong to the checkpoint that drew them: after more training of the
teacher both start anew.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from training import checkpoint
from training.autoencoder import Autoencoder
from training.captions import EVALUATION_PROMPTS, caption
from training.dataset import SIZE_ODDS
from training.models import DEFAULT_GUIDANCE, DEFAULT_STEPS, TextToImage, load_models, load_turbo, noise
from training.muon import Muon
from training.precision import fast_arithmetic
from training.progress import StageLog, stage_parser, write_whole
from training.scenes import ATTRIBUTES, SIZES, Scene, is_held_out, sample_scene
from training.transformer import Transformer

PAIR_COUNT = 12_288
TOTAL_SAMPLES = 64_000
_CHUNK = 256
_TEACHER_BATCH = 64
_FIRST_SEED = 1_000_000_000
_ODD_SCENES = 0.15
"""Share of scenes with one attribute changed at random: boats in forests, suns at night, as people ask for them."""
_BATCH = 64
_MATRIX_RATE = 1e-3
_OTHER_RATE = 5e-4
_WARMUP_SAMPLES = 4_000
_AVERAGE_DECAY = 0.998
_HUBER = 0.1
_PIXEL_WEIGHT = 1.0
_PIXEL_PICTURES = 12
_PIXEL_CELLS = 8
_MIDDLE_TIMES = (0.5, 0.5, 0.5, 0.75, 0.25)
"""Where the second look is taken: two steps pass through 0.5, four through all of them."""


def prompt_scene(rng: random.Random) -> Scene:
    """A scene to ask the teacher for; never one of the held-out combinations."""
    while True:
        scene = sample_scene(rng, 0)
        if rng.random() < _ODD_SCENES:
            attribute = rng.choice(list(ATTRIBUTES))
            scene = replace(scene, **{attribute: rng.choice(ATTRIBUTES[attribute])})
        if not is_held_out(scene):
            return scene


class Pairs:
    """What the teacher drew: by size, ids (count, 32), x_0 (count, 8, h, w) and the seeds."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def chunk_path(self, number: int) -> Path:
        """File of one chunk: a multiple of _CHUNK pairs of one size."""
        return self._directory / f"{number:05d}.npz"

    def load(self, count: int) -> dict[str, tuple[NDArray[np.int16], NDArray[np.float16], NDArray[np.int64]]]:
        """All pairs of the first `count`, by size."""
        found: dict[str, list[tuple[Any, Any, Any]]] = {name: [] for name in SIZES}
        for number in range(count // _CHUNK):
            with np.load(self.chunk_path(number)) as chunk:
                found[str(chunk["size_name"])].append((chunk["ids"], chunk["clean"], chunk["seeds"]))
        return {
            name: tuple(np.concatenate(parts) for parts in zip(*chunks, strict=True))  # type: ignore[misc]
            for name, chunks in found.items()
            if chunks
        }


def draw_pairs(teacher: TextToImage, pairs: Pairs, count: int, log: StageLog) -> None:
    """Draw every chunk that is not there yet."""
    todo = [number for number in range(count // _CHUNK) if not pairs.chunk_path(number).exists()]
    for done, number in enumerate(todo, start=1):
        rng = random.Random(f"pairs-{number}")
        size_name = rng.choices(list(SIZE_ODDS), list(SIZE_ODDS.values()))[0]
        texts = [caption(prompt_scene(rng), rng, rng.uniform(0, 0.3)) for _ in range(_CHUNK)]
        ids = torch.tensor([teacher.tokenizer.encode(text) for text in texts])
        seeds = np.arange(_CHUNK) + _FIRST_SEED + number * _CHUNK
        start = torch.stack([torch.from_numpy(noise(int(seed), size_name)) for seed in seeds])
        with fast_arithmetic():
            parts = [
                teacher.denoise(some_noise, some_ids, DEFAULT_STEPS, DEFAULT_GUIDANCE)
                for some_noise, some_ids in zip(start.split(_TEACHER_BATCH), ids.split(_TEACHER_BATCH), strict=True)
            ]
        clean = torch.cat(parts).float().numpy().astype(np.float16)
        content = {"size_name": size_name, "ids": ids.numpy().astype(np.int16), "clean": clean, "seeds": seeds}
        write_whole(pairs.chunk_path(number), lambda file, content=content: np.savez(file, **content))
        log.progress(done * _CHUNK, len(todo) * _CHUNK, 0, "pairs drawn by the teacher")


def huber(guess: Tensor, wanted: Tensor) -> Tensor:
    """Pseudo-Huber error of clean latents: squared near zero, absolute beyond _HUBER, so that means stay crisp."""
    return ((guess - wanted).square() + _HUBER**2).sqrt().mean() - _HUBER


def pixel_error(autoencoder: Autoencoder, guess: Tensor, wanted: Tensor, rng: random.Random) -> Tensor:
    """Absolute and edge differences of decoded crops of a few pictures: what an eye would compare."""
    top = rng.randrange(guess.shape[2] - _PIXEL_CELLS + 1)
    left = rng.randrange(guess.shape[3] - _PIXEL_CELLS + 1)
    crop = (slice(_PIXEL_PICTURES), slice(None), slice(top, top + _PIXEL_CELLS), slice(left, left + _PIXEL_CELLS))
    ours = autoencoder.decode(guess[crop]).float()
    with torch.no_grad():
        theirs = autoencoder.decode(wanted[crop]).float()
    rows = (ours.diff(dim=-2) - theirs.diff(dim=-2)).abs().mean()
    columns = (ours.diff(dim=-1) - theirs.diff(dim=-1)).abs().mean()
    return F.l1_loss(ours, theirs) + rows + columns


class Distiller:
    """The student, the running average of its weights, optimizers, random state and progress."""

    def __init__(self, work: Path, teacher: TextToImage, total: int) -> None:
        self.teacher, self.total = teacher, total
        self.path = work / "checkpoints" / "turbo.pt"
        self.student, self.average = Transformer(), Transformer().requires_grad_(False)
        for network in (self.student, self.average):
            network.load_state_dict(teacher.transformer.state_dict())
        self.student.layout_head.requires_grad_(False)
        self.teacher.autoencoder.requires_grad_(False)
        inside = self.student.blocks.named_parameters()
        matrices = [p for name, p in inside if p.ndim == 2 and not name.endswith("modulation")]
        chosen = {id(p) for p in matrices}
        others = [p for p in self.student.parameters() if id(p) not in chosen and p.requires_grad]
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon(matrices, _MATRIX_RATE),
            torch.optim.AdamW(others, _OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.01),
        ]
        self.rng = random.Random(7)
        self.seen = 0
        state = checkpoint.load(self.path, self.rng)
        if state and state["teacher_samples_seen"] == teacher.samples_seen:
            self.student.load_state_dict(state["student"])
            self.average.load_state_dict(state["average"])
            for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(stored)
            self.seen = state["samples_seen"]

    def save(self) -> None:
        """Write everything the next run needs."""
        state = {
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "samples_seen": self.seen,
            "teacher_samples_seen": self.teacher.samples_seen,
        }
        checkpoint.save(self.path, state, self.rng)

    def step(self, start: Tensor, clean: Tensor, ids: Tensor) -> tuple[float, float]:
        """One update; returns the latent errors of the first and of the second look."""
        warm = min(1.0, (self.seen + 1) / _WARMUP_SAMPLES)
        factor = warm * min(1.0, max(0.02, 1.4 * (1 - self.seen / self.total)))
        for optimizer, base in zip(self.optimizers, (_MATRIX_RATE, _OTHER_RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = base * factor
        t = torch.tensor([self.rng.choice(_MIDDLE_TIMES) for _ in range(len(ids))])
        share = t[:, None, None, None]
        with fast_arithmetic():
            with torch.no_grad():
                context, pooled = self.teacher.text_encoder(ids)
            first = start - self.student(start, torch.ones(len(ids)), context, pooled).float()
            between = share * start + (1 - share) * first.detach()
            second = between - share * self.student(between, t, context, pooled).float()
            pixels = pixel_error(self.teacher.autoencoder, second, clean, self.rng)
            if self.rng.random() < 0.5:
                pixels = pixels + pixel_error(self.teacher.autoencoder, first, clean, self.rng)
        first_error, second_error = huber(first, clean), huber(second, clean)
        self.student.zero_grad(set_to_none=True)
        (first_error + second_error + _PIXEL_WEIGHT * pixels).backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.seen += len(ids)
        decay = min(_AVERAGE_DECAY, 1 - 10 * _BATCH / (self.seen + 10 * _BATCH))
        with torch.no_grad():
            for average, current in zip(self.average.parameters(), self.student.parameters(), strict=True):
                average.lerp_(current, 1 - decay)
        return first_error.item(), second_error.item()


def train(distiller: Distiller, pairs: Pairs, count: int, log: StageLog, minutes: float) -> None:
    """Train on the pairs until `total` samples have been seen or the minutes are used up."""
    data = pairs.load(count)
    names = list(data)
    shares = [len(data[name][0]) for name in names]
    since, started_s, saved_s, errors = distiller.seen, log.elapsed_s, log.elapsed_s, (math.nan, math.nan)
    while distiller.seen < distiller.total and log.elapsed_s - started_s < minutes * 60:
        name = distiller.rng.choices(names, shares)[0]
        ids, clean, seeds = data[name]
        rows = [distiller.rng.randrange(len(ids)) for _ in range(_BATCH)]
        start = torch.stack([torch.from_numpy(noise(int(seeds[row]), name)) for row in rows])
        found = distiller.step(start, torch.from_numpy(clean[rows]).float(), torch.from_numpy(ids[rows]).long())
        errors = tuple(b if math.isnan(a) else 0.98 * a + 0.02 * b for a, b in zip(errors, found, strict=True))
        if distiller.seen // _BATCH % 25 == 0:
            detail = f"errors {errors[0]:.4f} {errors[1]:.4f}"
            log.progress(distiller.seen, distiller.total, since, "samples", detail, started_s)
        if log.elapsed_s - saved_s > checkpoint.SAVE_EVERY_S:
            distiller.save()
            saved_s = log.elapsed_s
    distiller.save()


def write_comparison(teacher: TextToImage, turbo: TextToImage, path: Path) -> None:
    """A sheet with the teacher's picture above the student's in one, two and four steps, same seeds."""
    square = [prompt for prompt, size_name in EVALUATION_PROMPTS if size_name == "square"][:20]
    seeds = list(range(len(square)))
    rows = [teacher.decode(teacher.sample_latents(square, seeds))]
    rows += [turbo.decode(turbo.sample_latents(square, seeds, "square", steps, None)) for steps in (1, 2, 4)]
    bands = [torch.cat([torch.cat(list(row[k : k + 10]), 1) for row in rows], 0) for k in range(0, len(square), 10)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(torch.cat(bands, 0).numpy()).save(path)


def main() -> None:
    """Draw what is missing, train, draw a sheet to look at."""
    parser = stage_parser(__doc__)
    parser.add_argument("--pairs", type=int, default=PAIR_COUNT, help="pictures the teacher draws")
    parser.add_argument("--total", type=int, default=TOTAL_SAMPLES, help="samples the schedule is stretched over")
    parser.add_argument("--minutes", type=float, default=math.inf, help="train for this long; rerun to go on")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(options.threads)
    torch.manual_seed(7)
    log = StageLog(work, "distil")
    teacher = load_models(work)
    pairs = Pairs(work / "data" / "pairs" / str(teacher.samples_seen))
    draw_pairs(teacher, pairs, options.pairs, log)
    distiller = Distiller(work, teacher, options.total)
    train(distiller, pairs, options.pairs, log, options.minutes)
    write_comparison(teacher, load_turbo(work), work / "turbo.png")
    log.write(f"stopped at {distiller.seen} samples")


if __name__ == "__main__":
    main()
