"""Random lives: processes that do what they are told, and a driver that tells them and keeps what they note.

A puppet notes everything it hears to the driver, which stands among them as a process of its own under the name `log`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import trio
import trio.testing

from determinism.environment import seeded_environment
from determinism.seams import Environment
from sandbox.errors import LuaError
from sandbox.values import unpack
from sandbox.vm import LuaMemoryError
from tests.conftest import entries_of
from wippy_trio.actors.host import ProcessHost
from wippy_trio.actors.shard import Shard
from wippy_trio.app.app import App, open_entries
from wippy_trio.app.config import Config
from wippy_trio.core.errors import NotFoundError
from wippy_trio.core.ids import EntryId

_NOTHING: Mapping[str, Any] = {}
HOSTS = ("app:one", "app:two")
SPAWNS = ("spawn", "spawn_monitored", "spawn_linked", "spawn_linked_monitored")
ENTRIES = """
- name: one
  kind: process.host
  lifecycle: {auto_start: true}
- name: two
  kind: process.host
  lifecycle: {auto_start: true}
- name: slow
  kind: function.lua
  modules: [time]
  source: return function(span) require("time").sleep(span) return "slept" end
- name: quick
  kind: function.lua
  source: return function(...) return {...} end
- name: puppet
  kind: process.lua
  modules: [time, funcs]
  source: |
    local time, funcs = require("time"), require("funcs")
    local endings = {
      ["return"] = function() return "done" end,
      error = function() error("boom") end,
      final = function() return nil, errors.new({kind = errors.CONFLICT, message = "no use", retryable = false}) end,
    }
    return function(name, deaf, sent)
      local pid, inbox, events = process.pid(), process.inbox(), process.events()
      local function note(...) process.send("log", "note", pid, ...) end
      sent = sent or {}
      local ops = {}
      local function told(what, subject, ok, err) note(what, subject, ok and "ok" or err:kind()) end
      function ops.start(how, child, child_deaf, host)
        local made, err = process[how]("app:puppet", host, child, child_deaf)
        note("started", made or err:kind(), how)
      end
      function ops.exec(child, child_deaf, host)
        coroutine.spawn(function()
          local value, err = process.exec("app:puppet", host, child, child_deaf)
          note("executed", child, err and err:kind() or value)
        end)
      end
      function ops.send(target)
        local n = (sent[target] or 0) + 1
        local ok, err = process.send(target, "data", n)
        if ok then sent[target] = n else note("unsent", target, err:kind()) end
      end
      function ops.relate(verb, target) told(verb, target, process[verb](target)) end
      function ops.name(text, target) told("name", text, process.registry.register(text, target)) end
      function ops.unname(text) note("unname", text, process.registry.unregister(text)) end
      function ops.trap(on) process.set_options({trap_links = on}) end
      function ops.sleep(span) coroutine.spawn(function() time.sleep(span) end) end
      function ops.tick(span) time.ticker(span) end
      function ops.call(span) coroutine.spawn(function() funcs.call("app:slow", span) end) end
      function ops.quick() coroutine.spawn(function() funcs.call("app:quick", {name, sent}) end) end
      function ops.upgrade() process.upgrade(nil, name, deaf, sent) end

      note("born", name)
      while true do
        local ready = channel.select { inbox:case_receive(), events:case_receive() }
        local value = ready.value
        if ready.channel == events then
          local result = value.result or {}
          note("event", value.kind, value.from, result.error and result.error:kind() or result.value)
          if value.kind == process.event.CANCEL and not deaf then return "stopped" end
        elseif value:topic() == "data" then
          note("data", value:from(), value:payload():data())
        else
          local order = value:payload():data()
          if order[1] == "end" then return endings[order[2]]() end
          ops[order[1]](table.unpack(order, 2))
        end
      end
    end
