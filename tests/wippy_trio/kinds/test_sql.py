from __future__ import annotations

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.ids import EntryId
from wippy_trio.kinds.sql import check_postgres, check_sqlite
from wippy_trio.storage.sql_sqlite import SqliteDatabase


def entry(**data: object) -> Entry:
    return Entry(EntryId("app", "db"), "db.sql.sqlite", {}, data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "file path is required"),
        ({"file": ""}, "file path is required"),
        ({"file": "x", "pool": {"max_lifetime": "-1s"}}, "max lifetime must be greater than 0"),
        ({"file": "x", "pool": {"max_lifetime": "soon"}}, "invalid duration"),
        ({"file": "x", "pool": 5}, "pool must be a map"),
    ],
)
def test_bad_entries_are_refused(data, problem) -> None:
    with pytest.raises(InvalidError, match=problem):
        check_sqlite(entry(**data))


def test_what_is_accepted() -> None:
    pool = {"max_open": 5, "max_idle": 5, "max_lifetime": "30m"}
    check_sqlite(entry(file=":memory:", pool=pool, options={"a": "b"}))


async def test_a_database_lives_with_its_entry(app, tmp_path, autojump_clock) -> None:
    path = tmp_path / "app.db"
    async with app(f"- {{name: db, kind: db.sql.sqlite, file: {path}}}") as running:
        database = running.runtime.resources.get("app:db", SqliteDatabase)
        await database.execute("CREATE TABLE t (a)")
    assert path.exists()
    with pytest.raises(LuaError, match="connection pool is closed"):
        await database.query("SELECT 1")


POSTGRES = {"host": "h", "port": 5432, "database": "d", "username": "u", "password": "p"}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"host": ""}, "host is required"),
        ({"port": 0}, "port must be greater than 0"),
        ({"port": None}, "port must be greater than 0"),
        ({"port": "five"}, "invalid port value from env"),
        ({"port": 70000}, "port must be greater than 0"),
        ({"database": None}, "database is required"),
        ({"username": ""}, "username is required"),
        ({"password": ""}, "password is required"),
        ({"options": ["a"]}, "options must be a map"),
        ({"pool": {"max_open": "many"}}, "pool.max_open must be a whole number"),
        ({"pool": {"max_lifetime": "-1s"}}, "max lifetime must be greater than 0"),
    ],
)
def test_bad_postgres_entries_are_refused(changed, problem) -> None:
    with pytest.raises(InvalidError, match=problem):
        check_postgres(entry(**{**POSTGRES, **changed}))


def test_what_postgres_accepts() -> None:
    check_postgres(entry(**POSTGRES))
    pool = {"max_open": "25", "max_idle": -1, "max_lifetime": "30m"}
    check_postgres(entry(**{**POSTGRES, "port": "5432"}, pool=pool, options={"sslmode": "disable", "x": 1, "y": True}))


async def test_a_simulation_refuses_postgres_and_says_why(app, autojump_clock) -> None:
    fields = "{name: db, kind: db.sql.postgres, host: h, port: 1, database: d, username: u, password: p}"
    with pytest.raises(LuaError, match="PostgreSQL is not part of a simulation"):
        async with app(f"- {fields}"):
            pass
