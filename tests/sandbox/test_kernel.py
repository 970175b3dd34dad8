"""Actors, tasks, coroutines, commands, budgets and workers of one VM."""

from __future__ import annotations

import pytest

from tests.sandbox.kernel_base import LOOK_S, Bench
from wippy_trio.core.errors import LuaError


@pytest.fixture
def bench() -> Bench:
    return Bench()


# commands -------------------------------------------------------------------------------------------------------------
def test_a_waiting_operation_parks_its_task_only(bench: Bench) -> None:
    actor = bench.start("""
        local log = {}
        coroutine.spawn(function() log[#log + 1] = "other ran" end)
        local a, b = t.wait("x")
        log[#log + 1] = a .. b
        return log
    """)
    bench.settle()
    assert bench.waiting == {(actor, 1): ["x"]}
    bench.answer(actor, "1", "2")
    assert bench.ended[actor] == (True, ["other ran", "12"])


def test_errors_of_operations_are_returned(bench: Bench) -> None:
    def fail(*_: object) -> object:
        raise LuaError("no", kind="Conflict")

    bench.now = fail
    assert bench.run("local v, e = t.now() return { v == nil, e:kind() }") == [True, "Conflict"]
    actor = bench.start("local v, e = t.wait() return { v == nil, e:message(), e:kind() }")
    bench.settle()
    bench.answer(actor, error=LuaError("late", kind="Timeout"))
    assert bench.ended[actor] == (True, [True, "late", "Timeout"])


def test_an_asynchronous_operation_answers_on_a_channel(bench: Bench) -> None:
    actor = bench.start("""
        local ch, id = t.begin(1)
        local bad = t.begin(2)
        local v, open = ch:receive()
        local _, still = ch:receive()
        local e = bad:receive()
        return { v, open, still, math.type(id), e:message() }
    """)
    bench.settle()
    bench.answer(actor, "value", "second is dropped")
    bench.answer(actor, error=LuaError("no"))
    assert bench.ended[actor] == (True, ["value", True, False, "integer", "no"])


def test_cancelling_names_the_command_once_it_waits(bench: Bench) -> None:
    actor = bench.start("local ch, id = t.begin() local a = t.cancel(id) ch:receive() return { a, t.cancel(id), t.cancel(99) }")
    bench.settle()
    assert bench.cancelled == [(actor, 1)]
    bench.answer(actor, error=LuaError("canceled"))
    assert bench.ended[actor] == (True, [True, False, False])


def test_answers_to_commands_of_an_earlier_call_are_dropped(bench: Bench) -> None:
    worker = bench.open("return { main = function(n) if n == 1 then t.begin('old') return 1 end return t.wait('new') end }")
    assert bench.call(worker, "{f|1}", 1) == (True, 1)
    [old] = bench.waiting
    del bench.waiting[old]
    bench.vm.call(worker, b"{f|2}", b"\x91\x02")
    bench.settle()
    bench.vm.resolve(*old, 0, b"\x91\xa4evil")
    bench.settle()
    assert worker not in bench.ended
    bench.answer(worker, "good")
    assert bench.ended[worker] == (True, "good")
    bench.vm.resolve(12345, 1, 0, b"\x90")  # nobody


def test_sources_are_bounded_and_tell_when_they_have_room(bench: Bench) -> None:
    actor = bench.start("""
        local ch, id = t.source(2)
        t.wait(id)
        local out = {}
        for v in function() return (ch:receive()) end do out[#out + 1] = v end
        return out
    """)
    bench.settle()
    [[source]] = bench.waiting.values()
    assert [bench.vm.feed(actor, source, bytes([at])) for at in range(1, 4)] == [0, 0, 2]
    bench.answer(actor)
    assert bench.drained == [(actor, source)]
    assert bench.vm.feed(actor, source, b"\x03") == 0
    bench.vm.close_feed(actor, source)
    bench.settle()
    assert bench.ended[actor] == (True, [1, 2, 3])
    assert bench.vm.feed(actor, source, b"\x04") == 1


