"""Random fleets, demand, orders and bad luck against what every fleet plan and every capacity plan must keep.

The machine plays the world: it loads and unloads what the plan says (slowly, and not always with success), buys and
returns GPUs, lets work come and go, and an operator interfere. After every plan it checks the commands against what the
world knows; at the end, with everything quiet, whoever waits is served within the bound that the docs state.
"""

from collections import Counter
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from heliograph.domain.commands import BuyGpu, ReleaseGpu, StartReplica, StopReplica
from heliograph.domain.ids import GpuId, ModelId, WorkerId
from heliograph.domain.money import Micros
from heliograph.domain.orders import Halt, Orders, Scope
from heliograph.domain.views import FleetView, Gpu, Market, ModelQueue, QueueView, ReplicaState, ReplicaView
from heliograph.fleet.capacity import (
    Arriving,
    CapacityDemand,
    CapacityPolicy,
    CapacityState,
    CapacityView,
    Offer,
    plan_capacity,
)
from heliograph.fleet.demand import Demand
from heliograph.fleet.orders import plan_under_orders, with_orders
from heliograph.fleet.plan import FleetPolicy, fits, standings
from tests.builders import a_card

CARDS = {
    card.model_id: card
    for card in (
        a_card("small", vram_bytes=3, load_s=4.0),
        a_card("half", vram_bytes=5, load_s=8.0),
        a_card("whole", vram_bytes=10, load_s=12.0),
        a_card("gang", vram_bytes=6, gpus=2, load_s=10.0),
        a_card("unknown", vram_bytes=None, load_s=None),
    )
}
MODELS = tuple(CARDS)
OWN = tuple(Gpu(gpu_id=GpuId(f"own{index}"), gpu_class="h100", memory_bytes=10, node_id="n0") for index in range(3))
OFFERS = tuple(
    Offer(gpu_class="h100", market=market, zone=zone, micros_per_hour=Micros(round(usd * 1e6)))
    for market, zone, usd in (
        (Market.RESERVED, "a", 2.5),
        (Market.ON_DEMAND, "a", 4.0),
        (Market.SPOT, "a", 0.8),
        (Market.SPOT, "b", 0.9),
    )
)
PRICES = {(offer.market, offer.zone): offer.micros_per_hour for offer in OFFERS}
CAPACITY = CapacityPolicy(
    gpu_class="h100", base=1, gpus_max=6, micros_per_hour_max=Micros(9_000_000), up_s=5.0, down_s=20.0, zone_rest_s=10.0
)
SOME = st.integers(0, 999)
RUN_S = 5.0
"""The longest run of this world."""


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0
        self.policy = FleetPolicy(patience_s=5.0)
        self.demand: Demand | None = None
        self.orders = Orders()
        self.gpus: dict[GpuId, Gpu] = {gpu.gpu_id: gpu for gpu in OWN}
        self.leaving: set[GpuId] = set()
        self.replicas: dict[WorkerId, ReplicaView] = {}
        self.pending: Counter[ModelId] = Counter()
        self.off_spot: Counter[ModelId] = Counter()
        self.since_s: dict[ModelId, float] = {}
        self.failures: Counter[ModelId] = Counter()
        self.failed_at_s: dict[ModelId, float] = {}
        self.capacity_state = CapacityState()
        self.arriving: list[Arriving] = []
        self.taken_back: Counter[str] = Counter()
        self.refused_at_s: dict[str, float] = {}
        self.asked_s = 0.0
        self.names = 0

    @initialize(
        residents_max=st.sampled_from([1, 2, 4]),
        always_warm=st.lists(st.sampled_from(MODELS), max_size=2, unique=True),
        caps=st.dictionaries(st.sampled_from(MODELS), st.integers(1, 2), max_size=2),
        forecasts=st.booleans(),
    )
    def choose(self, residents_max: int, always_warm: list[ModelId], caps: dict[ModelId, int], forecasts: bool) -> None:
        self.policy = replace(
            self.policy, residents_max=residents_max, always_warm=tuple(always_warm), replicas_max=caps
        )
        self.demand = Demand() if forecasts else None

    # --- what the plans see ----------------------------------------------------------------------------------------

    def view(self) -> FleetView:
        gpus = tuple(gpu for gpu_id, gpu in self.gpus.items() if gpu_id not in self.leaving)
        there = {gpu.gpu_id for gpu in gpus}
        replicas = tuple(each for each in self.replicas.values() if there.issuperset(each.gpu_ids))
        return FleetView(gpus=gpus, replicas=replicas)

    def queue(self) -> QueueView:
        holders = Counter(each.model_id for each in self.replicas.values() if each.state is not ReplicaState.STOPPING)
        models = {*(model for model, number in self.pending.items() if number), *holders, *self.failures}
        return QueueView(
            models={
                model: ModelQueue(
                    pending=self.pending[model],
                    pending_s=self.pending[model] * RUN_S,
                    waiting_since_s=self.since_s.get(model) if self.pending[model] else None,
                    replicas=holders[model],
                    load_s=CARDS[model].load_s or 0.0,
                    off_spot_pending=min(self.off_spot[model], self.pending[model]),
                    load_failures=self.failures[model],
                    load_failed_at_s=self.failed_at_s.get(model, 0.0),
                )
                for model in sorted(models)
            }
        )

    # --- work ------------------------------------------------------------------------------------------------------

    @rule(model=st.sampled_from(MODELS), number=st.integers(1, 5), is_paid=st.booleans())
    def ask(self, model: ModelId, number: int, is_paid: bool) -> None:
        if not self.pending[model]:
            self.since_s[model] = self.now_s
        self.pending[model] += number
        self.off_spot[model] += number * is_paid
        self.asked_s += number * RUN_S
        if self.demand is not None:
            self.demand.note(model, "somebody", self.now_s)

    @precondition(lambda self: self.replicas)
    @rule(which=SOME)
    def begin_a_run(self, which: int) -> None:
        self.begin(pick(list(self.replicas.values()), which))

    def begin(self, replica: ReplicaView) -> None:
        taken = {
            gpu_id
            for each in self.replicas.values()
            if each.state is ReplicaState.BUSY or each.job_id is not None
            for gpu_id in each.gpu_ids
        }
        if replica.state is ReplicaState.READY and self.pending[replica.model_id] and taken.isdisjoint(replica.gpu_ids):
            self.pending[replica.model_id] -= 1
            self.since_s[replica.model_id] = self.now_s
            self.enter(replica, ReplicaState.BUSY)

    @precondition(lambda self: self.replicas)
    @rule(which=SOME)
    def end_a_run(self, which: int) -> None:
        replica = pick(list(self.replicas.values()), which)
        if replica.state is ReplicaState.BUSY:
            self.enter(replica, ReplicaState.READY)

    @rule(model=st.sampled_from(MODELS))
    def give_up_waiting(self, model: ModelId) -> None:
        self.pending[model] = self.off_spot[model] = 0

    # --- workers and GPUs ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.replicas)
    @rule(which=SOME, succeeds=st.booleans() | st.just(True))
    def finish_loading(self, which: int, succeeds: bool) -> None:
        replica = pick(list(self.replicas.values()), which)
        if replica.state is not ReplicaState.LOADING:
            return
        if succeeds:
            self.failures[replica.model_id] = 0
            self.replicas[replica.worker_id] = replace(
                replica, state=ReplicaState.READY, since_s=self.now_s, loaded_at_s=self.now_s
            )
        else:
            del self.replicas[replica.worker_id]
            self.failures[replica.model_id] += 1
            self.failed_at_s[replica.model_id] = self.now_s

    @precondition(lambda self: self.replicas)
    @rule(which=SOME)
    def lose_a_worker(self, which: int) -> None:
        del self.replicas[pick(list(self.replicas), which)]

    @precondition(lambda self: len(self.gpus) > 2)
    @rule(which=SOME, is_announced=st.booleans())
    def take_a_gpu_back(self, which: int, is_announced: bool) -> None:
        bought = [gpu_id for gpu_id, gpu in self.gpus.items() if gpu.market is not Market.RESERVED]
        if not bought:
            return
        gpu_id = pick(bought, which)
        if is_announced and gpu_id not in self.leaving:
            self.leaving.add(gpu_id)
            return
        self.taken_back[self.gpus[gpu_id].zone] += 1
        self.remove_gpu(gpu_id)

    def remove_gpu(self, gpu_id: GpuId) -> None:
        self.leaving.discard(gpu_id)
        del self.gpus[gpu_id]
        self.replicas = {name: each for name, each in self.replicas.items() if gpu_id not in each.gpu_ids}

    def enter(self, replica: ReplicaView, state: ReplicaState) -> None:
        self.replicas[replica.worker_id] = replace(replica, state=state, since_s=self.now_s)

    # --- the operator, and time ------------------------------------------------------------------------------------

    @rule(
        scope=st.sampled_from(Scope),
        model=st.sampled_from(MODELS),
        is_drain=st.booleans(),
        what=st.sampled_from(["halt", "resume", "pin", "unpin", "cap", "want"]),
    )
    def order(self, scope: Scope, model: ModelId, is_drain: bool, what: str) -> None:
        name = {Scope.MODEL: model, Scope.POOL: "h100", Scope.SYSTEM: ""}[scope]
        match what:
            case "halt":
                self.orders = self.orders.with_halt(Halt(scope=scope, name=name, is_drain=is_drain))
            case "resume":
                self.orders = Orders(pins=self.orders.pins, caps=self.orders.caps, wanted=self.orders.wanted)
            case "pin" | "unpin":
                self.orders = self.orders.with_pin(model, what == "pin")
            case "cap":
                self.orders = self.orders.with_cap(model, 1)
            case _:
                self.orders = self.orders.with_wanted(model, self.now_s + 30.0, now_s=self.now_s)

    @rule(passed_s=st.floats(0.0, 20.0) | st.sampled_from([-100.0, 400.0]))
    def pass_time(self, passed_s: float) -> None:
        """Or somebody sets the clock."""
        self.now_s += passed_s

    # --- the plans -------------------------------------------------------------------------------------------------

    @rule()
    def plan(self) -> None:
        view, queue = self.view(), self.queue()
        policy = with_orders(self.policy, self.orders, now_s=self.now_s)
        commands = plan_under_orders(view, queue, CARDS, self.policy, self.orders, now_s=self.now_s, demand=self.demand)
        stopped: set[WorkerId] = set()
        for command in commands:
            match command:
                case StopReplica(worker_id=worker_id, reason=reason):
                    replica = self.replicas[worker_id]
                    assert replica.state in (ReplicaState.READY, ReplicaState.BUSY), "it is loading, or stops already"
                    assert worker_id not in stopped, "told to stop twice"
                    assert reason, "every stop is explained"
                    self.check_stop(replica, policy)
                    stopped.add(worker_id)
                case StartReplica(gpu_id=gpu_id, model_id=model_id, more_gpu_ids=more, why=why):
                    assert why, "every load is explained"
                    self.check_start(model_id, (gpu_id, *more), policy)
                    self.names += 1
                    worker_id = WorkerId(f"w{self.names}")
                    self.replicas[worker_id] = ReplicaView(
                        worker_id=worker_id,
                        gpu_id=gpu_id,
                        model_id=model_id,
                        state=ReplicaState.LOADING,
                        since_s=self.now_s,
                        more_gpu_ids=more,
                    )
        for worker_id in stopped:
            # One that works finishes first; what it holds goes with it.
            if self.replicas[worker_id].state is ReplicaState.READY:
                del self.replicas[worker_id]
            else:
                self.enter(self.replicas[worker_id], ReplicaState.STOPPING)
        again = plan_under_orders(
            self.view(), self.queue(), CARDS, self.policy, self.orders, now_s=self.now_s, demand=self.demand
        )
        assert not {each for each in again if isinstance(each, StopReplica)} & set(commands), "it is stopped again"

    def check_stop(self, replica: ReplicaView, policy: FleetPolicy) -> None:
        waits = self.pending[replica.model_id] > 0
        is_halted = self.orders.halt_of(replica.model_id) is not None
        if waits and not is_halted:
            longest_s = max(
                self.now_s - self.since_s[model]
                for model, number in self.pending.items()
                if number and model != replica.model_id
            )
            assert longest_s >= policy.patience_s, "a model with queued work is unloaded for nobody who has waited"
        others_wait = any(number for model, number in self.pending.items() if model != replica.model_id)
        wanted = set(policy.wanted) - {replica.model_id}
        if replica.model_id in policy.always_warm and not is_halted:
            mates = sum(each.model_id == replica.model_id for each in self.replicas.values())
            assert others_wait or wanted or mates > 1, "an always-warm model is unloaded for nobody"
        assert replica.state is ReplicaState.READY or others_wait, "a busy worker is stopped for nobody"
        gpu_classes = {self.gpus[gpu_id].gpu_class for gpu_id in replica.gpu_ids}
        assert not any(self.orders.halts_pool(name) for name in gpu_classes), "a halted pool is left alone"

    def check_start(self, model_id: ModelId, gpu_ids: tuple[GpuId, ...], policy: FleetPolicy) -> None:
        card, gpus = CARDS[model_id], [self.gpus[gpu_id] for gpu_id in gpu_ids]
        assert len(set(gpu_ids)) == card.gpus, "a gang starts as a whole, each GPU once"
        assert len({gpu.node_id or gpu.gpu_id for gpu in gpus}) == 1, "on one node"
        assert all(fits(card, gpu) for gpu in gpus)
        assert self.leaving.isdisjoint(gpu_ids), "nothing is loaded on a GPU that is about to go"
        assert self.orders.halt_of(model_id, gpus[0].gpu_class) is None, "nothing halted is loaded"
        number = sum(
            each.model_id == model_id and each.state is not ReplicaState.STOPPING for each in self.replicas.values()
        )
        assert number < policy.replicas_max.get(model_id, 99), "the cap is kept"
        for gpu in gpus:
            there = [each for each in self.replicas.values() if gpu.gpu_id in each.gpu_ids]
            assert len(there) < self.policy.residents_max, "residents_max is kept"
            sizes = [CARDS[each.model_id].vram_bytes or gpu.memory_bytes for each in there]
            size = card.vram_bytes or gpu.memory_bytes
            assert sum(sizes) + size <= gpu.memory_bytes, "memory is promised twice"

    @rule()
    def trade(self) -> None:
        """Ask the capacity plan; what it buys comes at once, or is refused by the market."""
        busy = {gpu_id for each in self.replicas.values() for gpu_id in each.gpu_ids if each.state != "ready"}
        gpus = tuple(gpu for gpu_id, gpu in self.gpus.items() if gpu_id not in self.leaving)
        view = CapacityView(
            gpus=gpus,
            idle=frozenset(gpu.gpu_id for gpu in gpus if gpu.gpu_id not in busy),
            empty=frozenset(gpu.gpu_id for gpu in gpus if gpu.gpu_id not in busy),
            arriving=tuple(self.arriving),
            taken_back=dict(self.taken_back),
            refused_at_s=dict(self.refused_at_s),
        )
        off_spot = sum(min(self.off_spot[model], number) for model, number in self.pending.items()) * RUN_S
        demand = CapacityDemand(
            running=float(len(busy)),
            pending_s=sum(self.pending.values()) * RUN_S,
            off_spot_pending_s=off_spot,
            asked_s=self.asked_s,
        )
        commands, self.capacity_state = plan_capacity(
            view, demand, OFFERS, CAPACITY, now_s=self.now_s, state=self.capacity_state
        )
        for command in commands:
            match command:
                case BuyGpu(market=market, zone=zone, why=why):
                    assert why, "every purchase is explained"
                    assert (market, zone) in PRICES, "nobody offers that"
                    self.arriving.append(Arriving(market=market, zone=zone, since_s=self.now_s))
                    self.check_budget()
                case ReleaseGpu(gpu_id=gpu_id, why=why):
                    assert why, "every return is explained"
                    assert gpu_id in view.idle, "a GPU that works is given back"
                    assert self.gpus[gpu_id].market is not Market.RESERVED, "what is reserved stays"
                    self.remove_gpu(gpu_id)
        assert self.capacity_state.offered >= 0.0
        assert all(seconds >= 0.0 for seconds in self.capacity_state.need_s)

    def check_budget(self) -> None:
        owned = [(gpu.market, gpu.zone or "a") for gpu_id, gpu in self.gpus.items() if gpu_id not in self.leaving]
        owned += [(each.market, each.zone) for each in self.arriving]
        assert len(owned) <= CAPACITY.gpus_max, "more than gpus_max"
        bought = sum(PRICES[each] for each in owned if each[0] is not Market.RESERVED)
        assert CAPACITY.micros_per_hour_max is not None
        assert bought <= CAPACITY.micros_per_hour_max, "over the budget"

    @precondition(lambda self: self.arriving)
    @rule(which=SOME, comes=st.booleans())
    def deliver_a_gpu(self, which: int, comes: bool) -> None:
        asked = pick(self.arriving, which)
        self.arriving.remove(asked)
        if not comes:
            self.refused_at_s[asked.zone] = self.now_s
            return
        self.names += 1
        gpu_id = GpuId(f"bought{self.names}")
        self.gpus[gpu_id] = Gpu(gpu_id=gpu_id, gpu_class="h100", memory_bytes=10, market=asked.market, zone=asked.zone)

    # --- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def no_gpu_is_overfull(self) -> None:
        for gpu in self.gpus.values():
            there = [each for each in self.replicas.values() if gpu.gpu_id in each.gpu_ids]
            assert len(there) <= self.policy.residents_max
            assert sum(CARDS[each.model_id].vram_bytes or gpu.memory_bytes for each in there) <= gpu.memory_bytes

    @invariant()
    def every_replica_has_a_reason(self) -> None:
        policy = with_orders(self.policy, self.orders, now_s=self.now_s)
        found = standings(self.view(), self.queue(), CARDS, policy, now_s=self.now_s, demand=self.demand)
        assert found.keys() == {each.worker_id for each in self.view().replicas}
        assert all(each.why and 0.0 < each.share <= 1.0 for each in found.values())

    def teardown(self) -> None:
        """Everything is quiet: whoever waits has a replica within the bound, whatever there was before.

        One model's turn is at most its load, the run of whoever gives way, `patience_s`, and `turn_loads` loads of the
        one that comes next.
        """
        self.now_s = max(self.now_s, 1_000.0) + 1_000.0
        self.orders = Orders()
        self.policy = replace(self.policy, replicas_max={}, always_warm=())
        self.leaving.clear()
        for model in MODELS:
            self.give_up_waiting(model)
            self.ask(model, 1, is_paid=True)
        served: dict[ModelId, float] = {}
        longest_load_s = 30.0  # what the plan takes an unknown load to be
        turn_s = self.policy.patience_s + (1 + self.policy.turn_loads) * longest_load_s + RUN_S
        bound_s, began_s = turn_s * len(MODELS), self.now_s
        while len(served) < len(MODELS):
            assert self.now_s - began_s <= bound_s, f"{set(MODELS) - served.keys()} waited for more than {bound_s:g} s"
            self.plan()
            for replica in list(self.replicas.values()):
                age_s = self.now_s - replica.since_s
                if replica.state is ReplicaState.LOADING and age_s >= (CARDS[replica.model_id].load_s or 30.0):
                    self.replicas[replica.worker_id] = replace(
                        replica, state=ReplicaState.READY, since_s=self.now_s, loaded_at_s=self.now_s
                    )
                elif replica.state is ReplicaState.BUSY and age_s >= RUN_S:
                    self.enter(replica, ReplicaState.READY)
                elif replica.state is ReplicaState.STOPPING and age_s >= RUN_S:
                    del self.replicas[replica.worker_id]
                elif replica.state is ReplicaState.READY and self.pending[replica.model_id]:
                    self.begin(replica)
                    if not self.pending[replica.model_id]:
                        served.setdefault(replica.model_id, self.now_s)
                        # Others keep coming: the bound is about being served once, whatever the others do.
                        self.ask(replica.model_id, 1, is_paid=True)
            self.now_s += 1.0


def pick(things: list, which: int):  # type: ignore[no-untyped-def,type-arg]
    return things[which % len(things)]


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
