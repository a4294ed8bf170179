"""Models behind ComfyUI: a workflow of the operator's, filled in for each picture and run on one of several servers.

What ComfyUI leaves to its callers, and what is done about it here:

- Progress and previews come over a WebSocket that belongs to a client id on one server, so each run opens its own with
  an id of its own, on the server that has its prompt. They are an extra: without them the run goes on, and whether it
  is done is asked over HTTP.
- Every node reports progress from nought; only the one that samples counts.
- `/history` knows nothing of what has not ended, like of what it never heard of. So the queue is asked as well: what
  is in neither was lost with a restart.
- `/interrupt` stops whoever runs, whatever the id, in older releases. It is sent only while our own prompt runs; what
  still waits is taken out of the queue.
- What was made stays on the server, with its prompt, until it is deleted from the history; that is done here.
- A size that is rounded is found out, and the job fails with the name of the field.
"""

import hashlib
import io
import json
import queue
import secrets
import struct
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from websockets.exceptions import WebSocketException

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.making import EngineFacts
from heliograph.domain.model_card import EngineKind
from heliograph.domain.remote_options import ComfyOptions, comfy_from
from heliograph.domain.run import RunOrder
from heliograph.inference.checkpoint import Checkpoint
from heliograph.inference.engine import EngineImages, EngineStep, EngineWaits, is_preview_due
from heliograph.inference.failures import kind_of
from heliograph.inference.remote_calls import (
    Caller,
    as_form,
    as_json,
    as_list,
    as_table,
    as_tables,
    measured,
    no_checkpoint,
    read_json,
    refuse_failure,
    waited_for,
)
from heliograph.outbound import Destination

POLL_S = 1.0
HEAR_S = 0.25
PROBE_S_MAX = 10.0
HEARD_MAX = 1_000
"""News of a run that nobody has read yet; beyond it the oldest are of no use any more."""

_ENDS = frozenset({"execution_success", "execution_error", "execution_interrupted"})
_PREVIEW, _PREVIEW_WITH_METADATA = 1, 4

Workflow = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Progress:
    """The node has done `value` of `maximum`."""

    node: str
    value: float
    maximum: float


@dataclass(frozen=True, slots=True)
class _Preview:
    """(height, width, 3) uint8 of what forms."""

    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Over:
    """The run has ended, one way or the other; HTTP knows how."""


_News = _Progress | _Preview | _Over


