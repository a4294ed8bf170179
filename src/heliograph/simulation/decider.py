"""Who decides in a simulation: the production scheduler, router and fleet plan, or a baseline to compare them with."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from heliograph.domain.commands import CapacityCommand, Command, FleetCommand
from heliograph.domain.events import Event, HaltsSet, JobSubmitted
from heliograph.domain.ids import GpuId, JobId, ModelId
from heliograph.domain.model_card import Catalogue, EngineKind, ModelCard
from heliograph.domain.orders import Orders
from heliograph.domain.tiers import Tier
from heliograph.domain.views import Gpu, Interval, Market, QueueView, ReplicaState
from heliograph.fleet.capacity import Arriving, CapacityDemand, CapacityState, CapacityView, Offer, plan_capacity
from heliograph.fleet.demand import Demand
from heliograph.fleet.orders import plan_under_orders
from heliograph.routing.route import NoRoute, Wants, route
from heliograph.scheduling import Profiles, Scheduler
from heliograph.simulation.scenario import PolicySet

ENGINES = frozenset({EngineKind.FAKE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What a driver knows of the fleet and the scheduler does not: which GPUs are there now, and which models' weights
    lie in the memory of which node."""

    gpus: Collection[GpuId]
    in_host_memory: Mapping[str, frozenset[ModelId]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What is owned now, what is on its way, and how the market behaved: the driver's part of a `CapacityView`."""

    gpus: tuple[Gpu, ...]
    arriving: tuple[Arriving, ...]
    taken_back: Mapping[str, int]
    refused_at_s: Mapping[str, float]


class Decider(Protocol):
    """Events in, commands out, and the fleet plan's wishes; the same as the pipeline asks of production."""

    def handle(self, event: Event, *, now_s: float) -> list[Command]:
        """Fold one event into the state and return what should happen next, in order."""
        ...

    def wishes(self, present: Present, *, now_s: float) -> Sequence[FleetCommand]:
        """What the fleet plan wants now."""
        ...

    def purchases(self, holdings: Holdings, *, now_s: float) -> Sequence[CapacityCommand]:
        """What to buy and to give back now; asked only where the policies have a capacity plan."""
        ...

    def why_not(self, model_id: ModelId, tier: Tier) -> str | None:
        """Code of the reason why a request of this tier for the model cannot be taken, or None."""
        ...

    def pending_jobs(self) -> int:
        """Jobs that wait for a GPU."""
        ...

    def is_open(self, job_id: JobId) -> bool:
        """The job has not ended."""
        ...

    def is_behind(self) -> bool:
        """It has not dealt with all that is due and wants another tick at once."""
        ...

    def open_jobs(self) -> int:
        """Jobs that have not ended."""
        ...

    def eta(self, job_id: JobId, *, now_s: float) -> Interval | None:
        """Expected seconds until an open job is delivered, with the interval that is promised."""
        ...

    def check(self) -> None:
        """Assert its own invariants."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What a decider is made of: GPUs that are there already, all that the scenario could have, the models, the
    policies, and what the market offers."""

    present: Sequence[Gpu]
    possible: Sequence[Gpu]
    cards: Mapping[ModelId, ModelCard]
    policies: PolicySet
    offers: tuple[Offer, ...] = ()


DeciderFactory = Callable[[Making], Decider]


class Production:
    """The code that runs the live pipeline, asked in the same order.

    The pipeline takes fresh views in every turn. Here a route is asked for only whether there is one, which depends on
    the model, on whether the tier may run on spot, on the GPUs there can be and on loads that failed: it is remembered
    while none has.
    """

    def __init__(self, making: Making) -> None:
        cards, policies = making.cards, making.policies
        profiles = Profiles()
        classes = frozenset(gpu.gpu_class for gpu in making.possible)
        for card in cards.values():
            profiles.set_prior(card, gpu_classes=classes)
        self._profiles = profiles
        self.scheduler = Scheduler(gpus=making.present, policy=policies.scheduler, profiles=profiles)
        self.is_open = self.scheduler.is_open
        self.is_behind = self.scheduler.is_behind
        self.open_jobs = self.scheduler.open_jobs
        self.check = self.scheduler.check
        self._cards = cards
        self._policy = policies.fleet
        self._demand = Demand() if policies.forecasts else None
        self._catalogue = Catalogue(cards=cards, aliases={})
        self._possible = tuple(making.possible)
        self._offers = making.offers
        self._capacity = policies.capacity
        self._capacity_state = CapacityState()
        self._orders = Orders()
        self._asked_s = 0.0
        self._refusals: dict[tuple[ModelId, bool], str | None] = {}
        self._spot_tiers = policies.scheduler.spot_tiers

    def handle(self, event: Event, *, now_s: float) -> list[Command]:
        """As in a turn of the pipeline: the forecast learns of a submission, then the scheduler decides."""
        if isinstance(event, JobSubmitted):
            job = event.job
            self._asked_s += self._profiles.run_s(job.request)
            if self._demand is not None:
                request = job.request
                asker = (job.tenant_id, job.end_user)
                self._demand.note(request.model_id, asker, now_s, images=request.image_count)
        if isinstance(event, HaltsSet):
            self._orders = Orders(halts=event.halts)
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
        queue = self.scheduler.queue_view()
        return plan_under_orders(view, queue, self._cards, self._policy, self._orders, now_s=now_s, demand=self._demand)

    def purchases(self, holdings: Holdings, *, now_s: float) -> Sequence[CapacityCommand]:
        """The production capacity plan: running and waiting work against what is owned."""
        if self._capacity is None:
            return ()
        fleet, queue = self.scheduler.fleet_view(), self.scheduler.queue_view()
        busy = {each.gpu_id for each in fleet.replicas if each.state in (ReplicaState.BUSY, ReplicaState.LOADING)}
        serving = {each.gpu_id for each in fleet.replicas if each.state in (ReplicaState.BUSY, ReplicaState.READY)}
        lines = [line for line in queue.models.values() if line.pending]
        pending_s = sum(line.pending_s for line in lines)
        on_spot = {gpu.gpu_id for gpu in holdings.gpus if gpu.market is Market.SPOT}
        view = CapacityView(
            gpus=holdings.gpus,
            idle=frozenset(gpu.gpu_id for gpu in holdings.gpus if gpu.gpu_id not in busy),
            empty=frozenset(gpu.gpu_id for gpu in holdings.gpus if gpu.gpu_id not in serving),
            arriving=holdings.arriving,
            taken_back=holdings.taken_back,
            refused_at_s=holdings.refused_at_s,
        )
        demand = CapacityDemand(
            running=float(len(busy)),
            pending_s=pending_s,
            off_spot_running=float(len(busy - on_spot)),
            off_spot_pending_s=sum(line.pending_s * line.off_spot_pending / line.pending for line in lines),
            asked_s=self._asked_s,
            rate=self._rate(now_s) if not busy and not lines else None,
        )
        commands, self._capacity_state = plan_capacity(
            view, demand, self._offers, self._capacity, now_s=now_s, state=self._capacity_state
        )
        return commands

    def _rate(self, now_s: float) -> float | None:
        """The chance per second that any model is asked for."""
        if self._demand is None:
            return None
        return sum(self._demand.rate(model_id, now_s) for model_id in self._demand.models())

    def why_not(self, model_id: ModelId, tier: Tier) -> str | None:
        """What the production router says of a request for the model. Spot GPUs that are away count: they come back."""
        key = (model_id, tier not in self._spot_tiers)
        if self.scheduler.load_failures(model_id):
            return self._refusal(*key)
        if key not in self._refusals:
            self._refusals[key] = self._refusal(*key)
        return self._refusals[key]

    def _refusal(self, model_id: ModelId, is_off_spot: bool) -> str | None:
        found = route(
            model_id,
            task=min(self._cards[model_id].tasks),
            catalogue=self._catalogue,
            engines=ENGINES,
            fleet=replace(self.scheduler.fleet_view(), gpus=self._possible),
            queue=QueueView(models={model_id: self.scheduler.queue_of(model_id)}),
            wants=Wants(is_off_spot=is_off_spot),
        )
        return found.code if isinstance(found, NoRoute) else None

    def pending_jobs(self) -> int:
        """Jobs that wait for a GPU."""
        return self.scheduler.open_jobs() - self.scheduler.running_jobs()

    def eta(self, job_id: JobId, *, now_s: float) -> Interval | None:
        """What the scheduler tells the job's owner."""
        view = self.scheduler.view(job_id, now_s=now_s)
        return None if view is None else view.eta
