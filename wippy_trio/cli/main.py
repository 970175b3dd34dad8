"""The command line: `python -m wippy_trio COMMAND`. Source: docs guides/cli; spec system/cli.

Nothing of the runtime is imported before a command needs it: `version` and `--help` answer at once.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence

import click

from wippy_trio import __version__
from wippy_trio.cli import inspect, simulation, workflow
from wippy_trio.cli.options import Logging, Source, logging_options, source_options

__all__ = ["main"]

#: Commands of the reference that are not built yet.
_UNBUILT = frozenset({"add", "auth", "install", "lint", "pack", "publish", "readme", "search", "update"})


class _Group(click.Group):
    """Says what was probably meant by an unknown command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        if name in _UNBUILT and ctx.parent is None:
            raise click.ClickException(f"command '{name}' is not built yet (docs/reference/status.md)")
        close = difflib.get_close_matches(name, self.list_commands(ctx), n=1, cutoff=0.5)
        meant = f" Did you mean '{close[0]}'?" if close else f" There are: {', '.join(self.list_commands(ctx))}."
        raise click.ClickException(f"no such command '{name}'.{meant}")


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="A Wippy-compatible actor runtime: Lua actors, functions and services described in YAML, on trio.",
)
@logging_options
@click.pass_context
def cli(ctx: click.Context, logging: Logging) -> None:
    """The root of all commands."""
    ctx.obj = logging


@cli.command(context_settings={"ignore_unknown_options": True})
@source_options
@click.option("-x", "--exec", "execute", metavar="NS:ENTRY", help="Run one process entry on the terminal.")
@click.option("--host", metavar="NS:HOST", help="Terminal host to run the command on.")
@logging_options
@click.argument("command", required=False)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(
    source: Source, execute: str | None, host: str | None, logging: Logging, command: str | None, args: tuple[str, ...]
) -> None:
    """Run the app in this folder, or one of its commands.

    `run list` shows the commands, `run COMMAND [ARGS...]` runs one (`--` ends the options of run itself); without a
    command the app runs until Ctrl-C or SIGTERM.
    """
    from wippy_trio.cli.run import RunRequest, run_app

    raise SystemExit(run_app(RunRequest(source, execute, host, command, args, logging)))


@cli.command(context_settings={"ignore_unknown_options": True})
@source_options
@click.option("--host", metavar="NS:HOST", help="Terminal host to run the app's own test command on.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--timeout", default="60s", show_default=True, help="How long one test may take.")
@click.option("--built-in", is_flag=True, help="Use the built-in runner even where the app has a test command.")
@logging_options
@click.argument("patterns", nargs=-1, type=click.UNPROCESSED)
def test(  # noqa: PLR0913 - one parameter per flag
    *,
    source: Source,
    host: str | None,
    as_json: bool,
    timeout: str,
    built_in: bool,
    logging: Logging,
    patterns: tuple[str, ...],
) -> None:
    """Run the app's tests: those whose id contains one of PATTERNS, or all.

    That is the command with `use_case: test` where the app has one; else every function.lua entry with
    `meta.type: test` is called: it fails when it raises or returns an error, false, or failed test cases.
    """
    from wippy_trio.cli.testing import TestRequest, test_app

    raise SystemExit(test_app(TestRequest(source, host, as_json, timeout, built_in, logging, patterns)))


@cli.command()
@click.argument("directory", default=".")
@click.option("-t", "--template", metavar="NAME", help="App to begin with: minimal, http, worker or none.")
@click.option("-d", "--src-dir", default="./src", show_default=True, help="Folder of the sources.")
@click.option("--modules-dir", default=".wippy", show_default=True, help="Folder of installed modules.")
@click.option("-l", "--lock-file", default="wippy.lock", show_default=True, help="Lock file to write.")
def init(directory: str, template: str | None, src_dir: str, modules_dir: str, lock_file: str) -> None:
    """Begin an app in DIRECTORY (here): a lock file, a configuration file and a template.

    Where there are sources already only the lock file is written. No file is ever overwritten.
    """
    from wippy_trio.cli.init import InitRequest, init_app

    for line in init_app(InitRequest(directory, template, src_dir, modules_dir, lock_file)):
        click.echo(line)


