"""Rows of the specification of processes: names on spawn, messages with it, exec of a builder, PIDs that are gone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import trio

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "actors.md"
ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: echo
  kind: process.lua
  source: |
    return function(parent, ...)
      local inbox = process.inbox()
      while true do
        local message = inbox:receive()
        if message:topic() == "end" then return "ended" end
        if message:topic() == "fail" then error("failed") end
        process.send(parent, "echo", message:topic(), message:from(), message:payload() and message:payload():data())
      end
    end
- name: quick
  kind: process.lua
  modules: [ctx]
  source: |
    return function(...)
      local first = process.listen("first")
      local r = channel.select { first:case_receive(), default = true }
      local who = require("ctx").get("who")
      return { args = {...}, first = r.value, who = who, pid = process.pid(), named = process.registry.lookup("one") }
    end
- name: broken
  kind: process.lua
  source: return function() error(errors.new({kind = errors.CONFLICT, message = "no"})) end
"""


async def rows(lua: Any, source: str) -> Any:
    """Run Lua that asserts; `gone()` is a PID that has ended, `kind(ok, err)` the kind of the error."""
    helpers = """
      local echo, host = "app:echo", "app:host"
      local me = process.pid()
      local function spawn() return assert(process.spawn(echo, host, me)) end
      local echoes = process.listen("echo")
      local function reply() return echoes:receive() end
      local events = process.events()
      local function gone()
        local pid = assert(process.spawn_monitored(echo, host, me))
        process.send(pid, "end")
        assert(events:receive().result.value == "ended")
        return pid
      end
      local function kind(ok, err)
        assert(not ok and err, "no error")
        return err:kind()
      end
    """
    with trio.fail_after(60):
        return await lua(helpers + source, entries=ENTRIES)


async def test_a_name_given_on_spawn_is_held_until_the_end(lua: Any) -> None:
    await rows(
        lua,
        """
        local pid = assert(process.with_name("one"):spawn_monitored(echo, host, me))
        assert(process.registry.lookup("one") == pid)
        process.send("one", "end")
        assert(events:receive().from == pid)
        local _, err = process.registry.lookup("one")
        assert(err:kind() == errors.NOT_FOUND)
        """,
    )


async def test_a_spawn_under_a_taken_name_finds_and_tells_the_holder(lua: Any) -> None:
    await rows(
        lua,
        """
        local named = process.with_name("one"):with_message("hello", { 1 })
        local pid = assert(named:spawn(echo, host, me))
        local first = reply()
        assert(first[1] == "hello" and first[2] == "" and first[3][1] == 1)
        assert(named:spawn("app:broken", host) == pid)
        assert(reply()[1] == "hello")
        assert(named:spawn_linked_monitored(echo, host) == pid)   -- the relations are to the holder
        assert(named:spawn_monitored(echo, host) == pid)          -- a second monitor is the same one
        process.set_options({ trap_links = true })
        process.send(pid, "fail")
        local kinds = { events:receive().kind, events:receive().kind }
        table.sort(kinds)
        assert(kinds[1] == process.event.EXIT and kinds[2] == process.event.LINK_DOWN)
        assert(channel.select({ events:case_receive(), default = true }).default)
        """,
    )


async def test_messages_of_a_builder_come_first_and_in_order(lua: Any) -> None:
    await rows(
        lua,
        """
        local pid = process.with_message("a", 1):with_message("b", 2):spawn(echo, host, me)
        process.send(pid, "c", 3)
        for i, topic in ipairs({ "a", "b", "c" }) do
          local got = reply()
          assert(got[1] == topic and got[3] == i)
        end
        local ok, text = pcall(process.with_message, "@pid/events", 1)
        assert(not ok)
        """,
    )


async def test_exec_runs_under_the_builder(lua: Any) -> None:
    await rows(
        lua,
        """
        local got = assert(process.with_context({ who = "me" }):with_name("one"):with_message("first", 7)
          :exec("app:quick", host, 1, 2))
        assert(got.who == "me" and got.first == 7 and got.named == got.pid and #got.args == 2)
        assert(kind(process.registry.lookup("one")) == errors.NOT_FOUND)
        process.registry.register("one")
        local value, err = process.with_name("one"):exec("app:quick", host)
        assert(value == nil and err:kind() == errors.ALREADY_EXISTS and err:details().existing_pid == me)
        assert(kind(process.with_context({}):exec("app:broken", host)) == errors.CONFLICT)
        """,
    )


@pytest.mark.parametrize("verb", ["monitor", "link", "cancel", "terminate", "send"])
async def test_a_pid_that_is_gone_is_not_found(lua: Any, verb: str) -> None:
    await rows(
        lua,
        f"""
        assert(kind(process.{verb}(gone(), "topic")) == errors.NOT_FOUND)
        assert(kind(process.{verb}("no such name", "topic")) == errors.NOT_FOUND)
        """,
    )


async def test_unmonitor_and_unlink_of_a_pid_that_is_gone_are_no_errors(lua: Any) -> None:
    await rows(
        lua,
        """
        local pid = gone()
        assert(process.unmonitor(pid) and process.unlink(pid))
        assert(kind(process.unmonitor("no such name")) == errors.NOT_FOUND)
        """,
    )


async def test_names_are_taken_once(lua: Any) -> None:
    await rows(
        lua,
        """
        local pid, other = spawn(), spawn()
        assert(process.registry.register("one", pid) and process.registry.register("one", pid))
        local ok, err = process.registry.register("one", other)
        assert(not ok and err:kind() == errors.ALREADY_EXISTS and err:details().existing_pid == pid)
        assert(kind(process.registry.register("two", gone())) == errors.NOT_FOUND)
        assert(process.registry.register("two", pid))             -- several names for one
        process.monitor(pid)
        process.terminate("two")
        assert(events:receive().from == pid)
        assert(process.registry.register("one", other))
        assert(process.registry.unregister("one") == true and process.registry.unregister("one") == false)
        """,
    )


async def test_a_second_monitor_is_refused_and_a_second_link_is_not(lua: Any) -> None:
    await rows(
        lua,
        """
        local pid = spawn()
        assert(process.monitor(pid))
        assert(kind(process.monitor(pid)) == errors.ALREADY_EXISTS)
        assert(process.unmonitor(pid) and process.unmonitor(pid))
        assert(process.link(pid) and process.link(pid))
        assert(process.unlink(pid) and process.unlink(pid))
        process.send(pid, "fail")
        process.monitor(spawn())
        """,
    )


async def test_options(lua: Any) -> None:
    await rows(
        lua,
        """
        local options = process.get_options()
        assert(options.trap_links == false and options.upgradable == false)
        for _, wrong in ipairs({ { trap_links = 1 }, { other = true }, { upgradable = "yes" } }) do
          local ok, err = process.set_options(wrong)
          assert(ok == false and err:kind() == errors.INVALID)
        end
        local ok, err = process.set_options("trap_links")
        assert(ok == false and err:kind() == errors.INVALID)
        """,
    )


@pytest.mark.parametrize("gone_first", [True, False])
async def test_the_outcome_of_the_guide_misses_nothing(lua: Any, gone_first: bool) -> None:
    blocks = re.findall(r"```lua\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    [block] = [text for text in blocks if "outcome" in text]
    if gone_first:
        check = "local value, err = outcome(gone()) assert(value == nil and err:kind() == errors.NOT_FOUND)"
    else:
        check = """
        local pid = spawn()
        coroutine.spawn(function() process.send(pid, "end") end)
        assert(outcome(pid) == "ended")
        """
    await rows(lua, block + check)
