"""Calls between functions: context, cancellation, timeouts, and what is left when all is over."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.conftest import OpenApp
from wippy_trio.core.errors import LuaError
from wippy_trio.core.frame import Frame, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change

CHAIN = """
- name: log
  kind: store.memory
- name: deep
  kind: function.lua
  modules: [funcs, time, store]
  source: |
    return function(depth, wait)
      if depth > 0 then return require("funcs").call("app:deep", depth - 1, wait) end
      local time = require("time")
      if wait then time.sleep(wait) end
      require("store").get("app:log"):set("reached", true)
      return "bottom"
    end
- name: reached
  kind: function.lua
  modules: [store]
  source: return function() return require("store").get("app:log"):get("reached") or false end
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: caller
  kind: process.lua
  modules: [funcs]
  source: return function(...) return require("funcs").call("app:deep", ...) end
- name: futures
  kind: function.lua
  modules: [funcs, time]
  source: |
    return function(cancel, wait)
      local f = require("funcs").async("app:deep", 3, "10s")
      if wait then require("time").sleep(wait) end
      if cancel then f:cancel() end
      local v, err = f:await()
      return { v or "none", err and err:kind() }
    end
"""


def quiet(running: Any) -> None:
    """No call runs, waits or is remembered."""
    shard = running.runtime.functions._shard
    idle = {worker.actor.actor_id for pool in running.runtime.functions._pools.values() for worker in pool._idle}
    assert set(shard.actors) == idle
    assert running.runtime.processes.pids() == []
    assert not running.runtime.processes._relations
    for pool in running.runtime.functions._pools.values():
        assert (pool.busy_count, len(pool._waiting)) == (0, 0)
    for actor in shard.actors.values():
        assert (actor.commands, actor.children, actor.early, actor._handles, actor.room) == ({}, {}, [], {}, {})
        assert actor.nursery is None


async def test_a_chain_of_calls(app: OpenApp, autojump_clock: Any) -> None:
    async with app(CHAIN) as running:
        assert await running.call("app:deep", 30, "1s") == "bottom"
        quiet(running)


@pytest.mark.parametrize("wait", ["10s", None])
async def test_the_end_of_the_caller_ends_all_it_called(app: OpenApp, autojump_clock: Any, wait: str | None) -> None:
    async with app(CHAIN) as running:
        with trio.move_on_after(1 if wait else 0):
            await running.call("app:deep", 20, wait)
        await trio.sleep(20)
        assert await running.call("app:reached") is False
        quiet(running)


@pytest.mark.parametrize("call", [".call(", '.new():with_options({ timeout = "1h" }):call('])
async def test_a_long_chain_ends_without_deep_recursion(app: OpenApp, autojump_clock: Any, call: str) -> None:
    text = CHAIN.replace("- name: deep\n", "- name: deep\n  pool: {type: inline}\n")
    text = text.replace('require("funcs").call(', f'require("funcs"){call}')
    async with app(text) as running:
        assert await running.call("app:deep", 400) == "bottom"
        with trio.move_on_after(1):
            await running.call("app:deep", 400, "10s")
        quiet(running)


@pytest.mark.parametrize("how", ["terminate", "error"])
async def test_calls_end_with_their_process(app: OpenApp, autojump_clock: Any, how: str) -> None:
    async with app(CHAIN) as running:
        pid = await running.spawn("app:caller", "app:host", 5, "10s")
        await trio.sleep(1)
        process = running.runtime.processes.find(pid)
        if how == "terminate":
            process.terminate_now(LuaError("enough"))
        else:
            process.actor.shard.fail(process.actor, LuaError("enough"))
        await trio.sleep(20)
        assert await running.call("app:reached") is False
        quiet(running)


@pytest.mark.parametrize("wait", [None, "1s"])
async def test_cancelling_a_future_ends_the_call(app: OpenApp, autojump_clock: Any, wait: str | None) -> None:
    async with app(CHAIN) as running:
        assert await running.call("app:futures", True, wait) == ["none", "Canceled"]
        await trio.sleep(20)
        assert await running.call("app:reached") is False
        quiet(running)


async def test_what_a_call_leaves_running_ends_with_it(app: OpenApp, autojump_clock: Any) -> None:
    entry = CHAIN + """
- name: forgets
  kind: function.lua
  modules: [funcs]
  source: return function() require("funcs").async("app:deep", 2, "1s") return "returned" end
"""
    async with app(entry) as running:
        assert await running.call("app:forgets") == "returned"
        await trio.sleep(20)
        assert await running.call("app:reached") is False
        quiet(running)


async def test_a_database_is_usable_after_the_call_that_had_it_was_cancelled(app: OpenApp, autojump_clock: Any) -> None:
    entry = """
    - name: db
      kind: db.sql.sqlite
      file: ":memory:"
    - name: f
      kind: function.lua
      modules: [sql, time]
      source: |
        return function(wait)
          local db = require("sql").get("app:db")
          if not wait then return db:query("SELECT count(*) AS n FROM sqlite_master")[1].n end
          local tx = db:begin()
          tx:execute("CREATE TABLE t (n INTEGER)")
          require("time").sleep(wait)
          tx:commit()
        end
    """
    async with app(entry) as running:
        with trio.move_on_after(1):
            await running.call("app:f", "10s")
        with trio.fail_after(5):
            assert await running.call("app:f", None) == 0
        quiet(running)


async def test_timeouts(app: OpenApp, autojump_clock: Any) -> None:
    entry = CHAIN + """
