"""Replay: a recorded run is told again what it was told, and must want again what it wanted.

Source: docs temporal/workflows (Determinism); ours (architecture, 5d).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import attrs
import trio

from sandbox.errors import KINDS, LuaError
from sandbox.values import unpack
from wippy_trio.workflows.history import Record
from wippy_trio.workflows.machine import WorkflowMachine
from wippy_trio.workflows.wire import Command, Event, PatchKnown, RecordVersion, Terminated, TimedOut, decode

__all__ = ["Difference", "NondeterminismError", "compare", "replay"]

_TURN_COUNT = 200


@attrs.frozen(slots=True)
class Difference:
    """Where the code leaves the record.

    Attributes:
        number: of the record, from 1.
        field: path of the first field that differs, such as `args[1].total`; empty when the commands are different
            ones, or one is missing.
        recorded, made: the commands, as text; empty for none.
        was, now: values of that field.
        line: of the code that asked now (or then, when it asks no more).
    """

    number: int
    recorded: str
    made: str
    field: str = ""
    was: Any = None
    now: Any = None
    line: str = ""


class NondeterminismError(LuaError):
    """The code does not do again what is recorded: it was changed in a way that runs in progress cannot follow.

    Use `workflow.version`, or let old runs end before changing it.
    """

    kind = KINDS["CONFLICT"]
    retryable = False

    def __init__(self, difference: Difference) -> None:
        self.difference = difference
        where = f" at {difference.line}" if difference.line else ""
        text = f"the code differs from record {difference.number}{where}: "
        if difference.field:
            text += f"{difference.made}: {difference.field} was {difference.was!r} and is now {difference.now!r}"
        else:
            text += f"recorded was {difference.recorded or 'nothing'}, now it is {difference.made or 'nothing'}"
        super().__init__(text, details=attrs.asdict(difference))


def describe(command: Command | None) -> str:
    """A command in a few words."""
    if command is None:
        return ""
    name = getattr(command, "name", None) or getattr(command, "topic", None) or getattr(command, "change_id", None)
    return f"{command.kind} {name}" if name else command.kind


def _owner(command: Command) -> Any:
    return type(command)


_IDENTITY = ("name", "topic", "change_id", "workflow_id", "seq")


def compare(number: int, recorded: Sequence[Command], made: Sequence[Command]) -> Difference | None:
    """The first difference between what is recorded after an event and what the code makes of it now.

    Args:
        number: of the record of the first command.
        recorded: commands of the record.
        made: commands of the code.
    """
    for at, (was, now) in enumerate(zip_longest(recorded, made)):
        if was == now:
            continue
        line = getattr(now, "line", "") or getattr(was, "line", "")
        found = Difference(number + at, describe(was), describe(now), line=line)
        if was is None or now is None or type(was) is not type(now):
            return found
        names = [field.name for field in attrs.fields(_owner(was)) if field.eq]
        names.sort(key=lambda name: name not in _IDENTITY)
        for name in names:
            path = _first(name, getattr(was, name), getattr(now, name))
            if path is not None:
                return attrs.evolve(found, field=path[0], was=path[1], now=path[2])
    return None


def _first(path: str, was: Any, now: Any) -> tuple[str, Any, Any] | None:
    """Path and values of the first difference; None for equal values, whose tables may have another order."""
    if isinstance(was, bytes) and isinstance(now, bytes):
        return None if was == now else _first(path, unpack(was), unpack(now))
    if attrs.has(type(was)) and type(was) is type(now):
        was, now = attrs.asdict(was, recurse=False), attrs.asdict(now, recurse=False)
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*was, *now}, key=str):
            found = _first(f"{path}.{key}", was.get(key), now.get(key))
            if found is not None:
                return found
        return None
    if isinstance(was, list | tuple) and isinstance(now, list | tuple):
        for at, (one, other) in enumerate(zip_longest(was, now), 1):
            found = _first(f"{path}[{at}]", one, other)
            if found is not None:
                return found
        return None
    if isinstance(was, LuaError) and isinstance(now, LuaError):
        return _first(path, str(was), str(now))
    same = was == now and isinstance(was, bool) == isinstance(now, bool)
    return None if same else (path, was, now)


async def replay(
    new_machine: Callable[[], WorkflowMachine], records: Sequence[Record], *, stop: int = 0
) -> WorkflowMachine:
    """A machine that is where the record ends.

    Args:
        new_machine: makes one.
        records: of the run, from its first.
        stop: after so many records; 0 = all.

    Raises:
        NondeterminismError: the code does something else.
        LuaError: the code cannot be loaded, or a record cannot be read.
    """
    messages = [decode(record.data) for record in (records[:stop] if stop else records)]
    machine = new_machine()
    known = [PatchKnown(found.change_id, found.version) for found in messages if isinstance(found, RecordVersion)]
    if known:
        machine.activate(records[0].at_ns, known, replaying=True)
    at, size, turns = 0, 0, 0
    while at < len(messages):
        event = messages[at]
        assert isinstance(event, Event), at
        size += len(records[at].data)
        end = at + 1
        while end < len(messages) and isinstance(messages[end], Command):
            end += 1
        if isinstance(event, Terminated | TimedOut):
            break
        made = machine.activate(records[at].at_ns, [event], replaying=True, history=(at + 1, size))
        difference = None if made == messages[at + 1 : end] else compare(at + 2, messages[at + 1 : end], made)
        if difference is not None:
            machine.close()
            raise NondeterminismError(difference)
        size += sum(len(record.data) for record in records[at + 1 : end])
        at = end
        turns += 1
        if turns % _TURN_COUNT == 0:
            await trio.lowlevel.checkpoint()
    machine.replaying = False
    return machine
