"""The `sql` module: databases, transactions, statements, and the query builder. Source: docs lua/storage/sql.

A database is named by its entry id in every operation, so that a script keeps nothing open; transactions and
statements are handles, which end with the call or process that made them.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, TypeVar

import attrs

from sandbox.values import Handle, Multi, as_text
from wippy_trio.core.errors import InvalidError, LuaError, NotFoundError
from wippy_trio.core.ids import EntryId
from wippy_trio.core.units import format_duration
from wippy_trio.module import Call, Module, ModuleClass, Permission
from wippy_trio.storage.sql import (
    Dialect,
    ExecuteResult,
    Isolation,
    QueryResult,
    SqlDatabase,
    SqlRunner,
    SqlStatement,
    SqlTransaction,
)
from wippy_trio.storage.sql_builder import Built, Placeholders, args_text
from wippy_trio.storage.sql_builder_described import condition, sql_values, statement

__all__ = ["MODULE"]

T = TypeVar("T")

MODULE = Module(
    "sql",
    classes={ModuleClass.STORAGE, ModuleClass.IO, ModuleClass.NONDETERMINISTIC},
    prelude="sql.lua",
)

_GET = Permission("db.get", message="not allowed to access database: {resource}")
#: A database's id, or a transaction.
Target = Any


@MODULE.immediate("sql.get", permission=_GET)
def get(call: Call, id: object) -> str:
    """Look a database up; its dialect."""
    return str(_database(call, id).dialect)


@MODULE.immediate("sql.tx.dialect")
def transaction_dialect(call: Call, transaction: object) -> str:
    """The dialect of a transaction."""
    del call
    return str(_transaction(transaction).dialect)


@MODULE.immediate("sql.stats")
def stats(call: Call, id: object) -> dict[str, object]:
    """Numbers of the connection pool."""
    numbers = attrs.asdict(_database(call, id).stats_now())
    return {**numbers, "wait_duration": format_duration(numbers.pop("wait_ns"))}


@MODULE.waiting("sql.query")
async def query(call: Call, target: Target, text: object, params: object = None) -> list[dict[str, object]]:
    """Rows of a query."""
    runner, prefix = _runner(call, target)
    return _rows(await _named(f"{prefix}query", runner.query(as_text(text), sql_values(params))))


@MODULE.waiting("sql.execute")
async def execute(call: Call, target: Target, text: object, params: object = None) -> dict[str, int]:
    """Effect of a statement."""
    runner, prefix = _runner(call, target)
    return _effect(await _named(f"{prefix}execute", runner.execute(as_text(text), sql_values(params))))


@MODULE.waiting("sql.prepare")
async def prepare(call: Call, target: Target, text: object) -> Handle:
    """A prepared statement."""
    runner, prefix = _runner(call, target)
    prepared = await _named(f"{prefix}prepare", runner.prepare(as_text(text)))

    async def close() -> None:
        if not prepared.closed:
            await prepared.close()

    return call.handle("sql.Statement", prepared, close)


@MODULE.waiting("sql.begin")
async def begin(call: Call, id: object, isolation: str = Isolation.DEFAULT, read_only: bool = False) -> Handle:
    """A transaction, rolled back at the end of the call or process unless ended before."""
    level = Isolation.parse(isolation)
    transaction = await _named("begin", _database(call, id).begin(level, read_only=read_only))

    async def close() -> None:
        if transaction.active:
            await transaction.rollback()

    return call.handle("sql.Transaction", transaction, close)


@MODULE.waiting("sql.tx.end")
async def end(call: Call, transaction: object, commit: bool) -> bool:
    """Commit or roll back."""
    ended = _transaction(transaction)
    call.drop(ended)
    if commit:
        await _named("tx commit", ended.commit())
    else:
        await _named("tx rollback", ended.rollback())
    return True


@MODULE.waiting("sql.tx.savepoint")
async def savepoint(call: Call, transaction: object, verb: str, name: object) -> bool:
    """`savepoint`, `rollback_to` or `release`."""
    del call
    running = _transaction(transaction)
    work = {"savepoint": running.savepoint, "rollback_to": running.rollback_to, "release": running.release}[verb]
    await _named("savepoint", work(as_text(name)))
    return True


@MODULE.waiting("sql.stmt.query")
async def statement_query(call: Call, prepared: object, params: object = None) -> list[dict[str, object]]:
    """Rows of a prepared statement."""
    del call
    running = _statement(prepared)
    return _rows(await _named("stmt query", running.query(sql_values(params))))


@MODULE.waiting("sql.stmt.execute")
async def statement_execute(call: Call, prepared: object, params: object = None) -> dict[str, int]:
    """Effect of a prepared statement."""
    del call
    running = _statement(prepared)
    return _effect(await _named("stmt execute", running.execute(sql_values(params))))


@MODULE.waiting("sql.stmt.close")
async def statement_close(call: Call, prepared: object) -> bool:
    """Close a prepared statement."""
    closing = _statement(prepared)
    call.drop(closing)
    await _named("stmt close", closing.close())
    return True


# the builder ---------------------------------------------------------------------------------------------------------
@MODULE.immediate("sql.build")
def build(call: Call, kind: str, calls: Any) -> Multi:
    """Text and arguments of a statement (`select`, ...) or of a condition (`condition`)."""
    del call
    return Multi(*_shown(_built(kind, calls)))


@MODULE.immediate("sql.describe")
def describe(call: Call, kind: str, calls: Any, ok_label: str, error_label: str) -> str:
    """`tostring` of a builder or a condition."""
    del call
    try:
        text, args = _built(kind, calls)
    except LuaError as error:
        return f"{error_label}: {error}"
    return f"{ok_label}: {text} [Args: {args_text(args)}]"


@MODULE.immediate("sql.bind")
def bind(call: Call, target: Target, kind: str, calls: Any) -> Multi:
    """Text and arguments of a statement as `target` wants them."""
    return Multi(*_shown(_bound(_runner(call, target)[0], kind, calls)))


@MODULE.waiting("sql.run_query")
async def run_query(call: Call, target: Target, kind: str, calls: Any) -> list[dict[str, object]]:
    """Rows of a built statement."""
    runner, prefix = _runner(call, target)
    return _rows(await _named(f"{prefix}query", runner.query(*_bound(runner, kind, calls))))


@MODULE.waiting("sql.run_execute")
async def run_execute(call: Call, target: Target, kind: str, calls: Any) -> dict[str, int]:
    """Effect of a built statement."""
    runner, prefix = _runner(call, target)
    return _effect(await _named(f"{prefix}execute", runner.execute(*_bound(runner, kind, calls))))


# helpers ------------------------------------------------------------------------------------------------------------
def _database(call: Call, id: object) -> SqlDatabase:
    entry = EntryId.parse(as_text(id))
    found = call.runtime.resources.find(entry, object)
    if found is None:
        raise NotFoundError(f"acquire resource: resource not found: {entry}")
    if not isinstance(found, SqlDatabase):
        raise InvalidError("resource is not a database")
    return found


def _runner(call: Call, target: Target) -> tuple[SqlRunner, str]:
    """The database or transaction, and how its operations are called in errors."""
    if isinstance(target, str | bytes):
        return _database(call, target), ""
    return _transaction(target), "tx "


def _transaction(resource: object) -> SqlTransaction:
    if not isinstance(resource, SqlTransaction):
        raise InvalidError("transaction expected")
    return resource


def _statement(resource: object) -> SqlStatement:
    if not isinstance(resource, SqlStatement):
        raise InvalidError("statement expected")
    return resource


async def _named(operation: str, work: Awaitable[T]) -> T:
    """Await `work`; its error names the operation, as the reference's does."""
    try:
        return await work
    except LuaError as error:
        error.context = (operation, *error.context)
        raise


def _built(kind: str, calls: Any) -> Built:
    return condition(calls).to_sql() if kind == "condition" else statement(kind, calls).to_sql()


def _bound(runner: SqlRunner, kind: str, calls: Any) -> Built:
    made = statement(kind, calls)
    if runner.dialect is Dialect.POSTGRES:
        made = made.placeholder_format(Placeholders.DOLLAR)
    return made.to_sql()


def _shown(built: Built) -> tuple[str, list[object]]:
    text, args = built
    return text, [_shown_value(value) for value in args]


def _shown_value(value: object) -> object:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value


def _rows(result: QueryResult) -> list[dict[str, object]]:
    """Rows as tables: a null column is an absent key, a time its RFC 3339 text in UTC."""
    columns = result.columns
    return [
        {name: _shown_value(value) for name, value in zip(columns, row, strict=True) if value is not None}
        for row in result.rows
    ]


def _effect(result: ExecuteResult) -> dict[str, int]:
    return {"last_insert_id": result.last_insert_id, "rows_affected": result.rows_affected}
