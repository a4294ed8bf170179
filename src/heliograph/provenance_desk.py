"""Answers where a file comes from: one look at it, joined with what the store knows of pictures delivered here.

A caller hears of their own pictures only. That some other tenant's picture looks alike, or is the very same file, stays
that tenant's business.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from heliograph.delivery.media_types import MIME_TYPE_OF_SUFFIX
from heliograph.delivery.names import blob_name
from heliograph.delivery.perceptual_hash import ALIKE_BITS_MAX, bits_apart
from heliograph.delivery.verification import Inspection, Lookalike, Verification, conclude
from heliograph.domain.accounts import Caller
from heliograph.domain.pictures import Output
from heliograph.storage.store import Store

LOOKALIKES_MAX = 10

Inspect = Callable[[bytes], Awaitable[Inspection]]
"""Looks at a file somewhere else than on the loop. Raises `Unavailable`."""


async def verified(data: bytes, caller: Caller, *, inspect: Inspect, store: Store) -> Verification:
    """What the file says, what of it can be believed, and which of the caller's pictures it is or looks like."""
    found = await inspect(data)
    suffixes = [suffix for suffix, mime_type in MIME_TYPE_OF_SUFFIX.items() if mime_type == found.mime_type]
    output = await store.output_of_blob([blob_name(found.sha256, suffix) for suffix in suffixes]) if suffixes else None
    delivered = None
    if output is not None and output.tenant_id == caller.tenant_id:
        delivered = Lookalike(output_id=output.output_id, job_id=output.job_id, bits_apart=0)
    lookalikes: list[Lookalike] = []
    if found.perceptual_hash is not None and delivered is None:
        for each in await store.outputs_alike(caller.tenant_id, found.perceptual_hash):
            alike = _lookalike(each, found.perceptual_hash)
            if alike.bits_apart <= ALIKE_BITS_MAX:
                lookalikes.append(alike)
    lookalikes.sort(key=lambda alike: alike.bits_apart)
    answer = conclude(found, delivered=delivered, lookalikes=lookalikes[:LOOKALIKES_MAX])
    # The record is the better witness: a signature that was never there is no sign of change.
    return replace(answer, reasons=()) if delivered is not None and not answer.reasons else answer


def _lookalike(output: Output, fingerprint: str) -> Lookalike:
    apart = bits_apart(output.perceptual_hash or fingerprint, fingerprint)
    return Lookalike(output_id=output.output_id, job_id=output.job_id, bits_apart=apart)
