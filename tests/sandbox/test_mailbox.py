"""Mailboxes: topics, inbox, events, bounds and back-pressure (spec lua/process, system/processes)."""

from __future__ import annotations

import pytest

from tests.sandbox.kernel_base import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def ended(bench: Bench, actor: int) -> object:
    ok, value = bench.ended[actor]
    assert ok, value
    return value


def test_a_listener_comes_before_the_inbox(bench: Bench) -> None:
    actor = bench.start("""
        local inbox, jobs = t.inbox(), t.listen("job")
        local out = {}
        for i = 1, 3 do
          local r = channel.select({ inbox:case_receive(), jobs:case_receive() })
          if r.channel == jobs then out[i] = "job " .. r.value else out[i] = r.value:topic() .. " " .. r.value:payload():data() end
        end
        return out
    """)
    bench.settle()
    for topic in ("job", "other", "job"):
        bench.deliver(actor, topic, topic[0])
    assert ended(bench, actor) == ["job j", "other o", "job j"]


def test_messages_wait_for_whoever_listens_later(bench: Bench) -> None:
    actor = bench.start("""
        t.wait()
        local late = t.listen("late")
        local first, second = late:receive(), late:receive()
        local inbox = t.inbox()
        local m = inbox:receive()
        return { first, second, m:topic(), m:payload():data(), m:from() }
    """)
    bench.settle()
    bench.deliver(actor, "late", 1)
    bench.deliver(actor, "early", 2, source="{p|9}")
    bench.deliver(actor, "late", 3)
    bench.answer(actor)
    assert ended(bench, actor) == [1, 3, "early", 2, "{p|9}"]


def test_reserved_topics_never_reach_the_inbox(bench: Bench) -> None:
    actor = bench.start("local inbox = t.inbox() return inbox:receive():topic()")
    bench.settle()
    bench.deliver(actor, "@future:1", 1)
    assert actor not in bench.ended
    bench.deliver(actor, "plain", 1)
    assert ended(bench, actor) == "plain"


def test_payloads_of_a_message(bench: Bench) -> None:
    actor = bench.start("""
        local inbox = t.inbox()
        local none, one, many = inbox:receive(), inbox:receive(), inbox:receive()
        local list = many:payload()
        return { none:payload() == nil, one:payload():data(), one:payload():get_format(), #list, list[2]:data(),
          tostring(one), tostring(one:payload()), type(one) }
    """)
    bench.settle()
    bench.deliver(actor, "m")
    bench.deliver(actor, "m", {"a": 1})
    bench.deliver(actor, "m", 1, 2, 3)
    assert ended(bench, actor) == [
        True, {"a": 1}, "lua/any", 3, 2, "message{topic=m}", "payload{lua/any}", "userdata",
    ]  # fmt: skip


def test_listen_gives_values_or_messages(bench: Bench) -> None:
    actor = bench.start("""
        local raw = t.listen("raw")
        local same = t.listen("raw")
        local whole = t.listen("whole", { message = true })
        local one, many, m = raw:receive(), raw:receive(), whole:receive()
        t.listen("raw", { message = true })
        local switched = raw:receive()
        return { rawequal(raw, same), one, many, m:from(), m:payload():data(), switched:payload():data() }
    """)
    bench.settle()
    bench.deliver(actor, "raw", 1)
    bench.deliver(actor, "raw", 2, 3)
    bench.deliver(actor, "whole", 4, source="{p|5}")
    bench.deliver(actor, "raw", 6)
    assert ended(bench, actor) == [True, 1, [2, 3], "{p|5}", 4, 6]


def test_listen_refuses_empty_and_reserved_topics(bench: Bench) -> None:
    assert bench.run("""
        local out = {}
        for i, topic in ipairs({ "", "@x", 5 }) do
          local ch, e = t.listen(topic)
          out[i] = tostring(ch) .. " " .. e:kind()
        end
        return out
    """) == ["nil Invalid"] * 3


