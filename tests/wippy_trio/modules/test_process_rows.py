"""`process`, row by row of what is documented: permissions, builders, messages, upgrades, names, events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio

from tests.conftest import OpenApp, RunLua
from wippy_trio.core.errors import LuaError
from wippy_trio.core.frame import Decision, Frame, SecurityActor

ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: idle
  kind: process.lua
  source: return function(...) process.inbox():receive() return ... end
- name: tells
  kind: process.lua
  modules: [ctx, security]
  source: |
    return function(...)
      local actor = require("security").actor()
      local tenant = require("ctx").get("tenant")
      local color = require("ctx").get("color")
      return { process.id(), actor and actor:id() or "nobody", tenant or "none", color or "none", ... }
    end
- name: fails
  kind: process.lua
  source: |
    return function(how)
      if how == "raise" then error("boom") end
      return nil, errors.new({ kind = errors.CONFLICT, message = "taken", retryable = false, details = { id = 7 } })
    end
- name: hears
  kind: process.lua
  modules: [time]
  source: |
    return function(count)
      local inbox, seen = process.inbox(), {}
      for i = 1, count do
        local m = inbox:receive()
        local p = m:payload()
        local shown
        if p == nil then
          shown = "nothing"
        elseif type(p) == "table" then
          shown = {}
          for j, one in ipairs(p) do shown[j] = one:data() end
        else
          local v = p:data()
          shown = errors.is(v, errors.CONFLICT) and { "error", v:message(), p:get_format() } or v
        end
        seen[i] = { m:topic(), m:from() == "" and "nobody" or "somebody", shown, tostring(m) }
      end
      return seen
    end
- name: versions
  kind: process.lua
  source: |
    return function(generation, first)
      generation = generation or 1
      first = first or process.pid()
      if generation < 4 then process.upgrade(generation == 2 and "app:versions" or nil, generation + 1, first) end
      return { generation, process.pid() == first, process.registry.lookup("me") == first, process.id() }
    end
"""


class Without:
    """A scope that denies one action, and remembers what was asked."""

    def __init__(self, action: str) -> None:
        self.action = action
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def evaluate(self, actor: SecurityActor, action: str, resource: str, attributes: Mapping[str, Any]) -> Decision:
        self.asked.append((action, resource, dict(attributes)))
        return Decision.DENY if action == self.action else Decision.ALLOW


RETURNED = [
    ("process.send", 'process.send(target, "t", 1)', "TARGET"),
    ("process.spawn", 'process.spawn("app:idle", "app:host")', "app:idle"),
    ("process.host", 'process.spawn("app:idle", "app:host")', "app:host"),
    ("process.spawn", 'process.spawn_monitored("app:idle", "app:host")', "app:idle"),
    ("process.spawn.monitored", 'process.spawn_monitored("app:idle", "app:host")', "app:idle"),
    ("process.spawn.linked", 'process.spawn_linked("app:idle", "app:host")', "app:idle"),
    ("process.spawn.monitored", 'process.spawn_linked_monitored("app:idle", "app:host")', "app:idle"),
    ("process.spawn.linked", 'process.spawn_linked_monitored("app:idle", "app:host")', "app:idle"),
    ("process.exec", 'process.exec("app:idle", "app:host")', "app:idle"),
    ("process.host", 'process.exec("app:idle", "app:host")', "app:host"),
    ("process.terminate", "process.terminate(target)", "TARGET"),
    ("process.cancel", "process.cancel(target)", "TARGET"),
    ("process.monitor", "process.monitor(target)", "TARGET"),
    ("process.unmonitor", "process.unmonitor(target)", "TARGET"),
    ("process.link", "process.link(target)", "TARGET"),
    ("process.unlink", "process.unlink(target)", "TARGET"),
    ("process.registry.register", 'process.registry.register("n")', "n"),
    ("process.registry.foreign", 'process.registry.register("n", target)', "TARGET"),
    ("process.registry.register.eventual", 'process.registry.register("n", nil, process.registry.EVENTUAL)', "n"),
    ("process.registry.register.consistent", 'process.registry.register("n", nil, process.registry.CONSISTENT)', "n"),
    ("process.registry.register.strong", 'process.registry.register("n", nil, process.registry.STRONG)', "n"),
    ("process.registry.unregister", 'process.registry.unregister("n")', "n"),
    ("process.registry.unregister.strong", 'process.registry.unregister("n", process.registry.STRONG)', "n"),
    ("process.spawn", 'process.with_name("n"):spawn("app:idle", "app:host")', "app:idle"),
    ("process.exec", 'process.with_name("n"):exec("app:idle", "app:host")', "app:idle"),
]
RAISED = [
    ("process.context", "process.with_context({})", "context"),
    ("process.context", "process.with_name('n'):with_options({})", "context"),
    ("process.security", "process.with_actor(security.new_actor('x'))", "security"),
    ("process.security", "process.with_name('n'):with_scope(security.new_scope())", "security"),
    ("network.select", "process.with_options({network = 'app:net'})", "app:net"),
]


