"""The gates' table, line by line."""

from dataclasses import replace

import numpy as np
import pytest

from heliograph.domain.pictures import Decision, Verdict
from heliograph.quality.facts import ImageFacts, image_facts
from heliograph.quality.gates import GatePolicy, flagged, judge

POLICY = GatePolicy(reseeds_max=2)
GOOD = ImageFacts(width_px=128, height_px=96, is_finite=True, spread=40.0, flat_share=0.1)
BLANK = replace(GOOD, spread=0.0, flat_share=1.0)
NAN = replace(GOOD, is_finite=False, spread=0.0, flat_share=0.0)
TURNED = replace(GOOD, width_px=96, height_px=128)
SMALLER = replace(GOOD, width_px=64, height_px=48)
ACCEPT, FLAG, REGENERATE, BLOCK = Decision.ACCEPT, Decision.FLAG, Decision.REGENERATE, Decision.BLOCK


@pytest.mark.parametrize(
    ("facts", "reseeds", "decision", "reasons"),
    [
        (GOOD, 0, ACCEPT, ()),
        (GOOD, 2, ACCEPT, ()),
        (NAN, 0, REGENERATE, ("nan",)),
        (NAN, 1, REGENERATE, ("nan",)),
        (NAN, 2, BLOCK, ("nan",)),
        (BLANK, 0, REGENERATE, ("blank",)),
        (BLANK, 1, REGENERATE, ("blank",)),
        (BLANK, 2, FLAG, ("blank",)),
        (BLANK, 3, FLAG, ("blank",)),
        (TURNED, 0, BLOCK, ("wrong_aspect_ratio",)),
        (TURNED, 2, BLOCK, ("wrong_aspect_ratio",)),
        (SMALLER, 0, FLAG, ("wrong_size",)),
        (replace(GOOD, width_px=126), 0, FLAG, ("wrong_size",)),
        (replace(GOOD, width_px=120), 0, BLOCK, ("wrong_aspect_ratio",)),
        (replace(SMALLER, spread=0.0), 0, REGENERATE, ("blank", "wrong_size")),
        (replace(SMALLER, spread=0.0), 2, FLAG, ("blank", "wrong_size")),
        (replace(TURNED, spread=0.0), 0, BLOCK, ("blank", "wrong_aspect_ratio")),
        (replace(NAN, width_px=64), 0, BLOCK, ("nan", "wrong_aspect_ratio")),
        (replace(GOOD, spread=2.0), 0, REGENERATE, ("blank",)),
        (replace(GOOD, spread=2.1), 0, ACCEPT, ()),
        (replace(GOOD, flat_share=0.998), 0, REGENERATE, ("blank",)),
        (replace(GOOD, flat_share=0.997), 0, ACCEPT, ()),
    ],
)
def test_the_table(facts: ImageFacts, reseeds: int, decision: Decision, reasons: tuple[str, ...]) -> None:
    verdict = judge(facts, expected_width_px=128, expected_height_px=96, reseeds=reseeds, policy=POLICY)
    assert (verdict.decision, verdict.reasons) == (decision, reasons)


RESEEDING = replace(POLICY, reseeds_low_alignment=True)
STRICT = replace(POLICY, alignment_min=0.9)


@pytest.mark.parametrize(
    ("facts", "alignment", "reseeds", "policy", "decision", "reasons"),
    [
        (GOOD, None, 0, POLICY, ACCEPT, ()),
        (GOOD, 0.3, 0, POLICY, ACCEPT, ()),
        (GOOD, 0.29, 0, POLICY, FLAG, ("low_alignment",)),
        (GOOD, 0.0, 0, POLICY, FLAG, ("low_alignment",)),
        (GOOD, None, 0, STRICT, ACCEPT, ()),
        (GOOD, 0.89, 0, STRICT, FLAG, ("low_alignment",)),
        (GOOD, 0.9, 0, STRICT, ACCEPT, ()),
        (GOOD, 0.0, 0, replace(POLICY, alignment_min=0.0), ACCEPT, ()),
        (GOOD, 0.29, 0, RESEEDING, REGENERATE, ("low_alignment",)),
        (GOOD, 0.29, 1, RESEEDING, REGENERATE, ("low_alignment",)),
        (GOOD, 0.29, 2, RESEEDING, FLAG, ("low_alignment",)),
        (GOOD, 0.3, 0, RESEEDING, ACCEPT, ()),
        (SMALLER, 0.1, 0, POLICY, FLAG, ("wrong_size", "low_alignment")),
        (TURNED, 0.1, 0, RESEEDING, BLOCK, ("wrong_aspect_ratio", "low_alignment")),
    ],
)
def test_the_table_of_alignment(
    facts: ImageFacts,
    alignment: float | None,
    reseeds: int,
    policy: GatePolicy,
    decision: Decision,
    reasons: tuple[str, ...],
) -> None:
    verdict = judge(
        facts,
        expected_width_px=128,
        expected_height_px=96,
        reseeds=reseeds,
        policy=policy,
        alignment=alignment,
        calibrated_min=0.3,
    )
    assert (verdict.decision, verdict.reasons) == (decision, reasons)


@pytest.mark.parametrize(
    ("decision", "afterwards"), [(ACCEPT, FLAG), (FLAG, FLAG), (REGENERATE, REGENERATE), (BLOCK, BLOCK)]
)
def test_one_more_reason_never_makes_a_verdict_milder(decision: Decision, afterwards: Decision) -> None:
    verdict = flagged(Verdict(decision=decision, reasons=("blank",)), "lanczos_upscale")
    assert verdict == Verdict(decision=afterwards, reasons=("blank", "lanczos_upscale"))


def test_no_reseeds_allowed_means_that_none_is_asked_for() -> None:
    policy = GatePolicy(reseeds_max=0)
    assert judge(BLANK, expected_width_px=128, expected_height_px=96, reseeds=0, policy=policy).decision is FLAG


def picture(kind: str) -> np.ndarray:
    noise = np.random.default_rng(5)
    rows = np.linspace(0, 1, 128)[:, None, None]
    match kind:
        case "black":
            return np.zeros((128, 128, 3), np.uint8)
        case "grey with a faint ripple":
            return (128 + noise.normal(0, 1, (128, 128, 3))).astype(np.uint8)
        case "black with a dead corner pixel":
            pixels = np.zeros((128, 128, 3), np.uint8)
            pixels[0, :3] = 255
            return pixels
        case "dark night with a moon":
            pixels = np.full((128, 128, 3), (5, 6, 20), np.uint8)
            pixels[20:32, 90:102] = (240, 240, 220)
            return pixels
        case "faint sky":
            return np.broadcast_to(200 + 20 * rows, (128, 128, 3)).astype(np.uint8)
        case "noise":
            return noise.integers(0, 256, (128, 128, 3), dtype=np.uint8)
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "decision"),
    [
        ("black", REGENERATE),
        ("grey with a faint ripple", REGENERATE),
        ("black with a dead corner pixel", REGENERATE),
        ("dark night with a moon", ACCEPT),
        ("faint sky", ACCEPT),
        ("noise", ACCEPT),
    ],
)
def test_what_counts_as_blank(kind: str, decision: Decision) -> None:
    verdict = judge(image_facts(picture(kind)), expected_width_px=128, expected_height_px=128, reseeds=0, policy=POLICY)
    assert verdict.decision is decision
