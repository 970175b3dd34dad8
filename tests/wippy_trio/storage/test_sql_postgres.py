"""What PostgreSQL has beyond the suite that all databases pass (tests/suites/test_sql_contract.py)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import trio

from determinism.environment import seeded_environment
from determinism.system import system_environment
from wippy_trio.core.errors import (
    ConflictError,
    InvalidError,
    TimeoutExpiredError,
    UnavailableError,
    UnsupportedError,
)
from wippy_trio.storage.postgres_settings import PostgresLimits, PostgresSettings
from wippy_trio.storage.sql import Dialect, Isolation
from wippy_trio.storage.sql_postgres import PostgresDatabase

pytestmark = pytest.mark.service


@pytest.fixture
async def db(postgres):
    database = PostgresDatabase(postgres, system_environment(), name="app:db")
    yield database
    await database.aclose()


async def test_types_of_columns(db) -> None:
    await db.execute(
        "CREATE TABLE t (i bigint, s smallint, f real, n numeric, b boolean, x bytea, t text, at timestamptz,"
        " local timestamp, day date, clock time, j jsonb, u uuid, a int[], gone text)"
    )
    await db.execute(
        "INSERT INTO t VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)",
        [
            *(2**62, 7.0, 1.5, 12.5, True, b"\xff\x00", "é\\", datetime(2026, 1, 2, 3, 4, 5, 600000, UTC)),
            *("2026-01-02 03:04:05", "2026-01-02", "03:04:05", b'{"a": "\\\\"}', "0" * 32, "{1,2}", None),
        ],
    )
    result = await db.query("SELECT * FROM t")
    assert result.columns[:3] == ("i", "s", "f")
    assert result.rows[0] == (
        2**62,
        7,
        1.5,
        "12.5",
        True,
        b"\xff\x00",
        "é\\",
        datetime(2026, 1, 2, 3, 4, 5, 600000, UTC),
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        datetime(2026, 1, 2, tzinfo=UTC),
        "0000-01-01T03:04:05Z",
        '{"a": "\\\\"}',
        "00000000-0000-0000-0000-000000000000",
        "{1,2}",
        None,
    )


async def test_rows_are_those_of_the_first_statement_that_has_any(db) -> None:
    result = await db.query("CREATE TABLE t (a int); SELECT 1 AS one; SELECT 2 AS two")
    assert result.records() == [{"one": 1}]
    assert (await db.execute("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2), (3)")).rows_affected == 2


async def test_several_statements_with_arguments_are_refused(db) -> None:
    with pytest.raises(InvalidError, match="cannot insert multiple commands"):
        await db.query("SELECT $1; SELECT $2", [1, 2])


async def test_writes_that_cross_are_a_conflict_worth_a_retry(db) -> None:
    await db.execute("CREATE TABLE t (a int)")
    await db.execute("INSERT INTO t VALUES (0)")
    first, second = await db.begin(Isolation.SERIALIZABLE), await db.begin(Isolation.SERIALIZABLE)
    for transaction in (first, second):
        await transaction.query("SELECT a FROM t")
        await transaction.execute("INSERT INTO t VALUES (1)")
    await first.commit()
    with pytest.raises(ConflictError, match="could not serialize access") as failed:
        await second.commit()
    assert failed.value.retryable
    assert not second.active
    assert db.stats_now().in_use == 0


async def test_isolation_levels(db) -> None:
    for level, shown in [
        (Isolation.DEFAULT, "read committed"),
        (Isolation.READ_UNCOMMITTED, "read uncommitted"),
        (Isolation.REPEATABLE_READ, "repeatable read"),
        (Isolation.SERIALIZABLE, "serializable"),
    ]:
        transaction = await db.begin(level)
        assert (await transaction.query("SHOW transaction_isolation")).rows == ((shown,),)
        await transaction.rollback()
    with pytest.raises(InvalidError, match="isolation level not supported: write_committed"):
        await db.begin(Isolation.WRITE_COMMITTED)


async def test_committing_what_failed_is_an_error(db) -> None:
    transaction = await db.begin()
    with pytest.raises(InvalidError, match="division by zero"):
        await transaction.query("SELECT 1/0")
    with pytest.raises(InvalidError, match="current transaction is aborted"):
        await transaction.query("SELECT 1")
    with pytest.raises(InvalidError, match="the transaction was rolled back"):
        await transaction.commit()
    assert db.stats_now().in_use == 0


async def test_a_savepoint_rescues_a_failed_transaction(db) -> None:
    await db.execute("CREATE TABLE t (a int PRIMARY KEY)")
    transaction = await db.begin()
    await transaction.execute("INSERT INTO t VALUES (1)")
    await transaction.savepoint("here")
    with pytest.raises(Exception, match="duplicate key"):
        await transaction.execute("INSERT INTO t VALUES (1)")
    await transaction.rollback_to("here")
    await transaction.execute("INSERT INTO t VALUES (2)")
    await transaction.commit()
    assert (await db.query("SELECT count(*) FROM t")).rows == ((2,),)


async def test_transactions_run_side_by_side(db) -> None:
    first, second = await db.begin(), await db.begin()
    assert db.stats_now().in_use == 2
    await first.rollback()
    await second.rollback()


async def test_a_transaction_whose_server_is_silent_ends_all_the_same(postgres) -> None:
    limits = PostgresLimits(wait_s=0.03, cancel_s=0.03)
    database = PostgresDatabase(postgres, system_environment(), limits=limits)
    transaction = await database.begin()
    await transaction.execute("CREATE TABLE c (id int PRIMARY KEY)")
    await transaction.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(9); RETURN NULL; END'"
    )
    await transaction.execute(
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON c DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    await transaction.execute("INSERT INTO c VALUES (1)")
    with pytest.raises(TimeoutExpiredError, match=r"COMMIT: no answer within 0\.03 s"):
        await transaction.commit()
    assert database.stats_now().in_use == 0
    await database.aclose()


async def test_cancelled_begin_gives_the_connection_back(db) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await db.begin()
    assert db.stats_now().in_use == 0


async def test_statement_of_a_transaction_is_inactive_with_it(db) -> None:
    transaction = await db.begin()
    statement = await transaction.prepare("SELECT $1::int + 1")
    assert (await statement.query([1])).rows == ((2,),)
    await transaction.rollback()
    with pytest.raises(InvalidError, match="transaction is not active"):
        await statement.query([1])
    assert transaction.dialect is Dialect.POSTGRES


async def test_an_unreachable_server_is_told_when_it_is_used() -> None:
    database = PostgresDatabase(PostgresSettings("127.0.0.1", 1, "d", "u", "p"), system_environment())
    with pytest.raises(UnavailableError):
        await database.ping()
    await database.aclose()


def test_a_simulation_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="not part of a simulation"):
        PostgresDatabase(PostgresSettings("127.0.0.1", 1, "d", "u", "p"), seeded_environment())
