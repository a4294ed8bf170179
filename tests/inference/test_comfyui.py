"""ComfyUI: what a workflow is filled with, what is heard of a run, and what is left behind."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.remote_options import ComfyOptions
from heliograph.domain.run import RunInputs, RunOrder
from heliograph.inference.comfyui import ComfyEngine
from heliograph.inference.engine import EngineImages, EngineStep, EngineWaits
from tests.builders import an_order
from tests.inference.comfy_server import PLACES, ComfyServer, as_png, workflow
from tests.inference.openai_server import painted
from tests.inference.serving import served

ORDER = an_order(width_px=64, height_px=48, steps=4, guidance=4.0, seeds=(7, 8), negative_prompt="rain")


@contextmanager
def an_engine(server: ComfyServer, folder: Path, graph: object = None, **options: Any) -> Iterator[ComfyEngine]:
    file = folder / "workflow.json"
    file.write_text(json.dumps(workflow() if graph is None else graph))
    with served(server.app()) as url:
        given = {"urls": (url,), "workflow": str(file), "output": "9", "places": PLACES, "timeout_s": 20.0, **options}
        with closing(ComfyEngine(ComfyOptions(**given), poll_s=0.05)) as engine:
            engine.load()
            yield engine


def finished(engine: ComfyEngine, order: RunOrder) -> tuple[list[EngineStep], EngineImages]:
    *progress, images = engine.generate(order)
    assert isinstance(images, EngineImages)
    return [each for each in progress if isinstance(each, EngineStep)], images


def eventually(look: Callable[[], object], *, within_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.01)


def test_the_workflow_is_filled_in_for_every_picture(tmp_path: Path) -> None:
    server = ComfyServer()
    with an_engine(server, tmp_path) as engine:
        _, images = finished(engine, ORDER)
        eventually(lambda: len(server.forgotten) == 2)
    for pixels, seed in zip(images.pixels, ORDER.seeds, strict=True):
        assert np.array_equal(pixels, painted("a cat", seed, width_px=64, height_px=48))
    first = {node: each["inputs"] for node, each in server.prompts[0].items()}
    assert (first["3"]["seed"], first["3"]["steps"], first["3"]["cfg"]) == (7, 4, 4.0)
    assert (first["5"]["width"], first["5"]["height"]) == (64, 48)
    assert (first["6"]["text"], first["7"]["text"]) == ("a cat", "rain")
    assert not server.history, "nothing of it is left on the server"


@pytest.mark.parametrize("is_old", [False, True])
def test_progress_and_previews_come_over_the_socket(is_old: bool, tmp_path: Path) -> None:
    with an_engine(ComfyServer(step_s=0.1, is_old=is_old), tmp_path) as engine:
        steps, _ = finished(engine, replace(ORDER, seeds=(7, 8), steps=6))
    numbers = [each.step for each in steps]
    assert numbers == sorted(set(numbers)), "what other nodes count is no progress"
    assert numbers[-1] == 6
    previews = [each.previews for each in steps if each.previews is not None]
    assert previews, "no preview arrived"
    assert previews[-1].shape == (2, 12, 16, 3)
    expected = painted("a cat", 7, width_px=16, height_px=12)[0].astype(int)
    assert np.abs(previews[-1][0] - expected).max() <= 12, "the first picture is finished"


def test_without_a_socket_the_run_goes_on(tmp_path: Path) -> None:
    with an_engine(ComfyServer(has_sockets=False), tmp_path) as engine:
        steps, images = finished(engine, ORDER)
    assert ([each.step for each in steps], len(images.pixels)) == ([4], 2)


@pytest.mark.parametrize("is_old", [False, True])
def test_a_cancelled_run_is_interrupted_and_those_of_others_are_not(is_old: bool, tmp_path: Path) -> None:
    server = ComfyServer(step_s=0.02, is_old=is_old)
    with an_engine(server, tmp_path) as engine:
        run = engine.generate(replace(ORDER, seeds=(1,), steps=500))
        eventually(lambda: (next(run), server.running)[1])
        other = engine.generate(replace(ORDER, seeds=(2,), steps=10))
        eventually(lambda: (next(other), len(server.pending) == 2)[1])
        waits = engine.generate(replace(ORDER, seeds=(3,), steps=10))
        eventually(lambda: (next(waits), len(server.pending) == 3)[1])
        waits.close()
        eventually(lambda: len(server.pending) == 2)
        assert not server.interrupted, "what still waits is taken out of the queue"
        stopped = server.running
        run.close()
        assert isinstance(list(other)[-1], EngineImages)
        assert server.interrupted == [stopped]
        eventually(lambda: len(server.forgotten) == 3)


def test_a_server_that_was_started_again_lost_the_run(tmp_path: Path) -> None:
    server = ComfyServer(step_s=0.05)
    with an_engine(server, tmp_path) as engine:
        run = engine.generate(replace(ORDER, steps=100))
        eventually(lambda: (next(run), server.running)[1])
        server.pending, server.running = {}, None
        with pytest.raises(EngineError, match="lost its queue") as caught:
            list(run)
    assert caught.value.kind is EngineErrorKind.CRASH


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (("torch.OutOfMemoryError", "Allocation on device: a cat"), EngineErrorKind.OUT_OF_MEMORY),
        (("RuntimeError", "CUDA error: unspecified launch failure"), EngineErrorKind.DEVICE_LOST),
        (("ValueError", "a cat"), EngineErrorKind.INTERNAL),
    ],
)
def test_failures_are_told_apart_and_name_the_node(
    failure: tuple[str, str], kind: EngineErrorKind, tmp_path: Path
) -> None:
    with an_engine(ComfyServer(failure=failure), tmp_path) as engine, pytest.raises(EngineError) as caught:
        finished(engine, ORDER)
    assert caught.value.kind is kind
    assert caught.value.message.startswith("node 3 (KSampler) of the workflow failed")
    assert "a cat" not in caught.value.message


def test_what_a_node_does_not_take_is_named(tmp_path: Path) -> None:
    with an_engine(ComfyServer(), tmp_path) as engine, pytest.raises(EngineError) as caught:
        finished(engine, replace(ORDER, steps=20_000))
    assert caught.value.kind is EngineErrorKind.UNSUPPORTED_PARAMETER
    assert caught.value.message.endswith("it does not take 3.steps")


def test_a_size_that_is_rounded_in_silence_and_a_batch_are_found_out(tmp_path: Path) -> None:
    with an_engine(ComfyServer(), tmp_path) as engine, pytest.raises(EngineError, match="made 56x48 instead of 60x48"):
        finished(engine, replace(ORDER, width_px=60))
    graph = workflow()
    graph["5"]["inputs"]["batch_size"] = 2
    with an_engine(ComfyServer(), tmp_path, graph) as engine, pytest.raises(EngineError, match="batch size to 1"):
        finished(engine, ORDER)


def test_pictures_to_start_from_are_sent_ahead(tmp_path: Path) -> None:
    server, graph = ComfyServer(), workflow()
    graph["10"] = {"class_type": "LoadImage", "inputs": {"image": "example.png"}}
    picture = as_png(painted("start", 1, width_px=64, height_px=48)[0])
    order = replace(ORDER, inputs=RunInputs(images=("start",), files=(picture,)))
    with an_engine(server, tmp_path, graph, places={**PLACES, "image": (("10", "image"),)}) as engine:
        finished(engine, order)
    assert list(server.uploads.values()) == [picture]
    assert {prompt["10"]["inputs"]["image"] for prompt in server.prompts} == set(server.uploads)
    with an_engine(ComfyServer(), tmp_path, graph) as engine, pytest.raises(EngineError, match="image: the workflow"):
        finished(engine, order)


@pytest.mark.parametrize(
    ("graph", "options", "named"),
    [
        ({"nodes": [], "links": []}, {}, r"Export \(API\)"),
        ({"3": {"class_type": "KSampler"}}, {}, "node 3 without"),
        (None, {"places": {**PLACES, "strength": (("3", "denoise"),)}}, "no input 3.denoise for strength"),
        (None, {"output": "90"}, "no node 90"),
        (None, {"workflow": "/nowhere/flow.json"}, "flow.json cannot be read"),
    ],
)
def test_a_workflow_that_cannot_work_is_refused_by_name(
    graph: object, options: dict[str, Any], named: str, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match=named) as caught, an_engine(ComfyServer(), tmp_path, graph, **options):
        pass
    assert caught.value.kind is EngineErrorKind.BAD_INPUT


def test_a_server_without_one_of_the_nodes_is_refused_by_name(tmp_path: Path) -> None:
    nodes = ("CLIPTextEncode", "EmptyLatentImage", "KSampler", "SaveImage")
    with pytest.raises(EngineError, match="no node VAEDecodeTiled"), an_engine(ComfyServer(nodes=nodes), tmp_path):
        pass


def test_it_waits_between_the_steps(tmp_path: Path) -> None:
    with an_engine(ComfyServer(step_s=0.6), tmp_path) as engine:
        run = engine.generate(replace(ORDER, seeds=(1,), steps=2))
        assert sum(isinstance(each, EngineWaits) for each in run) >= 2
