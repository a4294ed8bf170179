"""A fuzzer over what people send: prompts in every notation, pictures changed anywhere, forms that are none.

Against a real server, whose answers may be anything but a 5xx. `make fuzz EXAMPLES=5000` runs it for longer.
"""

import io
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from tests.e2e.server import FAKE, Server

pytestmark = pytest.mark.e2e

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # a failing example is told as it came: shrinking asks the server for long
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    server = Server(
        tmp_path_factory.mktemp("fuzzed") / "data", {**FAKE, "HELIOGRAPH_QUEUE__PENDING_MAX": "100000"}
    ).start()
    encoders = set(server.postprocess_pids())
    try:
        yield server
        assert encoders <= set(server.postprocess_pids()), "no file may bring down the process that reads it"
    finally:
        server.stop()


def answered(server: Server, path: str, **what: Any) -> int:
    answer = server.http.post(path, **what)
    assert answer.status_code < 500, (answer.status_code, answer.text, repr(what)[:2_000])
    if answer.status_code >= 400:
        assert answer.json()["error"]["message"]
    return answer.status_code


# --- prompts ---------------------------------------------------------------------------------------------------------

MARKS = [
    "(", ")", "((", "))", "[", "]", "{", "}", "<", ">", ":", "::", "|", "$$", "\\", "\\(", "++", "--", "+", "-", ",",
    ":1.3)", ":-5)", ":1e999)", ":0.5]", "BREAK", "AND", "AND :2", " --ar 3:2", " --ar 0:0", " --seed 99999999999",
    " --no fog", " --v 7", "<lora:", "<lora:x:1:2>", "<random:a,b>", "<fromto[0.5]:a,b>", "<alternate:a,b>",
    ".", "<comment:",
    '("a", "b").blend(.7, .3)', ".and(", "{2$$a|b|c}", "{9$$a}", "{3::a|b}", "{1-2$$ and $$a|b}", "__wild__", "\u200b",
    "\u0000", "\ud83d", "é" * 40, "e" + "\u0301" * 40, "\u202e", "כלב", "🐕‍🦺", "\n", "\t", "a red boat", "w/",
    "portait",
    "'", '"', "<segment:face>", "a" * 3_000, "(" * 300, "{a|" * 100, "[" * 200, "<" * 200,
]  # fmt: skip
prompts = st.lists(st.sampled_from(MARKS) | st.text(max_size=12), max_size=25).map("".join)
fields = st.fixed_dictionaries(
    {"prompt": prompts},
    optional={
        "negative_prompt": prompts,
        "prompt_syntax": st.sampled_from(["auto", "a1111", "swarm", "comfyui", "compel", "midjourney", "plain", "x"]),
        "model": st.sampled_from(["fake", "helio-base", "sdxl-base", "flux1-dev"]),
        "on_unsupported": st.sampled_from(["drop", "refuse"]),
        "on_overflow": st.sampled_from(["shorten", "refuse"]),
        "seed": st.integers(0, 2**32 - 1),
    },
)


@SETTINGS
@given(fields)
def test_any_prompt_is_read_or_refused(server: Server, body: dict[str, Any]) -> None:
    try:
        answered(server, "/v1/prices", json=body)
    except UnicodeEncodeError:  # half a surrogate pair, which httpx cannot send; json.dumps can
        answered(server, "/v1/prices", content=b'{"prompt": "\\ud83d"}', headers={"Content-Type": "application/json"})


@SETTINGS
@given(prompts)
def test_any_text_is_searched_for_settings(server: Server, text: str) -> None:
    for each in (
        text,
        f"{text}\nSteps: {text}, Seed: 1, Size: 8x8",
        '{"1": {"class_type": "KSampler", "inputs": ' + text,
    ):
        answered(server, "/v1/import", json={"text": each.encode("utf-8", "replace").decode()})


# --- pictures --------------------------------------------------------------------------------------------------------


