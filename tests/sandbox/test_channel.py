from __future__ import annotations

import pytest

from tests.sandbox.kernel_base import Bench
from wippy_trio.core.errors import LuaError


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_capacity_is_a_whole_number_of_at_least_zero(bench: Bench) -> None:
    assert bench.run("""
        local out = {}
        for i, size in ipairs({ -3, 0, 2, 2.9 }) do
          local ch, n = channel.new(size), 0
          local function fits() return not channel.select({ ch:case_send(1) }, true).default end
          while fits() do n = n + 1 end
          out[i] = n
        end
        return out
    """) == [0, 0, 2, 2]
    with pytest.raises(LuaError, match=r"bad argument #1 to new \(number expected, got string\)"):
        bench.run("channel.new('x')")


def test_buffered_values_stay_receivable_after_close(bench: Bench) -> None:
    assert bench.run("""
        local ch = channel.new(2)
        ch:send("a") ch:send(nil) ch:close() ch:close()
        local a, oka = ch:receive()
        local b, okb = ch:receive()
        local c, okc = ch:receive()
        return { a, oka, b == nil, okb, c == nil, okc }
    """) == ["a", True, True, True, True, False]


def test_send_on_a_closed_channel_is_raised(bench: Bench) -> None:
    assert bench.run("""
        local ch, later = channel.new(1), channel.new()
        ch:close()
        local _, direct = pcall(ch.send, ch, 1)
        local _, chosen = pcall(channel.select, { ch:case_send(1) })
        local waited, selected
        coroutine.spawn(function() _, waited = pcall(later.send, later, 1) end)
        coroutine.spawn(function() _, selected = pcall(channel.select, { later:case_send(1) }) end)
        coroutine.yield()
        later:close()
        coroutine.yield()
        local out = {}
        for i, e in ipairs({ direct, chosen, waited, selected }) do out[i] = tostring(e):match("send on closed channel") end
        return out
    """) == ["send on closed channel"] * 4


def test_a_waiting_receiver_is_woken_by_close(bench: Bench) -> None:
    assert bench.run("""
        local ch, seen = channel.new(), {}
        coroutine.spawn(function() seen[1], seen[2] = ch:receive() end)
        coroutine.spawn(function() local r = channel.select({ ch:case_receive() }) seen[3], seen[4] = r.value, r.ok end)
        coroutine.yield() ch:close() coroutine.yield()
        return { seen[1] == nil, seen[2], seen[3] == nil, seen[4] }
    """) == [True, False, True, False]


def test_order_is_fifo_for_values_senders_and_receivers(bench: Bench) -> None:
    assert bench.run("""
        local ch, got, log = channel.new(1), {}, {}
        for i = 1, 4 do coroutine.spawn(function() ch:send(i) log[#log + 1] = "s" .. i end) end
        coroutine.yield()
        for i = 1, 4 do got[i] = ch:receive() end
        coroutine.yield()
        local other, order = channel.new(), {}
        for i = 1, 3 do coroutine.spawn(function() local v = other:receive() order[#order + 1] = i .. v end) end
        coroutine.yield()
        for _, v in ipairs({ "a", "b", "c" }) do other:send(v) end
        coroutine.yield()
        return { table.concat(got), table.concat(log), table.concat(order) }
    """) == ["1234", "s1s2s3s4", "1a2b3c"]


def test_values_are_passed_by_reference(bench: Bench) -> None:
    assert bench.run("""
        local ch, t = channel.new(1), {}
        ch:send(t)
        return rawequal(ch:receive(), t)
    """)


def test_identity_and_type(bench: Bench) -> None:
    assert bench.run("""
        local ch = channel.new()
        local r = channel.select({ ch:case_receive() }, true)
        local other = channel.new(1)
        other:send(1)
        return { ch == ch, ch ~= channel.new(), type(ch), tostring(ch), r.default, r.ok,
          r.channel == nil, channel.select({ other:case_receive() }).channel == other }
    """) == [True, True, "userdata", "channel", True, True, True, True]


def test_select_takes_the_first_ready_case_in_order(bench: Bench) -> None:
    assert bench.run("""
        local a, b, room = channel.new(1), channel.new(1), channel.new(1)
        a:send("a") b:send("b")
        local first = channel.select({ b:case_receive(), a:case_receive() }).value
        local sent = channel.select({ room:case_send("s"), a:case_receive() })
        return { first, sent.value, sent.ok, sent.channel == room, (a:receive()), (room:receive()) }
    """) == ["b", "s", True, True, "a", "s"]