class ComfyEngine:
    """One workflow on one or more servers, which are asked every `poll_s` seconds whether a run has ended."""

    def __init__(self, options: ComfyOptions, *, poll_s: float = POLL_S) -> None:
        self._poll_s = poll_s
        self._options = options
        self._caller = Caller(
            options.urls, networks=options.networks, key_env=options.key_env, timeout_s=options.timeout_s
        )
        self._workflow: Workflow = {}
        steps = options.places.get("steps")
        self._sampler = options.sampler or (steps[0][0] if steps else None)

    @classmethod
    def described(cls, text: str) -> "ComfyEngine":
        """The engine that a worker's command line describes."""
        fields: dict[str, Any] = json.loads(text)
        return cls(comfy_from(fields["options"]))

    def close(self) -> None:
        """Drop the calls that are under way."""
        self._caller.close()

    @property
    def can_resume(self) -> bool:
        """ComfyUI does not hand over where it stands."""
        return False

    @property
    def facts(self) -> EngineFacts:
        """What is known of a model that runs elsewhere: its workflow."""
        return EngineFacts(
            engine=EngineKind.COMFYUI.value,
            weights_sha256=hashlib.sha256(repr(self._workflow).encode()).hexdigest(),
        )

    def load(self) -> None:
        """Read the workflow, and see that a server at least answers and has all its nodes."""
        self._workflow = _read_workflow(self._options)
        problems = [self._probe(replica) for replica in self._caller.replicas]
        if None not in problems:
            raise EngineError(EngineErrorKind.CRASH, "; ".join(filter(None, problems)))

    def _probe(self, replica: Destination) -> str | None:
        for kind in dict.fromkeys(str(node["class_type"]) for node in self._workflow.values()):
            path = f"/object_info/{quote(kind, safe='')}"
            reply = self._caller.start(replica, "GET", path, timeout_s=PROBE_S_MAX).result()
            try:
                if kind not in read_json(reply, replica):
                    return f"{replica.origin} has no node {kind}"
            except EngineError as error:
                return error.message
        return None

    def generate(
        self, order: RunOrder, resume: Checkpoint | None = None
    ) -> Generator[EngineStep | EngineImages | EngineWaits]:
        """One picture after the other, each from a prompt of its own."""
        if resume is not None:
            raise EngineError(EngineErrorKind.BAD_CHECKPOINT, "runs on other servers cannot be taken up again")
        replica = self._caller.next_replica()
        files = yield from self._uploaded(order, replica)
        made: list[NDArray[np.uint8]] = []
        reported, shown = 0, None
        for number, seed in enumerate(order.seeds):
            prompt = self._filled(order, seed, files)
            for each in self._run(prompt, replica):
                match each:
                    case EngineWaits():
                        yield each
                    case _Preview(pixels=pixels):
                        shown = pixels
                    case _Progress():
                        share = (number + each.value / each.maximum) / len(order.seeds)
                        step = min(int(order.steps * share), order.steps - 1)
                        if step > reported:
                            reported = step
                            is_due = is_preview_due(order, step, order.steps) and shown is not None
                            previews = _previews(made, shown, len(order.seeds)) if is_due else None
                            yield EngineStep(step=step, steps=order.steps, previews=previews, checkpoint=no_checkpoint)
                    case np.ndarray():
                        made.append(measured(each, order, replica))
        yield EngineStep(step=order.steps, steps=order.steps, previews=None, checkpoint=no_checkpoint)
        yield EngineImages(pixels=np.stack(made))

    def _run(
        self, prompt: Workflow, replica: Destination
    ) -> Generator[EngineWaits | _Progress | _Preview | NDArray[np.uint8]]:
        """News of one prompt, then what it made: (frames, height, width, 3)."""
        client_id = secrets.token_hex(16)
        news: queue.SimpleQueue[_News] = queue.SimpleQueue()
        is_open: Future[None] = Future()
        listener = self._caller.spawn(self._listen(replica, client_id, news, is_open))
        name, is_over = None, False
        try:
            with suppress(OSError):
                yield from waited_for(is_open)
            body, content_type = as_json({"prompt": prompt, "client_id": client_id})
            reply = yield from self._caller.call(replica, "POST", "/prompt", body=body, content_type=content_type)
            if reply.status == 400:
                raise EngineError(EngineErrorKind.UNSUPPORTED_PARAMETER, _what_is_refused(reply.body, replica))
            name = str(read_json(reply, replica).get("prompt_id"))
            outputs = yield from self._outlived(name, replica, news)
            is_over = True
            yield from self._fetched(outputs, replica)
        except EngineError:
            is_over = True
            raise
        finally:
            listener.cancel()
            if name is not None:
                self._caller.spawn(self._tidied(name, replica, is_over=is_over))

    def _outlived(
        self, name: str, replica: Destination, news: "queue.SimpleQueue[_News]"
    ) -> Generator[EngineWaits | _Progress | _Preview, None, Mapping[str, Any]]:
        """What the prompt made, by node, once it has ended; its news meanwhile."""
        deadline_s = time.monotonic() + self._options.timeout_s
        asked_s = time.monotonic()
        while True:
            try:
                each = news.get(timeout=HEAR_S)
            except queue.Empty:
                each = None
                yield EngineWaits()
            if isinstance(each, _Preview) or (isinstance(each, _Progress) and each.node == self._sampler):
                yield each
            now_s = time.monotonic()
            if not isinstance(each, _Over) and now_s - asked_s < self._poll_s:
                continue
            asked_s = now_s
            ended = yield from self._ended(name, replica)
            if ended is not None:
                return ended
            if now_s > deadline_s:
                message = f"{replica.origin} was not done after {self._options.timeout_s:g} s"
                raise EngineError(EngineErrorKind.TIMEOUT, message)

    def _ended(self, name: str, replica: Destination) -> Generator[EngineWaits, None, Mapping[str, Any] | None]:
        """What the prompt made, by node; None while it is in the queue."""
        waits = read_json((yield from self._caller.call(replica, "GET", "/queue")), replica)
        is_queued = any(name in _names(waits.get(line)) for line in ("queue_running", "queue_pending"))
        # Asked behind the queue: who leaves it in between is in the history by then.
        history = read_json((yield from self._caller.call(replica, "GET", f"/history/{name}")), replica)
        entry = as_table(history.get(name))
        if not entry:
            if is_queued:
                return None
            raise EngineError(EngineErrorKind.CRASH, f"{replica.origin} lost its queue: it was started again")
        status = as_table(entry.get("status"))
        if status.get("status_str") == "error":
            raise _failure(status.get("messages"), replica)
        return as_table(entry.get("outputs"))

    def _fetched(self, outputs: Mapping[str, Any], replica: Destination) -> Generator[EngineWaits | NDArray[np.uint8]]:
        """Waits, then the pictures that the output node saved."""
        frames: list[NDArray[np.uint8]] = []
        for entry in as_tables(as_table(outputs.get(self._options.output)).get("images")):
            query = urlencode({key: str(entry.get(key, "")) for key in ("filename", "subfolder", "type")})
            reply = yield from self._caller.call(replica, "GET", f"/view?{query}")
            refuse_failure(reply, replica)
            frames += _pictures_in(reply.body, replica)
        if not frames:
            message = f"node {self._options.output} of the workflow saved no picture on {replica.origin}"
            raise EngineError(EngineErrorKind.INTERNAL, message)
        if len({frame.shape for frame in frames}) > 1:
            raise EngineError(EngineErrorKind.INTERNAL, f"{replica.origin} made pictures of different sizes in one run")
        yield np.stack(frames)

    def _uploaded(self, order: RunOrder, replica: Destination) -> Generator[EngineWaits, None, Mapping[str, str]]:
        """The names under which the pictures that the order starts from lie on the server."""
        if order.inputs is None:
            return {}
        given = {"image": order.inputs.files[0]}
        if order.inputs.mask is not None:
            given["mask"] = order.inputs.files[-1]
        names: dict[str, str] = {}
        for parameter, content in given.items():
            if parameter not in self._options.places:
                raise EngineError(EngineErrorKind.UNSUPPORTED_PARAMETER, f"{parameter}: the workflow takes none")
            file_name = f"heliograph-{order.job_id}-{order.attempt}-{parameter}.png"
            body, content_type = as_form(
                {"overwrite": "true", "type": "input"}, [("image", file_name, "image/png", content)]
            )
            reply = yield from self._caller.call(replica, "POST", "/upload/image", body=body, content_type=content_type)
            answer = read_json(reply, replica)
            names[parameter] = "/".join(filter(None, (str(answer.get("subfolder") or ""), str(answer.get("name")))))
        return names

    def _filled(self, order: RunOrder, seed: int, files: Mapping[str, str]) -> Workflow:
        """The workflow with what the order says in its places."""
        inputs = order.inputs
        values: dict[str, object] = {
            "prompt": order.prompt,
            "negative_prompt": order.negative_prompt,
            "seed": seed,
            "steps": order.steps,
            "guidance": order.guidance,
            "width": order.width_px,
            "height": order.height_px,
            "frames": order.frames,
            **files,
        }
        if inputs is not None and inputs.strength is not None:
            values["strength"] = inputs.strength
        filled = deepcopy(self._workflow)
        for parameter, places in self._options.places.items():
            if parameter in values:
                for node, into in places:
                    filled[node]["inputs"][into] = values[parameter]
        return filled

    async def _listen(
        self, replica: Destination, client_id: str, news: "queue.SimpleQueue[_News]", is_open: "Future[None]"
    ) -> None:
        """Hear what the server tells this client until it is called off."""
        try:
            async with self._caller.websocket(replica, f"/ws?clientId={client_id}") as connection:
                features = {"supports_preview_metadata": True}
                await connection.send(json.dumps({"type": "feature_flags", "data": features}))
                is_open.set_result(None)
                async for message in connection:
                    each = _heard(message)
                    if each is not None and news.qsize() < HEARD_MAX:
                        news.put(each)
        except (OSError, WebSocketException) as error:
            if not is_open.done():
                is_open.set_exception(OSError(str(error)))

    async def _tidied(self, name: str, replica: Destination, *, is_over: bool) -> None:
        """Stop the prompt where it has not ended, and leave nothing of it in the history."""

        async def post(path: str, value: object) -> None:
            body, content_type = as_json(value)
            await self._caller.answer(replica, "POST", path, body=body, content_type=content_type)

        if not is_over:
            await post("/queue", {"delete": [name]})
            reply = await self._caller.answer(replica, "GET", "/queue")
            with suppress(EngineError):
                if name in _names(read_json(reply, replica).get("queue_running")):
                    await post("/interrupt", {"prompt_id": name})
        await post("/history", {"delete": [name]})


