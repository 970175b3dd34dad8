"""Looking at a simulated world that stands still: its actors from inside, what stores hold, what a database answers.

It is done as invariants are looked at: no step of the app, no virtual time, no draw. Source: ours
(docs/guides/simulation.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import trio

from determinism.simulate import Simulation
from sandbox.errors import LuaError
from sandbox.values import as_text, unpack
from wippy_trio.actors.actor import LuaActor
from wippy_trio.actors.inspect import details
from wippy_trio.app.app import App
from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.simulation.shown import shown

__all__ = ["Look", "Looker"]

#: Of a store and of an answer.
_MOST_ROWS = 100
_MOST_ACTORS = 50
_STORE = f"""
return {{ main = function(id)
  local store, err = require("store").get(id)
  if not store then return nil, err end
  return store:list({{ limit = {_MOST_ROWS} }})
end }}
"""
_SQL = """
return { main = function(id, text)
  local db, err = require("sql").get(id)
  if not db then return nil, err end
  return db:query(text)
end }
"""
#: Calls a function given as an entry: (entry, arguments) -> its result.
Call = Callable[[Entry, Sequence[Any]], Awaitable[Any]]


@attrs.frozen(slots=True)
class Look:
    """What to look at, and when.

    Attributes:
        until: number of the event after which the world stops. Where something fails before, or without it, one looks
            when it fails, or else when the life is over, before the app closes.
        actors: actors whose name, entry or PID has this in it; `all` for every one.
        stores: ids of stores.
        queries: (id of a database, SQL).
    """

    until: int | None = None
    actors: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    queries: tuple[tuple[str, str], ...] = ()


class Looker:
    """Waits for the moment, looks, and stops the world.

    Args:
        look: what to look at.
        simulation: the world.
    """

    def __init__(self, look: Look, simulation: Simulation) -> None:
        self.look = look
        #: What was seen, as JSON values; None before.
        self.seen: dict[str, Any] | None = None
        self._simulation = simulation
        #: Set when it is time: at the event, or when something fails, or when the run is ended from outside.
        self.reached = trio.Event()
        simulation.on_pause = self.reached.set
        if look.until is not None:
            simulation.pause_at = look.until + 1

    async def wait(self, app: App, call: Call) -> None:
        """Look when the event is reached. For a task that only observes."""
        await self.reached.wait()
        await self.take(app, call)
        if self.look.until is not None and self._simulation.trace.count > self.look.until:
            self._simulation.stop("until")

    async def take(self, app: App, call: Call) -> None:
        """Look now, unless it was done."""
        if self.seen is not None:
            return
        seen: dict[str, Any] = {"at_s": self._simulation.now_ns() / 1e9, "events": self._simulation.trace.count}
        seen["actors"], seen["missing"] = self._actors(app)
        seen["stores"] = {id_: await _ask(call, "store", _STORE, id_) for id_ in self.look.stores}
        seen["sql"] = [
            {"database": id_, "query": text, **await _ask(call, "sql", _SQL, id_, text)}
            for id_, text in self.look.queries
        ]
        self.seen = seen

    def _actors(self, app: App) -> tuple[list[dict[str, Any]], list[str]]:
        runtime = app.runtime
        found: list[dict[str, Any]] = []
        met: set[str] = set()
        names = []
        for pid in runtime.processes.pids():
            actor = getattr(runtime.processes.find(pid), "actor", None)
            if not isinstance(actor, LuaActor):
                continue
            name = f"{actor.frame.entry}|{pid.rpartition('|')[2][:-1]}"
            names.append(name)
            wanted = [text for text in self.look.actors if text == "all" or text in name or text in pid]
            met.update(wanted)
            if wanted and len(found) < _MOST_ACTORS:
                found.append({"name": name, **details(runtime, pid), **_inside(actor)})
        alive = ", ".join(names[:20]) or "none"
        missing = [f"no actor {text} is alive; alive are: {alive}" for text in self.look.actors if text not in met]
        return found, missing


def _inside(actor: LuaActor) -> dict[str, Any]:
    """Messages that nobody has taken, and the frames of its tasks with their variables."""
    data = actor.shard.vm.holds(actor.actor_id)
    if data is None:
        return {"mail": [], "stacks": []}
    told = unpack(data)[0]
    stacks = [
        {
            "main": task["main"],
            "frames": [
                {
                    "line": as_text(frame["line"]),
                    "function": as_text(frame["name"]),
                    "variables": [
                        {"name": as_text(item["name"]), "kind": item["kind"], "value": as_text(item["value"])}
                        for item in frame["variables"] or []
                    ],
                }
                for frame in task["frames"] or []
            ],
        }
        for task in told["tasks"] or []
    ]
    stacks.sort(key=lambda task: (not task["main"], str(task["frames"])))
    mail = [{name: as_text(value) for name, value in message.items()} for message in told["mail"] or []]
    return {"mail": mail, "stacks": stacks}


async def _ask(call: Call, module: str, source: str, *args: str) -> dict[str, Any]:
    data = {"source": source, "method": "main", "modules": [module]}
    entry = Entry(EntryId("simulation", f"look_{module}"), "function.lua", {}, data)
    try:
        value = await call(entry, args)
    except LuaError as problem:
        return {"error": str(problem)}
    rows = value.get("entries", value.get("items", value)) if isinstance(value, dict) else value
    listed = rows if isinstance(rows, list) else [rows] if rows else []
    return {"rows": [shown(row) for row in listed[:_MOST_ROWS]], "more": len(listed) > _MOST_ROWS}
