"""The command line: `python -m wippy_trio COMMAND`. Source: docs guides/cli."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from wippy_trio import __version__
from wippy_trio.cli.options import Logging, logging_options, project_options

__all__ = ["main"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="A Wippy-compatible actor runtime: Lua actors, functions and services described in YAML, on trio.",
)
def cli() -> None:
    """The root of all commands."""


@cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@project_options
@click.option("-x", "--exec", "execute", metavar="NS:ENTRY", help="Run one process entry on the terminal.")
@click.option("--host", metavar="NS:HOST", help="Terminal host to run the command on.")
@logging_options
@click.argument("command", required=False)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(  # noqa: PLR0913 - one parameter per flag
    project: str,
    config: tuple[str, ...],
    profile: tuple[str, ...],
    override: tuple[str, ...],
    settings: tuple[str, ...],
    execute: str | None,
    host: str | None,
    logging: Logging,
    command: str | None,
    args: tuple[str, ...],
) -> None:
    """Run the app in this folder, or one of its commands.

    `run list` shows the commands; `run COMMAND [ARGS...]` runs one; without a command the app runs until it is stopped.
    """
    from wippy_trio.cli.run import RunRequest, run_app  # noqa: PLC0415 - version and help need no runtime

    request = RunRequest(project, config, profile, override, settings, execute, host, command, args, logging)
    raise SystemExit(run_app(request))


@cli.command()
@click.option("--short", is_flag=True, help="The number only.")
def version(*, short: bool) -> None:
    """Print the version."""
    click.echo(__version__ if short else f"wippy-trio {__version__} (Python {sys.version.split()[0]})")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `wippy-trio`; exits with the command's code."""
    from wippy_trio.core.errors import ConfigError, LuaError  # noqa: PLC0415

    try:
        cli.main(args=None if argv is None else list(argv), prog_name="wippy-trio", standalone_mode=True)
    except ConfigError as problem:
        click.echo(problem.render(), err=True)
        raise SystemExit(1) from None
    except LuaError as problem:
        click.echo(f"Error: {problem}", err=True)
        raise SystemExit(1) from None