async def denied(app: OpenApp, action: str, source: str) -> tuple[Any, Without, str]:
    scope = Without(action)
    script = f"""
- name: script
  kind: function.lua
  modules: [security]
  source: |
    local security = require("security")
    return function(target)
      {source}
    end
"""
    async with app(ENTRIES + script) as running:
        target = await running.spawn("app:idle", "app:host")
        frame = Frame(actor=SecurityActor("u"), scope=scope)
        return await running.call("app:script", target, frame=frame), scope, target


@pytest.mark.parametrize(("action", "call", "resource"), RETURNED)
async def test_a_denial_is_returned(app: OpenApp, action: str, call: str, resource: str) -> None:
    source = f"local v, err = {call} return {{v == nil or v == false, err:kind(), err:retryable(), process.pid()}}"
    told, scope, target = await denied(app, action, source)
    assert told[:3] == [True, "PermissionDenied", False]
    assert (action, target if resource == "TARGET" else resource, {"pid": told[3]}) in scope.asked


@pytest.mark.parametrize(("action", "call", "resource"), RAISED)
async def test_a_denial_of_a_builder_is_raised(app: OpenApp, action: str, call: str, resource: str) -> None:
    source = f"local ok, err = pcall(function() {call} end) return {{ok, err:kind(), process.pid()}}"
    told, scope, _ = await denied(app, action, source)
    assert told[:2] == [False, "PermissionDenied"]
    assert (action, resource, {"pid": told[2]}) in scope.asked


async def test_the_allowed_are_let_through(app: OpenApp) -> None:
    for action, call, _ in RETURNED[:2]:
        told, _, _ = await denied(app, f"other than {action}", f"return ({call}) ~= nil")
        assert told is True


# builders -----------------------------------------------------------------------------------------------------------
async def test_a_child_has_the_context_and_identity_of_its_builder(lua: RunLua) -> None:
    told = await lua(
        """
        local security = require("security")
        local base = process.with_context({tenant = "t1", color = "red"})
        local more = base:with_context({color = "blue"})
        local other = more:with_actor(security.new_actor("someone")):with_scope(security.new_scope())
        return {
          process.exec("app:tells", "app:host", 1), base:exec("app:tells", "app:host"),
          more:exec("app:tells", "app:host"),
          process.with_actor(security.new_actor("me")):exec("app:tells", "app:host"),
        }
        """,
        modules=["security"],
        entries=ENTRIES,
        frame=Frame(values={"tenant": "caller's"}),
    )
    assert told == [
        ["app:tells", "nobody", "caller's", "none", 1],
        ["app:tells", "nobody", "t1", "red"],
        ["app:tells", "nobody", "t1", "blue"],
        ["app:tells", "me", "caller's", "none"],
    ]


