"""`process`: who may be spawned and sent to, names, options and what is refused."""

import pytest

from tests.conftest import OpenApp, RunLua

ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: echo
  kind: process.lua
  source: |
    return function(name)
      if name then process.registry.register(name) end
      while true do
        local message = process.inbox():receive()
        if message:topic() == "stop" then return message:payload():data() end
        process.send(message:from(), "echo", message:payload():data())
      end
    end
- name: asker
  kind: process.lua
  modules: [time]
  source: |
    return function(source)
      local time = require("time")
      local events, inbox = process.events(), process.inbox()
      BODY
    end
"""


async def ask(app: OpenApp, body: str) -> object:
    async with app(ENTRIES.replace("BODY", body.replace("\n", "\n      "))) as running:
        return await running.run("app:asker", "app:host")


async def test_names(app: OpenApp) -> None:
    body = """
local pid = process.spawn("app:echo", "app:host", "parrot")
time.sleep("1ms")
process.send("parrot", "say", "hello")
local reply = inbox:receive()
local taken, err = process.registry.register("parrot")
local found = process.registry.lookup("parrot") == pid
local freed = process.registry.unregister("parrot")
local gone, missing = process.registry.lookup("parrot")
local reached = reply:payload():data()
return {reached, reply:from() == pid, taken == nil, err:kind(), found, freed, gone == nil, missing:kind()}
"""
    assert await ask(app, body) == ["hello", True, True, "AlreadyExists", True, True, True, "NotFound"]


async def test_a_name_goes_with_its_process(app: OpenApp) -> None:
    body = """
local pid = process.spawn_monitored("app:echo", "app:host", "parrot")
time.sleep("1ms")
process.send("parrot", "stop", 7)
local event = events:receive()
local gone, err = process.registry.lookup("parrot")
return {event.kind, event.from == pid, event.result.value, gone == nil, err:kind()}
"""
    assert await ask(app, body) == ["pid.exit", True, 7, True, "NotFound"]


async def test_a_process_that_is_gone_is_not_found(app: OpenApp) -> None:
    body = """
local pid = process.spawn_monitored("app:echo", "app:host")
process.terminate(pid)
events:receive()
local out = {}
for _, verb in ipairs({"terminate", "cancel"}) do
  local ok, err = process[verb](pid)
  out[#out + 1] = err:kind()
end
local ok, err = process.send(pid, "say", 1)
out[#out + 1] = err:kind()
return out
"""
    assert await ask(app, body) == ["NotFound", "NotFound", "NotFound"]


async def test_options(app: OpenApp) -> None:
    body = """
local before = process.get_options()
local ok = process.set_options({trap_links = true})
local _, unknown = process.set_options({speed = true})
local _, kind = process.set_options({trap_links = "yes"})
return {before.trap_links, ok, process.get_options().trap_links, unknown:message(), kind:message()}
"""
    assert await ask(app, body) == [
        False,
        True,
        True,
        "option speed is not supported",
        "trap_links must be a boolean",
    ]


async def test_a_trapped_link_is_an_event(app: OpenApp) -> None:
    body = """
process.set_options({trap_links = true})
local pid = process.spawn_linked("app:echo", "app:host")
process.terminate(pid)
local event = events:receive()
return {event.kind, event.type, event.from == pid}
"""
    assert await ask(app, body) == ["pid.link.down", "pid.link.down", True]


async def test_builders_are_values(app: OpenApp) -> None:
    body = """
local base = process.with_context({tenant = "acme"})
local named = base:with_name("first"):with_message("stop", "from the start")
local pid = named:spawn_monitored("app:echo", "app:host")
local held = process.registry.lookup("first") == pid
return {held, events:receive().result.value, process.id(), base ~= named}
"""
    assert await ask(app, body) == [True, "from the start", "app:asker", True]


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ('process.spawn("app:echo")', "Invalid"),
        ('process.spawn("app:nobody", "app:host")', "NotFound"),
        ('process.spawn("app:echo", "app:nowhere")', "NotFound"),
        ('process.send("nobody")', "Invalid"),
        ('process.send("nobody", "@pid/inbox", 1)', "Invalid"),
        ('process.listen("@pid/events")', "Invalid"),
        ('process.listen("")', "Invalid"),
        ('process.registry.register("")', "Invalid"),
        ('process.registry.register("x", nil, process.registry.STRONG)', "Unavailable"),
        ("process.monitor()", "Invalid"),
        ('process.upgrade("app:nobody")', "NotFound"),
    ],
)
async def test_what_is_refused(lua: RunLua, call: str, kind: str) -> None:
    told = await lua(f"local ok, err = {call} return {{not ok, err:kind()}}", entries=ENTRIES.replace("BODY", ""))
    assert told == [True, kind]
