"""What is left when the dust has settled, and whether it is what was promised.

Reads the store's tables with SQL of its own, so that a fault in the product's queries cannot hide one in its data.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from heliograph.billing.meter import gpu_cost_micros, tenant_price_micros
from heliograph.billing.prices import PriceBook
from heliograph.domain.job import Attempt, AttemptOutcome
from heliograph.domain.tiers import Tier

OPEN = ("pending", "dispatched", "running", "post_processing")


class Rows(Protocol):
    """A database that answers SQL with rows by column name."""

    def __call__(self, sql: str) -> Sequence[Mapping[str, Any]]:
        """All rows of a SELECT."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the store says, counted: every field but the first three has to be zero."""

    completed: int
    failed: int
    cancelled: int
    still_open: int
    lost: int
    double_outcomes: int
    double_charges: int
    ledger_difference_micros: int


def books(rows: Rows, acknowledged: Iterable[str], prices: PriceBook) -> Books:
    """Jobs, outcomes and money against each other.

    The expected money is computed anew from the attempts: what each cost, and what the tenant of a completed job pays
    for its last one. Of GPU time that was bought, nothing may be without an owner, and everything that was used is owed
    to somebody.
    """
    ids = set(acknowledged)
    jobs = {row["job_id"]: row for row in rows("SELECT job_id, state, attempt, tier FROM jobs")}
    outputs = Counter(row["job_id"] for row in rows("SELECT job_id FROM outputs"))
    positions = Counter((row["job_id"], row["position"]) for row in rows("SELECT job_id, position FROM outputs"))
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for row in rows("SELECT * FROM attempts"):
        attempts[row["job_id"]].append(_attempt(row))
    charged: Counter[str] = Counter()
    posted: Counter[str] = Counter()
    for row in rows("SELECT job_id, account, component, amount_micros FROM ledger_lines"):
        posted[row["account"]] += row["amount_micros"]
        if row["account"] == "gpu_cost" and row["job_id"]:
            posted["attempts"] += row["amount_micros"]
        charged[row["job_id"]] += row["account"] == "tenant"
    states = Counter(jobs[job_id]["state"] for job_id in ids if job_id in jobs)
    owed = Counter[str]()
    for job_id, row in jobs.items():
        for attempt in attempts[job_id]:
            owed["attempts"] += gpu_cost_micros(attempt, prices)
            if row["state"] == "completed" and attempt.number == row["attempt"]:
                owed["tenant"] -= tenant_price_micros(attempt, Tier(row["tier"]), prices)
    difference = sum(abs(posted[account] - owed[account]) for account in ("attempts", "tenant"))
    difference += abs(posted["fleet"]) + abs(posted["provider"] + posted["gpu_cost"] + posted["service_cost"])
    accounts = sum(amount for account, amount in posted.items() if account != "attempts")
    return Books(
        completed=states["completed"],
        failed=states["failed"] + states["expired"],
        cancelled=states["cancelled"],
        still_open=sum(states[state] for state in OPEN),
        lost=len(ids - set(jobs)),
        double_outcomes=sum(count > 1 for count in positions.values())
        + sum(bool(outputs[job_id]) != (row["state"] == "completed") for job_id, row in jobs.items()),
        double_charges=sum(count > 1 for count in charged.values()),
        ledger_difference_micros=difference + abs(accounts),
    )


def _attempt(row: Mapping[str, Any]) -> Attempt:
    return Attempt(
        job_id=row["job_id"],
        number=row["number"],
        worker_id=row["worker_id"],
        gpu_id=row["gpu_id"],
        gpu_class=row["gpu_class"],
        model_id=row["model_id"],
        dispatched_at_s=row["dispatched_at_s"],
        ended_at_s=row["ended_at_s"],
        gpu_s=row["gpu_s"],
        outcome=AttemptOutcome(row["outcome"]),
        market=row["market"],
        zone=row["zone"],
    )


def bad_files(pictures: Mapping[str, bytes]) -> int:
    """Delivered pictures that are missing or are not what their hash says."""
    return sum(hashlib.sha256(data).hexdigest() != sha256 for sha256, data in pictures.items())


def leaked_files(data_dir: Path) -> list[str]:
    """Half-written files and checkpoints that nobody needs any more, relative to the data directory."""
    left = [*data_dir.glob("blobs/*/.*"), *data_dir.glob("checkpoints/**/*")]
    return sorted(str(path.relative_to(data_dir)) for path in left if path.is_file())


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """What the receiver of webhooks saw."""

    missing: int
    out_of_order: int
    forged: int
    repeated: int


def deliveries(seen: Iterable[Mapping[str, Any]], expected: Mapping[str, Sequence[str]]) -> Deliveries:
    """`expected` are the events each job owes its tenant, in order.

    An event may come more than once, but always under one id; a job's events have to arrive in order, repeats aside.
    """
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    order: dict[str, list[str]] = defaultdict(list)
    forged = repeated = 0
    for line in seen:
        if not line["is_genuine"]:
            forged += 1
            continue
        job_id, kind = line["job_id"], line["type"]
        if kind in order[job_id]:
            repeated += 1
        else:
            order[job_id].append(kind)
        ids[job_id, kind].add(line["webhook_id"])
    return Deliveries(
        missing=sum(kind not in order[job_id] for job_id, kinds in expected.items() for kind in kinds),
        out_of_order=sum(
            [kind for kind in order[job_id] if kind in kinds] != [kind for kind in kinds if kind in order[job_id]]
            for job_id, kinds in expected.items()
        ),
        forged=forged + sum(len(each) > 1 for each in ids.values()),
        repeated=repeated,
    )
