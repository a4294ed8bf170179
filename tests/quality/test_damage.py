import json
from dataclasses import replace

import numpy as np
import pytest
from training.damage import DAMAGES, KINDS
from training.textures import photo_like

from heliograph.domain.pictures import Decision
from heliograph.postprocess_tools import DAMAGE_FILE, Tools
from heliograph.quality.damage import LIMIT_MIN, Damage, damage, read_network, usual_look
from heliograph.quality.duplicates import repeated
from heliograph.quality.facts import image_facts
from heliograph.quality.gates import DamagedPictures, GatePolicy, judge
from heliograph.quality.signals import SIDE_MIN_PX, SIGNALS, signals

NETWORK = Tools(None).damage_network()


def photos(count: int, *, first: int = 0) -> list[np.ndarray]:
    return [photo_like(np.random.default_rng(seed)) for seed in range(first, first + count)]


@pytest.fixture(scope="module")
def usual():
    return usual_look([signals(photo) for photo in photos(60)], NETWORK, false_alarms=0.013)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "unfinished 20 %"])
def test_spoiled_pictures_are_told_from_sound_ones_of_a_kind_that_nobody_trained_for_these_limits(name, usual) -> None:
    rng = np.random.default_rng(5)
    found = [damage(signals(DAMAGES[name](photo, rng)), NETWORK, usual) for photo in photos(6, first=500)]
    assert sum(each.is_damaged for each in found) >= 5
    assert KINDS[name] in {each.kind for each in found}


def test_sound_pictures_are_left_alone(usual) -> None:
    found = [damage(signals(photo), NETWORK, usual) for photo in photos(30, first=900)]
    assert sum(each.is_damaged for each in found) <= 1


def test_the_limit_is_exceeded_by_few_of_the_pictures_it_comes_from_and_never_below_even_odds() -> None:
    sound = [signals(photo) for photo in photos(40)]
    strict = usual_look(sound, NETWORK, false_alarms=0.5)
    assert strict.limit >= LIMIT_MIN
    broken = [signals(DAMAGES["JPEG 10"](photo, np.random.default_rng(1))) for photo in photos(40)]
    used_to_it = usual_look(broken, NETWORK, false_alarms=0.1)
    assert sum(damage(each, NETWORK, used_to_it).is_damaged for each in broken) <= 4


def test_a_picture_too_small_says_nothing_and_a_large_one_is_looked_at_in_windows() -> None:
    assert signals(np.zeros((SIDE_MIN_PX - 1, 200, 3), np.uint8)) is None
    tall = np.zeros((SIDE_MIN_PX, 700, 3), np.uint8)
    assert len(signals(tall) or ()) == len(SIGNALS)
    rng = np.random.default_rng(3)
    large = np.kron(rng.integers(0, 256, (90, 90, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    steps = dict(zip(SIGNALS, signals(large) or (), strict=True))["block_steps"]
    assert steps > 3, "the windows keep to the grid of a codec's blocks"


def test_a_network_for_other_signals_is_refused() -> None:
    document = json.loads(DAMAGE_FILE.read_text())
    with pytest.raises(ValueError, match="other signals"):
        read_network(document | {"signals": ["sharpness"]})
    with pytest.raises(ValueError, match="form expected"):
        read_network({"signals": list(SIGNALS)})


BLURRED = Damage(score=3.0, limit=0.5, kind="blurred")


@pytest.mark.parametrize(
    ("action", "reseeds", "decision"),
    [
        ("ignore", 0, Decision.ACCEPT),
        ("flag", 0, Decision.FLAG),
        ("regenerate", 0, Decision.REGENERATE),
        ("regenerate", 2, Decision.FLAG),
        ("block", 0, Decision.BLOCK),
    ],
)
def test_what_becomes_of_a_broken_picture_is_the_operators_choice(action, reseeds, decision) -> None:
    picture = photos(1)[0]
    verdict = judge(
        image_facts(picture),
        expected_width_px=picture.shape[1],
        expected_height_px=picture.shape[0],
        reseeds=reseeds,
        policy=GatePolicy(damaged=DamagedPictures(action)),
        damage=BLURRED,
    )
    assert verdict.decision is decision
    assert verdict.reasons == (() if action == "ignore" else ("blurred",))


def test_a_blank_picture_has_one_reason_and_a_sound_one_none() -> None:
    def verdict(picture: np.ndarray, found: Damage):
        return judge(
            image_facts(picture),
            expected_width_px=picture.shape[1],
            expected_height_px=picture.shape[0],
            reseeds=0,
            policy=GatePolicy(),
            damage=found,
        )

    assert verdict(np.zeros((64, 64, 3), np.uint8), replace(BLURRED, kind="flat")).reasons == ("blank",)
    assert verdict(photos(1)[0], replace(BLURRED, score=0.1)).decision is Decision.ACCEPT


def test_a_picture_that_comes_twice_is_found_and_a_like_one_is_not() -> None:
    one, other = (np.asarray(photo)[:32, :32].copy() for photo in photos(2))
    same = one.copy()
    same[0, 0] ^= 1
    assert repeated([one.tobytes(), other.tobytes(), same.tobytes(), one[:16].tobytes()]) == {2}
    assert repeated([]) == frozenset()
