"""Which fault comes when: an endless sequence that a seed decides, so that a bad run can be had again."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What happens to the running system."""

    KILL_WORKER = "kill_worker"
    STOP_WORKER = "stop_worker"
    """SIGSTOP for a while, then SIGCONT: longer than a worker may be silent, or shorter."""
    KILL_POSTPROCESSOR = "kill_postprocessor"
    STOP_POSTPROCESSOR = "stop_postprocessor"
    KILL_SERVER = "kill_server"
    FILL_DISK = "fill_disk"
    """Nothing that the server or its children write gets longer, for a while."""
    STOP_DATABASE = "stop_database"
    """The database is ended as its host's crash would end it, and started again after a while."""
    STOP_OBJECTS = "stop_objects"
    """The object store is killed and started again after a while, or frozen and let go on."""
    DROP_RECEIVER = "drop_receiver"
    """The receiver of webhooks is killed and started again after a while."""


KILLS = frozenset({FaultKind.KILL_WORKER, FaultKind.KILL_POSTPROCESSOR, FaultKind.KILL_SERVER, FaultKind.DROP_RECEIVER})

WEIGHTS = {
    FaultKind.KILL_WORKER: 5,
    FaultKind.STOP_WORKER: 3,
    FaultKind.KILL_POSTPROCESSOR: 3,
    FaultKind.STOP_POSTPROCESSOR: 1,
    FaultKind.KILL_SERVER: 3,
    FaultKind.FILL_DISK: 2,
    FaultKind.STOP_DATABASE: 2,
    FaultKind.STOP_OBJECTS: 2,
    FaultKind.DROP_RECEIVER: 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`kind` happens `after_s` seconds after the fault before it and lasts `hold_s`; `pick` (0 to 1) says to whom."""

    kind: FaultKind
    after_s: float
    hold_s: float
    pick: float


def faults(seed: int, *, kinds: frozenset[FaultKind], every_s: float) -> Iterator[Fault]:
    """Faults for ever: one about every `every_s` seconds, each kind among the first few of a run."""
    chance = random.Random(seed)
    known = [kind for kind in FaultKind if kind in kinds]
    first = chance.sample(known, len(known))
    while True:
        kind = first.pop() if first else chance.choices(known, [WEIGHTS[each] for each in known])[0]
        yield Fault(
            kind=kind,
            after_s=chance.uniform(0.4, 1.6) * every_s,
            hold_s=chance.uniform(0.3, 3.0),
            pick=chance.random(),
        )
