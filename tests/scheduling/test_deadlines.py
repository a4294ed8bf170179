"""Deadlines: which are kept, who moves up, who is told early that it cannot be done, and who is refused at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.commands import RefuseJob
from heliograph.domain.ids import TenantId
from heliograph.domain.tiers import Tier
from heliograph.scheduling import Profiles, Scheduler
from heliograph.scheduling.deadlines import ROOM_S_UNBOUNDED, outlook
from heliograph.scheduling.fairness import Held, Place
from heliograph.scheduling.pending import TURN_EVERY, PendingLine, choose_among
from heliograph.scheduling.profiles import FINISH_S_PRIOR
from heliograph.scheduling.scheduler import OVERDUE_MAX
from tests.builders import (
    a_card,
    a_place,
    a_request,
    a_scheduler,
    a_timing,
    cancelled,
    clock_ticked,
    images_ready,
    in_words,
    play,
    run_failed,
    submitted,
)


def due(name: str, latest_start_s: float, estimate_s: float = 10.0, *, weight: float = 1.0, sequence: int = 0) -> Place:
    return a_place(name, latest_start_s=latest_start_s, estimate_s=estimate_s, weight=weight, sequence=sequence)


# --- which deadlines can be kept -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("places", "servers", "first", "room_s"),
    [
        pytest.param([], 1, None, ROOM_S_UNBOUNDED, id="there are none"),
        pytest.param([due("a", 5.0)], 1, "a", 5.0, id="one with time to spare"),
        pytest.param([due("a", 5.0), due("b", 12.0)], 1, "a", 2.0, id="the second is tighter"),
        pytest.param([due("a", 5.0), due("b", 12.0)], 2, "a", ROOM_S_UNBOUNDED, id="another worker can do both"),
        pytest.param([due("a", 5.0), due("b", 8.0)], 2, "a", 6.0, id="another worker can do one"),
        pytest.param([due("a", 0.0, 20.0), due("b", 12.0, 5.0)], 1, "b", 12.0, id="the dearest is given up"),
        pytest.param([due("a", 0.0, 20.0, weight=9.0), due("b", 12.0, 5.0)], 1, "a", 0.0, id="unless it is worth more"),
        pytest.param([due("a", 0.0), due("b", 5.0, sequence=1)], 1, "a", 0.0, id="of equals the younger is given up"),
    ],
)
def test_the_outlook(places: list[Place], servers: int, first: str | None, room_s: float) -> None:
    found = outlook(places, free_in_s=[0.0] * servers, now_s=0.0)
    assert (found.first and found.first.job_id, found.room_s) == (first, pytest.approx(room_s))


@pytest.mark.parametrize(
    ("free_in_s", "first", "room_s"),
    [
        pytest.param([0.0, 0.0], "a", ROOM_S_UNBOUNDED, id="the other is free as well"),
        pytest.param([0.0, 4.0], "a", 6.0, id="the other is free in time for one"),
        pytest.param([7.0, 0.0], "a", 3.0, id="the other is hardly"),
        pytest.param([9.0, 9.0], None, ROOM_S_UNBOUNDED, id="none is in time"),
        pytest.param([9.0, 9.0, 0.0], "a", 2.0, id="this one does both"),
    ],
)
def test_the_outlook_knows_when_the_others_are_free(free_in_s: list[float], first: str | None, room_s: float) -> None:
    found = outlook([due("a", 5.0, 6.0), due("b", 8.0, 6.0)], free_in_s=free_in_s, now_s=0.0)
    assert (found.first and found.first.job_id, found.room_s) == (first, pytest.approx(room_s))


@given(
    jobs=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), min_size=1, max_size=9),
)
def test_on_one_worker_no_schedule_keeps_more(jobs: list[tuple[int, int]]) -> None:
    """Against all subsets; a subset can be kept when it can in the order of its deadlines."""
    places = sorted(
        (due(f"job{index}", float(start), float(run), sequence=index) for index, (start, run) in enumerate(jobs)),
        key=lambda place: (place.latest_start_s or 0.0) + place.estimate_s,
    )
    best = 0
    for chosen in range(2 ** len(places)):
        subset = [place for index, place in enumerate(places) if chosen >> index & 1]
        best = max(best, len(subset) if can_be_kept(subset) else 0)
    kept, now_s, left = 0, 0.0, places
    while left:
        first = outlook(left, free_in_s=[0.0], now_s=now_s).first
        if first is None:
            break
        left = [place for place in left if place is not first]
        assert first.latest_start_s is not None
        if first.latest_start_s >= now_s:
            kept, now_s = kept + 1, now_s + first.estimate_s
    assert kept == best


def can_be_kept(places: list[Place]) -> bool:
    now_s = 0.0
    for place in places:
        assert place.latest_start_s is not None
        if now_s > place.latest_start_s:
            return False
        now_s += place.estimate_s
    return True


# --- who moves up ----------------------------------------------------------------------------------------------------


def a_line(*places: Place) -> PendingLine:
    line = PendingLine()
    for place in places:
        line.add(place)
    return line


@pytest.mark.parametrize(("now_s", "first"), [(0.0, "turn"), (40.0, "turn"), (40.1, "pressed"), (60.0, "pressed")])
def test_a_deadline_moves_a_job_up_once_there_is_no_room_for_others(now_s: float, first: str) -> None:
    line = a_line(a_place("turn", estimate_s=20.0), due("pressed", 60.0, sequence=1))
    assert line.choose(free_in_s=lambda: [0.0], now_s=now_s) == first


def test_deadlines_leave_every_fourth_choice_to_those_without() -> None:
    line = a_line(a_place("patient", offset_s=-9.0))
    for index in range(9):
        line.add(due(f"due{index}", 0.0, sequence=1 + index))
    order = []
    for _ in range(TURN_EVERY):
        job_id = line.choose(free_in_s=lambda: [0.0], now_s=0.0)
        assert job_id is not None
        line.serve(job_id, now_s=0.0)
        order.append(job_id)
    assert order == ["due0", "due1", "due2", "patient"]


def test_lines_that_share_workers_are_one() -> None:
    lines = [a_line(due("late", 30.0)), a_line(due("soon", 20.0, sequence=1), a_place("turn", sequence=2))]
    order = []
    for _ in range(3):
        found = choose_among(lines, free_in_s=lambda: [0.0], now_s=15.0)
        assert found is not None
        line, job_id = found
        line.serve(job_id, now_s=15.0)
        order.append(job_id)
    assert order == ["soon", "late", "turn"]
    assert choose_among(lines, free_in_s=lambda: [0.0], now_s=15.0) is None


def test_deadlines_of_another_line_leave_a_choice_to_those_without() -> None:
    patient, pressed = a_line(a_place("patient")), a_line(*(due(f"due{n}", 0.0, sequence=n) for n in range(9)))
    order = []
    for _ in range(TURN_EVERY):
        found = choose_among([patient, pressed], free_in_s=lambda: [0.0], now_s=0.0)
        assert found is not None
        line, job_id = found
        line.serve(job_id, now_s=0.0)
        if line is pressed:
            patient.passed_over()
        order.append(job_id)
    assert order == ["due0", "due1", "due2", "patient"]


def test_whoever_is_held_back_does_not_press() -> None:
    line = a_line(a_place("turn", tenant="zeta"), due("pressed", 0.0, sequence=1))
    assert line.choose(free_in_s=lambda: [0.0], now_s=0.0, held=Held(tenants={TenantId("acme")})) == "turn"
    assert line.choose(free_in_s=lambda: [0.0], now_s=0.0, held=Held(tiers=set(Tier))) is None


# --- in the scheduler ------------------------------------------------------------------------------------------------

SECOND = a_request(width_px=1_000, height_px=1_000, steps=1)


def a_known_scheduler(*, workers: int = 1, **policy: object) -> Scheduler:
    """A step on one megapixel takes a second, a load 20."""
    profiles = Profiles()
    profiles.set_prior(a_card(timings=(a_timing(seconds=10.0, steps=10),), load_s=20.0), gpu_classes={"cpu"})
    return a_scheduler(workers=workers, profiles=profiles, **policy)


def seconds(steps: int) -> object:
    return a_request(width_px=1_000, height_px=1_000, steps=steps)


def test_of_two_jobs_the_pressed_one_runs_first() -> None:
    scheduler = a_known_scheduler()
    play(scheduler, submitted("running", request=seconds(10)), submitted("early", request=seconds(10), sequence=1))
    play(scheduler, submitted("pressed", request=seconds(5), sequence=2, deadline_at_s=17.0, tier="free"))
    assert in_words(play(scheduler, images_ready("running", run_s=10.0), now_s=10.0))[-1] == "w0 runs pressed#1"


@pytest.mark.parametrize(("now_s", "words"), [(29.9, []), (32.5, ["cat expired (deadline_unreachable)"])])
def test_a_job_that_cannot_make_it_any_more_is_told_before_its_deadline(now_s: float, words: list[str]) -> None:
    """Ten seconds of work, of which three quarters are the least; the deadline is at 40."""
    scheduler = a_known_scheduler()
    play(scheduler, submitted("running", request=seconds(30)))
    play(scheduler, submitted("cat", request=seconds(10), sequence=1, deadline_at_s=40.0))
    assert in_words(play(scheduler, clock_ticked(), now_s=now_s)) == words


def test_a_job_that_runs_is_not_given_up_before_its_deadline_but_a_retried_one_is() -> None:
    scheduler = a_known_scheduler(backoff_s=(0.0,))
    play(scheduler, submitted("cat", request=seconds(10), deadline_at_s=12.0))
    assert play(scheduler, clock_ticked(), now_s=5.0) == []
    words = in_words(play(scheduler, submitted("dog", tenant="zeta", sequence=1), run_failed("cat"), now_s=6.0))
    assert words[-1] == "w0 runs dog#1", "the other tenant's turn"
    assert in_words(play(scheduler, clock_ticked(), now_s=6.0)) == ["cat expired (deadline_unreachable)"]


def test_guesses_neither_press_nor_doom_nor_refuse() -> None:
    scheduler = a_scheduler(workers=1, wait_s_max={Tier.STANDARD: 0.0})
    commands = play(scheduler, submitted("running"), submitted("cat", sequence=1, deadline_at_s=1.0))
    assert in_words(commands)[-1] == "cat pending (submitted)"
    assert play(scheduler, clock_ticked(), now_s=0.9) == []


def test_thousands_that_are_due_at_once_end_a_few_per_event() -> None:
    """Nobody waits for all of them to end; events that are not ticks work them off, too."""
    scheduler = a_scheduler(workers=0)
    number = 3 * OVERDUE_MAX
    for index in range(number):
        play(scheduler, submitted(f"job{index}", sequence=index, deadline_at_s=10.0))
    assert not scheduler.is_behind()
    ended = [len(play(scheduler, event, now_s=10.0)) for event in (clock_ticked(), cancelled("nobody"), clock_ticked())]
    assert ended == [OVERDUE_MAX] * 3
    assert scheduler.is_behind(), "there may be more"
    assert play(scheduler, clock_ticked(), now_s=10.0) == []
    assert not scheduler.is_behind()
    assert scheduler.open_jobs() == 0
    scheduler.check()


# --- refused at once -------------------------------------------------------------------------------------------------


def refusal_of(scheduler: Scheduler, **fields: object) -> RefuseJob | None:
    command = play(scheduler, submitted("late", sequence=99, **fields))[0]
    return command if isinstance(command, RefuseJob) else None


@pytest.mark.parametrize(
    ("workers", "running", "deadline_at_s", "is_refused"),
    [
        pytest.param(1, 0, 7.6, False, id="an idle worker, and three quarters of ten seconds"),
        pytest.param(1, 0, 7.5, True, id="not even that"),
        pytest.param(1, 10, 17.6, False, id="after the run that is going on"),
        pytest.param(1, 10, 17.5, True, id="not after the run that is going on"),
        pytest.param(0, 0, 27.6, False, id="after a load"),
        pytest.param(0, 0, 27.5, True, id="not after a load"),
    ],
)
def test_a_deadline_that_cannot_be_met_is_refused(
    workers: int, running: int, deadline_at_s: float, is_refused: bool
) -> None:
    scheduler = a_known_scheduler(workers=0)
    if workers:
        scheduler = a_known_scheduler(workers=1)
    if running:
        play(scheduler, submitted("running", request=seconds(running)))
    found = refusal_of(scheduler, request=seconds(10), deadline_at_s=deadline_at_s + FINISH_S_PRIOR - 0.05)
    assert (found is not None) == is_refused
    if found is not None:
        assert found.error.code == "deadline_unreachable"
        assert "its deadline is in" in found.error.message


def test_deadlines_that_would_not_give_way_count_against_a_newcomer_and_dearer_ones_do_not() -> None:
    scheduler = a_known_scheduler()
    play(scheduler, submitted("running", request=seconds(10)))
    play(scheduler, submitted("cheap", request=seconds(5), sequence=1, deadline_at_s=16.0))
    assert refusal_of(scheduler, request=seconds(5), deadline_at_s=18.0) is not None
    assert refusal_of(scheduler, request=seconds(4), deadline_at_s=18.0) is None


@pytest.mark.parametrize(("tier", "is_refused"), [("free", True), ("pro", False)])
def test_a_wait_beyond_the_tier_s_bound_is_refused_with_the_time_to_come_back(tier: str, is_refused: bool) -> None:
    scheduler = a_known_scheduler(wait_s_max={Tier.FREE: 60.0, Tier.PRO: 60.0})
    for index in range(8):  # one runs, seven wait: 70 s for a newcomer
        play(scheduler, submitted(f"job{index}", tier="free", request=seconds(10), sequence=index))
    found = refusal_of(scheduler, tier=tier, request=SECOND, created_at_s=30.0)
    assert (found is not None) == is_refused
    if found is not None:
        assert found.error.code == "wait_too_long"
        assert found.error.retry_after_s == pytest.approx(10.0)
