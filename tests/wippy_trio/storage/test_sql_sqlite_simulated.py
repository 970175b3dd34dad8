"""SQLite in a simulated world: what a live one does, and the faults and crashes that only a simulation has."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import apsw
import pytest
import trio
import trio.testing

from determinism.disk import SimulatedDisk
from determinism.entropy import SeededEntropy
from determinism.environment import seeded_environment
from determinism.faults import ListedFaults, exempt
from determinism.seams import Environment, Faults, NoFaults, Strike
from determinism.system import system_environment
from determinism.threads import SimulatedThreads
from wippy_trio.core.errors import LuaError, UnavailableError
from wippy_trio.storage.sql_sqlite import SqliteDatabase

FILE = "/app/data.db"


def world(seed: int = 1, faults: Faults | None = None) -> Environment:
    made = seeded_environment(seed)
    asked = faults or NoFaults()
    disk = SimulatedDisk(made.clock, roots=("/app",), faults=asked)
    threads = SimulatedThreads(made.entropy.fork("threads"), asked)
    return dataclasses.replace(made, disk=disk, threads=threads, faults=asked)


def disk_of(environment: Environment) -> SimulatedDisk:
    assert isinstance(environment.disk, SimulatedDisk)
    return environment.disk


@asynccontextmanager
async def opened(environment: Environment, path: str = FILE):
    database = await SqliteDatabase.open(path, environment, name="app:db")
    try:
        yield database
    finally:
        await database.aclose()


def struck(kind: str, where: str, number: int = 0) -> ListedFaults:
    return ListedFaults([Strike(kind, where, number, 0.5)])


def run(main: Callable[..., Awaitable[Any]], *args: object) -> Any:
    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(main, *args, clock=clock)


async def test_files_are_the_simulated_disks(autojump_clock) -> None:
    environment = world()
    async with opened(environment) as db:
        assert (await db.query("PRAGMA journal_mode")).rows == (("wal",),)
        assert (await db.query("PRAGMA journal_mode=WAL")).rows == (("wal",),)
        await db.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)")
        assert environment.disk.list("/app") == ["data.db", "data.db-wal"]
        assert (await db.query("SELECT sum(a) FROM t")).rows == ((3,),)
        await db.execute("VACUUM")
        await db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert environment.disk.list("/app") == ["data.db"]
    async with opened(environment) as db:
        assert (await db.query("SELECT a FROM t ORDER BY a")).rows == ((1,), (2,))


async def test_paths_may_be_relative_or_uris(autojump_clock) -> None:
    environment = world()
    async with opened(environment, "file:other.db") as db:
        await db.execute("CREATE TABLE t (a)")
        await db.execute("ATTACH 'third.db' AS third; CREATE TABLE third.t (a)")
    assert environment.disk.list("/app") == ["other.db", "third.db"]
    with pytest.raises(UnavailableError, match="cannot choose its VFS"):
        await SqliteDatabase.open("file:x.db?vfs=unix", environment)
    with pytest.raises(UnavailableError, match="unable to open database file"):
        await SqliteDatabase.open("/nowhere/x.db", environment)
    assert disk_of(environment).attached == {}


async def _drawn(seed: int, path: str) -> tuple[Any, ...]:
    async with opened(world(seed), path) as db:
        found = await db.query("SELECT random(), hex(randomblob(4)), length(randomblob(-1)), datetime('now'), date()")
        await trio.sleep(86_400)
        later = await db.query("SELECT random(), CURRENT_TIMESTAMP, unixepoch('now') - unixepoch('2026-01-02') < 2")
        await db.execute("CREATE TABLE t (a); INSERT INTO t SELECT value FROM json_each('[1,2,3,4,5,6,7,8,9]')")
        mixed = await db.query("SELECT group_concat(a) FROM (SELECT a FROM t ORDER BY random())")
        return (*found.rows, *later.rows, *mixed.rows)


@pytest.mark.parametrize("path", [":memory:", FILE])
def test_time_and_randomness_are_the_worlds(path) -> None:
    one = run(_drawn, 1, path)
    assert one == run(_drawn, 1, path)
    other = run(_drawn, 2, path)
    assert one[0][3:] == ("2026-01-01 00:00:00", "2026-01-01") == other[0][3:]
    assert one[0][2] == 1
    assert one[1][1:] == ("2026-01-02 00:00:00", 1)
    assert one[0][:2] != other[0][:2]
    assert one[0][0] != one[1][0]
    assert one[2] != other[2]


async def _written(seed: int) -> bytes:
    environment = world(seed)
    async with opened(environment) as db:
        await db.execute("CREATE TABLE t (a)")
        for number in range(5):
            await db.execute("INSERT INTO t VALUES (?)", [number])
        with environment.disk.open(f"{FILE}-wal", "rb") as file:
            return file.read()


def test_files_are_equal_to_the_byte() -> None:
    assert run(_written, 3) == run(_written, 3) != run(_written, 4)


async def test_worlds_share_nothing_and_leave_nothing(autojump_clock) -> None:
    before = apsw.vfs_names()
    one, two = world(1), world(1)
    async with opened(one) as first, opened(two) as second:
        assert len(apsw.vfs_names()) == len(before) + 2
        await first.execute("CREATE TABLE t (a)")
        with pytest.raises(LuaError, match="no such table"):
            await second.query("SELECT * FROM t")
    assert apsw.vfs_names() == before
    assert disk_of(one).attached == {}


# ---- faults


class Dying:
    """A machine that dies at one operation of its disk, and stays dead until it is started again."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.dead = False
        self.only = ""

    def strike(self, kind: str, where: str) -> Strike | None:
        if kind != "disk_io_error" or self.only not in {"", where}:
            return None
        self.left -= 1
        self.dead = self.dead or self.left == 0
        return Strike(kind, where, 0, 0.5) if self.dead else None


