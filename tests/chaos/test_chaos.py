"""A short run of `make chaos` on every test run, and the parts that judge it."""

import asyncio
from itertools import islice
from pathlib import Path

import pytest

from tests.chaos.audit import deliveries
from tests.chaos.run import Chaos, Plan, passed
from tests.chaos.schedule import FaultKind, faults

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("store", "pictures", "seed"), [("sqlite", "disk", 7), ("postgres", "s3", 8)])
def test_nothing_is_lost_whatever_is_killed(store: str, pictures: str, seed: int, tmp_path: Path) -> None:
    said: list[str] = []
    plan = Plan(jobs=60, seed=seed, store=store, pictures=pictures, every_s=0.8, gap_s=0.05)
    chaos = Chaos(plan, tmp_path / "run", said.append)
    figures = asyncio.run(chaos.play())
    assert passed(figures), f"{figures}\n{said}"
    assert figures["kills"] >= 2
    assert figures["completed"] >= 40


def test_a_seed_decides_the_faults_and_every_kind_comes_early() -> None:
    kinds = frozenset(FaultKind)
    first = list(islice(faults(7, kinds=kinds, every_s=1.0), 40))
    assert first == list(islice(faults(7, kinds=kinds, every_s=1.0), 40))
    assert first != list(islice(faults(8, kinds=kinds, every_s=1.0), 40))
    assert {fault.kind for fault in first[: len(kinds)]} == kinds


def line(job_id: str, kind: str, webhook_id: str, is_genuine: bool = True) -> dict[str, object]:
    return {"job_id": job_id, "type": kind, "webhook_id": webhook_id, "is_genuine": is_genuine}


def test_webhooks_are_judged_by_job_order_and_id() -> None:
    expected = {"a": ("started", "completed"), "b": ("started", "completed"), "c": ("completed",)}
    seen = [
        line("a", "started", "1"),
        line("a", "started", "1"),
        line("a", "completed", "2"),
        line("b", "completed", "3"),
        line("b", "started", "4"),
        line("b", "started", "5"),
        line("a", "started", "6", is_genuine=False),
    ]
    found = deliveries(seen, expected)
    assert (found.missing, found.out_of_order, found.forged, found.repeated) == (1, 1, 2, 2)
