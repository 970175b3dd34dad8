from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import trio.testing

from wippy_trio.core.entry import Entry
from wippy_trio.core.frame import EMPTY_FRAME, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.scope import Scope


def script(source: str) -> list[Entry]:
    """A function `app:script`."""
    data = {"source": f"return function() {source}\nend", "method": "main", "modules": ["system"]}
    return [Entry(EntryId("app", "script"), "function.lua", {}, data)]


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.enable()
    gc.set_threshold(*before)


async def test_facts_of_the_machine(lua: Any) -> None:
    source = """
        local s = require('system')
        local stats = s.memory.stats()
        return {stats.alloc > 0, stats.heap_objects > 0, stats.num_gc ~= nil, s.memory.allocated() > 0,
          s.memory.heap_objects() > 0, s.runtime.goroutines() > 0, s.runtime.cpu_count() > 0, s.process.pid() > 0,
          #s.process.hostname() > 0, s.process.cwd():sub(1, 1) == '/'}
    """
    assert await lua(source, modules=["system"]) == [True] * 10


async def test_settings_can_be_changed_and_give_back_what_was(lua: Any) -> None:
    source = """
        local s = require('system')
        local unlimited = s.memory.get_limit()
        return {s.memory.set_limit(1 << 40) == unlimited, s.memory.get_limit() == 1 << 40,
          s.memory.set_limit(-1) == 1 << 40,
          s.gc.collect(), s.gc.set_percent(200), s.gc.get_percent(), s.gc.set_percent(-1), s.gc.set_percent(100),
          s.runtime.max_procs(3) > 0, s.runtime.max_procs()}
    """
    result = await lua(source, modules=["system"])
    assert result == [True, True, True, True, 100, 200, 200, 100, True, 3]


async def test_wrong_settings_are_invalid(lua: Any) -> None:
    source = """
        local s = require('system')
        local function told(v, e)
          return tostring(v) .. ' ' .. e:kind() .. ' ' .. tostring(e:retryable()) .. ' ' .. tostring(e)
        end
        return {told(s.memory.set_limit(-5)), told(s.memory.set_limit()), told(s.gc.set_percent()),
          told(s.runtime.max_procs(0)), told(s.runtime.max_procs(-1)), told(s.hosts.processes('')),
          told(s.supervisor.state('')), (select(2, pcall(s.memory.set_limit, 'x')))}
    """
    result = await lua(source, modules=["system"])
    assert result[:7] == [
        "nil Invalid false limit must be non-negative or -1",
        "nil Invalid false memory limit value required",
        "nil Invalid false percent value required",
        "nil Invalid false GOMAXPROCS value must be positive",
        "nil Invalid false GOMAXPROCS value must be positive",
        "nil Invalid false host ID required",
        "nil Invalid false service ID required",
    ]
    assert "number expected" in result[7]


async def test_a_node_that_stands_alone(lua: Any) -> None:
    source = """
        local s = require('system')
        local function told(v, e) return tostring(v) .. ' ' .. e:kind() .. ' ' .. tostring(e) end
        local me = s.cluster.members()[1]
        return {s.node.id() == me.id, me.is_local, s.cluster.size(), s.cluster.leader(), s.node.role(),
          told(s.node.addr()), told(s.raft.term()), told(s.raft.stats()), told(s.lock.acquire('a'))}
    """
    assert await lua(source, modules=["system"]) == [
        True,
        True,
        1,
        "",
        "non-member",
        "nil Internal local node address not available",
        "nil Internal raft not available",
        "nil Internal raft not available",
        "nil Internal lock service not available",
    ]


async def test_locks_where_the_node_has_them(app: Any) -> None:
    class Locks:
        def __init__(self) -> None:
            self.held = {"taken": "{other|1}"}

        def acquire_now(self, name: str, pid: str) -> bool:
            return self.held.setdefault(name, pid) == pid

        def release_now(self, name: str, pid: str) -> bool:
            return self.held.get(name) == pid and self.held.pop(name) == pid

    source = """
        local s = require('system')
        local taken, e = s.lock.acquire('taken')
        return {s.lock.acquire('free'), s.lock.release('free'), s.lock.release('taken'), taken, e:kind(), tostring(e)}
    """
    async with app(extra=script(source)) as running:
        running.runtime.extras["locks"] = Locks()
        result = await running.call("app:script")
    assert result == [True, True, False, False, "AlreadyExists", "lock held: taken"]


async def test_modules_are_listed_and_the_node_can_be_ended(app: Any) -> None:
    source = """
        local s = require('system')
        local found
        for _, m in ipairs(s.modules()) do if m.name == 'system' then found = m end end
        return {found.class, #found.description > 0, s.exit(3), s.exit()}
    """
    async with app(extra=script(source)) as running:
        result = await running.call("app:script")
        assert running.exit_requested.is_set()
        assert running.exit_code == 3
    assert result == [["nondeterministic", "process"], True, True, True]


async def test_hosts_processes_and_services(app: Any) -> None:
    entries = """
  - {name: host, kind: process.host, lifecycle: {auto_start: true}}
  - name: waiter
    kind: process.lua
    method: main
    source: return function() process.inbox():receive() end
"""
    source = """
        local s = require('system')
        local host, service = s.hosts.list()[1], s.supervisor.states()[1]
        local p = s.hosts.processes('app:host')[1]
        local missing, e = s.supervisor.state('app:gone')
        return {host.id, host.processes, host.workers, p.pid, p.host, p.source, p.state, p.started_at > 0, p.actor_id,
          service.id, service.status, service.desired, service.retry_count, service.started_at > 0,
          s.supervisor.state('app:host').status, #s.hosts.processes('app:gone'), missing == nil, e:kind(), tostring(e)}
    """
    async with app(entries, extra=script(source)) as running:
        frame = EMPTY_FRAME.with_identity(SecurityActor("user:1"), None)
        pid = await running.spawn("app:waiter", "app:host", frame=frame)
        await trio.testing.wait_all_tasks_blocked()
        result = await running.call("app:script")
    assert result[:9] == ["app:host", 1, 1, pid, "app:host", "app:waiter", "idle", True, "user:1"]
    assert result[9:15] == ["app:host", "running", "running", 0, True, "running"]
    assert result[15:] == [0, True, "Internal", "get service state: service not found: app:gone"]


async def test_everything_is_permission_checked(lua: Any) -> None:
    source = """
        local s = require('system')
        local list = {}
        local function note(v, e) list[#list + 1] = e and e:kind() .. ' ' .. tostring(e) or 'allowed' end
        local groups = {'memory', 'gc', 'runtime', 'process', 'node', 'cluster', 'raft', 'supervisor', 'hosts', 'lock'}
        for _, group in ipairs(groups) do
          for name, f in pairs(s[group]) do note(f('1')) end
        end
        note(s.modules())
        note(s.exit(1))
        return list
    """
    nobody = EMPTY_FRAME.with_identity(SecurityActor("u"), Scope())
    result = await lua(source, modules=["system"], frame=nobody)
    assert len(result) == 34
    assert [text for text in result if "permission denied: system." not in text] == []
    assert sorted({text.partition(" ")[0] for text in result}) == ["Invalid", "PermissionDenied"]
