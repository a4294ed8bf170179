"""Stage 10: train the dual encoder and calibrate it. `python -m training.train_dual_encoder --work DIR`: six minutes.

Contrastive learning on latents and captions, with three aids. Every caption has a twin in which one attribute is
changed and which must not be chosen: it teaches colours and positions faster than other pictures' captions do. Eight
heads on the image tower must name the attributes; they are thrown away. Latents carry noise, and a part of them has
been decoded and encoded again: in use the encoder looks at generated pictures, not at rendered ones. It is also shown
the combinations that are held out of the other stages: who judges a drawing of a yellow castle must know one.

What the product needs beside the towers (when is a picture badly aligned? which words does it not show?) is then
measured on scenes that no stage has seen, and written to WORK/dual_encoder.json. `coverage.py` has the second check.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training import checkpoint
from training.autoencoder import Autoencoder, to_pixels, to_tensor
from training.captions import caption
from training.coverage import ONLY_BEFORE, claims, coverage_phrases, rivals
from training.dataset import LatentBatch, Latents
from training.dual_encoder import DualEncoder
from training.models import load_models
from training.painting import paint
from training.precision import fast_arithmetic
from training.progress import StageLog, stage_parser, write_whole
from training.render import array_path
from training.retrieval import CALIBRATION_FIRST, distinct_scenes, full_caption, held_out_scenes
from training.scenes import ATTRIBUTES, COLOURED_OBJECTS, SIZES, Scene, is_plausible
from training.tokenizer import Tokenizer
from training.train_text_encoder import attribute_targets

TOTAL_SAMPLES = 160_000
_BATCH = 256
_LEARNING_RATE = 1.5e-3
_WARMUP_SAMPLES = 10_000
_HEADS_WEIGHT = 0.15
_LATENT_NOISE_MAX = 0.3
_REDRAWN_SHARE = 0.2
_REDRAWN_NOISE = 0.1
_HELD_OUT_PICTURES = 1_500
_HELD_OUT_ROWS = 24
_CALIBRATION_PICTURES = 1_000
_FALSE_ALARM_RATE = 0.01
_TYPICAL_SCORE = 0.95
"""Alignment score of a rendered picture with its own caption, on average; a stranger's caption gets 1 minus this."""


def twin(scene: Scene, rng: random.Random) -> Scene:
    """The scene with one attribute changed into something that could have been painted, too."""
    while True:
        attribute = rng.choice(list(ATTRIBUTES))
        if attribute == "colour" and scene.object not in COLOURED_OBJECTS:
            continue
        changed = replace(scene, **{attribute: rng.choice(ATTRIBUTES[attribute])})
        if changed != scene and is_plausible(changed):
            return changed


def captions_with_twins(scenes: Sequence[Scene], rng: random.Random, drop: float) -> tuple[list[str], list[str]]:
    """A caption of each scene, and the same words for its twin; equal where the change goes unsaid."""
    own: list[str] = []
    changed: list[str] = []
    for scene in scenes:
        words_seed, other = rng.random(), twin(scene, rng)
        own.append(caption(scene, random.Random(words_seed), drop))
        changed.append(caption(other, random.Random(words_seed), drop))
    return own, changed


class AttributeHeads(nn.Module):
    """One linear classifier per attribute on the image tower's features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(channels, len(values)) for name, values in ATTRIBUTES.items()})

    def loss(self, features: Tensor, scenes: list[Scene]) -> Tensor:
        """Mean cross-entropy; colour and position count only where there is something to see them on."""
        targets = attribute_targets(scenes)
        seen_on = {
            "colour": torch.tensor([scene.object in COLOURED_OBJECTS for scene in scenes]).float(),
            "position": torch.tensor([scene.object != "none" for scene in scenes]).float(),
        }
        losses = [
            (F.cross_entropy(head(features).float(), targets[name], reduction="none") * seen_on.get(name, 1)).mean()
            for name, head in self.heads.items()
        ]
        return torch.stack(losses).sum()


def contrastive_loss(pictures: Tensor, own: Tensor, changed: Tensor, scale: Tensor, ids: Tensor) -> Tensor:
    """InfoNCE in both directions over unit vectors (batch, channels), twins among the captions to choose from.

    ids: (2 * batch, tokens), captions then twins: a caption that reads like the right one is no wrong answer.
    """
    count = len(pictures)
    same = (ids[None] == ids[:count, None]).all(-1)
    same[:, :count].fill_diagonal_(False)
    to_texts = (scale * pictures @ torch.cat([own, changed]).T).masked_fill(same, -1e4)
    to_pictures = (scale * own @ pictures.T).masked_fill(same[:, :count], -1e4)
    right = torch.arange(count)
    return (F.cross_entropy(to_texts, right) + F.cross_entropy(to_pictures, right)) / 2


class Redrawn:
    """Latents of training pictures after one more trip through decoder, pixels and encoder, by size."""

    def __init__(self, work: Path, autoencoder: Autoencoder, log: StageLog) -> None:
        self._latents = {name: _redrawn(work, name, autoencoder, log) for name in SIZES}

    def mix_into(self, batch: LatentBatch, rng: random.Random) -> Tensor:
        """The batch's latents, those that have been redrawn replaced half of the time."""
        latents = batch.latents.clone()
        redrawn = self._latents[batch.size_name]
        for k, row in enumerate(batch.rows):
            if row < len(redrawn) and rng.random() < 0.5:
                latents[k] = redrawn[row].float()
        return latents


