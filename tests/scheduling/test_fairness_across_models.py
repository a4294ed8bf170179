"""Tenants share a GPU fairly whatever models they ask for: who asks for more of them is not due more."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count

import pytest

from heliograph.domain.commands import Command, Dispatch
from heliograph.domain.events import Event
from heliograph.domain.ids import ModelId
from heliograph.fleet.plan import FleetPolicy, StartReplica, StopReplica, plan
from heliograph.scheduling import Profiles, Scheduler
from tests.builders import (
    a_card,
    a_gpu,
    a_job,
    a_request,
    a_scheduler,
    a_timing,
    images_ready,
    outputs_stored,
    replica_requested,
    replica_stop_requested,
    run_started,
    submitted,
    worker_lost,
    worker_ready,
)


class Shared:
    """One GPU that every tenant floods: `asks` says with which models. A run takes a second, a load `load_s`."""

    def __init__(self, asks: Mapping[str, Sequence[str]], *, residents_max: int, load_s: float = 0.0) -> None:
        self._asks = asks
        models = sorted({model for models in asks.values() for model in models})
        self._cards = {
            ModelId(name): a_card(
                name, vram_bytes=10, load_s=load_s or 0.1, timings=(a_timing(seconds=1.0, width_px=256, height_px=256),)
            )
            for name in models
        }
        profiles = Profiles()
        for card in self._cards.values():
            profiles.set_prior(card, gpu_classes={"cpu"})
        self._scheduler: Scheduler = a_scheduler(
            workers=0, gpus=[a_gpu("gpu0")], profiles=profiles, pending_max=10_000, pending_max_per_tenant=10_000
        )
        self._policy = FleetPolicy(residents_max=residents_max, patience_s=5.0)
        self._load_s = load_s
        self._now_s = 0.0
        self._numbers = count(1)
        self._orders: list[Dispatch] = []
        self._loading: dict[str, float] = {}
        self.served: Counter[str] = Counter()

    def play(self, duration_s: float, *, flood: int = 20) -> Counter[str]:
        """Seconds of service by tenant."""
        while self._now_s < duration_s:
            for tenant, models in self._asks.items():
                for model in models:
                    waiting = sum(
                        entry.job.tenant_id == tenant and entry.job.request.model_id == model
                        for entry in self._scheduler._open.values()
                    )
                    for _ in range(flood - waiting):
                        self._submit(tenant, model)
            self._plan()
            for worker_id, ready_s in list(self._loading.items()):
                if ready_s <= self._now_s:
                    del self._loading[worker_id]
                    self._tell(worker_ready(worker_id, load_s=self._load_s))
            self._run()
            self._now_s += 1.0
            self._scheduler.check()
        return self.served

    def _submit(self, tenant: str, model: str) -> None:
        number = next(self._numbers)
        job = a_job(
            f"{tenant}-{number}",
            tenant=tenant,
            request=a_request(model=model),
            sequence=number,
            created_at_s=self._now_s,
        )
        self._tell(submitted(job))

    def _run(self) -> None:
        """What was dispatched runs for the second that now passes."""
        orders, self._orders = self._orders, []
        for dispatched in orders:
            order = dispatched.order
            self.served[order.job_id.split("-")[0]] += 1
            self._tell(run_started(order.job_id, attempt=order.attempt))
            self._tell(images_ready(order.job_id, attempt=order.attempt))
            self._tell(outputs_stored(order.job_id, attempt=order.attempt))

    def _plan(self) -> None:
        view, queue = self._scheduler.fleet_view(), self._scheduler.queue_view()
        for wish in plan(view, queue, self._cards, self._policy, now_s=self._now_s):
            match wish:
                case StartReplica(gpu_id=gpu_id, model_id=model_id):
                    worker_id = f"w{next(self._numbers)}"
                    self._tell(replica_requested(worker_id, gpu=gpu_id, model=model_id))
                    self._loading[worker_id] = self._now_s + self._load_s
                case StopReplica(worker_id=worker_id):
                    self._tell(replica_stop_requested(worker_id))

    def _tell(self, event: Event) -> None:
        stopped: list[str] = []
        for command in self._scheduler.handle(event, now_s=self._now_s):
            self._obey(command, stopped)
        for worker_id in stopped:
            self._tell(worker_lost(worker_id))

    def _obey(self, command: Command, stopped: list[str]) -> None:
        if isinstance(command, Dispatch):
            self._orders.append(command)
        if isinstance(command, StopReplica):
            stopped.append(command.worker_id)


@pytest.mark.parametrize(
    ("asks", "residents_max", "load_s"),
    [
        pytest.param({"many": "ab", "one": "b"}, 2, 0.0, id="both models loaded"),
        pytest.param({"many": "abcd", "one": "d"}, 4, 0.0, id="four models loaded"),
        pytest.param({"many": "abcd", "one": "e"}, 5, 0.0, id="each its own"),
        pytest.param({"many": "ab", "one": "b"}, 1, 2.0, id="one at a time"),
        pytest.param({"many": "abcd", "one": "e"}, 1, 2.0, id="one of five at a time"),
    ],
)
def test_asking_for_more_models_does_not_bring_more_of_the_gpu(
    asks: Mapping[str, str], residents_max: int, load_s: float
) -> None:
    served = Shared(asks, residents_max=residents_max, load_s=load_s).play(600.0)
    share = served["one"] / served.total()
    assert served.total() > 200
    assert 0.4 <= share <= 0.6, f"{share:.2f} of the service"
