"""Requests and their seeds, the catalogue, errors: what the shared nouns promise."""

import pytest

from heliograph.domain.errors import RETRYABLE_ENGINE_ERRORS, EngineError, EngineErrorKind, InvalidRequest, Overloaded
from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import EngineKind
from heliograph.domain.request import SEED_MAX, OutputFormat
from heliograph.domain.views import ModelQueue
from tests.builders import EMPTY_QUEUE, a_card, a_catalogue, a_queue, a_request


@pytest.mark.parametrize(
    ("seed", "image_count", "seeds"),
    [
        (0, 1, (0,)),
        (7, 3, (7, 8, 9)),
        (SEED_MAX, 1, (SEED_MAX,)),
        (SEED_MAX - 1, 4, (SEED_MAX - 1, SEED_MAX, 0, 1)),
    ],
)
def test_every_picture_has_its_own_seed_and_seeds_wrap_around(
    seed: int, image_count: int, seeds: tuple[int, ...]
) -> None:
    assert a_request(seed=seed, image_count=image_count).seeds() == seeds


def test_any_picture_of_a_batch_can_be_made_again_alone() -> None:
    for seed in a_request(seed=SEED_MAX, image_count=3).seeds():
        assert a_request(seed=seed).seeds() == (seed,)


@pytest.mark.parametrize("output_format", OutputFormat)
def test_formats_have_mime_types(output_format: OutputFormat) -> None:
    kind = "video" if output_format in (OutputFormat.MP4, OutputFormat.WEBM) else "image"
    assert output_format.mime_type == f"{kind}/{output_format}"


CATALOGUE = a_catalogue(
    a_card("b"),
    a_card("a", engine=EngineKind.ONNX),
    a_card("c", engine=None),
    aliases={"nickname": "a", "twice": "nickname", "a-ghost": "gone"},
)


@pytest.mark.parametrize(
    ("name", "model"),
    [("a", "a"), ("c", "c"), ("nickname", "a"), ("twice", None), ("a-ghost", None), ("unknown", None)],
)
def test_a_name_is_an_alias_or_a_model_and_one_alias_is_followed(name: str, model: str | None) -> None:
    card = CATALOGUE.resolve(name)
    assert (None if card is None else card.model_id) == model


@pytest.mark.parametrize(
    ("engines", "runnable"),
    [
        ([], []),
        ([EngineKind.FAKE], ["b"]),
        ([EngineKind.ONNX, EngineKind.FAKE, EngineKind.FAKE], ["b", "a"]),
    ],
)
def test_what_can_run_comes_in_the_order_of_the_file(engines: list[EngineKind], runnable: list[str]) -> None:
    assert [card.model_id for card in CATALOGUE.runnable(engines)] == runnable


def test_a_model_without_an_entry_has_no_work() -> None:
    assert EMPTY_QUEUE.of(ModelId("a")) == ModelQueue()
    assert a_queue(a=ModelQueue(pending=1)).of(ModelId("a")).pending == 1


@pytest.mark.parametrize("kind", EngineErrorKind)
def test_engine_errors_say_whether_trying_again_can_help(kind: EngineErrorKind) -> None:
    error = EngineError(kind, "It broke.")
    assert (error.code, error.retryable) == (f"engine_{kind}", kind in RETRYABLE_ENGINE_ERRORS)
    callers = (EngineErrorKind.UNSUPPORTED_PARAMETER, EngineErrorKind.BAD_INPUT)
    assert error.retryable is (kind not in callers)


def test_errors_carry_a_stable_code_and_the_field() -> None:
    assert InvalidRequest("no").code == "invalid_request"
    error = InvalidRequest("n must be at most 10", param="n", code="too_many")
    assert (str(error), error.param, error.code) == ("n must be at most 10", "n", "too_many")
    assert Overloaded("full", retry_after_s=3.0).retry_after_s == 3.0