def test_unlisten_closes_the_channel_once(bench: Bench) -> None:
    actor = bench.start("""
        local ch = t.listen("x")
        t.wait()
        local done = t.unlisten(ch)
        local again, e = t.unlisten(ch)
        local v, ok = ch:receive()
        local gone, open = ch:receive()
        local _, wrong = pcall(t.unlisten, {})
        local inbox = t.inbox()
        return { done, again, e:kind(), v, ok, gone == nil, open, tostring(wrong):match("channel expected"),
          inbox:receive():payload():data() }
    """)
    bench.settle()
    bench.deliver(actor, "x", "kept")
    bench.answer(actor)
    bench.deliver(actor, "x", "to the inbox")
    assert ended(bench, actor) == [True, False, "NotFound", "kept", True, True, False, "channel expected", "to the inbox"]


def test_subscribe_puts_a_topic_into_a_channel_of_ones_own(bench: Bench) -> None:
    actor = bench.start("""
        t.wait()
        local ch = channel.new(2)
        local ok, again = subscribe("x", ch), subscribe("x", ch)
        local no, e = subscribe("x", channel.new())
        local out = { ok, again, e:kind(), (ch:receive()), (ch:receive()), unsubscribe("x"), unsubscribe("x") }
        return out
    """)
    bench.settle()
    bench.deliver(actor, "x", 1)
    bench.answer(actor)
    bench.deliver(actor, "x", 2)
    assert ended(bench, actor) == [True, True, "AlreadyExists", 1, 2, True, False]


# bounds ---------------------------------------------------------------------------------------------------------------
def test_a_full_mailbox_refuses_the_host_and_says_when_it_has_room(bench: Bench) -> None:
    bench.mailbox = 3
    actor = bench.start("t.wait() local inbox, out = t.inbox(), {} for i = 1, 4 do out[i] = inbox:receive():payload():data() end return out")
    bench.settle()
    assert [bench.deliver(actor, "m", at) for at in range(5)] == [0, 0, 0, 2, 2]
    assert bench.vm.want_room(actor)
    bench.answer(actor)
    assert bench.drained == [(actor, 0)]
    assert bench.deliver(actor, "m", 3) == 0
    assert ended(bench, actor) == [0, 1, 2, 3]
    assert bench.deliver(actor, "m", 9) == 1
    assert not bench.vm.want_room(actor)


def test_a_sender_waits_for_room_and_nothing_is_lost_or_reordered(bench: Bench) -> None:
    bench.mailbox = 4
    receiver = bench.start("""
        t.wait()
        local inbox, last, n = t.inbox(), {}, 0
        while n < 3000 do
          local m = inbox:receive()
          local v = m:payload():data()
          if v ~= (last[m:from()] or 0) + 1 then return "out of order" end
          last[m:from()] = v
          n = n + 1
        end
        return n
    """)
    senders = [bench.start("for i = 1, 1000 do if not t.send(..., 'm', i) then return 'refused' end end return 'sent'",
                           f"{{p|{receiver}}}") for _ in range(3)]  # fmt: skip
    bench.settle()
    assert not bench.ended  # all wait: the mailbox is full
    bench.answer(receiver)
    assert ended(bench, receiver) == 3000
    assert [ended(bench, sender) for sender in senders] == ["sent"] * 3


def test_whoever_waits_for_room_is_woken_by_the_end_of_the_receiver(bench: Bench) -> None:
    bench.mailbox = 1
    receiver = bench.start("t.wait()")
    sender = bench.start("local a = t.send(..., 'm', 1) local b = t.send(..., 'm', 2) return { a, b }", f"{{p|{receiver}}}")
    bench.settle()
    bench.vm.kill(receiver)
    bench.settle()
    assert ended(bench, sender) == [True, False]


def test_the_end_of_a_call_wakes_who_waits_for_room_in_its_mailbox(bench: Bench) -> None:
    bench.mailbox = 1
    worker = bench.open("return { main = function() t.wait() return 'over' end }")
    bench.vm.call(worker, b"{f|1}", b"\x90")
    sender = bench.start("local a = t.send('{f|1}', 'm', 1) local b = t.send('{f|1}', 'm', 2) return { a, b }")
    bench.settle()
    bench.answer(worker)
    assert ended(bench, worker) == "over"
    assert ended(bench, sender) == [True, False]


