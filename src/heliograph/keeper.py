"""How long pictures stay, carried out: stars, holds, deletions that really delete, and what the retention policy says.

A deletion has two halves. First the record goes, in one transaction with the record of the deletion: from then on no
link, key or page finds the picture. Then its files go, wherever they lie, and the copies outside; what a crash or a
medium that is away leaves undone is done later, because the record says so. A file that another picture has, too (the
same content is one file), stays for that one.

A picture that is being delivered has its files before its record. So nothing is erased that was put within the last
minute, nor while the store or the pictures' medium is in trouble and deliveries wait: then a file without a record may
be somebody's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from heliograph.delivery.blobs import BlobStore
from heliograph.delivery.retention import RetentionPolicy, Step, due, next_step
from heliograph.domain.accounts import Caller
from heliograph.domain.errors import NotFound, PermissionDenied, Unavailable
from heliograph.domain.ids import ModelId, OutputId
from heliograph.domain.keeping import Deletion, DeletionReason, Keeping
from heliograph.storage.keeping import EndDeletion, EraseOutput, HoldOutput, StarOutput
from heliograph.storage.store import Store, Write

FILES_EVERY_S = 15.0
POLICY_EVERY_S = 600.0
JUST_PUT_S = 60.0
AT_ONCE = 200
PAUSE_S = 0.1
"""Between two batches, for others."""

_log = structlog.get_logger()

Purge = Callable[[Deletion], Awaitable[None]]
"""Takes a picture's copies out of the caches outside. Raises `Unavailable`; then it is asked again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How a picture is kept, and what will happen to it next, if anything."""

    keeping: Keeping
    next_step: Step | None


