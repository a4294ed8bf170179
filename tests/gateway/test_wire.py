import json
from dataclasses import replace

import pytest

from heliograph.domain.job import Failure, Job, JobState, Moment
from heliograph.domain.model_card import FrameRule, Measured, ModelCard
from heliograph.domain.pictures import Alignment
from heliograph.domain.request import Adjustment, OutputFormat
from heliograph.domain.views import Interval, ModelStatus
from heliograph.gateway.wire import job_json, model_json, output_json, progress_json, stage_timings, started_at_s
from tests.builders import a_card, a_job, a_request, a_status, an_output

LOST = Failure(code="worker_lost", message="The worker crashed.")


def moments(*entries: tuple[str, float]) -> Job:
    timeline = tuple(Moment(state=JobState(state), at_s=at_s) for state, at_s in entries)
    return a_job(timeline=timeline, state=timeline[-1].state, created_at_s=timeline[0].at_s)


def url(output_id: str, is_thumbnail: bool) -> str:
    return f"/{output_id}{'/small' if is_thumbnail else ''}"


def test_a_completed_job_shows_everything_the_reference_lists() -> None:
    change = Adjustment(parameter="seed", requested="unset", used="7", reason="Drawn.")
    request = a_request(prompt="a cat, watercolor", raw_prompt="a cat", adjustments=(change,), upscale=2)
    job = moments(("pending", 100.0), ("dispatched", 101.0), ("running", 101.5), ("completed", 104.0))
    job = a_job("cat", request=request, timeline=job.timeline, state=JobState.COMPLETED, created_at_s=100.0, attempt=1)
    output = an_output("out_1", alignment=Alignment(score=0.93124, missing=("windmill",)))
    shown = job_json(a_status(job, step=10, outputs=(output,), cost_micros=12), output_url=url)
    assert json.loads(json.dumps(shown)) == {
        "id": "cat",
        "object": "job",
        "status": "completed",
        "phase": "done",
        "model": "painter",
        "created_at": 100.0,
        "started_at": 101.5,
        "completed_at": 104.0,
        "queue_position": None,
        "eta_s": None,
        "eta": None,
        "progress": {"step": 10, "steps": 10, "fraction": 1.0},
        "attempt": 1,
        "retry": None,
        "reseeds": 0,
        "request": {
            "prompt": "a cat",
            "negative_prompt": "",
            "width": 256,
            "height": 256,
            "steps": 10,
            "guidance_scale": 5.0,
            "seed": 7,
            "n": 1,
            "frames": 1,
            "upscale": 2,
            "quality": "standard",
            "style": None,
            "output_format": "png",
            "output_quality": None,
            "inputs": None,
        },
        "adjustments": [{"parameter": "seed", "requested": "unset", "used": "7", "reason": "Drawn."}],
        "outputs": [
            {
                "id": "out_1",
                "index": 0,
                "url": "/out_1",
                "thumbnail_url": "/out_1/small",
                "availability": "delivered",
                "sha256": "0" * 64,
                "pixels_sha256": None,
                "bytes": 1000,
                "format": "png",
                "width": 256,
                "height": 256,
                "seed": 7,
                "thumbhash": "3OcRJYB4d3h/iIeHeEh3eIhw+j2w",
                "verdict": {"decision": "accept", "reasons": []},
                "alignment": 0.9312,
                "missing": ["windmill"],
                "technical": None,
                "safety": None,
                "made_with": None,
                "variants": [],
                "srcset": "/out_1?format=auto&w=256 256w",
            }
        ],
        "error": None,
        "timings": {"queue_s": 1.0, "dispatch_s": 0.5, "run_s": 2.5, "total_s": 4.0},
        "cost_micros": 12,
        "urls": {"self": "/v1/jobs/cat", "events": "/v1/jobs/cat/events", "cancel": "/v1/jobs/cat/cancel"},
    }


def test_a_picture_that_nothing_judged_says_so() -> None:
    shown = output_json(an_output(), output_url=url)
    assert (shown["alignment"], shown["missing"]) == (None, [])


def test_a_waiting_job_shows_its_place_and_no_timings() -> None:
    shown = job_json(a_status(a_job(), queue_position=3, eta_s=4.2), output_url=url)
    assert (shown["queue_position"], shown["eta_s"], shown["timings"]) == (3, 4.2, {})
    assert (shown["started_at"], shown["completed_at"], shown["outputs"]) == (None, None, [])


