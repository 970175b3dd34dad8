"""`db.sql.postgres` in an app, with the `sql` and `store` modules, against a real server and in real time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
import trio

from determinism.system import system_environment
from tests.conftest import entries_of
from wippy_trio.app.app import App, open_entries
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import LuaError
from wippy_trio.core.ids import EntryId
from wippy_trio.storage.postgres_settings import PostgresSettings
from wippy_trio.storage.sql_postgres import PostgresDatabase

pytestmark = pytest.mark.service
HEAD = 'local sql = require("sql") local db, err = sql.get("app:db") assert(not err, tostring(err)) '


def database(settings: PostgresSettings, **further: object) -> Entry:
    login = {"database": settings.database, "username": settings.user, "password": settings.password}
    pool = {"max_open": 5, "max_idle": 2}
    data = {
        "host": settings.host,
        "port": str(settings.port),
        **login,
        "pool": pool,
        "options": dict(settings.options),
        **further,
    }
    return Entry(EntryId("app", "db"), "db.sql.postgres", {}, data)


@asynccontextmanager
async def app_with(source: str, *entries: Entry, text: str = "") -> AsyncIterator[App]:
    data = {"source": f"return function(...) {HEAD} {source}\nend", "method": "main", "modules": ["sql", "store"]}
    script = Entry(EntryId("app", "script"), "function.lua", {}, data)
    async with open_entries([*entries, script, *entries_of(text)], environment=system_environment()) as running:
        yield running


@pytest.fixture
def script(postgres):
    async def run(source: str, *, text: str = ""):
        async with app_with(source, database(postgres), text=text) as running:
            return await running.call("app:script")

    return run


async def test_rows_have_lua_types(script) -> None:
    rows = await script("""
        db:execute("CREATE TABLE t (i int, f float8, n numeric, s text, x bytea, b bool, at timestamptz, gone int)")
        db:execute("INSERT INTO t VALUES ($1,$2,$3,$4,$5,$6,$7,$8)",
            {1, 2.5, "1.50", "x", sql.as.binary("a\\0b"), true, "2026-01-02 03:04:05+00", sql.NULL})
        local r = db:query("SELECT * FROM t")
        return {r[1], math.type(r[1].i), math.type(r[1].f), db:type()}
    """)
    row = {"i": 1, "f": 2.5, "n": "1.50", "s": "x", "x": "a\0b", "b": True, "at": "2026-01-02T03:04:05Z"}
    assert rows == [row, "integer", "float", "postgres"]


async def test_builders_write_dollar_marks(script) -> None:
    found = await script("""
        db:execute("CREATE TABLE users (name text PRIMARY KEY, score int)")
        sql.builder.insert("users"):columns("name", "score"):values("alice", 95):values("bob", 70):run_with(db):exec()
        sql.builder.update("users"):set("score", sql.builder.expr("score + ?", 5)):where({name = "bob"})
            :run_with(db):exec()
        local q = sql.builder.select("name", "score"):from("users"):where(sql.builder.gt({score = 72}))
            :where({name = {"x"}} and {name = "bob"}):run_with(db)
        local text = q:to_sql()
        return {q:query(), text}
    """)
    assert found == [[{"name": "bob", "score": 75}], "SELECT name, score FROM users WHERE score > $1 AND name = $2"]


async def test_transactions_and_savepoints(script) -> None:
    found = await script("""
        db:execute("CREATE TABLE t (a int UNIQUE)")
        local tx = db:begin({isolation = sql.isolation.SERIALIZABLE})
        tx:execute("INSERT INTO t VALUES ($1)", {1})
        tx:savepoint("one")
        local _, err = tx:execute("INSERT INTO t VALUES ($1)", {1})
        tx:rollback_to("one")
        tx:execute("INSERT INTO t VALUES ($1)", {2})
        local ok, failed = tx:commit()
        local _, level = db:begin({isolation = sql.isolation.WRITE_COMMITTED})
        local stats = db:stats()
        return {err:kind(), ok, tostring(failed), db:query("SELECT a FROM t ORDER BY a"), tostring(level), stats.in_use}
    """)
    assert found == [
        "AlreadyExists",
        True,
        "nil",
        [{"a": 1}, {"a": 2}],
        "begin: isolation level not supported: write_committed",
        0,
    ]


async def test_prepared_statements(script) -> None:
    found = await script("""
        local st = db:prepare("SELECT $1::int * 2 AS twice")
        local out = {}
        for i = 1, 3 do out[i] = st:query({i})[1].twice end
        local ok = st:close()
        local _, err = db:prepare("SELEC")
        return {out, ok, err:kind()}
    """)
    assert found == [[2, 4, 6], True, "Invalid"]


async def test_a_transaction_left_open_is_rolled_back(postgres) -> None:
    source = """
        db:execute("CREATE TABLE IF NOT EXISTS t (a int)")
        local n = db:query("SELECT count(*) AS n FROM t")[1].n
        db:begin():execute("INSERT INTO t VALUES (1)")
        return n
    """
    async with app_with(source, database(postgres)) as running:
        assert await running.call("app:script") == 0
        assert await running.call("app:script") == 0
        assert running.runtime.resources.get("app:db", PostgresDatabase).stats_now().in_use == 0


async def test_a_store_in_a_table(script) -> None:
    found = await script(
        """
        db:execute("CREATE TABLE kv (key text PRIMARY KEY, value jsonb NOT NULL, expires_at timestamptz)")
        local kv = require("store").get("app:kv")
        kv:set("a", {n = 1, path = "c:\\\\x"})
        kv:set("a", {n = 2, path = "c:\\\\x"})
        kv:set("b", "soon", 3600)
        return {kv:get("a"), kv:get("b"), kv:has("c"), kv:delete("b"), kv:has("b")}
        """,
        text="- {name: kv, kind: store.sql, database: db, table_name: kv}",
    )
    assert found == [{"n": 2, "path": "c:\\x"}, "soon", False, True, False]


async def test_an_unreachable_server_does_not_keep_the_app_from_starting() -> None:
    entry = database(PostgresSettings("127.0.0.1", 1, "d", "u", "p"))
    source = 'local _, e = db:query("SELECT 1") return {e:kind(), e:retryable()}'
    async with app_with(source, entry) as running:
        assert await running.call("app:script") == ["Unavailable", True]


async def test_a_cancelled_call_stops_its_statement(postgres) -> None:
    async with app_with('return db:query("SELECT pg_sleep(60)")', database(postgres)) as running:
        with trio.move_on_after(0.05):
            await running.call("app:script")
        pool = running.runtime.resources.get("app:db", PostgresDatabase)
        with trio.fail_after(2):
            text = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
            while (await pool.query(text)).rows != ((0,),):
                await trio.lowlevel.checkpoint()


async def test_the_database_goes_with_its_entry(postgres) -> None:
    async with app_with("return 1", database(postgres)) as running:
        opened = running.runtime.resources.get("app:db", PostgresDatabase)
        assert orjson.dumps((await opened.query("SELECT 1 AS a")).records()) == b'[{"a":1}]'
    with pytest.raises(LuaError, match="connection pool is closed"):
        await opened.query("SELECT 1")
