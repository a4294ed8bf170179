"""Evidence in, findings out: each cause by the traces only it leaves, and nothing where those are missing."""

from collections.abc import Mapping

import pytest

from heliograph.domain.ids import ModelId
from heliograph.domain.orders import Halt, Scope
from heliograph.monitoring.diagnosis import Cause, DiagnosisPolicy, Severity, describe_calm, diagnose, missing_gpus
from heliograph.monitoring.evidence import Evidence, FleetLook, LineLook, Window

Counts = Mapping[tuple[str, ...], float]


def a_line(pending: int = 0, *, oldest_s: float = 0.0, each_s: float = 4.0, load_s: float = 20.0) -> LineLook:
    return LineLook(pending=pending, pending_s=pending * each_s, oldest_s=oldest_s, replicas=1, load_s=load_s)


def a_look(
    at_s: float,
    *,
    gpus: int = 10,
    busy: int = 5,
    loading: int = 0,
    spot: int = 0,
    line: LineLook | None = None,
    finishing: int = 0,
    halts: tuple[Halt, ...] = (),
) -> FleetLook:
    return FleetLook(
        at_s=at_s,
        gpus={"H100": gpus},
        busy={"H100": busy},
        loading={"H100": loading},
        markets={("a", "reserved"): gpus - spot, ("b", "spot"): spot},
        lines={ModelId("sdxl"): line or a_line()},
        finishing=finishing,
        halts=halts,
    )


def some_evidence(
    *looks: FleetLook,
    recent: Counts | None = None,
    longer: Counts | None = None,
    before: Counts | None = None,
    problems: Mapping[str, str] | None = None,
    observed_s: float = 1_800.0,
) -> Evidence:
    steady = looks or tuple(a_look(600.0 + 5 * number) for number in range(61))
    return Evidence(
        now_s=steady[-1].at_s,
        recent=Window(seconds=300.0, tally=recent or {}),
        longer=Window(seconds=observed_s, tally=longer or recent or {}),
        before=Window(seconds=3_600.0, tally=before or {}),
        looks=steady,
        problems=problems or {},
    )


def growing(*, busy: int, loading: int = 0, gpus: int = 10, spot_before: int = 0) -> tuple[FleetLook, ...]:
    """Five minutes in which the queue grows from nothing to two minutes of work for the whole fleet."""
    return tuple(
        a_look(
            600.0 + 5 * number,
            gpus=gpus + (spot_before if number < 10 else 0),
            spot=spot_before if number < 10 else 0,
            busy=busy,
            loading=loading,
            line=a_line(5 * number, oldest_s=2.0 * number),
        )
        for number in range(61)
    )


CASES: list[tuple[Cause, str | None, Evidence]] = [
    (Cause.UNDER_PROVISIONED, "H100", some_evidence(*growing(busy=10))),
    (
        Cause.TENANT_FLOOD,
        "acme",
        some_evidence(
            *growing(busy=10),
            recent={("asked_by", "acme"): 400, ("asked_by", "b"): 50},
            before={("asked_by", "acme"): 60, ("asked_by", "b"): 600},
        ),
    ),
    (
        Cause.COLD_START_STORM,
        None,
        some_evidence(
            *growing(busy=5, loading=5), recent={("load_started", f"model{number}"): 4 for number in range(6)}
        ),
    ),
    (Cause.SPOT_LOSS, "b", some_evidence(*growing(busy=10, spot_before=5))),
    (
        Cause.LOADS_FAIL,
        "sdxl",
        some_evidence(recent={("load_failed", "sdxl"): 3, ("load_started", "sdxl"): 3}),
    ),
    (
        Cause.BAD_REVISION,
        "sdxl",
        some_evidence(
            recent={("run_ended", "sdxl"): 40, ("run_failed", "sdxl"): 25},
            before={("run_ended", "sdxl"): 500, ("run_failed", "sdxl"): 2},
        ),
    ),
    (
        Cause.BAD_REVISION,
        "sdxl",
        some_evidence(
            recent={("run_ended", "sdxl"): 40, ("gate_rejected", "sdxl"): 25}, before={("run_ended", "sdxl"): 500}
        ),
    ),
    (
        Cause.BAD_GPU,
        "gpu3",
        some_evidence(recent={("worker_lost_on", "gpu3"): 4, ("worker_lost_on", "gpu1"): 1}),
    ),
    (
        Cause.BAD_GPU,
        "gpu3",
        some_evidence(recent={("run_failed_on", "gpu3"): 8, ("run_failed_on", "gpu1"): 1, ("run_ended_on", "gpu3"): 9}),
    ),
    (
        Cause.SLOW_GPU,
        "gpu3",
        some_evidence(
            recent={
                ("slow_runs", "gpu3"): 10,
                ("slow_ratio", "gpu3"): 21,
                ("slow_runs", "gpu1"): 40,
                ("slow_ratio", "gpu1"): 40,
            }
        ),
    ),
    (
        Cause.SLOW_POST_PROCESSING,
        None,
        some_evidence(
            recent={("finished",): 20, ("finish_s",): 120.0}, before={("finished",): 500, ("finish_s",): 200.0}
        ),
    ),
    (
        Cause.STORE_SLOW,
        None,
        some_evidence(
            recent={("commits",): 50, ("commit_s",): 40.0}, before={("commits",): 5_000, ("commit_s",): 20.0}
        ),
    ),
    (
        Cause.MODEL_TOO_LARGE,
        "sdxl",
        some_evidence(
            recent={
                ("memory_lost", "sdxl"): 4,
                ("memory_lost_on", "sdxl", "gpu1"): 2,
                ("memory_lost_on", "sdxl", "gpu2"): 2,
                ("load_failed", "sdxl"): 4,
            }
        ),
    ),
    (
        Cause.HALTED,
        "sdxl",
        some_evidence(
            *(
                a_look(
                    600.0 + 5 * number,
                    line=a_line(3, oldest_s=900.0 + 5 * number),
                    halts=(Halt(scope=Scope.MODEL, name="sdxl"),),
                )
                for number in range(61)
            )
        ),
    ),
    (
        Cause.WEBHOOKS_FAIL,
        None,
        some_evidence(recent={("webhook_tried",): 30, ("webhook_failed",): 28}),
    ),
    (
        Cause.PLACEMENT,
        "sdxl",
        some_evidence(*(a_look(600.0 + 5 * n, busy=2, line=a_line(4, oldest_s=300.0 + 5 * n)) for n in range(61))),
    ),
    (Cause.PART_FAILING, "store", some_evidence(problems={"store": "disk full"})),
]