def _files() -> list[bytes]:
    picture = Image.linear_gradient("L").resize((60, 40)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = 'prompt:{"1": {"class_type": "KSampler", "inputs": {"seed": 1}}}'
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "a boat\nSteps: 8, Seed: 1, Size: 8x8".encode("utf-16-be")
    notes = PngImagePlugin.PngInfo()
    notes.add_text("parameters", "a boat\nSteps: 8, Seed: 1, Size: 64x64", zip=True)
    notes.add_itxt("invokeai_metadata", '{"positive_prompt": "a boat"}')
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = [picture.rotate(angle) for angle in (0, 90)]
    made: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (picture, "PNG", {"pnginfo": notes, "exif": exif, "icc_profile": profile}),
        (picture.convert("RGBA"), "PNG", {}),
        (picture.convert("P"), "PNG", {"transparency": 3}),
        (picture.convert("L"), "PNG", {}),
        (picture, "JPEG", {"exif": exif, "icc_profile": profile, "comment": b"a boat"}),
        (picture, "JPEG", {"progressive": True, "quality": 30}),
        (picture.convert("CMYK"), "JPEG", {}),
        (picture, "WEBP", {"exif": exif, "icc_profile": profile}),
        (picture.convert("RGBA"), "WEBP", {"lossless": True}),
        (picture, "AVIF", {"exif": exif}),
        (frames[0], "GIF", {"save_all": True, "append_images": frames[1:], "comment": b"a boat"}),
        (frames[0], "PNG", {"save_all": True, "append_images": frames[1:]}),
        (picture, "TIFF", {}),
        (picture, "BMP", {}),
    ]
    files = []
    for image, kind, options in made:
        file = io.BytesIO()
        image.save(file, kind, **options)
        files.append(file.getvalue())
    return files


FILES = _files()
WORDS = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\1\0\0"]


@st.composite
def changed_files(draw: st.DrawFn) -> bytes:
    """A real file with bytes changed, cut out, doubled, cut off, or one glued behind another."""
    data = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(["change", "word", "drop", "double", "cut", "glue"])):
            case "change":
                data[at] = draw(st.integers(0, 255))
            case "word":
                data[at : at + 4] = draw(
                    st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\1\0\0"])
                )
            case "drop":
                del data[at : at + draw(st.integers(1, 40))]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case "cut":
                del data[at:]
            case "glue":
                data += draw(st.sampled_from(FILES))
        if not data:
            break
    return bytes(data)


@SETTINGS
@given(changed_files(), st.sampled_from(["image", "mask"]))
def test_any_file_is_taken_in_or_refused(server: Server, data: bytes, purpose: str) -> None:
    status = answered(server, "/v1/inputs", files={"file": ("a.png", data)}, data={"purpose": purpose})
    assert status in (201, 400)
    assert answered(server, "/v1/import", files={"file": ("a.png", data)}) in (200, 400)


@SETTINGS
@given(changed_files(), changed_files(), prompts)
def test_any_edit_is_taken_or_refused(server: Server, image: bytes, mask: bytes, prompt: str) -> None:
    files = {"image": ("a", image), "mask": ("b", mask)}
    body = {"prompt": prompt.encode("utf-8", "replace").decode() or "a boat", "model": "fake"}
    assert answered(server, "/v1/images/edits", files=files, data=body) in (200, 400)


@SETTINGS
@given(
    st.binary(max_size=200) | changed_files(),
    st.sampled_from(["x", "", '"', "x; boundary=y", "a" * 80, "--", "=?"]),
    st.sampled_from(["/v1/inputs", "/v1/import", "/v1/images/edits"]),
)
def test_any_form_is_read_or_refused(server: Server, noise: bytes, boundary: str, path: str) -> None:
    line = f"--{boundary}\r\n".encode()
    part = line + b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + noise + b"\r\n"
    for body in (noise, line + noise, part, part + b"--" + boundary.encode() + b"--\r\n"):
        answered(server, path, content=body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})


references = st.sampled_from(
    ["in_", "in_AAAA", "out_1", "data:image/png;base64,AAAA", "data:,", "https://", "https://[::1]/", "https://127.0.0.1/a",
     "http://169.254.169.254/latest", "file:///etc/passwd", "", "\u0000"]
) | st.text(max_size=20)  # fmt: skip
anything = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | references
inputs = st.dictionaries(
    st.sampled_from(["image", "mask", "strength", "x"]), anything | st.lists(anything, max_size=4), max_size=4
)


@SETTINGS
@given(inputs | anything, st.sampled_from(["fake", "sdxl-base", "helio-motion"]))
def test_any_inputs_of_a_job_are_taken_or_refused(server: Server, value: Any, model: str) -> None:
    answered(server, "/v1/jobs", json={"prompt": "a boat", "model": model, "inputs": value})


def test_the_server_is_well_after_all_that(server: Server) -> None:
    assert server.finished(server.submit()["id"])["status"] == "completed"
    assert [line for line in server.lines() if line["level"] == "error"] == []
