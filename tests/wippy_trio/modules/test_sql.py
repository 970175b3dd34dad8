from __future__ import annotations

import pytest
import trio

from wippy_trio.core.errors import LuaError

DB = """
- name: db
  kind: db.sql.sqlite
  file: ":memory:"
- name: store
  kind: store.memory
"""
HEAD = 'local sql = require("sql") local db, err = sql.get("app:db") assert(not err, tostring(err)) '


@pytest.fixture
def script(lua):
    """Run a script with `sql` and `db` at hand."""

    async def run(source: str, *args: object):
        return await lua(HEAD + source, modules=["sql"], entries=DB, args=args)

    return run


async def test_get_and_its_errors(lua, autojump_clock) -> None:
    found = await lua(
        """local sql = require("sql")
        local out = {}
        for i, id in ipairs({"", "app:none", "app:store"}) do
            local db, err = sql.get(id)
            out[i] = tostring(db) .. " " .. err:kind() .. " " .. tostring(err:retryable())
        end
        out[4] = type(sql.get("app:db")) .. " " .. sql.get("app:db"):type()
        return out""",
        modules=["sql"],
        entries=DB,
    )
    assert found == ["nil Invalid false", "nil NotFound false", "nil Invalid false", "userdata sqlite"]


async def test_rows(script, autojump_clock) -> None:
    rows = await script("""
        db:execute("CREATE TABLE t (i INTEGER, f REAL, s TEXT, b BLOB, flag BOOLEAN, at DATETIME, n)")
        db:execute("INSERT INTO t VALUES (?,?,?,?,?,?,?)",
            {1, 2.0, "x", sql.as.binary("ab"), true, "2026-01-02 03:04:05", sql.NULL})
        local r = db:query("SELECT * FROM t")
        return {r[1], math.type(r[1].i), math.type(r[1].f), r[1].n == nil, #r,
            db:query("SELECT typeof(b) AS b, typeof(f) AS f FROM t")[1]}
    """)
    row = {"i": 1, "f": 2.0, "s": "x", "b": "ab", "flag": True, "at": "2026-01-02T03:04:05Z"}
    assert rows == [row, "integer", "float", True, 1, {"b": "blob", "f": "real"}]


async def test_params_with_holes_and_markers(script, autojump_clock) -> None:
    assert await script("""
        local r = db:query("SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e",
            {1, nil, sql.NULL, sql.as.int(4.9), sql.as.text(1.5)})
        return r[1]
    """) == {"a": 1, "d": 4, "e": "1.5"}


async def test_errors_carry_operation_and_kind(script, autojump_clock) -> None:
    found = await script("""
        db:execute("CREATE TABLE t (a PRIMARY KEY)")
        db:execute("INSERT INTO t VALUES (1)")
        local function of(_, e) return {e:kind(), e:message()} end
        return {of(db:query("SELEC")), of(db:execute("INSERT INTO t VALUES (1)")), of(db:query("SELECT ?", "x")),
            of(db:begin({isolation = "odd"})), of(db:query("SELECT ?"))}
    """)
    assert [kind for kind, _ in found] == ["Invalid", "AlreadyExists", "Invalid", "Invalid", "Invalid"]
    assert "syntax error" in found[0][1]
    assert "parameters must be a table, got string" in found[2][1]
    assert "invalid isolation level: odd" in found[3][1]
    assert "not enough args to execute query: want 1 got 0" in found[4][1]


async def test_wrong_arguments_are_raised(script, autojump_clock) -> None:
    with pytest.raises(LuaError, match=r"bad argument #2 to query \(string expected, got nil\)"):
        await script("db:query(nil)")
    with pytest.raises(LuaError, match=r"bad argument #1 to query \(database expected\)"):
        await script("db.query(sql.NULL, 'SELECT 1')")


async def test_transaction(script, autojump_clock) -> None:
    found = await script("""
        db:execute("CREATE TABLE t (a)")
        local tx = db:begin({isolation = sql.isolation.SERIALIZABLE, read_only = false})
        local r = tx:execute("INSERT INTO t VALUES (1)")
        tx:savepoint("s1")
        tx:execute("INSERT INTO t VALUES (2)")
        tx:rollback_to("s1")
        tx:release("s1")
        local _, bad = tx:savepoint("no good")
        local out = {tx:db_type(), r.rows_affected, bad:kind(), tx:commit()}
        for _, m in ipairs({"commit", "rollback", "db_type"}) do
            local _, e = tx[m](tx)
            out[#out + 1] = e:kind() .. ": " .. e:message()
        end
        out[#out + 1] = #db:query("SELECT * FROM t")
        return out
    """)
    assert found == ["sqlite", 1, "Invalid", True, *["Invalid: transaction is not active"] * 3, 1]


async def test_an_open_transaction_is_rolled_back_at_the_end_of_the_call(app, autojump_clock) -> None:
    entries = (
        DB
        + """
- name: leaver
  kind: function.lua
  method: main
  modules: [sql]
  source: |
    return function(text)
      local db = require("sql").get("app:db")
      local tx = db:begin()
      tx:execute("CREATE TABLE t (a)")
      return #tx:query("SELECT 1")
    end
- name: reader
  kind: function.lua
  method: main
  modules: [sql]
  source: |
    return function(text)
      local db = require("sql").get("app:db")
      local _, e = db:query("SELECT * FROM t")
      return e:message()
    end
"""
    )
    async with app(entries) as running:
        assert await running.call("app:leaver") == 1
        with trio.fail_after(20):
            assert "no such table" in await running.call("app:reader")


