"""`run`: serve an app until it is stopped, or run one of its commands. Source: docs guides/cli; spec system/cli."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

import attrs
import click
import trio

from wippy_trio.actors.terminal import TerminalHost, exit_code
from wippy_trio.app.app import App
from wippy_trio.cli.options import Logging, Source
from wippy_trio.cli.session import Body, load_session, run_session
from wippy_trio.cli.terminal import ProcessTerminal
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError, InvalidError, NotFoundError, UnavailableError, UnsupportedError
from wippy_trio.core.frame import Frame, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.scope import policies_of

__all__ = ["Command", "RunRequest", "command_body", "commands_of", "run_app"]

_HOST_WAIT_S = 5.0


@attrs.frozen(slots=True)
class RunRequest:
    """What `run` was asked to do."""

    source: Source
    execute: str | None
    host: str | None
    command: str | None
    args: tuple[str, ...]
    logging: Logging


@attrs.frozen(slots=True)
class Command:
    """A process entry with `meta.command`."""

    name: str
    short: str
    use_case: str
    entry: Entry


def commands_of(entries: Iterable[Entry]) -> list[Command]:
    """The commands of an app, by name."""
    found = []
    for entry in entries:
        data = entry.meta.get("command")
        if entry.kind.startswith("process.") and isinstance(data, Mapping) and data.get("name"):
            use_case = str(data.get("use_case") or "run")
            found.append(Command(str(data["name"]), str(data.get("short") or ""), use_case, entry))
    return sorted(found, key=lambda command: (command.name, command.entry.id))


def run_app(request: RunRequest) -> int:
    """Do it and return the exit code.

    Raises:
        ConfigError, LuaError: what the CLI prints.
    """
    _refuse_packs(request.command)
    session = load_session(request.source)
    commands = commands_of(session.entries)
    if request.command == "list" and request.execute is None:
        click.echo(_listing(commands))
        return 0
    if request.execute is not None:
        args = request.args if request.command is None else (request.command, *request.args)
        body = command_body(_exec_target(request.execute, session.entries), args, request.host, request.logging)
        return run_session(session, request.logging, body)
    if request.command is None:
        return run_session(session, request.logging)
    target = _named(commands, request.command)
    return run_session(session, request.logging, command_body(target, request.args, request.host, request.logging))


def _refuse_packs(name: str | None) -> None:
    if name is not None and (name.endswith(".wapp") or "/" in name):
        message = f"cannot run {name}: packs and modules of the hub are not built yet (docs/reference/status.md)"
        raise UnsupportedError(message)


def _listing(commands: list[Command]) -> str:
    if not commands:
        return "No commands found. A process entry with meta.command.name is one."
    names = max(len(command.name) for command in commands)
    shorts = max(len(command.short) for command in commands)
    rows = [f"  {item.name:<{names}}  {item.short:<{shorts}}  {item.entry.id}" for item in commands]
    return "\n".join(["Available commands:", *rows])


def _named(commands: list[Command], name: str) -> EntryId:
    found = [command for command in commands if command.name == name]
    if len(found) > 1:
        ids = ", ".join(str(command.entry.id) for command in found)
        raise ConfigError(f'command "{name}" is declared by {ids}', hint="run one of them with --exec NS:ENTRY")
    if found:
        return found[0].entry.id
    if name.startswith("-"):
        raise ConfigError(f"no such option {name}", hint="`run --help` shows the options")
    close = difflib.get_close_matches(name, [command.name for command in commands], n=1, cutoff=0.5)
    meant = f"did you mean '{close[0]}'?" if close else "`run list` shows the commands of this app"
    raise ConfigError(f'command "{name}" not found', hint=meant)


def _exec_target(text: str, entries: Iterable[Entry]) -> EntryId:
    if not all(text.partition(":")):
        raise InvalidError(f"invalid exec spec '{text}': expected namespace:entry")
    wanted = EntryId.parse(text)
    entry = next((entry for entry in entries if entry.id == wanted), None)
    if entry is None:
        raise ConfigError(f"entry {wanted} not found", hint="`registry list --kind 'process.*'` shows what can be run")
    if not entry.kind.startswith("process.") or entry.kind in {"process.host", "process.service"}:
        raise InvalidError(f"{wanted} is of kind {entry.kind}: --exec runs process entries")
    return wanted


# ------------------------------------------------------------------------------------------------------- a command


def command_body(target: EntryId, args: tuple[str, ...], host: str | None, logging: Logging) -> Body:
    """What runs process `target` with `args` on a terminal host; its result is the exit code."""

    async def body(app: App) -> int:
        found = await _terminal_host(app, host)
        terminal = ProcessTerminal(args, app.runtime.environment.threads)
        try:
            process = found.run_command(target, args, terminal, _frame(app, target))
            await process.ended.wait()
        finally:
            terminal.close()
        if app.exit_requested.is_set():  # stopped from outside, or by itself through system.exit
            return app.exit_code
        code, out, err = exit_code(process.value, process.error)
        if out:
            click.echo(out)
        if err:
            click.echo(f"Error: {err}", err=True)
            if process.error is not None and process.error.stack and logging.very_verbose:
                click.echo(process.error.stack, err=True)
        return code

    return body


def _frame(app: App, target: EntryId) -> Frame:
    """The identity that `meta.command.security` gives to a command; none where it says nothing."""
    command = app.registry.get(target).meta.get("command")
    security = command.get("security") if isinstance(command, Mapping) else None
    actor = security.get("actor") if isinstance(security, Mapping) else None
    if not isinstance(security, Mapping) or not isinstance(actor, Mapping) or not actor.get("id"):
        return Frame()
    policies = [EntryId.parse(str(item), target.namespace) for item in security.get("policies") or ()]
    groups = [EntryId.parse(str(item), target.namespace) for item in security.get("groups") or ()]
    scope, _ = policies_of(app.runtime.extras).resolve(policies, groups)
    return Frame(actor=SecurityActor(str(actor["id"]), actor.get("meta") or {}), scope=scope)


async def _terminal_host(app: App, wanted: str | None) -> TerminalHost:
    found = [str(entry.id) for entry in app.registry.all() if entry.kind == "terminal.host"]
    if wanted is None:
        if not found:
            hint = "commands need one: {name: terminal, kind: terminal.host, lifecycle: {auto_start: true}}"
            raise ConfigError("no terminal.host found in registry", hint=hint)
        if len(found) > 1:
            raise InvalidError(f"multiple terminal hosts found ({', '.join(found)}), use --host to specify")
        wanted = found[0]
    elif wanted not in found:
        known = f"; there are: {', '.join(found)}" if found else ""
        raise NotFoundError(f"terminal host not found: {wanted}{known}")
    with trio.move_on_after(_HOST_WAIT_S) as limit:
        await app.supervisor.start(EntryId.parse(wanted))
    if limit.cancelled_caught:
        raise UnavailableError(f"timeout waiting for host {wanted} to start after {_HOST_WAIT_S:g}s")
    return app.runtime.resources.get(wanted, TerminalHost, "running terminal host")
