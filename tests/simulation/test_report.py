"""The report: numbers that are right, JSON that is stable, a page that stands alone."""

import json
import re
from html.parser import HTMLParser

import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.job import JobState
from heliograph.domain.sketch import Sketch
from heliograph.domain.tiers import Tier
from heliograph.simulation import charts
from heliograph.simulation.books import Asked
from heliograph.simulation.chance import Chance
from heliograph.simulation.measures import Measures
from heliograph.simulation.page import render
from tests.simulation.test_simulate import FAULTS, SPOT, STORM
from tests.simulation.worlds import a_scenario, checked


def test_a_sketch_is_within_a_percent() -> None:
    chance = Chance(1, "sketch")
    values = sorted(chance.noise(2.0) for _ in range(20_000))
    one, two = Sketch(), Sketch()
    for index, value in enumerate(values):
        (one if index % 3 else two).add(value)
    one.merge(two)
    assert one.count == len(values)
    assert one.mean == pytest.approx(sum(values) / len(values))
    for share in (0.01, 0.5, 0.95, 0.99):
        assert one.quantile(share) == pytest.approx(values[int(share * len(values))], rel=0.015)
    assert one.quantile(1.0) == one.largest == values[-1]
    assert len(one.bins) < 1_500
    assert Sketch().quantile(0.5) is None


def test_zeros_are_counted_as_zeros() -> None:
    sketch = Sketch()
    for value in (0.0, 0.0, 5.0):
        sketch.add(value)
    assert sketch.quantile(0.5) == 0.0
    assert sketch.curve()[-1] == (5.0, 1.0)


def an_asked(*, tier: Tier = Tier.PRO, tenant: str = "t", target_s: float | None = 10.0, **more: object) -> Asked:
    values = {"at_s": 0.0, "kind": "image", "images": 1, "alone_s": 2.0, "is_cold": False, **more}
    return Asked(tier=tier, tenant=tenant, target_s=target_s, **values)  # type: ignore[arg-type]


def test_rejected_and_late_requests_are_misses_and_cancelled_ones_are_not() -> None:
    measures = Measures(buckets=10, bucket_s=10.0)
    measures.complete(an_asked(images=4), 8.0, {JobState.PENDING: 5.0})
    measures.complete(an_asked(is_cold=True), 20.0, {JobState.PENDING: 17.0})
    for outcome in ("refused", "failed", "expired", "cancelled", "unfinished"):
        measures.miss(an_asked(), outcome, waited_s=1.0)
    everybody, pro = measures.groups()
    assert (everybody.tier, pro.tier, pro.target_s) == ("all", "pro", 10.0)
    assert (pro.asked, pro.on_time, pro.late, pro.attainment) == (6, 1, 1, pytest.approx(1 / 6))
    assert (pro.refused, pro.failed, pro.expired, pro.cancelled, pro.unfinished) == (1, 1, 1, 1, 1)
    assert (measures.pictures_on_time, measures.cold, measures.longest_wait_s) == (4, 1, 17.0)


def test_jain_is_one_for_equals_and_less_for_the_rest() -> None:
    fair, unfair = Measures(buckets=1, bucket_s=1.0), Measures(buckets=1, bucket_s=1.0)
    for tenant in "ab":
        fair.complete(an_asked(tenant=tenant), 4.0, {})
    unfair.complete(an_asked(tenant="a"), 2.0, {})
    unfair.miss(an_asked(tenant="b"), "refused", waited_s=0.0)
    assert fair.jain() == pytest.approx(1.0)
    assert unfair.jain() == pytest.approx(0.5)
    assert Measures(buckets=1, bucket_s=1.0).jain() is None


@pytest.fixture(scope="module")
def report():
    file = a_scenario(
        tables=FAULTS + STORM,
        fleet=SPOT,
        more='description = "What if <b>everything</b> fails?"',
        workload="\n[[workload]]\nrate_per_hour = 20\nmodels = { 'wan2.1-t2v-1.3b' = 1 }\ntiers = { pro = 1 }",
    )
    return checked(file)


def test_the_json_has_everything_and_no_infinities(report) -> None:
    document = json.loads(report.to_json(), parse_constant=pytest.fail)
    assert document["overall" if "overall" in document else "groups"]
    names = {(group["tier"], group["kind"]) for group in document["groups"]}
    assert {("all", "all"), ("all", "image"), ("all", "video"), ("pro", "video"), ("free", "all")} <= names
    assert document["gpu_hours"]["lost"] > 0
    assert len(document["series"]["queue_depth"]) == len(document["strips"][0]["cells"])
    assert report.group("pro", "video").asked > 0
    with pytest.raises(InvalidRequest):
        report.group("pro", "sound")


class Page(HTMLParser):
    """Which tags and addresses there are, and that every tag that must be closed is."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "line", "rect", "path", "br", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "path", "line"):
            assert self.open.pop() == tag


def test_the_page_stands_alone(report) -> None:
    text = render(report)
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.addresses == []
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp", text)
    assert set(re.findall(r"https?://[^\s'\"]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert page.count["svg"] >= 6
    assert "&lt;b&gt;everything&lt;/b&gt;" in text
    assert "prefers-color-scheme:dark" in text


def test_the_strips_show_what_each_gpu_did_when(report) -> None:
    text = render(report)
    assert text.count("A100-80G: ") > 3
    assert re.search(r"busy sdxl-base · [\d.]+ \w+ to", text)
    spot = [strip for strip in report.strips if strip.term == "spot"]
    assert len(spot) == 3
    assert any("off" in strip.cells for strip in spot)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, "0.5 s"), (90, "90 s"), (720, "12 min"), (10_800, "3 h"), (259_200, "3 d")]
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert charts.duration_words(seconds) == words


@pytest.mark.parametrize(("value", "ceiling"), [(0, 1), (1, 1), (1.2, 1.5), (47, 50), (62, 80), (0.07, 0.08)])
def test_axes_end_at_round_numbers(value: float, ceiling: float) -> None:
    assert charts.nice_ceiling(value) == pytest.approx(ceiling)