async def _live_lock(path: str) -> LuaError:
    holder = apsw.Connection(path)
    holder.execute("PRAGMA journal_mode=WAL; CREATE TABLE t (a); BEGIN IMMEDIATE").fetchall()
    database = await SqliteDatabase.open(path, system_environment())
    database._connection._database.set_busy_timeout(0)  # type: ignore[union-attr]
    try:
        with pytest.raises(LuaError) as caught:
            await database.execute("INSERT INTO t VALUES (1)")
    finally:
        await database.aclose()
        holder.close()
    return caught.value


@pytest.mark.parametrize("path", [":memory:", FILE])
async def test_busy_is_what_a_real_lock_gives(path, tmp_path) -> None:
    live = await _live_lock(str(tmp_path / "x.db"))
    async with opened(world(1, struck("sql_busy", "app:db", 1)), path) as db:
        await db.execute("CREATE TABLE t (a)")
        await db.query("SELECT * FROM t")  # takes no lock: not asked
        with pytest.raises(UnavailableError) as caught:
            await db.execute("INSERT INTO t VALUES (1)")
        assert type(caught.value) is type(live)
        assert (caught.value.message, caught.value.kind, caught.value.retryable) == (
            live.message,
            live.kind,
            live.retryable,
        )
        assert caught.value.retryable
        await db.execute("INSERT INTO t VALUES (2)")
        assert (await db.query("SELECT a FROM t")).rows == ((2,),)


async def test_busy_comes_before_the_lock_is_held_and_never_after(autojump_clock) -> None:
    faults = struck("sql_busy", "app:db", 2)
    async with opened(world(1, faults)) as db:
        await db.execute("CREATE TABLE t (a)")
        transaction = await db.begin()
        await transaction.execute("INSERT INTO t VALUES (1)")
        for number in range(5):
            await transaction.execute("INSERT INTO t VALUES (?)", [number])
        await transaction.commit()
        assert not faults.struck
        with pytest.raises(UnavailableError, match="database is locked"):
            await db.execute("DELETE FROM t")


async def test_scenarios_are_spared(autojump_clock) -> None:
    faults = struck("sql_busy", "app:db", 0)
    async with opened(world(1, faults)) as db:
        token = exempt.set(True)
        await db.execute("CREATE TABLE t (a)")
        exempt.reset(token)
        with pytest.raises(UnavailableError):
            await db.execute("CREATE TABLE u (a)")


async def _insert_three(db: SqliteDatabase) -> None:
    for value in range(3):
        await db.execute("INSERT INTO t VALUES (?)", [value])


