"""The `io` module: the terminal of a command. Source: docs lua/system/io."""

from __future__ import annotations

from wippy_trio.actors.terminal import Terminal
from wippy_trio.core.errors import InternalError, UnavailableError
from wippy_trio.module import Call, Module, ModuleClass

__all__ = ["MODULE"]

MODULE = Module("io", classes={ModuleClass.IO, ModuleClass.NONDETERMINISTIC}, prelude="io.lua")
_DEFAULT_READ_BYTES = 1024
_MAX_READ_BYTES = 1 << 20


def _terminal(call: Call) -> Terminal:
    terminal: Terminal | None = call.frame.extras.get("terminal")
    if terminal is None:
        raise UnavailableError("no terminal: this process does not run on a terminal host", retryable=False)
    return terminal


@MODULE.immediate("io.write")
def write(call: Call, data: str | bytes) -> bool:
    """Write to standard output."""
    terminal = _terminal(call)
    try:
        terminal.write_now(data if isinstance(data, bytes) else data.encode())
    except OSError as problem:
        raise InternalError(f"write failed: {problem}") from problem
    return True


@MODULE.immediate("io.write_error")
def write_error(call: Call, data: str | bytes) -> bool:
    """Write to standard error."""
    terminal = _terminal(call)
    try:
        terminal.write_error_now(data if isinstance(data, bytes) else data.encode())
    except OSError as problem:
        raise InternalError(f"write failed: {problem}") from problem
    return True


@MODULE.immediate("io.flush")
def flush(call: Call) -> bool:
    """Make output visible."""
    try:
        _terminal(call).flush_now()
    except OSError as problem:
        raise InternalError(f"flush failed: {problem}") from problem
    return True


@MODULE.immediate("io.args")
def args(call: Call) -> list[str]:
    """The command's arguments; empty without a terminal."""
    terminal = call.frame.extras.get("terminal")
    return list(terminal.args) if terminal is not None else []


@MODULE.immediate("io.raw")
def raw(call: Call, enable: bool = True) -> bool:
    """Raw mode."""
    _terminal(call).raw_now(enable)
    return True


@MODULE.waiting("io.read")
async def read(call: Call, count: float | None = None) -> bytes | None:
    """Up to `count` bytes; nil at the end of input."""
    wanted = int(count) if count and count > 0 else _DEFAULT_READ_BYTES
    data = await _terminal(call).read(min(wanted, _MAX_READ_BYTES))
    if not data:
        raise InternalError("end of input")
    return data


@MODULE.waiting("io.readline")
async def readline(call: Call) -> bytes:
    """One line without its line end."""
    data = await _terminal(call).readline()
    if not data:
        raise InternalError("end of input")
    return data.removesuffix(b"\n").removesuffix(b"\r")