@pytest.mark.parametrize(
    "call",
    [
        "process.with_context({[1] = 2})",
        "process.with_context('x')",
        "process.with_options({[true] = 2})",
        "process.with_actor(nil)",
        "process.with_actor({})",
        "process.with_scope('x')",
        "process.with_name('')",
        "process.with_name(7)",
        "process.with_message('@pid/inbox', 1)",
        "process.with_message('', 1)",
        "process.unlisten('x')",
        "process.unlisten(nil)",
    ],
)
async def test_wrong_arguments_are_raised(lua: RunLua, call: str) -> None:
    assert await lua(f"return (pcall(function() {call} end))") is False


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("process.exec('app:idle')", "Invalid"),
        ("process.exec(nil, 'app:host')", "Invalid"),
        ("process.exec('idle', 'app:host')", "Invalid"),
        ("process.spawn('', 'app:host')", "Invalid"),
        ("process.spawn('idle', 'app:host')", "Invalid"),
        ("process.send('nobody', 't', 1)", "NotFound"),
        ("process.cancel()", "Invalid"),
        ("process.cancel('nobody')", "NotFound"),
        ("process.terminate('nobody')", "NotFound"),
        ("process.monitor('nobody')", "NotFound"),
        ("process.link('nobody')", "NotFound"),
        ("process.registry.register('n', 'no pid')", "Invalid"),
        ("process.registry.register('n', '{local@app:host|0x9}')", "NotFound"),
        ("process.registry.register('n', nil, 9)", "Invalid"),
        ("process.registry.register('{n}')", "Invalid"),
        ("process.registry.unregister('n', 9)", "Invalid"),
        ("process.registry.lookup('')", "Invalid"),
        ("process.set_options('x')", "Invalid"),
        ("process.upgrade(7)", "Invalid"),
    ],
)
async def test_wrong_arguments_are_returned(lua: RunLua, call: str, kind: str) -> None:
    told = await lua(f"local v, err = {call} return {{v or false, err:kind()}}", entries=ENTRIES)
    assert told == [False, kind]


async def test_exec_gives_the_result_or_the_error_as_it_is(lua: RunLua) -> None:
    told = await lua(
        """
        local value, none = process.exec("app:tells", "app:host", "a")
        local nothing, err = process.exec("app:fails", "app:host")
        local _, raised = process.exec("app:fails", "app:host", "raise")
        return {value[5], none == nil, nothing == nil, err:kind(), err:message(), err:retryable(), err:details().id,
          raised:kind(), string.find(tostring(raised), "boom", 1, true) ~= nil}
        """,
        entries=ENTRIES,
    )
    assert told == ["a", True, True, "Conflict", "taken", False, 7, "Internal", True]


# messages -------------------------------------------------------------------------------------------------------------
async def test_messages_and_payloads(app: OpenApp) -> None:
    script = """
- name: script
  kind: process.lua
  source: |
    return function()
      local events = process.events()
      local first = process.with_message("early", "x"):spawn_monitored("app:hears", "app:host", 5)
      process.send(first, "none")
      process.send(first, "two", 1, { 2 })
      process.send(first, "lost", { kept = 1, f = print, c = channel.new(1) })
      process.send(first, "error", errors.new({ kind = errors.CONFLICT, message = "taken" }))
      return events:receive().result.value
    end
"""
    async with app(ENTRIES + script) as running:
        assert await running.run("app:script", "app:host") == [
            ["early", "nobody", "x", "message{topic=early}"],
            ["none", "somebody", "nothing", "message{topic=none}"],
            ["two", "somebody", [1, [2]], "message{topic=two}"],
            ["lost", "somebody", {"kept": 1}, "message{topic=lost}"],
            ["error", "somebody", ["error", "taken", "golang/error"], "message{topic=error}"],
        ]


