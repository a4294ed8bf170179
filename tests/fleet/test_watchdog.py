from dataclasses import replace

import pytest

from heliograph.domain.events import LossReason
from heliograph.fleet.watchdog import LocalLimits, Phase, Vitals, is_ping_due, judge

LIMITS = LocalLimits(load_timeout_s=20, step_timeout_s=20, abort_grace_s=5, stop_grace_s=5, lease_s=9)
A_VITALS = Vitals(phase=Phase.IDLE, heard_s=100.0, alive_s=100.0)


@pytest.mark.parametrize(
    ("vitals", "silence_s", "reason"),
    [
        (replace(A_VITALS, phase=Phase.LOADING), 20, None),
        (replace(A_VITALS, phase=Phase.LOADING), 21, LossReason.LOAD_FAILED),
        (A_VITALS, 1e6, None),
        (replace(A_VITALS, ping_s=103.0), 9, None),
        (replace(A_VITALS, ping_s=103.0), 10, LossReason.SILENT),
        (replace(A_VITALS, phase=Phase.RUNNING, ping_s=103.0), 9, None),
        (replace(A_VITALS, phase=Phase.RUNNING, ping_s=103.0), 10, LossReason.SILENT),
        (replace(A_VITALS, phase=Phase.RUNNING), 20, None),
        (replace(A_VITALS, phase=Phase.RUNNING), 21, LossReason.SILENT),
        (replace(A_VITALS, phase=Phase.RUNNING, stall_limit_s=12.0), 12, None),
        (replace(A_VITALS, phase=Phase.RUNNING, stall_limit_s=12.0), 13, LossReason.SILENT),
        (replace(A_VITALS, phase=Phase.RUNNING, stall_limit_s=90.0), 90, None),
        (replace(A_VITALS, phase=Phase.RUNNING, abort_s=90.0), -5, None),
        (replace(A_VITALS, phase=Phase.RUNNING, abort_s=90.0), -4, LossReason.SILENT),
        (replace(A_VITALS, phase=Phase.STOPPING), 5, None),
        (replace(A_VITALS, phase=Phase.STOPPING), 6, LossReason.SILENT),
    ],
)
def test_who_is_condemned(vitals: Vitals, silence_s: float, reason: LossReason | None) -> None:
    verdict = judge(vitals, LIMITS, now_s=100.0 + silence_s)
    assert (verdict[0] if verdict else None) is reason


@pytest.mark.parametrize(
    ("vitals", "silence_s", "is_due"),
    [
        (A_VITALS, 3, False),
        (A_VITALS, 4, True),
        (replace(A_VITALS, phase=Phase.RUNNING), 4, True),
        (replace(A_VITALS, ping_s=103.5), 4, False),
        (replace(A_VITALS, phase=Phase.LOADING), 4, False),
        (replace(A_VITALS, phase=Phase.STOPPING), 4, False),
    ],
)
def test_who_is_asked_for_a_sign_of_life(vitals: Vitals, silence_s: float, is_due: bool) -> None:
    assert is_ping_due(vitals, LIMITS, now_s=100.0 + silence_s) == is_due
