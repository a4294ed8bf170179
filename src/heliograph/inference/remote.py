"""Models on servers that speak OpenAI's language: pictures in one call, videos as a job that is polled.

Such servers take more than OpenAI's fields and leave a lot undone without a word. What is done about it here:

- Every picture is ordered by itself. Several from one call share one seed, so that none could be made again alone.
- A seed is always sent (one server's default is always the same, another's is chance), and nothing that is not read.
- What comes back is measured: a server that rounds a size or a number of frames is found out, and the job fails with
  the name of the field, rather than getting something else.
- A percentage counts only where the catalogue says that it is measured.
- A job's id means something only to the replica that gave it, so a run stays with one replica; a replica that forgets
  its job was started again, and the job is too.
- Where cancelling does not stop the GPU, a cancelled run is left to itself and the next one on this worker waits for
  its end: two at once would slow one another down, and memory was planned for one.
"""

import base64
import binascii
import io
import json
import time
from collections.abc import Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.making import EngineFacts
from heliograph.domain.model_card import EngineKind
from heliograph.domain.remote_options import TRAITS, RemoteOptions, remote_from
from heliograph.domain.run import RunOrder
from heliograph.inference.checkpoint import Checkpoint
from heliograph.inference.clip_files import read_clip
from heliograph.inference.engine import EngineImages, EngineStep, EngineWaits
from heliograph.inference.failures import kind_of
from heliograph.inference.remote_calls import (
    Caller,
    as_form,
    as_json,
    as_tables,
    measured,
    no_checkpoint,
    read_json,
    refuse_failure,
    waited_for,
)
from heliograph.outbound import Destination, Reply

POLL_S = 0.5
PROBE_S_MAX = 10.0
_OVER = frozenset({"completed", "failed", "cancelled", "deleted"})

Progress = Generator[EngineStep | EngineImages | EngineWaits]


@dataclass(frozen=True, slots=True)
class _Share:
    """So much of one picture is done, 0 to 1."""

    done: float


