"""The shipped nginx configuration in front of a real server: what it keeps, for whom, and for how long."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.edge import NGINX, SECRET, Edge
from tests.e2e.server import FAKE, Server, eventually
from tests.object_servers import free_port

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (apt install nginx-light)"),
]


class Site:
    """A server with two tenants behind an edge."""

    def __init__(self, server: Server, edge: Edge) -> None:
        self.server, self.edge = server, edge
        self.ada, self.bob = self._key("ada"), self._key("bob")
        for key in (self.ada, self.bob):
            eventually(lambda key=key: server.http.get("/v1/jobs", headers=key).is_success, within_s=15, what="keys")

    def _key(self, tenant: str) -> dict[str, str]:
        command = [sys.executable, "-m", "heliograph", "keys", "create", "--tenant", tenant, "--name", "t", "--json"]
        made = subprocess.run(
            [*command, "--data-dir", str(self.server.data_dir)],
            env=self.server.env,
            capture_output=True,
            text=True,
            check=True,
        )
        return {"Authorization": f"Bearer {json.loads(made.stdout)['secret']}"}

    def picture(self, key: dict[str, str], seed: int) -> dict[str, Any]:
        """A fresh picture's output, as its tenant sees it."""
        body = {"prompt": "a red boat", "model": "fake", "seed": seed}
        answer = self.server.http.post("/v1/jobs", json=body, headers={**key, "Prefer": "wait=20"})
        assert answer.json()["status"] == "completed", answer.text
        return answer.json()["outputs"][0]

    def get(self, url: str, **more: Any) -> httpx.Response:
        """What the edge answers to a link, as somebody without a key asks it."""
        assert url.startswith(self.edge.url)
        return self.edge.http.get(url.removeprefix(self.edge.url), **more)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all; the last test of it kills the server."""
    folder = tmp_path_factory.mktemp("site")
    edge = Edge(folder / "edge")
    settings = {
        "HELIOGRAPH_LINKS__BASE_URL": edge.url,
        "HELIOGRAPH_LINKS__SIGNING": "nginx",
        "HELIOGRAPH_LINKS__SECRET": SECRET,
        "HELIOGRAPH_LINKS__EDGE_TTL_S": "1",
        "HELIOGRAPH_LINKS__STALE_S": "600",
    }
    server = Server(folder / "data", {**FAKE, "HELIOGRAPH_FLEET__WORKERS": "1", **settings}).start()
    edge.start(urlsplit(server.url).port or 80)
    yield Site(server, edge)
    edge.stop()
    server.stop()


def test_most_answers_come_from_the_cache_and_are_the_picture(site: Site) -> None:
    output = site.picture(site.ada, 1)
    answers = [site.get(output["url"]) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert {hashlib.sha256(answer.content).hexdigest() for answer in answers} == {output["sha256"]}
    states = [answer.headers["X-Cache"] for answer in answers]
    assert states[0] == "MISS"
    assert "MISS" not in states[1:], states
    part = site.get(output["url"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, answers[0].content[10:20])
    same = site.get(output["url"], headers={"If-None-Match": answers[0].headers["ETag"]})
    assert same.status_code == 304
    thumbnail = site.get(output["thumbnail_url"])
    assert (thumbnail.status_code, thumbnail.headers["content-type"]) == (200, "image/webp")


def test_a_link_opens_its_own_picture_and_nothing_else(site: Site) -> None:
    hers, his = site.picture(site.ada, 1), site.picture(site.bob, 2)
    path, _, query = hers["url"].partition("?")
    assert site.get(hers["url"]).status_code == 200, "it lies in the cache from now on"
    his_query = his["url"].partition("?")[2]
    expires = query.partition("expires=")[2].partition("&")[0]
    for url, status in (
        (path, 403),
        (f"{path}?{his_query}", 403),
        (f"{path}?{query}&variant=thumbnail", 403),
        (f"{path}?{query.replace(expires, str(int(expires) + 1))}", 403),
        (f"{path}?{query.replace('md5=', 'md5=A')}", 403),
        (f"{path}%2f..%2f{his['id']}?{query}", 403),
        (f"{site.edge.url}/v1/outputs/../jobs?{query}", 404),
        (f"{site.edge.url}/v1/jobs", 404),
        (f"{site.edge.url}/-/alive?{query}", 403),
    ):
        assert site.get(url).status_code == status, url
    assert site.get(hers["url"], headers=site.bob).status_code == 403, "who has a key asks the server"
    assert site.edge.http.delete(hers["url"].removeprefix(site.edge.url)).status_code == 403
    # The server believes no edge: it checks its own signature.
    forged = query.replace("signature=", "signature=A")
    assert site.server.http.get(f"/v1/outputs/{hers['id']}?{forged}").json()["error"]["code"] == "link_not_valid"


def test_a_deleted_picture_is_gone_from_the_edge(site: Site) -> None:
    output = site.picture(site.ada, 1)
    assert site.get(output["url"]).status_code == site.get(output["thumbnail_url"]).status_code == 200
    done = site.server.http.delete(f"/v1/outputs/{output['id']}", headers=site.ada)
    assert done.json()["deleted"] is True
    for url in (output["url"], output["thumbnail_url"]):
        eventually(lambda url=url: site.get(url).status_code in (403, 404), within_s=15, what="the copy is not shown")


def test_old_copies_are_shown_while_the_server_is_asked_or_away(site: Site) -> None:
    output = site.picture(site.ada, 1)
    assert site.get(output["url"]).headers["X-Cache"] == "MISS"
    seen: set[str] = set()

    def was_stale() -> bool:
        answer = site.get(output["url"])
        assert answer.status_code == 200
        seen.add(answer.headers["X-Cache"])
        return "STALE" in seen and "HIT" in seen

    eventually(was_stale, within_s=15, what="a stale copy at once, and a fresh one after it")
    site.server.kill()
    for _ in range(3):
        answer = site.get(output["url"])
        assert (answer.status_code, hashlib.sha256(answer.content).hexdigest()) == (200, output["sha256"])
    other = output["url"].replace(output["id"], "out_000000000000000000000000")
    assert site.get(other).status_code == 403


def test_links_expire_at_the_edge_and_at_the_server(start_server: StartServer, tmp_path: Path) -> None:
    edge = Edge(tmp_path / "edge")
    settings = {
        "HELIOGRAPH_LINKS__BASE_URL": edge.url,
        "HELIOGRAPH_LINKS__SIGNING": "nginx",
        "HELIOGRAPH_LINKS__SECRET": SECRET,
        "HELIOGRAPH_GATEWAY__LINK_TTL_S": "2",
    }
    server = start_server(env=settings)
    edge.start(urlsplit(server.url).port or free_port())
    try:
        site = Site(server, edge)
        output = site.picture(site.ada, 1)
        assert site.get(output["url"]).status_code == 200
        eventually(lambda: site.get(output["url"]).status_code == 410, within_s=15, what="the edge's refusal")
        own = output["url"].removeprefix(edge.url)
        assert server.http.get(own).json()["error"]["code"] == "link_not_valid"
    finally:
        edge.stop()
