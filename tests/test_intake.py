"""Pictures on their way in: whose they are, where they may come from, and how long they stay."""

import asyncio
import io

import pytest
from PIL import Image

from heliograph.delivery.disk import DiskBlobStore
from heliograph.delivery.memory import MemoryBlobStore
from heliograph.delivery.sealed import SealedBlobStore, TenantKeys
from heliograph.domain.accounts import Caller
from heliograph.domain.errors import InvalidRequest, NotFound, Overloaded
from heliograph.domain.ids import TenantId
from heliograph.domain.intake import GivenInputs, GivenPicture, PictureRole, PictureSource, TakenInputs
from heliograph.domain.tiers import Tier
from heliograph.intake import FETCHES_MAX_PER_TENANT, PictureIntake, RecentBytes, drop_unused_inputs
from heliograph.outbound import Reply
from heliograph.storage.memory import MemoryStore
from heliograph.storage.store import PutJob, PutOutput
from tests.builders import a_job, an_output
from tests.intakes import LIMITS, HereProcesses, ScriptedOutbound, a_file, an_intake

ACME = Caller(tenant_id=TenantId("acme"), tier=Tier.STANDARD)
OTHERS = Caller(tenant_id=TenantId("others"), tier=Tier.STANDARD)
WHITE_MASK = a_file(mode="L", colour=255)


def sent(data: bytes, param: str = "inputs.image") -> GivenPicture:
    return GivenPicture(param=param, source=PictureSource.BYTES, data=data)


def named(value: str, source: PictureSource, param: str = "inputs.image") -> GivenPicture:
    return GivenPicture(param=param, source=source, value=value)


async def take(intake: PictureIntake, *images: GivenPicture, caller: Caller = ACME, **more: object) -> TakenInputs:
    return await intake.take(GivenInputs(images=images, **more), caller=caller)


async def refused(intake: PictureIntake, *images: GivenPicture, caller: Caller = ACME, **more: object) -> str:
    with pytest.raises((InvalidRequest, NotFound)) as caught:
        await take(intake, *images, caller=caller, **more)
    assert caught.value.param
    return f"{caught.value.code}: {caught.value.message}"


async def test_pictures_are_stored_under_their_content_for_their_tenant() -> None:
    blobs = MemoryBlobStore()
    taken = await take(
        an_intake(blobs=blobs), sent(a_file()), sent(a_file((20, 20))), mask=sent(WHITE_MASK), strength=0.5
    )
    assert [(each.width_px, each.height_px) for each in taken.images] == [(60, 40), (20, 20)]
    assert taken.mask is not None
    assert taken.strength == 0.5
    for each in (*taken.images, taken.mask):
        assert Image.open(io.BytesIO(await blobs.read(each.blob))).size == (each.width_px, each.height_px)


async def test_an_upload_is_named_by_its_tenant_alone_and_for_its_purpose() -> None:
    intake = an_intake()
    upload = await intake.upload(a_file(), role=PictureRole.IMAGE, param="file", caller=ACME)
    assert (upload.width_px, upload.height_px, upload.kept_until_s) == (60, 40, 4_600.0)
    picture = named(upload.upload_id, PictureSource.UPLOAD)
    taken = await take(intake, picture)
    assert taken == await take(intake, sent(a_file()))
    assert "upload_not_found" in await refused(intake, picture, caller=OTHERS)
    assert "purpose mask" in await refused(
        intake, sent(a_file()), mask=named(upload.upload_id, PictureSource.UPLOAD, "inputs.mask")
    )


@pytest.mark.parametrize("change", ["in_", "in_AAAA", "in_" + "A" * 60, "in_!!", "in_é"])
async def test_an_id_that_is_none_is_not_found(change: str) -> None:
    assert "upload_not_found" in await refused(an_intake(), named(change, PictureSource.UPLOAD))


