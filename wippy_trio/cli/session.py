"""One run of an app from the command line: load, log, boot, signals, stop. Source: docs guides/cli."""

from __future__ import annotations

import difflib
import gc
import logging as stdlib_logging
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping

import attrs
import click
import trio

from determinism.seams import Environment
from determinism.system import system_environment
from wippy_trio.app.app import App, open_entries
from wippy_trio.app.catalogue import KINDS
from wippy_trio.app.config import Config, ConfigFlags, load_config, load_project, process_environment
from wippy_trio.cli.options import Logging, Source
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError, LuaError, SourcePosition
from wippy_trio.observability.log import ConsoleFormatter, JsonFormatter, LogCore, LogLevel, LogSettings, attach_handler

__all__ = ["Body", "Session", "load_session", "run_session"]

#: What a session is for: gets the running app, returns the exit code.
Body = Callable[[App], Awaitable[int]]

_FORCED = 1
#: Life of a command before it gets an admin socket: short ones do without.
_ADMIN_DELAY_S = 1.0
_SHUTDOWN_S = 30.0
#: Time beyond the limit for what ends by being cancelled.
_GRACE_S = 0.5


@attrs.frozen(slots=True)
class Session:
    """A loaded app.

    Attributes:
        environment: the live seams.
        config: its configuration.
        entries: what it consists of.
        problems: what loading found amiss without refusing it.
        module_roots: `org/module` -> the folder that the module's own files are relative to.
    """

    environment: Environment
    config: Config
    entries: tuple[Entry, ...]
    problems: tuple[ConfigError, ...]
    module_roots: Mapping[str, str]


def load_session(source: Source) -> Session:
    """Read configuration and entries; nothing runs.

    Raises:
        ConfigError: no app there, or a wrong file, setting or override.
    """
    seams = system_environment()
    disk = seams.disk
    if not disk.exists(source.project):
        raise ConfigError(f"folder {source.project} not found")
    flags = ConfigFlags(source.config_files, source.profiles, source.settings, source.overrides)
    config = load_config(source.project, flags, disk=disk, env=process_environment())
    if not disk.exists(f"{config.project_dir}/{source.lock_file}"):
        where = "this folder" if source.project == "." else source.project
        hint = "`wippy-trio init` begins an app here; --project DIR names another folder"
        raise ConfigError(f"no {source.lock_file} in {where}: it says where an app's entries are", hint=hint)
    if source.project != ".":
        os.chdir(config.project_dir)  # relative paths in entries mean the app's folder
    project = load_project(config, disk, lock_name=source.lock_file)
    return Session(seams, config, project.entries, project.problems, project.module_roots)


def run_session(session: Session, logging: Logging, body: Body | None = None) -> int:
    """Boot the app; run `body`, or serve until the app or a signal ends it. Returns the exit code.

    The first Ctrl-C or SIGTERM stops everything in order, within `shutdown.timeout`; a second one does not wait.

    Raises:
        ConfigError: an entry was refused; says where it stands.
        LuaError: what `body` raised.
    """
    if not logging.silent:
        for problem in session.problems:
            click.echo(f"warning: {problem.render()}", err=True)
    detach = _set_up_log(session, logging, quiet=body is not None and not logging.decided)
    try:
        return trio.run(_main, session, logging, body)
    except BaseException as problem:
        error = _placed(_single(problem), session.entries)
        if error is problem:
            raise
        raise error from None
    finally:
        detach()


# ------------------------------------------------------------------------------------------------------------- log


def _set_up_log(session: Session, logging: Logging, *, quiet: bool) -> Callable[[], None]:
    config = session.config
    name = config.get_str("logger.level", "debug" if config.get_str("logger.mode") == "development" else "info")
    try:
        level = LogLevel.parse(name)
    except KeyError:
        hint = "levels are debug, info, warn and error"
        raise ConfigError(f"logger.level: unknown level '{name}'", hint=hint) from None
    if logging.silent or quiet:
        handler = stdlib_logging.NullHandler()
        stdlib_logging.getLogger().addHandler(handler)
        return lambda: stdlib_logging.getLogger().removeHandler(handler)
    if logging.verbose or logging.very_verbose:
        level = LogLevel.DEBUG
    if logging.console:
        console = ConsoleFormatter(color=sys.stderr.isatty(), started_ns=session.environment.clock.wall_ns())
        return attach_handler(sys.stderr, console, level)
    if config.get_str("logger.encoding", "console") == "json":
        return attach_handler(sys.stderr, JsonFormatter(), level)
    return attach_handler(sys.stderr, ConsoleFormatter(color=sys.stderr.isatty()), level)


def _log_settings(config: Config, logging: Logging) -> LogSettings:
    verbose = logging.verbose or logging.very_verbose
    return LogSettings(
        config.get_bool("logmanager.propagate_downstream", True),
        logging.event_streams or config.get_bool("logmanager.stream_to_events"),
        LogLevel.DEBUG if verbose else config.get_int("logmanager.min_level", LogLevel.DEBUG),
    )