@pytest.mark.parametrize(
    ("kind", "path", "where", "number", "message"),
    [
        ("disk_io_error", ":memory:", "app:db", 1, "disk I/O error"),
        ("disk_full", ":memory:", "app:db", 1, "database or disk is full"),
        ("disk_io_error", FILE, "data.db-wal", 7, "disk I/O error"),
        ("disk_full", FILE, "data.db-wal", 6, "database or disk is full"),
    ],
)
async def test_errors_of_the_disk_are_sqlites(kind, path, where, number, message, autojump_clock) -> None:
    faults = struck(kind, where, number)
    async with opened(world(1, faults), path) as db:
        await db.execute("CREATE TABLE t (a)")
        with pytest.raises(LuaError) as caught:
            await _insert_three(db)
        assert faults.struck
        assert caught.value.message == message
        assert caught.value.kind == ("Unavailable" if kind == "disk_full" else "Internal")
        assert caught.value.retryable is (kind == "disk_full")
        rows = (await db.query("SELECT a FROM t")).rows
        await db.execute("INSERT INTO t VALUES (9)")  # and it goes on
        assert (await db.query("SELECT a FROM t")).rows == (*rows, (9,))


async def test_a_log_that_cannot_be_put_away_stays_as_it_does_live(autojump_clock) -> None:
    faults = Dying(0)
    environment = world(1, faults)
    faults.only = "data.db"
    async with opened(environment) as db:
        await db.execute("CREATE TABLE t (a)")
        faults.left = 2  # the first is a page read
        assert (await db.query("INSERT INTO t VALUES (zeroblob(4200000)) RETURNING 1")).rows == ((1,),)
        assert (await db.execute("INSERT INTO t VALUES (2)")).rows_affected == 1
        assert faults.dead
        with pytest.raises(LuaError, match="disk I/O error"):
            await db.execute("PRAGMA wal_checkpoint")
    assert environment.disk.list("/app") == ["data.db", "data.db-wal"]
    faults.dead, faults.left = False, 0
    async with opened(environment) as db:
        assert (await db.query("SELECT count(*) FROM t")).rows == ((2,),)
    assert environment.disk.list("/app") == ["data.db"]


async def test_a_slow_disk(autojump_clock) -> None:
    faults = ListedFaults([Strike("disk_slow", "sql:app:db", 2, 1.0, 30.0)])
    async with opened(world(1, faults)) as db:
        await db.execute("CREATE TABLE t (a)")
        began_s = trio.current_time()
        await db.execute("INSERT INTO t VALUES (1)")
        assert 30 < trio.current_time() - began_s < 30.1


# ---- crashes


class Accounts:
    """Two accounts, each on its own pages, that hold 100 together at any time."""

    SETUP = """CREATE TABLE a (id INTEGER PRIMARY KEY, amount INTEGER, filler TEXT);
               INSERT INTO a SELECT value, 0, hex(zeroblob(1500)) FROM json_each('[1,2,3,4,5,6,7,8,9,10]');
               UPDATE a SET amount = 50 WHERE id IN (1, 10)"""
    MOVE = "UPDATE a SET amount = amount + CASE id WHEN 1 THEN -30 ELSE 30 END WHERE id IN (1, 10)"
    OLD, NEW = (50, 50), (20, 80)


async def _die_and_look(at: int, seed: int, pragmas: str) -> tuple[bool, object]:
    """Move money, die at the disk's operation number `at`, lose what was not synced, start again, and look.

    Returns:
        Whether the move got through to its end, and what is there afterwards.
    """
    faults = Dying(0)
    environment = world(seed, faults)
    async with opened(environment) as db:
        await db.execute(pragmas)
        await db.execute(Accounts.SETUP)
        await db.execute("PRAGMA wal_checkpoint")
        disk_of(environment).crash(None)
        faults.left, done = at, False
        try:
            await db.execute(Accounts.MOVE)
            done = True
        except LuaError:
            assert faults.dead
        faults.dead, faults.left = False, 0
        disk_of(environment).crash(SeededEntropy(seed))
        try:
            found = (await db.query("SELECT amount FROM a WHERE id IN (1, 10) ORDER BY id")).rows
            sound = (await db.query("PRAGMA integrity_check")).rows
        except LuaError as problem:
            return done, problem.message
    return done, tuple(row[0] for row in found) if sound == (("ok",),) else sound


async def _explored(pragmas: str, seeds: range) -> set[tuple[bool, object]]:
    seen = set()
    for seed in seeds:
        for at in range(1, 60):
            done, found = await _die_and_look(at, seed, pragmas)
            seen.add((done, found))
            if done:
                break
        else:
            pytest.fail("more operations than expected")
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("pragmas", ["PRAGMA synchronous=FULL", "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA"])
async def test_a_death_in_a_commit_leaves_the_old_or_the_new(pragmas, autojump_clock) -> None:
    seen = await _explored(pragmas, range(6))
    assert seen <= {(False, Accounts.OLD), (False, Accounts.NEW), (True, Accounts.NEW)}
    assert {(False, Accounts.OLD), (True, Accounts.NEW)} <= seen


