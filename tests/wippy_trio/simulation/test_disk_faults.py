"""Each fault of the disk in a whole life of an app: it strikes, and Lua sees what it would see live."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import trio

from determinism.faults import FAULTS
from determinism.seams import Strike
from determinism.simulate import Simulation
from tests.conftest import entries_of
from wippy_trio.app.app import App
from wippy_trio.simulation.loading import simulated_app
from wippy_trio.simulation.world import Life, LifeSpec, SimulatedApp, live

BASE = """
- {name: host, kind: process.host, lifecycle: {auto_start: true}}
- {name: files, kind: fs.directory, directory: data, auto_init: true}
- {name: db, kind: db.sql.sqlite, file: app.db}
- {name: mem, kind: db.sql.sqlite, file: ":memory:"}
"""


def app_of(app_body: str, scenario_body: str) -> SimulatedApp:
    """An app with one function, `app:work`, and a scenario, which no fault strikes."""
    indent = lambda body: "\n".join("      " + line for line in body.strip().splitlines())
    text = f"""
{BASE}
- name: work
  kind: function.lua
  method: main
  modules: [fs, sql, time]
  source: |
    local function told(name, ok, err)
      if err == nil then return name .. " ok" end
      return string.format("%s %s %s %s", name, tostring(err:kind()), tostring(err:retryable()), err:message())
    end
    return {{ main = function()
{indent(app_body)}
    end }}
- name: scenario
  kind: function.lua
  meta: {{type: simulation, timeout: 10m}}
  method: main
  modules: [funcs, fs, sql, time]
  source: |
    return {{ main = function()
      local work = function() return require("funcs").new():call("app:work") end
{indent(scenario_body)}
    end }}