async def test_an_upload_that_is_gone_or_whose_id_was_changed_is_not_found() -> None:
    blobs = MemoryBlobStore()
    intake = an_intake(blobs=blobs)
    upload = await intake.upload(a_file(), role=PictureRole.IMAGE, param="file", caller=ACME)
    swapped = upload.upload_id[:10] + ("A" if upload.upload_id[10] != "A" else "B") + upload.upload_id[11:]
    assert "upload_not_found" in await refused(intake, named(swapped, PictureSource.UPLOAD))
    (picture,) = (await take(intake, named(upload.upload_id, PictureSource.UPLOAD))).images
    assert await blobs.delete(picture.blob, before_s=float("inf"))
    assert "not kept any more" in await refused(intake, named(upload.upload_id, PictureSource.UPLOAD))


async def test_uploads_of_tenants_with_keys_are_encrypted_and_read_again() -> None:
    medium = MemoryBlobStore()
    intake = an_intake(blobs=SealedBlobStore(medium, TenantKeys(master=bytes(32))))
    upload = await intake.upload(a_file(), role=PictureRole.IMAGE, param="file", caller=ACME)
    (picture,) = (await take(intake, named(upload.upload_id, PictureSource.UPLOAD))).images
    assert (picture.width_px, picture.height_px) == (60, 40)
    assert not (await medium.read(picture.blob)).startswith(b"\x89PNG")
    assert (await intake.read(picture.blob)).startswith(b"\x89PNG")


async def test_a_delivered_picture_of_the_same_tenant_can_be_started_from() -> None:
    store, delivered = MemoryStore(), MemoryBlobStore()
    data = a_file((32, 32))
    blob = await delivered.put(data, suffix="png")
    output = an_output("out_1", tenant=ACME.tenant_id, sha256=blob.partition(".")[0], size_bytes=len(data))
    await store.commit([PutJob(job=a_job("cat", tenant=ACME.tenant_id)), PutOutput(output=output)])
    intake = an_intake(store=store, delivered=delivered)
    picture = named("out_1", PictureSource.OUTPUT)
    assert (await take(intake, picture)).images[0].width_px == 32
    assert "output_not_found" in await refused(intake, picture, caller=OTHERS)
    assert "output_not_found" in await refused(intake, named("out_2", PictureSource.OUTPUT))


async def test_an_address_is_fetched_through_the_guard() -> None:
    outbound = ScriptedOutbound(
        {
            "fine.example": Reply(status=200, duration_s=0, body=a_file()),
            "moved.example": Reply(status=302, duration_s=0),
            "down.example": Reply(status=None, duration_s=0, reason="not called: it leads into a private network"),
            "large.example": Reply(status=200, duration_s=0, body=bytes(LIMITS.bytes_max * 2)),
            "page.example": Reply(status=200, duration_s=0, body=b"<html>"),
        }
    )
    intake = an_intake(outbound=outbound)

    def at(url: str) -> GivenPicture:
        return named(url, PictureSource.URL)

    assert (await take(intake, at("https://fine.example/a.png?b=c"))).images[0].width_px == 60
    assert (outbound.called[0].host, outbound.called[0].path) == ("fine.example", "/a.png?b=c")
    assert "a link must be direct" in await refused(intake, at("https://moved.example/"))
    assert "private network" in await refused(intake, at("https://down.example/"))
    assert "picture_too_large" in await refused(intake, at("https://large.example/"))
    assert "is no picture" in await refused(intake, at("https://page.example/"))
    called = len(outbound.called)
    for url in ("http://fine.example/", "https://127.0.0.1/", "https://169.254.169.254/", "https://a:b@fine.example/"):
        assert "url_not_allowed" in await refused(intake, at(url))
    assert len(outbound.called) == called


