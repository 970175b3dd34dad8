"""Looking into a world that stands still: variables, mailboxes, stores, databases; and that looking changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import entries_of
from wippy_trio.simulation.loading import simulated_app
from wippy_trio.simulation.looking import Look
from wippy_trio.simulation.world import Life, LifeSpec, SimulatedApp, live

APP = """
- {name: host, kind: process.host, lifecycle: {auto_start: true}}
- {name: kv, kind: store.memory, lifecycle: {auto_start: true}}
- {name: db, kind: db.sql.sqlite, file: ":memory:", lifecycle: {auto_start: true}}
- name: clerk
  kind: process.lua
  method: main
  modules: [process, coroutine, channel]
  source: |
    local seen = { count = 0 }
    local function no() error("looked") end
    local secret = setmetatable({ 1 }, { __index = no, __tostring = no, __pairs = no, __len = no, __name = "s" })
    local function wait_for(ch, why)
      local started = { why = why, list = { 1, "two", { 3 } }, secret = secret }
      return ch:receive(), started
    end
    return { main = function(name)
      local inner = coroutine.spawn(function() local deep = "down" .. name; channel.new():receive() end)
      seen.count = seen.count + 1
      wait_for(channel.new(), "nobody sends")
    end }
- name: scenario
  kind: function.lua
  meta: {type: simulation, timeout: 1m}
  method: main
  modules: [process, store, sql, time]
  source: |
    return { main = function()
      local db = require("sql").get("app:db")
      db:execute("CREATE TABLE orders (id INTEGER, what TEXT)")
      db:execute("INSERT INTO orders VALUES (7, 'tea')")
      require("store").get("app:kv"):set("cups", { 1, 2 })
      local pid = process.spawn("app:clerk", "app:host", "stairs")
      process.send(pid, "order", { tea = true })
      require("time").sleep("10s")
      error("no tea")
    end }
"""


@pytest.fixture(scope="module")
def app() -> SimulatedApp:
    return simulated_app(entries_of(APP))


SPEC = LifeSpec("app:scenario", 3, "random", keep=True)
LOOK = Look(
    None, ("clerk", "nobody"), ("app:kv", "app:none"), (("app:db", "SELECT * FROM orders"), ("app:db", "SELEC"))
)


def seen(life: Life) -> dict[str, Any]:
    assert life.seen is not None
    return dict(life.seen)


@pytest.fixture(scope="module")
def looked(app: SimulatedApp) -> Life:
    return live(app, SPEC, look=LOOK)


def test_looking_changes_nothing(app: SimulatedApp, looked: Life) -> None:
    plain = live(app, SPEC)
    assert plain.seen is None
    assert looked.trace_hash == plain.trace_hash
    assert looked.failure == plain.failure


def test_variables_of_waiting_coroutines_are_seen(looked: Life) -> None:
    (clerk,) = seen(looked)["actors"]
    assert (clerk["entry"], clerk["state"], clerk["line"]) == ("app:clerk", "waiting", "app:clerk:6")
    main, inner = clerk["stacks"]
    innermost, outer = main["frames"]
    assert (main["main"], innermost["line"], innermost["function"]) == (True, "app:clerk:6", "wait_for")
    variables = {item["name"]: item["value"] for item in innermost["variables"]}
    assert variables["why"] == '"nobody sends"'
    assert variables["started"] == '{list = {1, "two", {3}}, secret = {1}, why = "nobody sends"}'
    assert variables["ch"] == "<Channel>"
    values = {(item["name"], item["kind"]): item["value"] for item in outer["variables"]}
    assert values["name", "local"] == '"stairs"'
    assert values["seen", "upvalue"] == "{count = 1}"
    assert not any(name.startswith(("(", "_")) or name == "channel" for name, _ in values)
    assert {"name": "deep", "kind": "local", "value": '"downstairs"'} in inner["frames"][0]["variables"]


def test_mailboxes_stores_and_databases_are_seen(looked: Life) -> None:
    told = seen(looked)
    (clerk,) = told["actors"]
    (mail,) = clerk["mail"]
    assert (mail["topic"], mail["value"]) == ("order", "{tea = true}")
    assert "app:scenario" in mail["from"]
    assert "{1, 2}" in told["stores"]["app:kv"]["rows"][0]
    assert "app:none" in told["stores"]["app:none"]["error"]
    good, bad = told["sql"]
    assert good["rows"] == ['{what = "tea", id = 7}'] or good["rows"] == ['{id = 7, what = "tea"}']
    assert "syntax" in bad["error"]
    assert told["missing"][0].startswith("no actor nobody is alive; alive are: ")


def test_the_world_stops_at_an_event(app: SimulatedApp) -> None:
    whole = live(app, SPEC)
    spawned = next(event.number for event in whole.log if event.what == "begin" and "clerk" in event.actor)
    life = live(app, SPEC, look=Look(spawned, ("all",), ("app:kv",)))
    assert (life.inconclusive, life.failure) == ("until", None)
    assert life.log[: spawned + 1] == whole.log[: spawned + 1]
    assert seen(life)["events"] <= spawned + 3
    assert seen(life)["at_s"] < 1
    assert [actor["entry"] for actor in seen(life)["actors"]] == ["app:scenario", "app:clerk"]


def test_what_hangs_is_seen_where_it_hangs() -> None:
    text = """
- name: scenario
  kind: function.lua
  meta: {type: simulation, timeout: 1m}
  method: main
  modules: [channel]
  source: |
    return { main = function()
      local why = "for ever"
      require("channel").new():receive()
    end }
"""
    life = live(simulated_app(entries_of(text)), LifeSpec("app:scenario", 0), look=Look(actors=("all",)))
    assert life.failure is not None
    assert life.failure.kind == "deadlock"
    (actor,) = seen(life)["actors"]
    assert {"name": "why", "kind": "local", "value": '"for ever"'} in actor["stacks"][0]["frames"][0]["variables"]
