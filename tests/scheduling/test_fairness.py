"""Turns between tenants and end users, caps on what one of them may have, and the bounds that go with them."""

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.ids import JobId
from heliograph.scheduling import Profiles, Scheduler
from heliograph.scheduling.fairness import Jobs, Place, Turns
from heliograph.scheduling.pending import LOOKED_AT_MAX, PendingLine
from tests.builders import (
    a_card,
    a_place,
    a_scheduler,
    a_timing,
    cancelled,
    images_ready,
    in_words,
    outputs_stored,
    play,
    replica_requested,
    run_failed,
    submitted,
    worker_ready,
)


def served(line: PendingLine, number: int, *, now_s: float = 0.0) -> list[JobId]:
    """Who runs when one worker takes `number` jobs one after another."""
    order: list[JobId] = []
    for _ in range(number):
        job_id = line.choose(free_in_s=lambda: [0.0], now_s=now_s)
        assert job_id is not None
        line.serve(job_id, now_s=now_s)
        order.append(job_id)
    return order


def a_flood(line: PendingLine, name: str, number: int, **fields: object) -> None:
    for index in range(number):
        line.add(a_place(f"{name}{index}", sequence=len(line), **fields))


# --- between tenants -------------------------------------------------------------------------------------------------


def test_tenants_take_turns_however_many_jobs_one_of_them_has() -> None:
    line = PendingLine()
    a_flood(line, "flood", 1_000, tenant="flood")
    a_flood(line, "small", 3, tenant="small")
    assert served(line, 7) == ["flood0", "small0", "flood1", "small1", "flood2", "small2", "flood3"]


def test_a_flood_does_not_grow_old() -> None:
    """A newcomer competes with the job that is at the front, not with the hour the flood has been waiting."""
    line = PendingLine()
    a_flood(line, "flood", 1_000, tenant="flood")
    for now_s in range(3_600):
        if not now_s % 10:
            served(line, 1, now_s=float(now_s))
    line.add(a_place("late", tenant="small", created_at_s=3_600.0, sequence=1_000))
    assert "late" in served(line, 2, now_s=3_600.0)


def test_turns_are_paid_for_by_work_and_not_by_number() -> None:
    line = PendingLine()
    a_flood(line, "long", 20, tenant="long", estimate_s=9.0)
    a_flood(line, "short", 20, tenant="short", estimate_s=3.0)
    order = served(line, 16)
    assert Counter(job_id.rstrip("0123456789") for job_id in order) == {"long": 4, "short": 12}


def test_a_tenant_gets_what_its_weight_is_due() -> None:
    line = PendingLine(weight_of=lambda place: 3.0 if place.tenant_id == "big" else 1.0)
    a_flood(line, "big", 100, tenant="big")
    a_flood(line, "small", 100, tenant="small")
    assert Counter(job_id.rstrip("0123456789") for job_id in served(line, 40)) == {"big": 30, "small": 10}


def test_nobody_saves_turns_up_while_away_and_nobody_pays_for_what_nobody_else_wanted() -> None:
    line = PendingLine()
    a_flood(line, "busy", 100, tenant="busy")
    served(line, 50)
    a_flood(line, "back", 10, tenant="back")
    assert Counter(job_id.rstrip("0123456789") for job_id in served(line, 10)) == {"busy": 5, "back": 5}


def test_leaving_and_coming_back_does_not_wipe_the_slate() -> None:
    line = PendingLine()
    a_flood(line, "other", 10, tenant="other")
    for index in range(3):
        line.add(a_place(f"again{index}", tenant="again", sequence=20 + index))
        served(line, 2)
    order = served(line, 3)
    assert order == ["other3", "other4", "other5"]


def test_end_users_of_a_tenant_take_turns_within_the_tenant_s_turns() -> None:
    line = PendingLine()
    a_flood(line, "greedy", 10, tenant="acme", end_user="greedy")
    a_flood(line, "modest", 2, tenant="acme", end_user="modest")
    a_flood(line, "zeta", 10, tenant="zeta")
    order = served(line, 8)
    assert Counter(job_id.rstrip("0123456789") for job_id in order) == {"greedy": 2, "modest": 2, "zeta": 4}


