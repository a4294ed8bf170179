"""Settings of the caching edge: mistakes are named, links lead there, deletions are told."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from heliograph.domain.errors import InvalidRequest, Unavailable
from heliograph.domain.ids import JobId, OutputId, TenantId
from heliograph.domain.keeping import Deletion, DeletionReason
from heliograph.domain.tiers import Tier
from heliograph.edge import edge_of, edge_purge
from heliograph.gateway.keys import KeyRing, mint
from heliograph.gateway.picture_links import Edge, PictureLinks, absolute
from heliograph.outbound import Destination, Reply
from heliograph.settings import LinkSettings

BASE = "https://img.example.com"
DELETION = Deletion(
    deletion_id="del_out_1",
    output_id=OutputId("out_1"),
    job_id=JobId("job_1"),
    tenant_id=TenantId("ada"),
    reason=DeletionReason.TENANT,
    at_s=1.0,
    sha256="",
    size_bytes=0,
    files=(),
)
_, KEY = mint(entropy=bytes(32), tenant_id=TenantId("ada"), tier=Tier.PRO, name="a", now_s=0.0)


def settings(**fields: Any) -> LinkSettings:
    return LinkSettings.model_validate(fields)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"signing": "nginx", "secret": "x" * 32}, "links.base_url"),
        ({"signing": "nginx", "base_url": BASE}, "links.secret"),
        ({"signing": "nginx", "base_url": BASE, "secret": "short"}, "links.secret"),
        ({"signing": "cloudfront", "base_url": BASE, "key_id": "K"}, "links.key_id"),
        (
            {"signing": "cloudfront", "base_url": BASE, "key_id": "K", "private_key_file": "/nowhere.pem"},
            "links.private_key_file",
        ),
    ],
)
def test_what_is_missing_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        edge_of(settings(**fields))
    assert refused.value.param == param


def test_a_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(InvalidRequest, match=r"key\.pem"):
        edge_of(settings(signing="cloudfront", base_url=BASE, key_id="K", private_key_file=str(tmp_path / "key.pem")))


def links(edge: Edge | None, *, is_open: bool = False, now_s: float = 1_000.0) -> PictureLinks:
    keys = KeyRing() if is_open else KeyRing([KEY])
    return PictureLinks(keys=keys, secret=b"a secret", ttl_s=3_600.0, clock=lambda: now_s, edge=edge)


@pytest.mark.parametrize("is_thumbnail", [False, True])
@pytest.mark.parametrize("is_open", [False, True])
def test_links_lead_to_the_edge_with_both_signatures(is_thumbnail: bool, is_open: bool) -> None:
    edge = edge_of(settings(base_url=BASE, signing="nginx", secret="x" * 32))
    made = links(edge, is_open=is_open)
    url = httpx.URL(made.path(OutputId("out_1"), is_thumbnail))
    assert str(url).startswith(f"{BASE}/v1/outputs/out_1?")
    assert {"expires", "signature", "md5"} <= set(url.params)
    assert url.params.get("variant") == ("thumbnail" if is_thumbnail else None)
    expires_at_s = int(url.params["expires"])
    assert made.is_valid(OutputId("out_1"), is_thumbnail, expires_at_s=expires_at_s, signature=url.params["signature"])
    assert not made.is_valid(
        OutputId("out_1"), not is_thumbnail, expires_at_s=expires_at_s, signature=url.params["signature"]
    )
    assert absolute("http://here", str(url)) == str(url)
    assert absolute("http://here", "/v1/outputs/x") == "http://here/v1/outputs/x"


def test_only_an_edge_that_checks_links_keeps_copies_longer_than_they_live() -> None:
    assert links(None).shared_cache(expires_at_s=1_060) == "public, max-age=60, immutable"
    assert links(edge_of(settings(base_url=BASE))).shared_cache(expires_at_s=1_060) == "public, max-age=60, immutable"
    checking = edge_of(settings(base_url=BASE, signing="nginx", secret="x" * 32, edge_ttl_s=900, stale_s=30))
    assert links(checking).shared_cache(expires_at_s=1_060) == (
        "public, max-age=60, s-maxage=900, stale-while-revalidate=30, stale-if-error=30, immutable"
    )
    assert "max-age=0," in links(checking).shared_cache(expires_at_s=900)


class Cloudflare:
    """Answers as told, and remembers the call."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        self.calls: list[tuple[str, str, dict[str, str], Any]] = []

    async def call(
        self,
        destination: Destination,
        *,
        method: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_s: float,
        bytes_max: int,
    ) -> Reply:
        self.calls.append((method, destination.host + destination.path, dict(headers), json.loads(body)))
        return Reply(status=self.status, reason="no answer", duration_s=0.0)

    async def close(self) -> None:
        pass


PURGE = {
    "base_url": BASE,
    "purge": "cloudflare",
    "purge_url": "https://api.cloudflare.com/client/v4/zones/z/purge_cache",
    "purge_token": "token",
}


async def test_cloudflare_is_told_what_to_forget() -> None:
    cloudflare = Cloudflare(200)
    purge = edge_purge(settings(**PURGE), cloudflare)
    assert purge is not None
    await purge(DELETION)
    method, address, headers, body = cloudflare.calls[0]
    assert (method, address) == ("POST", "api.cloudflare.com/client/v4/zones/z/purge_cache")
    assert headers["Authorization"] == "Bearer token"
    assert body == {"prefixes": ["img.example.com/v1/outputs/out_1"]}


@pytest.mark.parametrize("status", [None, 403, 500])
async def test_an_edge_that_does_not_purge_is_asked_again(status: int | None) -> None:
    purge = edge_purge(settings(**PURGE), Cloudflare(status))
    assert purge is not None
    with pytest.raises(Unavailable):
        await purge(DELETION)


def test_without_purging_nobody_is_asked_and_half_a_setting_is_named() -> None:
    assert edge_purge(settings(), Cloudflare(200)) is None
    with pytest.raises(InvalidRequest) as refused:
        edge_purge(settings(base_url=BASE, purge="cloudflare"), Cloudflare(200))
    assert refused.value.param == "links.purge_url"