"""
    return simulated_app(entries_of(text))


def told(app: SimulatedApp, strikes: Iterable[Strike]) -> tuple[str, Life]:
    """What the scenario says at its end (it fails with it), and the life."""
    life = live(app, LifeSpec("app:scenario", 1, "fifo", strikes=tuple(strikes)))
    assert life.failure is not None
    return life.failure.message, life


FILES = """
local volume = require("fs").get("app:files")
local file, err = volume:open("a.txt", "w")
if not file then return told("open", file, err) end
local lines = {}
lines[1] = told("write", file:write("hello"))
lines[2] = told("sync", file:sync())
lines[3] = told("close", file:close())
lines[4] = told("read", volume:readfile("a.txt"))
return table.concat(lines, "; ")
"""
SQL = """
local db = require("sql").get("app:%s")
local lines = {}
lines[1] = told("make", db:execute("CREATE TABLE t (a)"))
lines[2] = told("insert", db:execute("INSERT INTO t VALUES (1)"))
lines[3] = told("again", db:execute("INSERT INTO t VALUES (2)"))
lines[4] = told("select", db:query("SELECT * FROM t"))
db:release()
return table.concat(lines, "; ")
"""
SAY = "error(assert(work()), 0)"


def test_disk_io_error_in_a_file() -> None:
    said, life = told(app_of(FILES, SAY), [Strike("disk_io_error", "data/a.txt", 0, 0.5)])
    assert said == "write Internal false input/output error; sync ok; close ok; read ok"
    assert [strike.kind for strike in life.strikes] == ["disk_io_error"]
    said, _ = told(app_of(FILES, SAY), [Strike("disk_io_error", "data/a.txt", 1, 0.5)])
    assert said == "write ok; sync Internal false input/output error; close ok; read ok"


def test_disk_full_in_a_file() -> None:
    said, _ = told(app_of(FILES, SAY), [Strike("disk_full", "data/a.txt", 1, 0.5)])
    assert said == "write Internal false no space left on device; sync ok; close ok; read ok"


def test_sql_busy() -> None:
    for name in ("db", "mem"):
        said, _ = told(app_of(SQL % name, SAY), [Strike("sql_busy", f"app:{name}", 1, 0.5)])
        assert said == "make ok; insert Unavailable true database is locked; again ok; select ok"


def test_errors_of_the_disk_in_a_database() -> None:
    said, _ = told(app_of(SQL % "mem", SAY), [Strike("disk_io_error", "app:mem", 1, 0.5)])
    assert said == "make ok; insert Internal false disk I/O error; again ok; select ok"
    said, _ = told(app_of(SQL % "db", SAY), [Strike("disk_io_error", "app.db-wal", 7, 0.5)])
    assert said == "make ok; insert Internal false disk I/O error; again ok; select ok"
    said, _ = told(app_of(SQL % "db", SAY), [Strike("disk_full", "app.db-wal", 6, 0.5)])
    assert said == "make ok; insert Unavailable true database or disk is full; again ok; select ok"


def test_disk_slow() -> None:
    scenario = """
    local time = require("time")
    local began = time.now()
    work()
    error(string.format("took %.0f", time.now():sub(began):seconds()), 0)
    """
    said, _ = told(app_of(SQL % "db", scenario), [Strike("disk_slow", "sql:app:db", 2, 1.0, 30.0)])
    assert said == "took 30"
    said, _ = told(app_of(FILES, scenario), [Strike("disk_slow", "fs:app:files", 3, 0.5, 30.0)])
    assert said == "took 3"


WRITES = """
local volume = require("fs").get("app:files")
local file = volume:open("log", "w")
file:write(string.rep("x", 4096))
%s
file:close()
local db = require("sql").get("app:db")
db:execute("CREATE TABLE t (a)")
db:execute("INSERT INTO t VALUES (7)")
db:release()
"""
KILLED = """
work()
local volume = require("fs").get("app:files")
local size = volume:exists("log") and #volume:readfile("log") or -1
local rows = require("sql").get("app:db"):query("SELECT a FROM t")
error(size .. " " .. rows[1].a, 0)
"""


def after_a_crash(sync: str, draw: float) -> str:
    """Size of the file and content of the database, after the machine died between the work and the look."""
    app = app_of(WRITES % sync, KILLED.replace("work()", "work()\nrequire('time').sleep('2s')"))

    def visit(_opened: App, simulation: Simulation) -> None:
        async def die() -> None:
            await trio.sleep(1)
            simulation.host_killed("app:host")

        trio.lowlevel.spawn_system_task(die)

    spec = LifeSpec("app:scenario", 1, "fifo", strikes=(Strike("lost_unsynced_write", "app:host", 0, draw),))
    life = live(app, spec, visit)
    assert life.failure is not None
    assert [strike.kind for strike in life.strikes] == ["lost_unsynced_write"]
    return life.failure.message


def test_lost_unsynced_write() -> None:
    draws = [number / 8 for number in range(8)]
    assert {after_a_crash("file:sync()", draw) for draw in draws} == {"4096 7"}
    seen = {after_a_crash("", draw) for draw in draws}
    assert {"0 7", "4096 7"} < seen
    assert all(int(found.split()[0]) % 512 == 0 and found.endswith(" 7") for found in seen)


def test_reading_needs_no_real_disk() -> None:
    app = app_of(FILES, SAY)
    life = live(app, LifeSpec("app:scenario", 1, "fifo"))
    assert life.failure is not None
    assert life.failure.message.endswith("write ok; sync ok; close ok; read ok")
    assert not Path("/app").exists()


def test_faults_of_the_disk_leave_equal_lives_equal() -> None:
    app = app_of(f"local a = (function() {FILES} end)() {SQL % 'db'}", SAY)
    spec = LifeSpec("app:scenario", 3, "swarm", frozenset(name for name, one in FAULTS.items() if one.area == "disk"))
    first, second = live(app, spec), live(app, spec)
    assert (first.trace_hash, first.failure) == (second.trace_hash, second.failure)


IN_TRANSACTION = """
- name: writer
  kind: process.lua
  method: main
  modules: [sql, time]
  source: |
    return { main = function()
      local db = require("sql").get("app:db")
      local tx = db:begin()
      tx:execute("INSERT INTO t VALUES (8)")
      require("time").sleep("1h")
    end }
- name: scenario
  kind: function.lua
  meta: {type: simulation, timeout: 10m}
  method: main
  modules: [process, sql, time]
  source: |
    return { main = function()
      local db, time = require("sql").get("app:db"), require("time")
      db:execute("CREATE TABLE t (a)")
      db:execute("INSERT INTO t VALUES (7)")
      process.spawn("app:writer", "app:host")
      time.sleep("5s")
      local _, wrong = db:execute("INSERT INTO t VALUES (9)")
      local rows, err = db:query("SELECT group_concat(a) AS all_of FROM t")
      error(tostring(wrong) .. " " .. (rows and rows[1].all_of or tostring(err)), 0)
    end }
"""


def test_a_host_that_dies_in_a_transaction_leaves_a_database_that_goes_on() -> None:
    app = simulated_app(entries_of(BASE + IN_TRANSACTION))
    for number in range(3):
        strikes = (Strike("host_kill", "app:host", number, 0.5), Strike("lost_unsynced_write", "app:host", 0, 0.5))
        life = live(app, LifeSpec("app:scenario", 1, "fifo", strikes=strikes))
        assert life.failure is not None
        assert [strike.kind for strike in life.strikes] == ["host_kill", "lost_unsynced_write"]
        assert life.failure.message == "nil 7,9"
