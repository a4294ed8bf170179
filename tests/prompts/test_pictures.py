"""Pictures as a request names them, and what a model makes of them."""

import base64
from dataclasses import replace

import pytest
from tests.builders import a_card

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.intake import GivenInputs, GivenPicture, PictureSource, TakenInputs
from heliograph.domain.request import GenerationRequest, InputPicture
from heliograph.prompts import RawRequest, prepare
from heliograph.prompts.given import read_inputs
from heliograph.prompts.pictures import refuse_surplus

DATA_URL = "data:image/png;base64," + base64.b64encode(b"bytes").decode()

NAMES = [
    ("in_abc", PictureSource.UPLOAD),
    ("out_abc", PictureSource.OUTPUT),
    ("https://example.com/a.png", PictureSource.URL),
    ("http://example.com/a.png", PictureSource.URL),
    (DATA_URL, PictureSource.BYTES),
    (DATA_URL.replace("data", "DATA"), PictureSource.BYTES),
]


@pytest.mark.parametrize(("name", "source"), NAMES)
def test_a_picture_is_known_by_how_its_name_begins(name: str, source: PictureSource) -> None:
    given = read_inputs({"image": name}, pictures_max=4)
    assert given is not None
    (picture,) = given.images
    assert (picture.source, picture.param) == (source, "inputs.image")
    assert picture.data == (b"bytes" if source is PictureSource.BYTES else b"")


def test_one_picture_or_several_a_mask_and_a_strength() -> None:
    given = read_inputs({"image": ["in_a", "in_b"], "mask": "in_c", "strength": 0.5}, pictures_max=4)
    assert given is not None
    assert [each.value for each in given.images] == ["in_a", "in_b"]
    assert given.mask is not None
    assert (given.mask.value, given.mask.param, given.strength) == ("in_c", "inputs.mask", 0.5)
    assert read_inputs(None, pictures_max=4) is None


WRONG = [
    ([], "inputs", "must be an object"),
    ({}, "inputs.image", "required"),
    ({"image": None}, "inputs.image", "required"),
    ({"image": []}, "inputs.image", "1 to 2"),
    ({"image": ["in_a"] * 3}, "inputs.image", "1 to 2"),
    ({"image": 7}, "inputs.image", "not 7"),
    ({"image": "/etc/passwd"}, "inputs.image", "must be an id"),
    ({"image": "file:///etc/passwd"}, "inputs.image", "must be an id"),
    ({"image": "data:image/png,abc"}, "inputs.image", "in base64"),
    ({"image": "data:image/png;base64,a b"}, "inputs.image", "not valid base64"),
    ({"image": "in_a", "mask": ["in_b"]}, "inputs.mask", "a list"),
    ({"image": "in_a", "masc": "in_b"}, "inputs.masc", "has no 'masc'"),
]


@pytest.mark.parametrize(("value", "param", "says"), WRONG)
def test_what_names_no_picture_is_refused(value: object, param: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        read_inputs(value, pictures_max=2)
    assert caught.value.param == param


def taken(*sizes: tuple[int, int], **more: object) -> TakenInputs:
    images = tuple(InputPicture(blob=f"{index}.png", width_px=w, height_px=h) for index, (w, h) in enumerate(sizes))
    return TakenInputs(images=images, **more)


def prepared(inputs: TakenInputs, task: str = "i2i", **fields: object) -> GenerationRequest:
    raw = RawRequest(**{"prompt": "a cat", "seed": 1} | fields)
    return prepare(raw, a_card(), presets={}, count_tokens=None, draw_seed=lambda: 7, task=task, taken=inputs)


@pytest.mark.parametrize(("task", "strength"), [("i2i", 0.75), ("inpaint", 0.9), ("edit", None), ("i2v", None)])
def test_each_task_has_its_strength(task: str, strength: float | None) -> None:
    request = prepared(taken((64, 64)), task)
    assert request.inputs is not None
    assert request.inputs.strength == strength
    said = [change.used for change in request.adjustments if change.parameter == "inputs.strength"]
    assert said == ([] if strength is None else [f"{strength:g}"])


def test_a_strength_that_was_sent_counts() -> None:
    request = prepared(taken((64, 64), strength=0.3))
    assert request.inputs is not None
    assert request.inputs.strength == 0.3
    assert all(change.parameter != "inputs.strength" for change in request.adjustments)


@pytest.mark.parametrize("strength", [0, -1, 1.1, "0.5", True, [], float("nan")])
def test_a_strength_out_of_range_is_refused(strength: object) -> None:
    with pytest.raises(InvalidRequest, match="strength must be") as caught:
        prepared(taken((64, 64), strength=strength))
    assert (caught.value.param, caught.value.code) == ("inputs.strength", "invalid_strength")


def test_a_strength_that_the_model_has_not_is_refused_or_left_out_as_asked() -> None:
    with pytest.raises(InvalidRequest, match="no strength") as caught:
        prepared(taken((64, 64), strength=0.5), "edit")
    assert caught.value.code == "unsupported_parameter"
    for request in (
        prepared(taken((64, 64), strength=0.5), "edit", on_unsupported="drop"),
        prepared(taken((64, 64), strength=0.5, is_wish=True), "edit"),
    ):
        assert request.inputs is not None
        assert request.inputs.strength is None
        assert "left out" in [change.used for change in request.adjustments if "strength" in change.parameter]


def test_several_pictures_are_for_models_that_edit() -> None:
    picture = GivenPicture(param="image", source=PictureSource.UPLOAD, value="in_a")
    given = GivenInputs(images=(picture, picture), prefix="")
    refuse_surplus(given, a_card(), "edit")
    refuse_surplus(replace(given, images=(picture,)), a_card(), "i2i")
    with pytest.raises(InvalidRequest, match="starts from one picture, not from 2") as caught:
        refuse_surplus(given, a_card(), "i2i")
    assert caught.value.param == "image"


def test_the_size_follows_the_picture_unless_it_was_sent() -> None:
    wide = prepared(taken((900, 600)))
    assert (wide.width_px, wide.height_px) == (384, 256)
    sent = prepared(taken((900, 600)), size="256x256")
    assert (sent.width_px, sent.height_px) == (256, 256)
    cropped = [change for change in sent.adjustments if change.parameter == "inputs.image"]
    assert [(change.requested, change.used) for change in cropped] == [("900x600", "256x256")]
    assert [change for change in prepared(taken((512, 512))).adjustments if change.parameter == "inputs.image"] == []
