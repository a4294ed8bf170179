"""What the records know of a file, and that nobody hears of another tenant's pictures."""

import hashlib
from dataclasses import replace

import pytest

from heliograph.delivery.names import blob_name
from heliograph.delivery.verification import Inspection, Integrity, Verification
from heliograph.domain.accounts import Caller
from heliograph.domain.ids import OutputId, TenantId
from heliograph.domain.job import JobState
from heliograph.domain.tiers import Tier
from heliograph.provenance_desk import verified
from heliograph.storage.memory import MemoryStore
from heliograph.storage.store import PutJob, PutOutput, PutVariant
from tests.storage.stored_samples import a_job, a_variant, an_output

FILE, THUMBNAIL, AVIF = b"a picture", b"small", b"late"
LOOK = "0123456789abcdef"
ADA = Caller(tenant_id=TenantId("ada"), tier=Tier.PRO)
BOB = Caller(tenant_id=TenantId("bob"), tier=Tier.PRO)


def named(data: bytes, suffix: str) -> str:
    return blob_name(hashlib.sha256(data).hexdigest(), suffix)


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    job = a_job(1, state=JobState.COMPLETED)
    output = replace(
        an_output(job),
        output_id=OutputId("out_1"),
        blob=named(FILE, "png"),
        thumbnail_blob=named(THUMBNAIL, "webp"),
        perceptual_hash=LOOK,
    )
    variant = a_variant(output, blob=named(AVIF, "avif"))
    await store.commit([PutJob(job=job), PutOutput(output=output), PutVariant(variant=variant)])
    return store


async def asked(store: MemoryStore, data: bytes, caller: Caller, *, look: str | None = None) -> Verification:
    mime_type = {FILE: "image/png", THUMBNAIL: "image/webp", AVIF: "image/avif"}.get(data, "image/jpeg")

    async def inspect(sent: bytes) -> Inspection:
        digest = hashlib.sha256(sent).hexdigest()
        return Inspection(sha256=digest, size_bytes=len(sent), mime_type=mime_type, perceptual_hash=look)

    return await verified(data, caller, inspect=inspect, store=store)


@pytest.mark.parametrize("data", [FILE, THUMBNAIL, AVIF])
async def test_a_file_that_was_delivered_is_known_by_its_digest(store: MemoryStore, data: bytes) -> None:
    answer = await asked(store, data, ADA)
    assert answer.delivered is not None
    assert (answer.delivered.output_id, answer.delivered.bits_apart) == ("out_1", 0)
    assert (answer.integrity, answer.is_machine_made, answer.lookalikes) == (Integrity.UNSIGNED, True, ())


async def test_a_copy_is_known_by_its_look(store: MemoryStore) -> None:
    near, far = f"{int(LOOK, 16) ^ 0b101:016x}", f"{int(LOOK, 16) ^ 0xFF:016x}"
    alike = await asked(store, b"a copy", ADA, look=near)
    assert [(each.output_id, each.bits_apart) for each in alike.lookalikes] == [("out_1", 2)]
    assert (alike.delivered, alike.is_machine_made) == (None, True)
    other = await asked(store, b"another", ADA, look=far)
    assert (other.lookalikes, other.is_machine_made) == ((), None)


async def test_nobody_hears_of_anothers_pictures(store: MemoryStore) -> None:
    for data in (FILE, b"a copy"):
        answer = await asked(store, data, BOB, look=LOOK)
        assert (answer.delivered, answer.lookalikes, answer.is_machine_made) == (None, (), None)
