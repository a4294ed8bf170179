"""The page in a real browser: a prompt, a picture forming, and everything a person does with it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from heliograph.app import PAGE_DIR
from tests.e2e.conftest import StartServer
from tests.e2e.server import Server
from tests.e2e.test_command_line import run

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)"),
    pytest.mark.skipif(not (PAGE_DIR / "index.html").exists(), reason="the page is not built (make web needs Node.js)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test on any script error or refused resource."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    yield page
    page.close()
    assert not problems, problems


def ask(page: Page, prompt: str) -> None:
    page.get_by_test_id("prompt-input").fill(prompt)
    page.get_by_test_id("submit").click()


def status(page: Page, name: str) -> None:
    expect(page.get_by_test_id("job-card").first).to_have_attribute("data-status", name, timeout=PATIENCE_MS)


def fine_tune(page: Page, field: str, value: str) -> None:
    details = page.get_by_test_id(field)
    if not details.is_visible():
        page.get_by_test_id("advanced").click()
    details.fill(value)


def test_a_prompt_becomes_a_picture_that_forms_before_the_eyes(
    page: Page, built_in_server: Server, tmp_path: Path
) -> None:
    page.goto(built_in_server.url)
    page.get_by_test_id("size-option").and_(page.locator('[data-value="160x96"]')).click()
    fine_tune(page, "steps-input", "40")
    fine_tune(page, "seed-input", "7")
    ask(page, "a red boat on the sea at sunset")
    expect(page.get_by_test_id("preview-image").first).to_be_visible(timeout=PATIENCE_MS)
    status(page, "completed")
    picture = page.get_by_test_id("result-image").first
    expect(picture).to_be_visible()
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [160, 96]
    with page.expect_download() as download:
        page.get_by_test_id("download").first.click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.suffix == ".png"
    assert saved.read_bytes().startswith(b"\x89PNG")
    expect(page.get_by_test_id("recent-image").first).to_be_visible()
    page.screenshot(path=str(tmp_path / "done.png"), full_page=True)


def test_use_these_settings_makes_the_same_picture_again(page: Page, built_in_server: Server) -> None:
    page.goto(built_in_server.url)
    fine_tune(page, "seed-input", "99")
    ask(page, "mountains at night")
    status(page, "completed")
    page.get_by_test_id("prompt-input").fill("something else")
    page.get_by_test_id("use-settings").first.click()
    expect(page.get_by_test_id("prompt-input")).to_have_value("mountains at night")
    expect(page.get_by_test_id("seed-input")).to_have_value("99")
    page.get_by_test_id("submit").click()
    status(page, "completed")
    newest = built_in_server.http.get("/v1/jobs?limit=2").json()["data"]
    assert newest[0]["outputs"][0]["pixels_sha256"] == newest[1]["outputs"][0]["pixels_sha256"]


def test_a_picture_is_enlarged_and_its_settings_come_back(page: Page, built_in_server: Server, tmp_path: Path) -> None:
    page.goto(built_in_server.url)
    page.get_by_test_id("size-option").and_(page.locator('[data-value="160x96"]')).click()
    enlarge = page.get_by_test_id("upscale-select")
    option = page.get_by_test_id("upscale-option")
    option.and_(page.locator('[data-value="4"]')).click()
    expect(enlarge).to_contain_text("640 × 384")
    ask(page, "a red boat on the sea at sunset")
    status(page, "completed")
    picture = page.get_by_test_id("result-image").first
    expect(picture).to_be_visible()
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [640, 384]
    page.screenshot(path=str(tmp_path / "enlarged.png"), full_page=True)
    job = built_in_server.http.get("/v1/jobs?limit=1").json()["data"][0]
    assert (job["request"]["width"], job["request"]["upscale"]) == (640, 4)
    (output,) = job["outputs"]
    said = page.get_by_test_id("fit").first
    if output["alignment"] is not None:
        expect(said).to_contain_text(f"Matches the prompt: {output['alignment']:.0%}".replace("%", " %"))
    if "lanczos_upscale" in output["verdict"]["reasons"]:
        expect(said).to_contain_text("enlarged by a plain filter")
    option.and_(page.locator('[data-value="1"]')).click()
    expect(enlarge).to_contain_text("160 × 96")
    page.get_by_test_id("use-settings").first.click()
    expect(enlarge).to_contain_text("640 × 384")


def test_a_clip_is_asked_for_and_plays(page: Page, start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(fake='{"step_s": 0.05}')
    page.goto(server.url)
    expect(page.locator('optgroup[label="Clips"] option')).to_have_text(["Helio motion", "Fake clip"])
    page.get_by_test_id("model-select").select_option("fake-clip")
    page.get_by_test_id("frames-input").fill("6")
    expect(page.get_by_test_id("submit")).to_have_text("Make the clip")
    ask(page, "a boat that sails")
    expect(page.get_by_test_id("preview-image").first).to_be_visible(timeout=PATIENCE_MS)
    status(page, "completed")
    picture = page.get_by_test_id("result-image").first
    expect(picture).to_be_visible()
    with page.expect_download() as download:
        page.get_by_test_id("download").first.click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    with Image.open(saved) as clip:
        assert (clip.format, clip.n_frames) == ("WEBP", 6)
    page.get_by_test_id("use-settings").first.click()
    expect(page.get_by_test_id("frames-input")).to_have_value("6")
    page.get_by_test_id("model-select").select_option("fake")
    expect(page.get_by_test_id("frames-input")).to_have_count(0)
    page.screenshot(path=str(tmp_path / "clip.png"), full_page=True)


def test_a_model_says_what_it_can_draw_and_how_well(page: Page, built_in_server: Server) -> None:
    page.goto(built_in_server.url)
    facts = page.get_by_test_id("model-facts")
    facts.locator("summary").click()
    expect(facts).to_contain_text("Landscapes")
    expect(facts).to_contain_text("%")
    options = page.get_by_test_id("model-select").locator("option").all_text_contents()
    assert "Helio base" in options
    assert not {"Helio clip", "Helio upscale"} & set(options), "tools take no prompts"


def test_a_wrong_value_is_explained_beside_its_field(page: Page, built_in_server: Server) -> None:
    page.goto(built_in_server.url)
    fine_tune(page, "seed-input", "-1")
    ask(page, "hills")
    fault = page.get_by_test_id("field-error")
    expect(fault).to_be_visible()
    expect(fault).to_have_attribute("data-param", "seed")


def test_waiting_shows_the_place_in_line_and_cancel_works(page: Page, start_server: StartServer) -> None:
    server = start_server(fake='{"step_s": 0.2}')
    blocker = server.submit(steps=50)
    page.goto(server.url)
    page.get_by_test_id("model-select").select_option("fake")
    ask(page, "a picture that waits")
    card = page.get_by_test_id("job-card").filter(has_text="a picture that waits")
    expect(card).to_have_attribute("data-status", "pending", timeout=PATIENCE_MS)
    expect(card.get_by_test_id("job-status")).to_contain_text("line")
    expect(card.get_by_test_id("job-eta")).to_be_visible()
    card.get_by_test_id("cancel").click()
    expect(card).to_have_attribute("data-status", "cancelled", timeout=PATIENCE_MS)
    assert server.job(blocker["id"])["status"] == "running", "only the one job was cancelled"


def test_a_reload_in_the_middle_finds_the_job_again(page: Page, start_server: StartServer) -> None:
    server = start_server(fake='{"step_s": 0.2}')
    page.goto(server.url)
    page.get_by_test_id("model-select").select_option("fake")
    fine_tune(page, "steps-input", "30")
    ask(page, "a long one")
    status(page, "running")
    job_id = page.get_by_test_id("job-card").first.get_attribute("data-job-id")
    page.reload()
    expect(page.get_by_test_id("job-card").first).to_have_attribute("data-job-id", job_id or "")
    status(page, "completed")


def test_a_key_is_asked_for_where_keys_are_needed(page: Page, start_server: StartServer, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    made = run("keys", "create", "--tenant", "alice", data_dir=data_dir)
    secret = made.stdout.split()[0]
    server = start_server(data_dir=data_dir, wait=False)
    page.goto(server.url)
    page.get_by_test_id("key-input").fill(secret)
    page.get_by_test_id("sign-in-submit").click()
    page.get_by_test_id("model-select").select_option("fake")
    ask(page, "a picture of alice's")
    status(page, "completed")
    expect(page.get_by_test_id("result-image").first).to_be_visible()
