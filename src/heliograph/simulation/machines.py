"""The modelled fleet: nodes with weights in memory and on disk, GPUs that come and go, workers that hold models.

It keeps its own account of what every GPU does, independent of what the scheduler believes, and refuses to hold more
bytes on a GPU than it has.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from heliograph.domain.ids import GpuId, JobId, ModelId, WorkerId
from heliograph.domain.run import RunOrder
from heliograph.domain.views import Gpu
from heliograph.simulation.measures import Measures
from heliograph.simulation.report import GpuHours, Strip
from heliograph.simulation.scenario import GpuGroup, Machine


@dataclass(slots=True)
class Run:
    """One attempt on a worker. `left_s` is the work that is left, in GPU-seconds, as of `updated_s`.

    Several runs on one GPU share it evenly (`pace` 1 / their number). `token` tells the end that was scheduled last
    from earlier ones. A run that goes wrong does so with `fault`, `beyond_s` GPU-seconds before it would have ended.
    What it had done until `kept_s` is kept.
    """

    order: RunOrder
    work_s: float
    left_s: float
    begun_s: float = 0.0
    has_begun: bool = False
    pace: float = 1.0
    updated_s: float = 0.0
    token: int = 0
    fault: str | None = None
    beyond_s: float = 0.0
    kept_s: float = 0.0

    def advance(self, now_s: float) -> None:
        """Note the work done since the last look."""
        self.left_s = max(self.left_s - (now_s - self.updated_s) * self.pace, 0.0)
        self.updated_s = now_s

    @property
    def steps_done(self) -> int:
        """Whole steps behind it; exact just after `advance`."""
        left = (self.left_s + self.beyond_s) / max(self.work_s, 1e-9)
        return max(min(int(self.order.steps * (1.0 - left) + 1e-6), self.order.steps), self.order.first_step)


@dataclass(slots=True)
class Replica:
    """One worker with one model, on one GPU or on several of a node; `memory_bytes` are held on each."""

    worker_id: WorkerId
    gpus: tuple["Machined", ...]
    model_id: ModelId
    memory_bytes: int
    is_ready: bool = False
    is_stopping: bool = False
    is_hanging: bool = False
    run: Run | None = None

    @property
    def gpu(self) -> "Machined":
        """The first of its GPUs."""
        return self.gpus[0]

    def pace(self) -> float:
        """How fast its run goes where others run on the same GPUs."""
        return 1.0 / max(machined.active for machined in self.gpus)


class Cache:
    """Weights by model, most recently used last, within a number of gigabytes."""

    def __init__(self, capacity_gb: float) -> None:
        self._capacity_gb = capacity_gb
        self._held: OrderedDict[ModelId, float] = OrderedDict()
        self._held_gb = 0.0
        self.models: frozenset[ModelId] = frozenset()
        """What is held."""

    def __contains__(self, model_id: ModelId) -> bool:
        return model_id in self._held

    def use(self, model_id: ModelId, size_gb: float) -> None:
        """Hold the model, at the cost of those not used for longest; one that is too big is not held."""
        if model_id in self._held:
            self._held.move_to_end(model_id)
            return
        if size_gb > self._capacity_gb:
            return
        self._held[model_id] = size_gb
        self._held_gb += size_gb
        while self._held_gb > self._capacity_gb:
            self._held_gb -= self._held.popitem(last=False)[1]
        self.models = frozenset(self._held)

    def clear(self) -> None:
        """The machine is another one now."""
        self._held.clear()
        self.models = frozenset()
        self._held_gb = 0.0


@dataclass(slots=True)
class Node:
    """What the GPUs of one machine share."""

    node_id: str
    memory: Cache
    disk: Cache


@dataclass(slots=True)
class Machined:
    """One GPU and its account. `state` is what it does since `since_s`, `what` the same with the model."""

    gpu: Gpu
    group: GpuGroup
    node: Node
    usd_per_s: float
    is_up: bool = False
    is_available: bool = False
    is_owned: bool = True
    replicas: list[Replica] = field(default_factory=list[Replica])
    active: int = 0
    held_bytes: int = 0
    state: str = "off"
    what: str = "off"
    since_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    cell: dict[str, float] = field(default_factory=dict[str, float])
    cells: list[str] = field(default_factory=list[str])


WORKING = frozenset({"busy", "loading"})


class Machines:
    """All GPUs, by id and in a stable order, and every worker on them."""

    def __init__(self, groups: tuple[GpuGroup, ...], gpus: list[Gpu], prices: list[float], machine: Machine) -> None:
        self.replicas: dict[WorkerId, Replica] = {}
        self.gpus: dict[GpuId, Machined] = {}
        self.nodes: dict[str, Node] = {}
        numbers = iter(zip(gpus, prices, strict=True))
        for group in groups:
            for _ in range(group.count):
                gpu, usd_per_hour = next(numbers)
                node = self.nodes.get(gpu.node_id)
                if node is None:
                    memory, disk = Cache(machine.host_memory_gb), Cache(machine.disk_gb)
                    node = self.nodes[gpu.node_id] = Node(node_id=gpu.node_id, memory=memory, disk=disk)
                self.gpus[gpu.gpu_id] = Machined(gpu=gpu, group=group, node=node, usd_per_s=usd_per_hour / 3600)
        self.loaded: dict[ModelId, int] = {}
        self.lost_s = 0.0
        self.usd = 0.0

    def in_host_memory(self) -> dict[str, frozenset[ModelId]]:
        """Which models' weights each node holds in its memory."""
        return {node_id: node.memory.models for node_id, node in self.nodes.items()}

    def add(self, replica: Replica) -> None:
        """A worker starts."""
        assert replica.worker_id not in self.replicas, f"worker {replica.worker_id} was started twice"
        self.replicas[replica.worker_id] = replica
        for machined in replica.gpus:
            machined.replicas.append(replica)
            machined.held_bytes += replica.memory_bytes

    def ready(self, replica: Replica) -> None:
        """Its model is loaded."""
        replica.is_ready = True
        self.loaded[replica.model_id] = self.loaded.get(replica.model_id, 0) + 1

    def remove(self, replica: Replica) -> None:
        """A worker is gone."""
        del self.replicas[replica.worker_id]
        for machined in replica.gpus:
            machined.replicas.remove(replica)
            machined.held_bytes -= replica.memory_bytes
        if replica.is_ready:
            self.loaded[replica.model_id] -= 1

    def check(self) -> None:
        """Assert that no GPU holds more than it has, and that what runs runs where it can."""
        held: dict[tuple[JobId, int], WorkerId] = {}
        for machined in self.gpus.values():
            total = sum(replica.memory_bytes for replica in machined.replicas)
            assert total == machined.held_bytes, f"{machined.gpu.gpu_id}: memory is miscounted"
            assert total <= machined.gpu.memory_bytes, f"{machined.gpu.gpu_id} holds {total} bytes, too many"
            assert machined.is_up or not machined.replicas, f"{machined.gpu.gpu_id} is gone and holds workers"
            running = [replica for replica in machined.replicas if replica.run is not None]
            assert machined.active == len(running), f"{machined.gpu.gpu_id}: runs are miscounted"
            for replica in running:
                assert replica.run is not None
                name = (replica.run.order.job_id, replica.run.order.attempt)
                holder = held.setdefault(name, replica.worker_id)
                assert holder == replica.worker_id, f"job {name[0]} attempt {name[1]} runs twice"

    # --- accounts ---------------------------------------------------------------------------------------------------

    def settle(self, machined: Machined, now_s: float, end_s: float, measures: Measures, bucket_s: float) -> None:
        """Book what the GPU did since the last time, bucket by bucket, and note what it does from now on.

        After the end of the scenario work is paid for, idle time is not: jobs that finish late cost what they take, and
        nobody holds GPUs for requests that no longer come.
        """
        at_s, until_s = machined.since_s, min(now_s, end_s)
        if at_s < until_s:
            index = measures.bucket(at_s)
            while index < measures.last_bucket and (index + 1) * bucket_s < until_s:
                to_s = (index + 1) * bucket_s
                if to_s > at_s:
                    self._book(machined, index, to_s - at_s, measures)
                    at_s = to_s
                index += 1
            self._book(machined, index, until_s - at_s, measures)
        late_s = now_s - max(at_s, end_s)
        if late_s > 0 and machined.state in WORKING:
            machined.seconds[machined.state] = machined.seconds.get(machined.state, 0.0) + late_s
            self.usd += late_s * machined.usd_per_s
            measures.late(late_s * machined.usd_per_s)
        machined.since_s = max(at_s, now_s)
        machined.state, machined.what = _doing(machined)

    def _book(self, machined: Machined, index: int, passed_s: float, measures: Measures) -> None:
        while len(machined.cells) < index:
            machined.cells.append(_most(machined.cell))
            machined.cell = {}
        state, what = machined.state, machined.what
        machined.cell[what] = machined.cell.get(what, 0.0) + passed_s
        machined.seconds[state] = machined.seconds.get(state, 0.0) + passed_s
        if state != "off":
            usd = passed_s * machined.usd_per_s
            self.usd += usd
            measures.gpu(index, passed_s, is_busy=state == "busy", usd=usd)

    def gpu_hours(self) -> GpuHours:
        """Where the time went."""

        def hours(state: str) -> float:
            return sum(machined.seconds.get(state, 0.0) for machined in self.gpus.values()) / 3600

        lost = self.lost_s / 3600
        parts = {state: hours(state) for state in ("busy", "loading", "idle", "empty")}
        return GpuHours(
            paid=sum(parts.values()),
            busy=max(parts["busy"] - lost, 0.0),
            lost=lost,
            loading=parts["loading"],
            idle=parts["idle"],
            empty=parts["empty"],
        )

    def strips(self) -> tuple[Strip, ...]:
        """Every GPU's time, one cell per bucket."""
        return tuple(
            Strip(
                gpu=machined.gpu.gpu_id,
                gpu_class=machined.gpu.gpu_class,
                term=machined.group.term.value,
                zone=machined.group.zone,
                cells=(*machined.cells, _most(machined.cell)),
            )
            for machined in self.gpus.values()
        )


def _doing(machined: Machined) -> tuple[str, str]:
    if not machined.is_up:
        return "off", "off"
    if not machined.replicas:
        return "empty", "empty"
    if machined.active:
        running = next(r for r in machined.replicas if r.run is not None and r.run.has_begun)
        return "busy", f"busy:{running.model_id}"
    loading = next((replica for replica in machined.replicas if not replica.is_ready), None)
    if loading is not None:
        return "loading", f"loading:{loading.model_id}"
    return "idle", f"idle:{machined.replicas[0].model_id}"


def _most(cell: dict[str, float]) -> str:
    return max(cell, key=lambda key: (cell[key], key)) if cell else "off"