@pytest.mark.slow
def test_commands_of_one_actor_are_bounded() -> None:
    assert Bench(cpu_s=1e9, memory_bytes=512 << 20).run("""
        local n, e = 0
        repeat local ok ok, e = pcall(t.begin) n = n + 1 until not ok
        return { n, tostring(e):match("too many operations are waited for in this process %(limit %d+%)") }
    """) == [100_001, "too many operations are waited for in this process (limit 100000)"]


@pytest.mark.slow
def test_tasks_of_one_actor_are_bounded() -> None:
    assert Bench(cpu_s=1e9, memory_bytes=512 << 20).run("""
        local n = 0
        local ok, e repeat ok, e = pcall(coroutine.spawn, function() end) n = n + 1 until not ok
        return { n, tostring(e):match("too many coroutines in this process") }
    """) == [100_000, "too many coroutines in this process"]


# coroutines -----------------------------------------------------------------------------------------------------------
def test_waiting_inside_user_coroutines(bench: Bench) -> None:
    actor = bench.start("""
        local gen = coroutine.wrap(function(first)
          local got = t.wait(first)
          local second = coroutine.yield(got)
          coroutine.yield(t.wait(second))
          return "end"
        end)
        return { gen("a"), gen("b"), gen() }
    """)
    bench.settle()
    bench.answer(actor, "A")
    assert list(bench.waiting.values()) == [["b"]]
    bench.answer(actor, "B")
    assert bench.ended[actor] == (True, ["A", "B", "end"])


def test_waiting_in_nested_coroutines_and_protected_calls(bench: Bench) -> None:
    actor = bench.start("""
        local function deep(n) if n == 0 then return t.wait() end
          local co = coroutine.create(function() local ok, v = pcall(deep, n - 1) return v end)
          local _, v = coroutine.resume(co)
          return v
        end
        return deep(20)
    """)
    bench.settle()
    bench.answer(actor, "through")
    assert bench.ended[actor] == (True, "through")


def test_a_coroutine_in_which_a_task_waits_belongs_to_that_task(bench: Bench) -> None:
    actor = bench.start("""
        local co, out = nil, {}
        co = coroutine.create(function() out[1] = t.wait() end)
        coroutine.spawn(function() out[2], out[3] = coroutine.resume(co, "evil") out[4] = coroutine.status(co) end)
        out[5] = coroutine.resume(co)
        return out
    """)
    bench.settle()
    bench.answer(actor, "good")
    assert bench.ended[actor] == (True, ["good", False, "cannot resume non-suspended coroutine", "normal", True])


def test_tasks_of_the_scheduler_cannot_be_resumed(bench: Bench) -> None:
    assert bench.run("""
        local task = coroutine.spawn(function() coroutine.yield() end)
        local ok, e = coroutine.resume(task)
        return { type(task), ok, e }
    """) == ["thread", False, "cannot resume a task of the scheduler"]


def test_spawned_tasks_get_their_arguments(bench: Bench) -> None:
    assert bench.run("""
        local ch = channel.new(1)
        coroutine.spawn(function(a, b, c) ch:send({ a, b == nil, c }) end, 1, nil, 3)
        return (ch:receive())
    """) == [1, True, 3]


def test_an_uncaught_error_in_any_task_ends_the_actor(bench: Bench) -> None:
    with pytest.raises(LuaError, match="app:main:1: boom"):
        bench.run("coroutine.spawn(function() error('boom') end) channel.new():receive()")


def test_an_actor_ends_with_its_main_task(bench: Bench) -> None:
    assert bench.run("coroutine.spawn(function() while true do coroutine.yield() end end) return 'over'") == "over"
    assert bench.turn() is False