async def test_slow_addresses_of_one_tenant_hold_up_no_other() -> None:
    outbound = ScriptedOutbound({"slow.example": Reply(status=200, duration_s=0, body=a_file())})
    outbound.may_answer.clear()
    intake = an_intake(outbound=outbound)
    slow = named("https://slow.example/", PictureSource.URL)
    waiting = [asyncio.create_task(take(intake, slow)) for _ in range(3 * FETCHES_MAX_PER_TENANT)]
    other = asyncio.create_task(take(intake, slow, caller=OTHERS))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(outbound.called) == FETCHES_MAX_PER_TENANT + 1
    assert (await take(intake, sent(a_file()), caller=OTHERS)).images
    outbound.may_answer.set()
    for taken in await asyncio.gather(*waiting, other):
        assert taken.images


async def test_a_mask_is_as_large_as_the_picture() -> None:
    intake = an_intake()
    wrong = sent(a_file((60, 41), mode="L", colour=255), "inputs.mask")
    assert "60 x 41 pixels and the picture 60 x 40" in await refused(intake, sent(a_file()), mask=wrong)
    large = a_file((1500, 1000))
    taken = await take(intake, sent(large), mask=sent(a_file((1500, 1000), mode="L", colour=255)))
    assert taken.mask is not None
    assert (taken.mask.width_px, taken.mask.height_px) == (taken.images[0].width_px, taken.images[0].height_px)


async def test_a_tenant_brings_in_so_much_in_a_while_and_another_is_not_in_its_way() -> None:
    size_bytes = (await an_intake().upload(a_file(), role=PictureRole.IMAGE, param="file", caller=ACME)).size_bytes
    intake = an_intake(tenant_bytes_max=2 * size_bytes)
    upload = await intake.upload(a_file(), role=PictureRole.IMAGE, param="file", caller=ACME)
    await take(intake, sent(a_file()))
    with pytest.raises(Overloaded, match="as much room as they may") as caught:
        await take(intake, sent(a_file()))
    assert (caught.value.code, caught.value.retry_after_s) == ("too_many_pictures", 120.0)
    await take(intake, named(upload.upload_id, PictureSource.UPLOAD))
    await take(intake, sent(a_file()), caller=OTHERS)


def test_what_was_brought_in_is_forgotten_after_a_while() -> None:
    recent = RecentBytes(bytes_max=100, window_s=1_000.0)
    assert [recent.take(ACME.tenant_id, 40, now_s=now_s) for now_s in (0.0, 5.0)] == [None, None]
    assert recent.take(ACME.tenant_id, 40, now_s=100.0) == 900.0
    assert recent.take(ACME.tenant_id, 20, now_s=500.0) is None
    assert recent.take(ACME.tenant_id, 80, now_s=1_000.0) is None
    assert recent.take(ACME.tenant_id, 1, now_s=1_001.0) == 499.0
    assert recent.take(OTHERS.tenant_id, 101, now_s=0.0) == 1_000.0


async def test_pictures_that_do_not_fit_one_message_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.intake.REQUEST_BYTES_MAX", 200)
    assert "picture_too_large" in await refused(an_intake(), sent(a_file()), sent(a_file((61, 40))))


async def test_a_file_that_kills_what_reads_it_is_refused() -> None:
    intake = an_intake(processes=HereProcesses(dies=True))
    assert "invalid_picture: The file of inputs.image cannot be read" in await refused(intake, sent(a_file()))


async def test_only_what_nobody_needs_is_deleted(tmp_path) -> None:
    blobs = DiskBlobStore(tmp_path / "inputs")
    needed, old = [await blobs.put(data, suffix="png") for data in (b"needed", b"old")]
    for name in (needed, old):
        folder = int(name[:2], 16)
        assert await drop_unused_inputs(blobs, lambda: {needed}, folder=folder, before_s=1.0) == 0
        dropped = await drop_unused_inputs(blobs, lambda: {needed}, folder=folder, before_s=float("inf"))
        assert dropped == (name == old)
    assert await blobs.size(needed) == 6
    assert await blobs.size(old) is None
    await blobs.close()
