"""`workflow`: look at workflows, direct them, export and replay their histories. Source: ours (guides/workflows)."""

from __future__ import annotations

from typing import Any

import attrs
import click

from wippy_trio.cli.options import Source, source_options

__all__ = ["add_commands"]

_PROJECT = click.option("--project", default=".", metavar="DIR", help="Folder of the app (default: here).")
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON output.")
_WORKER = click.option("--worker", default="", metavar="NS:NAME", help="Worker, where several know such an id.")
_RUN = click.option("--run", "run_id", default="", metavar="RUN", help="Run (default: the latest).")
_ID = click.argument("workflow_id", metavar="ID")
_FORMS = ["compact", "timeline", "full"]
_ARGS = click.argument("args", nargs=-1)


def add_commands(group: click.Group) -> None:
    """Give the program its `workflow` commands."""
    group.add_command(workflow)


@click.group()
def workflow() -> None:
    """Look at workflows, direct them, export and replay their histories.

    All but `replay` ask the app that runs in this folder.
    """


def _ask(project: str, do: str, **request: Any) -> Any:
    import trio

    from determinism.system import system_environment
    from wippy_trio.app.admin import ask

    environment = system_environment()
    folder = environment.disk.realpath(project)
    return trio.run(ask, environment, folder, {"op": "workflow", "do": do, **request})


def _values(args: tuple[str, ...]) -> list[Any]:
    """Arguments of a message: JSON where they are JSON, else texts."""
    import orjson

    found: list[Any] = []
    for text in args:
        try:
            found.append(orjson.loads(text))
        except orjson.JSONDecodeError:
            found.append(text)
    return found


def _json(value: Any) -> str:
    import orjson

    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()


@workflow.command("list")
@_PROJECT
@_JSON
@_WORKER
@click.option("--status", default="", help="Only open, completed, failed, canceled, terminated, timed_out, continued.")
@click.option("--type", "name", default="", metavar="NAME", help="Only workflows of this type.")
@click.option("--limit", default=100, show_default=True, help="Runs shown at most.")
def list_(project: str, as_json: bool, worker: str, status: str, name: str, limit: int) -> None:
    """List runs, newest first."""
    from wippy_trio.cli.workflow_text import render_list

    told = _ask(project, "list", worker=worker, status=status, name=name, limit=limit)
    click.echo(_json(told) if as_json else render_list(told["runs"]))


@workflow.command()
@_PROJECT
@_JSON
@_WORKER
@_RUN
@_ID
def show(project: str, as_json: bool, worker: str, run_id: str, workflow_id: str) -> None:
    """Show one workflow: its state, its result, and where its code waits."""
    from wippy_trio.cli.workflow_text import render_show

    told = _ask(project, "show", id=workflow_id, worker=worker, run=run_id)
    click.echo(_json(told) if as_json else render_show(told))


@workflow.command()
@_PROJECT
@_JSON
@_WORKER
@_RUN
@click.option(
    "--as",
    "form",
    type=click.Choice(["compact", "timeline", "full"]),
    default="compact",
    show_default=True,
    help="How.",
)
@_ID
def history(project: str, as_json: bool, worker: str, run_id: str, form: str, workflow_id: str) -> None:
    """Show what is recorded of a workflow.

    `compact`: a line each. `timeline`: how long activities, timers and children took. `full`: every field.
    """
    from wippy_trio.cli.workflow_text import render_history

    data = _ask(project, "export", id=workflow_id, worker=worker, run=run_id)
    click.echo(_json(data) if as_json else render_history(data, form))


@workflow.command()
@_PROJECT
@_WORKER
@_RUN
@click.option("-o", "--output", metavar="FILE", help="File to write (default: standard output).")
@_ID
def export(project: str, worker: str, run_id: str, output: str | None, workflow_id: str) -> None:
    """Write a history as JSON, for `replay`."""
    text = _json(_ask(project, "export", id=workflow_id, worker=worker, run=run_id)) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    from determinism.system import SystemDisk

    with SystemDisk().open(output, "wb") as file:
        file.write(text.encode())
    click.echo(f"written: {output}", err=True)