# budgets --------------------------------------------------------------------------------------------------------------
NEVER_WAITS = {
    "loop": "while true do end",
    "pcall": "while true do pcall(function() while true do end end) end",
    "nested pcall": "local function f() while true do pcall(f) end end f()",
    "coroutines": "while true do coroutine.wrap(function() end)() end",
    "inside a coroutine": "coroutine.wrap(function() while true do end end)()",
    "resume ping-pong": "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
    "yielding": "while true do coroutine.yield() end",
    "host calls": "while true do t.now() end",
    "guarded host calls": "while true do pcall(t.now) end",
    "task chain": "local function f() coroutine.spawn(f) end f() channel.new():receive()",
    "tasks that wake each other": """
        local a, b = channel.new(), channel.new()
        coroutine.spawn(function() while true do a:send(b:receive()) end end)
        while true do b:send(1) a:receive() end""",
    "own mailbox": "local inbox = t.inbox() while true do t.send(t.pid(), 'm', 1) inbox:receive() end",
    "own topic": "local ch = t.listen('x') while true do t.send(t.pid(), 'x', 1) ch:receive() end",
    "errors": "while true do pcall(error, 'x') end",
    "metamethods": "local m = setmetatable({}, { __index = function(s, k) return s[k + 1] end }) while true do pcall(function() return m[1] end) end",
    "patterns": "local s = ('a'):rep(2000) while true do s:find('.-.-.-b') end",
    "sort": "while true do table.sort({ 3, 1, 2 }, function(a, b) return a < b end) end",
    "string growth": "local s = 'x' while true do s = (s .. s):sub(1, 100000) end",
    "repeated strings": "while true do local s = ('x'):rep(100000) end",
    "formatting": "while true do local s = string.format('%99d', 1) end",
    "concatenation": "local t = {} for i = 1, 300 do t[i] = 'x' end while true do table.concat(t) end",
    "recursion": "local function f() return 1 + f() end while true do pcall(f) end",
    "recursion near the end of the stack": """
        local function g() return 1 + g() end
        local function f(n) if n > 150000 then while true do pcall(g) end end return 1 + f(n + 1) end
        f(0)""",
    "nested handlers": "local function f() while true do xpcall(f, f) end end f()",
    "nested wraps": "local function f() while true do pcall(coroutine.wrap(f)) end end f()",
    "large copies": "local t = {} for i = 1, 1000 do t[i] = i end while true do require('t').encode(t) require('t').copy(t) end",
    "empty tables with room": "local t = {} for i = 1, 1000 do t[i] = 1 end for i = 1, 1000 do t[i] = nil end while true do next(t) end",
    "handlers": "while true do xpcall(error, function() while true do end end) end",
}


@pytest.mark.parametrize("body", NEVER_WAITS.values(), ids=list(NEVER_WAITS))
def test_what_never_waits_is_killed_and_a_neighbour_goes_on(body: str) -> None:
    bench = Bench(cpu_s=0.001)
    neighbour = bench.start("local inbox = t.inbox() while true do local m = inbox:receive() t.wait(m:payload():data()) end")
    actor = bench.start(body)
    said = 0
    for _ in range(30_000):
        more = bench.turn()
        if actor in bench.ended:
            break
        assert more, "it waits"
        if not [key for key in bench.waiting if key[0] == neighbour]:
            said += 1
            bench.vm.deliver(neighbour, b"m", b"", bytes([0x91, said % 100]))
        else:
            key = bench.waiting.popitem()[0]
            bench.vm.resolve(*key, 0, b"\x90")
    ok, error = bench.ended[actor]
    assert not ok
    assert error.kind == "Internal"
    assert "CPU limit exceeded" in error.message
    assert neighbour not in bench.ended
    bench.settle()
    assert bench.deliver(neighbour, "m", "still here") == 0


def test_a_loop_that_is_sent_messages_is_killed_all_the_same() -> None:
    bench = Bench(cpu_s=0.02, mailbox=100_000)
    actor = bench.start("t.inbox() while true do end")
    source_fed = bench.start("local ch, id = t.source(1000000) t.wait(id) while true do end")
    bench.turn()
    for _ in range(20_000):
        bench.vm.deliver(actor, b"m", b"", b"\x91\x01")
        bench.vm.event(actor, b"\x82\xa4kind\xaapid.cancel\xa4from\xa0")
        for key in list(bench.waiting):
            del bench.waiting[key]
            bench.vm.resolve(*key, 0, b"\x90")
        bench.vm.feed(source_fed, 1, b"\x01")
        bench.turn()
        if len(bench.ended) == 2:
            break
    assert [bench.ended[key][0] for key in (actor, source_fed)] == [False, False]


