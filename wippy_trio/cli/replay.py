"""`replay`: a life again, with the log of its events. Source: ours (docs/guides/simulation.md)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import attrs
import click

from determinism.system import SystemDisk
from determinism.trace import TraceEvent, first_difference
from wippy_trio.cli.actor_replay import ShownEvents, is_journal, replay_journal
from wippy_trio.cli.seen import seen_lines
from wippy_trio.cli.simulate import SimRequest
from wippy_trio.cli.traces import reported, wanted_life
from wippy_trio.core.errors import ConfigError
from wippy_trio.simulation.looking import Look
from wippy_trio.simulation.records import life_data
from wippy_trio.simulation.shown import shown_data
from wippy_trio.simulation.world import Life, live

__all__ = ["ReplayRequest", "replay_life"]

_MOST_CHARS = 100


@attrs.frozen(slots=True)
class ReplayRequest:
    """What `replay` was asked to do: a trace file, or a seed as `sim` was given it."""

    trace: str
    sim: SimRequest
    actor: str
    what: str
    first: int
    until: int | None
    as_json: bool
    inspect: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    queries: tuple[tuple[str, str], ...] = ()


@attrs.frozen(slots=True)
class _Recorded:
    """What a record says of the life: hash of its trace, and fingerprints of its events; empty without a record."""

    trace_hash: str
    events: bytes

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> _Recorded:
        return cls(str(data.get("trace_hash", "")), base64.b64decode(str(data.get("events", ""))))

    def difference(self, life: Life, until: int | None) -> int | None:
        """Number of the first event that is another one, as far as is known and was lived."""
        if not self.events or life.trace_hash == self.trace_hash:
            return None
        if until is None:
            return first_difference(self.events, life.log)
        count = min(until + 1, len(life.log))
        return first_difference(self.events[: 2 * count], life.log[:count])

    def is_same(self, life: Life, differs: int | None) -> bool:
        """Whether it is the recorded life, as far as it was lived."""
        if life.inconclusive == "until" and self.events:
            return differs is None
        return self.trace_hash in {"", life.trace_hash}

    def verdict(self, life: Life, differs: int | None) -> str:
        """The same for people."""
        if not self.trace_hash:
            return ""
        if self.is_same(life, differs):
            return ": the same life as recorded" + (" so far" if life.inconclusive == "until" else "")
        text = ": NOT the life that was recorded"
        if differs is None:
            return text
        at = _line(life.log[differs]) if differs < len(life.log) else f"{differs:>6}  nothing more happens"
        return f"{text}; it differs first at:\n{at}"


def replay_life(request: ReplayRequest) -> int:
    """Live it again and print its events: 1 when it fails, 0 when it holds, 2 when it could not run.

    Of the journal of a process: 0 when it does the same again, 1 when it does not.
    """
    return reported(lambda: _replay(request))


def _replay(request: ReplayRequest) -> int:
    disk = SystemDisk()
    if request.trace and is_journal(disk, request.trace):
        if request.inspect or request.stores or request.queries:
            raise ConfigError("a journal holds one process and no world", hint="leave out --inspect, --store and --sql")
        shown = ShownEvents(request.what, request.first, request.until)
        return replay_journal(disk, request.trace, shown, as_json=request.as_json)
    wanted = wanted_life(request.trace, request.sim, disk)
    looks = request.until is not None or request.inspect or request.stores or request.queries
    look = Look(request.until, request.inspect, request.stores, request.queries) if looks else None
    life = live(wanted.app, attrs.evolve(wanted.spec, keep=True), look=look)
    recorded, project = _Recorded.of(wanted.data), wanted.project
    differs = recorded.difference(life, request.until)
    events = [event for event in life.log if _is_wanted(event, request)]
    if request.as_json:
        data = life_data(life, project)
        data["events"] = [_event_data(event) for event in events]
        data["same"] = recorded.is_same(life, differs)
        data["first_difference"] = differs
        data["seen"] = life.seen
        click.echo(json.dumps(data, indent=1, ensure_ascii=False))
    else:
        for event in events:
            click.echo(_line(event))
        _print_end(life, recorded, differs)
        for line in seen_lines(life.seen) if life.seen is not None else ():
            click.echo(line)
    return 1 if life.failure is not None else 0


def _is_wanted(event: TraceEvent, request: ReplayRequest) -> bool:
    return (
        request.first <= event.number
        and (request.until is None or event.number <= request.until)
        and request.actor in event.actor
        and (not request.what or event.what in request.what.split(","))
    )


def _line(event: TraceEvent) -> str:
    data = shown_data(event.data)
    return f"{event.line()}  {data if len(data) <= _MOST_CHARS else data[:_MOST_CHARS] + '...'}".rstrip()


def _event_data(event: TraceEvent) -> dict[str, Any]:
    return {
        "number": event.number,
        "at_s": event.at_ns / 1e9,
        "actor": event.actor,
        "what": event.what,
        "about": event.about,
        "data": event.data.hex(),
        "shown": shown_data(event.data),
    }


def _print_end(life: Life, recorded: _Recorded, differs: int | None) -> None:
    click.echo(f"{life.steps} steps, {life.choices} choices, {life.virtual_s:.6f} s of virtual time")
    for strike in life.strikes:
        click.echo(f"fault {strike.kind} at {strike.where} (time {strike.number + 1} it was passed)")
    click.echo(f"trace {life.trace_hash}{recorded.verdict(life, differs)}")
    failure = life.failure
    if failure is None:
        if life.inconclusive != "until":
            click.echo(f"inconclusive: {life.inconclusive}" if life.inconclusive else "everything held")
        return
    click.echo(f"FAILED  {life.spec.scenario}  {failure.kind}: {failure.message}")
    for line in failure.stack.splitlines():
        click.echo(f"  {line}")
