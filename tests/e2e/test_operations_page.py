"""The operations page in a real browser: what it shows, and orders that are confirmed, obeyed and written down."""

import subprocess
import sys

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import StartServer
from tests.e2e.server import Server
from tests.e2e.test_page import browser, page, pytestmark  # noqa: F401 - the fixtures and marks of the page's tests

__all__ = ["browser", "page"]


def operator_key(server: Server) -> str:
    command = [sys.executable, "-m", "heliograph", "fleet", "key", "--data-dir", str(server.data_dir)]
    return subprocess.run(command, env=server.env, capture_output=True, text=True, check=True).stdout.strip()


def open_operations(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/operations")
    page.get_by_test_id("operator-key").fill(operator_key(server))
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("queues")).to_be_visible()


def test_an_operator_sees_the_fleet_and_pauses_a_model(page: Page, start_server: StartServer) -> None:
    server = start_server()
    server.finished(server.submit()["id"])
    open_operations(page, server)
    expect(page.get_by_test_id("findings")).to_contain_text("Too early to say")
    expect(page.get_by_test_id("gpu").first).to_contain_text("fake")
    expect(page.get_by_test_id("latency")).to_contain_text("inference")
    expect(page.get_by_test_id("quality")).to_contain_text("fake")

    page.get_by_test_id("gpu").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("gpu-detail")).to_contain_text("the operator keeps it always warm")

    page.get_by_test_id("pause-fake").click()
    dialog = page.get_by_test_id("confirm")
    expect(dialog).to_contain_text("Pause fake?")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert server.http.get("/v1/admin/fleet", headers=bearer(server)).json()["halts"] == []

    page.get_by_test_id("pause-fake").click()
    page.get_by_test_id("confirm-yes").click()
    expect(page.get_by_test_id("halt")).to_contain_text("fake is paused")
    expect(page.get_by_test_id("live-region")).to_contain_text("Done: pause fake")
    expect(page.get_by_test_id("audit")).to_contain_text("POST pause")
    (halt,) = server.http.get("/v1/admin/fleet", headers=bearer(server)).json()["halts"]
    assert (halt["name"], halt["action"]) == ("fake", "pause")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_wrong_key_is_refused_and_the_page_fits_a_phone(
    browser: Browser, start_server: StartServer, scheme: str
) -> None:
    server = start_server(wait=False)
    narrow = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    try:
        narrow.goto(f"{server.url}/operations")
        narrow.get_by_test_id("operator-key").fill("hgo_wrong")
        narrow.keyboard.press("Enter")
        expect(narrow.get_by_role("alert")).to_contain_text("does not accept this key")
        open_operations(narrow, server)
        assert narrow.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    finally:
        narrow.close()


def bearer(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {operator_key(server)}"}
