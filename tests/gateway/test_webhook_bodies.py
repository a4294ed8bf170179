"""What a webhook says."""

import json
from dataclasses import replace

import pytest

from heliograph.billing.usage_export import UsageFormat
from heliograph.domain.ids import OutputId
from heliograph.domain.job import JobState
from heliograph.domain.webhooks import WebhookEvent
from heliograph.gateway.webhook_bodies import BODY_BYTES_MAX, body_of
from heliograph.storage.store import StoredJob
from tests.builders import a_job, a_request, an_output
from tests.storage.stored_samples import a_message

DONE = a_job("job_1", state=JobState.COMPLETED, request=a_request(prompt="a cat"), created_at_s=1_790_000_000.25)
STORED = StoredJob(job=DONE, outputs=(an_output("out_1", job="job_1"),), cost_micros=12)


def path(output_id: OutputId, is_thumbnail: bool) -> str:
    return f"/v1/outputs/{output_id}?signed" + ("&small" if is_thumbnail else "")


def told(event: WebhookEvent, stored: StoredJob = STORED) -> dict:
    message = replace(a_message(job="job_1", event=event), event_id="evt_1", at_s=1_790_000_000.25)
    return json.loads(body_of(message, stored, base_url="https://images.example", output_path=path))


def test_the_end_of_a_job_comes_with_its_pictures_and_its_cost() -> None:
    body = told(WebhookEvent.JOB_COMPLETED)
    data = body.pop("data")
    assert body == {
        "id": "evt_1",
        "object": "event",
        "type": "job.completed",
        "timestamp": "2026-09-21T14:13:20.250Z",
        "created_at": 1_790_000_000,
    }
    assert (data["id"], data["status"], data["cost_micros"]) == ("job_1", "completed", 12)
    (output,) = data["outputs"]
    assert output["url"] == "https://images.example/v1/outputs/out_1?signed"
    assert output["thumbnail_url"] == "https://images.example/v1/outputs/out_1?signed&small"


@pytest.mark.parametrize(
    ("event", "status"), [(WebhookEvent.JOB_SUBMITTED, "pending"), (WebhookEvent.JOB_STARTED, "running")]
)
def test_an_earlier_event_tells_what_was_true_then(event: WebhookEvent, status: str) -> None:
    data = told(event)["data"]
    assert (data["status"], data["outputs"], data["cost_micros"], data["completed_at"]) == (status, [], 0, None)


@pytest.mark.parametrize(
    ("event", "status", "outputs"),
    [
        (WebhookEvent.PREDICTION_START, "processing", 0),
        (WebhookEvent.PREDICTION_LOGS, "processing", 0),
        (WebhookEvent.PREDICTION_OUTPUT, "processing", 1),
        (WebhookEvent.PREDICTION_COMPLETED, "succeeded", 1),
    ],
)
def test_replicates_receivers_get_a_prediction(event: WebhookEvent, status: str, outputs: int) -> None:
    body = told(event)
    assert (body["id"], body["status"], len(body["output"] or ())) == ("job_1", status, outputs)
    assert body["urls"]["get"] == "https://images.example/v1/predictions/job_1"


def test_a_body_is_never_long() -> None:
    job = replace(DONE, request=a_request(prompt="ק" * 30_000, negative_prompt="x" * 30_000))
    message = replace(a_message(job="job_1"), at_s=1.0)
    body = body_of(message, replace(STORED, job=job), base_url="https://images.example", output_path=path)
    assert len(body) <= BODY_BYTES_MAX
    assert json.loads(body)["data"]["request"]["prompt"] == "ק" * 1_000


@pytest.mark.parametrize("shape", UsageFormat)
def test_usage_is_told_in_the_shape_of_the_billing_system(shape: UsageFormat) -> None:
    message = replace(a_message(job="job_1", event=WebhookEvent.USAGE_RECORDED), at_s=1_790_000_000.25)
    body = json.loads(body_of(message, STORED, base_url="https://images.example", output_path=path, usage_format=shape))
    if shape is UsageFormat.STRIPE:
        assert (body["identifier"], body["payload"]["value"]) == ("job_1:charge", "12")
    else:
        assert (body["id"], body["time"]) == ("job_1:charge", "2026-09-21T14:13:20.250Z")
        assert body["data"]["usd"] == "0.000012"
    assert "a cat" not in json.dumps(body)
