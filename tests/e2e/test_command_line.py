"""The `heliograph` command as a person or a script uses it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from heliograph.delivery.pyav import film_comment, read_film
from tests.e2e.conftest import StartServer
from tests.e2e.server import FAKE, Server, eventually

pytestmark = pytest.mark.e2e


def run(*arguments: str, data_dir: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "heliograph", *arguments, "--data-dir", str(data_dir)]
    surroundings = {**os.environ, **FAKE, **(env or {})}
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=60, check=False)


def test_generate_starts_from_a_picture_and_says_what_it_started_from(tmp_path: Path) -> None:
    Image.new("RGB", (120, 80), "white").save(tmp_path / "a.jpg")
    words = ("generate", "a red boat", "--model", "fake", "--image", str(tmp_path / "a.jpg"), "--strength", "0.25")
    done = run(*words, "--out", str(tmp_path / "out.png"), "--json", data_dir=tmp_path / "data")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as image:
        assert image.width > image.height
        assert image.convert("L").getextrema()[0] > 180  # three quarters white
    alone = run(*words[:4], "--strength", "0.5", data_dir=tmp_path / "data")
    assert alone.returncode != 0
    assert "--image" in alone.stderr


def test_generate_without_a_server_reports_everything_as_json(tmp_path: Path) -> None:
    words = ("generate", "a red boat", "--model", "fake", "--seed", "7", "--n", "2", "--size", "64x48", "--json")
    done = run(*words, "--out", str(tmp_path / "out"), data_dir=tmp_path / "data")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["status"] == "completed"
    assert report["cost_micros"] >= 0
    assert {"queue", "dispatch", "run", "post_processing", "total"} <= set(report["timings"])
    assert [output["seed"] for output in report["outputs"]] == [7, 8]
    for output in report["outputs"]:
        data = Path(output["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == output["sha256"]
        with Image.open(output["path"]) as image:
            assert image.size == (output["width"], output["height"]) == (64, 48)
            assert image.format == "PNG"
            assert "a red boat" in image.info["parameters"]


def test_a_picture_is_enlarged_and_says_what_it_shows(tmp_path: Path) -> None:
    words = ("generate", "a red boat on the sea", "--aspect-ratio", "3:2", "--upscale", "2", "--steps", "1", "--json")
    done = run(*words, "--out", str(tmp_path / "boat.png"), data_dir=tmp_path / "data")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (output,) = report["outputs"]
    assert output["alignment"] is None or 0 <= output["alignment"] <= 1
    assert isinstance(output["missing"], list)
    with Image.open(output["path"]) as image:
        assert image.size == (output["width"], output["height"]) == (320, 192)
        assert "Upscale: 2" in image.info["parameters"]
    assert "Made at 160x96, enlarged 2x by helio-upscale." in {each["reason"] for each in report["adjustments"]}


def test_generate_uses_the_server_that_runs_on_the_data(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    target = tmp_path / "boat.webp"
    done = run(
        "generate", "a boat", "--model", "fake", "--format", "webp", "--out", str(target), data_dir=server.data_dir
    )
    assert done.returncode == 0, done.stderr
    assert str(target) in done.stdout
    assert "seed" in done.stdout
    assert "cost" in done.stdout
    with Image.open(target) as image:
        assert image.format == "WEBP"
    listed = json.loads(run("jobs", "--json", data_dir=server.data_dir).stdout)["jobs"]
    assert [job["request"]["prompt"] for job in listed] == ["a boat"], "the job is the server's"


def test_a_clip_is_written_as_the_file_s_name_says(tmp_path: Path) -> None:
    target = tmp_path / "boat.gif"
    words = ("generate", "a boat that sails", "--model", "fake-clip", "--frames", "5", "--size", "64x48")
    done = run(*words, "--out", str(target), "--json", data_dir=tmp_path / "data")
    assert done.returncode == 0, done.stderr
    (output,) = json.loads(done.stdout)["outputs"]
    assert (output["format"], output["frames"], output["duration_s"]) == ("gif", 5, 0.625)
    with Image.open(target) as clip:
        assert (clip.format, clip.n_frames, clip.size) == ("GIF", 5, (64, 48))
        assert clip.info["comment"].startswith(b"a boat that sails")
    told = run(*words, "--out", str(tmp_path), data_dir=tmp_path / "data")
    assert "5 frames, 0.625 s" in told.stdout
    assert list(tmp_path.glob("fake-clip-*.webp")), "a clip is a WebP unless something else is asked for"


def test_pictures_are_made_again(tmp_path: Path) -> None:
    data_dir, target = tmp_path / "data", tmp_path / "boat.png"
    made = run(
        "generate", "a boat", "--model", "helio-base", "--steps", "2", "--out", str(target), "--json", data_dir=data_dir
    )
    job_id = json.loads(made.stdout)["job_id"]
    again = run("reproduce", job_id, "--json", data_dir=data_dir)
    assert again.returncode == 0, again.stderr
    found = json.loads(again.stdout)
    assert (found["verdict"], found["changed"], found["recorded"], found["job"]) == ("identical", [], True, job_id)
    told = run("reproduce", str(target), data_dir=data_dir)
    assert (told.returncode, told.stdout) == (0, "Identical: every pixel is the same.\n")
    shown = json.loads(run("jobs", "show", job_id, data_dir=data_dir).stdout)["outputs"][0]["made_with"]
    assert (shown["engine"], shown["batch"], shown["gpu class"]) == ("onnx", "1", "cpu")
    assert shown["weights"]
    assert shown["library onnxruntime"]
    target.write_bytes(target.read_bytes() + b"x")
    refused = run("reproduce", str(target), data_dir=data_dir)
    assert (refused.returncode, "Name its job instead" in refused.stderr) == (2, True)


def test_golden_pictures_show_drift_side_by_side(tmp_path: Path) -> None:
    data_dir, prompts, page = tmp_path / "data", tmp_path / "prompts.txt", tmp_path / "drift.html"
    prompts.write_text("a boat\n\na <tree>\n")
    recorded = run("golden", "record", "fake", "--prompts", str(prompts), data_dir=data_dir)
    assert recorded.returncode == 0, recorded.stderr
    same = run("golden", "check", "fake", "--json", data_dir=data_dir)
    assert same.returncode == 0, same.stderr
    found = json.loads(same.stdout)
    assert (found["decision"], found["pictures"], found["changed"]) == ("same", 2, [])
    kept = data_dir / "golden" / "fake"
    (kept / "001.png").write_bytes((kept / "002.png").read_bytes())
    description = json.loads((kept / "set.json").read_text())
    description["made_with"]["model revision"] = "older"
    (kept / "set.json").write_text(json.dumps(description))
    drifted = run("golden", "check", "fake", "--report", str(page), data_dir=data_dir)
    assert drifted.returncode == 4, drifted.stderr
    assert drifted.stdout.startswith("fake: changed. 1 of 2 golden pictures look different")
    assert "model revision: older -> fake" in drifted.stdout
    told = page.read_text()
    assert (told.count("<img"), "a &lt;tree&gt;" in told) == (4, True)
    nothing = run("golden", "check", "helio-base", data_dir=data_dir)
    assert (nothing.returncode, "golden record" in nothing.stderr) == (2, True)


def test_a_clip_becomes_a_film(tmp_path: Path) -> None:
    target = tmp_path / "boat.mp4"
    words = ("generate", "a boat that sails", "--model", "fake-clip", "--frames", "5", "--size", "64x48")
    done = run(*words, "--out", str(target), "--json", data_dir=tmp_path / "data")
    assert done.returncode == 0, done.stderr
    film = target.read_bytes()
    assert [frame.shape for frame in read_film(film, frames_max=9)] == [(48, 64, 3)] * 5
    assert (film_comment(film) or "").startswith("a boat that sails")


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["generate", ""], 2, "prompt"),
        (["generate", "x", "--size", "big"], 2, "size"),
        (["generate", "x", "--steps", "0"], 2, "steps"),
        (["generate", "x", "--n", "11"], 2, "n"),
        (["generate", "x", "--seed", "-1"], 2, "seed"),
        (["generate", "x", "--seed", "abc"], 2, "--seed"),
        (["generate", "x", "--model", "nonsense"], 2, "nonsense"),
        (["generate", "x", "--format", "bmp"], 2, "output_format"),
        (["generate", "x", "--out", "/proc/nope/x.png"], 2, "out"),
        (["generate", "x", "--out", "/proc"], 2, "out"),
        (["generate", "x", "--out", "x.png", "--format", "webp"], 2, "out"),
        (["serve", "--port", "99999"], 2, "--port"),
        (["jobs", "show", "job_none"], 2, "data_dir"),
        (["keys", "revoke", "key_none"], 2, "key_none"),
    ],
)
def test_bad_input_is_named_without_a_stack_trace(words: list[str], code: int, named: str, tmp_path: Path) -> None:
    done = run(*words, data_dir=tmp_path / "data")
    assert done.returncode == code
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_existing_picture_is_not_overwritten_unasked(tmp_path: Path) -> None:
    target = tmp_path / "out" / "boat.jpg"
    words = ("generate", "a boat", "--model", "fake", "--out", str(target))
    assert run(*words, data_dir=tmp_path / "data").returncode == 0
    with Image.open(target) as image:
        assert image.format == "JPEG", "the name says the format"
    before = target.read_bytes()
    refused = run(*words, "--json", data_dir=tmp_path / "data")
    assert (refused.returncode, target.read_bytes()) == (2, before)
    assert json.loads(refused.stdout)["error"]["param"] == "out"
    assert run(*words, "--force", "--seed", "9", data_dir=tmp_path / "data").returncode == 0
    assert target.read_bytes() != before


def test_commands_on_the_same_data_take_turns(tmp_path: Path) -> None:
    pictures = [f"{number}.png" for number in range(4)]
    command = [
        sys.executable,
        "-m",
        "heliograph",
        "generate",
        "x",
        "--model",
        "fake",
        "--data-dir",
        str(tmp_path / "d"),
    ]
    env = {**os.environ, **FAKE}
    commands = [
        subprocess.Popen(
            [*command, "--out", str(tmp_path / name)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for name in pictures
    ]
    said = [child.communicate(timeout=60)[1] for child in commands]
    assert [child.returncode for child in commands] == [0] * len(pictures), said
    assert all((tmp_path / name).exists() for name in pictures)


def test_ids_and_keys_from_outside_do_no_harm(start_server: StartServer) -> None:
    server = start_server()
    strange = run("jobs", "show", "../../metrics", data_dir=server.data_dir)
    assert strange.returncode == 2
    assert "Traceback" not in strange.stderr
    refused = run("jobs", data_dir=server.data_dir, env={"HELIOGRAPH_API_KEY": "hg_\u00e9"})
    assert refused.returncode == 2
    assert "api_key" in refused.stderr


def test_looking_at_jobs_runs_none_of_them(start_server: StartServer) -> None:
    server = start_server(fake='{"step_s": 0.2}')
    jobs = [server.submit(steps=20)["id"] for _ in range(2)]
    server.reaches(jobs[0], "running")
    server.kill()
    listed = json.loads(run("jobs", "--json", data_dir=server.data_dir).stdout)["jobs"]
    assert [job["status"] for job in listed] == ["pending", "pending"]
    assert run("jobs", "cancel", jobs[1], data_dir=server.data_dir).returncode == 0
    after = json.loads(run("jobs", "--json", data_dir=server.data_dir).stdout)["jobs"]
    assert {job["id"]: job["status"] for job in after} == {jobs[0]: "pending", jobs[1]: "cancelled"}


def test_a_failed_job_exits_with_one(tmp_path: Path) -> None:
    env = {
        "HELIOGRAPH_FLEET__FAKE_ENGINE_OPTIONS": '{"faults": ["bad_input@1"]}',
    }
    done = run("generate", "x", "--model", "fake", "--json", data_dir=tmp_path / "data", env=env)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["status"], report["error"]["code"]) == ("failed", "engine_bad_input")


def test_interrupting_generate_cancels_the_job(start_server: StartServer) -> None:
    server = start_server(fake='{"step_s": 0.1}')
    command = [sys.executable, "-m", "heliograph", "generate", "x", "--model", "fake", "--steps", "50"]
    child = subprocess.Popen(
        [*command, "--data-dir", str(server.data_dir)],
        env=server.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job is deaf to it
    )
    with child:
        jobs = eventually(lambda: server.http.get("/v1/jobs").json()["data"], within_s=20, what="the job")
        server.reaches(jobs[0]["id"], "running")
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=20)
    assert child.returncode == 130
    assert b"Traceback" not in said
    assert server.finished(jobs[0]["id"])["status"] == "cancelled"


def test_keys_open_a_server_to_their_tenant_only(start_server: StartServer, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    secrets = [
        json.loads(run("keys", "create", "--tenant", tenant, "--tier", "pro", "--json", data_dir=data_dir).stdout)
        for tenant in ("alice", "bob")
    ]
    alice, bob = ({"Authorization": f"Bearer {key['secret']}"} for key in secrets)
    store = (
        (data_dir / "heliograph.sqlite").read_bytes() + (data_dir / "heliograph.sqlite-wal").read_bytes()
        if (data_dir / "heliograph.sqlite-wal").exists()
        else (data_dir / "heliograph.sqlite").read_bytes()
    )
    assert secrets[0]["secret"].encode() not in store, "only the hash of a secret is kept"

    server = start_server(data_dir=data_dir, wait=False)
    assert server.http.post("/v1/jobs", json={"prompt": "x"}).status_code == 401
    job = server.http.post("/v1/jobs", json={"prompt": "x", "model": "fake"}, headers=alice).json()
    done = eventually(
        lambda: (found := server.http.get(f"/v1/jobs/{job['id']}", headers=alice).json())["outputs"] and found,
        within_s=20,
        what="alice's picture",
    )
    assert server.http.get(f"/v1/jobs/{job['id']}", headers=bob).status_code == 404
    assert server.http.get("/v1/jobs", headers=bob).json()["data"] == []
    link = done["outputs"][0]["url"]
    assert server.http.get(link).status_code == 200, "a signed link works without the header"
    bare = link.split("?")[0]
    assert server.http.get(bare, headers=alice).status_code == 200
    assert server.http.get(bare, headers=bob).status_code == 404
    assert server.http.get(bare).status_code == 401

    assert run("keys", "revoke", secrets[1]["id"], data_dir=data_dir).returncode == 0
    eventually(
        lambda: server.http.get("/v1/jobs", headers=bob).status_code == 401,
        within_s=6,
        what="bob's key to stop working",
    )


def test_another_address_needs_keys(tmp_path: Path) -> None:
    done = run("serve", "--host", "0.0.0.0", "--port", "0", data_dir=tmp_path / "data")
    assert done.returncode == 2
    assert "heliograph keys create" in done.stderr


def test_a_taken_port_is_said_plainly(start_server: StartServer, tmp_path: Path) -> None:
    server: Server = start_server()
    port = server.url.rpartition(":")[2]
    done = run("serve", "--port", port, data_dir=tmp_path / "other")
    assert done.returncode == 3
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_models_prints_the_catalogue(tmp_path: Path) -> None:
    shown = json.loads(run("models", "--json", data_dir=tmp_path).stdout)
    assert len(shown["models"]) >= 30
    assert "helio-base" in [model["id"] for model in shown["models"]]
    assert "helio-base" in run("models", data_dir=tmp_path).stdout


def test_the_operator_looks_into_the_fleet_and_pauses_it(start_server: StartServer) -> None:
    server = start_server()

    def ordered(*words: str) -> dict[str, list[dict[str, object]]]:
        done = run(*words, "--json", data_dir=server.data_dir)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    ordered("models", "prewarm", "fake", "--minutes", "5")
    eventually(
        lambda: [each["state"] for each in ordered("fleet")["replicas"]] == ["ready"],
        within_s=30.0,
        what="the model is loaded",
    )
    assert ordered("fleet", "pause", "--model", "fake")["halts"][0]["name"] == "fake"
    shown = run("fleet", data_dir=server.data_dir).stdout
    assert "model fake is paused" in shown
    assert "the model is paused by the operator" in " ".join(shown.split())
    assert ordered("fleet", "resume", "--model", "fake")["halts"] == []
    wrong = run("fleet", "drain", "--pool", "H900", data_dir=server.data_dir)
    assert (wrong.returncode, "pool" in wrong.stderr) == (2, True)


def test_the_doctor_examines_a_running_server(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    found = json.loads(run("doctor", "--json", data_dir=server.data_dir).stdout)
    assert found["findings"] == []
    assert "5 minutes of observation" in found["summary"]
    healthy = run("doctor", data_dir=server.data_dir)
    assert (healthy.returncode, "Too early to say" in healthy.stdout) == (0, True)
    nobody = run("doctor", data_dir=tmp_path / "nothing")
    assert nobody.returncode == 3
    assert "No server runs on" in nobody.stderr


def test_the_doctor_says_why_no_job_is_taken(start_server: StartServer) -> None:
    server = start_server()
    (server.data_dir / "blobs").rename(server.data_dir / "elsewhere")
    eventually(
        lambda: run("doctor", data_dir=server.data_dir).returncode == 1,
        what="the doctor misses the pictures",
        within_s=30,
    )
    shown = run("doctor", data_dir=server.data_dir).stdout
    assert "No job is taken because of the picture store" in shown
    assert "Next: Once that is mended" in shown


def test_an_operator_looks_at_latency_objectives_and_orders(start_server: StartServer) -> None:
    server = start_server()
    job = server.finished(server.submit()["id"])
    assert run("fleet", "pause", "--model", "fake", data_dir=server.data_dir).returncode == 0
    latency = json.loads(run("latency", "--by", "model", "--json", data_dir=server.data_dir).stdout)
    assert [group["name"] for group in latency["groups"]] == ["fake"]
    slowest = run("slowest", data_dir=server.data_dir).stdout
    assert job["id"] in slowest
    assert "post_processing" in slowest
    assert "completed" in run("objectives", data_dir=server.data_dir).stdout
    assert "POST /v1/admin/pause" in run("audit", data_dir=server.data_dir).stdout
    assert "inference" in run("latency", data_dir=server.data_dir).stdout
    wrong = run("latency", "--by", "planet", data_dir=server.data_dir)
    assert (wrong.returncode, "by must be one of" in wrong.stderr) == (2, True)
