from __future__ import annotations

import pytest
import trio

from determinism.system import SystemClock
from wippy_trio.core.errors import AlreadyExistsError, ConflictError, NotFoundError, UnavailableError
from wippy_trio.storage.kv import MemoryStore, PutOptions


@pytest.fixture
def store():
    return MemoryStore(SystemClock(), max_size_count=2)


async def test_versions_grow_with_every_write(store, autojump_clock) -> None:
    await store.set("k:1", 1)
    await store.set("k:2", 1)
    await store.set("k:1", 2)
    assert (await store.entry("k:1")).version == 3


async def test_only_if_absent(store, autojump_clock) -> None:
    await store.put("k:1", 1, PutOptions(ttl_s=1, only_if_absent=True))
    with pytest.raises(AlreadyExistsError, match="key already exists"):
        await store.put("k:1", 2, PutOptions(only_if_absent=True))
    await trio.sleep(2)
    assert (await store.put("k:1", 3, PutOptions(only_if_absent=True))).value == 3


async def test_if_version(store, autojump_clock) -> None:
    version = (await store.put("k:1", 1, PutOptions())).version
    with pytest.raises(ConflictError) as failed:
        await store.put("k:1", 2, PutOptions(if_version=version + 1))
    assert failed.value.retryable
    with pytest.raises(NotFoundError):
        await store.put("k:2", 2, PutOptions(if_version=1))
    assert (await store.get("k:1")) == 1


async def test_a_full_store_refuses_new_keys_only(store, autojump_clock) -> None:
    await store.set("k:1", 1, 1)
    await store.set("k:2", 2)
    with pytest.raises(UnavailableError, match="store is full") as failed:
        await store.set("k:3", 3)
    assert failed.value.retryable
    await store.set("k:2", 22)
    await trio.sleep(2)
    await store.set("k:3", 3)  # the expired one made room


async def test_expired_entries_are_dropped_in_the_background(store, autojump_clock) -> None:
    await store.set("k:1", 1, 5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.expire_every, 10)
        await trio.sleep(11)
        nursery.cancel_scope.cancel()
    assert store.expire_now() == 0
    assert not store._kept