async def test_statement(script, autojump_clock) -> None:
    found = await script("""
        db:execute("CREATE TABLE t (a)")
        local s = db:prepare("INSERT INTO t VALUES (?)")
        for i = 1, 3 do s:execute({i}) end
        local _, few = s:execute()
        local out = {few:kind(), s:close()}
        for _, m in ipairs({"query", "execute", "close"}) do
            local _, e = s[m](s, {1})
            out[#out + 1] = e:kind() .. ": " .. e:message()
        end
        out[#out + 1] = db:query("SELECT count(*) AS n FROM t")[1].n
        return out
    """)
    closed = ["Invalid: statement is closed", "Invalid: statement is closed", "Invalid: statement is already closed"]
    assert found == ["Invalid", True, *closed, 3]


async def test_stats_and_release(script, autojump_clock) -> None:
    found = await script("""
        local s = db:stats()
        local ok, e = db:release()
        return {s, ok, e == nil, #db:query("SELECT 1")}
    """)
    assert found[0]["max_open_connections"] == 1
    assert found[0]["wait_duration"] == "0s"
    assert found[1:] == [True, True, 1]


async def test_builders(script, autojump_clock) -> None:
    found = await script("""
        local b = sql.builder
        local base = b.select("a", "b"):from("t"):where({a = 1, b = sql.NULL}):where("c > ?", 2.5)
        local more = base:where(b.or_({b.like({n = "x%"}), {m = "y"}})):order_by("a DESC"):limit(3)
        local text, args = base:to_sql()
        local raw, raw_args = b.expr("x = ?", sql.as.int(2.0)):to_sql()
        return {text, args, tostring(more), (b.insert("t"):columns("a"):values(1, nil):to_sql()),
            (b.update("t"):set("a", b.expr("b + ?", 1)):set("b", sql.NULL):placeholder_format(b.dollar):to_sql()),
            (b.delete("t"):where("a = ?", 1):placeholder_format(b.at):to_sql()), raw, raw_args,
            type(base), tostring(b.eq({a = 1}))}
    """)
    assert found == [
        "SELECT a, b FROM t WHERE a = ? AND b IS NULL AND c > ?",
        [1, 2.5],
        (
            "SelectBuilder: SELECT a, b FROM t WHERE a = ? AND b IS NULL AND c > ? AND (n LIKE ? OR m = ?)"
            " ORDER BY a DESC LIMIT 3 [Args: [1 2.5 x% y]]"
        ),
        "INSERT INTO t (a) VALUES (?,?)",
        "UPDATE t SET a = b + $1, b = $2",
        "DELETE FROM t WHERE a = @p1",
        "x = ?",
        [2],
        "userdata",
        "SQL: a = ? [Args: [1]]",
    ]


async def test_builder_errors(script, autojump_clock) -> None:
    found = await script("""
        local b = sql.builder
        local function of(_, e) return e:kind() .. ": " .. e:message() end
        return {of(b.select():from("t"):to_sql()), of(b.insert():values(1):to_sql()), of(b.lt({a = sql.NULL}):to_sql()),
            of(b.update("t"):run_with(db)), tostring(b.delete())}
    """)
    assert found == [
        "Invalid: select statements must have at least one result column",
        "Invalid: insert statements must specify a table",
        "Invalid: cannot use null with less than or greater than operators",
        "Invalid: update statements must have at least one Set clause",
        "DeleteBuilder Error: delete statements must specify a From table",
    ]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("sql.builder.select(1)", "expected string column name"),
        ("sql.builder.select('a'):where(5)", "expected string, table, or Sqlizer"),
        ("sql.builder.and_({1})", "expected Sqlizer or table in AND condition, got number"),
        ("sql.builder.eq('a')", "expected table"),
        ("sql.builder.select('a'):run_with(5)", "database or transaction expected"),
        ("sql.builder.select('a'):placeholder_format('$')", "expected placeholder format"),
        ("sql.builder.update('t'):set('a', db)", "invalid userdata"),
    ],
)
async def test_builder_argument_errors(script, source, problem, autojump_clock) -> None:
    with pytest.raises(LuaError, match=problem):
        await script(f"return {source}")


async def test_executor(script, autojump_clock) -> None:
    found = await script("""
        db:execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b BLOB)")
        local b = sql.builder
        local done = b.insert("t"):columns("a", "b"):values("x", sql.as.binary("y")):run_with(db):exec()
        local tx = db:begin()
        local e = b.select("a", "typeof(b) AS kind"):from("t"):where({a = "x"}):run_with(tx)
        local rows = e:query()
        tx:rollback()
        local _, after = e:query()
        local text, args = e:to_sql()
        return {done, rows, after:kind(), text, args, tostring(e)}
    """)
    text = "SELECT a, typeof(b) AS kind FROM t WHERE a = ?"
    assert found == [
        {"last_insert_id": 1, "rows_affected": 1},
        [{"a": "x", "kind": "blob"}],
        "Invalid",
        text,
        ["x"],
        f"QueryExecutor: {text} [Args: 1]",
    ]
