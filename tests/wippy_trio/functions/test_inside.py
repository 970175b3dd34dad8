"""Calls that stay inside the caller's VM: nobody can tell, except by the time they take."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.conftest import OpenApp, entries_of
from wippy_trio.actors.inspect import details
from wippy_trio.core.errors import LuaError
from wippy_trio.core.frame import Decision, Frame, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change

HOST = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: log
  kind: store.memory
"""
COUNTER = """
- name: f
  kind: function.lua
  modules: [time]
  pool: {{{pool}}}
  source: |
    local calls = 0
    return function(wait)
      calls = calls + 1
      local mine = calls
      if wait then require("time").sleep(wait) end
      return mine
    end
"""
MANY = """
- name: many
  kind: process.lua
  modules: [funcs]
  source: |
    return function(count, ...)
      local funcs, out, done, args = require("funcs"), {}, channel.new(count), table.pack(...)
      for i = 1, count do
        coroutine.spawn(function()
          local v, err = funcs.call("app:f", table.unpack(args, 1, args.n))
          out[i] = err and err:kind() or v
          done:send(true)
        end)
      end
      for i = 1, count do done:receive() end
      return out
    end
"""


def pool_of(running: Any, name: str = "app:f") -> Any:
    return running.runtime.functions._pools[EntryId.parse(name)]


def caller(body: str, name: str = "caller", modules: str = "funcs") -> str:
    lines = "\n".join(f"      {line}" for line in body.strip().splitlines())
    head = f"- name: {name}\n  kind: process.lua\n  modules: [{modules}]\n  source: |\n"
    return f'{head}    return function(...)\n      local funcs = require("funcs")\n{lines}\n    end\n'


async def run(running: Any, *args: Any, name: str = "caller", frame: Frame | None = None) -> Any:
    return await running.run(f"app:{name}", "app:host", *args, **({} if frame is None else {"frame": frame}))


def quiet(running: Any) -> None:
    """No call runs or is remembered."""
    assert running.runtime.processes.pids() == []
    for shard in running.runtime.engine._shards:
        assert not shard.actors
    for pool in running.runtime.functions._pools.values():
        assert (pool.busy_count, len(pool._waiting)) == (0, 0)


async def test_a_worker_is_kept_warm_in_the_callers_vm(app: OpenApp, autojump_clock: Any) -> None:
    text = HOST + COUNTER.format(pool="type: lazy") + MANY
    async with app(text) as running:
        assert await run(running, 1, name="many") == [1]
        assert await run(running, 1, name="many") == [2]
        assert (pool_of(running).inside.held_count, pool_of(running).busy_count) == (1, 0)
        assert await run(running, 3, "1s", name="many") == [3, 1, 1]
        assert pool_of(running).inside.held_count == 3
        assert await running.call("app:f") == 1  # another VM, another worker
        pool_of(running).close()
        assert pool_of(running).inside.held_count == 0


async def test_an_inline_function_has_a_fresh_worker_for_each_call(app: OpenApp, autojump_clock: Any) -> None:
    async with app(HOST + COUNTER.format(pool="type: inline") + MANY) as running:
        assert await run(running, 20, "1s", name="many") == [1] * 20
        assert pool_of(running).inside.held_count == 0
        quiet(running)


@pytest.mark.parametrize("pool", ["type: static, workers: 2", "type: adaptive, max_size: 2"])
async def test_pools_that_keep_their_workers_together(app: OpenApp, autojump_clock: Any, pool: str) -> None:
    async with app(HOST + COUNTER.format(pool=pool) + MANY) as running:
        assert await run(running, 1, name="many") == [1]
        assert await running.call("app:f") == 2
        assert not running.runtime.functions._pools[EntryId("app", "f")].inside._grants


async def test_the_pool_bounds_calls_of_all_vms_together(app: OpenApp, autojump_clock: Any) -> None:
    text = HOST + HOST.replace("name: host", "name: other").replace("name: log", "name: log2")
    async with app(text + COUNTER.format(pool="type: lazy, max_size: 3") + MANY) as running:
        pool = pool_of(running)
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, pool._busy_count + pool.inside.busy_count)
                assert pool._busy_count + pool.inside.held_count <= 3
                await trio.sleep(0.125)

        async with trio.open_nursery() as watching:
            watching.start_soon(watch)
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(running.run, "app:many", "app:host", 4, "1s")
                nursery.start_soon(running.run, "app:many", "app:other", 4, "1s")
                for _ in range(4):
                    nursery.start_soon(running.call, "app:f", "1s")
            assert trio.current_time() - began == 4.0
            watching.cancel_scope.cancel()
        assert most == 3
        assert await run(running, 3, "1s", name="many")  # what was revoked is granted again
        assert (pool.busy_count, pool._busy_count) == (0, 0)