def _read_workflow(options: ComfyOptions) -> Workflow:
    """The workflow, with every place that is to be filled in. Raises `EngineError(BAD_INPUT)` naming what it lacks."""
    path = Path(options.workflow)
    try:
        value: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _bad_workflow(path, "cannot be read as JSON") from error
    if not isinstance(value, dict) or "nodes" in value:
        raise _bad_workflow(path, "is not in ComfyUI's API format; save it with Export (API)")
    workflow = cast(Workflow, value)
    for name, node in workflow.items():
        if not {"class_type", "inputs"} <= node.keys():
            raise _bad_workflow(path, f"has a node {name} without class_type and inputs")
    for parameter, places in options.places.items():
        for node, into in places:
            if into not in workflow.get(node, {"inputs": {}})["inputs"]:
                raise _bad_workflow(path, f"has no input {node}.{into} for {parameter}")
    for key, node in (("output", options.output), ("sampler", options.sampler)):
        if node is not None and node not in workflow:
            raise _bad_workflow(path, f"has no node {node} ({key})")
    return workflow


def _bad_workflow(path: Path, problem: str) -> EngineError:
    return EngineError(EngineErrorKind.BAD_INPUT, f"the workflow {path.name} {problem}")


def _heard(message: str | bytes) -> _News | None:
    """What a message of the WebSocket says that matters here; the socket is this run's own."""
    if isinstance(message, bytes):
        return _heard_preview(message)
    try:
        value = as_table(json.loads(message))
    except ValueError:
        return None
    kind, data = value.get("type"), as_table(value.get("data"))
    if kind == "progress":
        done, maximum = data.get("value"), data.get("max")
        if isinstance(done, int | float) and isinstance(maximum, int | float) and maximum > 0:
            return _Progress(node=str(data.get("node")), value=done, maximum=maximum)
        return None
    is_last = kind == "executing" and data.get("node") is None
    return _Over() if is_last or kind in _ENDS else None


