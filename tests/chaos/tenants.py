"""Tenants that submit jobs and never give up: what was acknowledged to them is what the run is judged by."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import httpx

ENDED = frozenset({"completed", "failed", "cancelled", "expired"})
UNHEARD = (httpx.TransportError,)
"""The call may or may not have arrived."""


@dataclass(slots=True, kw_only=True)
class Acknowledged:
    """A job that the server answered 201 for: with which key it was submitted, and what it asked for."""

    job_id: str
    key: str
    body: dict[str, Any]
    asked_to_cancel: bool = False


@dataclass(slots=True, kw_only=True)
class Tenant:
    """One tenant with an API key. `submitted` counts acknowledged jobs; `repeats` are keys that were sent again because
    an answer was lost, `refusals` the answers by status that were no 201."""

    name: str
    tier: str
    secret: str
    url: str
    acknowledged: list[Acknowledged] = field(default_factory=list)
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    refusals: dict[int, int] = field(default_factory=dict)
    repeats: int = 0

    def client(self) -> httpx.AsyncClient:
        """A client that sends the key."""
        headers = {"Authorization": f"Bearer {self.secret}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, trust_env=False)

    async def submit(self, jobs: range, chance: random.Random, *, gap_s: float) -> None:
        """Submit one job per number, each until it is acknowledged; cancel some a moment later."""
        async with self.client() as http, asyncio.TaskGroup() as cancels:
            for number in jobs:
                body = a_job(number, chance)
                found = await self._until_acknowledged(http, f"{self.name}-{number}", body)
                self.acknowledged.append(found)
                if chance.random() < 0.06:
                    found.asked_to_cancel = True
                    cancels.create_task(self._cancel(http, found.job_id, chance.uniform(0, 1.0)))
                await asyncio.sleep(chance.expovariate(1 / gap_s))

    async def _until_acknowledged(self, http: httpx.AsyncClient, key: str, body: dict[str, Any]) -> Acknowledged:
        while True:
            try:
                answer = await http.post("/v1/jobs", json=body, headers={"Idempotency-Key": key})
            except UNHEARD:
                self.repeats += 1
                await asyncio.sleep(0.2)
                continue
            if answer.status_code == 201:
                return Acknowledged(job_id=answer.json()["id"], key=key, body=body)
            self.refusals[answer.status_code] = self.refusals.get(answer.status_code, 0) + 1
            if answer.status_code not in (409, 429, 503):
                raise AssertionError(f"{self.name}: {answer.status_code} {answer.text}")
            await asyncio.sleep(min(float(answer.headers.get("Retry-After", "0.3")), 1.0))

    async def _cancel(self, http: httpx.AsyncClient, job_id: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        while True:
            try:
                answer = await http.post(f"/v1/jobs/{job_id}/cancel")
            except UNHEARD:
                await asyncio.sleep(0.2)
                continue
            if answer.status_code == 200:
                return
            assert answer.status_code in (429, 503), answer.text
            await asyncio.sleep(0.2)

    async def follow(self) -> None:
        """Look at every job that has not been seen ended, once."""
        async with self.client() as http:
            for job in self.acknowledged:
                if job.job_id in self.ended:
                    continue
                try:
                    answer = await http.get(f"/v1/jobs/{job.job_id}")
                except UNHEARD:
                    return
                if answer.status_code == 200 and answer.json()["status"] in ENDED:
                    self.ended[job.job_id] = answer.json()

    async def changed(self) -> list[str]:
        """Jobs that ended, and are something else now: an outcome must never change."""
        found: list[str] = []
        async with self.client() as http:
            for job_id, before in self.ended.items():
                now = (await http.get(f"/v1/jobs/{job_id}")).json()
                if (now["status"], shas(now)) != (before["status"], shas(before)):
                    found.append(job_id)
        return found

    async def replayed(self, count: int) -> list[str]:
        """Of the last `count` jobs, those whose key gives another job when it is sent again."""
        found: list[str] = []
        async with self.client() as http:
            for job in self.acknowledged[-count:]:
                answer = await http.post("/v1/jobs", json=job.body, headers={"Idempotency-Key": job.key})
                if answer.json().get("id") != job.job_id:
                    found.append(job.job_id)
        return found

    async def pictures(self) -> dict[str, bytes]:
        """Every delivered picture by the SHA-256 the job gives for it; empty bytes for one that is not there."""
        found: dict[str, bytes] = {}
        async with self.client() as http:
            for job in self.ended.values():
                for output in job["outputs"]:
                    answer = await http.get(output["url"])
                    found[output["sha256"]] = answer.content if answer.status_code == 200 else b""
        return found


def shas(job: dict[str, Any]) -> list[str]:
    """What the job delivered."""
    return [output["sha256"] for output in job["outputs"]]


def a_job(number: int, chance: random.Random) -> dict[str, Any]:
    """A submission of the fake model: mostly one small picture of a few steps, sometimes several or many steps."""
    return {
        "prompt": f"picture {number} of a red boat",
        "model": "fake",
        "size": "64x64",
        "steps": chance.choice((1, 2, 3, 4, 4, 6, 30)),
        "n": chance.choice((1, 1, 1, 2)),
        "seed": number,
        "user": f"user-{chance.randrange(5)}",
    }
