"""The catalogue's table of weights that are fetched."""

import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.ids import ModelId
from heliograph.domain.weights import WeightsFile, WeightsSource
from heliograph.routing.catalogue import merge, parse_catalogue
from tests.routing.test_remote_tables import CARD, REMOTE

SHA = "ab" * 32
FILE = f'{{ path = "unet/model.safetensors", bytes = 7, sha256 = "{SHA}" }}'
ONNX = 'engine = "onnx"\n[models.far.fetch]\nbase = "https://models.example.com/far"\n'
COMMIT = "0123456789" * 4


def source_of(text: str) -> WeightsSource | None:
    return merge(parse_catalogue(text, origin="mine.toml")).cards[ModelId("far")].fetch


def test_weights_below_an_address() -> None:
    more = 'networks = ["192.0.2.0/24"]\nkey_env = "KEY"\n'
    assert source_of(f"{CARD}{ONNX}files = [{FILE}]\n{more}") == WeightsSource(
        base="https://models.example.com/far",
        files=(WeightsFile(path="unet/model.safetensors", size_bytes=7, sha256=SHA),),
        networks=("192.0.2.0/24",),
        key_env="KEY",
    )


def test_weights_of_a_hub_are_pinned_to_a_commit() -> None:
    hub = f'engine = "onnx"\n[models.far.fetch]\nhub = "acme/far"\nrevision = "{COMMIT}"\nfiles = [{FILE}]'
    source = source_of(CARD + hub)
    assert source is not None
    assert source.base == f"https://huggingface.co/acme/far/resolve/{COMMIT}"


def test_a_diffusers_model_may_be_fetched() -> None:
    pipeline = 'engine = "diffusers"\n[models.far.diffusers]\npipeline = "FluxPipeline"\n'
    source = source_of(f'{CARD}{pipeline}[models.far.fetch]\nfiles = [{FILE}]\nbase = "/mnt/models/far"')
    assert source is not None
    assert source.is_local


@pytest.mark.parametrize(
    ("text", "param", "problem"),
    [
        (CARD + ONNX, "models.far.fetch.files", "is missing"),
        (CARD + ONNX + "files = []", "models.far.fetch.files", "one or more"),
        (CARD + ONNX + f"files = [{FILE}, {FILE}]", "models.far.fetch.files", "none of them twice"),
        (CARD + ONNX + f"files = [{FILE.replace('unet', '..')}]", "models.far.fetch.files.0.path", "below the model"),
        (CARD + ONNX + f"files = [{FILE.replace('unet', '/unet')}]", "models.far.fetch.files.0.path", "below the"),
        (CARD + ONNX + f"files = [{FILE.replace('ab', 'AB')}]", "models.far.fetch.files.0.sha256", "64 hexadecimal"),
        (CARD + ONNX + f"files = [{FILE.replace('7', '0')}]", "models.far.fetch.files.0.bytes", "at least 1"),
        (CARD + ONNX + f'hub = "a/b"\nfiles = [{FILE}]', "models.far.fetch", "needs base or hub, and not both"),
        (
            CARD + f'engine = "onnx"\n[models.far.fetch]\nhub = "a/b"\nfiles = [{FILE}]',
            "models.far.fetch.revision",
            "is missing",
        ),
        (
            CARD + 'weights = "helio-base"\n' + ONNX + f"files = [{FILE}]",
            "models.far.fetch",
            "leave one of the two out",
        ),
        (CARD + REMOTE + f'[models.far.fetch]\nbase = "/x"\nfiles = [{FILE}]', "models.far.fetch", "engine = "),
    ],
)
def test_what_cannot_work_is_refused_by_field(text: str, param: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as caught:
        source_of(text)
    assert caught.value.param == param
