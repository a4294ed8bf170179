import hashlib

import httpx
import pytest

from heliograph.domain.errors import Unavailable
from heliograph.domain.ids import TenantId
from heliograph.domain.tiers import Tier
from heliograph.gateway.keys import KeyRing, mint
from heliograph.gateway.outputs import CHUNK_BYTES
from tests.gateway.conftest import Gateway
from tests.gateway.fake_service import PICTURE, THUMBNAIL

PATH = "/v1/outputs/out_job_1_0"
ETAG = f'"{hashlib.sha256(PICTURE).hexdigest()}"'
SECRET, KEY = mint(entropy=bytes(32), tenant_id=TenantId("acme"), tier=Tier.PRO, name="a", now_s=0.0)
AUTHORIZED = {"Authorization": f"Bearer {SECRET}"}


@pytest.fixture
async def pictures(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await client.post("/v1/jobs", json={"prompt": "a cat"})
    return client


async def test_a_picture_comes_whole_and_is_cached_for_good(pictures: httpx.AsyncClient) -> None:
    answer = await pictures.get(PATH)
    assert answer.status_code == 200
    assert answer.content == PICTURE
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["etag"] == ETAG
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["content-disposition"] == 'inline; filename="job_1-1.png"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_thumbnail_is_a_picture_of_its_own(pictures: httpx.AsyncClient) -> None:
    answer = await pictures.get(f"{PATH}?variant=thumbnail")
    assert (answer.content, answer.headers["content-type"]) == (THUMBNAIL, "image/webp")
    assert answer.headers["content-disposition"] == 'inline; filename="job_1-1-thumbnail.webp"'


async def test_head_tells_all_but_the_bytes(pictures: httpx.AsyncClient) -> None:
    whole, head = await pictures.get(PATH), await pictures.head(PATH, headers={"Range": "bytes=0-1"})
    assert (head.status_code, head.content) == (200, b"")
    names = ("content-length", "content-type", "etag", "cache-control", "content-disposition")
    assert {name: head.headers[name] for name in names} == {name: whole.headers[name] for name in names}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("bytes=0-3", slice(0, 4)),
        ("bytes=1000-", slice(1000, None)),
        ("bytes=-5", slice(-5, None)),
        ("bytes=1000-99999", slice(1000, None)),
    ],
)
async def test_a_part_is_sent_alone(pictures: httpx.AsyncClient, sent: str, expected: slice) -> None:
    answer = await pictures.get(PATH, headers={"Range": sent})
    part = PICTURE[expected]
    start, _, _ = expected.indices(len(PICTURE))
    assert answer.status_code == 206
    assert answer.content == part
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/{len(PICTURE)}"
    assert answer.headers["content-length"] == str(len(part))


async def test_a_range_beyond_the_end_says_how_long_the_picture_is(pictures: httpx.AsyncClient) -> None:
    answer = await pictures.get(PATH, headers={"Range": "bytes=99999-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(PICTURE)}"
    assert answer.json()["error"]["code"] == "range_not_satisfiable"


async def test_a_good_copy_is_not_sent_again(pictures: httpx.AsyncClient) -> None:
    answer = await pictures.get(PATH, headers={"If-None-Match": ETAG, "Range": "bytes=0-1"})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", ETAG)
    assert (await pictures.get(PATH, headers={"If-None-Match": '"old"'})).status_code == 200


async def test_a_large_picture_is_read_in_chunks(gateway: Gateway, pictures: httpx.AsyncClient) -> None:
    large = bytes(range(256)) * (CHUNK_BYTES // 100)
    name = next(name for name in gateway.service.blobs if name.endswith(".png"))
    gateway.service.blobs[name] = large
    whole = await pictures.get(PATH)
    assert whole.content == large
    assert whole.headers["content-length"] == str(len(large))
    part = await pictures.get(PATH, headers={"Range": "bytes=10-"})
    assert (part.status_code, part.content) == (206, large[10:])


async def test_what_is_not_there_is_missing(gateway: Gateway, pictures: httpx.AsyncClient) -> None:
    assert (await pictures.get("/v1/outputs/out_x")).json()["error"]["code"] == "output_not_found"
    assert (await pictures.get(f"{PATH}?variant=huge")).json()["error"]["param"] == "variant"
    gateway.service.blobs.clear()
    assert (await pictures.get(PATH)).json()["error"]["code"] == "output_gone"


async def test_a_broken_disk_is_an_error_and_not_half_a_picture(gateway: Gateway, pictures: httpx.AsyncClient) -> None:
    async def read_blob(name: str, *, start: int, length: int | None) -> bytes:
        raise Unavailable("The disk is gone.", retry_after_s=5)

    gateway.service.read_blob = read_blob  # type: ignore[method-assign]
    assert (await pictures.get(PATH)).status_code == 503


async def test_a_signed_link_opens_one_picture_until_it_expires() -> None:
    gateway = Gateway(keys=KeyRing([KEY]))
    async with gateway.client() as client:
        job = (await client.post("/v1/jobs", json={"prompt": "a cat"}, headers=AUTHORIZED)).json()
        output = job["outputs"][0]
        assert (await client.get(PATH)).status_code == 401
        assert (await client.get(PATH, headers=AUTHORIZED)).content == PICTURE

        opened = await client.get(output["url"])
        assert opened.content == PICTURE
        age = int(opened.headers["cache-control"].removeprefix("public, max-age=").removesuffix(", immutable"))
        assert gateway.settings.link_ttl_s <= age <= gateway.settings.link_ttl_s * 1.25
        assert (await client.get(output["thumbnail_url"])).content == THUMBNAIL

        for forged in (
            output["url"][:-1] + ("A" if output["url"][-1] != "A" else "B"),
            output["url"].replace("expires=1", "expires=2"),
            output["url"].replace("?", "?variant=thumbnail&"),
            output["url"].replace("out_job_1_0", "out_job_1_1"),
            f"{PATH}?signature=x",
        ):
            answer = await client.get(forged)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "link_not_valid"), forged
        assert (await client.get(f"{PATH}?signature=x", headers=AUTHORIZED)).status_code == 200

        gateway.now_s += gateway.settings.link_ttl_s / 8
        again = (await client.get("/v1/jobs/job_1", headers=AUTHORIZED)).json()
        gateway.now_s += gateway.settings.link_ttl_s * 1.25
        assert (await client.get(output["url"])).status_code == 403
        fresh = (await client.get("/v1/jobs/job_1", headers=AUTHORIZED)).json()["outputs"][0]["url"]
        assert (await client.get(fresh)).status_code == 200
        assert fresh not in (output["url"], again["outputs"][0]["url"])


async def test_links_stay_the_same_for_a_while_so_that_caches_work() -> None:
    gateway = Gateway(keys=KeyRing([KEY]))
    async with gateway.client() as client:
        links: list[str] = []
        await client.post("/v1/jobs", json={"prompt": "a cat"}, headers=AUTHORIZED)
        for _ in range(10):
            links.append((await client.get("/v1/jobs/job_1", headers=AUTHORIZED)).json()["outputs"][0]["url"])
            gateway.now_s += 60.0
        assert len(set(links)) <= 2


async def test_without_keys_links_are_plain(pictures: httpx.AsyncClient) -> None:
    job = (await pictures.get("/v1/jobs/job_1")).json()
    assert job["outputs"][0]["url"] == PATH
