"""A process recorded at work does the same when it is run again alone, and the first difference is told."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from determinism.clock import DEFAULT_EPOCH_NS, VirtualClock
from determinism.journal import Recorded, encode_journal
from determinism.seams import Environment
from sandbox.values import pack
from wippy_trio.actors.actor import LuaActor
from wippy_trio.actors.recording import RecordOptions
from wippy_trio.actors.shard import Shard
from wippy_trio.app.admin import answer
from wippy_trio.app.app import App, open_entries
from wippy_trio.app.config import Config
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError, LuaError
from wippy_trio.core.ids import EntryId
from wippy_trio.kinds.process import adopt_host
from wippy_trio.simulation.actor_replay import ReplayedActor, read_journal, replay_actor

Work = Callable[[App], Any]


def entry(name: str, kind: str, **data: Any) -> Entry:
    return Entry(EntryId("app", name), kind, {}, data)


def process(source: str, *modules: str, name: str = "p") -> Entry:
    return entry(name, "process.lua", source=textwrap.dedent(source), method="main", modules=list(modules))


def journals(folder: Path) -> list[Recorded]:
    return [read_journal(path.read_bytes(), str(path)) for path in sorted(folder.glob("**/*.journal"))]


@pytest.fixture
def recorded(environment: Environment, tmp_path: Path) -> Callable[..., Any]:
    """`await recorded(work, *entries)` runs `work(app)` with the host `app:host`; returns the journals."""

    async def run(work: Work, *entries: Entry, **record: Any) -> list[Recorded]:
        options = {"dir": "records", "ends": "all", **record}
        host = entry("host", "process.host", host={"workers": 1}, lifecycle={"auto_start": True}, record=options)
        config = Config(project_dir=str(tmp_path))
        async with open_entries([host, *entries], config=config, environment=environment) as app:
            await work(app)
            await trio.sleep(1)
        return journals(tmp_path / "records")

    return run


def same(journal: Recorded) -> ReplayedActor:
    replayed = replay_actor(journal)
    assert (replayed.difference, replayed.unable, replayed.note) == (None, "", "")
    return replayed


CRASHER = """
    local time = require("time")
    return function(limit)
      local inbox, seen = process.inbox(), {}
      local started = time.now():unix()
      while true do
        local m = inbox:receive()
        seen[#seen + 1] = m:payload():data() + math.random(10)
        time.sleep("10ms")
        if #seen >= limit and time.now():unix() >= started then
          local none = seen[100].field
        end
      end
    end
"""


async def test_a_crash_in_production_is_replayed_alone(recorded: Any) -> None:
    async def work(app: App) -> None:
        pid = await app.spawn("app:p", "app:host", 3)
        for number in range(3):
            app.send(pid, "work", number)
            await trio.sleep(0.5)

    [journal] = await recorded(work, process(CRASHER, "time"), ends="failed")
    replayed = same(journal)
    assert replayed.ended is not None
    ok, error = replayed.ended
    assert not ok
    assert "field" in str(error)
    assert replayed.steps >= 4


BUSY = """
    local channel_of = channel.new
    return function()
      local out, sums = channel_of(0), {}
      for task = 1, 3 do
        coroutine.spawn(function()
          local sum = 0
          for i = 1, 12000 do sum = (sum + i * task) % 1000003 end
          out:send(task .. ":" .. sum)
        end)
      end
      for _ = 1, 3 do sums[#sums + 1] = out:receive() end
      return table.concat(sums, " ")
    end
"""


class Wobbling(VirtualClock):
    """A machine whose steps take now longer and now shorter, as real ones do."""

    looks, now_s = 0, 1.0

    def cpu_s(self) -> float:
        self.looks += 1
        self.now_s += (0.0002, 0.0019, 0.0007, 0.0031, 0.0001)[self.looks * 7 % 5]
        return self.now_s


@pytest.fixture
def environment(environment: Environment) -> Environment:
    return dataclasses.replace(environment, clock=Wobbling(DEFAULT_EPOCH_NS))


async def test_slices_end_where_they_ended(recorded: Any) -> None:
    async def work(app: App) -> None:
        await app.spawn("app:p", "app:host")

    [journal] = await recorded(work, process(BUSY))
    assert any(event[0] == "step" and len(event[1]) > 2 for event in journal.events)
    replayed = same(journal)
    assert replayed.ended is not None
    assert replayed.ended[0]
    assert replayed.steps > 3


async def test_a_cpu_limit_strikes_again(recorded: Any) -> None:
    async def work(app: App) -> None:
        await app.spawn("app:p", "app:host")

    [journal] = await recorded(work, process("return function() while true do end end"))
    replayed = same(journal)
    assert replayed.ended is not None
    assert "CPU limit" in str(replayed.ended[1])


TALKERS = """
    local time = require("time")
    return {
      main = function()
        local inbox, events = process.inbox(), process.events()
        process.send(process.pid(), "self", { at = 1 })
        local got = { inbox:receive():topic() }
        local child = process.spawn_monitored("app:child", "app:host", process.pid())
        process.registry.register("parent")
        local ticker = time.ticker("20ms")
        while true do
          local r = channel.select({ inbox:case_receive(), events:case_receive(), ticker:channel():case_receive() })
          if r.channel == inbox then
            got[#got + 1] = r.value:topic()
            process.send(child, "answer", #got, { deep = { 1, 2.5, "x" } })
          elseif r.channel == events then
            ticker:stop()
            return table.concat(got, ",") .. " " .. tostring(r.value.result.value)
          end
        end
      end,
    }
"""
CHILD = """
    return function(parent)
      local answers = process.listen("answer")
      local sum = 0
      for i = 1, 3 do
        process.send("parent", "number" .. i, i, { i })
        local a = answers:receive()
        sum = sum + (type(a) == "table" and a[1] or a)
        require("time").sleep("30ms")
      end
      return sum
    end
"""


async def test_messages_inside_the_vm_and_events_are_inputs(recorded: Any) -> None:
    async def work(app: App) -> None:
        await app.spawn("app:p", "app:host")

    made = await recorded(work, process(TALKERS, "time"), process(CHILD, "time", name="child"))
    assert sorted(journal.header["entry"] for journal in made) == ["app:child", "app:p"]
    for journal in made:
        replayed = same(journal)
        assert replayed.ended is not None
        assert replayed.ended[0], replayed.ended
    kinds = {event[0] for journal in made for event in journal.events}
    assert kinds >= {"step", "call", "issue", "resolve", "message", "event", "feed", "end"}


async def test_an_upgrade_brings_the_new_code_along(recorded: Any) -> None:
    old = process('return function() process.inbox():receive() process.upgrade("app:new", 5) end')
    new = process("return function(n) return n + process.inbox():receive():payload():data() end", name="new")

    async def work(app: App) -> None:
        pid = await app.spawn("app:p", "app:host")
        app.send(pid, "go", 1)
        app.send(pid, "more", 2)

    [journal] = await recorded(work, old, new)
    assert [unit["name"] for unit in journal.header["units"]] == ["app:p", "app:new"]
    assert same(journal).ended == (True, 7)


@pytest.mark.parametrize("how", ["process.terminate(process.pid())", "process.inbox():receive()"])
async def test_one_that_is_killed(recorded: Any, how: str) -> None:
    async def work(app: App) -> None:
        pid = await app.spawn("app:p", "app:host")
        await trio.sleep(1)
        participant = app.runtime.processes.find(pid)
        if participant is not None:
            participant.terminate_now(LuaError("enough", kind="Canceled"))

    [journal] = await recorded(work, process(f"return function() math.random() {how} math.random() end"))
    assert "kill" in [event[0] for event in journal.events]
    assert same(journal).ended is None


async def test_a_broken_link_ends_it_again(recorded: Any) -> None:
    child = process('return function() process.inbox():receive() error("broken") end', name="child")
    source = """return function()
      process.send(process.spawn_linked("app:child", "app:host"), "go")
      process.inbox():receive()
    end"""

    async def work(app: App) -> None:
        await app.spawn("app:p", "app:host")

    made = await recorded(work, process(source), child, ends="failed")
    for journal in made:
        ended = same(journal).ended
        assert ended is not None
        assert not ended[0]
    assert len(made) == 2


# differences ---------------------------------------------------------------------------------------------------------
SENDER = """
    return function(to)
      local n = math.random(100)
      process.send(to, "first", 1)
      process.send(to, "second", 2)
      process.exec("app:missing", "app:host", 5)
      return n
    end
"""


def with_source(journal: Recorded, old: str, new: str) -> Recorded:
    units = [{**unit, "source": unit["source"].replace(old, new)} for unit in journal.header["units"]]
    assert units != journal.header["units"]
    return dataclasses.replace(journal, header={**journal.header, "units": units})


@pytest.fixture
async def sender(recorded: Any) -> Recorded:
    async def work(app: App) -> None:
        listener = await app.spawn("app:other", "app:host")
        await app.spawn("app:p", "app:host", listener)

    other = process("return function() process.inbox():receive() process.inbox():receive() end", name="other")
    made = await recorded(work, process(SENDER, "time"), other)
    found: list[Recorded] = [item for item in made if item.header["entry"] == "app:p"]
    assert len(found) == 1
    return found[0]


async def test_the_first_difference_of_a_call_tells_its_line(sender: Recorded) -> None:
    found = replay_actor(with_source(sender, '"second"', '"third"')).difference
    assert found is not None
    assert "'second'" in found.recorded
    assert "'third'" in found.replayed
    assert found.line == "app:p:5"


async def test_other_differences(sender: Recorded) -> None:
    def difference(old: str, new: str) -> tuple[str, str]:
        found = replay_actor(with_source(sender, old, new)).difference
        assert found is not None, (old, new)
        return found.recorded.partition(" ")[0], found.replayed.partition(" ")[0]

    assert difference('"app:host", 5)', '"app:host", 6)') == ("issue", "issue")
    assert difference("math.random(100)", "7") == ("draw", "call")
    assert difference("return n", "return n + 1") == ("end", "end")
    assert difference("return n", 'error("no")') == ("end", "end")
    assert difference('process.send(to, "second", 2)', "") == ("call", "issue")
    assert difference("return n", "process.inbox():receive()") == ("end", "wait")
    assert difference('"first", 1)', '"first", math.random())') == ("call", "draw")


async def test_what_was_drawn_and_is_not_drawn_any_more_is_told(sender: Recorded) -> None:
    found = replay_actor(with_source(sender, "math.random(100)", "7")).difference
    assert found is not None
    assert found.number == 1


async def test_another_runtime_is_told_and_other_versions_refused(sender: Recorded) -> None:
    other = dataclasses.replace(sender, header={**sender.header, "runtime": "0"})
    assert replay_actor(other).note.startswith("the runtime that recorded")
    data = encode_journal({**sender.header, "version": 99}, sender.events)
    with pytest.raises(ConfigError, match="version 99"):
        read_journal(data, "x")
    with pytest.raises(ConfigError, match="cannot read the journal x"):
        read_journal(data[:-1], "x")


async def test_a_journal_that_lost_its_beginning_cannot_be_replayed(recorded: Any) -> None:
    source = 'return function() for i = 1, 50 do require("time").sleep("1ms") end end'

    async def work(app: App) -> None:
        await app.spawn("app:p", "app:host")

    [journal] = await recorded(work, process(source, "time"), max_events=20)
    assert len(journal.events) == 20
    replayed = replay_actor(journal)
    assert (replayed.difference, replayed.steps) == (None, 0)
    assert f"first {journal.dropped} events are lost" in replayed.unable


# asked for, kept, refused --------------------------------------------------------------------------------------------
async def test_a_live_process_is_recorded_when_asked_for(recorded: Any) -> None:
    async def work(app: App) -> None:
        pid = await app.spawn("app:p", "app:host")
        app.send(pid, "x", 1)
        await trio.sleep(1)
        told = await answer(app.runtime, {"op": "record", "pid": pid})
        assert told["pid"] == pid
        [now] = journals(Path(told["path"]).parent)
        assert same(now).ended is None
        with pytest.raises(LuaError, match="no process nobody"):
            await answer(app.runtime, {"op": "record", "pid": "nobody"})

    [journal] = await recorded(work, process("return function() while true do process.inbox():receive() end end"))
    assert journal.header["entry"] == "app:p"


async def test_only_failures_are_kept_and_not_too_many(recorded: Any, tmp_path: Path) -> None:
    async def work(app: App) -> None:
        for number in range(4):
            await app.spawn("app:p", "app:host", number)
            await trio.sleep(1)

    source = 'return function(n) if n > 0 then error("no " .. n) end end'
    made = await recorded(work, process(source), ends="failed", max_files=2)
    assert sorted(bytes.fromhex(journal.header["args"])[-1] for journal in made) == [2, 3]


async def test_where_a_host_records_nothing_nothing_is_paid(app: Any, autojump_clock: Any) -> None:
    text = "- {name: host, kind: process.host, lifecycle: {auto_start: true}}\n"
    text += "- {name: p, kind: process.lua, source: 'return function() process.inbox():receive() end'}"
    async with app(text) as running:
        pid = await running.spawn("app:p", "app:host")
        actor = running.runtime.processes.find(pid).actor
        assert (type(actor), type(actor.shard)) == (LuaActor, Shard)
        with pytest.raises(LuaError, match="no recorded process"):
            await answer(running.runtime, {"op": "record", "pid": pid})


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (7, "must be a map"),
        ({"max_event": 1}, "unknown field record.max_event"),
        ({"max_events": 0}, "record.max_events must be greater than 0"),
        ({"max_files": True}, "record.max_files must be greater than 0"),
        ({"dir": ""}, "record.dir"),
        ({"ends": "some"}, "record.ends"),
    ],
)
def test_malformed_options(value: object, problem: str) -> None:
    with pytest.raises(LuaError, match=problem):
        RecordOptions.parse(value, "app:host")


def test_options() -> None:
    assert RecordOptions.parse(None, "x") is None
    assert RecordOptions.parse(False, "x") is None
    assert RecordOptions.parse(True, "x") == RecordOptions()
    assert RecordOptions.parse({"max_events": 5, "dir": "a"}, "x") == RecordOptions(max_events=5, dir="a")


async def test_the_end_of_a_vm_is_told_as_such(recorded: Any) -> None:
    async def work(app: App) -> None:
        pid = await app.spawn("app:p", "app:host")
        shard = app.runtime.processes.find(pid).actor.shard
        await trio.sleep(1)
        shard._broken = MemoryError("not enough memory")
        shard.wake()

    [journal] = await recorded(work, process("return function() process.inbox():receive() end"))
    replayed = replay_actor(journal)
    assert replayed.difference is None
    assert "VM failed here" in replayed.unable


async def test_keys_without_an_order_of_their_own_are_told(recorded: Any) -> None:
    async def work(app: App) -> None:
        await app.spawn("app:p", "app:host")

    [journal] = await recorded(work, process("return function() for k in pairs({ [{}] = 1 }) do print(k) end end"))
    assert replay_actor(journal).note == "iteration over keys that are tables at app:p:1: their order is not reproduced"


async def test_an_end_at_the_memory_limit_is_no_difference(sender: Recorded) -> None:
    error = LuaError("memory limit of the host's VM exceeded (not enough memory)", kind="Internal")
    events = (*sender.events[:-1], ("end", False, pack([error])))
    replayed = replay_actor(dataclasses.replace(sender, events=events))
    assert replayed.difference is None
    assert "memory limit" in replayed.unable


async def test_what_is_recorded_is_settled_while_the_host_runs(recorded: Any) -> None:
    async def work(app: App) -> None:
        old = app.registry.get(EntryId("app", "host"))
        new = attrs.evolve(old, data={**old.data, "record": False})
        with pytest.raises(LuaError, match="record cannot be changed"):
            adopt_host(old, new, app.runtime)

    assert await recorded(work) == []
