"""A virtual clock, traffic and faults around the production decisions: a scenario in, a report out, without any I/O."""

from heliograph.simulation.report import Report
from heliograph.simulation.scenario import PolicySet, Scenario, ScenarioFile, parse_policy, parse_scenario
from heliograph.simulation.simulate import Surroundings, simulate

__all__ = [
    "PolicySet",
    "Report",
    "Scenario",
    "ScenarioFile",
    "Surroundings",
    "parse_policy",
    "parse_scenario",
    "simulate",
]
