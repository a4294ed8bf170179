"""One run: real server, real workers, tenants, faults; then calm, and the audit."""

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from heliograph.billing.prices import PriceBook
from tests.chaos.audit import Deliveries, Rows, bad_files, books, deliveries, leaked_files
from tests.chaos.processes import ChaosServer, ReceiverProcess, gone_within, marked, send
from tests.chaos.schedule import KILLS, Fault, FaultKind, faults
from tests.chaos.tenants import Tenant
from tests.object_servers import LocalBucket
from tests.postgres import PostgresServer

TIERS = {"acme": "pro", "birch": "standard", "cedar": "free"}
SETTINGS = {
    "HELIOGRAPH_FLEET__TESTING_MODELS": "true",
    "HELIOGRAPH_FLEET__ALWAYS_WARM": '["fake"]',
    "HELIOGRAPH_FLEET__WORKERS": "2",
    "HELIOGRAPH_FLEET__FAKE_ENGINE_OPTIONS": '{"step_s": 0.02}',
    "HELIOGRAPH_FLEET__STEP_TIMEOUT_S": "1.5",
    "HELIOGRAPH_QUEUE__ATTEMPTS_MAX": "12",
    "HELIOGRAPH_QUEUE__BACKOFF_S": "[0.0, 0.2, 0.5]",
    "HELIOGRAPH_OUTBOUND__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
    "HELIOGRAPH_WEBHOOKS__TIMEOUT_S": "3",
    "HELIOGRAPH_WEBHOOKS__RETRY_DELAYS_S": json.dumps([0.3] * 60),
}
"""Attempts are many, because a run kills more workers in a minute than a fleet in a month. The poison limit has tests
of its own."""