async def test_idle_workers_of_a_vm_make_room_for_another(app: OpenApp, autojump_clock: Any) -> None:
    async with app(HOST + COUNTER.format(pool="type: lazy, max_size: 2") + MANY) as running:
        assert await run(running, 2, "1s", name="many") == [1, 1]
        assert pool_of(running).inside.held_count == 2
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(running.call, "app:f", "1s")
        assert trio.current_time() - began == 1.0
        assert pool_of(running).inside.held_count == 0


async def test_the_queue_before_a_full_pool_is_bounded(app: OpenApp, autojump_clock: Any) -> None:
    async with app(HOST + COUNTER.format(pool="type: lazy, max_size: 1, buffer: 2") + MANY) as running:
        results = await run(running, 5, "1s", name="many")
        assert results.count("RateLimited") == 2
        assert pool_of(running).busy_count == 0


WHO = """
- name: who
  kind: function.lua
  modules: [ctx, security, funcs]
  source: |
    return function(depth)
      if depth > 0 then return require("funcs").call("app:who", depth - 1) end
      local who = require("security").actor()
      return { pid = process.pid(), id = process.id(), user = require("ctx").get("user"), actor = who and who:id() }
    end
"""


class Rules:
    """A scope that allows what it was told."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed
        self.asked: list[tuple[str, str]] = []

    def evaluate(self, actor: SecurityActor, action: str, resource: str, attributes: Any) -> Decision:
        self.asked.append((action, resource))
        return Decision.ALLOW if f"{action} {resource}" in self.allowed else Decision.UNDEFINED


async def test_identity_context_and_pid_are_there_when_asked_for(app: OpenApp, autojump_clock: Any) -> None:
    text = HOST + WHO + caller("return { funcs.call('app:who', ...), (funcs.call('app:who', ...)), process.pid() }")
    rules = Rules("funcs.call app:who")
    frame = Frame(actor=SecurityActor("ann"), scope=rules, values={"user": "u1"})
    async with app(text) as running:
        for depth in (0, 3):
            first, second, own = await run(running, depth, frame=frame)
            assert first["pid"] != second["pid"] != own
            assert "app:who" in first["pid"]
            assert {**first, "pid": ""} == {"pid": "", "id": "app:who", "user": "u1", "actor": "ann"}
        assert rules.asked.count(("funcs.call", "app:who")) == 10
        quiet(running)


async def test_who_may_not_call_is_told_so(app: OpenApp, autojump_clock: Any) -> None:
    text = (
        HOST
        + WHO
        + caller("local v, e = funcs.call('app:who', 0) return { v == nil, e and e:kind(), e and tostring(e) }")
    )
    async with app(text) as running:
        frame = Frame(actor=SecurityActor("ann"), scope=Rules())
        assert (await run(running))[0] is False  # without an identity all may; the VM has its worker
        denied = [True, "PermissionDenied", "not allowed to call function: app:who"]
        assert await run(running, frame=frame) == denied


async def test_errors_reach_the_caller_with_kind_details_and_traceback(app: OpenApp, autojump_clock: Any) -> None:
    text = (
        HOST
        + """
- name: f
  kind: function.lua
  source: |
    local n = 0
    local function deeper(how)
      if how == "raise" then error("raised") end
      if how == "table" then error({ message = "told", kind = "Conflict" }) end
      return nil, errors.new({ message = "returned", kind = "NotFound", retryable = true, details = { n = 3 } })
    end
    return function(how)
      n = n + 1
      if how == "count" then return n end
      if how == "self" then local t = {} t.t = t return t end
      if how == "text" then return nil, "only a text" end
      if how == "task" then coroutine.spawn(function() error("in a task") end) channel.new(0):receive() end
      local v, e = deeper(how)
      return v, e
    end
"""
        + caller("""
local out = {}
for i, how in ipairs({ "raise", "table", "returned", "self", "text", "task" }) do
  local v, e = funcs.call("app:f", how)
  out[i] = { v == nil, e:kind(), e:message(), e:details() and e:details().n or 0, e:retryable() or false, e:stack() }