@pytest.mark.slow
async def test_without_syncs_a_death_can_leave_anything(autojump_clock) -> None:
    seen = await _explored("PRAGMA journal_mode=DELETE; PRAGMA synchronous=OFF", range(12))
    assert not seen <= {(False, Accounts.OLD), (False, Accounts.NEW), (True, Accounts.NEW)}


async def test_a_commit_without_sync_may_be_lost_whole(autojump_clock) -> None:
    seen = await _explored("PRAGMA synchronous=NORMAL", range(6))
    assert (True, Accounts.OLD) in seen
    assert {found for _, found in seen} <= {Accounts.OLD, Accounts.NEW}


async def test_a_crash_ends_a_transaction_and_the_database_goes_on(autojump_clock) -> None:
    environment = world()
    async with opened(environment) as db:
        await db.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        transaction = await db.begin()
        await transaction.execute("INSERT INTO t VALUES (2)")
        disk_of(environment).crash(SeededEntropy(1))
        with pytest.raises(UnavailableError, match="lost, and the transaction with it"):
            await transaction.execute("INSERT INTO t VALUES (3)")
        with pytest.raises(UnavailableError, match="lost"):
            await transaction.commit()
        assert not transaction.active
        assert (await db.query("SELECT a FROM t")).rows == ((1,),)
    assert environment.disk.list("/app") == ["data.db"]


async def test_memory_knows_no_crash(autojump_clock) -> None:
    environment = world()
    async with opened(environment, ":memory:") as db:
        await db.execute("CREATE TABLE t (a)")
        disk_of(environment).crash(SeededEntropy(1))
        assert (await db.query("SELECT a FROM t")).rows == ()


# ---- two connections to one file


async def test_two_connections_wait_for_one_another(autojump_clock) -> None:
    environment = world()
    async with opened(environment) as one, opened(environment) as two:
        await one.execute("CREATE TABLE t (a)")
        transaction = await one.begin()
        await transaction.execute("INSERT INTO t VALUES (1)")
        assert (await two.query("SELECT a FROM t")).rows == ()
        began_s = trio.current_time()
        with pytest.raises(UnavailableError, match="database is locked"):
            await two.execute("INSERT INTO t VALUES (2)")
        assert 5 <= trio.current_time() - began_s < 5.2

        async with trio.open_nursery() as nursery:
            nursery.start_soon(two.execute, "INSERT INTO t VALUES (3)")
            await trio.sleep(1)
            await transaction.commit()
        assert (await one.query("SELECT a FROM t ORDER BY a")).rows == ((1,), (3,))


async def test_a_second_connection_is_refused_while_the_first_is_in_a_transaction(autojump_clock) -> None:
    environment = world()
    async with opened(environment) as one:
        transaction = await one.begin()
        await transaction.execute("CREATE TABLE t (a)")
        with pytest.raises(UnavailableError):
            await SqliteDatabase.open(FILE, environment)
        await transaction.commit()
        async with opened(environment) as two:
            assert (await two.query("SELECT a FROM t")).rows == ()


def test_nothing_is_left_to_collect() -> None:
    gc.collect()
    before = apsw.vfs_names()
    run(_written, 1)
    assert apsw.vfs_names() == before


class OneOfThem:
    """Has one read, write or sync of the disk fail: the one of that number after `begin`."""

    def __init__(self, number: int) -> None:
        self.number, self.count = number, -1_000_000

    def begin(self) -> None:
        self.count = -1

    def strike(self, kind: str, where: str) -> Strike | None:
        if kind != "disk_io_error":
            return None
        self.count += 1
        return Strike(kind, where, 0, 0.5) if self.count == self.number else None


@pytest.mark.parametrize("number", range(12))
async def test_a_connection_that_failed_to_open_is_in_nobodys_way(number, autojump_clock) -> None:
    faults = OneOfThem(number)
    environment = world(faults=faults)
    async with opened(environment) as db:
        await db.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        faults.begin()
        disk_of(environment).crash(Strike("lost_unsynced_write", "host", 0, 0.99))
        failed = 0
        for _ in range(3):
            try:
                await db.query("SELECT 1")
            except LuaError:
                failed += 1
        assert failed <= 1