def test_who_gets_bounded_things_done_is_no_runaway_but_gives_way() -> None:
    bench = Bench(cpu_s=0.02)
    busy = bench.start("while true do t.progress() for i = 1, 1000 do end end")
    neighbour = bench.start("for i = 1, 20 do coroutine.yield() end return 'done'")
    for _ in range(100):
        bench.turn()
    assert bench.ended == {neighbour: (True, "done")}
    assert bench.looks * LOOK_S > 5 * bench.cpu_s
    bench.vm.kill(busy)


def test_a_loop_beside_a_ticking_clock_is_killed() -> None:
    bench = Bench(cpu_s=0.02)
    actor = bench.start("coroutine.spawn(function() while true do t.wait() end end) while true do end")
    for _ in range(20_000):
        bench.turn()
        for key in list(bench.waiting):
            del bench.waiting[key]
            bench.vm.resolve(*key, 0, b"\x90")
        if actor in bench.ended:
            break
    assert "CPU limit exceeded" in bench.ended[actor][1].message


def test_many_busy_tasks_of_one_actor_do_not_keep_the_others_waiting() -> None:
    bench = Bench(cpu_s=1.0)
    bench.start("for i = 1, 100 do coroutine.spawn(function() while true do end end) end while true do end")
    neighbour = bench.start("local n = 0 while n < 20 do n = n + 1 coroutine.yield() end return 1")
    bench.turn()
    before = bench.looks
    while neighbour not in bench.ended:
        bench.turn()
    assert (bench.looks - before) * LOOK_S < 0.25


def test_protected_calls_are_nested_to_a_limit() -> None:
    assert Bench().run("""
        local depth, why = 0, nil
        local function f()
          depth = depth + 1
          local ok, e = pcall(f)
          why = why or e
        end
        f()
        local again = 0
        local function g() again = again + 1 local ok = pcall(g) end
        coroutine.spawn(g)
        for i = 1, 3 do pcall(coroutine.yield) end
        return { depth, why, again }
    """) == [181, "app:main:5: stack overflow (protected calls nested deeper than 180)", 181]


def test_a_kill_is_seen_by_no_program() -> None:
    bench = Bench(cpu_s=0.01)
    actor = bench.start("""
        local caught = {}
        local ok, e = pcall(function() while true do end end)
        caught[1] = e
        local co = coroutine.create(function() while true do end end)
        caught[2] = coroutine.resume(co)
        return caught
    """)
    bench.settle()
    ok, error = bench.ended[actor]
    assert not ok
    assert error.message.startswith("CPU limit exceeded: the code ran 0.01 s without waiting")


def test_resources_of_memory_end_the_actor_that_wants_them() -> None:
    bench = Bench(memory_bytes=8 << 20)
    neighbour = bench.start("local n = 0 while true do n = n + t.wait(n) end")
    bench.settle()
    for hog in (
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(100000) .. #t end) end",
        "local co = coroutine.wrap(function() local t = {} while true do t[#t + 1] = { {} } end end) while true do pcall(co) end",
        "local function f(...) return f(1, ...) end f()",
    ):
        actor = bench.start(hog)
        bench.settle()
        ok, error = bench.ended[actor]
        assert not ok
        assert "memory limit" in error.message or "overflow" in error.message, error.message
        bench.answer(neighbour, 1)
        assert neighbour not in bench.ended