end
out[7] = funcs.call("app:f", "count")
return out
""")
    )
    async with app(text) as running:
        raised, table, returned, itself, plain, task, count = await run(running)
        assert raised[:3] == [True, "Internal", "app:f:3: raised"]
        assert "app:f:3:" in raised[5]
        assert "app:f:13:" in raised[5]
        assert table[:3] == [True, "Conflict", "told"]
        assert returned[:5] == [True, "NotFound", "returned", 3, True]
        assert "app:f:5:" in returned[5]
        assert itself[:3] == [True, "Internal", "value is nested deeper than 128 levels or refers to itself"]
        assert plain[1:3] == ["Internal", "only a text"]
        assert task[2].endswith("in a task")
        assert count == 7  # an error leaves the worker usable


async def test_arguments_and_results_are_copies_and_counted(app: OpenApp, autojump_clock: Any) -> None:
    text = (
        HOST
        + """
- name: keeps
  kind: function.lua
  source: |
    local kept = { list = { 1 } }
    return function(v, ...)
      if v then v.list[1] = "changed" end
      return { n = select("#", ...), last = select(-1, ...), kept = kept, f = print }
    end
- name: count
  kind: function.lua
  source: return function(...) return select("#", ...) end
"""
        + caller("""
local mine = { list = { 1 }, f = print }
local got = funcs.call("app:keeps", mine, nil, "third", nil)
got.kept.list[1] = "changed"
local again = funcs.call("app:keeps", mine, 1)
local counts = { funcs.call("app:count"), (funcs.call("app:count", nil)), (funcs.call("app:count", 1, nil)),
  (funcs.call("app:count", 1, 2, nil)) }
local deep = {} deep.deep = deep
return { mine.list[1], got.n, got.last == nil, got.f == nil, again.kept.list[1], counts,
  (pcall(funcs.call, "app:count", deep)) }
""")
    )
    async with app(text) as running:
        assert await run(running) == [1, 3, True, True, 1, [0, 1, 2, 3], False]


CHAIN = """
- name: deep
  kind: function.lua
  modules: [funcs, time, store]
  pool: {type: inline}
  source: |
    return function(depth, wait)
      if depth > 0 then return require("funcs").call("app:deep", depth - 1, wait) end
      if wait == "spin" then while true do end end
      if wait == "hang" then channel.new(0):receive() end
      if wait then require("time").sleep(wait) end
      require("store").get("app:log"):set("reached", true)
      return "bottom"
    end
- name: reached
  kind: function.lua
  modules: [store]
  source: return function() return require("store").get("app:log"):get("reached") or false end
"""


async def _end_caller(running: Any, how: str, wait: str | None) -> None:
    if how == "cancel":
        with trio.move_on_after(1 if wait else 0):
            await run(running, 30, wait)
        return
    pid = await running.spawn("app:caller", "app:host", 30, wait)
    await trio.sleep(1 if wait else 0)
    process = running.runtime.processes.find(pid)
    if process is not None and how == "terminate":
        process.terminate_now(LuaError("enough"))
    elif process is not None:
        process.actor.shard.fail(process.actor, LuaError("enough"))


@pytest.mark.parametrize("wait", ["10s", "hang", None])
@pytest.mark.parametrize("how", ["terminate", "error", "cancel"])
async def test_calls_end_with_their_caller(app: OpenApp, autojump_clock: Any, how: str, wait: str | None) -> None:
    text = HOST + CHAIN + caller("funcs.call('app:reached') return funcs.call('app:deep', ...)")
    async with app(text) as running:
        await _end_caller(running, how, wait)
        await trio.sleep(20)
        if wait:
            assert await running.call("app:reached") is False
        assert running.runtime.processes.pids() == []
        host_shard = next(shard for shard in running.runtime.engine._shards if shard.name == "app:host")
        assert not host_shard.actors
        for pool in running.runtime.functions._pools.values():
            assert pool.busy_count == 0


async def test_a_long_chain(app: OpenApp, autojump_clock: Any) -> None:
    async with app(HOST + CHAIN + caller("return funcs.call('app:deep', ...)")) as running:
        for wait in (None, "1s"):
            assert await run(running, 300, wait) == "bottom"
        quiet(running)


async def test_a_call_that_runs_for_ever_is_ended_and_its_caller_told(app: OpenApp, autojump_clock: Any) -> None:
    text = (
        HOST
        + COUNTER.format(pool="type: lazy")
        + CHAIN
        + caller("""
local v, e = funcs.call("app:deep", 2, "spin")
return { v == nil, e:kind(), e:message(), (funcs.call("app:f")) }
""")
    )
    async with app(text, settings={"lua": {"cpu_limit": "20ms"}}) as running:
        none, kind, message, after = await run(running)
        assert (none, kind, after) == (True, "Internal", 1)
        assert message.startswith("CPU limit exceeded")
        quiet(running)


async def test_what_a_call_leaves_running_ends_with_it(app: OpenApp, autojump_clock: Any) -> None:
    text = (
        HOST
        + CHAIN
        + """