def test_fairness_chooses_among_equals_and_the_tier_comes_first() -> None:
    line = PendingLine()
    a_flood(line, "pro", 3, tenant="acme", tier="pro", offset_s=-120.0)
    a_flood(line, "free", 3, tenant="zeta", tier="free")
    assert served(line, 4, now_s=1.0) == ["pro0", "pro1", "pro2", "free0"]


def test_a_free_job_at_the_front_ages_past_the_head_start_of_other_tiers() -> None:
    line = PendingLine()
    line.add(a_place("free", tier="free", tenant="zeta"))
    for index in range(5):
        created_at_s = 60.0 * index
        line.add(a_place(f"pro{index}", tier="pro", created_at_s=created_at_s, offset_s=-120.0, sequence=1 + index))
    assert served(line, 4, now_s=120.0) == ["pro0", "pro1", "free", "pro2"]


# --- the tree itself -------------------------------------------------------------------------------------------------

places = st.builds(
    a_place,
    tenant=st.sampled_from(["acme", "zeta", "omega"]),
    end_user=st.sampled_from([None, "ann", "bob"]),
    tier=st.sampled_from(["free", "pro"]),
    created_at_s=st.floats(0.0, 100.0),
    offset_s=st.floats(-50.0, 50.0),
    estimate_s=st.floats(0.1, 10.0),
)


def numbered(found: list[Place]) -> list[Place]:
    return [
        a_place(
            f"job{index}",
            tenant=place.tenant_id,
            end_user=place.end_user,
            tier=place.tier,
            created_at_s=place.created_at_s,
            offset_s=place.offset_s,
            estimate_s=place.estimate_s,
            sequence=index,
        )
        for index, place in enumerate(found)
    ]


@given(found=st.lists(places, min_size=1, max_size=25), gone=st.sets(st.integers(0, 24)))
def test_what_is_foretold_is_what_happens(found: list[Place], gone: set[int]) -> None:
    line, waiting = PendingLine(), numbered(found)
    for place in waiting:
        line.add(place)
    for index in gone & set(range(len(waiting))):
        line.remove(waiting[index].job_id)
    left = [place.job_id for index, place in enumerate(waiting) if index not in gone]
    foretold = sorted(left, key=lambda job_id: line.position(job_id, now_s=100.0))
    assert [line.position(job_id, now_s=100.0) for job_id in foretold] == list(range(1, len(left) + 1))
    assert served(line, len(left), now_s=100.0) == foretold


@given(
    lead_s=st.floats(0.0, 50.0),
    estimate_s=st.floats(0.1, 20.0),
    others=st.lists(st.tuples(st.floats(0.0, 200.0), st.floats(0.1, 20.0)), max_size=20),
)
def test_nobody_at_the_front_is_overtaken_beyond_the_stated_bound(
    lead_s: float, estimate_s: float, others: list[tuple[float, float]]
) -> None:
    """The owner was just served for `lead_s`; of newcomers only those of the first `cost + lead` seconds may pass."""
    turns = Turns(name_of=lambda place: place.tenant_id, weight_of=lambda place: 1.0, grow=Jobs, price=1.0)
    turns.add(a_place("first", tenant="owner", estimate_s=lead_s))
    turns.serve(a_place("first", tenant="owner", estimate_s=lead_s), 0.0)
    turns.add(a_place("mine", tenant="owner", estimate_s=estimate_s, offset_s=estimate_s))
    for index, (at_s, other_s) in enumerate(others):
        place = a_place(
            f"other{index}", tenant=f"t{index}", created_at_s=at_s, estimate_s=other_s, offset_s=other_s, sequence=index
        )
        turns.add(place)
    for front in islice(turns.walk(0.0), len(others) + 1):
        if front.place.job_id == "mine":
            return
        assert front.place.created_at_s <= lead_s + estimate_s + 1e-6


def test_far_back_the_position_is_at_least_what_was_looked_at() -> None:
    line = PendingLine()
    a_flood(line, "flood", 100, tenant="flood")
    a_flood(line, "small", 1, tenant="small")
    assert line.position(JobId("small0")) == 2
    assert line.position(JobId("flood99")) == 100
    assert line.position(JobId("flood31")) == LOOKED_AT_MAX + 1


# --- caps ------------------------------------------------------------------------------------------------------------


