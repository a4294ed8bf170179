"""The files of one picture over HTTP: formats, widths, negotiation, and what the job says of them."""

from dataclasses import replace

import httpx
import pytest

from heliograph.domain.ids import TenantId
from heliograph.domain.pictures import FileFormat, Variant
from heliograph.domain.tiers import Tier
from heliograph.gateway.keys import KeyRing, mint
from heliograph.gateway.wire import output_json
from tests.builders import an_output
from tests.gateway.conftest import Gateway
from tests.gateway.fake_service import MADE_LATER, PICTURE

PATH = "/v1/outputs/out_job_1_0"
SECRET, KEY = mint(entropy=bytes(32), tenant_id=TenantId("acme"), tier=Tier.PRO, name="a", now_s=0.0)
BROWSER = {"Accept": "image/avif,image/webp,image/*,*/*;q=0.8"}


@pytest.fixture
async def pictures(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await client.post("/v1/jobs", json={"prompt": "a cat"})
    return client


async def test_another_format_is_another_file_with_a_type_and_a_tag_of_its_own(pictures: httpx.AsyncClient) -> None:
    plain, avif = await pictures.get(PATH), await pictures.get(f"{PATH}?format=avif")
    assert (plain.content, avif.content) == (PICTURE, MADE_LATER)
    assert avif.headers["content-type"] == "image/avif"
    assert avif.headers["etag"] != plain.headers["etag"]
    assert avif.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert "vary" not in avif.headers
    assert (await pictures.get(f"{PATH}?format=png")).content == PICTURE


async def test_by_accept_what_is_there_is_sent_at_once_and_not_kept_for_long(pictures: httpx.AsyncClient) -> None:
    answer = await pictures.get(f"{PATH}?format=auto", headers=BROWSER)
    assert answer.content == PICTURE
    assert answer.headers["vary"] == "Accept"
    assert answer.headers["cache-control"] == "private, max-age=15"


@pytest.mark.parametrize(
    "query",
    ["format=tiff", "w=0", "w=-3", "w=wide", "w=9999999", "variant=poster", "variant=thumbnail&w=200", "variant=huge"],
)
async def test_what_cannot_be_is_refused(pictures: httpx.AsyncClient, query: str) -> None:
    answer = await pictures.get(f"{PATH}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] in ("format", "w", "variant")


async def test_a_link_opens_every_file_of_its_picture_and_of_no_other(gateway: Gateway) -> None:
    gateway.keys = KeyRing([KEY])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway.app()), base_url="http://127.0.0.1") as client:
        authorized = {"Authorization": f"Bearer {SECRET}"}
        for _ in range(2):
            await client.post("/v1/jobs", json={"prompt": "a cat"}, headers=authorized)
        output = (await client.get("/v1/jobs/job_1", headers=authorized)).json()["outputs"][0]
        for address in (output["url"], f"{output['url']}&format=webp", output["srcset"].split(" ")[0]):
            assert (await client.get(address)).status_code == 200, address
        other = output["url"].replace("out_job_1_0", "out_job_2_0")
        assert (await client.get(f"{other}&format=webp")).status_code == 403
        assert (await client.get(f"{PATH}?format=webp")).status_code == 401
        links = {is_link for _, is_link in gateway.service.wishes}
        assert links == {True}, "whoever has but a link is told no words of the user"


def a_variant(name: str, file_format: FileFormat, width_px: int, height_px: int) -> Variant:
    output = an_output("out_1")
    return Variant(
        output_id=output.output_id,
        job_id=output.job_id,
        name=name,
        blob=f"{name}.file",
        file_format=file_format,
        width_px=width_px,
        height_px=height_px,
        size_bytes=1234,
        created_at_s=1.0,
    )


def address(output_id: str, is_thumbnail: bool) -> str:
    return f"/o/{output_id}?signature=x{'&variant=thumbnail' if is_thumbnail else ''}"


def test_the_job_lists_the_files_there_are_and_where_each_width_is() -> None:
    made = (a_variant("shared", FileFormat.PNG, 1024, 768), a_variant("webp-512", FileFormat.WEBP, 512, 384))
    said = output_json(replace(an_output("out_1", width_px=1024, height_px=768), variants=made), output_url=address)
    assert said["variants"] == [
        {
            "name": "webp-512",
            "url": "/o/out_1?signature=x&format=webp&w=512",
            "format": "webp",
            "width": 512,
            "height": 384,
            "bytes": 1234,
        }
    ]
    assert said["srcset"] == ", ".join(
        f"/o/out_1?signature=x&format=auto&w={width} {width}w" for width in (256, 512, 1024)
    )


def test_a_clip_has_a_poster_and_a_preview_and_no_widths() -> None:
    said = output_json(replace(an_output("out_1"), frames=12, duration_s=1.5), output_url=address)
    assert said["poster_url"] == "/o/out_1?signature=x&variant=poster"
    assert said["preview_url"] == "/o/out_1?signature=x&variant=preview"
    assert "srcset" not in said