"""


class Driver:
    """Stands among the puppets as `log`; knows who was born and what each noted."""

    pid = "{local@test:log|1}"

    def __init__(self, app: App) -> None:
        self.app = app
        self.notes: list[tuple[Any, ...]] = []
        self.pids: dict[str, str] = {}
        self.names: dict[str, str] = {}
        app.runtime.processes.enter(self.pid, self)
        app.runtime.processes.register("log", self.pid)

    def deliver_now(self, topic: str, source: str, data: bytes) -> int:
        note = tuple(unpack(data))
        if note[1] == "born":
            self.pids[note[2]] = note[0]
            self.names[note[0]] = note[2]
        self.notes.append(note)
        return 0

    def event_now(self, event: dict[str, Any]) -> None: ...
    def terminate_now(self, error: LuaError) -> None: ...

    def take(self) -> list[tuple[Any, ...]]:
        """What was noted since the last time."""
        notes, self.notes = self.notes, []
        return notes

    def tell(self, pid: str, *order: Any) -> None:
        """Tell a puppet what to do; nothing happens when it is gone."""
        with suppress(NotFoundError):
            self.app.send(pid, "do", list(order))

    def is_alive(self, pid: str) -> bool:
        return self.app.runtime.processes.find(pid) is not None


@asynccontextmanager
async def stage(
    environment: Environment | None = None, more: str = "", settings: Mapping[str, Any] = _NOTHING
) -> AsyncIterator[Driver]:
    """An app with two hosts, and its driver; a seeded one unless an environment is given."""
    entries = entries_of(ENTRIES + more)
    seams = environment or seeded_environment(7)
    async with open_entries(entries, config=Config(sections=dict(settings)), environment=seams) as app:
        yield Driver(app)


async def settle() -> None:
    """Wait until nothing moves but time."""
    await trio.testing.wait_all_tasks_blocked()


def collapse(shard: Shard) -> None:
    """Let the VM fail as a whole at its next turn, as it does when the kernel itself finds no memory."""

    def run() -> None:
        raise LuaMemoryError("not enough memory")

    shard.vm.run = run
    shard.wake()


# nothing is left -----------------------------------------------------------------------------------------------------
def hosts_of(app: App) -> list[ProcessHost]:
    return [app.runtime.resources.get(EntryId.parse(name), ProcessHost) for name in HOSTS]


def shards_of(app: App) -> list[Shard]:
    return [shard for host in hosts_of(app) if (shard := host._shard) is not None]


def lua_actors(shard: Shard) -> int:
    """Actors that the VM itself holds."""
    return len(list(shard.vm._kernel[b"actors"].keys()))


def lua_pids(shard: Shard) -> int:
    """PIDs that the VM itself knows."""
    return len(list(shard.vm._kernel[b"by_pid"].keys()))


def lua_bytes(shard: Shard) -> int:
    """What the VM holds after a full collection."""
    for _ in range(3):
        shard.vm._lua.gccollect()
    return shard.vm.memory_bytes()


def leftovers(app: App, shards: Iterable[Shard], hosts: Iterable[ProcessHost] = ()) -> dict[str, object]:
    """What there is after all processes have ended, but should not be."""
    topology = app.runtime.processes
    found: dict[str, object] = {
        "pids": [pid for pid in topology.pids() if pid != Driver.pid],
        "relations": [pid for pid in topology._relations if pid != Driver.pid],
        "names": [name for name in topology._names if name != "log"],
        "busy functions": sum(pool.busy_count for pool in app.runtime.functions._pools.values()),
    }
    for shard in shards:
        found[f"actors of {shard.name}"] = len(shard.actors)
        found[f"Lua actors of {shard.name}"] = lua_actors(shard)
        found[f"Lua PIDs of {shard.name}"] = lua_pids(shard)
    for host in hosts:
        found[f"processes of {host.id}"] = len(host.processes)
        found[f"tasks of {host.id}"] = len(host._nursery.child_tasks) if host._nursery is not None else 0
    return {what: many for what, many in found.items() if many}


# what should happen ---------------------------------------------------------------------------------------------
@attrs.define(eq=False)
class Life:
    """What the model knows of a puppet."""

    name: str
    pid: str
    deaf: bool
    executor: Life | None = None
    alive: bool = True
    trap: bool = False
    links: dict[str, Life] = attrs.field(factory=dict)
    watchers: dict[str, Life] = attrs.field(factory=dict)
    names: set[str] = attrs.field(factory=set)
    executes: dict[str, Life] = attrs.field(factory=dict)
    sent: dict[str, int] = attrs.field(factory=dict)


class Model:
    """The life of puppets as it should be, one order after the other, each to its last consequence.

    `due` are the notes that must have come, `may` those that come unless their author ended at the same moment.
    """

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}
        self.names: dict[str, str] = {}
        self.due: Counter[tuple[Any, ...]] = Counter()
        self.may: Counter[tuple[Any, ...]] = Counter()
        self._heard: list[tuple[Life, tuple[Any, ...]]] = []
        self._late: list[tuple[Life, str, str]] = []

    def born(self, life: Life) -> None:
        self.lives[life.pid] = life
        self.due[life.pid, "born", life.name] += 1

    def alive(self) -> list[Life]:
        return [life for life in self.lives.values() if life.alive]

    def note(self, life: Life, *what: Any) -> None:
        self._heard.append((life, (life.pid, *what)))

    def finish(self) -> None:
        """An order is done: notes of those who live are due."""
        for life, note in self._heard:
            (self.due if life.alive else self.may)[note] += 1
        self._heard.clear()

    # relations -------------------------------------------------------------------------------------------------
    def relate(self, life: Life, verb: str, pid: str) -> None:
        target = self.lives[pid]
        result = "ok"
        if verb in {"unmonitor", "unlink"}:
            if verb == "unmonitor":
                target.watchers.pop(life.pid, None)
            else:
                target.links.pop(life.pid, None)
                life.links.pop(pid, None)
        elif not target.alive:
            result = "NotFound"
        elif verb == "monitor":
            result = "AlreadyExists" if life.pid in target.watchers else "ok"
            target.watchers[life.pid] = life
        elif verb == "link":
            target.links[life.pid], life.links[pid] = life, target
        self.note(life, verb, pid, result)
        if result == "ok" and verb == "cancel":
            self.note(target, "event", "pid.cancel", life.pid, None)
            if not target.deaf:
                self.end(target, "stopped")
        elif result == "ok" and verb == "terminate":
            self.end(target, "Canceled", failed=True)

    def name(self, life: Life, name: str, pid: str) -> None:
        holder = self.names.get(name)
        if not self.lives[pid].alive:
            result = "NotFound"
        elif holder is not None and holder != pid:
            result = "AlreadyExists"
        else:
            result = "ok"
            self.names[name] = pid
        self.note(life, "name", name, result)

    def send(self, life: Life, pid: str) -> None:
        target = self.lives[pid]
        if not target.alive:
            self.note(life, "unsent", pid, "NotFound")
            return
        life.sent[pid] = life.sent.get(pid, 0) + 1
        self.note(target, "data", life.pid, life.sent[pid])

    # endings ---------------------------------------------------------------------------------------------------
    def end(self, life: Life, outcome: str, *, failed: bool = False) -> None:
        """A puppet ends, and with it who ends of that."""
        round_: list[tuple[Life, str, bool]] = [(life, outcome, failed)]
        self._late.clear()
        while round_:
            follow: dict[str, tuple[Life, str, bool]] = {}
            for one, what, bad in round_:
                if one.alive:
                    one.alive = False
                    self._consequences(one, what, bad, follow)
            round_ = list(follow.values())

    def _consequences(self, one: Life, what: str, bad: bool, follow: dict[str, tuple[Life, str, bool]]) -> None:
        for name in [name for name, pid in self.names.items() if pid == one.pid]:
            del self.names[name]
        for life in self.lives.values():
            # Of several ends with one cause, who is still there to note another's is a matter of steps.
            if life.watchers.pop(one.pid, None) is not None:
                self._late.append((one, "pid.exit", life.pid))
            if life.links.pop(one.pid, None) is not None and one.trap:
                self._late.append((one, "pid.link.down", life.pid))
        for dead, kind, pid in self._late:
            if pid == one.pid and (bad or kind == "pid.exit"):
                self.may[dead.pid, "event", kind, one.pid, what] += 1
        for watcher in one.watchers.values():
            if watcher.alive:
                self.note(watcher, "event", "pid.exit", one.pid, what)
        for partner in one.links.values() if bad else ():
            if partner.alive and partner.trap:
                self.note(partner, "event", "pid.link.down", one.pid, what)
            elif partner.alive:
                follow.setdefault(partner.pid, (partner, "Internal", True))
        if one.executor is not None:
            one.executor.executes.pop(one.pid, None)
            if one.executor.alive:
                self.note(one.executor, "executed", one.name, what)
        for child in one.executes.values():
            follow.setdefault(child.pid, (child, "Canceled", True))

    def upgrade(self, life: Life) -> None:
        """New code, same life: what the old code waited for ends."""
        self.note(life, "born", life.name)
        for child in list(life.executes.values()):
            child.executor = None
            self.end(child, "Canceled", failed=True)
        life.executes.clear()
