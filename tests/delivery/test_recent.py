from heliograph.delivery import recent
from heliograph.delivery.recent import WINDOW_S, RecentPuts


def test_a_name_is_recent_for_an_hour_after_it_was_put_last() -> None:
    puts = RecentPuts()
    puts.note("a", now_s=0.0)
    puts.note("b", now_s=10.0)
    assert puts.has("a", now_s=WINDOW_S)
    assert not puts.has("a", now_s=WINDOW_S + 1)
    puts.note("a", now_s=WINDOW_S + 2)
    assert puts.has("a", now_s=2 * WINDOW_S)
    assert not puts.has("b", now_s=2 * WINDOW_S)
    assert not puts.has("c", now_s=0.0)


def test_what_is_remembered_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(recent, "NAMES_MAX", 3)
    puts = RecentPuts()
    for name in "abcd":
        puts.note(name, now_s=1.0)
    assert [puts.has(name, now_s=1.0) for name in "abcd"] == [False, True, True, True]