SETTLES_WITHIN_S = 120.0
WEBHOOKS_WITHIN_S = 60.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do: `every_s` is the mean time between faults, in seconds; `store` is `sqlite` or `postgres`, `pictures`
    `disk` or `s3`."""

    jobs: int
    seed: int
    store: str = "sqlite"
    pictures: str = "disk"
    every_s: float = 2.0
    gap_s: float = 0.12


class Chaos:
    """A run in `folder`, which must not exist yet."""

    def __init__(self, plan: Plan, folder: Path, say: Say) -> None:
        folder.mkdir(parents=True)
        self.plan = plan
        self.folder = folder
        self.say = say
        self.run_id = uuid.uuid4().hex
        self.happened: Counter[FaultKind] = Counter()
        self.database = PostgresServer() if plan.store == "postgres" else None
        env = dict(SETTINGS)
        if self.database is not None:
            self.database.start()
            self.database_url = env["HELIOGRAPH_STORE__URL"] = self.database.url(self.database.fresh_database())
        self.objects = LocalBucket(folder / "objects") if plan.pictures == "s3" else None
        if self.objects is not None:
            self.objects.start()
            env |= {
                "HELIOGRAPH_PICTURES__URL": f"{self.objects.url}/chaos",
                "HELIOGRAPH_PICTURES__OPTIONS": json.dumps(self.objects.options),
                "HELIOGRAPH_PICTURES__SECRET_OPTIONS": json.dumps(self.objects.secret_options),
                "HELIOGRAPH_PICTURES__TIMEOUT_S": "1",
                "HELIOGRAPH_PICTURES__WATCH_S": "0.3",
            }
        self.server = ChaosServer(folder / "data", folder / "server.log", run=self.run_id, env=env)
        self.tenants: list[Tenant] = []
        self._is_calm = asyncio.Event()
        self._database_lock = asyncio.Lock()
        self._receiver_lock = asyncio.Lock()
        self._objects_lock = asyncio.Lock()
        self.receiver = ReceiverProcess(folder)

    async def play(self) -> dict[str, Any]:
        """Submit, break, wait, audit. The figures, with those that have to be zero."""
        try:
            return await self._play()
        finally:
            for pid in marked(self.run_id):
                send(pid, signal.SIGKILL)
            self.receiver.kill()
            if self.objects is not None:
                self.objects.thaw_and_kill()
            if self.database is not None:
                self.database.remove()

    async def _play(self) -> dict[str, Any]:
        self._make_keys()
        self.server.start()
        await self._serves()
        await self._add_webhooks()
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as until_calm:
            until_calm.create_task(self._break())
            until_calm.create_task(self._supervise())
            await self._submit(began_s)
            self._is_calm.set()
        self.say(f"calm after {time.monotonic() - began_s:.0f} s; waiting for the rest")
        await self._settle()
        return await self._audit()

    async def _submit(self, began_s: float) -> None:
        share = self.plan.jobs // len(self.tenants)
        async with asyncio.TaskGroup() as submitting:
            for index, tenant in enumerate(self.tenants):
                more = self.plan.jobs - share * len(self.tenants) if index == 0 else 0
                chance = random.Random(f"{self.plan.seed}/{tenant.name}")
                submitting.create_task(tenant.submit(range(share + more), chance, gap_s=self.plan.gap_s * 3))
            submitting.create_task(self._tell(began_s))

    # --- set-up ------------------------------------------------------------------------------------------------------

    def _make_keys(self) -> None:
        for name, tier in TIERS.items():
            command = [sys.executable, "-m", "heliograph", "keys", "create", "--name", "chaos"]
            answer = subprocess.run(
                [*command, "--tenant", name, "--tier", tier, "--json", "--data-dir", str(self.server.data_dir)],
                env=self.server.env,
                capture_output=True,
                text=True,
                check=False,
            )
            assert answer.returncode == 0, answer.stderr
            secret = json.loads(answer.stdout)["secret"]
            self.tenants.append(Tenant(name=name, tier=tier, secret=secret, url=self.server.url))

    async def _add_webhooks(self) -> None:
        secrets: dict[str, str] = {}
        for tenant in self.tenants:
            async with tenant.client() as http:
                body = {"url": f"{self.receiver.url}/{tenant.name}"}
                answer = await http.post("/v1/webhooks/endpoints", json=body)
                assert answer.status_code == 201, answer.text
                secrets[tenant.name] = answer.json()["secret"]
        self.receiver.knows(secrets)
        self.receiver.start()

    async def _serves(self) -> None:
        """Wait until it takes jobs, starting it again where it has ended by itself."""
        deadline_s = time.monotonic() + 60
        async with httpx.AsyncClient(trust_env=False) as http:
            while time.monotonic() < deadline_s:
                if self.server.has_ended():
                    self.server.start()
                with suppress(httpx.TransportError):
                    if (await http.get(f"{self.server.url}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.1)
        raise AssertionError(f"the server does not get ready; its log is {self.server.log}")

    # --- faults ------------------------------------------------------------------------------------------------------

    async def _supervise(self) -> None:
        """Start the server again when it ends, as a service manager does."""
        while not self._is_calm.is_set():
            if self.server.has_ended():
                await asyncio.sleep(0.5)
                self.server.start()
            await asyncio.sleep(0.1)

    async def _break(self) -> None:
        kinds = frozenset(FaultKind)
        if self.database is None:
            kinds -= {FaultKind.STOP_DATABASE}
        if self.objects is None:
            kinds -= {FaultKind.STOP_OBJECTS}
        async with asyncio.TaskGroup() as holding:
            for fault in faults(self.plan.seed, kinds=kinds, every_s=self.plan.every_s):
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._is_calm.wait(), fault.after_s)
                if self._is_calm.is_set():
                    return
                holding.create_task(self._do(fault))

    async def _do(self, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.KILL_WORKER | FaultKind.KILL_POSTPROCESSOR:
                happened = any(send(pid, signal.SIGKILL) for pid in self._victims(fault))
            case FaultKind.STOP_WORKER | FaultKind.STOP_POSTPROCESSOR:
                victims = self._victims(fault)
                happened = any(send(pid, signal.SIGSTOP) for pid in victims)
                await asyncio.sleep(fault.hold_s)
                for pid in victims:
                    send(pid, signal.SIGCONT)
            case FaultKind.KILL_SERVER:
                happened = not self.server.has_ended()
                self.server.kill()
            case FaultKind.FILL_DISK:
                full = self.server.fill_disk()
                await asyncio.sleep(fault.hold_s)
                self.server.free_disk(full)
                happened = bool(full)
            case FaultKind.STOP_DATABASE:
                async with self._database_lock:
                    happened = await self._stop_database(fault)
            case FaultKind.STOP_OBJECTS:
                async with self._objects_lock:
                    happened = await self._stop_objects(fault)
            case FaultKind.DROP_RECEIVER:
                async with self._receiver_lock:
                    self.receiver.kill()
                    await asyncio.sleep(fault.hold_s)
                    self.receiver.start()
                happened = True
        self.happened[fault.kind] += happened

    async def _stop_database(self, fault: Fault) -> bool:
        """Killed and started again, or frozen and let go on; one such fault at a time."""
        assert self.database is not None
        if fault.pick < 0.5:
            self.database.kill()
            await asyncio.sleep(fault.hold_s)
            await asyncio.to_thread(self.database.start)
        else:
            self.database.freeze()
            await asyncio.sleep(fault.hold_s)
            self.database.thaw()
        return True

    async def _stop_objects(self, fault: Fault) -> bool:
        """Killed and started again, or frozen and let go on; one such fault at a time."""
        assert self.objects is not None
        if fault.pick < 0.5:
            self.objects.kill()
            await asyncio.sleep(fault.hold_s)
            await asyncio.to_thread(self.objects.start)
        else:
            self.objects.freeze()
            await asyncio.sleep(fault.hold_s)
            self.objects.thaw()
        return True

    def _victims(self, fault: Fault) -> list[int]:
        is_worker = fault.kind in (FaultKind.KILL_WORKER, FaultKind.STOP_WORKER)
        found = self.server.workers() if is_worker else self.server.postprocessors()
        return [found[int(fault.pick * len(found))]] if found else []

    async def _tell(self, began_s: float) -> None:
        while (count := sum(len(tenant.acknowledged) for tenant in self.tenants)) < self.plan.jobs:
            spent_s = time.monotonic() - began_s
            left_s = spent_s / count * (self.plan.jobs - count) if count else 0
            faults_so_far = sum(self.happened.values())
            self.say(f"{count}/{self.plan.jobs} jobs, {faults_so_far} faults, about {left_s:.0f} s of submitting left")
            await asyncio.sleep(2)

    # --- afterwards --------------------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Everything acknowledged ends, or time runs out: what is open then is told as such."""
        await self._serves()
        deadline_s = time.monotonic() + SETTLES_WITHIN_S
        while time.monotonic() < deadline_s:
            for tenant in self.tenants:
                await tenant.follow()
            left = sum(len(tenant.acknowledged) - len(tenant.ended) for tenant in self.tenants)
            if not left:
                return
            self.say(f"{left} jobs are still open")
            await asyncio.sleep(0.5)

    async def _audit(self) -> dict[str, Any]:
        pictures: dict[str, bytes] = {}
        changed: list[str] = []
        replayed: list[str] = []
        for tenant in self.tenants:
            pictures |= await tenant.pictures()
            replayed += await tenant.replayed(20)
            changed += await tenant.changed()
        told = await self._told()
        code = self.server.stop()
        orphans = await asyncio.to_thread(gone_within, self.run_id, 5.0)
        for pid in orphans:
            send(pid, signal.SIGKILL)
        ids = [job.job_id for tenant in self.tenants for job in tenant.acknowledged]
        found = books(self._rows(), ids, PriceBook())
        leaked = leaked_files(self.server.data_dir)
        if leaked:
            self.say(f"left behind: {', '.join(leaked[:10])}")
        return {
            "jobs": self.plan.jobs,
            "acknowledged": len(ids),
            **asdict(found),
            "changed_outcomes": len(changed),
            "broken_replays": len(replayed),
            "bad_files": bad_files(pictures),
            "webhooks_missing": told.missing,
            "webhooks_out_of_order": told.out_of_order,
            "webhooks_forged": told.forged,
            "webhooks_repeated": told.repeated,
            "leaked_files": len(leaked),
            "orphans": len(orphans),
            "exit_code": code,
            "kills": sum(count for kind, count in self.happened.items() if kind in KILLS),
            "faults": {kind.value: self.happened[kind] for kind in FaultKind if self.happened[kind]},
        }

    async def _told(self) -> Deliveries:
        """What the receiver heard, once it has heard everything or waited long enough."""
        expected = {job_id: owed(job) for tenant in self.tenants for job_id, job in tenant.ended.items()}
        deadline_s = time.monotonic() + WEBHOOKS_WITHIN_S
        while True:
            found = deliveries(self.receiver.heard(), expected)
            if not found.missing or time.monotonic() > deadline_s:
                return found
            self.say(f"{found.missing} webhooks are still to come")
            await asyncio.sleep(0.5)

    def _rows(self) -> Rows:
        if self.database is not None:
            url = self.database_url

            def rows_of_postgres(sql: str) -> list[dict[str, Any]]:
                with psycopg.connect(url, row_factory=dict_row) as connection:
                    return connection.execute(sql.encode()).fetchall()

            return rows_of_postgres
        database = self.server.data_dir / "heliograph.sqlite"

        def rows(sql: str) -> list[dict[str, Any]]:
            with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(sql)]

        return rows


def owed(job: Mapping[str, Any]) -> tuple[str, ...]:
    """The events that an ended job owes its tenant, in order; whether a cancelled one had begun is not looked at."""
    started = ("job.started",) if job["status"] == "completed" else ()
    return ("job.submitted", *started, f"job.{job['status']}")


def passed(figures: dict[str, Any]) -> bool:
    """Nothing is lost, double, bad, out of order or left behind."""
    zero = ("still_open", "lost", "double_outcomes", "double_charges", "ledger_difference_micros", "changed_outcomes")
    more = ("broken_replays", "bad_files", "leaked_files", "orphans", "exit_code")
    webhooks = ("webhooks_missing", "webhooks_out_of_order", "webhooks_forged")
    return figures["acknowledged"] == figures["jobs"] and not any(figures[name] for name in (*zero, *more, *webhooks))