- name: leaves
  kind: function.lua
  modules: [funcs, time]
  source: |
    return function(wait)
      coroutine.spawn(function() require("funcs").call("app:deep", 2, wait) end)
      require("time").sleep("1ms")
      return "returned"
    end
"""
        + caller("return funcs.call('app:leaves', ...)")
    )
    async with app(text) as running:
        for wait in ("5s", "hang"):
            assert await run(running, wait) == "returned"
        await trio.sleep(20)
        assert await running.call("app:reached") is False
        assert running.runtime.processes.pids() == []


async def test_a_running_call_takes_messages_and_is_watched_like_a_process(app: OpenApp, autojump_clock: Any) -> None:
    text = (
        HOST
        + """
- name: served
  kind: function.lua
  source: |
    return function(parent)
      local inbox = process.inbox()
      process.send(parent, "hello", process.pid())
      return inbox:receive():payload():data() .. " back"
    end
"""
        + caller("""
local inbox, events, result = process.inbox(), process.events(), channel.new(1)
coroutine.spawn(function() result:send(funcs.call("app:served", process.pid())) end)
local pid = inbox:receive():payload():data()
assert(process.monitor(pid))
process.send(pid, "x", "there and")
local event = events:receive()
return { result:receive(), event.kind, event.from == pid, event.result.value, (process.send(pid, "x", 1)) }
""")
    )
    async with app(text) as running:
        assert await run(running) == ["there and back", "pid.exit", True, "there and back"]
        quiet(running)


async def test_an_update_is_used_by_the_next_call_and_running_calls_finish(app: OpenApp, autojump_clock: Any) -> None:
    text = """
- name: lib
  kind: library.lua
  source: return {{ v = "{lib}" }}
- name: f
  kind: function.lua
  modules: [time]
  imports: {{ lib: app:lib }}
  source: |
    return function(wait)
      if wait then require("time").sleep(wait) end
      return "{own} " .. require("lib").v
    end
""" + (HOST + MANY).replace("{", "{{").replace("}", "}}")

    async def change(running: Any, **versions: str) -> None:
        known = running.registry
        new = [entry for entry in entries_of(text.format(**versions)) if known.get(entry.id).data != entry.data]
        await known.apply([Change.update(entry) for entry in new])

    async with app(text.format(lib="1", own="a")) as running:
        assert await run(running, 1, name="many") == ["a 1"]
        got: list[str] = []
        async with trio.open_nursery() as nursery:

            async def slow() -> None:
                got.extend(await run(running, 1, "5s", name="many"))

            nursery.start_soon(slow)
            await trio.sleep(1)
            await change(running, lib="2", own="a")
            assert await run(running, 1, name="many") == ["a 2"]
        assert got == ["a 1"]
        await change(running, lib="2", own="b")
        assert await run(running, 1, name="many") == ["b 2"]
        await running.registry.apply([Change.delete(EntryId("app", "f"))])
        assert await run(running, 1, name="many") == ["NotFound"]


async def test_a_vm_that_fails_gives_its_workers_back(app: OpenApp, autojump_clock: Any) -> None:
    async with app(HOST + COUNTER.format(pool="type: lazy, max_size: 2") + MANY) as running:
        await run(running, 2, "1s", name="many")
        shard = next(shard for shard in running.runtime.engine._shards if shard.name == "app:host")
        shard._collapse(MemoryError("not enough memory"))
        assert pool_of(running).inside.held_count == 0
        assert await run(running, 2, "1s", name="many") == [1, 1]


async def test_where_the_caller_waits_can_be_seen(app: OpenApp, autojump_clock: Any) -> None:
    text = HOST + CHAIN + caller("local v = funcs.call('app:deep', 1, 'hang') return v")
    async with app(text) as running:
        pid = await running.spawn("app:caller", "app:host")
        await trio.sleep(1)
        told = details(running.runtime, pid)
        assert (told["waits"], told["line"]) == ("funcs.call", "app:caller:3")
        process = running.runtime.processes.find(pid)
        process.terminate_now(LuaError("enough"))


async def test_a_handler_that_cannot_wait_gets_an_error(app: OpenApp, autojump_clock: Any) -> None:
    body = """
local told
xpcall(function() error("x") end, function() local _, e = pcall(funcs.call, "app:deep", 0) told = tostring(e) end)
return told
"""
    async with app(HOST + CHAIN + caller(body)) as running:
        assert "attempt to wait (funcs.call) inside a callback" in await run(running)
        quiet(running)