class RemoteEngine:
    """One model of one or more replicas of a server. Videos are ordered with `frames_per_second` and asked for every
    `poll_s` seconds.
    """

    def __init__(self, options: RemoteOptions, *, frames_per_second: float, poll_s: float = POLL_S) -> None:
        self._poll_s = poll_s
        self._options = options
        self._traits = TRAITS[options.server]
        self._frames_per_second = frames_per_second
        self._caller = Caller(
            options.urls, networks=options.networks, key_env=options.key_env, timeout_s=options.timeout_s
        )
        self._left_alone: _LeftAlone | None = None

    @classmethod
    def described(cls, text: str) -> "RemoteEngine":
        """The engine that a worker's command line describes."""
        fields: dict[str, Any] = json.loads(text)
        return cls(remote_from(fields["options"]), frames_per_second=fields["frames_per_second"])

    def close(self) -> None:
        """Drop the calls that are under way."""
        self._caller.close()

    @property
    def can_resume(self) -> bool:
        """No server hands over where it stands."""
        return False

    @property
    def facts(self) -> EngineFacts:
        """What is known of a model that runs elsewhere: that it does."""
        return EngineFacts(engine=EngineKind.REMOTE_OPENAI.value)

    def load(self) -> None:
        """See that one replica at least answers and has the model. Nothing is generated for that: it costs a GPU."""
        problems = [self._probe(replica) for replica in self._caller.replicas]
        if None not in problems:
            raise EngineError(EngineErrorKind.CRASH, "; ".join(filter(None, problems)))

    def _probe(self, replica: Destination) -> str | None:
        reply = self._caller.start(replica, "GET", "/v1/models", timeout_s=PROBE_S_MAX).result()
        if reply.status == 404:
            return None  # not all have the list
        try:
            listed = as_tables(read_json(reply, replica).get("data"))
        except EngineError as error:
            return error.message
        names = [str(each.get("id")) for each in listed]
        if names and self._options.model not in names:
            return f"{replica.origin} serves {', '.join(names)} and not {self._options.model}"
        return None

    def generate(self, order: RunOrder, resume: Checkpoint | None = None) -> Progress:
        """One picture after the other."""
        if resume is not None:
            raise EngineError(EngineErrorKind.BAD_CHECKPOINT, "runs on other servers cannot be taken up again")
        yield from self._let_the_last_one_end()
        replica = self._caller.next_replica()
        made: list[NDArray[np.uint8]] = []
        reported = 0
        for number, seed in enumerate(order.seeds):
            work = self._clip(order, seed, replica) if order.frames > 1 else self._picture(order, seed, replica)
            for each in work:
                if isinstance(each, EngineWaits):
                    yield each
                elif isinstance(each, _Share):
                    step = int(order.steps * (number + each.done) / len(order.seeds))
                    if reported < step < order.steps:
                        reported = step
                        yield _step(order, step)
                else:
                    made.append(measured(each, order, replica))
        yield _step(order, order.steps)
        yield EngineImages(pixels=np.stack(made))

    def _picture(
        self, order: RunOrder, seed: int, replica: Destination
    ) -> Generator[EngineWaits | _Share | NDArray[np.uint8]]:
        """Waits, then one still of (1, height, width, 3)."""
        fields = self._fields(order, seed) | {"n": 1, "response_format": "b64_json"}
        if self._options.server == "openai":
            del fields["response_format"]  # its models always answer so, and refuse the field
        body, content_type = as_json(fields)
        path = "/v1/images/generations"
        if order.inputs is not None:
            path = "/v1/images/edits"
            files = [("image", "image.png", "image/png", file) for file in order.inputs.files]
            if order.inputs.mask is not None:
                files[-1] = ("mask", "mask.png", "image/png", order.inputs.files[-1])
            body, content_type = as_form(fields, files)
        call = self._caller.start(replica, "POST", path, body=body, content_type=content_type)
        try:
            reply = yield from waited_for(call)
        finally:
            if not call.done() and not self._options.stops_when_told:
                self._left_alone = _LeftAlone(call=call)
            elif not call.done():
                call.cancel()  # hanging up is how a call of this kind is cancelled
        yield _Share(1.0)
        yield _decoded(reply, replica)

    def _clip(
        self, order: RunOrder, seed: int, replica: Destination
    ) -> Generator[EngineWaits | _Share | NDArray[np.uint8]]:
        """Waits and shares of the work (0-1), then one clip of (frames, height, width, 3)."""
        fields = self._fields(order, seed) | {"num_frames": order.frames, "fps": round(self._frames_per_second)}
        files = [("input_reference", "start.png", "image/png", each) for each in _first_picture(order)]
        takes_form = self._traits.takes_forms or bool(files)
        body, content_type = as_form(fields, files) if takes_form else as_json(fields)
        reply = yield from self._caller.call(replica, "POST", "/v1/videos", body=body, content_type=content_type)
        name = read_json(reply, replica).get("id")
        if not isinstance(name, str) or not name:
            raise EngineError(EngineErrorKind.INTERNAL, f"{replica.origin} took the video and gave it no id")
        is_over = False
        try:
            state = yield from self._polled(name, replica)
            is_over = True
            if state != "completed":
                raise EngineError(EngineErrorKind.INTERNAL, f"{replica.origin} says that the video is {state}")
            content = yield from self._caller.call(replica, "GET", f"/v1/videos/{name}/content")
            refuse_failure(content, replica)
            yield read_clip(content.body)
        except EngineError:
            is_over = True
            raise
        finally:
            if is_over or self._options.stops_when_told:
                self._caller.start(replica, "DELETE", f"/v1/videos/{name}", timeout_s=PROBE_S_MAX)
            else:
                self._left_alone = _LeftAlone(video=(name, replica))

    def _polled(self, name: str, replica: Destination) -> Generator[EngineWaits | _Share, None, str]:
        """The state in which the video ended; meanwhile its share where it is measured."""
        deadline_s = time.monotonic() + self._options.timeout_s
        while True:
            video = read_json((yield from self._caller.call(replica, "GET", f"/v1/videos/{name}")), replica)
            state, progress = str(video.get("status")), video.get("progress")
            if state == "failed":
                _refuse_failed(video, replica)
            if state in _OVER:
                return state
            if self._options.has_progress and isinstance(progress, int | float):
                yield _Share(min(max(progress / 100, 0.0), 1.0))
            if time.monotonic() > deadline_s:
                raise EngineError(
                    EngineErrorKind.TIMEOUT, f"{replica.origin} was not done after {self._options.timeout_s:g} s"
                )
            yield from _paused(self._poll_s)

    def _fields(self, order: RunOrder, seed: int) -> dict[str, object]:
        """What the server is told of every kind of order, in its own names; nothing that it does not read."""
        reads = self._traits.parameters
        fields: dict[str, object] = {
            "model": self._options.model,
            "prompt": order.prompt,
            "size": f"{order.width_px}x{order.height_px}",
        }
        if "seed" in reads:
            fields["seed"] = seed
        if "steps" in reads:
            fields["num_inference_steps"] = order.steps
        if "guidance" in reads:
            fields["guidance_scale"] = order.guidance
        if "negative_prompt" in reads and order.negative_prompt:
            fields["negative_prompt"] = order.negative_prompt
        if "strength" in reads and order.inputs is not None and order.inputs.strength is not None:
            fields["strength"] = order.inputs.strength
        return fields

    def _let_the_last_one_end(self) -> Generator[EngineWaits]:
        """Wait for a cancelled run that the server did not stop."""
        left, self._left_alone = self._left_alone, None
        if left is None:
            return
        try:
            if left.call is not None:
                yield from waited_for(left.call)
            if left.video is not None:
                name, replica = left.video
                for each in self._polled(name, replica):
                    if isinstance(each, EngineWaits):
                        yield each
                self._caller.start(replica, "DELETE", f"/v1/videos/{name}", timeout_s=PROBE_S_MAX)
        except EngineError:
            return  # it failed or is not known any more: over is over
        except GeneratorExit:
            self._left_alone = left
            raise


