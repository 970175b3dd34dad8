"""The key-value store over a table of a SQL database.

Key, value (JSON) and expiry are three columns of a table that the app has made. The table keeps no version, so
conditional writes are refused, as in the reference. Source: docs system/store "SQL Store".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import trio

from determinism.seams import Clock
from wippy_trio.core.errors import AlreadyExistsError, InvalidError, LuaError, NotFoundError, UnavailableError
from wippy_trio.storage.kv import KvEntry, KvInfo, KvPage, ListOptions, PutOptions, Value, canonical_key
from wippy_trio.storage.sql import Dialect, SqlDatabase, SqlValue

__all__ = ["SqlStore", "SqlStoreTable"]

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
_NAME_MAX_LENGTH = 63
# fmt: off
_RESERVED = frozenset([
    "alter", "and", "as", "by", "create", "delete", "distinct", "drop", "exists", "from", "group", "having", "index",
    "insert", "into", "join", "limit", "not", "offset", "or", "order", "select", "table", "union", "update", "values",
    "where",
])
# fmt: on
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _checked(what: str) -> Callable[[object, object, str], None]:
    def check(_instance: object, _attribute: object, name: str) -> None:
        if not name:
            raise InvalidError(f"{what} is required")
        if len(name) > _NAME_MAX_LENGTH or not _NAME.fullmatch(name) or name.lower() in _RESERVED:
            raise InvalidError(f"{what} contains invalid characters")

    return check


@attrs.frozen(slots=True)
class SqlStoreTable:
    """Names of the table and its columns, checked: they go into SQL text as they are.

    Raises:
        InvalidError: empty, no identifier (`[a-zA-Z][a-zA-Z0-9_]*`, at most 63 characters), or a word of SQL.
    """

    name: str = attrs.field(validator=_checked("table name"))
    key_column: str = attrs.field(default="key", validator=_checked("ID column name"))
    value_column: str = attrs.field(default="value", validator=_checked("payload column name"))
    expiry_column: str = attrs.field(default="expires_at", validator=_checked("expire column name"))


class SqlStore:
    """A store over `table` of `database`, which it does not close."""

    def __init__(self, database: SqlDatabase, table: SqlStoreTable, clock: Clock) -> None:
        self._database = database
        self._table = table
        self._clock = clock
        self._closed = False

    async def get(self, key: str) -> Value:
        """See `KeyValueStore.get`.

        Raises:
            InvalidError: the stored text is not JSON.
        """
        table = self._table
        result = await self._query(
            f"SELECT {table.value_column} FROM {table.name} WHERE {table.key_column} = ? AND {self._living}",
            (canonical_key(key), self._now()),
        )
        if not result:
            raise NotFoundError("key not found")
        return _decoded(result[0][0])

    async def entry(self, key: str) -> KvEntry:
        """See `KeyValueStore.entry`; the version is always 0."""
        return KvEntry(canonical_key(key), await self.get(key))

    async def set(self, key: str, value: Value, ttl_s: float = 0.0) -> None:
        """See `KeyValueStore.set`.

        Raises:
            InvalidError: the value is no JSON value.
        """
        encoded, expiry = _encoded(value), self._expiry(ttl_s)
        if await self._update(canonical_key(key), encoded, expiry):
            return
        table = self._table
        try:
            await self._execute(
                f"INSERT INTO {table.name} ({table.key_column},{table.value_column},{table.expiry_column})"
                " VALUES (?,?,?)",
                (canonical_key(key), encoded, expiry),
            )
        except AlreadyExistsError:  # another writer came between
            await self._update(canonical_key(key), encoded, expiry)

    async def put(self, key: str, value: Value, options: PutOptions) -> KvEntry:
        """See `KeyValueStore.put`; conditions are refused."""
        if options.only_if_absent or options.if_version is not None:
            raise InvalidError("operation not supported by this store")
        await self.set(key, value, options.ttl_s)
        return KvEntry(canonical_key(key), value)

    async def list_page(self, options: ListOptions) -> KvPage:
        """See `KeyValueStore.list_page`."""
        key, table = self._table.key_column, self._table
        conditions, params = [self._living], [self._now()]
        if options.prefix:
            # substr, not LIKE: SQLite's LIKE takes upper and lower case for equal.
            size = len(options.prefix)
            conditions.append(f"(substr({key},1,{size}) = ? OR substr({key},1,{size + 1}) = ?)")
            params += [options.prefix, f":{options.prefix}"]
        if options.after:
            conditions.append(f"{key} > ?")
            params.append(options.after)
        rows = await self._query(
            f"SELECT {key}, {table.value_column} FROM {table.name} WHERE {' AND '.join(conditions)}"
            f" ORDER BY {key} ASC LIMIT {options.limit + 1}",
            tuple(params),
        )
        items = tuple(KvEntry(str(row[0]), _decoded(row[1])) for row in rows[: options.limit])
        return KvPage(items, items[-1].key if items else "", len(rows) > options.limit)

    async def has(self, key: str) -> bool:
        """See `KeyValueStore.has`."""
        table = self._table
        text = f"SELECT 1 FROM {table.name} WHERE {table.key_column} = ? AND {self._living}"
        return bool(await self._query(text, (canonical_key(key), self._now())))

    async def delete(self, key: str) -> bool:
        """See `KeyValueStore.delete`; an expired row counts as absent and goes too."""
        found = await self.has(key)
        table = self._table
        await self._execute(f"DELETE FROM {table.name} WHERE {table.key_column} = ?", (canonical_key(key),))
        return found

    def info_now(self) -> KvInfo:
        """See `KeyValueStore.info_now`."""
        return KvInfo("sql", "local", durable=True, list=True, versioned=False, conditional_put=False, ttl=True)

    async def expire(self) -> int:
        """Delete expired rows; the number deleted."""
        column = self._table.expiry_column
        text = f"DELETE FROM {self._table.name} WHERE {column} IS NOT NULL AND {column} <= ?"
        return await self._execute(text, (self._now(),))

    async def expire_every(self, interval_s: float, failed: Callable[[LuaError], None]) -> None:
        """Delete expired rows every `interval_s` seconds until cancelled; errors go to `failed` and end nothing."""
        while True:
            await trio.sleep(interval_s)
            try:
                await self.expire()
            except LuaError as error:
                failed(error)

    def close_now(self) -> None:
        """Refuse everything from now on; the rows stay."""
        self._closed = True

    @property
    def _living(self) -> str:
        column = self._table.expiry_column
        return f"({column} IS NULL OR {column} > ?)"

    def _now(self) -> SqlValue:
        return _EPOCH + timedelta(microseconds=self._clock.wall_ns() // 1000)

    def _expiry(self, ttl_s: float) -> SqlValue:
        if ttl_s <= 0:
            return None
        return _EPOCH + timedelta(microseconds=self._clock.wall_ns() // 1000, seconds=ttl_s)

    async def _update(self, key: str, encoded: bytes, expiry: SqlValue) -> bool:
        table = self._table
        text = (
            f"UPDATE {table.name} SET {table.value_column} = ?, {table.expiry_column} = ? WHERE {table.key_column} = ?"
        )
        return await self._execute(text, (encoded, expiry, key)) > 0

    async def _query(self, text: str, params: tuple[SqlValue, ...]) -> tuple[tuple[SqlValue, ...], ...]:
        self._check_open()
        return (await self._database.query(self._marked(text), params)).rows

    async def _execute(self, text: str, params: tuple[SqlValue, ...]) -> int:
        self._check_open()
        return (await self._database.execute(self._marked(text), params)).rows_affected

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("store is closed", retryable=False)

    def _marked(self, text: str) -> str:
        if self._database.dialect is not Dialect.POSTGRES:
            return text
        first, *rest = text.split("?")
        return first + "".join(f"${number}{part}" for number, part in enumerate(rest, start=1))


def _encoded(value: Value) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError) as error:
        raise InvalidError(f"value cannot be stored as JSON: {error}") from None


def _decoded(stored: SqlValue) -> Value:
    try:
        return json.loads(stored if isinstance(stored, bytes | str) else str(stored))
    except ValueError as error:
        raise InvalidError(f"stored value is not JSON: {error}") from None
