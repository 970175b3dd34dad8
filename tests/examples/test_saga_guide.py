"""The tutorial of guides/workflows.md: all its commands, in order, in one shell, on a copy of the example."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import pytest

from tests.services.temporal import wait_until

DOCS = Path(__file__).parents[2] / "docs"
SAGA = DOCS / "examples" / "saga"
LIMIT_S = 60.0  # for one command, on a machine that has much else to do
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What differs from one run of the tutorial to the next.
VARYING = (
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"(?<![\w.-])\+?(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+(?![\w.])"), "TOOK"),
    (re.compile(r"size_bytes: \d+"), "size_bytes: N"),
    (re.compile(r"[\d.]+ seeds/s, \d+ \w+ of virtual time, \d+ distinct schedules, \d+ \(actor"), "N (actor"),
    (re.compile(r" {2,}"), " "),  # columns are as wide as what is in them
)
#: These change nothing. The node is at work meanwhile, so they are asked again until they tell what the guide shows.
LOOKING = re.compile(r"python -m wippy_trio workflow (list|show|history) ")


@attrs.frozen
class Step:
    """Commands, and what the guide says they print."""

    commands: tuple[str, ...]
    shown: str


def section() -> str:
    text = (DOCS / "guides" / "workflows.md").read_text(encoding="utf-8")
    return text.split("\n## Tutorial: ", 1)[1].split("\n## ", 1)[0]


def steps() -> list[Step]:
    blocks = [(name, text) for name, text in BLOCK.findall(section()) if name != "lua"]
    assert [name for name, _ in blocks] == ["sh", ""] * (len(blocks) // 2), "each sh block is followed by its output"
    return [
        Step(tuple(text.splitlines()), shown) for (_, text), (_, shown) in zip(blocks[::2], blocks[1::2], strict=True)
    ]


def abstracted(text: str) -> str:
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return text.strip()


class Shell:
    """One bash for all commands, so that `$!` is the node that was started last."""

    def __init__(self, folder: Path, process: subprocess.Popen[str], errors: Path) -> None:
        self._folder, self._process, self.errors = folder, process, errors
        self._count = 0

    def __call__(self, command: str) -> tuple[int, str]:
        """Exit code and standard output of a command."""
        self._count += 1
        out, code = (self._folder / f"{self._count}.{name}" for name in ("out", "code"))
        assert self._process.stdin is not None
        self._process.stdin.write(
            f"{{ {command}\n}} >{out} 2>>{self.errors}; echo $? >{code}.new; mv {code}.new {code}\n"
        )
        self._process.stdin.flush()
        wait_until(code.exists, LIMIT_S)
        return int(code.read_text()), out.read_text(encoding="utf-8")


@contextmanager
def shell(folder: Path, app: Path) -> Iterator[Shell]:
    with subprocess.Popen(["bash"], cwd=app, stdin=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            run = Shell(folder, process, folder / "errors")
            run(f'export COLUMNS=200 PATH="{Path(sys.executable).parent}:$PATH"')
            yield run
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # with the nodes it has started


def copied(app: Path) -> Path:
    for path in SAGA.rglob("*"):
        if path.is_file() and ".wippy" not in path.parts and ".db" not in path.name:
            target = app / path.relative_to(SAGA)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return app


def follow(run: Shell, step: Step) -> None:
    printed, last = "", step.commands[-1]
    for command in step.commands[:-1]:
        code, text = run(command)
        assert code == 0, f"{command}: {run.errors.read_text()}"
        printed += text
    told: list[tuple[int, str]] = []

    def as_shown() -> bool:
        told.append(run(last))
        return abstracted(printed + told[-1][1]) == abstracted(step.shown)

    if LOOKING.match(last + " "):
        with suppress(AssertionError):  # the next one tells more
            wait_until(as_shown, LIMIT_S)
    else:
        as_shown()
    code, text = told[-1]
    assert abstracted(printed + text) == abstracted(step.shown), run.errors.read_text()
    assert code == (1 if step.shown.startswith("different") else 0)


@pytest.mark.slow
def test_the_tutorial_is_true(tmp_path: Path) -> None:
    killed = 0
    with shell(tmp_path, copied(tmp_path / "saga")) as run:
        for step in steps():
            if "kill -9 $!" not in step.commands:
                follow(run, step)
                continue
            node = run("echo $!")[1].strip()
            assert run(f"kill -0 {node}")[0] == 0, "the node runs"
            follow(run, step)
            assert run(f"kill -0 {node}")[0] != 0, "the node is dead, and another one answered"
            killed += 1
    assert killed == 1


def test_the_tutorial_has_each_step() -> None:
    commands = "\n".join(command for step in steps() for command in step.commands)
    for part in ("run place", "kill -9", "show", "list", "history", "export", "replay", "versioned.lua", " sim "):
        assert part in commands


def test_code_that_is_shown_is_the_code() -> None:
    files = [path.read_text(encoding="utf-8") for path in sorted(SAGA.rglob("*.lua"))]
    shown = [text for name, text in BLOCK.findall(section()) if name == "lua"]
    assert len(shown) == 3
    assert all(any(text in file for file in files) for text in shown)