@workflow.command()
@source_options
@_JSON
@click.argument("file", metavar="FILE")
def replay(source: Source, as_json: bool, file: str) -> None:
    """Replay the exported history in FILE (ours, or Temporal's JSON) with the code of the app here.

    Says `same` and exits with 0, or tells recorded and now, with the Lua line and the first field that differs, and
    exits with 1; with 2 when it could not be done.
    """
    from wippy_trio.cli.workflow_text import render_replay
    from wippy_trio.core.errors import LuaError

    try:
        told = _replayed(source, file)
    except (LuaError, OSError) as problem:
        click.echo(problem.render() if hasattr(problem, "render") else f"Error: {problem}", err=True)
        raise SystemExit(2) from problem
    click.echo(_json(told) if as_json else render_replay(told))
    raise SystemExit(0 if told["same"] else 1)


def _replayed(source: Source, file: str) -> dict[str, Any]:
    import orjson
    import trio

    from determinism.system import SystemDisk
    from wippy_trio.app.app import open_entries
    from wippy_trio.cli.session import load_session
    from wippy_trio.core.errors import InvalidError
    from wippy_trio.observability.log import LogCore
    from wippy_trio.workflows.console import replay_export

    disk = SystemDisk()
    path = disk.realpath(file)  # the session may enter the app's folder
    with disk.open(path, "rb") as opened:
        text = opened.read()
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise InvalidError(f"{file} is not JSON: {problem}") from problem
    if not isinstance(data, dict):
        raise InvalidError(f"{file} is not a workflow history")
    session = load_session(attrs.evolve(source, settings=(*source.settings, "workflows.engine=embedded")))

    async def main() -> dict[str, Any]:
        async with open_entries(
            session.entries,
            config=session.config,
            environment=session.environment,
            log=LogCore(session.environment.clock),
            module_roots=session.module_roots,
            auto_start=False,
        ) as app:
            return await replay_export(app.runtime, data)

    return trio.run(main)


@workflow.command()
@_PROJECT
@_JSON
@_WORKER
@_ID
@click.argument("name")
@_ARGS
def query(project: str, as_json: bool, worker: str, workflow_id: str, name: str, args: tuple[str, ...]) -> None:
    """Ask a workflow: `state`, one of its keys, `tasks` (where its code waits), `pid`."""
    del as_json  # answers are JSON
    click.echo(_json(_ask(project, "query", id=workflow_id, worker=worker, name=name, args=_values(args))))


@workflow.command()
@_PROJECT
@_WORKER
@_ID
@click.argument("topic")
@_ARGS
def signal(project: str, worker: str, workflow_id: str, topic: str, args: tuple[str, ...]) -> None:
    """Send a message to a workflow. Arguments are JSON, or texts."""
    _ask(project, "signal", id=workflow_id, worker=worker, name=topic, args=_values(args))
    click.echo(f"recorded: {topic} for {workflow_id}")


@workflow.command()
@_PROJECT
@_WORKER
@click.option("--update-id", default="", metavar="ID", help="Asked twice with one id, it is done once.")
@_ID
@click.argument("name")
@_ARGS
def update(project: str, worker: str, update_id: str, workflow_id: str, name: str, args: tuple[str, ...]) -> None:
    """Ask a workflow to do something, and wait for its answer."""
    request = {"id": workflow_id, "worker": worker, "name": name, "args": _values(args), "update_id": update_id}
    click.echo(_json(_ask(project, "update", **request)))


@workflow.command()
@_PROJECT
@_WORKER
@click.option("--reason", default="", help="Why; the workflow is told.")
@_ID
def cancel(project: str, worker: str, reason: str, workflow_id: str) -> None:
    """Ask a workflow to stop: it gets a CANCEL event."""
    _ask(project, "cancel", id=workflow_id, worker=worker, reason=reason)
    click.echo(f"asked to stop: {workflow_id}")


@workflow.command()
@_PROJECT
@_WORKER
@click.option("--reason", default="", help="Why; kept in its history.")
@_ID
def terminate(project: str, worker: str, reason: str, workflow_id: str) -> None:
    """End a workflow at once; its code is not asked."""
    _ask(project, "terminate", id=workflow_id, worker=worker, reason=reason)
    click.echo(f"terminated: {workflow_id}")


@workflow.command()
@_PROJECT
@_WORKER
@_RUN
@click.option("--to", "number", default=0, show_default=True, metavar="N", help="Last record that still counts.")
@click.option("--reason", default="", help="Why; kept in its history.")
@_ID
def reset(project: str, worker: str, run_id: str, number: int, reason: str, workflow_id: str) -> None:
    """Let a workflow go on anew from an earlier record: 0 is the beginning, and all that embedded workflows can."""
    told = _ask(project, "reset", id=workflow_id, worker=worker, run=run_id, number=number, reason=reason)
    click.echo(f"new run of {workflow_id}: {told['run_id']}")
