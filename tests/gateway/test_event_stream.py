from heliograph.gateway.event_stream import Frame, Throttle, Weight, frame


def progress(number: int) -> Frame:
    return frame("progress", {"step": number}, Weight.PROGRESS)


def test_a_frame_is_one_line_of_ascii() -> None:
    data = frame("status", {"prompt": "two\nlines\u2028and more"}).data
    assert data == b'event: status\ndata: {"prompt":"two\\nlines\\u2028and more"}\n\n'


def test_progress_is_thinned_and_the_newest_is_kept() -> None:
    throttle = Throttle(0.25)
    assert throttle.pass_or_hold(progress(1), now_s=10.0) == progress(1)
    assert throttle.pass_or_hold(progress(2), now_s=10.1) is None
    assert throttle.pass_or_hold(progress(3), now_s=10.2) is None
    assert throttle.due_in_s(now_s=10.2) is not None
    assert throttle.due(now_s=10.2) is None
    assert throttle.due(now_s=10.25) == progress(3)
    assert throttle.due(now_s=99.0) is None
    assert throttle.due_in_s(now_s=99.0) is None


def test_pictures_pass_and_leave_held_progress_alone() -> None:
    throttle = Throttle(0.25)
    throttle.pass_or_hold(progress(1), now_s=10.0)
    throttle.pass_or_hold(progress(2), now_s=10.1)
    picture = frame("preview", {}, Weight.PICTURE)
    assert throttle.pass_or_hold(picture, now_s=10.1) is picture
    assert throttle.due(now_s=11.0) == progress(2)


def test_a_new_state_makes_held_progress_worthless() -> None:
    throttle = Throttle(0.25)
    throttle.pass_or_hold(progress(1), now_s=10.0)
    throttle.pass_or_hold(progress(2), now_s=10.1)
    state = frame("status", {})
    assert throttle.pass_or_hold(state, now_s=10.1) is state
    assert throttle.due(now_s=11.0) is None


def test_without_an_interval_everything_passes() -> None:
    throttle = Throttle(0.0)
    assert [throttle.pass_or_hold(progress(n), now_s=10.0) for n in (1, 2)] == [progress(1), progress(2)]
