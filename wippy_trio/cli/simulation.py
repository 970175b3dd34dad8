"""Commands of simulation: `sim` and its kin. Source: ours (docs/guides/simulation.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from wippy_trio.cli.simulate import SimRequest

__all__ = ["add_commands"]


@click.command()
@click.argument("path", default=".")
@click.option("--scenario", default="", metavar="ID", help="One scenario, or all whose id has this in it.")
@click.option("--seeds", type=int, metavar="N", help="So many seeds each, 0 to N-1 (default: 300, or to a failure).")
@click.option("--seed", type=int, metavar="S", help="This seed only.")
@click.option("--jobs", type=int, metavar="J", help="Processes at once (default: one for each core).")
@click.option("--strategy", default="swarm", show_default=True, help="swarm, random, pct, dfs or fifo.")
@click.option("--faults", default="all", show_default=True, metavar="LIST", help="all, none, names or areas; -NAME.")
@click.option("--time-limit", default="60s", show_default=True, help="Of this machine's time, for all lives.")
@click.option("--check", is_flag=True, help="Live each life twice, and compare.")
@click.option("--json", "json_file", default="", metavar="FILE", help="Report as JSON (- for standard output).")
@click.option("--no-shrink", is_flag=True, help="Do not look for the least that still fails.")
@click.option("-o", "--override", "overrides", multiple=True, metavar="NS:ENTRY:FIELD=VALUE", help="Change an entry.")
@click.option("--set", "settings", multiple=True, metavar="SECTION.PATH=VALUE", help="Change a setting.")
def sim(  # noqa: PLR0913 - one parameter per flag
    *,
    path: str,
    scenario: str,
    seeds: int | None,
    seed: int | None,
    jobs: int | None,
    strategy: str,
    faults: str,
    time_limit: str,
    check: bool,
    json_file: str,
    no_shrink: bool,
    overrides: tuple[str, ...],
    settings: tuple[str, ...],
) -> None:
    """Simulate the app in PATH (here) from seeds, with faults, and say what does not hold.

    Exit code 0: every life held. 1: a failure was found. 2: it could not run.
    """
    from wippy_trio.cli.simulate import SimRequest, simulate_app

    request = SimRequest(
        path=path,
        scenario=scenario,
        seeds=seeds,
        seed=seed,
        jobs=jobs,
        strategy=strategy,
        faults=faults,
        time_limit=time_limit,
        check=check,
        json_file=json_file,
        shrink=not no_shrink,
        overrides=overrides,
        settings=settings,
    )
    raise SystemExit(simulate_app(request))


@click.command()
@click.argument("target", default="")
@click.option("--seed", type=int, metavar="S", help="A seed, as `sim` was given it; TARGET is then the app's folder.")
@click.option("--scenario", default="", metavar="ID", help="Which scenario, with --seed.")
@click.option("--strategy", default="swarm", show_default=True, help="As for `sim`, with --seed.")
@click.option("--faults", default="all", show_default=True, metavar="LIST", help="As for `sim`, with --seed.")
@click.option("--actor", default="", metavar="TEXT", help="Events of actors whose name has this in it.")
@click.option("--what", default="", metavar="KINDS", help="Kinds of events: step,issue,answer,sent,message,fault,...")
@click.option("--from", "first", type=int, default=0, metavar="N", help="From event N.")
@click.option("--until", type=int, metavar="N", help="Stop after event N.")
@click.option("--inspect", multiple=True, metavar="ACTOR", help="Look into actors whose name has this in it, or all.")
@click.option("--store", "stores", multiple=True, metavar="ID", help="Show what a store holds at the stop.")
@click.option("--sql", "queries", nargs=2, multiple=True, metavar="DB QUERY", help="Ask a database at the stop.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("-o", "--override", "overrides", multiple=True, metavar="NS:ENTRY:FIELD=VALUE", help="Change an entry.")
@click.option("--set", "settings", multiple=True, metavar="SECTION.PATH=VALUE", help="Change a setting.")
def replay(  # noqa: PLR0913 - one parameter per flag
    *,
    target: str,
    seed: int | None,
    actor: str,
    what: str,
    first: int,
    until: int | None,
    inspect: tuple[str, ...],
    stores: tuple[str, ...],
    queries: tuple[tuple[str, str], ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Live a life again, from the trace file TARGET or a --seed, and print its events.

    With --until it stops there; --inspect, --store and --sql look at the world then, or else when it fails or ends.
    A record tells where the life first differs from it, as after a change of the app.

    TARGET may be the journal of a process, too, which a host with `record` wrote: that process runs again alone.

    Exit code 1: it fails, or does not do what its journal holds. 0: it holds, or stopped before. 2: it could not run.
    """
    from wippy_trio.cli.replay import ReplayRequest, replay_life

    request = _one_life(target, seed, **options)
    trace = target if seed is None else ""
    raise SystemExit(
        replay_life(ReplayRequest(trace, request, actor, what, first, until, as_json, inspect, stores, queries))
    )


