"""What every key-value store must do. A new store joins `STORES`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio

from determinism.environment import seeded_environment
from determinism.seams import Environment
from wippy_trio.core.errors import InvalidError, NotFoundError, UnavailableError
from wippy_trio.storage.kv import KeyValueStore, ListOptions, MemoryStore, PutOptions
from wippy_trio.storage.kv_sql import SqlStore, SqlStoreTable
from wippy_trio.storage.sql_sqlite import SqliteDatabase


@asynccontextmanager
async def memory_store(environment: Environment) -> AsyncIterator[MemoryStore]:
    yield MemoryStore(environment.clock)


@asynccontextmanager
async def sqlite_store(environment: Environment) -> AsyncIterator[SqlStore]:
    database = await SqliteDatabase.open(":memory:", environment)
    await database.execute("CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires_at BIGINT)")
    yield SqlStore(database, SqlStoreTable("kv"), environment.clock)
    await database.aclose()


STORES: dict[str, Callable[[Environment], AbstractAsyncContextManager[KeyValueStore]]] = {
    "memory": memory_store,
    "sqlite": sqlite_store,
}


@pytest.fixture(params=sorted(STORES))
async def store(request):
    async with STORES[request.param](seeded_environment()) as opened:
        yield opened


@pytest.mark.parametrize(
    "value", ["text", "é", 1, -(2**62), 1.5, True, False, {"a": [1, {"b": "c"}]}, [1, 2, 3], {}, [], ""]
)
async def test_a_value_comes_back_as_it_was(store, value, autojump_clock) -> None:
    await store.set("k:1", value)
    back = await store.get("k:1")
    assert back == value
    assert type(back) is type(value)


async def test_missing_key(store, autojump_clock) -> None:
    with pytest.raises(NotFoundError, match="key not found"):
        await store.get("k:none")
    with pytest.raises(NotFoundError):
        await store.entry("k:none")
    assert not await store.has("k:none")
    assert not await store.delete("k:none")


async def test_empty_key_is_refused(store, autojump_clock) -> None:
    for work in (store.get, store.has, store.delete, store.entry):
        with pytest.raises(InvalidError, match="key is required"):
            await work("")


async def test_set_overwrites_and_delete_removes(store, autojump_clock) -> None:
    await store.set("k:1", 1)
    await store.set("k:1", 2)
    assert await store.get("k:1") == 2
    assert await store.has("k:1")
    assert await store.delete("k:1")
    assert not await store.has("k:1")


async def test_a_key_without_colon_is_one_key(store, autojump_clock) -> None:
    await store.set("plain", 1)
    assert await store.get("plain") == 1
    assert await store.get(":plain") == 1
    assert (await store.entry("plain")).key == ":plain"


async def test_time_to_live(store, autojump_clock) -> None:
    await store.set("k:short", 1, 0.5)
    await store.set("k:long", 2, 60)
    await store.set("k:ever", 3, 0)
    await store.set("k:also", 4, -1)
    await trio.sleep(0.4)
    assert await store.get("k:short") == 1
    await trio.sleep(0.2)
    with pytest.raises(NotFoundError):
        await store.get("k:short")
    assert not await store.has("k:short")
    assert not await store.delete("k:short")
    assert [entry.key for entry in (await store.list_page(ListOptions())).items] == ["k:also", "k:ever", "k:long"]


async def test_set_renews_the_time_to_live(store, autojump_clock) -> None:
    await store.set("k:1", 1, 1)
    await store.set("k:1", 2)
    await trio.sleep(5)
    assert await store.get("k:1") == 2


async def test_an_expired_key_can_be_written_again(store, autojump_clock) -> None:
    await store.set("k:1", 1, 1)
    await trio.sleep(2)
    await store.set("k:1", 2)
    assert await store.get("k:1") == 2


async def test_list_is_ordered_and_paged(store, autojump_clock) -> None:
    for number in (3, 1, 2):
        await store.set(f"b:{number}", number)
    await store.set("a:1", 0)
    await store.set("B:1", 0)
    first = await store.list_page(ListOptions(prefix="b:", limit=2))
    assert [(entry.key, entry.value) for entry in first.items] == [("b:1", 1), ("b:2", 2)]
    assert (first.cursor, first.has_more) == ("b:2", True)
    second = await store.list_page(ListOptions(prefix="b:", after=first.cursor, limit=2))
    assert [entry.key for entry in second.items] == ["b:3"]
    assert not second.has_more
    everything = await store.list_page(ListOptions())
    assert [entry.key for entry in everything.items] == ["B:1", "a:1", "b:1", "b:2", "b:3"]
    nothing = await store.list_page(ListOptions(prefix="zz"))
    assert (nothing.items, nothing.cursor, nothing.has_more) == ((), "", False)


async def test_prefix_takes_wildcards_literally_and_ignores_the_added_colon(store, autojump_clock) -> None:
    await store.set("a%b", 1)
    await store.set("axb", 2)
    assert [entry.value for entry in (await store.list_page(ListOptions(prefix="a%"))).items] == [1]


def test_page_size_is_bounded() -> None:
    assert [ListOptions(limit=count).limit for count in (0, -5, 7, 5000)] == [100, 100, 7, 1000]


async def test_put_without_conditions_writes(store, autojump_clock) -> None:
    entry = await store.put("k:1", "v", PutOptions(ttl_s=1))
    assert (entry.key, entry.value) == ("k:1", "v")
    await trio.sleep(2)
    assert not await store.has("k:1")


def test_put_options_are_checked() -> None:
    for ttl_s, only_if_absent, if_version in ((-1, False, None), (0, False, 0), (0, True, 1)):
        with pytest.raises(InvalidError, match="invalid store options"):
            PutOptions(ttl_s, only_if_absent, if_version)


async def test_conditions_are_kept_or_refused_as_info_says(store, autojump_clock) -> None:
    info = store.info_now()
    assert info.list
    assert info.ttl
    if not info.conditional_put:
        with pytest.raises(InvalidError, match="operation not supported by this store"):
            await store.put("k:1", 1, PutOptions(only_if_absent=True))
        return
    written = await store.put("k:1", 1, PutOptions(only_if_absent=True))
    assert (await store.entry("k:1")).version == written.version
    newer = await store.put("k:1", 2, PutOptions(if_version=written.version))
    assert newer.version > written.version


async def test_closed_store_refuses(store, autojump_clock) -> None:
    await store.set("k:1", 1)
    store.close_now()
    for work in (store.get, store.has, store.delete):
        with pytest.raises(UnavailableError, match="store is closed"):
            await work("k:1")
