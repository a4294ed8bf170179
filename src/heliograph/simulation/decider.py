"""Who decides in a simulation: the production scheduler, router and fleet plan, or a baseline to compare them with."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from heliograph.domain.commands import Command, FleetCommand
from heliograph.domain.events import Event, JobSubmitted
from heliograph.domain.ids import GpuId, JobId, ModelId
from heliograph.domain.model_card import Catalogue, EngineKind, ModelCard
from heliograph.domain.views import FleetView, Gpu, QueueView
from heliograph.fleet.demand import Demand
from heliograph.fleet.plan import plan
from heliograph.routing.route import NoRoute, Route, route
from heliograph.scheduling import Profiles, Scheduler
from heliograph.simulation.scenario import PolicySet

ENGINES = frozenset({EngineKind.FAKE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What a driver knows of the fleet and the scheduler does not: which GPUs are there now, and which models' weights
    lie in the memory of which node."""

    gpus: Collection[GpuId]
    in_host_memory: Mapping[str, frozenset[ModelId]]


class Decider(Protocol):
    """Events in, commands out, and the fleet plan's wishes; the same as the pipeline asks of production."""

    def handle(self, event: Event, *, now_s: float) -> list[Command]:
        """Fold one event into the state and return what should happen next, in order."""
        ...

    def wishes(self, present: Present, *, now_s: float) -> Sequence[FleetCommand]:
        """What the fleet plan wants now."""
        ...

    def why_not(self, model_id: ModelId) -> str | None:
        """Code of the reason why a request for the model cannot be taken, or None."""
        ...

    def pending_jobs(self) -> int:
        """Jobs that wait for a GPU."""
        ...

    def is_open(self, job_id: JobId) -> bool:
        """The job has not ended."""
        ...

    def open_jobs(self) -> int:
        """Jobs that have not ended."""
        ...

    def eta_s(self, job_id: JobId, *, now_s: float) -> float | None:
        """Expected seconds until an open job is delivered."""
        ...

    def check(self) -> None:
        """Assert its own invariants."""
        ...


DeciderFactory = Callable[[Sequence[Gpu], Mapping[ModelId, ModelCard], PolicySet], Decider]


class Production:
    """The code that runs the live pipeline, asked in the same order.

    The pipeline takes fresh views in every turn; here they are taken once per `wishes`, so that routes between two
    plans see the fleet as of the last one. A route is a function of the model and those views and remembered with them.
    """

    def __init__(self, gpus: Sequence[Gpu], cards: Mapping[ModelId, ModelCard], policies: PolicySet) -> None:
        profiles = Profiles()
        classes = frozenset(gpu.gpu_class for gpu in gpus)
        for card in cards.values():
            profiles.set_prior(card, gpu_classes=classes)
        self.scheduler = Scheduler(gpus=gpus, policy=policies.scheduler, profiles=profiles)
        self.is_open = self.scheduler.is_open
        self.open_jobs = self.scheduler.open_jobs
        self.check = self.scheduler.check
        self._cards = cards
        self._policy = policies.fleet
        self._demand = Demand() if policies.forecasts else None
        self._catalogue = Catalogue(cards=cards, aliases={})
        self._fleet = self.scheduler.fleet_view()
        self._queue = QueueView(models={})
        self._routes: dict[ModelId, Route | NoRoute] = {}

    def handle(self, event: Event, *, now_s: float) -> list[Command]:
        """As in a turn of the pipeline: the forecast learns of a submission, then the scheduler decides."""
        if self._demand is not None and isinstance(event, JobSubmitted):
            job = event.job
            self._demand.note(job.request.model_id, (job.tenant_id, job.end_user), now_s)
        return self.scheduler.handle(event, now_s=now_s)

    def wishes(self, present: Present, *, now_s: float) -> Sequence[FleetCommand]:
        """The production fleet plan over fresh views; GPUs that are not there are not in them."""
        view = replace(self.scheduler.fleet_view(), in_host_memory=present.in_host_memory)
        if len(present.gpus) < len(view.gpus):
            # A worker whose loss has not been noticed yet went with its GPU.
            view = replace(
                view,
                gpus=tuple(gpu for gpu in view.gpus if gpu.gpu_id in present.gpus),
                replicas=tuple(replica for replica in view.replicas if replica.gpu_id in present.gpus),
            )
        self._fleet, self._queue = view, self.scheduler.queue_view()
        self._routes.clear()
        return plan(view, self._queue, self._cards, self._policy, now_s=now_s, demand=self._demand)

    def why_not(self, model_id: ModelId) -> str | None:
        """What the production router says of a request for the model."""
        found = self._routes.get(model_id)
        if found is None:
            task = min(self._cards[model_id].tasks)
            found = self._routes[model_id] = route(
                model_id,
                task=task,
                catalogue=self._catalogue,
                engines=ENGINES,
                fleet=self._fleet_with_all_gpus(),
                queue=self._queue,
            )
        return found.code if isinstance(found, NoRoute) else None

    def pending_jobs(self) -> int:
        """Jobs that wait for a GPU."""
        return self.scheduler.open_jobs() - self.scheduler.running_jobs()

    def eta_s(self, job_id: JobId, *, now_s: float) -> float | None:
        """What the scheduler tells the job's owner."""
        view = self.scheduler.view(job_id, now_s=now_s)
        return None if view is None else view.eta_s

    def _fleet_with_all_gpus(self) -> FleetView:
        """Spot GPUs that are away come back: what fits only them is not impossible."""
        return self._fleet if len(self._fleet.gpus) else self.scheduler.fleet_view()
