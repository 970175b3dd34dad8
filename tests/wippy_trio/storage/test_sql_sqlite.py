from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest
import trio
import trio.testing

from determinism.environment import seeded_environment
from determinism.system import system_environment
from wippy_trio.core.errors import (
    AlreadyExistsError,
    InvalidError,
    PermissionDeniedError,
    TimeoutExpiredError,
    UnavailableError,
)
from wippy_trio.storage.sql import Dialect, Isolation
from wippy_trio.storage.sql_sqlite import SqliteDatabase, SqliteLimits

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
async def db():
    database = await SqliteDatabase.open(":memory:", system_environment())
    yield database
    await database.aclose()


@pytest.fixture
async def virtual_db():
    """For the virtual clock, which must not run while a real thread works: statements run in place."""
    database = await SqliteDatabase.open(":memory:", seeded_environment())
    yield database
    await database.aclose()


async def test_query_gives_columns_and_typed_rows(db) -> None:
    await db.execute(
        "CREATE TABLE t (i INTEGER, f REAL, s TEXT, b BLOB, flag BOOLEAN, at DATETIME, day DATE, n TIMESTAMP, gone)"
    )
    await db.execute(
        "INSERT INTO t VALUES (?,?,?,?,?,?,?,?,?)",
        [2**62, 1.5, "é", b"\xff\x00", True, datetime(2026, 1, 2, 3, 4, 5, 600000, UTC), "2026-01-02", 1000, None],
    )
    result = await db.query("SELECT * FROM t")
    assert result.columns == ("i", "f", "s", "b", "flag", "at", "day", "n", "gone")
    assert result.rows == (
        (
            2**62,
            1.5,
            "é",
            b"\xff\x00",
            True,
            datetime(2026, 1, 2, 3, 4, 5, 600000, UTC),
            datetime(2026, 1, 2, tzinfo=UTC),
            datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC),
            None,
        ),
    )
    assert result.records()[0]["s"] == "é"


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02 03:04", datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
        ("2026-01-02 03:04:05.123456789+02:00", datetime(2026, 1, 2, 1, 4, 5, 123456, tzinfo=UTC)),
        (1_700_000_000_000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("yesterday", datetime(1, 1, 1, tzinfo=UTC)),
        (None, None),
    ],
)
async def test_time_columns(db, stored, expected) -> None:
    await db.execute("CREATE TABLE t (at datetime)")
    await db.execute("INSERT INTO t VALUES (?)", [stored])
    assert (await db.query("SELECT at FROM t")).rows == ((expected,),)


@pytest.mark.parametrize("text", ["SELECT ?, ?", "SELECT $1, $2", "SELECT :a, :b", "SELECT ?1, ?2"])
async def test_marks_are_bound_by_position(db, text) -> None:
    assert (await db.query(text, [1, "x"])).rows == ((1, "x"),)


async def test_number_of_arguments(db) -> None:
    with pytest.raises(InvalidError, match="not enough args to execute query: want 2 got 1"):
        await db.query("SELECT ?, ?", [1])
    assert (await db.query("SELECT ?", [1, 2])).rows == ((1,),)  # more than needed are ignored


async def test_several_statements_share_the_arguments(db) -> None:
    text = "CREATE TABLE t (a); INSERT INTO t VALUES (?); INSERT INTO t VALUES (?); -- the end"
    result = await db.execute(text, [1, 2])
    assert (result.last_insert_id, result.rows_affected) == (2, 1)
    assert (await db.query("SELECT a FROM t ORDER BY a")).rows == ((1,), (2,))


async def test_execute_counts(db) -> None:
    await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
    assert (await db.execute("INSERT INTO t (a) VALUES (1),(1),(2)")).last_insert_id == 3
    assert (await db.execute("UPDATE t SET a = 5 WHERE a = 1")).rows_affected == 2
    assert (await db.execute("CREATE TABLE u (a)")).rows_affected == 2  # the latest count, as in the reference
    assert (await db.execute("")).rows_affected == 0


