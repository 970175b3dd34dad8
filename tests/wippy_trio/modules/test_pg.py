from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import entries_of
from wippy_trio.core.frame import Frame, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.scope import policies_of

ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: pg
  kind: pg.scope
  max_members_per_group: 3
  lifecycle: {auto_start: true}
- name: other
  kind: pg.scope
  lifecycle: {auto_start: true}
- name: store
  kind: store.memory
- name: member
  kind: process.lua
  modules: [pg]
  source: |
    return function(boss, ...)
      local g = require("pg").open("app:pg")
      assert(g:join({...}))
      local work, events = process.listen("work", {message = true}), process.events()
      process.send(boss, "ready", 1)
      while true do
        local got = channel.select { work:case_receive(), events:case_receive() }
        if got.channel == events then return end
        local m = got.value
        process.send(boss, "done", {m:topic(), m:from(), m:payload() and m:payload():data()})
      end
    end
"""


async def run(lua: Any, source: str) -> Any:
    start = """
      local pg = require("pg")
      local g = pg.open("app:pg")
      local function told(v, e) return tostring(v) .. " " .. e:kind() .. ": " .. tostring(e) end
      local ready, done = process.listen("ready"), process.listen("done")
      local function member(...)
        local pid = assert(process.spawn("app:member", "app:host", process.pid(), ...))
        ready:receive()
        return pid
      end
    """
    return await lua(start + source, modules=["pg"], entries=ENTRIES)


async def test_join_and_leave_count(lua: Any) -> None:
    source = """
      local me = process.pid()
      local joined = { g:join("a"), g:join({"a", "b"}) }
      local m = g:get_members("a")
      local both = #m == 2 and m[1] == me and m[2] == me
      local groups, locals = g:which_groups(), g:which_local_groups()
      local left = { g:leave("a"), #g:get_local_members("a"), g:leave({"a", "zzz"}), #g:get_members("a") }
      return { joined, both, groups, locals, left, told(g:leave("a")), told(g:leave({"x", "y"})), g:which_groups(),
        pg.open("app:other"):which_groups() }
    """
    joined, both, groups, locals_, left, gone, none, rest, other = await run(lua, source)
    assert joined == [True, True]
    assert both
    assert groups == locals_ == ["a", "b"]
    assert left == [True, 1, True, 0]
    assert gone == none == "nil NotFound: pg leave: pg: process not joined in group"
    assert rest == ["b"]
    assert other == {}


async def test_what_is_wrong_is_told(lua: Any) -> None:
    source = """
      local r = pg.open("app:pg")
      local released = { r:release(), r:release(), tostring(r), tostring(g) }
      local all = {}
      for i, call in ipairs {
        function() return pg.open("") end, function() return pg.open("app:none") end,
        function() return pg.open("app:store") end, function() return g:join("") end, function() return g:join() end,
        function() return g:join({}) end, function() return g:join({1}) end, function() return g:join({"a", ""}) end,
        function() return g:get_members("") end, function() return g:broadcast("", "t") end,
        function() return g:broadcast("a", "") end, function() return g:broadcast("a", "@pid/events") end,
        function() return g:monitor("") end, function() return r:join("a") end, function() return r:which_groups() end,
        function() return r:monitor("a") end, function() return g:join({"a", "a", "a", "a"}) end,
      } do all[i] = told(call()) end
      local _, raised = pcall(g.get_members, g, nil)
      return { released, all, tostring(raised) }
    """
    released, errors, raised = await run(lua, source)
    assert released == [True, True, "pg.Instance{app:pg, released}", "pg.Instance{app:pg}"]
    assert errors == [
        "nil Invalid: resource id is required",
        "nil Internal: failed to acquire pg scope: resource not found: app:none",
        "nil Invalid: resource is not a pg scope: app:store",
        "nil Invalid: group name is required",
        "nil Invalid: group name (string) or groups table required",
        "nil Invalid: groups table must not be empty",
        "nil Invalid: groups table must not be empty",
        "nil Invalid: group name is required",
        "nil Invalid: group name is required",
        "nil Invalid: group name is required",
        "nil Invalid: topic is required",
        "nil Invalid: cannot send to @ topics",
        "nil Invalid: group name is required",
        "nil Invalid: pg instance is released",
        "nil Invalid: pg instance is released",
        "nil Invalid: pg instance is released",
        "nil RateLimited: pg join: pg: maximum members per group reached",
    ]
    assert "string expected" in raised


async def test_broadcast_reaches_every_member(lua: Any) -> None:
    source = """
      local one, two = member("workers", "all"), member("all")
      local sent = { g:broadcast("all", "work", { id = 42 }), g:broadcast_local("workers", "work") }
      sent[3] = g:broadcast("x", "t")
      local got = {}
      for _ = 1, 3 do
        local d = done:receive()
        got[#got + 1] = d[1] .. " " .. tostring(d[2] == process.pid()) .. " " .. tostring(d[3] and d[3].id)
      end
      table.sort(got)
      return { sent, got, g:get_members("all")[1] == one, g:get_members("all")[2] == two }
    """
    assert await run(lua, source) == [[True] * 3, ["work true 42", "work true 42", "work true nil"], True, True]


async def test_an_end_is_a_leave(lua: Any) -> None:
    source = """
      local pid = member("a", "a", "b")
      local sub, snapshot = g:events()
      local one, members = g:monitor("b")
      process.cancel(pid, "enough")
      local seen = {}
      for i = 1, 2 do
        local e = sub:channel():receive()
        seen[i] = { e.system, e.kind, e.path, e.data.Group, #e.data.PIDs, e.data.PIDs[1] == pid }
      end
      local e = one:channel():receive()
      return { #snapshot.a, #snapshot.b, #members, seen, e.path, #g:which_groups(), tostring(sub) }
    """
    assert await run(lua, source) == [
        2,
        1,
        1,
        [["pg", "member.left", "a", "a", 2, True], ["pg", "member.left", "b", "b", 1, True]],
        "b",
        0,
        "pg.Subscription{}",
    ]


async def test_a_slow_reader_misses_nothing(lua: Any) -> None:
    source = """
      local sub = g:monitor("a")
      for _ = 1, 100 do g:join("a") g:leave("a") end
      g:join("a")
      local joined, left = 0, 0
      for _ = 1, 201 do
        local e = sub:channel():receive()
        if e.kind == "member.joined" then joined = joined + 1 else left = left + 1 end
      end
      return { joined, left }
    """
    assert await run(lua, source) == [101, 100]


async def test_closing_a_subscription(lua: Any) -> None:
    source = """
      local kept, flushed = g:monitor("a"), g:monitor("a")
      g:join("a")
      local closed = { kept:close(), kept:close(), flushed:close({ flush = true }) }
      g:leave("a")
      local e, ok = kept:channel():receive()
      local none, more = kept:channel():receive()
      local f, fok = flushed:channel():receive()
      return { closed, e.kind, ok, none == nil, more, f == nil, fok }
    """
    assert await run(lua, source) == [[True] * 3, "member.joined", True, True, False, True, False]


PERMISSIONS = """
- name: policy
  kind: security.policy
  policy: {actions: %s, resources: "*", effect: allow}
- name: script
  kind: function.lua
  method: main
  modules: [pg]
  source: |
    return function()
      local function told(v, e) return e and (tostring(v) .. " " .. e:kind() .. ": " .. e:message()) end
      local g, err = require("pg").open("app:pg")
      if not g then return told(g, err) end
      return { told(g:join({"a"})), told(g:leave("a")), told(g:get_members("a")), told(g:get_local_members("a")),
        told(g:which_groups()), told(g:which_local_groups()), told(g:broadcast("a", "t")),
        told(g:broadcast_local("a", "t")), told(g:monitor("a")), told(g:events()) }
    end
"""


@pytest.mark.parametrize("actions", ['["none"]', '["pg.open"]'])
async def test_permissions(app: Any, actions: str) -> None:
    async with app(ENTRIES, extra=entries_of(PERMISSIONS % actions)) as running:
        scope, _ = policies_of(running.runtime.extras).resolve([EntryId("app", "policy")], [])
        result = await running.call("app:script", frame=Frame(actor=SecurityActor("x", {}), scope=scope))
    if "open" not in actions:
        assert result == "nil PermissionDenied: not allowed to access pg scope: app:pg"
        return
    assert [text.removeprefix("nil PermissionDenied: not allowed to ") for text in result] == [
        "join group: a",
        "leave group: a",
        "get members of group: a",
        "get local members of group: a",
        "list groups",
        "list local groups",
        "broadcast to group: a",
        "broadcast locally to group: a",
        "monitor group: a",
        "subscribe to pg events",
    ]