class Keeper:
    """Tenants are kept apart here as in the service; without a caller it is the operator who asks.

    `problems` are those of the pipeline; `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        *,
        store: Store,
        blobs: BlobStore,
        policy: RetentionPolicy,
        problems: Mapping[str, Unavailable],
        clock: Callable[[], float],
        purge: Purge | None = None,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._policy = policy
        self._problems = problems
        self._clock = clock
        self._purge = purge

    async def kept(self, output_id: OutputId, *, caller: Caller | None) -> Kept:
        """How one picture is kept. Raises `NotFound`."""
        keeping = await self._store.keeping(output_id)
        if keeping is None or (caller is not None and keeping.tenant_id != caller.tenant_id):
            raise NotFound(f"There is no picture {output_id}.", code="output_not_found")
        rule = self._policy.rule_for(keeping.tenant_id, keeping.plan)
        return Kept(keeping=keeping, next_step=next_step(keeping, rule))

    async def star(self, output_id: OutputId, *, is_on: bool, caller: Caller) -> Kept:
        """Set or take away the star of a picture, which keeps it from retention. Raises `NotFound`."""
        before = await self.kept(output_id, caller=caller)
        if (before.keeping.starred_at_s is not None) != is_on:
            await self._store.commit([StarOutput(output_id=output_id, at_s=self._clock() if is_on else None)])
        return await self.kept(output_id, caller=caller)

    async def hold(self, output_id: OutputId, *, is_on: bool) -> Kept:
        """Set or take away the hold of a picture, which keeps it from every deletion. Raises `NotFound`."""
        before = await self.kept(output_id, caller=None)
        if (before.keeping.held_at_s is not None) != is_on:
            await self._store.commit([HoldOutput(output_id=output_id, at_s=self._clock() if is_on else None)])
            _log.info("legal hold", output_id=output_id, tenant_id=before.keeping.tenant_id, is_on=is_on)
        return await self.kept(output_id, caller=None)

    async def delete(self, output_id: OutputId, *, caller: Caller | None) -> Deletion:
        """Delete a picture with everything that belongs to it; its files go now, or within a minute if they are new.

        Raises `NotFound`, and `PermissionDenied` for a picture with a hold.
        """
        output = await self._store.output(output_id)
        if output is None or (caller is not None and output.tenant_id != caller.tenant_id):
            raise NotFound(f"There is no picture {output_id}.", code="output_not_found")
        reason = DeletionReason.OPERATOR if caller is None else DeletionReason.TENANT
        deletion = Deletion.of(output, reason, at_s=self._clock())
        await self._store.commit([EraseOutput(deletion=deletion)])
        written = await self._store.deletion(deletion.deletion_id)
        if written is None:
            raise PermissionDenied(
                f"The operator keeps {output_id} for legal reasons; it cannot be deleted.", code="output_held"
            )
        _log.info("picture deleted", output_id=output_id, tenant_id=output.tenant_id, reason=reason.value)
        await self._finish(written)
        return await self._store.deletion(deletion.deletion_id) or written

    async def deletions(self, *, caller: Caller, limit: int, before_s: float | None = None) -> tuple[Deletion, ...]:
        """The tenant's deletions, newest first, at most `limit` from before a time."""
        return await self._store.deletions(caller.tenant_id, limit=limit, before_s=before_s)

    # --- in the background -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Finish deletions and apply the policy, for ever. While a part is missing the work waits."""
        passes = 0
        every = int(POLICY_EVERY_S / FILES_EVERY_S)
        while True:
            try:
                if passes % every == 0:
                    await self.apply_policy()
                await self.finish_deletions()
            except Unavailable as error:
                _log.warning("retention waits", reason=error.message)
            passes += 1
            await asyncio.sleep(FILES_EVERY_S)

    async def finish_deletions(self) -> int:
        """Erase the files of deletions, a few hundred at a time; return how many deletions are done with."""
        pending = await self._store.deletions_pending(limit=AT_ONCE)
        return sum([await self._finish(deletion) for deletion in pending])

    async def apply_policy(self) -> int:
        """Do what is due to every picture; return to how many something was done."""
        youngest_s = self._policy.youngest_s
        if youngest_s is None:
            return 0
        now_s = self._clock()
        count = 0
        after: tuple[float, OutputId] | None = None
        while True:
            page = await self._store.keepings(before_s=now_s - youngest_s, limit=AT_ONCE, after=after)
            writes: list[Write] = []
            for keeping in page:
                writes += await self._writes_due(keeping, now_s)
            await self._store.commit(writes)
            count += len(writes)
            if len(page) < AT_ONCE:
                if count:
                    _log.info("retention", pictures=count)
                return count
            after = (page[-1].created_at_s, page[-1].output_id)
            await asyncio.sleep(PAUSE_S)

    async def _writes_due(self, keeping: Keeping, now_s: float) -> list[Write]:
        """Deletions; settings know no other step yet, because nothing carries the others out."""
        rule = self._policy.rule_for(keeping.tenant_id, keeping.plan)
        step = due(keeping, rule, now_s=now_s, is_reproducible=_never)
        output = None if step is None else await self._store.output(keeping.output_id)
        if step is None or output is None or step.to is not None:
            return []
        return [EraseOutput(deletion=Deletion.of(output, DeletionReason.RETENTION, at_s=now_s))]

    async def _finish(self, deletion: Deletion) -> bool:
        """Erase what is left of a deleted picture. False when something has to wait."""
        try:
            if self._purge is not None:
                await self._purge(deletion)  # at once, and again with each file that waited: a copy may just be made
            if self._problems:
                return False
            held = await self._store.held_blobs(deletion.files)
            own = [name for name in dict.fromkeys(deletion.files) if name not in held]
            gone = [await self._blobs.erase(name, unless_put_within_s=JUST_PUT_S) for name in own]
            if not all(gone):
                return False
        except Unavailable as error:
            _log.warning("a deleted picture has files left", output_id=deletion.output_id, reason=error.message)
            return False
        await self._store.commit([EndDeletion(deletion_id=deletion.deletion_id, at_s=self._clock())])
        return True


def _never(_model_id: ModelId) -> bool:
    return False
