"""Signatures: valid for a reader that shares no code with what signs, and broken by any single byte."""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import encypher_c2pa
from tests.delivery.signed import ENCODINGS, a_signer, signed, unsigned

from benchmarks.report import Bar, Figure, with_progress
from heliograph.delivery.certificates import ANCHORS
from heliograph.delivery.inspection import FileInspector
from heliograph.delivery.verification import Integrity, conclude

FLIPS = 1_000


def measure(is_quick: bool) -> Iterator[Figure]:
    dice, flips = random.Random(1), 100 if is_quick else FLIPS
    with tempfile.TemporaryDirectory() as folder:
        signer = a_signer(Path(folder))
        inspector = FileInspector(Path(folder) / ANCHORS)
        files = [
            (kind, signed(kind, signer, ingredient=unsigned("jpeg") if is_edit else None))
            for kind in ENCODINGS
            for is_edit in (False, True)
            for _ in range(2 if is_quick else 10)
        ]
        valid = sum(_is_valid(data, ENCODINGS[kind].mime_type) for kind, data in files)
        name = "signed files that encypher-c2pa, which shares no code with c2pa-rs, finds valid"
        yield Figure(
            name=name, value=100 * valid / len(files), unit=f"% of {len(files)}", bar=Bar(limit=100, is_floor=True)
        )
        intact = sum(conclude(inspector.look(data)).integrity is Integrity.INTACT for _, data in files)
        yield Figure(
            name="and that we find intact", value=100 * intact / len(files), unit="%", bar=Bar(limit=100, is_floor=True)
        )
        detected = 0
        for _ in with_progress(range(flips), "flipping bytes"):
            _, data = dice.choice(files)
            changed = bytearray(data)
            changed[dice.randrange(len(data))] ^= dice.randrange(1, 256)
            detected += conclude(inspector.look(bytes(changed))).integrity is not Integrity.INTACT
        name = "files with one random byte changed that are found out"
        yield Figure(name=name, value=detected, unit=f"of {flips}", bar=Bar(limit=flips, is_floor=True))


def _is_valid(data: bytes, mime_type: str) -> bool:
    report = encypher_c2pa.verify(data, mime_type)
    return (report["integrity"], report["signature"], report["hard_binding"]) == ("valid", "valid", "match")
