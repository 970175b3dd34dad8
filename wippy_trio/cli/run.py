"""`run`: boot an app, run a command or serve until stopped. Source: docs guides/cli; spec system/cli."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable

import attrs
import click
import trio

from determinism.system import system_environment
from wippy_trio.actors.terminal import TerminalHost, exit_code
from wippy_trio.app.app import App, open_entries
from wippy_trio.app.config import Config, ConfigFlags, load_config, load_project, process_environment
from wippy_trio.cli.options import Logging
from wippy_trio.cli.terminal import ProcessTerminal
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError, InvalidError, NotFoundError
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId
from wippy_trio.observability.log import ConsoleFormatter, JsonFormatter, LogCore, LogLevel, attach_handler

__all__ = ["RunRequest", "run_app"]

_HOST_WAIT_S = 5.0


@attrs.frozen(slots=True)
class RunRequest:
    """What `run` was asked to do."""

    project: str
    config_files: tuple[str, ...]
    profiles: tuple[str, ...]
    overrides: tuple[str, ...]
    settings: tuple[str, ...]
    execute: str | None
    host: str | None
    command: str | None
    args: tuple[str, ...]
    logging: Logging
    use_case: str = ""


def commands_of(entries: Iterable[Entry]) -> list[tuple[str, str, Entry]]:
    """(name, short text, entry) of every process entry with `meta.command`, by name."""
    found = []
    for entry in entries:
        command = entry.meta.get("command")
        if entry.kind.startswith("process.") and isinstance(command, dict) and command.get("name"):
            found.append((str(command["name"]), str(command.get("short") or ""), entry))
    return sorted(found, key=lambda item: item[0])


def run_app(request: RunRequest) -> int:
    """Run and return the exit code.

    Raises:
        ConfigError, LuaError: what the CLI prints.
    """
    seams = system_environment()
    flags = ConfigFlags(request.config_files, request.profiles, request.settings, request.overrides)
    config = load_config(request.project, flags, disk=seams.disk, env=process_environment())
    project = load_project(config, seams.disk)
    if request.command == "list" and not request.execute:
        return _list(project.entries)
    target = _target(request, project.entries)
    detach = _set_up_log(request, config, command=target is not None)
    try:
        return trio.run(_main, request, config, project.entries, project.problems, target)
    except BaseException as problem:
        error = _single(problem)
        if error is problem:
            raise
        raise error from problem
    finally:
        detach()


def _single(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup) and len(problem.exceptions) == 1:
        problem = problem.exceptions[0]
    return problem


def _list(entries: Iterable[Entry]) -> int:
    found = commands_of(entries)
    if not found:
        click.echo("No commands found. Give a process entry `meta.command.name` to make it one.")
        return 0
    click.echo("Available commands:")
    width = max(len(name) for name, _, _ in found)
    for name, short, entry in found:
        click.echo(f"  {name:<{width}}  {short}  ({entry.id})")
    return 0


def _target(request: RunRequest, entries: Iterable[Entry]) -> EntryId | None:
    if request.execute:
        if not all(request.execute.partition(":")):
            raise InvalidError(f"invalid exec spec '{request.execute}': expected namespace:entry")
        return EntryId.parse(request.execute)
    found = commands_of(entries)
    if request.use_case:
        for _, _, entry in found:
            if entry.meta["command"].get("use_case") == request.use_case:
                return entry.id
        for name, _, entry in found:
            if name == request.use_case:
                return entry.id
        raise NotFoundError(f"no command with use_case '{request.use_case}' in this app")
    if request.command is None:
        return None
    for name, _, entry in found:
        if name == request.command:
            return entry.id
    raise NotFoundError(f"command \"{request.command}\" not found. Use 'run list' to see available commands")


def _set_up_log(request: RunRequest, config: Config, *, command: bool):  # type: ignore[no-untyped-def]
    flags = request.logging
    if flags.silent or (command and not flags.decided):
        return attach_handler(sys.stderr, JsonFormatter(), LogLevel.ERROR) if not flags.silent else (lambda: None)
    level = LogLevel.DEBUG if flags.verbose or flags.very_verbose else LogLevel.parse(config.get_str("logger.level", "info"))
    if flags.console or config.get_str("logger.encoding", "console") != "json":
        return attach_handler(sys.stderr, ConsoleFormatter(color=sys.stderr.isatty()), level)
    return attach_handler(sys.stderr, JsonFormatter(), level)


async def _main(
    request: RunRequest,
    config: Config,
    entries: tuple[Entry, ...],
    problems: tuple[ConfigError, ...],
    target: EntryId | None,
) -> int:
    seams = system_environment()
    core = LogCore(seams.clock)
    log = core.log("app")
    for problem in problems:
        log.warn(problem.render())
    async with trio.open_nursery() as nursery:
        async with open_entries(entries, config=config, environment=seams, log=core) as app:
            nursery.start_soon(_signals, app)
            log.info("app is ready", entries=len(entries))
            _announce(app, command=target is not None)
            if target is not None:
                nursery.start_soon(_command, app, request, target)
            await app.exit_requested.wait()
            log.info("shutting down")
        nursery.cancel_scope.cancel()
    return app.exit_code


def _announce(app: App, *, command: bool) -> None:
    if command:
        return
    for id_, resource in app.runtime.resources.all(object):
        address = getattr(resource, "address", None)
        if isinstance(address, str) and address:
            app.runtime.log.info("listening", service=str(id_), address=address)


async def _signals(app: App) -> None:
    """First signal: stop in order, within the shutdown time limit; second: at once."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for _ in received:
            if app.exit_requested.is_set():
                sys.stderr.flush()
                signal.raise_signal(signal.SIGKILL)
            app.request_exit(0)


async def _command(app: App, request: RunRequest, target: EntryId) -> None:
    host = await _terminal_host(app, request.host)
    if host.hide_logs:
        app.runtime.log.debug("logs are hidden while the command runs")
    args = request.args if request.execute is None or request.command is None else (request.command, *request.args)
    terminal = ProcessTerminal(args, app.runtime.environment.threads)
    try:
        process = host.run_command(target, args, terminal, Frame())
        await process.ended.wait()
        code, out, err = exit_code(process.value, process.error)
    finally:
        terminal.close()
    if out:
        click.echo(out)
    if err:
        click.echo(err, err=True)
        if process.error is not None and process.error.stack and request.logging.very_verbose:
            click.echo(process.error.stack, err=True)
    app.request_exit(code)


async def _terminal_host(app: App, wanted: str | None) -> TerminalHost:
    found = [str(entry.id) for entry in app.registry.all() if entry.kind == "terminal.host"]
    if wanted is None:
        if not found:
            raise NotFoundError("no terminal.host found in registry")
        if len(found) > 1:
            raise InvalidError(f"multiple terminal hosts found ({', '.join(found)}), use --host to specify")
        wanted = found[0]
    elif wanted not in found:
        raise NotFoundError(f"terminal host not found: {wanted}")
    with trio.move_on_after(_HOST_WAIT_S):
        await app.supervisor.start(EntryId.parse(wanted))
    return app.runtime.resources.get(wanted, TerminalHost, "running terminal host")