# ------------------------------------------------------------------------------------------------------------- run


class _Stop:
    """Turns signals into the end of the run."""

    def __init__(self) -> None:
        self.app: App | None = None
        self.boot = trio.CancelScope()
        self._asked = False

    async def watch(self, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            task_status.started()
            async for _ in received:
                if self._asked:
                    _leave_now("stopped at once")
                self._asked = True
                if self.app is None:
                    self.boot.cancel()
                else:
                    self.app.request_exit(0)


def _leave_now(why: str) -> None:
    """Leave without another step."""
    try:
        click.echo(why, err=True)
        sys.stdout.flush()
    finally:
        os._exit(_FORCED)


async def _main(session: Session, logging: Logging, body: Body | None) -> int:
    log = LogCore(session.environment.clock, _log_settings(session.config, logging))
    stop = _Stop()
    code = 0
    async with trio.open_nursery() as nursery:
        await nursery.start(stop.watch)
        with stop.boot:
            async with open_entries(
                session.entries,
                config=session.config,
                environment=session.environment,
                log=log,
                module_roots=session.module_roots,
            ) as app:
                stop.app = app
                gc.freeze()  # what the start made stays for good
                gc.enable()  # __main__ switched it off
                _announce(app, session, serving=body is None)
                nursery.start_soon(_limit, app)
                if session.config.get_bool("admin.socket", True):
                    nursery.start_soon(_admin, app, 0.0 if body is None else _ADMIN_DELAY_S)
                if body is not None:
                    nursery.start_soon(_drive, app, body)
                await app.exit_requested.wait()
                app.runtime.log.info("shutting down")
            code = app.exit_code
        nursery.cancel_scope.cancel()
    return code


async def _limit(app: App) -> None:
    """End a stop that takes longer than `shutdown.timeout`: services have limits of their own, and they add up."""
    await app.exit_requested.wait()
    limit_s = app.config.get_duration_s("shutdown.timeout", _SHUTDOWN_S)
    await trio.sleep(limit_s + _GRACE_S)
    _leave_now(f"not everything stopped within {limit_s:g} s (shutdown.timeout)")


async def _admin(app: App, delay_s: float) -> None:
    """Answer `ps` and its like, from when the app is ready; a command must last for that."""
    await trio.sleep(delay_s)
    from wippy_trio.app.admin import serve_admin

    await serve_admin(app)


async def _drive(app: App, body: Body) -> None:
    app.request_exit(await body(app))


def _announce(app: App, session: Session, *, serving: bool) -> None:
    """Say what runs where; a command has the terminal for itself."""
    log = app.runtime.log
    if not serving:
        return
    for id_, error in app.failed:  # which the log has told
        if "in use" in str(error):
            click.echo(f"hint: stop what listens there, or choose a port: -o {id_}:addr=127.0.0.1:0", err=True)
    log.info("app is ready", entries=len(session.entries))
    for id_, resource in app.runtime.resources.all(object):
        address = getattr(resource, "address", None)
        if isinstance(address, str) and address:
            secure = getattr(resource, "tls", None) is not None
            url = _url(address, secure=secure)
            log.info("serving", url=url, service=str(id_))


def _url(address: str, *, secure: bool) -> str:
    """What to type into a browser: what listens everywhere is reached at localhost."""
    host, _, port = address.rpartition(":")
    shown = f"localhost:{port}" if host.strip("[]") in {"", "0.0.0.0", "::"} else address
    return f"{'https' if secure else 'http'}://{shown}/"


# ---------------------------------------------------------------------------------------------------------- errors


def _single(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup) and len(problem.exceptions) == 1:
        problem = problem.exceptions[0]
    return problem


def _placed(problem: BaseException, entries: Iterable[Entry]) -> BaseException:
    """The refusal of an entry at boot, with the entry's place in its file and the innermost reason; else `problem`."""
    name, cause = "", problem
    waiting: list[str] = []
    step: BaseException | None = problem
    while step is not None:
        if isinstance(step, LuaError):
            details = step.details or {}
            name = str(details.get("entry_id") or name)
            found = details.get("entries")
            waiting = [str(item) for item in found] if isinstance(found, list) else waiting
            cause = step
        step = step.__cause__
    if not name or not isinstance(cause, LuaError) or (isinstance(cause, ConfigError) and cause.position):
        return cause if name else problem
    position = next((entry.position for entry in entries if str(entry.id) == name), None)
    if position is not None:
        position = SourcePosition(position.file, position.line, position.column, position.text)
    text = str(cause) if name in str(cause) else f"{name}: {cause}"
    return ConfigError(text, position, _hint(text, [item for item in waiting if item != name]))


def _hint(text: str, others: list[str]) -> str:
    unknown = re.search(r"unknown entry kind '([^']*)'", text)
    if unknown:
        close = difflib.get_close_matches(unknown[1], KINDS, n=1)
        return f"did you mean '{close[0]}'?" if close else "docs/reference/status.md lists the kinds"
    return f"refused for the same reason: {', '.join(others)}" if others else ""