class _LeftAlone:
    """A run that goes on although nobody wants it: a call, or a video and its replica."""

    def __init__(self, *, call: "Future[Reply] | None" = None, video: tuple[str, Destination] | None = None) -> None:
        self.call = call
        self.video = video


def _step(order: RunOrder, step: int) -> EngineStep:
    return EngineStep(step=step, steps=order.steps, previews=None, checkpoint=no_checkpoint)


def _paused(pause_s: float) -> Generator[EngineWaits]:
    time.sleep(pause_s / 2)
    yield EngineWaits()
    time.sleep(pause_s / 2)


def _first_picture(order: RunOrder) -> tuple[bytes, ...]:
    return () if order.inputs is None else order.inputs.files[:1]


def _refuse_failed(video: Mapping[str, Any], replica: Destination) -> NoReturn:
    """Raises what the server's words mean; they themselves stay here."""
    raise EngineError(kind_of(RuntimeError(str(video.get("error")))), f"{replica.origin} says that the video failed")


def _decoded(reply: Reply, replica: Destination) -> NDArray[np.uint8]:
    """The one picture of a reply, as (1, height, width, 3) uint8."""
    entries = as_tables(read_json(reply, replica).get("data"))
    text = entries[0].get("b64_json") if len(entries) == 1 else None
    if not isinstance(text, str):
        raise EngineError(EngineErrorKind.INTERNAL, f"{replica.origin} did not answer with one picture in base64")
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as image:
            return np.asarray(image.convert("RGB"))[None]
    except (OSError, binascii.Error, Image.DecompressionBombError) as error:
        raise EngineError(EngineErrorKind.INTERNAL, f"{replica.origin} sent a picture that cannot be read") from error