@click.command("check-determinism")
@click.argument("path", default=".")
@click.option("--scenario", default="", metavar="ID", help="One scenario, or all whose id has this in it.")
@click.option("--seeds", type=int, metavar="N", help="So many seeds each, 0 to N-1 (default: 3).")
@click.option("--seed", type=int, metavar="S", help="This seed only.")
@click.option("--strategy", default="swarm", show_default=True, help="As for `sim`.")
@click.option("--faults", default="all", show_default=True, metavar="LIST", help="As for `sim`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def check_determinism(  # noqa: PLR0913 - one parameter per flag
    *, path: str, scenario: str, seeds: int | None, seed: int | None, strategy: str, faults: str, as_json: bool
) -> None:
    """Live each seed of the app in PATH twice, in fresh processes, and compare event by event.

    The processes have other hash seeds for Python. The first event that differs is told with its Lua line, the
    operation it comes from and both Python stacks. Exit code 0: all the same. 1: a difference. 2: it could not run.
    """
    from wippy_trio.cli.checking import check_app
    from wippy_trio.cli.simulate import SimRequest

    request = SimRequest(
        path=path,
        scenario=scenario,
        seeds=3 if seeds is None and seed is None else seeds,
        seed=seed,
        jobs=1,
        strategy=strategy,
        faults=faults,
        time_limit="600s",
        check=False,
        json_file="",
        shrink=False,
        overrides=(),
        settings=(),
    )
    raise SystemExit(check_app(request, as_json=as_json))


@click.command()
@click.argument("target", default="")
@click.option("--out", default="", metavar="FILE", help="Where to write it (default: here, named after TARGET).")
@click.option("--seed", type=int, metavar="S", help="A seed, as `sim` was given it; TARGET is then the app's folder.")
@click.option("--scenario", default="", metavar="ID", help="Which scenario, with --seed.")
@click.option("--strategy", default="swarm", show_default=True, help="As for `sim`, with --seed.")
@click.option("--faults", default="all", show_default=True, metavar="LIST", help="As for `sim`, with --seed.")
@click.option("-o", "--override", "overrides", multiple=True, metavar="NS:ENTRY:FIELD=VALUE", help="Change an entry.")
@click.option("--set", "settings", multiple=True, metavar="SECTION.PATH=VALUE", help="Change a setting.")
def timeline(target: str, out: str, seed: int | None, **options: Any) -> None:
    """Draw a life, from the trace file TARGET or a --seed, as one HTML file that needs nothing else.

    Lanes for actors, messages, faults, virtual time, search, filters, and what led to the failure. Exit code 1: the
    life fails. 0: it holds. 2: it could not run.
    """
    from wippy_trio.cli.traces import draw_timeline

    raise SystemExit(draw_timeline(target if seed is None else "", _one_life(target, seed, **options), out))


@click.command()
@click.argument("trace")
@click.option("--time-limit", default="30s", show_default=True, help="Of this machine's time.")
@click.option("--out", default="", metavar="FILE", help="Where to write it (default: TRACE with .min.json).")
def shrink(trace: str, time_limit: str, out: str) -> None:
    """Look for the least that fails as TRACE does: fewer faults, fewer switches of actors, then a smaller workload.

    Exit code 1: it fails, and the least record is written. 0: it does not fail any more. 2: it could not run.
    """
    from wippy_trio.cli.traces import shrink_trace

    raise SystemExit(shrink_trace(trace, time_limit, out))


def _one_life(target: str, seed: int | None, **options: Any) -> SimRequest:
    """What was said about a single life, with --seed; without, the trace says it all but overrides and settings."""
    from wippy_trio.cli.simulate import SimRequest

    return SimRequest(
        path=(target or ".") if seed is not None else ".",
        seeds=None,
        seed=seed,
        jobs=1,
        time_limit="600s",
        check=False,
        json_file="",
        shrink=False,
        **options,
    )


def add_commands(group: click.Group) -> None:
    """Add the commands of simulation to the command line."""
    group.add_command(sim)
    group.add_command(replay)
    group.add_command(check_determinism)
    group.add_command(timeline)
    group.add_command(shrink)
