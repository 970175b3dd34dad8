"""A whole app, opened from entries."""

import pytest

from sandbox.errors import LuaError
from tests.conftest import OpenApp, RunLua
from wippy_trio.core.events import Event
from wippy_trio.core.frame import Decision, Frame, SecurityActor

APP = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: echo
  kind: process.lua
  source: |
    return function(parent)
      local message = process.inbox():receive()
      process.send(parent, "reply", message:payload():data())
      return "done"
    end
- name: ask
  kind: function.lua
  method: main
  source: |
    local function main(value)
      local events = process.events()
      local pid, err = process.spawn_monitored("app:echo", "app:host", process.pid())
      if err then return nil, err end
      process.send(pid, "hello", {value = value})
      local reply = process.inbox():receive()
      local event = events:receive()
      local value = reply:payload():data().value
      return {topic = reply:topic(), value = value, kind = event.kind, result = event.result.value}
    end
    return {main = main}
"""


async def test_function_and_process_talk(app: OpenApp) -> None:
    async with app(APP) as running:
        answer = await running.call("app:ask", 5)
    assert answer == {"topic": "reply", "value": 5, "kind": "pid.exit", "result": "done"}


async def test_errors_keep_kind_and_place(lua: RunLua) -> None:
    with pytest.raises(LuaError) as caught:
        await lua('return nil, errors.new({message = "no such order", kind = errors.NOT_FOUND})')
    assert (caught.value.kind, caught.value.message) == ("NotFound", "no such order")
    with pytest.raises(LuaError, match=r"test:script:1: boom"):
        await lua('error("boom")')


async def test_unknown_kind_is_refused(app: OpenApp) -> None:
    with pytest.raises(LuaError, match=r"unknown entry kind 'no.such'"):
        async with app("[{name: x, kind: no.such}]"):
            pass


GUARDED = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: deaf
  kind: process.lua
  source: return function() process.inbox():receive() end
- name: speaker
  kind: process.lua
  source: |
    return function(to)
      local ok, err = process.send(to, "hello", 1)
      return {ok = ok, kind = err and err:kind()}
    end
"""


class _Nothing:
    """A scope that allows nothing."""

    def evaluate(self, *_: object) -> Decision:
        return Decision.DENY


async def test_a_send_inside_the_vm_is_checked_like_any_other(app: OpenApp) -> None:
    async with app(GUARDED) as running:
        to = await running.spawn("app:deaf", "app:host")
        nobody = Frame(actor=SecurityActor("nobody"), scope=_Nothing())
        assert await running.run("app:speaker", "app:host", to, frame=nobody) == {"kind": "PermissionDenied"}
        assert await running.run("app:speaker", "app:host", to) == {"ok": True}


async def test_a_listener_that_fails_is_logged_and_harms_nobody(app: OpenApp, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_event: Event) -> None:
        raise ValueError("no")

    heard: list[str] = []
    async with app() as running:
        with (
            running.runtime.events.listen("test", "*", fail),
            running.runtime.events.listen("test", "*", lambda event: heard.append(event.kind)),
        ):
            running.runtime.events.publish("test", "first", "/")
    assert heard == ["first"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == ["event handler failed"]


PLACEHOLDERS = """
- {name: vars, kind: env.storage.memory}
- {name: port, kind: env.variable, variable: PORT, storage: vars, default: "8080"}
- {name: bare, kind: env.variable, variable: BARE, storage: vars}
- name: show
  kind: function.lua
  meta: {kept: yes}
  source: "return function() return '${env:PORT|1} ${env:BARE|inline} ${env:NOBODY|other} ${PORT|2}' end"
"""


async def test_placeholders_take_the_variables_default_first(app: OpenApp) -> None:
    async with app(PLACEHOLDERS) as running:
        assert await running.call("app:show") == "8080 inline other 8080"
