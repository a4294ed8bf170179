"""Deletions that really delete, and what keeps a picture from them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from heliograph import keeper as keeper_module
from heliograph.delivery.disk import DiskBlobStore
from heliograph.delivery.retention import RetentionPolicy, RetentionRule
from heliograph.domain.accounts import Caller
from heliograph.domain.errors import NotFound, PermissionDenied, Unavailable
from heliograph.domain.ids import OutputId, TenantId
from heliograph.domain.job import JobState
from heliograph.domain.keeping import Deletion, DeletionReason, StorageTier
from heliograph.domain.tiers import Tier
from heliograph.keeper import Keeper
from heliograph.storage.memory import MemoryStore
from heliograph.storage.store import PutJob, PutOutput
from tests.storage.stored_samples import a_job, an_output

ADA = Caller(tenant_id=TenantId("ada"), tier=Tier.PRO)
BOB = Caller(tenant_id=TenantId("bob"), tier=Tier.PRO)
DAY_S = 86_400.0


class Home:
    """A store with pictures of ada's, files on disk and a keeper; the clock stands at `now_s`."""

    def __init__(self, blobs: DiskBlobStore) -> None:
        self.store = MemoryStore()
        self.blobs = blobs
        self.problems: dict[str, Unavailable] = {}
        self.policy = RetentionPolicy()
        self.purged: list[OutputId] = []
        self.cache_is_away = False
        self.now_s = 1e6
        self._count = 0

    async def _purge(self, deletion: Deletion) -> None:
        if self.cache_is_away:
            raise Unavailable("the cache does not answer")
        self.purged.append(deletion.output_id)

    @property
    def keeper(self) -> Keeper:
        return Keeper(
            store=self.store,
            blobs=self.blobs,
            policy=self.policy,
            problems=self.problems,
            clock=lambda: self.now_s,
            purge=self._purge,
        )

    async def picture(self, content: bytes, *, age_s: float = 0.0) -> OutputId:
        self._count += 1
        job = a_job(self._count, state=JobState.COMPLETED)
        blob = await self.blobs.put(content, suffix="png")
        thumbnail = await self.blobs.put(b"small " + content, suffix="webp")
        output = replace(an_output(job), blob=blob, thumbnail_blob=thumbnail, created_at_s=self.now_s - age_s)
        await self.store.commit([PutJob(job=job), PutOutput(output=output)])
        return output.output_id

    def files(self) -> int:
        return len(list(self.blobs.path("00" * 32 + ".png").parent.parent.glob("*/*")))


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Home]:
    monkeypatch.setattr(keeper_module, "JUST_PUT_S", 0.0)
    blobs = DiskBlobStore(tmp_path / "blobs")
    yield Home(blobs)
    await blobs.close()


async def test_a_deleted_picture_is_gone_with_its_files_and_its_copies(home: Home) -> None:
    output_id, other = await home.picture(b"one"), await home.picture(b"two")
    deletion = await home.keeper.delete(output_id, caller=ADA)
    assert (deletion.reason, deletion.done_at_s) == (DeletionReason.TENANT, home.now_s)
    assert home.files() == 2
    assert home.purged == [output_id]
    assert await home.store.output(output_id) is None
    assert await home.store.output(other) is not None
    assert await home.keeper.deletions(caller=ADA, limit=9) == (deletion,)
    assert await home.keeper.deletions(caller=BOB, limit=9) == ()
    with pytest.raises(NotFound):
        await home.keeper.delete(output_id, caller=ADA)


async def test_nobody_deletes_marks_or_sees_another_tenant_s_picture(home: Home) -> None:
    output_id = await home.picture(b"one")
    for call in (
        home.keeper.delete(output_id, caller=BOB),
        home.keeper.kept(output_id, caller=BOB),
        home.keeper.star(output_id, is_on=True, caller=BOB),
        home.keeper.delete(OutputId("../../etc/passwd"), caller=ADA),
    ):
        with pytest.raises(NotFound):
            await call
    assert (await home.keeper.delete(output_id, caller=None)).reason is DeletionReason.OPERATOR


async def test_a_file_that_another_picture_has_stays_until_that_one_goes(home: Home) -> None:
    first, second = await home.picture(b"same"), await home.picture(b"same")
    assert (await home.keeper.delete(first, caller=ADA)).done_at_s is not None
    assert home.files() == 2
    await home.keeper.delete(second, caller=ADA)
    assert home.files() == 0


async def test_a_hold_keeps_a_picture_until_it_is_taken_away(home: Home) -> None:
    output_id = await home.picture(b"one")
    assert (await home.keeper.hold(output_id, is_on=True)).keeping.held_at_s == home.now_s
    with pytest.raises(PermissionDenied) as refused:
        await home.keeper.delete(output_id, caller=ADA)
    assert refused.value.code == "output_held"
    assert home.files() == 2
    await home.keeper.hold(output_id, is_on=False)
    await home.keeper.delete(output_id, caller=ADA)
    assert home.files() == 0


async def test_what_cannot_go_now_goes_later(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """In trouble, just put, or with a cache that does not answer: the record goes, the rest waits."""
    output_id = await home.picture(b"one")
    home.problems["store"] = Unavailable("the disk is full")
    assert (await home.keeper.delete(output_id, caller=ADA)).done_at_s is None
    assert await home.store.output(output_id) is None
    assert (await home.keeper.finish_deletions(), home.files()) == (0, 2)
    home.problems.clear()
    monkeypatch.setattr(keeper_module, "JUST_PUT_S", 60.0)
    assert (await home.keeper.finish_deletions(), home.files()) == (0, 2)
    monkeypatch.setattr(keeper_module, "JUST_PUT_S", 0.0)
    home.cache_is_away = True
    assert (await home.keeper.finish_deletions(), home.files()) == (0, 2)
    home.cache_is_away = False
    assert (await home.keeper.finish_deletions(), home.files()) == (1, 0)
    assert await home.keeper.finish_deletions() == 0
    assert set(home.purged) == {output_id}


async def test_retention_deletes_by_plan_and_tenant_and_spares_what_is_kept(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "AT_ONCE", 2)
    monkeypatch.setattr(keeper_module, "PAUSE_S", 0.0)
    home.policy = RetentionPolicy(plans={Tier.PRO: RetentionRule(delete_after_s=30 * DAY_S)})
    old = [await home.picture(b"old %d" % number, age_s=(31 + number) * DAY_S) for number in range(5)]
    young = await home.picture(b"young", age_s=29 * DAY_S)
    await home.keeper.star(old[1], is_on=True, caller=ADA)
    await home.keeper.hold(old[2], is_on=True)
    kept = await home.keeper.kept(young, caller=ADA)
    assert kept.next_step is not None
    assert kept.next_step.at_s == home.now_s + DAY_S
    assert await home.keeper.apply_policy() == 3
    while await home.keeper.finish_deletions():
        pass
    assert home.files() == 2 * 3
    assert {each.reason for each in await home.keeper.deletions(caller=ADA, limit=9)} == {DeletionReason.RETENTION}
    await home.keeper.star(old[1], is_on=False, caller=ADA)
    assert await home.keeper.apply_policy() == 1
    home.policy = RetentionPolicy(tenants={TenantId("ada"): RetentionRule()})
    assert await home.keeper.apply_policy() == 0
    assert (await home.keeper.kept(young, caller=ADA)).keeping.storage_tier is StorageTier.HOT


async def test_without_rules_nothing_ever_goes(home: Home) -> None:
    await home.picture(b"one", age_s=9_999 * DAY_S)
    assert await home.keeper.apply_policy() == 0
    assert home.files() == 2
