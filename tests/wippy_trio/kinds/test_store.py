from __future__ import annotations

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.ids import EntryId
from wippy_trio.kinds.store import check_memory, check_sql
from wippy_trio.storage.kv import KeyValueStore, MemoryStore
from wippy_trio.storage.kv_sql import SqlStore


@pytest.mark.parametrize(
    ("check", "data", "problem"),
    [
        (check_memory, {"max_size": -1}, "max size must be non-negative"),
        (check_memory, {"cleanup_interval": "-5m"}, "cleanup interval must be non-negative"),
        (check_sql, {"table_name": "t"}, "database ID is required"),
        (check_sql, {"database": "app:db"}, "table name is required"),
        (check_sql, {"database": "app:db", "table_name": "a-b"}, "table name contains invalid characters"),
        (
            check_sql,
            {"database": "app:db", "table_name": "t", "expire_column_name": "order"},
            "expire column name contains invalid characters",
        ),
    ],
)
def test_bad_entries_are_refused(check, data, problem) -> None:
    with pytest.raises(InvalidError, match=problem):
        check(Entry(EntryId("app", "s"), "store", {}, data))


async def test_stores_are_offered(app, autojump_clock) -> None:
    entries = """
- name: table
  kind: store.sql
  database: db
  table_name: kv
  id_column_name: k
  cleanup_interval: 1m
- name: memory
  kind: store.memory
  max_size: 0
  cleanup_interval: 0s
- name: db
  kind: db.sql.sqlite
  file: ":memory:"
"""
    async with app(entries) as running:
        resources = running.runtime.resources
        assert isinstance(resources.get("app:table", SqlStore), KeyValueStore)
        memory = resources.get("app:memory", MemoryStore)
        assert memory._max_size_count == 10_000
    with pytest.raises(LuaError, match="store is closed"):
        await memory.get("a:b")


async def test_a_store_over_no_database_is_refused(app, autojump_clock) -> None:
    with pytest.RaisesGroup(LuaError, flatten_subgroups=True, allow_unwrapped=True):
        async with app("- {name: s, kind: store.sql, database: none, table_name: kv}"):
            pass


async def test_a_database_that_is_not_built_is_named_when_used(app, autojump_clock) -> None:
    entries = """
- name: pg
  kind: db.sql.mysql
- name: s
  kind: store.sql
  database: pg
  table_name: kv
"""
    async with app(entries) as running:
        with pytest.raises(LuaError, match=r"app:pg: kind db\.sql\.mysql is not built yet"):
            await running.runtime.resources.get("app:s", SqlStore).get("a:b")
