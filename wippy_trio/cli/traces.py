"""Commands about single lives: what they read, `timeline`, `shrink`. Source: ours (docs/guides/simulation.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import click

from determinism.jobs import enter_folder
from determinism.seams import Disk
from determinism.system import SystemClock, SystemDisk
from wippy_trio.cli.simulate import SimRequest, campaign_of
from wippy_trio.core.errors import ConfigError, InvalidError, LuaError
from wippy_trio.core.units import duration_s
from wippy_trio.simulation.campaign import app_of, spec_of
from wippy_trio.simulation.records import life_data, read_life, save_life
from wippy_trio.simulation.scenarios import BOOT
from wippy_trio.simulation.shrinking import shrink_life, workload_of
from wippy_trio.simulation.timeline import timeline_html
from wippy_trio.simulation.world import Life, LifeSpec, SimulatedApp, live

__all__ = ["Wanted", "draw_timeline", "reported", "shrink_trace", "wanted_life"]


@attrs.frozen(slots=True)
class Wanted:
    """The life that a command is about.

    Attributes:
        app, spec: of it.
        project: the app's folder.
        data: what the record says; empty without one.
    """

    app: SimulatedApp
    spec: LifeSpec
    project: str
    data: dict[str, Any] = attrs.field(factory=dict)


def wanted_life(trace: str, request: SimRequest, disk: Disk) -> Wanted:
    """The life of a trace file, or of a seed as `sim` was given it. Enters the app's folder.

    Raises:
        ConfigError: neither is given, or the app cannot be loaded, or it has several scenarios and none was chosen.
    """
    if trace:
        project, spec, data = read_life(disk, trace)
        enter_folder(project)
        scenario = spec.scenario.removeprefix(BOOT)
        return Wanted(app_of(project, scenario, request.overrides, request.settings), spec, project, dict(data))
    if request.seed is None:
        raise ConfigError("needs a trace file or --seed", hint="`sim` prints the command for each failure")
    campaign = campaign_of(request)
    enter_folder(campaign.path)
    app = app_of(campaign.path, campaign.scenario, campaign.overrides, campaign.settings)
    names = [str(scenario.id) for scenario in app.scenarios] or [BOOT]
    if len(names) > 1:
        raise ConfigError("several scenarios: say which with --scenario", hint=", ".join(names))
    return Wanted(app, spec_of(app, campaign, names[0], request.seed), campaign.path)


def reported(work: Callable[[], int]) -> int:
    """What `work` ends with, or 2 and what was wrong."""
    try:
        return work()
    except (LuaError, OSError) as problem:
        click.echo(problem.render() if isinstance(problem, ConfigError) else f"Error: {problem}", err=True)
        return 2


def draw_timeline(trace: str, request: SimRequest, out: str) -> int:
    """Write the timeline of a life as HTML: 1 when it fails, 0 when it holds, 2 when it could not run."""
    return reported(lambda: _draw(trace, request, out))


def _draw(trace: str, request: SimRequest, out: str) -> int:
    disk = SystemDisk()
    if not out:
        name = trace.rpartition("/")[2].removesuffix(".json") or f"seed-{request.seed}"
        out = f"{name}.html"
    path = disk.realpath(out)  # before the folder changes
    wanted = wanted_life(trace, request, disk)
    life = live(wanted.app, attrs.evolve(wanted.spec, keep=True))
    with disk.open(path, "wb") as file:
        file.write(timeline_html(life).encode("utf-8", "surrogateescape"))
    click.echo(f"{out}: {len(life.log)} events; {_verdict(life)}")
    return 1 if life.failure is not None else 0


def _verdict(life: Life) -> str:
    if life.failure is not None:
        return f"FAILED  {life.spec.scenario}  {life.failure.kind}: {life.failure.message}"
    return f"inconclusive: {life.inconclusive}" if life.inconclusive else "everything held"


def shrink_trace(trace: str, limit: str, out: str) -> int:
    """Write the least record that fails as a record does: 1 when it fails, 0 when it holds, 2 when it could not run."""
    return reported(lambda: _shrink(trace, limit, out))


def _shrink(trace: str, limit: str, out: str) -> int:
    try:
        limit_s = duration_s(limit)
    except InvalidError as problem:
        raise ConfigError(f"--time-limit: {problem}", hint="durations look like 500ms, 30s or 2m") from None
    disk, clock = SystemDisk(), SystemClock()
    out = out or f"{trace.removesuffix('.json').removesuffix('.min')}.min.json"
    path = disk.realpath(out)  # before the folder changes
    wanted = wanted_life(trace, _NO_REQUEST, disk)
    life = live(wanted.app, wanted.spec)
    if life.failure is None:
        click.echo("it does not fail any more: nothing to shrink")
        return 0
    least = shrink_life(wanted.app, life, clock, limit_s)
    if least is None:
        raise ConfigError("it failed once, and not again with the same faults and choices", hint="check-determinism")
    save_life(disk, path, life_data(least, wanted.project))
    click.echo(_verdict(least))
    click.echo(f"{_size(wanted.app, life)} before, now {_size(wanted.app, least)}:")
    click.echo(f"python -m wippy_trio replay {out}")
    return 1


def _size(app: SimulatedApp, life: Life) -> str:
    preemptions = len(life.made) if life.spec.schedule is not None else life.choices
    work = "".join(f", {name} {count}" for name, count in workload_of(app, life.spec).items())
    return f"{len(life.strikes)} faults, {preemptions} preemptions, {life.steps} steps{work}"


_NO_REQUEST = SimRequest(
    path=".",
    scenario="",
    seeds=None,
    seed=None,
    jobs=1,
    strategy="swarm",
    faults="all",
    time_limit="600s",
    check=False,
    json_file="",
    shrink=False,
    overrides=(),
    settings=(),
)