def a_busy_scheduler(**policy: object) -> Scheduler:
    scheduler = a_scheduler(workers=3, **policy)
    play(scheduler, submitted("a0", tenant="acme", end_user="ann"), submitted("a1", tenant="acme", end_user="ann"))
    return scheduler


def test_a_tenant_at_its_cap_waits_although_workers_are_idle_and_others_do_not() -> None:
    scheduler = a_scheduler(workers=3, running_max_per_tenant=1)
    commands = play(scheduler, submitted("a0"), submitted("a1", sequence=1), submitted("z0", tenant="zeta", sequence=2))
    assert [line for line in in_words(commands) if "runs" in line] == ["w0 runs a0#1", "w1 runs z0#1"]
    assert in_words(play(scheduler, images_ready("a0")))[-1] == "w0 runs a1#1"


@pytest.mark.parametrize(
    ("cap", "running"),
    [({}, 2), ({"running_max_per_user": 1}, 1), ({"running_max_per_tenant": 2, "running_max_per_user": 1}, 1)],
)
def test_an_end_user_at_its_cap_waits(cap: dict[str, int], running: int) -> None:
    scheduler = a_busy_scheduler(**cap)
    assert scheduler.running_jobs() == running
    play(scheduler, submitted("b0", tenant="acme", end_user="bob", sequence=2))
    assert scheduler.running_jobs() == running + (cap.get("running_max_per_tenant", 9) > running)


def test_a_cap_counts_over_all_models_and_its_end_wakes_every_line() -> None:
    scheduler = a_scheduler(workers=1, running_max_per_tenant=1)
    play(scheduler, replica_requested("w1", model="another"), worker_ready("w1"))
    play(scheduler, submitted("here"), submitted("there", model="another", sequence=1))
    assert in_words(play(scheduler, images_ready("here")))[-1] == "w1 runs there#1"


@pytest.mark.parametrize("end", [run_failed("a0"), cancelled("a0"), images_ready("a0")])
def test_whatever_ends_a_run_makes_room_under_the_cap(end: object) -> None:
    scheduler = a_scheduler(workers=2, running_max_per_tenant=1, backoff_s=(60.0,))
    play(scheduler, submitted("a0"), submitted("a1", sequence=1))
    assert any("runs a1#1" in line for line in in_words(play(scheduler, end)))


def test_one_end_user_cannot_fill_the_tenant_s_part_of_the_line() -> None:
    scheduler = a_scheduler(workers=0, pending_max_per_user=1)
    play(scheduler, submitted("a", end_user="ann"))
    assert in_words(play(scheduler, submitted("b", end_user="ann"))) == ["refuse b (user_queue_full)"]
    assert in_words(play(scheduler, submitted("c", end_user="bob"))) == ["c pending (submitted)"]
    play(scheduler, submitted("d"), submitted("e"))
    assert scheduler.open_jobs() == 4, "jobs that name no end user count for the tenant only"


# --- what a flash crowd feels ----------------------------------------------------------------------------------------


def test_under_a_flood_the_wait_of_others_is_one_round_of_turns() -> None:
    """One worker, a job a second, ten tenants with 100 jobs each: a job of an eleventh waits for one turn of each."""
    profiles = Profiles()
    profiles.set_prior(a_card(timings=(a_timing(seconds=1.0 / 0.065536),)), gpu_classes={"cpu"})
    scheduler = a_scheduler(workers=1, profiles=profiles)
    for sequence in range(1_000):
        play(scheduler, submitted(f"flood{sequence}", tenant=f"flood{sequence % 10}", sequence=sequence))
    running, came_at_s, waits_s = "flood0", dict[str, float](), list[float]()
    for second in range(1, 200):
        now_s = float(second)
        if second % 20 == 10:
            came_at_s[f"small{second}"] = now_s
            late = submitted(f"small{second}", tenant="small", sequence=1_000 + second, created_at_s=now_s)
            play(scheduler, late, now_s=now_s)
        words = in_words(play(scheduler, images_ready(running, run_s=1.0), outputs_stored(running), now_s=now_s))
        running = next(line for line in words if "w0 runs" in line).removeprefix("w0 runs ").removesuffix("#1")
        if running in came_at_s:
            waits_s.append(now_s - came_at_s[running])
    assert len(waits_s) >= 9
    assert max(waits_s) <= 11.0
