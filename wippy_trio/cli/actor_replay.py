"""`replay` of a journal: one process again, alone. Source: ours (docs/guides/simulation.md, "Record in production")."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import click

from determinism.journal import MAGIC
from determinism.seams import Disk
from wippy_trio.core.errors import LuaError
from wippy_trio.simulation.actor_replay import ReplayedActor, read_journal, replay_actor
from wippy_trio.simulation.journal_text import event_line

__all__ = ["ShownEvents", "is_journal", "replay_journal"]


@attrs.frozen(slots=True)
class ShownEvents:
    """Which events of a journal are shown: kinds separated by commas (all where empty), first and last number."""

    what: str = ""
    first: int = 0
    until: int | None = None

    def of(self, events: Sequence[Sequence[Any]]) -> Iterator[tuple[int, Sequence[Any]]]:
        """Numbers and events, in order."""
        for number, event in enumerate(events):
            if number < self.first or (self.until is not None and number > self.until):
                continue
            if not self.what or event[0] in self.what.split(","):
                yield number, event


def is_journal(disk: Disk, path: str) -> bool:
    """Whether a file is a journal, by how it begins; not where it cannot be read."""
    try:
        with disk.open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def replay_journal(disk: Disk, path: str, shown: ShownEvents, *, as_json: bool) -> int:
    """Run the process of a journal again and print its events: 0 when it does the same, 1 when not, 2: cannot tell.

    Raises:
        ConfigError: it is damaged, or its code cannot be loaded.
        OSError: it cannot be read.
    """
    with disk.open(path, "rb") as file:
        journal = read_journal(file.read(), path)
    replayed = replay_actor(journal)
    if as_json:
        click.echo(json.dumps(_data(replayed, shown), indent=1, ensure_ascii=False))
    else:
        for number, event in shown.of(journal.events):
            click.echo(f"{number + journal.dropped:>6}  {event_line(event)}")
        _print_end(replayed)
    if replayed.difference is not None:
        return 1
    return 2 if replayed.unable else 0


def _ending(replayed: ReplayedActor) -> str:
    if replayed.ended is None:
        return "it had not ended, or was ended from outside"
    ok, value = replayed.ended
    return f"it returned {value!r}" if ok else f"it failed: {value}"


def _print_end(replayed: ReplayedActor) -> None:
    head = replayed.journal.header
    click.echo(f"{head['entry']} {head['pid']}: {len(replayed.journal.events)} events, {replayed.steps} steps replayed")
    if replayed.note:
        click.echo(f"note: {replayed.note}")
    difference = replayed.difference
    if difference is not None:
        click.echo(f"first difference: event {difference.number} at {difference.line or 'no known line'}")
        click.echo(f"  recorded: {difference.recorded}")
        click.echo(f"  replayed: {difference.replayed}")
    elif replayed.unable:
        click.echo(f"cannot be replayed{' further' if replayed.steps else ''}: {replayed.unable}")
    else:
        click.echo(f"same; {_ending(replayed)}")
        error = replayed.ended[1] if replayed.ended is not None else None
        for line in error.stack.splitlines() if isinstance(error, LuaError) and error.stack else ():
            click.echo(f"  {line}")


def _data(replayed: ReplayedActor, shown: ShownEvents) -> dict[str, Any]:
    head, difference = replayed.journal.header, replayed.difference
    kept = ("entry", "host", "pid", "method", "began_ns")
    return {
        **{name: head[name] for name in kept},
        "same": difference is None and not replayed.unable,
        "difference": None if difference is None else attrs.asdict(difference),
        "unable": replayed.unable,
        "note": replayed.note,
        "ending": _ending(replayed),
        "steps": replayed.steps,
        "dropped": replayed.journal.dropped,
        "events": [
            {"number": number + replayed.journal.dropped, "what": event[0], "text": event_line(event)}
            for number, event in shown.of(replayed.journal.events)
        ],
    }
