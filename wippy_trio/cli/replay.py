"""`replay`: a life again, with the log of its events. Source: ours (docs/guides/simulation.md)."""

from __future__ import annotations

import json
from typing import Any

import attrs
import click

from determinism.system import SystemDisk
from determinism.trace import TraceEvent
from wippy_trio.cli.simulate import SimRequest
from wippy_trio.cli.traces import reported, wanted_life
from wippy_trio.simulation.records import life_data
from wippy_trio.simulation.world import Life, live

__all__ = ["ReplayRequest", "replay_life"]


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


def replay_life(request: ReplayRequest) -> int:
    """Live it again and print its events: 1 when it fails, 0 when it holds, 2 when it could not run."""
    return reported(lambda: _replay(request))


def _replay(request: ReplayRequest) -> int:
    wanted = wanted_life(request.trace, request.sim, SystemDisk())
    life = live(wanted.app, attrs.evolve(wanted.spec, keep=True))
    recorded, project = str(wanted.data.get("trace_hash", "")), wanted.project
    events = [event for event in life.log if _is_wanted(event, request)]
    if request.as_json:
        data = life_data(life, project)
        data["events"] = [_event_data(event) for event in events]
        data["same"] = recorded in ("", life.trace_hash)
        click.echo(json.dumps(data, indent=1, ensure_ascii=False))
    else:
        for event in events:
            click.echo(event.line())
        _print_end(life, recorded)
    return 1 if life.failure is not None else 0


def _is_wanted(event: TraceEvent, request: ReplayRequest) -> bool:
    return (
        request.first <= event.number
        and (request.until is None or event.number <= request.until)
        and request.actor in event.actor
        and (not request.what or event.what in request.what.split(","))
    )


def _event_data(event: TraceEvent) -> dict[str, Any]:
    return {
        "number": event.number,
        "at_s": event.at_ns / 1e9,
        "actor": event.actor,
        "what": event.what,
        "about": event.about,
        "data": event.data.hex(),
    }


def _print_end(life: Life, recorded: str) -> None:
    click.echo(f"{life.steps} steps, {life.choices} choices, {life.virtual_s:.6f} s of virtual time")
    for strike in life.strikes:
        click.echo(f"fault {strike.kind} at {strike.where} (time {strike.number + 1} it was passed)")
    if recorded:
        same = "the same life as recorded" if recorded == life.trace_hash else "NOT the life that was recorded"
        click.echo(f"trace {life.trace_hash}: {same}")
    else:
        click.echo(f"trace {life.trace_hash}")
    failure = life.failure
    if failure is None:
        click.echo(f"inconclusive: {life.inconclusive}" if life.inconclusive else "everything held")
        return
    click.echo(f"FAILED  {life.spec.scenario}  {failure.kind}: {failure.message}")
    for line in failure.stack.splitlines():
        click.echo(f"  {line}")