- name: limited
  kind: function.lua
  modules: [funcs]
  source: |
    return function(timeout)
      local v, err = require("funcs").new():with_options({ timeout = timeout }):call("app:deep", 3, "10s")
      return { v or "none", err and err:kind(), err and err:message() }
    end
"""
    async with app(entry) as running:
        began = trio.current_time()
        text = "function call timed out after 1.5 s: app:deep"
        assert await running.call("app:limited", 1500) == ["none", "Timeout", text]
        assert trio.current_time() - began == 1.5
        assert (await running.call("app:limited", "2s"))[1] == "Timeout"
        assert await running.call("app:limited", "20s") == ["bottom"]
        assert await running.call("app:limited", 0) == ["bottom"]
        assert (await running.call("app:limited", "soon"))[1] == "Invalid"
        quiet(running)


async def test_a_call_inherits_identity_and_context_but_not_extras(app: OpenApp, autojump_clock: Any) -> None:
    entry = """
    - name: outer
      kind: function.lua
      modules: [funcs]
      source: |
        return function()
          local f = require("funcs")
          local derived = f.new():with_context({ b = 2, a = 9 })
          return { f.call("app:inner"), derived:call("app:inner"), (f.call("app:inner")) }
        end
    - name: inner
      kind: function.lua
      modules: [ctx, security]
      source: |
        return function()
          local ctx, who = require("ctx"), require("security").actor()
          return { ctx.get("a") or 0, ctx.get("b") or 0, who and who:id() or "nobody" }
        end
    """
    frame = Frame(actor=SecurityActor("ann"), values={"a": 1}, extras={"secret": object()})
    async with app(entry) as running:
        assert await running.call("app:outer", frame=frame) == [[1, 0, "ann"], [9, 2, "ann"], [1, 0, "ann"]]
        assert await running.call("app:inner") == [0, 0, "nobody"]


async def test_what_cannot_be_called(app: OpenApp, autojump_clock: Any) -> None:
    async with app(CHAIN) as running:
        with pytest.raises(LuaError, match="not found"):
            await running.call("app:nobody")
        with pytest.raises(LuaError, match="not found"):
            await running.call("app:log")
        with pytest.raises(LuaError, match="not found: :deep"):
            await running.call("deep")
        assert running.runtime.functions.has(EntryId("app", "deep"))


async def test_an_error_reaches_the_caller_as_itself_and_not_in_a_group(app: OpenApp, autojump_clock: Any) -> None:
    entry = """
    - name: fails
      kind: function.lua
      modules: [time, funcs]
      source: |
        return function(how)
          local time = require("time")
          for i = 1, 3 do coroutine.spawn(function() time.sleep("5s") end) end
          local ticker = time.ticker("1s")
          time.sleep("1s")
          if how == "raise" then error("raised") end
          if how == "task" then coroutine.spawn(function() error("in a task") end) time.sleep("9s") end
          return nil, errors.new({ message = "returned", kind = "Conflict", details = { a = 1 } })
        end
    """
    async with app(entry) as running:
        for how, text in (("raise", "raised"), ("task", "in a task"), ("", "returned")):
            with pytest.raises(LuaError) as caught:
                await running.call("app:fails", how)
            assert caught.value.message.endswith(text)
            assert caught.value.__cause__ is None
        assert (caught.value.kind, caught.value.details) == ("Conflict", {"a": 1})


async def test_arguments_and_results_are_copies(app: OpenApp, autojump_clock: Any) -> None:
    entry = """
    - name: outer
      kind: function.lua
      modules: [funcs]
      source: |
        return function()
          local mine = { list = { 1 }, f = print }
          local theirs = require("funcs").call("app:inner", mine, nil, "third")
          return { mine.list[1], theirs.list[1], theirs.f == nil, theirs.third }
        end
    - name: inner
      kind: function.lua
      source: |
        return function(v, hole, third)
          v.list[1] = "changed"
          v.third = third
          return v, "a second result is an error text" and nil
        end
    """
    async with app(entry) as running:
        assert await running.call("app:outer") == [1, "changed", True, "third"]


async def test_a_function_that_is_deleted_while_it_runs_finishes(app: OpenApp, autojump_clock: Any) -> None:
    async with app(CHAIN) as running:
        got: list[Any] = []
        async with trio.open_nursery() as nursery:

            async def slow() -> None:
                got.append(await running.call("app:deep", 0, "5s"))

            nursery.start_soon(slow)
            await trio.sleep(1)
            await running.registry.apply([Change.delete(EntryId("app", "deep"))])
            with pytest.raises(LuaError, match="not found"):
                await running.call("app:deep", 0)
        assert got == ["bottom"]
        quiet(running)
