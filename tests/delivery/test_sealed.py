"""Pictures that are encrypted: who can read them, and what is noticed."""

import asyncio
import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.delivery.memory import MemoryBlobStore
from heliograph.delivery.sealed import CHUNK_BYTES, SealedBlobStore, TenantKeys
from heliograph.domain.errors import Unavailable
from heliograph.domain.ids import TenantId

ADA, BOB = TenantId("ada"), TenantId("bob")
MASTER = bytes(range(32))
DATA = os.urandom(3 * CHUNK_BYTES + 100)


def a_store(inner: MemoryBlobStore, master: bytes | None = MASTER, **own: bytes) -> SealedBlobStore:
    return SealedBlobStore(inner, TenantKeys(master=master, own={TenantId(name): key for name, key in own.items()}))


async def bytes_of(inner: MemoryBlobStore, name: str) -> bytes:
    return await inner.read(name)


async def test_nothing_of_a_picture_is_in_what_is_stored_and_its_name_is_the_digest_of_that() -> None:
    inner = MemoryBlobStore()
    name = await a_store(inner).put(DATA, suffix="png", owner=ADA)
    stored = await bytes_of(inner, name)
    assert name == f"{hashlib.sha256(stored).hexdigest()}.e.png"
    assert not any(DATA[start : start + 16] in stored for start in range(0, len(DATA) - 16, 16))


async def test_the_same_picture_is_one_object_of_its_tenant_and_another_of_the_next() -> None:
    inner = MemoryBlobStore()
    store = a_store(inner)
    first, again = await store.put(DATA, suffix="png", owner=ADA), await store.put(DATA, suffix="png", owner=ADA)
    other = await store.put(DATA, suffix="png", owner=BOB)
    assert first == again
    assert first != other
    assert (await bytes_of(inner, first))[-200:] != (await bytes_of(inner, other))[-200:]


@given(size=st.sampled_from([0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES]), data=st.data())
def test_any_part_reads_as_it_was(size: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, size + 5))
    length = data.draw(st.none() | st.integers(0, size + 5))
    plain = (bytes(range(256)) * (size // 256 + 1))[:size]

    async def check() -> None:
        store = a_store(MemoryBlobStore())
        name = await store.put(plain, suffix="png", owner=ADA)
        assert await store.size(name) == size
        end = size if length is None else start + length
        assert await store.read(name, start=start, length=length) == plain[start:end]

    asyncio.run(check())


@pytest.mark.parametrize("at", [0, 9, 20, 55, 80, 70_000, -1])
async def test_a_changed_byte_is_noticed(at: int) -> None:
    inner = MemoryBlobStore()
    name = await a_store(inner).put(DATA, suffix="png", owner=ADA)
    stored = bytearray(await bytes_of(inner, name))
    stored[at] ^= 1
    inner._blobs[name] = bytes(stored)
    with pytest.raises(Unavailable) as caught:
        await a_store(inner).read(name)
    assert caught.value.code in ("storage_damaged", "tenant_key_missing")


@pytest.mark.parametrize("what", ["cut", "swapped", "empty"])
async def test_chunks_that_are_missing_or_elsewhere_are_noticed(what: str) -> None:
    inner = MemoryBlobStore()
    name = await a_store(inner).put(DATA, suffix="png", owner=ADA)
    stored = await bytes_of(inner, name)
    chunk = CHUNK_BYTES + 16
    header = len(stored) - 3 * chunk - 116
    first, second = stored[header : header + chunk], stored[header + chunk : header + 2 * chunk]
    rest = stored[header + 2 * chunk :]
    inner._blobs[name] = {
        "cut": stored[: header + 2 * chunk],
        "swapped": stored[:header] + second + first + rest,
        "empty": b"",
    }[what]
    with pytest.raises(Unavailable) as caught:
        await a_store(inner).read(name)
    assert caught.value.code == "storage_damaged"


async def test_without_its_key_a_picture_is_gone_and_others_are_not() -> None:
    inner = MemoryBlobStore()
    own = b"k" * 32
    store = a_store(inner, ada=own)
    ada, bob = await store.put(DATA, suffix="png", owner=ADA), await store.put(DATA, suffix="png", owner=BOB)
    shredded = a_store(inner)
    assert await shredded.read(bob) == DATA
    with pytest.raises(Unavailable) as caught:
        await shredded.read(ada)
    assert caught.value.code == "tenant_key_missing"
    assert await a_store(inner, ada=own).read(ada) == DATA


async def test_what_was_encrypted_before_a_tenant_brought_its_key_stays_readable() -> None:
    inner = MemoryBlobStore()
    before = await a_store(inner).put(DATA, suffix="png", owner=ADA)
    later = a_store(inner, ada=b"k" * 32)
    assert await later.read(before) == DATA
    assert await later.put(DATA, suffix="png", owner=ADA) != before


async def test_only_tenants_with_a_key_are_encrypted_where_not_everybody_is() -> None:
    inner = MemoryBlobStore()
    keys = TenantKeys(master=MASTER, own={ADA: b"k" * 32}, encrypts_all=False)
    store = SealedBlobStore(inner, keys)
    ada, bob = await store.put(DATA, suffix="png", owner=ADA), await store.put(DATA, suffix="png", owner=BOB)
    assert (ada.endswith(".e.png"), bob.endswith(".e.png")) == (True, False)
    old = await a_store(inner).put(DATA, suffix="png", owner=BOB)
    assert [await store.read(name) for name in (ada, bob, old)] == [DATA] * 3
