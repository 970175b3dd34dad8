"""What was seen in a world that stands still, for people. Source: ours (docs/guides/simulation.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["seen_lines"]


def seen_lines(seen: Mapping[str, Any]) -> Iterator[str]:
    """Lines about what `Life.seen` holds: actors with their frames and messages, stores, answers of databases."""
    yield f"stopped after {seen['events']} events, at {seen['at_s']:.6f} s of virtual time"
    for actor in seen["actors"]:
        yield from _actor_lines(actor)
    yield from seen["missing"]
    for id_, told in seen["stores"].items():
        yield f"store {id_}"
        yield from _rows(told)
    for asked in seen["sql"]:
        yield f"sql {asked['database']}: {asked['query']}"
        yield from _rows(asked)


def _actor_lines(actor: Mapping[str, Any]) -> Iterator[str]:
    waits = f" on {actor['waits']}" if actor.get("waits") else ""
    where = f" at {actor['line']}" if actor.get("line") else ""
    yield f"actor {actor['name']}  {actor['state']}{waits}{where}"
    for operation in actor.get("operations", ()):
        yield f"    operation {operation.rpartition(' ')[2]}"
    for timer in actor.get("waiting_timers", ()):
        yield f"    timer {timer['operation']}, due in {timer['due_s']:g} s"
    for at, task in enumerate(actor["stacks"]):
        yield "    main coroutine" if task["main"] else f"    coroutine {at + 1}"
        for frame in task["frames"]:
            name = f" in {frame['function']}" if frame["function"] else ""
            yield f"      {frame['line']}{name}"
            for item in frame["variables"]:
                outer = "  (upvalue)" if item["kind"] == "upvalue" else ""
                yield f"        {item['name']} = {item['value']}{outer}"
    yield f"    mailbox: {len(actor['mail']) or 'no'} messages"
    for message in actor["mail"]:
        sender = f" from {message['from']}" if message["from"] else ""
        yield f"      {message['topic']}{sender}: {message['value']}"


def _rows(told: Mapping[str, Any]) -> Iterator[str]:
    if "error" in told:
        yield f"    error: {told['error']}"
        return
    for row in told["rows"]:
        yield f"    {row}"
    if told["more"]:
        yield "    ..."
    elif not told["rows"]:
        yield "    nothing"
