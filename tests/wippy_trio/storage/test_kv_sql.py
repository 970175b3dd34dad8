from __future__ import annotations

import pytest
import trio

from determinism.environment import seeded_environment
from determinism.system import system_environment
from wippy_trio.core.errors import InvalidError
from wippy_trio.storage.kv import ListOptions
from wippy_trio.storage.kv_sql import SqlStore, SqlStoreTable
from wippy_trio.storage.sql import Dialect, ExecuteResult, QueryResult
from wippy_trio.storage.sql_sqlite import SqliteDatabase
from wippy_trio.storage.unbuilt import UnbuiltDatabase


@pytest.fixture
async def db():
    database = await SqliteDatabase.open(":memory:", seeded_environment())  # no thread for the clock to outrun
    await database.execute("CREATE TABLE items (k TEXT PRIMARY KEY, v BLOB NOT NULL, until TEXT)")
    yield database
    await database.aclose()


@pytest.fixture
def store(db):
    return SqlStore(db, SqlStoreTable("items", "k", "v", "until"), system_environment().clock)


async def test_rows_are_those_of_the_reference(db, store) -> None:
    await store.set("plain", {"b": 1, "a": "é"}, 60)
    row = (await db.query("SELECT k, v, until FROM items")).rows[0]
    assert row[:2] == (":plain", '{"a":"é","b":1}'.encode())
    assert str(row[2]).endswith("+00:00")


async def test_rows_of_others_are_read(db, store) -> None:
    await db.execute("INSERT INTO items VALUES ('a:1', '[1,2]', NULL), ('a:2', 'nonsense', NULL)")
    assert await store.get("a:1") == [1, 2]
    with pytest.raises(InvalidError, match="not JSON"):
        await store.get("a:2")


async def test_values_that_are_no_json_are_refused(store) -> None:
    for value in (b"\xff", float("nan"), {"a": b"\xff"}):
        with pytest.raises(InvalidError, match="cannot be stored as JSON"):
            await store.set("a:1", value)


async def test_concurrent_first_writes_both_succeed(db, store) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.set, "a:1", 1)
        nursery.start_soon(store.set, "a:1", 2)
    assert await store.get("a:1") in {1, 2}
    assert len((await db.query("SELECT * FROM items")).rows) == 1


async def test_cleanup_deletes_expired_rows_and_survives_errors(db, store, autojump_clock) -> None:
    await db.execute("INSERT INTO items VALUES ('a:1', '1', '2001-01-01 00:00:00+00:00'), ('a:2', '2', NULL)")
    failures: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.expire_every, 10, lambda error: failures.append(str(error)))
        await trio.sleep(11)
        assert (await db.query("SELECT k FROM items")).rows == (("a:2",),)
        await db.execute("DROP TABLE items")
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    assert failures == ["no such table: items", "no such table: items"]


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "select", "x" * 64, "a;drop"])
def test_names_are_checked(name) -> None:
    with pytest.raises(InvalidError):
        SqlStoreTable(name)
    with pytest.raises(InvalidError):
        SqlStoreTable("t", key_column=name)


class Recorder(UnbuiltDatabase):
    """A PostgreSQL that only notes what it was asked."""

    dialect = Dialect.POSTGRES

    def __init__(self) -> None:
        super().__init__("app:pg", "db.sql.postgres")
        self.texts: list[str] = []

    async def query(self, text, params=()):
        self.texts.append(text)
        return QueryResult()

    async def execute(self, text, params=()):
        self.texts.append(text)
        return ExecuteResult()


async def test_postgres_gets_numbered_marks() -> None:
    recorder = Recorder()
    store = SqlStore(recorder, SqlStoreTable("t"), system_environment().clock)
    await store.list_page(ListOptions(prefix="p", after="a", limit=5))
    assert recorder.texts == [
        (
            "SELECT key, value FROM t WHERE (expires_at IS NULL OR expires_at > $1)"
            " AND (substr(key,1,1) = $2 OR substr(key,1,2) = $3) AND key > $4 ORDER BY key ASC LIMIT 6"
        )
    ]