def _heard_preview(message: bytes) -> _Preview | None:
    if len(message) < 8:
        return None
    kind, second = struct.unpack(">II", message[:8])
    picture = {_PREVIEW: message[8:], _PREVIEW_WITH_METADATA: message[8 + second :]}.get(kind)
    if picture is None:
        return None
    try:
        with Image.open(io.BytesIO(picture)) as image:
            return _Preview(np.asarray(image.convert("RGB")))
    except (OSError, Image.DecompressionBombError):
        return None


def _previews(
    made: Sequence[NDArray[np.uint8]], shown: NDArray[np.uint8] | None, number: int
) -> NDArray[np.uint8] | None:
    """(pictures, height, width, 3): those that are done, the one that forms, and grey for those to come."""
    if shown is None:
        return None
    height_px, width_px, _ = shown.shape
    previews = np.full((number, height_px, width_px, 3), 128, np.uint8)
    for index, frames in enumerate(made):
        previews[index] = np.asarray(Image.fromarray(frames[0]).resize((width_px, height_px)))
    previews[min(len(made), number - 1)] = shown
    return previews


def _names(line: object) -> set[str]:
    """The prompts of one of the queue's two lines."""
    entries = map(as_list, as_list(line))
    return {str(entry[1]) for entry in entries if len(entry) > 1}


def _pictures_in(content: bytes, replica: Destination) -> list[NDArray[np.uint8]]:
    """The frames of a file, (height, width, 3) uint8 each."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
    except (OSError, Image.DecompressionBombError) as error:
        raise EngineError(EngineErrorKind.INTERNAL, f"{replica.origin} sent a picture that cannot be read") from error


def _what_is_refused(body: bytes, replica: Destination) -> str:
    """Which inputs of which nodes the server does not take, without what it was given."""
    places: list[str] = []
    with suppress(ValueError):
        for node, problem in as_table(as_table(json.loads(body)).get("node_errors")).items():
            refused = [as_table(each.get("extra_info")) for each in as_tables(as_table(problem).get("errors"))]
            places += [f"{node}.{each.get('input_name', '?')}" for each in refused]
    named = f": it does not take {', '.join(places)}" if places else ""
    return f"{replica.origin} refused the workflow{named}"


def _failure(messages: object, replica: Destination) -> EngineError:
    """What went wrong, from the server's words; they themselves stay here, but for the node's number and kind."""
    for message in map(as_list, as_list(messages)):
        if len(message) < 2:
            continue
        data = as_table(message[1])
        if message[0] == "execution_error":
            kind = kind_of(RuntimeError(f"{data.get('exception_type')}: {data.get('exception_message')}"))
            where = f"node {data.get('node_id')} ({data.get('node_type')})"
            return EngineError(kind, f"{where} of the workflow failed on {replica.origin}")
        if message[0] == "execution_interrupted":
            return EngineError(EngineErrorKind.CRASH, f"somebody interrupted {replica.origin}")
    return EngineError(EngineErrorKind.INTERNAL, f"{replica.origin} says that the workflow failed")