@cli.group(cls=_Group)
def registry() -> None:
    """Look at the entries of an app without running it."""


@registry.command("list")
@source_options
@click.option("-k", "--kind", metavar="GLOB", help="Kind, such as 'function.*'.")
@click.option("-n", "--ns", metavar="GLOB", help="Namespace, such as 'app.*'.")
@click.option("--name", metavar="GLOB", help="Name.")
@click.option("--meta", multiple=True, metavar="FIELD=VALUE", help="Also ~REGEX, *PART, ^START and $END.")
@click.option("--json", "as_json", is_flag=True, help="JSON output.")
@click.option("--yaml", "as_yaml", is_flag=True, help="YAML output.")
def registry_list(  # noqa: PLR0913 - one parameter per flag
    *,
    source: Source,
    kind: str | None,
    ns: str | None,
    name: str | None,
    meta: tuple[str, ...],
    as_json: bool,
    as_yaml: bool,
) -> None:
    """List entries."""
    from wippy_trio.cli.entries import list_entries

    fields = {".kind": kind, ".ns": ns, ".name": name}
    click.echo(list_entries(source, fields, meta, _format(as_json, as_yaml)), nl=False)


@registry.command("show")
@source_options
@click.option("-f", "--field", metavar="NAME", help="One field of the entry's data.")
@click.option("--json", "as_json", is_flag=True, help="JSON output.")
@click.option("--yaml", "as_yaml", is_flag=True, help="YAML output.")
@click.option("--raw", is_flag=True, help="The field as it is, without a line end.")
@click.argument("entry")
def registry_show(source: Source, field: str | None, as_json: bool, as_yaml: bool, raw: bool, entry: str) -> None:
    """Show one ENTRY, by its id or by a name that is unique."""
    from wippy_trio.cli.entries import show_entry

    click.echo(show_entry(source, entry, field, "raw" if raw else _format(as_json, as_yaml)), nl=False)


def _format(as_json: bool, as_yaml: bool) -> str:
    return "json" if as_json else "yaml" if as_yaml else "text"


@cli.command()
@click.option("--short", is_flag=True, help="The number only.")
@click.option("--json", "as_json", is_flag=True, help="JSON output.")
def version(short: bool, as_json: bool) -> None:
    """Print the version."""
    python = sys.version.split(maxsplit=1)[0]
    if as_json:
        click.echo(f'{{"version": "{__version__}", "python": "{python}"}}')
    else:
        click.echo(__version__ if short else f"wippy-trio {__version__} (Python {python})")


inspect.add_commands(cli)
simulation.add_commands(cli)
workflow.add_commands(cli)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `wippy-trio`; exits with the command's code, 1 for any error.

    What a user can get wrong is told in a few lines; a Python traceback means a bug of ours.
    """
    from sandbox.errors import LuaError

    if not __debug__:
        _fail("Error: Python runs with -O, which drops the checks this program relies on: start it without -O")
    try:
        code = cli.main(args=None if argv is None else list(argv), prog_name="wippy-trio", standalone_mode=False)
    except click.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as asked:
        click.echo(asked.format_message())
        sys.exit(0)
    except click.ClickException as problem:
        _fail(f"Error: {problem.format_message()}")
    except LuaError as problem:
        _fail(problem.render() if hasattr(problem, "render") else f"Error: {problem}")
    except BrokenPipeError:  # whoever read our output is gone
        sys.stderr.close()
        sys.exit(1)
    except OSError as problem:
        _fail(f"Error: {problem.strerror or problem}{f': {problem.filename}' if problem.filename else ''}")
    sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str) -> None:
    click.echo(text, err=True)
    sys.exit(1)