@pytest.mark.parametrize(("cause", "subject", "evidence"), CASES, ids=lambda value: getattr(value, "value", ""))
def test_each_cause_is_named_first_by_its_own_traces(cause: Cause, subject: str | None, evidence: Evidence) -> None:
    first, *_ = diagnose(evidence)
    assert (first.cause, first.subject) == (cause, subject)
    assert first.summary.endswith((".", ")."))
    assert first.next_step
    assert first.facts


def test_every_cause_has_a_case() -> None:
    assert {cause for cause, _, _ in CASES} == set(Cause)


def test_busy_and_stable_is_fine() -> None:
    busy = tuple(a_look(600.0 + 5 * number, busy=10, line=a_line(8, oldest_s=6.0)) for number in range(61))
    evidence = some_evidence(*busy)
    assert diagnose(evidence) == ()
    assert "100% busy" in describe_calm(evidence)


def test_a_surge_of_everybody_is_no_flood_of_its_largest_tenant() -> None:
    evidence = some_evidence(
        *growing(busy=10),
        recent={("asked_by", "acme"): 400, **{("asked_by", f"t{number}"): 60 for number in range(6)}},
        before={("asked_by", "acme"): 400, **{("asked_by", f"t{number}"): 60 for number in range(6)}},
    )
    assert [finding.cause for finding in diagnose(evidence)] == [Cause.UNDER_PROVISIONED]


def test_a_single_crash_or_failure_is_no_incident() -> None:
    evidence = some_evidence(
        recent={
            ("worker_lost_on", "gpu3"): 1,
            ("load_failed", "sdxl"): 1,
            ("run_failed", "sdxl"): 2,
            ("run_failed_on", "gpu3"): 2,
            ("run_ended", "sdxl"): 4,
        }
    )
    assert diagnose(evidence) == ()


def test_a_broken_gpu_is_no_bad_revision() -> None:
    evidence = some_evidence(
        recent={
            ("run_failed_on", "gpu3"): 9,
            ("run_ended_on", "gpu3"): 10,
            ("run_failed", "sdxl"): 9,
            ("run_ended", "sdxl"): 100,
        },
        before={("run_ended", "sdxl"): 500},
    )
    assert [finding.cause for finding in diagnose(evidence)] == [Cause.BAD_GPU]


def test_nothing_is_said_of_a_server_that_has_just_started() -> None:
    assert diagnose(some_evidence(*growing(busy=10), observed_s=120.0)) == ()


def test_how_many_gpus_are_missing_follows_from_what_is_asked_for() -> None:
    """Ten GPUs work and the queue grows by 1200 GPU-seconds in 300: fourteen GPUs' worth of work at 85%, and two more
    to work the queue off."""
    evidence = some_evidence(*growing(busy=10))
    assert missing_gpus(evidence, DiagnosisPolicy()) == round(14 / 0.85 + 1200 / 600 - 10 + 0.49)


def test_people_who_wait_are_a_page_and_a_slow_gpu_a_ticket() -> None:
    severities = {cause: diagnose(evidence)[0].severity for cause, _, evidence in CASES}
    assert severities[Cause.UNDER_PROVISIONED] is Severity.PAGE
    assert severities[Cause.SLOW_GPU] is Severity.TICKET
