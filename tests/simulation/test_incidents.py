"""Incidents happen to what they name, for as long as they last; an observer of a simulation names their cause."""

import pytest
from benchmarks import diagnosis as bench

from heliograph.cli_simulate import surroundings
from heliograph.domain.errors import InvalidRequest
from heliograph.simulation import parse_scenario
from heliograph.simulation.incidents import Incident, IncidentKind, Incidents


def test_an_incident_meets_its_target_while_it_lasts() -> None:
    slow = Incident(kind=IncidentKind.SLOW_GPU, at_s=10.0, duration_s=5.0, target="g1", size=3.0)
    incidents = Incidents((slow,))
    sizes = [incidents.size(IncidentKind.SLOW_GPU, ("g0", "g1"), at_s, default=1.0) for at_s in (9.9, 10.0, 14.9, 15.0)]
    assert sizes == [1.0, 3.0, 3.0, 1.0]
    assert incidents.size(IncidentKind.SLOW_GPU, ("g0",), 12.0, default=1.0) == 1.0
    assert incidents.size(IncidentKind.BAD_GPU, ("g1",), 12.0, default=0.0) == 0.0
    assert not Incidents(())


def test_a_scenario_names_what_is_wrong_with_its_incidents() -> None:
    with pytest.raises(InvalidRequest, match=r"incident.*duration_s"):
        parse_scenario(bench.BARE + '[[incident]]\nkind = "slow_gpu"\nat_s = 5\nduration_s = 0\n', origin="x")


@pytest.mark.parametrize("kind", ["loads_fail", "store_slow"])
def test_a_planted_incident_is_named_first(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the ten kinds with a short run-up; `python -m benchmarks.diagnosis` judges all of them."""
    monkeypatch.setattr(bench, "BEGIN_S", 600.0)
    monkeypatch.setattr(bench, "LASTS_S", 300.0)
    monkeypatch.setattr(bench, "GRACE_S", 0.0)
    planted = bench.KINDS[kind](f"test/{kind}")
    verdict = bench.judged(planted, bench.watched(planted.file, surroundings(bench.Path())))
    assert verdict.is_right, verdict
    assert verdict.false_before == 0
