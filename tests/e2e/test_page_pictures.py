"""Pictures dropped on the page, in a real browser: their settings fill the form, or they are started from."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from playwright.sync_api import Page, expect

from tests.e2e import test_page
from tests.e2e.server import Server
from tests.e2e.test_page import PATIENCE_MS, ask, status

pytestmark = test_page.pytestmark
browser, page = test_page.browser, test_page.page

SETTINGS = (
    "a red boat on the sea, (sunset:1.2)\nNegative prompt: fog\n"
    "Steps: 25, Sampler: DPM++ 2M, CFG scale: 7, Seed: 1234, Size: 768x512, Model: dreamshaper_8"
)


def a_png(settings: str | None = None) -> bytes:
    file, notes = io.BytesIO(), PngImagePlugin.PngInfo()
    if settings is not None:
        notes.add_text("parameters", settings)
    picture = Image.linear_gradient("L").resize((320, 192)).convert("RGB")
    picture.save(file, "PNG", pnginfo=notes)
    return file.getvalue()


def pixels(png: bytes) -> bytes:
    return Image.open(io.BytesIO(png)).convert("RGB").tobytes()


def drop(page: Page, data: bytes, name: str = "picture.png", event: str = "drop") -> None:
    """What the browser does when a file is let go of over the page, or pasted."""
    page.evaluate(
        """([encoded, name, event]) => {
            const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))
            const transfer = new DataTransfer()
            transfer.items.add(new File([bytes], name, { type: 'image/png' }))
            const options = { bubbles: true, cancelable: true }
            const target = document.querySelector('#prompt')
            const kinds = { paste: () => new ClipboardEvent('paste', { ...options, clipboardData: transfer }) }
            const make = kinds[event] ?? (() => new DragEvent(event, { ...options, dataTransfer: transfer }))
            target.dispatchEvent(make())
        }""",
        [base64.b64encode(data).decode(), name, event],
    )


def loaded(page: Page, server: Server) -> None:
    page.goto(server.url)
    expect(page.get_by_test_id("submit")).to_be_enabled()


def test_a_dropped_picture_fills_the_form_and_says_what_it_could_not(
    page: Page, built_in_server: Server, tmp_path: Path
) -> None:
    loaded(page, built_in_server)
    drop(page, a_png(SETTINGS), event="dragover")
    expect(page.get_by_test_id("drop-veil")).to_be_visible()
    drop(page, a_png(SETTINGS))
    imported = page.get_by_test_id("imported")
    expect(imported).to_have_attribute("data-source", "a1111", timeout=PATIENCE_MS)
    expect(page.get_by_test_id("drop-veil")).to_be_hidden()
    expect(page.get_by_test_id("prompt-input")).to_have_value("a red boat on the sea, (sunset:1.2)")
    expect(page.locator("[name=size]:checked")).to_have_value("160x96")
    for text in ("768x512 → 160x96", "dreamshaper_8 → Helio base", "Sampler"):
        expect(imported).to_contain_text(text)
    page.get_by_test_id("advanced").click()
    expect(page.get_by_test_id("steps-input")).to_have_value("25")
    expect(page.get_by_test_id("seed-input")).to_have_value("1234")
    expect(page.get_by_test_id("guidance-input")).to_have_value("7")
    expect(page.get_by_test_id("negative-prompt-input")).to_have_value("fog")
    page.screenshot(path=str(tmp_path / "imported.png"), full_page=True)
    page.get_by_test_id("submit").click()
    status(page, "completed")
    job = built_in_server.http.get("/v1/jobs?limit=1").json()["data"][0]
    assert (job["request"]["seed"], job["request"]["steps"], job["request"]["width"]) == (1234, 25, 160)


def test_a_picture_of_our_own_comes_out_the_same_again(page: Page, built_in_server: Server) -> None:
    job = built_in_server.finished(built_in_server.submit("mountains at night", model="helio-base", seed=77)["id"])
    picture = built_in_server.http.get(job["outputs"][0]["url"]).content
    loaded(page, built_in_server)
    drop(page, picture, event="paste")
    expect(page.get_by_test_id("imported")).to_have_attribute("data-source", "heliograph", timeout=PATIENCE_MS)
    page.get_by_test_id("submit").click()
    status(page, "completed")
    again = built_in_server.http.get("/v1/jobs?limit=1").json()["data"][0]
    assert again["id"] != job["id"]
    assert pixels(built_in_server.http.get(again["outputs"][0]["url"]).content) == pixels(picture)


def test_a_picture_without_settings_is_started_from(page: Page, built_in_server: Server, tmp_path: Path) -> None:
    loaded(page, built_in_server)
    page.get_by_test_id("picture-file").set_input_files(
        {"name": "plain.png", "mimeType": "image/png", "buffer": a_png()}
    )
    expect(page.get_by_test_id("start-picture")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("[name=size]:checked")).to_have_value("160x96")
    page.get_by_test_id("strength-input").fill("0.5")
    page.screenshot(path=str(tmp_path / "start.png"), full_page=True)
    ask(page, "the sea at sunset")
    status(page, "completed")
    job = built_in_server.http.get("/v1/jobs?limit=1").json()["data"][0]
    assert job["request"]["inputs"]["strength"] == pytest.approx(0.5)
    page.get_by_test_id("remove-start").click()
    expect(page.get_by_test_id("start-picture")).to_have_count(0)


def test_what_is_no_picture_is_said_on_the_page(page: Page, built_in_server: Server) -> None:
    loaded(page, built_in_server)
    drop(page, b"no picture at all")
    expect(page.get_by_test_id("error-banner")).to_contain_text("is no picture", timeout=PATIENCE_MS)