# workers --------------------------------------------------------------------------------------------------------------
def test_a_worker_serves_call_after_call_and_leaks_nothing(bench: Bench) -> None:
    worker = bench.open("""
        local M = {}
        function M.main(n)
          local state = t.state()
          local seen = { state.left, t.traps(), t.pid() }
          state.left = "state"
          t.trap(true)
          local ch = t.listen("x")
          t.source(1)
          coroutine.spawn(function() while true do t.wait() end end)
          local r = channel.select({ ch:case_receive() }, true)
          seen[4] = r.value
          t.send(t.pid(), "x", "leaked message")
          t.send(t.pid(), "y", "leaked too")
          if n == 2 then error("fails") end
          return { seen[1] == nil, seen[2] == nil, seen[3], seen[4] == nil }
        end
        return M
    """)
    assert bench.call(worker, "{f|1}", 1) == (True, [True, True, "{f|1}", True])
    ok, error = bench.call(worker, "{f|2}", 2)
    assert not ok
    assert error.message.endswith("fails")
    assert bench.call(worker, "{f|3}", 3) == (True, [True, True, "{f|3}", True])


def test_a_worker_keeps_its_code_loaded(bench: Bench) -> None:
    worker = bench.open("local n = 0 return { main = function() n = n + 1 return n end }")
    assert [bench.call(worker, f"{{f|{at}}}")[1] for at in range(3)] == [1, 2, 3]


def test_a_killed_worker_does_not_come_back(bench: Bench) -> None:
    bench.cpu_s = 0.01
    worker = bench.open("return { main = function() while true do end end }")
    ok, _ = bench.call(worker, "{f|1}")
    assert not ok
    assert bench.vm.call(worker, b"{f|2}", b"\x90") is False


def test_a_call_that_is_killed_while_it_runs_says_nothing_more(bench: Bench) -> None:
    worker = bench.open("return { main = function() t.now() return 'too late' end }")

    def kill(*_: object) -> object:
        bench.vm.kill(worker)
        return 1

    bench.now = kill
    bench.vm.call(worker, b"{f|1}", b"\x90")
    bench.settle()
    assert not bench.ended


def test_a_method_that_is_not_there(bench: Bench) -> None:
    worker = bench.open("return { other = 1 }")
    ok, error = bench.call(worker, "{f|1}")
    assert not ok
    assert error.kind == "Invalid"
    assert "method 'main' not found in app:u" in error.message


# units ----------------------------------------------------------------------------------------------------------------
def test_a_method_is_returned_or_in_a_table_or_global(bench: Bench) -> None:
    for source in ("return function() return 1 end", "return { main = function() return 1 end }", "function main() return 1 end"):
        assert bench.call(bench.open(source), "{f|1}") == (True, 1)


def test_imports_are_loaded_once_for_an_actor(bench: Bench) -> None:
    library = bench.unit("local M = { n = 0 } function M.up() M.n = M.n + 1 return M.n end return M")
    middle = bench.unit("return { up = require('lib').up }", {"lib": library})
    body = "return { require('lib').up(), mid.up(), lib.n }"
    actors = [bench.start(body, imports={"lib": library, "mid": middle}) for _ in range(2)]
    bench.settle()
    assert [bench.ended[actor] for actor in actors] == [(True, [1, 2, 2])] * 2


def test_who_runs_a_unit_keeps_it_when_it_is_dropped(bench: Bench) -> None:
    library = bench.unit("return { text = 'library' }")
    actor = bench.start("return require('lib').text", imports={"lib": library})
    bench.vm.drop(library)
    bench.settle()
    assert bench.ended[actor] == (True, "library")


def test_require_names_what_is_missing(bench: Bench) -> None:
    with pytest.raises(LuaError, match="module 'nope' not found: list it in the entry's modules or imports"):
        bench.run("require('nope')")
    with pytest.raises(LuaError, match="module '5' not found"):
        bench.run("require(5)")


def test_actors_have_globals_of_their_own(bench: Bench) -> None:
    assert bench.run("leak = 1 return _G.leak") == 1
    assert bench.run("return leak == nil") is True
    assert bench.run("return (pcall(function() string.evil = 1 end))") is False
    assert bench.run("return (pcall(function() require('t').evil = 1 end))") is False


# upgrade --------------------------------------------------------------------------------------------------------------