async def test_channels_of_topics_are_the_same_each_time(lua: RunLua) -> None:
    told = await lua(
        """
        local a, b = process.listen("t"), process.listen("t", {message = true})
        process.send(process.pid(), "t", 5)
        local m = a:receive()
        local closed, again = process.unlisten(a), select(2, process.unlisten(b))
        local v, ok = a:receive()
        return {a == b, m:payload():data(), process.inbox() == process.inbox(), process.events() == process.events(),
          closed, again:kind(), ok}
        """
    )
    assert told == [True, 5, True, True, True, "NotFound", False]


# upgrades, names ------------------------------------------------------------------------------------------------------
async def test_an_upgrade_keeps_pid_and_name(app: OpenApp) -> None:
    starts = """
- name: starts
  kind: process.lua
  source: |
    return function()
      local events = process.events()
      local pid = process.with_name("me"):spawn_monitored("app:versions", "app:host")
      local event = events:receive()
      return { event.from == pid, event.result.value }
    end
"""
    async with app(ENTRIES + starts) as running:
        assert await running.run("app:starts", "app:host") == [True, [4, True, True, "app:versions"]]


async def test_names_and_who_holds_them(lua: RunLua) -> None:
    told = await lua(
        """
        local pid = process.spawn("app:idle", "app:host")
        local r = process.registry
        local first, again = r.register("a", pid), r.register("a", pid)
        local second = r.register("b", pid)
        local taken, err = r.register("a")
        local freed, twice = r.unregister("a"), r.unregister("a")
        process.send(pid, "end", 1)
        local gone
        repeat
          coroutine.yield()
          gone = select(2, r.lookup("b"))
        until gone
        return {first, again, second, taken == nil, err:kind(), err:details().existing_pid == pid, freed, twice,
          gone:kind(), r.LOCAL, r.EVENTUAL, r.CONSISTENT, r.STRONG}
        """,
        entries=ENTRIES,
    )
    assert told == [True, True, True, True, "AlreadyExists", True, True, False, "NotFound", 0, 1, 2, 3]


# events ---------------------------------------------------------------------------------------------------------------
async def test_events_say_when(app: OpenApp) -> None:
    script = """
- name: watches
  kind: process.lua
  modules: [time]
  source: |
    return function()
      process.set_options({ trap_links = true })
      local events, time, seen = process.events(), require("time"), {}
      process.spawn_linked_monitored("app:fails", "app:host", "raise")
      process.cancel(process.pid(), "enough")
      for i = 1, 3 do
        local event = events:receive()
        local age, reason = event.at - time.now():unix(), event.reason or "none"
        seen[event.kind] = { age, math.type(event.at), reason, event.result ~= nil }
      end
      return seen
    end
"""
    async with app(ENTRIES + script) as running:
        seen = await running.run("app:watches", "app:host")
        assert seen == {
            "pid.cancel": [0, "integer", "enough", False],
            "pid.exit": [0, "integer", "none", True],
            "pid.link.down": [0, "integer", "none", True],
        }


async def test_a_stopping_host_says_when_and_why(app: OpenApp) -> None:
    script = """
- name: last
  kind: process.lua
  modules: [events]
  source: |
    return function()
      local event = process.events():receive()
      require("events").send("test", "last", "/", { event.reason, event.at > 0, event.from })
    end
"""
    heard: list[Any] = []
    async with app(ENTRIES + script) as running:
        running.runtime.events.listen("test", "", lambda event: heard.append(event.data))
        await running.spawn("app:last", "app:host")
        await trio.sleep(1)
        await running.supervisor.stop(running.supervisor.all()[0].id)
    assert heard == [["scheduler shutdown", True, ""]]


async def test_where_a_process_is_not(lua: RunLua) -> None:
    with pytest.raises(LuaError):
        await lua("error(select(2, process.upgrade('app:none')))")
    assert await lua("return {process.id(), string.sub(process.pid(), 1, 7)}") == ["test:script", "{local@"]
