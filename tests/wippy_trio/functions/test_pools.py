from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.conftest import OpenApp, entries_of
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId
from wippy_trio.functions.pools import FunctionPool, PoolSettings, function_id
from wippy_trio.registry.changes import Change

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


def pool_of(running: Any, name: str = "app:f") -> FunctionPool:
    found: FunctionPool = running.runtime.functions._pools[EntryId.parse(name)]
    return found


async def call_many(running: Any, count: int, *args: Any) -> list[Any]:
    results: list[Any] = [None] * count

    async def one(at: int) -> None:
        try:
            results[at] = await running.call("app:f", *args)
        except LuaError as error:
            results[at] = error.kind

    async with trio.open_nursery() as nursery:
        for at in range(count):
            nursery.start_soon(one, at)
    return results


@pytest.mark.parametrize(
    ("pool", "settings"),
    [
        ({}, ("lazy", 100, 6400)),
        ({"workers": 3}, ("static", 3, 192)),
        ({"size": 4}, ("static", 4, 256)),
        ({"type": "static"}, ("static", 8, 512)),
        ({"type": "static", "workers": 2, "buffer": 5}, ("static", 2, 5)),
        ({"type": "lazy"}, ("lazy", 16, 1024)),
        ({"type": "adaptive", "max_size": 7}, ("adaptive", 7, 448)),
        ({"max_size": 9}, ("lazy", 9, 576)),
        ({"type": "inline"}, ("inline", 16, 1024)),
    ],
)
def test_settings(pool: dict[str, Any], settings: tuple[str, int, int]) -> None:
    parsed = PoolSettings.parse(Entry(EntryId("app", "f"), "function.lua", {}, {"pool": pool}))
    assert (parsed.kind, parsed.size, parsed.buffer) == settings


@pytest.mark.parametrize(
    ("pool", "text"),
    [
        ([1], "pool must be a map"),
        ({"type": "odd"}, "unknown pool.type 'odd'"),
        ({"workers": -1}, "pool.workers must be a whole number"),
        ({"max_size": 1.5}, "pool.max_size must be a whole number"),
        ({"buffer": True}, "pool.buffer must be a whole number"),
    ],
)
def test_settings_that_are_refused(pool: Any, text: str) -> None:
    with pytest.raises(InvalidError, match=text):
        PoolSettings.parse(Entry(EntryId("app", "f"), "function.lua", {}, {"pool": pool}))


@pytest.mark.parametrize("text", ["", "f", ":f", "app:"])
def test_an_id_without_namespace_or_name(text: str) -> None:
    with pytest.raises(InvalidError, match="invalid function id"):
        function_id(text)


async def test_inline_makes_an_actor_for_each_call(app: OpenApp, autojump_clock: Any) -> None:
    async with app(COUNTER.format(pool="type: inline")) as running:
        assert await call_many(running, 20, "1s") == [1] * 20
        assert await running.call("app:f") == 1
        assert pool_of(running).idle_count == 0
        assert not running.runtime.functions._shard.actors


async def test_lazy_makes_workers_as_needed_and_keeps_them(app: OpenApp, autojump_clock: Any) -> None:
    async with app(COUNTER.format(pool="type: lazy, max_size: 3")) as running:
        assert [await running.call("app:f") for _ in range(3)] == [1, 2, 3]
        assert pool_of(running).idle_count == 1
        began = trio.current_time()
        await call_many(running, 7, "1s")
        assert trio.current_time() - began == 3.0
        assert (pool_of(running).idle_count, pool_of(running).busy_count) == (3, 0)


async def test_static_makes_its_workers_at_the_start_and_bounds_its_queue(app: OpenApp, autojump_clock: Any) -> None:
    async with app(COUNTER.format(pool="type: static, workers: 2, buffer: 3")) as running:
        results = await call_many(running, 7, "1s")
        assert sorted(map(str, results)) == ["1", "1", "2", "2", "3", "RateLimited", "RateLimited"]
        assert pool_of(running).idle_count == 2


async def test_adaptive_lets_idle_workers_go_without_any_traffic(app: OpenApp, autojump_clock: Any) -> None:
    async with app(COUNTER.format(pool="type: adaptive, max_size: 5")) as running:
        await call_many(running, 5, "1s")
        assert pool_of(running).idle_count == 5
        await trio.sleep(20)
        await running.call("app:f")
        await trio.sleep(15)
        assert pool_of(running).idle_count == 1
        await trio.sleep(31)
        assert pool_of(running).idle_count == 0
        assert not running.runtime.functions._shard.actors
        assert await running.call("app:f") == 1


