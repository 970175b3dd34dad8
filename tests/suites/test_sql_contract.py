"""What every SQL database does alike: one suite, each driver."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from determinism.system import system_environment
from wippy_trio.core.errors import AlreadyExistsError, InvalidError, PermissionDeniedError, UnavailableError
from wippy_trio.storage.sql import Isolation, SqlDatabase, SqlStatement, SqlTransaction
from wippy_trio.storage.sql_postgres import PostgresDatabase
from wippy_trio.storage.sql_sqlite import SqliteDatabase

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT count(*) FROM n"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service)])
def settings(request):
    return request.getfixturevalue("postgres") if request.param == "postgres" else None


@pytest.fixture
async def db(settings):
    if settings is None:
        database: SqlDatabase = await SqliteDatabase.open(":memory:", system_environment())
    else:
        database = PostgresDatabase(settings, system_environment())
    yield database
    await database.aclose()


async def count(db: SqlDatabase) -> object:
    return (await db.query("SELECT count(*) FROM t")).rows[0][0]


async def test_it_is_what_it_says(db) -> None:
    assert isinstance(db, SqlDatabase)
    transaction = await db.begin()
    assert isinstance(transaction, SqlTransaction)
    statement = await transaction.prepare("SELECT 1")
    assert isinstance(statement, SqlStatement)
    await transaction.rollback()


async def test_values_come_back_as_they_went(db) -> None:
    kind = "bytea" if db.dialect == "postgres" else "blob"
    await db.execute(f"CREATE TABLE t (i bigint, f double precision, s text, x {kind}, b boolean, n text)")
    values = (2**63 - 1, 1.25, "é 'quoted' \\ $1", bytes(range(256)), True, None)
    effect = await db.execute("INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6)", values)
    assert effect.rows_affected == 1
    result = await db.query("SELECT * FROM t WHERE i = $1 AND s = $2", [values[0], values[2]])
    assert result.columns == ("i", "f", "s", "x", "b", "n")
    assert result.rows == (values,)


async def test_no_rows_keep_their_columns(db) -> None:
    await db.execute("CREATE TABLE t (a int, b int)")
    result = await db.query("SELECT a, b FROM t")
    assert (result.columns, result.rows) == (("a", "b"), ())


async def test_effects_are_counted(db) -> None:
    await db.execute("CREATE TABLE t (a int)")
    assert (await db.execute("INSERT INTO t VALUES (1), (1), (2)")).rows_affected == 3
    assert (await db.execute("UPDATE t SET a = 5 WHERE a = $1", [1])).rows_affected == 2
    assert (await db.execute("DELETE FROM t")).rows_affected == 3
    assert (await db.execute("")).rows_affected == 0


async def test_errors_have_kinds(db) -> None:
    await db.execute("CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL)")
    await db.execute("INSERT INTO t VALUES (1, 1)")
    for text, kind in [
        ("SELEC 1", InvalidError),
        ("SELECT * FROM nope", InvalidError),
        ("INSERT INTO t VALUES (1, 1)", AlreadyExistsError),
        ("INSERT INTO t VALUES (2, NULL)", InvalidError),
    ]:
        with pytest.raises(kind):
            await db.execute(text)
    with pytest.raises(InvalidError):
        await db.query("SELECT $1, $2", [1])
    with pytest.raises(InvalidError, match="parameter 1: integer does not fit into 64 bits"):
        await db.query("SELECT $1", [2**63])


async def test_statement(db) -> None:
    await db.execute("CREATE TABLE t (a int)")
    insert = await db.prepare("INSERT INTO t VALUES ($1)")
    for number in range(3):
        assert (await insert.execute([number])).rows_affected == 1
    select = await db.prepare("SELECT a FROM t WHERE a > $1 ORDER BY a")
    assert (await select.query([0])).rows == ((1,), (2,))
    with pytest.raises(InvalidError, match="sql: expected 1 arguments, got 0"):
        await insert.execute()
    assert not insert.closed
    await insert.close()
    assert insert.closed
    with pytest.raises(InvalidError, match="statement is closed"):
        await insert.query([1])
    with pytest.raises(InvalidError, match="statement is already closed"):
        await insert.close()
    with pytest.raises(InvalidError):
        await db.prepare("INSERT nonsense")


async def test_commit_and_rollback(db) -> None:
    await db.execute("CREATE TABLE t (a int)")
    first = await db.begin(Isolation.SERIALIZABLE)
    await first.execute("INSERT INTO t VALUES (1)")
    await first.commit()
    second = await db.begin()
    await second.execute("INSERT INTO t VALUES (2)")
    assert (await second.query("SELECT count(*) FROM t")).rows == ((2,),)
    await second.rollback()
    assert await count(db) == 1
    for work in (second.commit, second.rollback, partial(second.query, "SELECT 1"), partial(second.savepoint, "a")):
        with pytest.raises(InvalidError, match="transaction is not active"):
            await work()
    assert not first.active


async def test_savepoints(db) -> None:
    await db.execute("CREATE TABLE t (a int)")
    transaction = await db.begin()
    await transaction.savepoint("outer_1")
    await transaction.execute("INSERT INTO t VALUES (1)")
    await transaction.rollback_to("outer_1")
    await transaction.execute("INSERT INTO t VALUES (2)")
    await transaction.release("outer_1")
    for bad in ("no good", ""):
        with pytest.raises(InvalidError, match="savepoint name"):
            await transaction.savepoint(bad)
    await transaction.commit()
    assert await count(db) == 1


async def test_read_only_transactions_refuse_writes(db) -> None:
    transaction = await db.begin(read_only=True)
    with pytest.raises(PermissionDeniedError, match=r"read-?only"):
        await transaction.execute("CREATE TABLE t (a int)")
    await transaction.rollback()
    await db.execute("CREATE TABLE t (a int)")


async def test_coroutines_may_share_a_transaction(db) -> None:
    await db.execute("CREATE TABLE t (a int)")
    transaction = await db.begin()
    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(transaction.execute, "INSERT INTO t VALUES ($1)", [number])
    await transaction.commit()
    assert await count(db) == 8


async def test_cancelled_query_is_interrupted_and_the_database_stays_usable(db) -> None:
    with trio.move_on_after(0.02) as scope:
        await db.query(ENDLESS)
    assert scope.cancelled_caught
    assert (await db.query("SELECT 1")).rows == ((1,),)
    transaction = await db.begin()
    with trio.move_on_after(0.02):
        await transaction.query(ENDLESS)
    await transaction.rollback()
    assert db.stats_now().in_use == 0


async def test_a_cancelled_commit_is_carried_through(db) -> None:
    await db.execute("CREATE TABLE t (a int)")
    transaction = await db.begin()
    await transaction.execute("INSERT INTO t VALUES (1)")
    with trio.CancelScope() as scope:
        scope.cancel()
        await transaction.commit()
    if transaction.active:  # the cancellation came before the commit
        await transaction.rollback()
    assert db.stats_now().in_use == 0
    assert await count(db) in {0, 1}


async def test_closed_is_closed(db) -> None:
    await db.query("SELECT 1")
    await db.aclose()
    await db.aclose()
    with pytest.raises(UnavailableError, match="connection pool is closed"):
        await db.query("SELECT 1")
