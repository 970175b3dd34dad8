"""The program as a whole: names of commands, mistakes, Python -O."""

import json
import subprocess
import sys

import pytest

from wippy_trio import __version__
from wippy_trio.cli.main import cli

COMMANDS = sorted(cli.commands)


def test_version(program) -> None:
    assert program("version", "--short").out == f"{__version__}\n"
    assert __version__ in program("version").out
    assert json.loads(program("version", "--json").out)["version"] == __version__


def test_help_lists_the_commands(program) -> None:
    ended = program()
    assert ended.code == 0
    for name in ("init", "registry", "run", "test", "version"):
        assert f"  {name} " in ended.out


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["rnu"], "Error: no such command 'rnu'. Did you mean 'run'?\n"),
        (["registry", "lisst"], "Error: no such command 'lisst'. Did you mean 'list'?\n"),
        (["xyzzy"], f"Error: no such command 'xyzzy'. There are: {', '.join(COMMANDS)}.\n"),
        (["publish"], "Error: command 'publish' is not built yet (docs/reference/status.md)\n"),
        (["version", "--shrt"], "Error: No such option '--shrt'."),
    ],
)
def test_mistakes_are_answered(program, args: list[str], text: str) -> None:
    ended = program(*args)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(text)


def test_optimised_python_is_refused() -> None:
    command = [sys.executable, "-O", "-m", "wippy_trio", "version"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "start it without -O" in ended.stderr


def test_version_and_help_load_no_runtime() -> None:
    code = "import sys, wippy_trio.cli.main; sys.exit('trio' in sys.modules or 'lupa' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=20, check=False).returncode == 0
