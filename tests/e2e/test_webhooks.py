"""Webhooks between real processes: the receiver and the server are killed and started again; nothing is lost."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import replicate
from standardwebhooks import Webhook

from tests.e2e.conftest import StartServer
from tests.e2e.receiver import Receiver
from tests.e2e.server import Server, eventually

pytestmark = pytest.mark.e2e

ENV = {
    "HELIOGRAPH_OUTBOUND__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
    "HELIOGRAPH_WEBHOOKS__RETRY_DELAYS_S": json.dumps([0.2] * 60),
    "HELIOGRAPH_WEBHOOKS__TIMEOUT_S": "1",
}
STORY = ["job.submitted", "job.started", "job.completed"]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    receiver = Receiver(tmp_path / "heard.jsonl").start()
    yield receiver
    receiver.kill()


def add_endpoint(server: Server, receiver: Receiver) -> dict[str, Any]:
    answer = server.http.post("/v1/webhooks/endpoints", json={"url": receiver.url})
    assert answer.status_code == 201, answer.text
    return answer.json()


def story(events: list[tuple[str, str]]) -> list[str]:
    """The events in order, each once. A repetition must come before anything later, with the same id."""
    told: list[str] = []
    ids: dict[str, str] = {}
    for event_id, kind in events:
        assert ids.setdefault(kind, event_id) == event_id, "a repetition has the same id"
        if not told or told[-1] != kind:
            told.append(kind)
    return told


def has_heard_all(receiver: Receiver, jobs: list[str]) -> bool:
    by_job = receiver.by_job()
    return all(len({kind for _, kind in by_job.get(job, ())}) == len(STORY) for job in jobs)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_nothing_is_lost_when_receiver_and_server_die_in_turn(
    start_server: StartServer, receiver: Receiver, kind: str, request: pytest.FixtureRequest
) -> None:
    store = {"HELIOGRAPH_STORE__URL": request.getfixturevalue("postgres_url")} if kind == "postgres" else {}
    server = start_server(env={**ENV, **store})
    endpoint = add_endpoint(server, receiver)
    jobs = [server.submit(steps=2)["id"] for _ in range(6)]
    eventually(lambda: receiver.heard(), within_s=10, what="a first delivery")
    receiver.kill()
    jobs += [server.submit(steps=2)["id"] for _ in range(6)]
    server.kill()
    receiver.start()
    server.start()
    jobs += [server.submit(steps=2)["id"] for _ in range(3)]
    receiver.signal(signal.SIGSTOP)
    jobs += [server.submit(steps=2)["id"] for _ in range(3)]
    server.finished(jobs[-1])
    receiver.kill()
    receiver.start()
    eventually(lambda: has_heard_all(receiver, jobs), within_s=30, what="every event of every job")

    by_job = receiver.by_job()
    assert {job: story(by_job[job]) for job in jobs} == dict.fromkeys(jobs, STORY)
    for delivery in receiver.heard():
        event = Webhook(endpoint["secret"]).verify(delivery["body"], delivery["headers"])
        assert event["data"]["id"] in jobs
    last = [json.loads(each["body"]) for each in receiver.heard() if "job.completed" in each["body"]][-1]
    url = last["data"]["outputs"][0]["url"]
    assert url.startswith(f"{server.url}/v1/outputs/")
    assert server.http.get(url).status_code == 200


def heliograph(server: Server, *arguments: str) -> str:
    command = [sys.executable, "-m", "heliograph", *arguments, "--data-dir", str(server.data_dir)]
    done = subprocess.run(command, env=server.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_delivery_that_was_given_up_is_found_and_sent_again(start_server: StartServer, receiver: Receiver) -> None:
    server = start_server(env={**ENV, "HELIOGRAPH_WEBHOOKS__RETRY_DELAYS_S": "[]"})
    added = json.loads(heliograph(server, "webhooks", "add", receiver.url, "--events", "job.completed", "--json"))
    receiver.kill()
    job = server.submit(steps=1)["id"]

    def given_up() -> Mapping[str, Any] | None:
        listed = server.http.get("/v1/webhooks/deliveries").json()["data"]
        return next((each for each in listed if each["state"] == "given_up"), None)

    delivery = eventually(given_up, within_s=20, what="a delivery that was given up")
    assert delivery["id"] in heliograph(server, "webhooks", "deliveries")
    assert (delivery["job_id"], delivery["tries"]) == (job, 1)
    assert "the connection failed" in delivery["last_error"]
    receiver.start()
    heliograph(server, "webhooks", "replay", added["id"])
    eventually(lambda: receiver.by_job().get(job), within_s=10, what="the delivery")
    shown = json.loads(heliograph(server, "webhooks", "deliveries", delivery["id"]))
    assert [one["status"] for one in shown["log"]] == [None, 204]
    heliograph(server, "webhooks", "replay", delivery["id"])
    eventually(lambda: len(receiver.by_job()[job]) == 2, within_s=10, what="the same delivery once more")
    assert len(set(receiver.by_job()[job])) == 1

    assert added["url"] in heliograph(server, "webhooks", "list")
    heliograph(server, "webhooks", "remove", added["id"])
    assert server.http.get("/v1/webhooks/deliveries").json()["data"] == []


def test_replicates_client_runs_a_model_and_hears_of_it(start_server: StartServer, receiver: Receiver) -> None:
    server = start_server(env=ENV)
    client = replicate.Client(api_token="unused", base_url=server.url)
    try:
        output = client.run("heliograph/fake", input={"prompt": "a red boat", "seed": 7, "num_inference_steps": 2})
        assert [server.http.get(str(each)).status_code for each in output] == [200]
        prediction = client.predictions.create(
            version="fake",
            input={"prompt": "a red boat", "num_inference_steps": 2},
            webhook=f"{receiver.url}?order=17",
        )
        prediction.wait()
        assert prediction.status == "succeeded"
        eventually(lambda: len(receiver.heard()) == 4, within_s=10, what="start, logs, output, completed")
        secret = client.webhooks.default.secret().key
    finally:
        client._client.close()
    bodies = [Webhook(secret).verify(each["body"], each["headers"]) for each in receiver.heard()]
    assert [(body["id"], body["status"]) for body in bodies] == [
        (prediction.id, "processing"),
        (prediction.id, "processing"),
        (prediction.id, "processing"),
        (prediction.id, "succeeded"),
    ]
    assert [len(body["output"] or ()) for body in bodies] == [0, 0, 1, 1]
    assert {each["path"] for each in receiver.heard()} == {"/hook?order=17"}


def test_a_key_sent_again_after_a_kill_gives_the_same_job(start_server: StartServer) -> None:
    server = start_server(fake='{"step_s": 0.05}')
    body = {"prompt": "a red boat", "model": "fake", "steps": 10}
    first = server.http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "order-17"}).json()
    server.reaches(first["id"], "running")
    server.kill()
    server.start()
    again = server.http.post("/v1/jobs", json=body, headers={"Idempotency-Key": '"order-17"', "Prefer": "wait=20"})
    assert (again.json()["id"], again.json()["status"]) == (first["id"], "completed")
    replayed = server.http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "order-17"}).json()
    assert replayed["outputs"] == again.json()["outputs"]
    other = server.http.post("/v1/jobs", json={**body, "steps": 9}, headers={"Idempotency-Key": "order-17"})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_mismatch")
    assert len(server.http.get("/v1/jobs").json()["data"]) == 1

    picture = {"prompt": "a red boat", "model": "fake", "steps": 2}
    headers = {"Idempotency-Key": "order-17"}
    one, two = (server.http.post("/v1/images/generations", json=picture, headers=headers).json() for _ in range(2))
    assert one["heliograph"]["job_id"] == two["heliograph"]["job_id"] != first["id"], "a key belongs to a path"
    assert one["data"] == two["data"]
