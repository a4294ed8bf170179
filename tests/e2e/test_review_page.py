"""The review page in a real browser: by keyboard, blurred until asked, and what a decision does."""

import json
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.e2e.conftest import StartServer
from tests.e2e.test_command_line import run
from tests.e2e.test_page import browser, page, pytestmark  # noqa: F401 -- the fixtures and marks of the page's tests

FLAGGED = 'appeal = "ask"\n[categories.violence]\naction = "flag"\nterms = ["red boat"]\n'


def key_of(data_dir: Path, *arguments: str) -> str:
    made = run("keys", "create", *arguments, "--json", data_dir=data_dir)
    return str(json.loads(made.stdout)["secret"])


def test_a_reviewer_decides_by_keyboard(start_server: StartServer, page: Page, tmp_path: Path) -> None:  # noqa: F811
    policy = tmp_path / "policy.toml"
    policy.write_text(FLAGGED)
    data_dir = tmp_path / "data"
    user = {"Authorization": f"Bearer {key_of(data_dir, '--tenant', 'acme')}"}
    reviewer = key_of(data_dir, "--role", "reviewer", "--name", "ada")
    holding = {"HELIOGRAPH_MODERATION__POLICY": str(policy), "HELIOGRAPH_MODERATION__FLAGGED": "hold"}
    server = start_server(data_dir=data_dir, env=holding)
    with httpx.Client(base_url=server.url, headers=user, timeout=60) as client:
        jobs = [
            client.post("/v1/jobs", json={"prompt": prompt, "n": 1}, headers={"Prefer": "wait=30"}).json()
            for prompt in ("a red boat on the sea", "a red boat at sunset")
        ]
        assert [job["outputs"][0]["availability"] for job in jobs] == ["held", "held"]

        page.goto(f"{server.url}/review")
        page.get_by_test_id("reviewer-key").fill(reviewer)
        page.get_by_test_id("enter").click()
        expect(page.get_by_test_id("left")).to_have_text("2 waiting")
        expect(page.get_by_test_id("prompt")).to_have_text("a red boat on the sea")
        picture = page.get_by_test_id("picture")
        assert "blur" in picture.evaluate("element => getComputedStyle(element).filter")
        page.keyboard.press("?")
        expect(page.get_by_test_id("help")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("b")
        assert picture.evaluate("element => getComputedStyle(element).filter") == "none"
        page.keyboard.press("j")
        expect(page.get_by_test_id("prompt")).to_have_text("a red boat at sunset")
        assert "blur" in page.get_by_test_id("picture").evaluate("element => getComputedStyle(element).filter")
        page.keyboard.press("k")
        expect(page.get_by_test_id("prompt")).to_have_text("a red boat on the sea")

        page.keyboard.press("a")
        page.get_by_test_id("reason").fill("a boat that is red")
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("left")).to_have_text("1 waiting")
        expect(page.get_by_test_id("prompt")).to_have_text("a red boat at sunset")
        page.keyboard.press("r")
        page.get_by_test_id("reason").press("Enter")
        expect(page.get_by_test_id("empty")).to_be_visible()

        approved, rejected = (client.get(f"/v1/jobs/{job['id']}").json() for job in jobs)
        assert approved["outputs"][0]["availability"] == "delivered"
        assert client.get(approved["outputs"][0]["url"]).status_code == 200
        assert rejected["outputs"][0]["availability"] == "withheld"
        assert rejected["cost_micros"] == 0
        (case,) = client.get(f"/v1/jobs/{approved['id']}/moderation").json()["data"]
        assert case["decision"]["reason"] == "a boat that is red"
