"""How much work a scenario asks for, so that a load of 1.0 means all its GPUs busy all the time."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

from heliograph.cli_simulate import surroundings
from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import ModelCard
from heliograph.simulation import ScenarioFile
from heliograph.simulation.chance import Chance
from heliograph.simulation.scenario import Workload
from heliograph.simulation.simulate import known_cards
from heliograph.simulation.truth import Truth


def at_load(file: ScenarioFile, load: float) -> ScenarioFile:
    """The scenario with the rates of its synthetic workloads scaled so that they ask for `load` times its GPUs.

    Computed from the catalogue's timings without any profile error; loads of models and pauses are not in it.
    """
    factor = load / offered_load(file)
    workloads = tuple(replace(each, rate_per_hour=each.rate_per_hour * factor) for each in file.scenario.workload)
    return replace(file, scenario=replace(file.scenario, workload=workloads))


def offered_load(file: ScenarioFile) -> float:
    """GPU-seconds that are asked for per second and GPU. All GPUs must be of one class."""
    scenario = file.scenario
    (gpu_class,) = {group.gpu for group in scenario.fleet}
    catalogue = file.catalogue(surroundings(Path()).shipped)
    models = [ModelId(name) for workload in scenario.workload for name in workload.models]
    cards = known_cards(scenario, catalogue, models)
    truth = Truth(cards, replace(scenario, profile_error=0.0), Chance(0, "loads"))
    asked_s = sum(each.rate_per_hour / 3600.0 * mean_gpu_s(each, cards, truth, gpu_class) for each in scenario.workload)
    return asked_s / sum(group.count for group in scenario.fleet)


def mean_gpu_s(workload: Workload, cards: Mapping[ModelId, ModelCard], truth: Truth, gpu_class: str) -> float:
    """Mean GPU-seconds of one request of the workload."""
    total_s, weights = 0.0, 0.0
    for name, weight in workload.models.items():
        card = cards[ModelId(name)]
        sizes = workload.sizes or {"x".join(map(str, card.sizes.default)): 1.0}
        steps = workload.steps or {"0": 1.0}
        whole = sum(sizes.values()) * sum(steps.values()) * sum(workload.images.values())
        for (size, w1), (number, w2), (images, w3) in product(sizes.items(), steps.items(), workload.images.items()):
            width_px, height_px = (int(side) for side in size.split("x"))
            count = min(int(number) or card.steps.standard, card.steps.maximum)
            run_s = truth.run_s(card.model_id, gpu_class, size=(width_px, height_px), steps=count, images=int(images))
            total_s += weight * w1 * w2 * w3 / whole * run_s
        weights += weight
    return total_s / weights