def test_a_dead_waiter_does_not_take_the_room_of_a_living_one(bench: Bench) -> None:
    bench.mailbox = 1
    receiver = bench.start("t.wait() local inbox = t.inbox() local a, b = inbox:receive(), inbox:receive() return b:payload():data()")
    full = bench.start("return t.send(..., 'm', 0)", f"{{p|{receiver}}}")
    dies, lives = (bench.start("return t.send(..., 'm', select(2, ...))", f"{{p|{receiver}}}", n) for n in (1, 2))
    bench.settle()
    assert ended(bench, full) is True
    bench.vm.kill(dies)
    bench.answer(receiver)
    assert ended(bench, receiver) == 2
    assert ended(bench, lives) is True


def test_dropping_a_topic_makes_room(bench: Bench) -> None:
    bench.mailbox = 2
    receiver = bench.start("local ch = t.listen('m') t.wait() t.unlisten(ch) t.wait()")
    bench.settle()
    sender = bench.start("for i = 1, 4 do t.send(..., i < 3 and 'm' or 'other', i) end return 'sent'", f"{{p|{receiver}}}")
    bench.settle()
    assert sender not in bench.ended
    bench.answer(receiver)
    assert ended(bench, sender) == "sent"


def test_an_actor_cannot_wait_for_room_in_its_own_mailbox(bench: Bench) -> None:
    bench.mailbox = 2
    assert bench.run("""
        local out = {}
        for i = 1, 3 do out[i] = t.send(t.pid(), "m", i) end
        return out
    """) == [True, True, False]


def test_what_a_program_sends_into_its_own_topic_counts_once(bench: Bench) -> None:
    bench.mailbox = 3
    actor = bench.start("""
        local ch = t.listen("x")
        for i = 1, 50 do ch:send(i) ch:receive() end
        t.wait()
        return "full"
    """)
    bench.settle()
    assert [bench.deliver(actor, "x", at) for at in range(4)] == [0, 0, 0, 2]


# events -----------------------------------------------------------------------------------------------------------------
def test_events_are_never_refused_and_keep_their_order(bench: Bench) -> None:
    bench.mailbox = 1
    actor = bench.start("t.wait() local ev, out = t.events(), {} for i = 1, 50 do out[i] = ev:receive().reason end return out")
    bench.settle()
    bench.deliver(actor, "m", 1)
    for at in range(50):
        bench.event(actor, "pid.cancel", reason=at)
    bench.answer(actor)
    assert ended(bench, actor) == list(range(50))


def test_an_event_is_a_table_with_kind_and_type(bench: Bench) -> None:
    actor = bench.start("local ev = t.events() local same = rawequal(ev, t.events()) local e = ev:receive() return { e, same }")
    bench.settle()
    bench.event(actor, "pid.exit", result={"value": 1})
    assert ended(bench, actor) == [
        {"kind": "pid.exit", "type": "pid.exit", "from": "{p|0}", "result": {"value": 1}}, True,
    ]  # fmt: skip


def test_a_link_that_goes_down_fails_who_does_not_trap(bench: Bench) -> None:
    trusting = bench.start("t.events():receive() return 'saw it'")
    trapping = bench.start("t.trap(true) return t.events():receive().kind")
    bench.settle()
    for actor in (trusting, trapping):
        bench.event(actor, "pid.link.down", result={"error": "x"})
    ok, error = bench.ended[trusting]
    assert not ok
    assert (error.message, error.kind) == ("linked process failed", "Internal")
    assert ended(bench, trapping) == "pid.link.down"


# copies -----------------------------------------------------------------------------------------------------------------
def test_messages_between_actors_share_nothing(bench: Bench) -> None:
    receiver = bench.start("""
        local v = t.inbox():receive():payload():data()
        v.list[1] = "changed"
        t.wait(v)
        return "ok"
    """)
    sender = bench.start("""
        local v = { list = { 1 }, f = function() end }
        t.send(..., "m", v)
        coroutine.yield()
        return { v.list[1], type(v.f) }
    """, f"{{p|{receiver}}}")
    bench.settle()
    assert ended(bench, sender) == [1, "function"]
    assert list(bench.waiting.values()) == [[{"list": ["changed"]}]]


def test_sending_to_nobody_here_is_left_to_the_host(bench: Bench) -> None:
    assert bench.run("return t.send('{p|999}', 'm', 1)") is False
    worker = bench.open("return { main = function() return t.pid() end }")
    assert bench.run("return t.send('', 'm', 1)") is False
    assert bench.call(worker, "{f|1}") == (True, "{f|1}")
    assert bench.run("return t.send('{f|1}', 'm', 1)") is False  # the call is over
