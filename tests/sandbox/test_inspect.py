"""What the kernel tells of its actors: where each task waits, and that asking changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.values import pack_list, unpack
from sandbox.vm import Vm

MODULE = b"""
local sys = ...
local wait, start = sys.waiting("m.wait"), sys.async("m.wait")
return { wait = function(...) return wait(...) end, start = start, source = function() return sys.source(1) end }
"""


@pytest.fixture
def vm() -> Vm:
    made = Vm(lambda *_args: 0.0, lambda: 0.5)
    made.add_module("m", MODULE, {"m.wait": 1})
    return made


def start(vm: Vm, source: str, number: int = 1) -> None:
    assert vm.define(number, "app:x", source.encode(), "app:x", {"m": "m"}, {}) is None
    vm.start(number, f"p{number}".encode(), number, b"main", pack_list([]), 1.0, 100, False)
    while vm.run() is True:
        pass


def look(vm: Vm, number: int = 1, trace: bool = False) -> Any:
    data = vm.inspect(number, trace)
    return None if data is None else unpack(data)[0]


WAITS = {
    "local c = channel.new(0)\n local v = c:receive()\n return v": ("channel.receive", 3),
    "local c = channel.new(0)\n c:send(1)\n return": ("channel.send", 3),
    "local c = channel.new(0)\n local r = channel.select{c:case_receive()}\n return": ("channel.select", 3),
    "local i = process_inbox()\n local m = i:receive()\n return m": ("channel.receive (inbox)", 3),
    "local e = process_events()\n local m = e:receive()\n return m": ("channel.receive (events)", 3),
    "local t = listen('jobs')\n local m = t:receive()\n return m": ("channel.receive ('jobs')", 3),
    "local i, e = process_inbox(), process_events()\n local r = channel.select{i:case_receive(), e:case_receive()}\n"
    "return": ("channel.select (events, inbox)", 3),
    "local v = m.wait(1)\n return v": ("m.wait", 2),
    "local c = m.start(1)\n local v = c:receive()\n return v": ("channel.receive (an operation)", 3),
    "local c = m.source()\n local v = c:receive()\n return v": ("channel.receive (a source)", 3),
    "local co = coroutine.wrap(function()\n m.wait(1) end)\n co()\n return": ("m.wait", 3),
}


@pytest.mark.parametrize("body", WAITS)
def test_what_a_process_waits_on(vm: Vm, body: str) -> None:
    vm.add_module("p", b"local sys, K = ... return { inbox = K.inbox, events = K.events, listen = K.listen }")
    head = "local env = ... local channel, m, coroutine = env.channel, env.m, env.coroutine "
    head += "local process_inbox, process_events, listen = env.p.inbox, env.p.events, env.p.listen return function()\n"
    assert vm.define(1, "app:x", (head + body + "\nend").encode(), "app:x", {"m": "m", "p": "p"}, {}) is None
    vm.start(1, b"p1", 1, b"main", pack_list([]), 1.0, 100, False)
    vm.run()
    waits, line = WAITS[body]
    task = look(vm)["tasks"][0]
    assert (task["main"], task["state"], task["waits"]) == (True, "waiting", waits)
    assert task["line"] == f"app:x:{line}"
    number, depth, steps, state, does, place, spent_s, tasks, topics = unpack(vm.survey(pack_list([1, 99])))[0]
    assert (number, depth, steps, state, does, place) == (1, 0, 1, "waiting", waits, task["line"])
    assert (spent_s >= 0, tasks, topics) == (True, 1, len(look(vm)["topics"] or []))


def test_tasks_depth_and_trace(vm: Vm) -> None:
    start(
        vm,
        """local env = ... return function()
          for i = 1, 150 do env.coroutine.spawn(function()
            env.m.wait(i) end) end
          env.m.wait(0)
        end""",
    )
    told = look(vm, trace=True)
    assert (told["task_count"], len(told["tasks"]), told["commands"]) == (151, 100, 151)
    assert told["tasks"][0]["main"]
    assert {task["line"] for task in told["tasks"]} == {"app:x:3", "app:x:4"}
    assert "app:x:4: in function" in told["tasks"][0]["trace"]
    assert "kernel/" not in told["tasks"][0]["trace"]
    for _ in range(3):
        assert vm.deliver(1, b"later", b"them", pack_list([1])) == 0
    told = look(vm)
    assert (told["depth"], told["pending"], told["mailbox"]) == (3, 3, 100)
    assert "trace" not in told["tasks"][0]


def test_asking_changes_nothing(vm: Vm) -> None:
    start(vm, "local env = ... return function() return env.m.wait(1) end")
    before = look(vm)
    for _ in range(100):
        assert look(vm) == before
    assert vm.run() is False
    vm.resolve(1, 1, 0, pack_list([7]))
    assert look(vm)["tasks"][0]["state"] == "ready"
    result = vm.run()
    assert unpack(result[4])[0] == 7
    assert look(vm) is None
    assert unpack(vm.survey(pack_list([1])))[0] == {}
