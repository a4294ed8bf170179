import json

import pytest

from heliograph.domain.errors import EngineErrorKind
from heliograph.domain.events import ImagesReady, RunAborted, RunFailed, RunStarted, StepDone
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.pictures import RawImage
from heliograph.domain.run import RunInputs, RunOrder
from heliograph.worker_wire import (
    HEADER_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    PREFIX_BYTES,
    VERSION,
    Abort,
    Checkpointed,
    FromWorker,
    LoadFailed,
    Pause,
    Paused,
    Ping,
    Pong,
    Ready,
    Run,
    ToWorker,
    WireError,
    decode,
    encode,
    lengths,
)

JOB = JobId("job_1")
MESSAGES: list[ToWorker | FromWorker] = [
    Run(
        order=RunOrder(
            job_id=JOB,
            attempt=3,
            model_id=ModelId("helio-base"),
            prompt='a "boat" 🚣 \n שלום \ud800',
            negative_prompt="",
            width_px=128,
            height_px=96,
            steps=8,
            guidance=3.5,
            seeds=(2**32 - 1, 0),
            preview_every=1,
            frames=12,
            resume_from="job_1.safetensors",
            first_step=3,
        ),
        checkpoint=b"\0\xffkept",
    ),
    Run(
        order=RunOrder(
            job_id=JOB,
            attempt=1,
            model_id=ModelId("helio-base"),
            prompt="a boat",
            negative_prompt="",
            width_px=128,
            height_px=96,
            steps=8,
            guidance=3.5,
            seeds=(1,),
            preview_every=0,
            inputs=RunInputs(images=("a.png", "b.png"), mask="c.png", strength=0.6, files=(b"\x89PNG", b"", b"mask")),
        ),
        checkpoint=b"kept",
    ),
    Abort(job_id=JOB, attempt=1),
    Pause(job_id=JOB, attempt=1),
    Ping(),
    Pong(),
    Ready(memory_bytes=123_456_789, can_resume=True),
    LoadFailed(kind=EngineErrorKind.BAD_WEIGHTS, message="decoder.onnx is damaged"),
    RunStarted(job_id=JOB, attempt=1),
    StepDone(job_id=JOB, attempt=1, step=1, steps=2),
    StepDone(job_id=JOB, attempt=1, step=2, steps=2, previews=(b"\xff\xd8one", b"", b"three\0")),
    Checkpointed(job_id=JOB, attempt=1, step=4, checkpoint=b"kept\0"),
    Paused(job_id=JOB, attempt=1, step=5, checkpoint=b"\xff"),
    ImagesReady(
        job_id=JOB,
        attempt=1,
        run_s=0.25,
        images=(
            RawImage(width_px=2, height_px=1, seed=5, rgb=b"\0\1\2\3\4\5"),
            RawImage(width_px=1, height_px=1, seed=6, rgb=b"\xff\xfe\xfd"),
            RawImage(frames=2, width_px=1, height_px=1, seed=7, rgb=b"\0\1\2\3\4\5"),
        ),
    ),
    RunFailed(job_id=JOB, attempt=1, kind=EngineErrorKind.NAN, message="not a number in step 3"),
    RunAborted(job_id=JOB, attempt=1),
]


def cut(frame: bytes) -> tuple[bytes, bytes]:
    header_bytes, payload_bytes = lengths(frame[:PREFIX_BYTES])
    assert len(frame) == PREFIX_BYTES + header_bytes + payload_bytes
    return frame[PREFIX_BYTES : PREFIX_BYTES + header_bytes], frame[PREFIX_BYTES + header_bytes :]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_comes_back_as_it_was(message: ToWorker | FromWorker) -> None:
    assert decode(*cut(encode(message))) == message


def test_pixels_travel_as_they_are() -> None:
    header, payload = cut(encode(MESSAGES[-3]))
    assert payload == b"\0\1\2\3\4\5\xff\xfe\xfd\0\1\2\3\4\5"
    assert len(header) < 200


@pytest.mark.parametrize(
    ("header_bytes", "payload_bytes"), [(HEADER_BYTES_MAX + 1, 0), (2, PAYLOAD_BYTES_MAX + 1), (2**32 - 1, 2**32 - 1)]
)
def test_a_frame_beyond_the_limit_is_refused_before_it_is_read(header_bytes: int, payload_bytes: int) -> None:
    with pytest.raises(WireError, match="beyond the limit"):
        lengths(header_bytes.to_bytes(4, "big") + payload_bytes.to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b"", b""),
        (b"\xff\xfe", b""),
        (b"[]", b""),
        (b"null", b""),
        (b"{}", b""),
        ({"type": "Upgrade"}, b""),
        ({"type": "Ping", "extra": 1}, b""),
        ({"type": "Abort", "job_id": "j"}, b""),
        ({"type": "RunFailed", "job_id": "j", "attempt": 1, "kind": "bored", "message": ""}, b""),
        ({"type": "StepDone", "job_id": "j", "attempt": 1, "step": 1, "steps": 1, "previews": [3]}, b"12"),
        ({"type": "StepDone", "job_id": "j", "attempt": 1, "step": 1, "steps": 1, "previews": [-1, 3]}, b"12"),
        ({"type": "ImagesReady", "job_id": "j", "attempt": 1, "run_s": 1.0, "images": [[1, 1, 1, 0]]}, b"12"),
        ({"type": "ImagesReady", "job_id": "j", "attempt": 1, "run_s": 1.0, "images": [[1, 1]]}, b"123"),
    ],
)
def test_what_is_not_a_message_is_refused(header: bytes | dict[str, object], payload: bytes) -> None:
    encoded = header if isinstance(header, bytes) else json.dumps({"version": VERSION, **header}).encode()
    with pytest.raises(WireError):
        decode(encoded, payload)


def test_another_version_is_refused_without_quoting_the_frame() -> None:
    header, payload = cut(encode(MESSAGES[0]))
    older = header.replace(f'"version":{VERSION}'.encode(), b'"version":0')
    with pytest.raises(WireError, match="version") as caught:
        decode(older, payload)
    assert "boat" not in str(caught.value)
