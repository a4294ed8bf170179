"""model.json of a built-in model: what it is, its parts, and the checksum of every file they are in.

A part may be a file of another built-in model, written as a path to the sibling folder ("../helio-base/decoder.onnx").
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from training.progress import write_whole

WEIGHTS = Path(__file__).resolve().parents[1] / "src" / "heliograph" / "weights"
"""The folder of the built-in models' folders."""

Record = dict[str, Any]


def write_card(folder: Path, *, kind: str, domain: str, parts: dict[str, str], facts: Record, training: Record) -> None:
    """Write folder/model.json; `facts` are the fields of the kind, `training` is what was measured on the way."""
    files: dict[str, Record] = {}
    for part in sorted(set(parts.values())):
        content = (folder / part).read_bytes()
        files[part] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    card = {
        "name": folder.name,
        "revision": hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12],
        "license": "Apache-2.0",
        "domain": domain,
        "kind": kind,
        "parts": parts,
        **facts,
        "training": {"date": time.strftime("%Y-%m-%d"), **training},
        "files": files,
    }
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    write_whole(folder / "model.json", lambda file: file.write(text.encode()) and None)