async def test_a_call_that_stops_waiting_for_its_turn_leaves_the_queue(app: OpenApp, autojump_clock: Any) -> None:
    async with app(COUNTER.format(pool="type: static, workers: 1, buffer: 1")) as running:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.call, "app:f", "5s")
            await trio.sleep(1)
            with trio.move_on_after(1):
                await running.call("app:f")
            assert len(pool_of(running)._waiting) == 0
            assert await running.call("app:f") == 2
        assert pool_of(running).busy_count == 0


async def test_a_turn_that_comes_with_the_cancellation_is_passed_on(app: OpenApp, autojump_clock: Any) -> None:
    async with app(COUNTER.format(pool="type: static, workers: 1, buffer: 5")) as running:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.call, "app:f", "2s")
            await trio.sleep(1)
            for limit_s in (1.0, 1.0, 9.0):

                async def impatient(limit_s: float = limit_s) -> None:
                    with trio.move_on_after(limit_s):
                        await running.call("app:f", "1s")

                nursery.start_soon(impatient)
        assert (pool_of(running).busy_count, len(pool_of(running)._waiting)) == (0, 0)
        assert isinstance(await running.call("app:f"), int)


async def test_a_cancelled_call_ends_its_worker(app: OpenApp, autojump_clock: Any) -> None:
    async with app(COUNTER.format(pool="type: lazy, max_size: 1")) as running:
        assert await running.call("app:f") == 1
        with trio.move_on_after(1) as scope:
            await running.call("app:f", "5s")
        assert scope.cancelled_caught
        assert pool_of(running).idle_count == 0
        assert not running.runtime.functions._shard.actors
        assert await running.call("app:f") == 1
        assert pool_of(running).busy_count == 0


async def test_a_failed_call_keeps_its_worker(app: OpenApp, autojump_clock: Any) -> None:
    entry = """
    - name: f
      kind: function.lua
      source: local n = 0 return function(fail) n = n + 1 if fail then error("no") end return n end
    """
    async with app(entry) as running:
        assert await call_many(running, 1, True) == ["Internal"]
        assert await running.call("app:f", False) == 2


async def test_nothing_of_a_call_reaches_the_next(app: OpenApp, autojump_clock: Any) -> None:
    entry = """
    - name: f
      kind: function.lua
      modules: [ctx, time]
      source: |
        return function(first)
          local ctx = require("ctx")
          local inbox, options = process.inbox(), process.get_options()
          local out = { ctx = ctx.get("user") or "none", options = options.trap_links }
          local r = channel.select({ inbox:case_receive() }, true)
          out.message = r.value and r.value:payload():data() or "none"
          if first then
            process.set_options({ trap_links = true })
            process.send(process.pid(), "late", "leaked")
            process.send(process.pid(), "late", "leaked")
            coroutine.spawn(function() while true do require("time").sleep("1ms") end end)
          end
          out.message = r.value and r.value:payload():data() or "none"
          out.pid = process.pid()
          return out
        end
    """
    async with app(entry) as running:
        first = await running.call("app:f", True, frame=Frame(values={"user": "ann"}))
        second = await running.call("app:f", False)
        assert first == {"ctx": "ann", "options": False, "message": "none", "pid": first["pid"]}
        assert second == {"ctx": "none", "options": False, "message": "none", "pid": second["pid"]}
        assert first["pid"] != second["pid"]
        assert running.runtime.processes.pids() == []


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
    """

    async def change(running: Any, **versions: str) -> None:
        known = running.registry
        new = [entry for entry in entries_of(text.format(**versions)) if known.get(entry.id).data != entry.data]
        await known.apply([Change.update(entry) for entry in new])

    async with app(text.format(lib="1", own="a")) as running:
        assert await running.call("app:f") == "a 1"
        got: list[str] = []
        async with trio.open_nursery() as nursery:

            async def slow() -> None:
                got.append(await running.call("app:f", "5s"))

            nursery.start_soon(slow)
            await trio.sleep(1)
            await change(running, lib="2", own="a")
            assert await running.call("app:f") == "a 2"
        assert got == ["a 1"]
        await change(running, lib="2", own="b")
        assert await running.call("app:f") == "b 2"


async def test_units_of_old_versions_are_forgotten(app: OpenApp, autojump_clock: Any) -> None:
    async with app(COUNTER.format(pool="type: lazy")) as running:
        shard = running.runtime.functions._shard
        for version in range(5):
            await running.call("app:f")
            [new] = entries_of(COUNTER.format(pool="type: lazy").replace("calls = 0", f"calls = {version * 10}"))
            running.runtime.engine.add_entry(new)
        assert await running.call("app:f") == 41
        assert len(shard._units) == 1
