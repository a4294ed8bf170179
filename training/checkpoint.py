"""Training state on disk: what is needed to go on exactly where a chunk of training stopped."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch

from training.progress import write_whole

SAVE_EVERY_S = 150.0


def save(path: Path, state: dict[str, Any], rng: random.Random) -> None:
    """Write the state together with the states of all random generators."""
    state = state | {"torch_rng": torch.get_rng_state(), "python_rng": rng.getstate()}
    write_whole(path, lambda file: torch.save(state, file))


def load(path: Path, rng: random.Random) -> dict[str, Any] | None:
    """The state last saved, random generators put back; None where there is none yet."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=False)
    torch.set_rng_state(state["torch_rng"])
    rng.setstate(state["python_rng"])
    return state