@torch.no_grad()
def _redrawn(work: Path, size_name: str, autoencoder: Autoencoder, log: StageLog) -> Tensor:
    path = array_path(work, size_name, "redrawn")
    if not path.exists():
        latents = torch.from_numpy(np.load(array_path(work, size_name, "latents"), mmap_mode="r").copy()).float()
        latents = latents[: round(len(latents) * _REDRAWN_SHARE)]
        parts: list[Tensor] = []
        started_s = log.elapsed_s
        for part in latents.split(50):
            with fast_arithmetic():
                decoded = autoencoder.decode(part + torch.randn_like(part) * _REDRAWN_NOISE).float()
                parts.append(autoencoder.encode(to_tensor(to_pixels(decoded))).half())
            if len(parts) % 20 == 0:
                log.progress(len(parts) * 50, len(latents), 0, f"{size_name} latents redrawn", "", started_s)
        write_whole(path, lambda file: np.save(file, torch.cat(parts).numpy()))
    return torch.from_numpy(np.load(path))


class HeldOutCombinations:
    """Latents (count, 8, 16, 16) of scenes that no other stage is shown."""

    def __init__(self, autoencoder: Autoencoder, log: StageLog) -> None:
        self._scenes = held_out_scenes(_HELD_OUT_PICTURES)
        parts: list[Tensor] = []
        started_s = log.elapsed_s
        with torch.no_grad():
            for start in range(0, _HELD_OUT_PICTURES, 50):
                painted = np.stack([paint(scene, "square").picture() for scene in self._scenes[start : start + 50]])
                parts.append(autoencoder.encode(to_tensor(torch.from_numpy(painted))))
                if start % 250 == 200:
                    log.progress(start + 50, _HELD_OUT_PICTURES, 0, "held-out combinations", "", started_s)
        self._latents = torch.cat(parts)

    def mix_into(self, batch: LatentBatch, latents: Tensor, rng: random.Random) -> list[Scene]:
        """Replace the first rows of `latents` where the pictures are square; returns the scenes of all rows."""
        if batch.size_name != "square":
            return batch.scenes
        rows = [rng.randrange(len(self._scenes)) for _ in range(_HELD_OUT_ROWS)]
        latents[:_HELD_OUT_ROWS] = self._latents[rows]
        return [*(self._scenes[row] for row in rows), *batch.scenes[_HELD_OUT_ROWS:]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Embeddings (count, 128) of pictures no stage has seen, with their scenes."""

    scenes: list[Scene]
    pictures: Tensor


@torch.no_grad()
def look_at_held_out(model: DualEncoder, autoencoder: Autoencoder, first: int, count: int, log: StageLog) -> HeldOut:
    """Paint, encode and embed `count` scenes with numbers from `first` on."""
    scenes = distinct_scenes(first, count)
    embeddings: list[Tensor] = []
    started_s = log.elapsed_s
    for start in range(0, count, 50):
        painted = np.stack([paint(scene, "square").picture() for scene in scenes[start : start + 50]])
        embeddings.append(model.image(autoencoder.encode(to_tensor(torch.from_numpy(painted)))))
        if start % 250 == 200:
            log.progress(start + 50, count, 0, "held-out pictures", "", started_s)
    return HeldOut(scenes=scenes, pictures=torch.cat(embeddings))


class Scorer:
    """Captions against pictures, with a memory of captions already read."""

    def __init__(self, model: DualEncoder, tokenizer: Tokenizer) -> None:
        self._model, self._tokenizer = model, tokenizer

    @torch.no_grad()
    def texts(self, texts: list[str]) -> Tensor:
        """(count, 128) embeddings."""
        parts = [texts[start : start + 250] for start in range(0, len(texts), 250)]
        return torch.cat([self._model.text(torch.tensor([self._tokenizer.encode(t) for t in part])) for part in parts])

    def gaps(self, picture: Tensor, prompt: str) -> dict[tuple[str, str], float]:
        """How much better than the prompt its best rival fits, by attribute and value (see coverage.py)."""
        phrases = coverage_phrases()
        named = claims(prompt, phrases)
        texts, owners = [prompt], [("", "")]
        for claim in named:
            for text in rivals(prompt, claim, named, phrases).values():
                texts.append(text)
                owners.append((claim.attribute, claim.value))
        cosines = (self.texts(texts) @ picture).tolist()
        found: dict[tuple[str, str], float] = {}
        for owner, cosine in zip(owners[1:], cosines[1:], strict=True):
            found[owner] = max(found.get(owner, -2.0), cosine - cosines[0])
        return found


def measure_retrieval(scorer: Scorer, held_out: HeldOut) -> dict[str, float]:
    """Share of pictures and of captions that find their counterpart first; how well pairs are told from strangers."""
    rng = random.Random(10)
    texts = scorer.texts([full_caption(scene, rng) for scene in held_out.scenes])
    cosines = held_out.pictures @ texts.T
    right = torch.arange(len(texts))
    matched, shuffled = cosines.diag(), cosines.roll(1, 1).diag()
    return {
        "retrieval_pictures": len(texts),
        "retrieval_picture_to_text": round((cosines.argmax(1) == right).float().mean().item(), 4),
        "retrieval_text_to_picture": round((cosines.argmax(0) == right).float().mean().item(), 4),
        "auc_matched_against_shuffled": round((matched[:, None] > shuffled[None]).float().mean().item(), 5),
    }


def calibrate_alignment(scorer: Scorer, held_out: HeldOut) -> dict[str, float]:
    """From cosines to a score of 0 to 1, and the score below which a picture counts as badly aligned."""
    rng = random.Random(11)
    own, changed = captions_with_twins(held_out.scenes, rng, 0.18)
    said = torch.tensor([a != b for a, b in zip(own, changed, strict=True)])
    own_texts, changed_texts = scorer.texts(own), scorer.texts(changed)
    matched = (held_out.pictures * own_texts).sum(1)
    shuffled = (held_out.pictures * own_texts.roll(1, 0)).sum(1)
    one_wrong = (held_out.pictures * changed_texts).sum(1)[said]
    mean = (matched.mean() + shuffled.mean()).item() / 2
    scale = math.log(_TYPICAL_SCORE / (1 - _TYPICAL_SCORE)) / (matched.mean().item() - mean)
    threshold_cosine = matched.quantile(_FALSE_ALARM_RATE).item()
    return {
        "mean": round(mean, 4),
        "scale": round(scale, 3),
        "low_threshold": round(1 / (1 + math.exp(-scale * (threshold_cosine - mean))), 3),
        "false_alarm_rate": _FALSE_ALARM_RATE,
        "detection_rate": round((shuffled < threshold_cosine).float().mean().item(), 3),
        "detection_rate_one_attribute_wrong": round((one_wrong < threshold_cosine).float().mean().item(), 3),
    }


def calibrate_coverage(scorer: Scorer, held_out: HeldOut, log: StageLog) -> dict[str, Any]:
    """The margin at which of no attribute more than one true phrase in a hundred is doubted, and what it finds."""
    rng = random.Random(12)
    true_gaps: dict[str, list[float]] = {}
    false_gaps: dict[str, list[float]] = {}
    started_s = log.elapsed_s
    for k, (scene, picture) in enumerate(zip(held_out.scenes, held_out.pictures, strict=True)):
        words_seed, other = rng.random(), twin(scene, rng)
        for (attribute, _), gap in scorer.gaps(picture, caption(scene, random.Random(words_seed))).items():
            true_gaps.setdefault(attribute, []).append(gap)
        for (attribute, value), gap in scorer.gaps(picture, caption(other, random.Random(words_seed))).items():
            if value != getattr(scene, attribute):
                false_gaps.setdefault(attribute, []).append(gap)
        if k % 250 == 249:
            log.progress(k + 1, len(held_out.scenes), 0, "pictures checked for coverage", "", started_s)
    margin = max(_quantile(gaps, 1 - _FALSE_ALARM_RATE) for gaps in true_gaps.values())

    def share_found(gaps: dict[str, list[float]]) -> dict[str, float]:
        return {name: round(sum(gap > margin for gap in values) / len(values), 3) for name, values in gaps.items()}

    together = {
        "false_alarm_rate": [gap for gaps in true_gaps.values() for gap in gaps],
        "detection_rate": [gap for gaps in false_gaps.values() for gap in gaps],
    }
    return {
        "margin": round(margin, 4),
        **share_found(together),
        "false_alarm_rate_by_attribute": share_found(true_gaps),
        "detection_rate_by_attribute": share_found(false_gaps),
        "only_before": ONLY_BEFORE,
        "phrases": coverage_phrases(),
    }


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(len(values) * share) - 1]


def load_dual_encoder(work: Path) -> DualEncoder:
    """The trained encoder in evaluation mode."""
    model = DualEncoder(len(Tokenizer(work / "tokenizer").vocabulary))
    model.load_state_dict(torch.load(work / "checkpoints" / "dual_encoder.pt", weights_only=False)["model"])
    return model.eval()


def main() -> None:
    """Train from scratch, measure, calibrate."""
    parser = stage_parser(__doc__)
    parser.add_argument("--total", type=int, default=TOTAL_SAMPLES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--calibrate-only", action="store_true", help="measure the encoder trained before")
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(options.threads)
    if options.calibrate_only:
        measure(work, StageLog(work, "train_dual_encoder"), load_models(work).autoencoder)
        return
    torch.manual_seed(5)
    rng = random.Random(5)
    log, data, tokenizer = StageLog(work, "train_dual_encoder"), Latents(work), Tokenizer(work / "tokenizer")
    autoencoder = load_models(work).autoencoder
    redrawn = Redrawn(work, autoencoder, log)
    held_out = HeldOutCombinations(autoencoder, log)
    model = DualEncoder(len(tokenizer.vocabulary))
    warm = torch.load(work / "checkpoints" / "text_encoder.pt", weights_only=False)
    model.text.encoder.load_state_dict(warm["model"])
    heads = AttributeHeads(model.image.out.in_features)
    optimizer = torch.optim.AdamW([*model.parameters(), *heads.parameters()], _LEARNING_RATE, weight_decay=0.02)
    started_s = log.elapsed_s
    for seen in range(0, options.total, _BATCH):
        warm_up = min(1.0, (seen + _BATCH) / _WARMUP_SAMPLES)
        for group in optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * warm_up * (0.01 + 0.5 * (1 + math.cos(math.pi * seen / options.total)))
        batch = data.batch(rng, _BATCH)
        latents = redrawn.mix_into(batch, rng)
        scenes = held_out.mix_into(batch, latents, rng)
        latents += torch.randn_like(latents) * torch.rand(len(latents), 1, 1, 1) * _LATENT_NOISE_MAX
        own, changed = captions_with_twins(scenes, rng, rng.uniform(0.0, 0.4))
        ids = torch.tensor([tokenizer.encode(text) for text in (*own, *changed)])
        with fast_arithmetic():
            features = model.image.features(latents)
            pictures = F.normalize(model.image.out(features).float(), dim=-1)
            texts = model.text(ids)
            heads_loss = heads.loss(features, scenes)
        loss = contrastive_loss(pictures, *texts.split(_BATCH), model.scale(), ids)
        optimizer.zero_grad(set_to_none=True)
        (loss + _HEADS_WEIGHT * heads_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if seen // _BATCH % 25 == 24:
            detail = f"loss {loss.item():.3f}, heads {heads_loss.item():.3f}, scale {model.scale().item():.1f}"
            log.progress(seen + _BATCH, options.total, 0, "pairs", detail, started_s)
    checkpoint.save(work / "checkpoints" / "dual_encoder.pt", {"model": model.state_dict()}, rng)
    measure(work, log, autoencoder)


def measure(work: Path, log: StageLog, autoencoder: Autoencoder) -> None:
    """Retrieval and calibration of the saved encoder, to WORK/dual_encoder.json."""
    model, tokenizer = load_dual_encoder(work), Tokenizer(work / "tokenizer")
    held_out = look_at_held_out(model, autoencoder, CALIBRATION_FIRST, _CALIBRATION_PICTURES, log)
    scorer = Scorer(model, tokenizer)
    measured = measure_retrieval(scorer, held_out)
    log.write(json.dumps(measured))
    calibration = {
        "alignment": calibrate_alignment(scorer, held_out),
        "coverage": calibrate_coverage(scorer, held_out, log),
    }
    log.write(json.dumps({k: v for k, v in calibration["coverage"].items() if k != "phrases"}))
    log.write(json.dumps(calibration["alignment"]))
    content = json.dumps({"measured": measured, "calibration": calibration}, indent=2)
    write_whole(work / "dual_encoder.json", lambda file: file.write(content.encode()) and None)


if __name__ == "__main__":
    main()
