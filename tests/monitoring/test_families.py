"""The exposition is what Prometheus' own parser reads, whatever labels hold, and bounded."""

import math
import random

from prometheus_client.parser import text_string_to_metric_families

from heliograph.monitoring.families import CHILDREN_MAX, OTHER, Counter, Gauge, Histogram, exposition, snapshot

HOSTILE = 'a"b\\c\nd{}=,\u2028é'


def read(*families: Counter | Gauge | Histogram) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = exposition(snapshot(families)).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_numbers_and_hostile_labels_arrive_as_they_were() -> None:
    counter, gauge = Counter("jobs", "Jobs.", "tenant"), Gauge("heat_celsius", "Heat.")
    counter.add(HOSTILE)
    counter.add(HOSTILE, amount=2.5)
    gauge.replace({(): -3.25})
    assert read(counter, gauge) == {("jobs_total", (("tenant", HOSTILE),)): 3.5, ("heat_celsius", ()): -3.25}


def test_a_counter_without_labels_is_there_from_the_beginning() -> None:
    assert read(Counter("turns", "Turns.")) == {("turns_total", ()): 0.0}


def test_a_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram("wait_seconds", "Waiting.", "model", bounds=(0.1, 1, 10))
    dice = random.Random(7)
    values = [0.1, 1.0, *(dice.lognormvariate(0, 2) for _ in range(500))]
    for value in values:
        histogram.observe(value, "m")
    found = read(histogram)
    for bound in (0.1, 1.0, 10.0, math.inf):
        label = "+Inf" if bound == math.inf else str(bound)
        assert found["wait_seconds_bucket", (("le", label), ("model", "m"))] == sum(value <= bound for value in values)
    assert found["wait_seconds_count", (("model", "m"),)] == len(values)
    assert math.isclose(found["wait_seconds_sum", (("model", "m"),)], sum(values))


def test_a_snapshot_is_not_changed_by_what_is_counted_later() -> None:
    counter, histogram = Counter("jobs", "Jobs.", "model"), Histogram("s", "S.", bounds=(1,))
    counter.add("m")
    histogram.observe(0.5)
    taken = snapshot([counter, histogram])
    counter.add("m")
    histogram.observe(0.5)
    assert b'jobs_total{model="m"} 1.0' in exposition(taken)
    assert b"s_count 1" in exposition(taken)


def test_labels_are_bounded() -> None:
    counter, histogram = Counter("jobs", "Jobs.", "code"), Histogram("s", "S.", "code", bounds=(1,))
    for number in range(CHILDREN_MAX + 10):
        counter.add(f"code{number}")
        histogram.observe(0.5, f"code{number}")
    counter.add("code3")
    assert len(counter.values) == len(histogram.values) == CHILDREN_MAX + 1
    assert (counter.values[OTHER,], counter.values["code3",]) == (10, 2)
    assert sum(histogram.values[OTHER,].counts) == 10
