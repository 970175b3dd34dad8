"""Options that several commands share, as one value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import attrs
import click

__all__ = ["Logging", "Source", "logging_options", "source_options"]

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen(slots=True)
class Logging:
    """What the log flags say."""

    console: bool = False
    silent: bool = False
    verbose: bool = False
    very_verbose: bool = False
    event_streams: bool = False

    @property
    def decided(self) -> bool:
        """Whether a flag says what becomes of the log; else a command runs without one."""
        return self.console or self.silent or self.verbose or self.very_verbose


@attrs.frozen(slots=True)
class Source:
    """Which app, and how its configuration is changed for this run."""

    project: str = "."
    config_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    lock_file: str = "wippy.lock"


_LOG_FLAGS = (
    (("-c", "--console"), "console", "Colourful console log."),
    (("-s", "--silent"), "silent", "No log."),
    (("-v", "--verbose"), "verbose", "Log from level debug."),
    (("--very-verbose",), "very_verbose", "Log from level debug, and Lua tracebacks of failed commands."),
    (("-e", "--event-streams"), "event_streams", "Send log records to the event bus too."),
)
_SOURCE = (
    ("--project", "project", {"default": ".", "metavar": "DIR", "help": "Folder of the app (default: here)."}),
    ("--config", "config_files", {"multiple": True, "metavar": "FILE", "help": "Configuration file."}),
    ("--profile", "profiles", {"multiple": True, "metavar": "NAME", "help": "Profile of the configuration."}),
    ("--override", "overrides", {"multiple": True, "metavar": "NS:ENTRY:FIELD=VALUE", "help": "Change an entry."}),
    ("--set", "settings", {"multiple": True, "metavar": "SECTION.PATH=VALUE", "help": "Change a setting."}),
    ("--lock-file", "lock_file", {"default": "wippy.lock", "metavar": "FILE", "help": "Lock file of the app."}),
)
_SHORT = {"--override": "-o", "--lock-file": "-l"}


def logging_options(function: F) -> F:
    """-c, -s, -v, --very-verbose, -e; the command gets one `logging` argument. Given before its name they count too."""
    names = [name for _, name, _ in _LOG_FLAGS]

    def gather(kwargs: dict[str, Any]) -> None:
        given = {name: bool(kwargs.pop(f"log_{name}")) for name in names}
        outer = click.get_current_context().obj
        if isinstance(outer, Logging):
            given = {name: value or getattr(outer, name) for name, value in given.items()}
        kwargs["logging"] = Logging(**given)

    wrapped = _gathering(function, gather)
    for flags, name, text in reversed(_LOG_FLAGS):
        wrapped = click.option(*flags, f"log_{name}", is_flag=True, help=text)(wrapped)
    return wrapped


def source_options(function: F) -> F:
    """--project, --config, --profile, -o, --set, -l; the command gets one `source` argument."""

    def gather(kwargs: dict[str, Any]) -> None:
        kwargs["source"] = Source(**{name: kwargs.pop(name) for _, name, _ in _SOURCE})

    wrapped = _gathering(function, gather)
    for flag, name, options in reversed(_SOURCE):
        flags = (_SHORT[flag], flag) if flag in _SHORT else (flag,)
        wrapped = click.option(*flags, name, **options)(wrapped)
    return wrapped


def _gathering(function: F, gather: Callable[[dict[str, Any]], None]) -> F:
    """`function` with some of click's arguments put together first."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        gather(kwargs)
        return function(*args, **kwargs)

    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    if hasattr(function, "__click_params__"):
        wrapped.__click_params__ = function.__click_params__  # type: ignore[attr-defined]  # click's own protocol
    return cast(F, wrapped)