async def test_error_kinds(db) -> None:
    await db.execute("CREATE TABLE t (a PRIMARY KEY, b NOT NULL)")
    await db.execute("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(InvalidError, match="syntax error"):
        await db.query("SELEC 1")
    with pytest.raises(InvalidError, match="no such table: nope"):
        await db.query("SELECT * FROM nope")
    with pytest.raises(AlreadyExistsError, match=r"UNIQUE constraint failed: t\.a"):
        await db.execute("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(InvalidError, match="NOT NULL constraint failed"):
        await db.execute("INSERT INTO t VALUES (2, NULL)")
    with pytest.raises(InvalidError, match="parameter 1: integer does not fit into 64 bits"):
        await db.query("SELECT ?", [2**63])
    with pytest.raises(InvalidError, match="not valid Unicode"):
        await db.query("SELECT ?", ["\ud800"])
    with pytest.raises(InvalidError, match="not UTF-8"):
        await db.query("SELECT CAST(x'ff' AS TEXT)")


async def test_rows_are_bounded() -> None:
    database = await SqliteDatabase.open(":memory:", system_environment(), limits=SqliteLimits(rows_max_count=2))
    with pytest.raises(InvalidError, match="more than 2 rows"):
        await database.query("SELECT 1 UNION SELECT 2 UNION SELECT 3")
    await database.aclose()


async def test_statement(db) -> None:
    await db.execute("CREATE TABLE t (a)")
    insert = await db.prepare("INSERT INTO t VALUES (?)")
    assert (await insert.execute([7])).rows_affected == 1
    with pytest.raises(InvalidError, match="sql: expected 1 arguments, got 0"):
        await insert.execute()
    await insert.close()
    with pytest.raises(InvalidError, match="statement is closed"):
        await insert.query([1])
    with pytest.raises(InvalidError, match="statement is already closed"):
        await insert.close()
    with pytest.raises(InvalidError, match="syntax error"):
        await db.prepare("INSERT nonsense")


async def test_commit_and_rollback(db) -> None:
    await db.execute("CREATE TABLE t (a)")
    first = await db.begin(Isolation.SERIALIZABLE)
    await first.execute("INSERT INTO t VALUES (1)")
    await first.commit()
    second = await db.begin()
    await second.execute("INSERT INTO t VALUES (2)")
    statement = await second.prepare("SELECT count(*) FROM t")
    assert (await statement.query()).rows == ((2,),)
    await second.rollback()
    assert (await db.query("SELECT a FROM t")).rows == ((1,),)
    for work in (second.commit, second.rollback, partial(second.query, "SELECT 1"), statement.query):
        with pytest.raises(InvalidError, match="transaction is not active"):
            await work()
    assert first.dialect is Dialect.SQLITE
    assert not first.active


async def test_savepoints(db) -> None:
    await db.execute("CREATE TABLE t (a)")
    tx = await db.begin()
    await tx.savepoint("outer_1")
    await tx.execute("INSERT INTO t VALUES (1)")
    await tx.rollback_to("outer_1")
    await tx.release("outer_1")
    with pytest.raises(InvalidError, match="alphanumeric"):
        await tx.savepoint("no good")
    with pytest.raises(InvalidError, match="required"):
        await tx.savepoint("")
    with pytest.raises(InvalidError, match="no such savepoint"):
        await tx.release("gone")
    await tx.commit()
    assert (await db.query("SELECT count(*) FROM t")).rows == ((0,),)


async def test_read_only_transaction_refuses_writes(db) -> None:
    tx = await db.begin(read_only=True)
    with pytest.raises(PermissionDeniedError, match="readonly"):
        await tx.execute("CREATE TABLE t (a)")
    await tx.rollback()
    await db.execute("CREATE TABLE t (a)")


async def test_failed_commit_leaves_the_database_usable(db) -> None:
    await db.execute("PRAGMA foreign_keys = ON")
    await db.execute("CREATE TABLE p (id INTEGER PRIMARY KEY)")
    await db.execute("CREATE TABLE c (p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)")
    tx = await db.begin()
    await tx.execute("INSERT INTO c VALUES (1)")
    with pytest.raises(InvalidError, match="FOREIGN KEY"):
        await tx.commit()
    assert not tx.active
    assert (await db.query("SELECT count(*) FROM c")).rows == ((0,),)


async def test_a_transaction_keeps_others_waiting_for_a_bounded_time(virtual_db, autojump_clock) -> None:
    db = virtual_db
    tx = await db.begin()
    with pytest.raises(TimeoutExpiredError, match="no turn within 30 s"):
        await db.query("SELECT 1")
    stats = db.stats_now()
    assert (stats.in_use, stats.idle, stats.wait_count) == (1, 0, 1)
    assert stats.wait_ns == pytest.approx(30e9)
    await tx.rollback()
    assert (await db.query("SELECT 1")).rows == ((1,),)


async def test_waiters_are_served_in_order(db) -> None:
    order: list[int] = []

    async def ask(number: int) -> None:
        await db.query("SELECT 1")
        order.append(number)

    tx = await db.begin()
    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(ask, number)
            await trio.testing.wait_all_tasks_blocked()
        await tx.commit()
    assert order == [0, 1, 2, 3]


async def test_cancelled_query_is_interrupted_and_the_connection_stays_usable(db) -> None:
    with trio.move_on_after(0.02) as scope:
        await db.query(ENDLESS)
    assert scope.cancelled_caught
    assert (await db.query("SELECT 1")).rows == ((1,),)


async def test_cancelled_begin_gives_the_connection_back(db) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await db.begin()
    assert db.stats_now().in_use == 0


async def test_cancel_inside_a_transaction_then_rollback(db) -> None:
    tx = await db.begin()
    with trio.move_on_after(0.02):
        await tx.query(ENDLESS)
    await tx.rollback()
    assert db.stats_now().in_use == 0


async def test_file_database_uses_wal_and_survives_reopening(tmp_path) -> None:
    path = str(tmp_path / "app.db")
    environment = system_environment()
    database = await SqliteDatabase.open(path, environment)
    assert (await database.query("PRAGMA journal_mode")).rows == (("wal",),)
    await database.execute("CREATE TABLE t (a)")
    await database.aclose()
    await database.aclose()
    with pytest.raises(UnavailableError, match="connection pool is closed"):
        await database.query("SELECT 1")
    again = await SqliteDatabase.open(path, environment)
    assert (await again.query("SELECT count(*) FROM t")).rows == ((0,),)
    await again.aclose()


async def test_old_connection_is_replaced(tmp_path, autojump_clock) -> None:
    limits = SqliteLimits(lifetime_s=10.0)
    database = await SqliteDatabase.open(str(tmp_path / "a.db"), seeded_environment(), limits=limits)
    await database.execute("CREATE TEMP TABLE t (a)")
    await trio.sleep(11)
    with pytest.raises(InvalidError, match="no such table"):
        await database.query("SELECT * FROM t")
    assert database.stats_now().max_lifetime_closed == 1
    await database.aclose()


async def test_missing_directory_is_unavailable(tmp_path) -> None:
    with pytest.raises(UnavailableError, match="unable to open"):
        await SqliteDatabase.open(str(tmp_path / "no" / "a.db"), system_environment())


async def test_close_does_not_wait_for_ever_for_a_transaction(virtual_db, autojump_clock) -> None:
    db = virtual_db
    tx = await db.begin()
    await db.aclose()
    with pytest.raises(UnavailableError):
        await tx.commit()
    assert not tx.active


async def test_a_transaction_that_sqlite_has_ended_takes_no_more_statements(db) -> None:
    await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    tx = await db.begin()
    await tx.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(AlreadyExistsError):
        await tx.execute("INSERT OR ROLLBACK INTO t VALUES (1)")  # as after EIO or a full disk
    with pytest.raises(UnavailableError, match="rolled back"):
        await tx.execute("INSERT INTO t VALUES (2)")  # would be a transaction of its own
    with pytest.raises(UnavailableError, match="rolled back"):
        await tx.commit()
    assert (await db.query("SELECT * FROM t")).rows == ()
