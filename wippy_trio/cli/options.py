"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs
import click

__all__ = ["Logging", "logging_options", "project_options"]

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen(slots=True)
class Logging:
    """What the log flags say. `decided` tells whether any of them was given."""

    console: bool = False
    silent: bool = False
    verbose: bool = False
    very_verbose: bool = False
    event_streams: bool = False

    @property
    def decided(self) -> bool:
        return self.console or self.silent or self.verbose or self.very_verbose


def logging_options(function: F) -> F:
    """-c, -s, -v, --very-verbose, -e; the command gets one `logging` argument."""

    def collect(ctx: click.Context, param: click.Parameter, value: bool) -> bool:  # noqa: FBT001
        name = str(param.name).removeprefix("log_")
        ctx.meta.setdefault("logging", {})[name] = value
        return value

    flags = (
        ("-c", "--console", "console", "Colourful console log."),
        ("-s", "--silent", "silent", "No console log."),
        ("-v", "--verbose", "verbose", "Log from level debug."),
        ("--very-verbose", "--very-verbose", "very_verbose", "Log from level debug, with tracebacks."),
        ("-e", "--event-streams", "event_streams", "Send log records to the event bus."),
    )

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        for _, _, name, _ in flags:
            kwargs.pop(f"log_{name}", None)
        kwargs["logging"] = Logging(**click.get_current_context().meta.get("logging", {}))
        return function(*args, **kwargs)

    wrapped.__name__ = function.__name__
    wrapped.__doc__ = function.__doc__
    if hasattr(function, "__click_params__"):
        wrapped.__click_params__ = function.__click_params__  # type: ignore[attr-defined]  # click's own protocol
    decorated: Any = wrapped
    for short, long, name, text in reversed(flags):
        names = dict.fromkeys((short, long))
        decorated = click.option(*names, f"log_{name}", is_flag=True, callback=collect, help=text)(decorated)
    result: F = decorated
    return result


def project_options(function: F) -> F:
    """--project, --config, --profile, -o, --set."""
    for decorate in (
        click.option("--set", "settings", multiple=True, metavar="SECTION.PATH=VALUE", help="Change a setting."),
        click.option("-o", "--override", multiple=True, metavar="NS:ENTRY:FIELD=VALUE", help="Change an entry's field."),
        click.option("--profile", multiple=True, help="Select a profile of the configuration."),
        click.option("--config", multiple=True, metavar="FILE", help="Configuration file (default .wippy.yaml)."),
        click.option("--project", default=".", metavar="DIR", help="Folder of the app (default: here)."),
    ):
        function = decorate(function)
    return function
