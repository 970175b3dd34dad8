from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.conftest import entries_of
from tests.wippy_trio.workflows.kills import Node, host_of, start, through_all_kills
from tests.wippy_trio.workflows.machines import workflow_entry
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import NotFoundError

WORLD = """
- name: processes
  kind: process.host
- name: add
  kind: function.lua
  source: "return function(a, b) return a + b end"
- name: unlucky
  kind: function.lua
  source: "return function() return nil, errors.new({ message = 'again', kind = 'Unavailable' }) end"
"""
MODULES = ("funcs", "time", "workflow", "uuid")
CHILD = workflow_entry("time.sleep('1m') return ... * 2", MODULES, "child")


@pytest.fixture
def killed(tmp_path, autojump_clock, monkeypatch):
    counter = itertools.count()

    async def run(source: str, play: Any = start, child: Entry = CHILD) -> list[Any]:
        entries = [*entries_of(WORLD), workflow_entry(source, MODULES), child]
        return await through_all_kills(lambda: Node(entries, str(tmp_path / f"{next(counter)}.db")), play, monkeypatch)

    return run


def all_equal(found, least):
    assert len(found) > least
    results = [result for result, _ in found]
    assert results == [results[0]] * len(results)
    return results[0]


async def test_activities_and_timers(killed):
    source = """
        local before = uuid.v4()
        local sum = 0
        for i = 1, 3 do
          sum = funcs.call("app:add", sum, i)
          time.sleep("1h")
        end
        return { sum, #before }
    """
    found = await killed(source)
    assert all_equal(found, 6) == [6, 36]
    assert found[0][1] == {"app:add": 3}
    for _, effects in found:
        assert 3 <= effects["app:add"] <= 4  # the one that was under way may be done again


async def test_retries_are_counted_over_restarts(killed):
    source = """
        local caller = funcs.new():with_options({ ["activity.retry_policy"] = { maximum_attempts = 4 } })
        local _, err = caller:call("app:unlucky")
        return { err:kind(), tostring(err) }
    """
    found = await killed(source)
    for result, effects in found:
        assert effects["app:unlucky"] <= 5
        assert result in (["Unavailable", "again"], ["Timeout", "the node stopped while the activity ran"])


async def signals(app):
    await start(app)
    try:
        for at in (1, 2):
            await host_of(app).signal("one", "go", b"\x91" + bytes([at]), "")
    except NotFoundError:
        pass  # it has ended: the answer was lost, not the signal


async def test_acknowledged_signals_are_not_lost(killed):
    source = """
        local seen, ch = {}, process.listen("go")
        while not (seen[1] and seen[2]) do seen[ch:receive()] = true end
        return true
    """
    assert all_equal(await killed(source, signals), 3) is True


async def test_a_child(killed):
    source = """
        local events = process.events()
        local pid = process.spawn("app:child", "", 21)
        local exit = events:receive()
        local other = workflow.exec("app:child", 5)
        return { exit.result.value, exit.from == pid, other }
    """
    source = source.replace('"app:child", "", 21', '"app:child", "wippy:workflows", 21')
    assert all_equal(await killed(source), 6) == [42, True, 10]


async def test_continue_as_new(killed):
    source = """
        local n = ...
        time.sleep("1s")
        if (n or 0) < 3 then process.upgrade(nil, (n or 0) + 1) end
        return n
    """
    assert all_equal(await killed(source), 4) == 3


async def test_concurrent_tasks(killed):
    source = """
        local done = channel.new(3)
        for i = 1, 3 do
          coroutine.spawn(function()
            time.sleep(i * time.SECOND)
            done:send(funcs.call("app:add", i, i))
          end)
        end
        return { (done:receive()), (done:receive()), (done:receive()) }
    """
    assert all_equal(await killed(source), 4) == [2, 4, 6]


async def test_versions(killed):
    source = """
        local version = workflow.version("x", 1, 2)
        time.sleep("1s")
        return { version, workflow.version("x", 1, 2), workflow.version("y", 1, 3) }
    """
    assert all_equal(await killed(source), 1) == [2, 2, 3]


async def test_a_message_between_workflows_arrives_once(killed):
    target = workflow_entry(
        """
        local seen, inbox = {}, process.inbox()
        while true do
          local r = channel.select({ inbox:case_receive(), time.after("1h"):case_receive() })
          if r.channel ~= inbox then return seen end
          seen[#seen + 1] = r.value:payload():data()
        end
        """,
        MODULES,
        "child",
    )
    source = """
        local pid = process.spawn("app:child", "wippy:workflows")
        for i = 1, 3 do assert(process.send(pid, "n", i)) end
        return process.events():receive().result.value
    """
    assert all_equal(await killed(source, child=target), 6) == [1, 2, 3]