def test_a_failed_job_says_why() -> None:
    job = a_job(state=JobState.FAILED, failure=Failure(code="engine_crash", message="It broke."))
    assert job_json(a_status(job), output_url=url)["error"] == {"code": "engine_crash", "message": "It broke."}


def test_a_stage_entered_twice_counts_both_stays() -> None:
    job = moments(
        ("pending", 0.0),
        ("dispatched", 1.0),
        ("running", 2.0),
        ("pending", 5.0),
        ("dispatched", 9.0),
        ("running", 9.5),
        ("post_processing", 12.5),
        ("completed", 13.0),
    )
    assert stage_timings(job) == {
        "queue_s": 5.0,
        "dispatch_s": 1.5,
        "run_s": 6.0,
        "post_processing_s": 0.5,
        "total_s": 13.0,
    }
    assert started_at_s(job) == 9.5


def test_a_job_back_in_the_queue_has_not_started() -> None:
    assert started_at_s(moments(("pending", 0.0), ("dispatched", 1.0), ("running", 2.0), ("pending", 5.0))) is None


@pytest.mark.parametrize(
    ("state", "setback", "shown"),
    [
        (JobState.PENDING, None, None),
        (JobState.PENDING, LOST, {"attempt": 2, "of": 3, "code": "worker_lost", "message": "The worker crashed."}),
        (JobState.RUNNING, LOST, {"attempt": 2, "of": 3, "code": "worker_lost", "message": "The worker crashed."}),
        (JobState.COMPLETED, LOST, None),
    ],
)
def test_after_a_failed_attempt_the_next_one_and_the_reason_are_shown(
    state: JobState, setback: Failure | None, shown: object
) -> None:
    job = replace(a_job(state=state, failures=int(setback is not None)), setback=setback)
    assert job_json(a_status(job, attempts_max=3), output_url=url)["retry"] == shown


def test_progress_tells_step_place_and_phase() -> None:
    eta = Interval(low_s=0.6, expected_s=1.0, high_s=1.87654)
    assert progress_json(a_status(a_job(), step=4, eta_s=1.0, eta=eta, queue_position=2)) == {
        "step": 4,
        "steps": 10,
        "fraction": 0.4,
        "eta_s": 1.0,
        "eta": {"low_s": 0.6, "expected_s": 1.0, "high_s": 1.877},
        "phase": "waiting",
        "queue_position": 2,
    }


def test_a_clip_says_how_long_it_is_and_a_still_does_not() -> None:
    clip = output_json(an_output(frames=12, duration_s=1.5, output_format=OutputFormat.GIF), output_url=url)
    assert (clip["frames"], clip["duration_s"], clip["format"]) == (12, 1.5, "gif")
    assert not {"frames", "duration_s"} & set(output_json(an_output(), output_url=url))


def test_a_model_that_makes_clips_says_how_long_they_may_be() -> None:
    rule = FrameRule(minimum=8, maximum=16, default=12, per_second=8.0)
    status = ModelStatus(card=a_card(tasks=["t2v"], frames=rule), is_available=True, is_resident=False, wait_s=None)
    assert model_json(status, styles=())["frames"] == {"min": 8, "max": 16, "default": 12, "per_second": 8.0}


def test_a_built_in_model_shows_what_was_measured_and_others_that_nothing_was() -> None:
    measured = Measured(revision="1", domain="Landscapes.", weaknesses=("Thin lines.",), adherence={"time": 0.98})

    def shown(card: ModelCard) -> tuple[object, object, object]:
        model = model_json(ModelStatus(card=card, is_available=True, is_resident=False, wait_s=None), styles=())
        return model["domain"], model["weaknesses"], model["adherence"]

    assert shown(a_card(measured=measured)) == ("Landscapes.", ["Thin lines."], {"time": 0.98})
    assert shown(a_card()) == (None, [], {})


def test_a_model_shows_facts_and_blanks() -> None:
    card = a_card(guidance=None, token_limit=None, upscale=(2, 4), alignment="helio-clip")
    shown = model_json(
        ModelStatus(card=card, is_available=True, is_resident=False, wait_s=None), styles=("watercolor",)
    )
    assert (
        shown.items()
        >= {
            "id": "painter",
            "object": "model",
            "created": 0,
            "owned_by": "heliograph",
            "available": True,
            "resident": False,
            "est_seconds": None,
            "guidance": None,
            "frames": None,
            "token_limit": None,
            "styles": ["watercolor"],
            "upscale": [2, 4],
            "alignment": "helio-clip",
        }.items()
    )
    rule = card.sizes
    assert shown["sizes"]["default"] == f"{rule.default[0]}x{rule.default[1]}"