def test_select_default_as_argument_or_key_and_strangers_in_the_list(bench: Bench) -> None:
    assert bench.run("""
        local ch = channel.new()
        return {
          channel.select({ ch:case_receive() }, true).default,
          channel.select({ ch:case_receive(), default = true }).default,
          channel.select({ 1, "x", {}, ch }, true).default,
          channel.select({}, true).default,
        }
    """) == [True] * 4
    with pytest.raises(LuaError, match="table expected"):
        bench.run("channel.select(1)")


def test_an_empty_select_waits_for_ever(bench: Bench) -> None:
    actor = bench.start("channel.select({}) return 'woken'")
    bench.settle()
    assert actor not in bench.ended


def test_a_select_waits_for_either_side(bench: Bench) -> None:
    assert bench.run("""
        local ins, outs, done = channel.new(), channel.new(), channel.new()
        coroutine.spawn(function()
          for _ = 1, 2 do
            local r = channel.select({ ins:case_receive(), outs:case_send("out") })
            done:send((r.channel == ins and "in " or "out ") .. r.value)
          end
        end)
        coroutine.yield()
        local got = outs:receive()
        local first = done:receive()
        ins:send("x")
        return { got, first, (done:receive()) }
    """) == ["out", "out out", "in x"]


def test_a_decided_select_leaves_no_waiter_behind(bench: Bench) -> None:
    """A waiter of a select that was decided elsewhere takes no value, and a silent channel does not grow."""
    assert bench.run("""
        local never, tick = channel.new(), channel.new(1)
        for i = 1, 5000 do
          coroutine.spawn(function() tick:send(i) end)
          local r = channel.select({ never:case_receive(), never:case_send("lost"), tick:case_receive() })
          if r.channel ~= tick or r.value ~= i then return "wrong" end
        end
        local got
        coroutine.spawn(function() got = never:receive() end)
        coroutine.yield()
        never:send("for the one that waits")
        coroutine.yield()
        return got
    """) == "for the one that waits"


def test_waiters_of_finished_selects_are_swept() -> None:
    bench = Bench(memory_bytes=8 << 20)
    assert bench.run("""
        local never, tick = channel.new(), channel.new()
        coroutine.spawn(function()
          while true do channel.select({ never:case_send(string.rep("x", 999)), tick:case_receive(), never:case_receive() }) end
        end)
        for i = 1, 20000 do tick:send(i) end
        return "fits"
    """) == "fits"


def test_methods_refuse_what_is_no_channel(bench: Bench) -> None:
    assert bench.run("""
        local ch, out = channel.new(1), {}
        for _, name in ipairs({ "send", "receive", "close", "case_send", "case_receive" }) do
          local _, e = pcall(ch[name], {})
          out[#out + 1] = tostring(e):match("bad argument #1 to " .. name) and name
        end
        return out
    """) == ["send", "receive", "close", "case_send", "case_receive"]


def test_waiting_where_nothing_can_wait_is_an_error_and_loses_nothing(bench: Bench) -> None:
    assert bench.run("""
        local ch, out = channel.new(), {}
        local function wait_in_handler(f)
          xpcall(function() error("x") end, function() local _, e = pcall(f) out[#out + 1] = tostring(e):match("attempt to wait") end)
        end
        wait_in_handler(function() ch:receive() end)
        wait_in_handler(function() ch:send(1) end)
        wait_in_handler(function() channel.select({ ch:case_receive() }) end)
        coroutine.spawn(function() out[4] = ch:receive() end)
        coroutine.yield()
        ch:send("kept")
        coroutine.yield()
        return out
    """) == ["attempt to wait", "attempt to wait", "attempt to wait", "kept"]


def test_waiting_inside_callbacks_of_the_library(bench: Bench) -> None:
    assert bench.run("""
        local ch, t = channel.new(), { 3, 1, 2 }
        coroutine.spawn(function() while true do ch:send("") end end)
        table.sort(t, function(a, b) ch:receive() return a < b end)
        return { t, (string.gsub("abc", ".", function(c) return c .. ch:receive() end)) }
    """) == [[1, 2, 3], "abc"]


def test_channels_do_not_cross_actors(bench: Bench) -> None:
    assert bench.run("return { ch = channel.new(), x = 1 }") == {"x": 1}


def test_an_object_keeps_its_state_to_itself(bench: Bench) -> None:
    assert bench.run("""
        local ch = channel.new(1)
        return { (pcall(function() ch.cap = 9 end)), (pcall(pairs, ch)), (pcall(next, ch)), ch.cap == nil, not getmetatable(ch) }
    """) == [False, False, False, True, True]
