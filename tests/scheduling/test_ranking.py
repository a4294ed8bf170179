"""A ranking against a plain sorted list, whatever is added and dropped."""

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from heliograph.scheduling.ranking import CROSSED_OFF_MAX, Rank, Ranking

RANKS = st.tuples(st.integers(0, 3).map(float), st.just(0.0), st.integers(0, 3))


@given(steps=st.lists(st.one_of(RANKS, st.integers(0, 99)), max_size=60))
def test_it_is_what_a_sorted_list_would_be(steps: list[Rank | int]) -> None:
    """A rank is added, a number says which of those that are in is dropped."""
    ranking: Ranking[int] = Ranking()
    there: list[tuple[Rank, int]] = []
    tickets: dict[int, int] = {}
    for name, step in enumerate(steps):
        if isinstance(step, tuple):
            tickets[name] = ranking.add(step, name)
            there.append((step, name))
        elif there:
            _, gone = there.pop(step % len(there))
            ranking.drop(tickets[gone])
        in_order = [each for _, each in sorted(there)]
        assert (len(ranking), bool(ranking)) == (len(there), bool(there))
        assert list(ranking) == in_order
        assert list(islice(ranking, 3)) == in_order[:3]
        assert not in_order or ranking.first == in_order[0]


def test_who_leaves_from_the_middle_is_swept_out() -> None:
    ranking: Ranking[int] = Ranking()
    tickets = [ranking.add((float(number), 0.0, number), number) for number in range(1_000)]
    for ticket in tickets[1:]:
        ranking.drop(ticket)
    assert list(ranking) == [0]
    assert ranking.entries() <= 1 + 2 * CROSSED_OFF_MAX
