"""The terminal host: one command-line process with standard streams and arguments. Source: docs system/terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from wippy_trio.actors.host import Process, ProcessHost, SpawnOptions
from wippy_trio.core.errors import ConflictError, LuaError
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId

__all__ = ["Terminal", "TerminalHost", "exit_code"]


class Terminal(Protocol):
    """The streams of a command-line process; implemented over the real ones by `cli/terminal.py`."""

    @property
    def args(self) -> Sequence[str]: ...
    def write_now(self, data: bytes) -> None: ...
    def write_error_now(self, data: bytes) -> None: ...
    def flush_now(self) -> None: ...
    async def read(self, max_bytes: int) -> bytes: ...
    async def readline(self) -> bytes: ...
    def raw_now(self, enable: bool) -> None: ...


class TerminalHost(ProcessHost):
    """Runs one process at a time on the node's terminal."""

    terminal: Terminal | None = None
    hide_logs = False

    def run_command(self, entry: EntryId, args: Sequence[str], terminal: Terminal, frame: Frame) -> Process:
        """Start a command; its frame carries the terminal.

        Raises:
            ConflictError: a command runs already.
        """
        if self.processes:
            raise ConflictError("host already running a command")
        self.terminal = terminal
        extras = {**frame.extras, "terminal": terminal}
        pid = self.spawn(entry, list(args), attrs.evolve(frame, extras=extras), SpawnOptions())
        return self.processes[pid]


def exit_code(value: Any, error: LuaError | None) -> tuple[int, str, str]:
    """What a finished command means for the shell: (exit code, text for stdout, text for stderr)."""
    if error is not None:
        return 1, "", str(error)
    if isinstance(value, bool):
        return (0 if value else 1), "", ""
    if isinstance(value, (int, float)):
        whole = int(value) if math.isfinite(value) else -1
        return (whole if 0 <= whole <= 255 else 1), "", ""
    if isinstance(value, (str, bytes)):
        return 0, value if isinstance(value, str) else value.decode("utf-8", "replace"), ""
    return 0, "", ""
