"""Which running processes have outdated code, and how they learn of it. Source: docs lua/core/process (OUTDATED)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from sandbox.values import pack

if TYPE_CHECKING:
    from wippy_trio.actors.actor import LuaActor
    from wippy_trio.actors.engine import Unit
    from wippy_trio.actors.shard import Shard
    from wippy_trio.core.ids import EntryId

__all__ = ["OUTDATED", "outdated", "tell", "tell_one"]

OUTDATED = "pid.outdated"


def _parts(unit: Unit) -> Iterator[Unit]:
    """The unit and all it imports, each once."""
    seen: set[int] = set()
    todo = [unit]
    while todo:
        part = todo.pop()
        if part.number not in seen:
            seen.add(part.number)
            todo.extend(part.imports.values())
            yield part


def outdated(unit: Unit, current: Mapping[EntryId, Unit]) -> tuple[str, ...]:
    """What of the unit is no longer current, itself and imports, as entry ids in order."""
    return tuple(sorted(str(part.entry) for part in _parts(unit) if current.get(part.entry) is not part))


def tell(shard: Shard, changed: AbstractSet[EntryId], current: Mapping[EntryId, Unit]) -> None:
    """Send OUTDATED to the shard's upgradable processes that a change concerns.

    Args:
        shard: whose actors are looked at.
        changed: entries that were changed or deleted.
        current: the units that a start would use now.
    """
    known: dict[int, tuple[str, ...]] = {}
    for actor in list(shard.actors.values()):
        unit = actor.unit
        if not actor.upgradable or unit is None:
            continue
        sources = known.get(unit.number)
        if sources is None:
            concerned = any(part.entry in changed for part in _parts(unit))
            sources = known[unit.number] = outdated(unit, current) if concerned else ()
        tell_one(actor, sources)


def tell_one(actor: LuaActor, sources: Collection[str]) -> None:
    """Send OUTDATED to a process, unless there is nothing to tell; joins one that it has not taken yet."""
    if sources:
        event = {"kind": OUTDATED, "from": "", "sources": list(sources)}
        actor.shard.enter(actor, actor.shard.vm.event, pack(event))
        actor.shard.wake()
