"""`io` on a terminal host, and without one."""

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from sandbox.errors import LuaError
from tests.conftest import OpenApp, RunLua
from wippy_trio.actors.terminal import Terminal, TerminalHost, exit_code
from wippy_trio.core.errors import ConflictError
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId

COMMAND = """
- name: terminal
  kind: terminal.host
  lifecycle: {{auto_start: true}}
- name: command
  kind: process.lua
  modules: [io]
  source: |
    local io = require("io")
    return function(...)
      {body}
    end
"""


@attrs.define
class Script:
    """A terminal whose input is known beforehand."""

    args: Sequence[str] = ()
    lines: list[bytes] = attrs.field(factory=list)
    written: bytes = b""
    errors: bytes = b""
    modes: list[bool] = attrs.field(factory=list)
    broken: bool = False

    def write_now(self, data: bytes) -> None:
        if self.broken:
            raise BrokenPipeError("pipe is closed")
        self.written += data

    def write_error_now(self, data: bytes) -> None:
        self.errors += data

    def flush_now(self) -> None:
        self.written += b"<flush>"

    def raw_now(self, enable: bool) -> None:
        self.modes.append(enable)

    async def read(self, max_bytes: int) -> bytes:
        if not self.lines:
            return b""
        data, self.lines[0] = self.lines[0][:max_bytes], self.lines[0][max_bytes:]
        if not self.lines[0]:
            del self.lines[0]
        return data

    async def readline(self) -> bytes:
        return self.lines.pop(0) if self.lines else b""


async def run(app: OpenApp, body: str, terminal: Terminal) -> Any:
    async with app(COMMAND.format(body=body)) as running:
        host = running.runtime.resources.get("app:terminal", TerminalHost)
        process = host.run_command(EntryId("app", "command"), terminal.args, terminal, Frame())
        await process.ended.wait()
        if process.error is not None:
            raise process.error
        return process.value


async def test_output(app: OpenApp) -> None:
    terminal = Script()
    body = 'io.write("a", 1, nil) io.print("b", 2.0) io.eprint("wrong", true) io.flush() return io.raw(), io.raw(false)'
    assert await run(app, body, terminal) is True
    assert (terminal.written, terminal.errors) == (b"a1nilb\t2\n<flush>", b"wrong\ttrue\n")
    assert terminal.modes == [True, False]


async def test_input(app: OpenApp) -> None:
    terminal = Script(lines=[b"first\r\n", b"second\n", b"\xff\x00raw"])
    body = """
      local one, two = io.readline(), io.readline()
      local three, four = io.read(2), io.read()
      local five, err = io.read()
      return {one, two, #three, four, five == nil, err:message(), tostring(select(2, io.readline()):kind())}
    """
    assert await run(app, body, terminal) == ["first", "second", 2, "raw", True, "end of input", "Internal"]


async def test_arguments(app: OpenApp) -> None:
    terminal = Script(args=["--fast", "x"])
    assert await run(app, "return {io.args(), {...}}", terminal) == [["--fast", "x"], ["--fast", "x"]]


async def test_a_closed_pipe_is_an_error_of_the_call(app: OpenApp) -> None:
    body = 'local ok, err = io.print("x") return {ok == nil, err:message()}'
    assert await run(app, body, Script(broken=True)) == [True, "write failed: pipe is closed"]


async def test_one_command_at_a_time(app: OpenApp) -> None:
    async with app(COMMAND.format(body="process.inbox():receive()")) as running:
        host = running.runtime.resources.get("app:terminal", TerminalHost)
        host.run_command(EntryId("app", "command"), (), Script(), Frame())
        with pytest.raises(ConflictError, match="already running"):
            host.run_command(EntryId("app", "command"), (), Script(), Frame())


async def test_without_a_terminal(lua: RunLua) -> None:
    body = 'local ok, err = io.write("x") return {ok == nil, err:kind(), #io.args()}'
    source = f'local io = require("io") {body}'
    assert await lua(source, modules=["io"]) == [True, "Unavailable", 0]


@pytest.mark.parametrize(
    ("value", "code"),
    [(None, 0), (True, 0), (False, 1), (0, 0), (3, 3), (255, 255), (256, 1), (-1, 1), (2.0, 2), (float("nan"), 1)],
)
def test_exit_codes(value: Any, code: int) -> None:
    assert exit_code(value, None) == (code, "", "")


def test_texts_are_printed_and_errors_told() -> None:
    assert exit_code("done", None) == (0, "done", "")
    assert exit_code(b"\xff", None) == (0, "\ufffd", "")
    assert exit_code(None, LuaError("went wrong", kind="Internal")) == (1, "", "went wrong")
